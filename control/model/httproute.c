// SPDX-License-Identifier: Apache-2.0
/*
 * httproute.c: the schema of HTTPRoute.
 *
 * Filters are read as far as reconcile needs to refuse them by name (and to hold the union's rule,
 * that a filter has the member of its type and no other); their contents get their schema together
 * with the filter itself.
 */
#include "control/model/check.h"
#include "control/model/gateway.h"
#include "control/model/schema.h"

#define MATCHES_PER_ROUTE_MAX 128u /* CRD: total over all rules */

static const char *const path_types[] = {"Exact", "PathPrefix", "RegularExpression", NULL};
static const char *const value_types[] = {"Exact", "RegularExpression", NULL};
static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS",
	"TRACE", "PATCH", NULL};
static const char *const filter_types[] = {"RequestHeaderModifier", "ResponseHeaderModifier",
	"RequestMirror", "RequestRedirect", "URLRewrite", "ExtensionRef", "CORS",
	"ExternalAuth", /* experimental channel */
	NULL};

static void value_match_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct value_match *m = obj;

	/* words[] has no PathPrefix, the enum has one in the middle. */
	if (m->type != MATCH_EXACT)
		m->type = MATCH_REGEX;
}

static const struct yaml_field header_fields[] = {
	YAML_ENUM(struct value_match, "type", type, value_types, .def = "Exact"),
	YAML_STR(struct value_match, "name", name, .required = true, .min = 1, .max = 256,
		.check = check_header_name),
	YAML_STR(struct value_match, "value", value, .required = true, .min = 1, .max = 4096),
};
static const struct yaml_schema header_schema =
	YAML_SCHEMA(struct value_match, header_fields, .finish = value_match_finish);

static const struct yaml_field query_fields[] = {
	YAML_ENUM(struct value_match, "type", type, value_types, .def = "Exact"),
	YAML_STR(struct value_match, "name", name, .required = true, .min = 1, .max = 256,
		.check = check_header_name),
	YAML_STR(struct value_match, "value", value, .required = true, .min = 1, .max = 1024),
};
static const struct yaml_schema query_schema =
	YAML_SCHEMA(struct value_match, query_fields, .finish = value_match_finish);

static void path_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct http_match *m = obj;
	const char *how = m->path_type != MATCH_REGEX ? check_path(m->path) : NULL;

	if (how != NULL)
		yaml_report(d, n, "value", "%s, but is \"%.*s\"", how,
			STR_FMT(str_first(m->path, 100)));
}

static const struct yaml_field path_fields[] = {
	YAML_ENUM(struct http_match, "type", path_type, path_types, .def = "PathPrefix"),
	YAML_STR(struct http_match, "value", path, .max = 1024, .def = "/"),
};
static const struct yaml_schema path_schema =
	YAML_SCHEMA(struct http_match, path_fields, .finish = path_finish);

/* Lists keyed by name: an API server refuses the second entry of one name. */
static void names_unique(struct yaml_decoder *d, const struct yaml_node *n, const char *field,
	const struct value_match *m, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (str_eq(m[i].name, m[k].name))
				yaml_report(d, n, field, "the name %.*s stands twice",
					STR_FMT(m[i].name));
}

static void match_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct http_match *m = obj;

	names_unique(d, n, "headers", m->headers, m->headers_count);
	names_unique(d, n, "queryParams", m->queries, m->queries_count);
}

static const struct yaml_field match_fields[] = {
	{.key = "path", .type = YAML_TYPE_OBJECT, .schema = &path_schema},
	YAML_STR(struct http_match, "method", method, .words = methods),
	YAML_LIST(struct http_match, "headers", headers, &header_schema, .max = 16),
	YAML_LIST(struct http_match, "queryParams", queries, &query_schema, .max = 16),
};
static const struct yaml_schema match_schema =
	YAML_SCHEMA(struct http_match, match_fields, .finish = match_finish);

/* <type> names the member that must be there: "CORS" is cors, "URLRewrite" urlRewrite. */
static bool is_member_of_type(struct str key, struct str type)
{
	return str_ieq(key, type);
}

