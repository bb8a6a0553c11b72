// SPDX-License-Identifier: Apache-2.0
/*
 * kubeconfig_json.c: plain scalars get the type that a YAML reader gives them.
 */
#include "control/kube/kubeconfig_json.h"

#include <stdlib.h>

#include "dataplane/base/cleanup.h"

static json_t *scalar(const struct yaml_node *n)
{
	autofree char *text = strndup(n->text.len ? n->text.p : "", n->text.len);
	int64_t i;
	bool b;
	json_t *j = NULL;

	if (!yaml_is_string(n) && yaml_to_bool(n, &b, NULL) == 0)
		return json_boolean(b);
	if (!yaml_is_string(n) && yaml_to_int(n, INT64_MIN, INT64_MAX, &i, NULL) == 0)
		return json_integer(i);
	if (!yaml_is_string(n))
		j = json_real(strtod(text, NULL)); /* NULL for what JSON has no word for */
	if (j == NULL)
		j = json_stringn(n->text.p, n->text.len);
	return j != NULL ? j : json_null();
}

json_t *kubeconfig_json(const struct yaml_node *n)
{
	json_t *j;

	if (n->kind == YAML_KIND_NULL)
		return json_null();
	if (n->kind == YAML_KIND_SCALAR)
		return scalar(n);
	j = n->kind == YAML_KIND_SEQ ? json_array() : json_object();
	yaml_for_each(c, n)
	{
		if (n->kind == YAML_KIND_SEQ)
			json_array_append_new(j, kubeconfig_json(c));
		else
			json_object_setn_new(j, c->key.p, c->key.len, kubeconfig_json(c));
	}
	return j;
}
