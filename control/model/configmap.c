// SPDX-License-Identifier: Apache-2.0
/*
 * configmap.c: the schema of ConfigMap, of which a gateway reads CA certificates only.
 */
#include "control/model/schema.h"
#include "control/model/secret.h"

static void config_map_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct config_map *c = obj;
	const struct yaml_node *v = yaml_get(yaml_get(n, "data"), "ca.crt");
	struct str text;
	struct err err;

	if (v == NULL)
		return;
	if (yaml_to_str(v, &text, &err) < 0)
		yaml_report(d, v, "data.ca.crt", "%s", err.msg);
	else
		c->ca = arena_str(d->arena, text);
}

static const struct yaml_field config_map_fields[] = {
	YAML_IGNORED("apiVersion"),
	YAML_IGNORED("kind"),
	YAML_IGNORED("metadata"),
	YAML_IGNORED("data"),
	YAML_IGNORED("binaryData"),
	YAML_IGNORED("immutable"),
};
const struct yaml_schema config_map_schema =
	YAML_SCHEMA(struct config_map, config_map_fields, .finish = config_map_finish);