static void filter_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct http_filter *f = obj;
	bool has_member = false;

	yaml_for_each(c, n)
	{
		if (c->kind == YAML_KIND_NULL || str_eq(c->key, STR("type")))
			continue;
		if (is_member_of_type(c->key, f->type))
			has_member = true;
		else
			yaml_report(d, c, NULL, "%.*s must not be given when type is %.*s",
				STR_FMT(str_first(c->key, 64)), STR_FMT(f->type));
	}
	if (!has_member)
		yaml_report(d, n, NULL, "the member for type %.*s is missing", STR_FMT(f->type));
}

static const struct yaml_field filter_fields[] = {
	YAML_STR(struct http_filter, "type", type, .required = true, .words = filter_types),
	YAML_IGNORED("requestHeaderModifier"),
	YAML_IGNORED("responseHeaderModifier"),
	YAML_IGNORED("requestMirror"),
	YAML_IGNORED("requestRedirect"),
	YAML_IGNORED("urlRewrite"),
	YAML_IGNORED("extensionRef"),
	YAML_IGNORED("cors"),
	YAML_IGNORED("externalAuth"),
};
static const struct yaml_schema filter_schema =
	YAML_SCHEMA(struct http_filter, filter_fields, .finish = filter_finish);

static void backend_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct backend_ref *b = obj;

	if (b->group.len == 0 && str_eq(b->kind, STR("Service")) && b->port == 0)
		yaml_report(d, n, "port", "is required when the backend is a Service");
}

static const struct yaml_field backend_fields[] = {
	YAML_STR(struct backend_ref, "group", group, .max = 253, .check = check_group, .def = ""),
	YAML_STR(struct backend_ref, "kind", kind, .max = 63, .check = check_kind,
		.def = "Service"),
	YAML_STR(struct backend_ref, "namespace", ns, .max = 63, .check = check_dns_label),
	YAML_STR(struct backend_ref, "name", name, .required = true, .min = 1, .max = 253),
	YAML_U16(struct backend_ref, "port", port, .min = 1, .max = 65535),
	YAML_U32(struct backend_ref, "weight", weight, .max = 1000000, .def = "1"),
	YAML_LIST(struct backend_ref, "filters", filters, &filter_schema, .max = 16),
};
static const struct yaml_schema backend_schema =
	YAML_SCHEMA(struct backend_ref, backend_fields, .finish = backend_finish);

static void timeouts_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct http_rule *r = obj;

	if (r->request_timeout_ms != 0 && r->backend_timeout_ms > r->request_timeout_ms)
		yaml_report(d, n, "backendRequest", "must not be longer than request");
}

static const struct yaml_field timeouts_fields[] = {
	YAML_DURATION(struct http_rule, "request", request_timeout_ms),
	YAML_DURATION(struct http_rule, "backendRequest", backend_timeout_ms),
};
static const struct yaml_schema timeouts_schema =
	YAML_SCHEMA(struct http_rule, timeouts_fields, .finish = timeouts_finish);

static const struct http_match match_everything = {
	.path_type = MATCH_PREFIX,
	.path = {"/", 1},
};

static bool has_filter(const struct http_rule *r, struct str type)
{
	for (uint32_t i = 0; i < r->filters_count; i++)
		if (str_eq(r->filters[i].type, type))
			return true;
	return false;
}

static void rule_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct http_rule *r = obj;

	/* An absent and an empty list both mean: the prefix "/" (HTTPRouteRule.matches). */
	if (r->matches_count == 0) {
		r->matches = &match_everything;
		r->matches_count = 1;
	}
	if (r->backends_count != 0 && has_filter(r, STR("RequestRedirect")))
		yaml_report(d, n, "filters",
			"RequestRedirect must not stand together with backendRefs");
	if (has_filter(r, STR("RequestRedirect")) && has_filter(r, STR("URLRewrite")))
		yaml_report(d, n, "filters", "RequestRedirect and URLRewrite exclude each other");
}

