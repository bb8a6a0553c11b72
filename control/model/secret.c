// SPDX-License-Identifier: Apache-2.0
/*
 * secret.c: the schema of Secret.
 *
 * A cluster's Secrets may be many and large (release histories), so only the keys of a short list
 * are kept. stringData goes over data, as an API server merges them.
 */
#include "control/model/secret.h"

#include "control/model/schema.h"
#include "dataplane/base/base64.h"

/* In the order of their names. */
static const char *const known_keys[] = {"ca.crt", "datastoreType", "kubeconfig", "tls.crt",
	"tls.key"};

#define KNOWN_COUNT (sizeof(known_keys) / sizeof(known_keys[0]))

static bool data_take(struct yaml_decoder *d, const struct yaml_node *n, const char *key,
	struct str *ret)
{
	const struct yaml_node *v = yaml_get(yaml_get(n, "data"), key);
	struct err err;
	struct str text;
	char *bytes;
	size_t len;

	if (v == NULL)
		return false;
	bytes = v->kind == YAML_KIND_SCALAR ? arena_alloc(d->arena, v->text.len * 3 / 4 + 3) : NULL;
	if (yaml_to_str(v, &text, &err) < 0) {
		yaml_report(d, v, key, "%s", err.msg);
		return false;
	}
	if (!base64_decode(text, bytes, &len)) {
		yaml_report(d, v, key, "must be base64");
		return false;
	}
	*ret = str_make(bytes, len);
	return true;
}

static bool string_take(struct yaml_decoder *d, const struct yaml_node *n, const char *key,
	struct str *ret)
{
	const struct yaml_node *v = yaml_get(yaml_get(n, "stringData"), key);
	struct err err;
	struct str text;

	if (v == NULL)
		return false;
	if (yaml_to_str(v, &text, &err) < 0) {
		yaml_report(d, v, key, "%s", err.msg);
		return false;
	}
	*ret = arena_str(d->arena, text);
	return true;
}

static void secret_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct secret *s = obj;
	struct kv *items = arena_array(d->arena, struct kv, KNOWN_COUNT);
	uint32_t count = 0;

	for (size_t i = 0; i < KNOWN_COUNT; i++) {
		struct str value;

		if (string_take(d, n, known_keys[i], &value) ||
			data_take(d, n, known_keys[i], &value))
			items[count++] = (struct kv){str_of(known_keys[i]), value};
	}
	s->known = (struct kv_list){items, count};
}

static const struct yaml_field secret_fields[] = {
	YAML_IGNORED("apiVersion"),
	YAML_IGNORED("kind"),
	YAML_IGNORED("metadata"),
	YAML_STR(struct secret, "type", type, .max = 253, .def = "Opaque"),
	YAML_IGNORED("data"),
	YAML_IGNORED("stringData"),
	YAML_IGNORED("immutable"),
};
const struct yaml_schema secret_schema =
	YAML_SCHEMA(struct secret, secret_fields, .finish = secret_finish);
