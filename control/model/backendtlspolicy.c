// SPDX-License-Identifier: Apache-2.0
/*
 * backendtlspolicy.c: the schema of BackendTLSPolicy (v1).
 */
#include "control/model/check.h"
#include "control/model/gateway.h"
#include "control/model/schema.h"
#include "dataplane/yaml/yaml_tree.h"

#define SALVAGED_MAX 256u /* a manifest may hold anything; the API allows 16 */

static const struct yaml_field target_fields[] = {
	YAML_STR(struct policy_target, "group", group, .required = true, .max = 253,
		.check = check_group),
	YAML_STR(struct policy_target, "kind", kind, .required = true, .max = 63,
		.check = check_kind),
	YAML_STR(struct policy_target, "name", name, .required = true, .min = 1, .max = 253),
	YAML_STR(struct policy_target, "sectionName", section_name, .min = 1, .max = 253,
		.check = check_dns_name),
};
static const struct yaml_schema target_schema = YAML_SCHEMA(struct policy_target, target_fields);

static const char *const san_types[] = {"Hostname", "URI", NULL};

static void san_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct policy_san *s = obj;
	bool host = str_eq(s->type, STR("Hostname"));

	if (host ? s->hostname.len == 0 : s->hostname.len != 0)
		yaml_report(d, n, "hostname",
			"must be there when, and only when, type is Hostname");
	if (host ? s->uri.len != 0 : s->uri.len == 0)
		yaml_report(d, n, "uri", "must be there when, and only when, type is URI");
}

static const struct yaml_field san_fields[] = {
	YAML_STR(struct policy_san, "type", type, .required = true, .words = san_types),
	YAML_STR(struct policy_san, "hostname", hostname, .max = 253, .check = check_hostname),
	YAML_STR(struct policy_san, "uri", uri, .max = 253),
};
static const struct yaml_schema san_schema =
	YAML_SCHEMA(struct policy_san, san_fields, .finish = san_finish);

static const struct yaml_field validation_fields[] = {
	YAML_LIST(struct backend_tls_policy, "caCertificateRefs", cas, &object_ref_schema,
		.max = 8),
	YAML_STR(struct backend_tls_policy, "wellKnownCACertificates", well_known, .max = 253),
	YAML_STR(struct backend_tls_policy, "hostname", hostname, .required = true, .min = 1,
		.max = 253, .check = check_dns_name),
	YAML_LIST(struct backend_tls_policy, "subjectAltNames", sans, &san_schema, .max = 5),
};

static void validation_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct backend_tls_policy *p = obj;

	if ((p->cas_count != 0) == (p->well_known.len != 0))
		yaml_report(d, n, NULL,
			"needs either caCertificateRefs or wellKnownCACertificates, not both");
}

static const struct yaml_schema validation_schema =
	YAML_SCHEMA(struct backend_tls_policy, validation_fields, .finish = validation_finish);

static bool same_target(const struct policy_target *a, const struct policy_target *b)
{
	return str_eq(a->group, b->group) && str_eq(a->kind, b->kind) && str_eq(a->name, b->name);
}

/* CEL of the CRD: targets of one object must differ in sectionName. */
static void policy_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct backend_tls_policy *p = obj;

	for (uint32_t i = 0; i < p->targets_count; i++) {
		for (uint32_t k = 0; k < i; k++) {
			const struct policy_target *a = &p->targets[i], *b = &p->targets[k];

			if (!same_target(a, b))
				continue;
			if ((a->section_name.len == 0) != (b->section_name.len == 0) ||
				str_eq(a->section_name, b->section_name))
				yaml_report(d, n, "targetRefs",
					"two references to one target must have "
					"sectionNames that differ");
		}
	}
}

static const struct yaml_field policy_fields[] = {
	YAML_LIST(struct backend_tls_policy, "targetRefs", targets, &target_schema,
		.required = true, .min = 1, .max = 16),
	{.key = "validation",
		.type = YAML_TYPE_OBJECT,
		.required = true,
		.schema = &validation_schema},
	YAML_PRESENT(struct backend_tls_policy, "options", has_options),
};
static const struct yaml_schema spec_schema =
	YAML_SCHEMA(struct backend_tls_policy, policy_fields, .finish = policy_finish);

SCHEMA_WITH_SPEC(backend_tls_policy, struct backend_tls_policy, spec_schema);

/* --- one that is not valid --- */

static struct str text_of(struct arena *a, const struct yaml_node *map, const char *key,
	struct str otherwise)
{
	const struct yaml_node *n = yaml_get(map, key);

	return n != NULL && n->kind == YAML_KIND_SCALAR ? arena_str(a, n->text) : otherwise;
}

/* A port that cannot be one means all of them. */
static void salvage(struct arena *a, const struct yaml_node *n, struct backend_tls_policy *ret)
{
	struct policy_target *t = (struct policy_target *)&ret->targets[ret->targets_count];

	*t = (struct policy_target){
		.group = text_of(a, n, "group", STR("")),
		.kind = text_of(a, n, "kind", STR("Service")),
		.name = text_of(a, n, "name", STR("")),
		.section_name = text_of(a, n, "sectionName", STR("")),
	};
	if (t->section_name.len != 0 && check_dns_name(t->section_name) != NULL)
		t->section_name = STR("");
	if (t->name.len != 0 && ret->targets_count < SALVAGED_MAX)
		ret->targets_count++;
}

bool backend_tls_policy_salvage(struct arena *a, const struct yaml_node *doc, const char *why,
	struct backend_tls_policy *ret)
{
	const struct yaml_node *spec = yaml_get(doc, "spec"), *list = yaml_get(spec, "targetRefs");
	uint32_t room = 2; /* for the singular one, and for what is read and not taken */

	yaml_for_each(n, list) room += room < SALVAGED_MAX + 2;
	*ret = (struct backend_tls_policy){.invalid = arena_str(a, str_of(why)).p};
	ret->targets = arena_array(a, struct policy_target, room);
	yaml_for_each(n, list) salvage(a, n, ret);
	salvage(a, yaml_get(spec, "targetRef"), ret); /* as v1alpha2 had it */
	return ret->targets_count != 0;
}
