// SPDX-License-Identifier: Apache-2.0
/*
 * listenerset.c: the schema of ListenerSet (GEP-1713): listeners lent to somebody's Gateway.
 */
#include "control/model/check.h"
#include "control/model/gateway.h"
#include "control/model/schema.h"

static const struct yaml_field parent_fields[] = {
	YAML_STR(struct object_ref, "group", group, .max = 253, .check = check_group,
		.def = "gateway.networking.k8s.io"),
	YAML_STR(struct object_ref, "kind", kind, .max = 63, .check = check_kind, .def = "Gateway"),
	YAML_STR(struct object_ref, "name", name, .required = true, .min = 1, .max = 253),
	YAML_STR(struct object_ref, "namespace", ns, .max = 63, .check = check_dns_label),
};
static const struct yaml_schema parent_schema = YAML_SCHEMA(struct object_ref, parent_fields);

static bool same_socket(const struct listener *a, const struct listener *b)
{
	return a->port == b->port && str_eq(a->protocol, b->protocol) &&
		str_eq(a->hostname, b->hostname);
}

/* CEL of the CRD. */
static void set_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct listener_set *s = obj;

	for (uint32_t i = 0; i < s->listeners_count; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (str_eq(s->listeners[i].name, s->listeners[k].name))
				yaml_report(d, n, "listeners", "the name %.*s stands twice",
					STR_FMT(s->listeners[i].name));
			else if (same_socket(&s->listeners[i], &s->listeners[k]))
				yaml_report(d, n, "listeners",
					"%.*s and %.*s have the same port, protocol and hostname",
					STR_FMT(s->listeners[k].name),
					STR_FMT(s->listeners[i].name));
		}
	}
}

static const struct yaml_field set_fields[] = {
	{.key = "parentRef",
		.type = YAML_TYPE_OBJECT,
		.required = true,
		.offset = offsetof(struct listener_set, parent),
		.schema = &parent_schema},
	YAML_LIST(struct listener_set, "listeners", listeners, &listener_schema, .required = true,
		.min = 1, .max = 64),
};
static const struct yaml_schema spec_schema =
	YAML_SCHEMA(struct listener_set, set_fields, .finish = set_finish);

SCHEMA_WITH_SPEC(listener_set, struct listener_set, spec_schema);