static const struct yaml_field rule_fields[] = {
	YAML_STR(struct http_rule, "name", name, .max = 253, .check = check_dns_name),
	YAML_LIST(struct http_rule, "matches", matches, &match_schema, .max = 64),
	YAML_LIST(struct http_rule, "filters", filters, &filter_schema, .max = 16),
	YAML_LIST(struct http_rule, "backendRefs", backends, &backend_schema, .max = 16),
	{.key = "timeouts", .type = YAML_TYPE_OBJECT, .schema = &timeouts_schema},
	YAML_PRESENT(struct http_rule, "retry", has_retry),
	YAML_PRESENT(struct http_rule, "sessionPersistence", has_session_persistence),
};
static const struct yaml_schema rule_schema =
	YAML_SCHEMA(struct http_rule, rule_fields, .finish = rule_finish);

static const struct yaml_field parent_fields[] = {
	YAML_STR(struct parent_ref, "group", group, .max = 253, .check = check_group,
		.def = "gateway.networking.k8s.io"),
	YAML_STR(struct parent_ref, "kind", kind, .max = 63, .check = check_kind, .def = "Gateway"),
	YAML_STR(struct parent_ref, "namespace", ns, .max = 63, .check = check_dns_label),
	YAML_STR(struct parent_ref, "name", name, .required = true, .min = 1, .max = 253),
	YAML_STR(struct parent_ref, "sectionName", section_name, .min = 1, .max = 253,
		.check = check_dns_name),
	YAML_U16(struct parent_ref, "port", port, .min = 1, .max = 65535),
};
const struct yaml_schema parent_ref_schema = YAML_SCHEMA(struct parent_ref, parent_fields);

static const struct yaml_field hostname_field = {.type = YAML_TYPE_STR,
	.max = 253,
	.check = check_hostname};
static const struct yaml_schema hostnames_schema = YAML_SCALARS(struct str, &hostname_field);

static bool same_parent(const struct parent_ref *a, const struct parent_ref *b)
{
	return str_eq(a->group, b->group) && str_eq(a->kind, b->kind) && str_eq(a->ns, b->ns) &&
		str_eq(a->name, b->name);
}

/* CEL of the CRD: references to one parent must differ in sectionName. */
static void parents_unique(struct yaml_decoder *d, const struct yaml_node *n,
	const struct http_route *r)
{
	for (uint32_t i = 0; i < r->parents_count; i++) {
		for (uint32_t k = 0; k < i; k++) {
			const struct parent_ref *a = &r->parents[i], *b = &r->parents[k];

			if (!same_parent(a, b))
				continue;
			if ((a->section_name.len == 0) != (b->section_name.len == 0))
				yaml_report(d, n, "parentRefs",
					"sectionName must be given when "
					"two references point to one parent");
			else if (str_eq(a->section_name, b->section_name))
				yaml_report(d, n, "parentRefs",
					"two references to one parent "
					"must differ in sectionName");
		}
	}
}

static const struct http_rule rule_without_anything = {.matches = &match_everything,
	.matches_count = 1};

static void route_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct http_route *r = obj;
	uint32_t matches = 0;

	parents_unique(d, n, r);
	if (r->rules_count == 0) {
		r->rules = &rule_without_anything;
		r->rules_count = 1;
	}
	for (uint32_t i = 0; i < r->rules_count; i++) {
		matches += r->rules[i].matches_count;
		for (uint32_t k = 0; k < i; k++)
			if (r->rules[i].name.len && str_eq(r->rules[i].name, r->rules[k].name))
				yaml_report(d, n, "rules", "the name %.*s stands twice",
					STR_FMT(r->rules[i].name));
	}
	if (matches > MATCHES_PER_ROUTE_MAX)
		yaml_report(d, n, "rules", "has %u matches in all, at most %u are allowed", matches,
			MATCHES_PER_ROUTE_MAX);
}

static const struct yaml_field route_fields[] = {
	YAML_LIST(struct http_route, "parentRefs", parents, &parent_ref_schema, .max = 32),
	YAML_LIST(struct http_route, "hostnames", hostnames, &hostnames_schema, .max = 16),
	YAML_LIST(struct http_route, "rules", rules, &rule_schema, .min = 1, .max = 16),
};
static const struct yaml_schema spec_schema =
	YAML_SCHEMA(struct http_route, route_fields, .finish = route_finish);

SCHEMA_WITH_SPEC(http_route, struct http_route, spec_schema);
