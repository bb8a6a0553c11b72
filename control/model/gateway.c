// SPDX-License-Identifier: Apache-2.0
/*
 * gateway.c: the schema of Gateway.
 *
 * Kubernetes' own label selectors have no schema in the CRD, so an API server takes any: what is
 * wrong with one is a matter of the object's status, not of its reading.
 */
#include "control/model/check.h"
#include "control/model/gateway.h"
#include "control/model/schema.h"

static const char *const from_words[] = {"Same", "All", "Selector", NULL};
static const char *const listeners_from_words[] = {"None", "Same", "All", "Selector", NULL};
static const char *const tls_modes[] = {"Terminate", "Passthrough", NULL};

static const struct yaml_field label_value = {.type = YAML_TYPE_STR};
static const struct yaml_schema label_values = YAML_SCALARS(struct str, &label_value);

static const struct yaml_field expression_fields[] = {
	YAML_STR(struct label_requirement, "key", key, .required = true),
	YAML_STR(struct label_requirement, "operator", op, .required = true),
	YAML_LIST(struct label_requirement, "values", values, &label_values),
};
static const struct yaml_schema expression_schema =
	YAML_SCHEMA(struct label_requirement, expression_fields);

static const struct yaml_field selector_fields[] = {
	YAML_MAP(struct label_selector, "matchLabels", match_labels),
	YAML_LIST(struct label_selector, "matchExpressions", expressions, &expression_schema),
};
static const struct yaml_schema selector_schema =
	YAML_SCHEMA(struct label_selector, selector_fields);

static const struct yaml_field namespaces_fields[] = {
	YAML_ENUM(struct listener, "from", from, from_words, .def = "Same"),
	YAML_POINTER(struct listener, "selector", selector, &selector_schema),
};
static const struct yaml_schema namespaces_schema = YAML_SCHEMA(struct listener, namespaces_fields);

static const struct yaml_field kind_fields[] = {
	YAML_STR(struct route_kind, "group", group, .max = 253, .check = check_group,
		.def = "gateway.networking.k8s.io"),
	YAML_STR(struct route_kind, "kind", kind, .required = true, .max = 63, .check = check_kind),
};
static const struct yaml_schema kind_schema = YAML_SCHEMA(struct route_kind, kind_fields);

static const struct yaml_field allowed_fields[] = {
	{.key = "namespaces", .type = YAML_TYPE_OBJECT, .schema = &namespaces_schema},
	YAML_LIST(struct listener, "kinds", kinds, &kind_schema, .max = 8),
};
static const struct yaml_schema allowed_schema = YAML_SCHEMA(struct listener, allowed_fields);

/* TLS is known but not spoken yet: reconcile refuses the listener, so the mode is all we read. */
static const struct yaml_field tls_fields[] = {
	YAML_ENUM(struct listener_tls, "mode", mode, tls_modes, .def = "Terminate"),
	YAML_PRESENT(struct listener_tls, "certificateRefs", has_certificates),
	YAML_PRESENT(struct listener_tls, "options", has_options),
};
static const struct yaml_schema tls_schema = YAML_SCHEMA(struct listener_tls, tls_fields);

static bool is_one_of(struct str s, const char *a, const char *b, const char *c)
{
	return str_eq(s, str_of(a)) || str_eq(s, str_of(b)) || str_eq(s, str_of(c));
}

static void listener_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct listener *l = obj;

	if (l->tls != NULL && is_one_of(l->protocol, "HTTP", "TCP", "UDP"))
		yaml_report(d, n, "tls", "must not be given for protocol %.*s",
			STR_FMT(l->protocol));
	if (str_eq(l->protocol, STR("HTTPS")) && l->tls != NULL && l->tls->mode != TLS_TERMINATE)
		yaml_report(d, n, "tls.mode", "must be Terminate for protocol HTTPS");
	if (str_eq(l->protocol, STR("TLS")) && l->tls == NULL)
		yaml_report(d, n, "tls", "is required for protocol TLS");
	if (l->tls != NULL && l->tls->mode == TLS_TERMINATE && !l->tls->has_certificates &&
		!l->tls->has_options)
		yaml_report(d, n, "tls",
			"needs certificateRefs or options when its mode is Terminate");
	if (l->hostname.p != NULL && is_one_of(l->protocol, "TCP", "UDP", "TCP"))
		yaml_report(d, n, "hostname", "must not be given for protocol %.*s",
			STR_FMT(l->protocol));
}

static const struct yaml_field listener_fields[] = {
	YAML_STR(struct listener, "name", name, .required = true, .max = 253,
		.check = check_dns_name),
	YAML_STR(struct listener, "hostname", hostname, .max = 253, .check = check_hostname),
	YAML_U16(struct listener, "port", port, .required = true, .min = 1, .max = 65535),
	YAML_STR(struct listener, "protocol", protocol, .required = true, .max = 255,
		.check = check_protocol),
	YAML_POINTER(struct listener, "tls", tls, &tls_schema),
	{.key = "allowedRoutes", .type = YAML_TYPE_OBJECT, .schema = &allowed_schema},
	YAML_PRESENT(struct listener, "filters", has_filters),
};
const struct yaml_schema listener_schema =
	YAML_SCHEMA(struct listener, listener_fields, .finish = listener_finish);

static void address_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct gateway_address *a = obj;

	if (str_eq(a->type, STR("Hostname")) && a->value.len && check_hostname(a->value) != NULL)
		yaml_report(d, n, "value", "%s", check_hostname(a->value));
}

static const struct yaml_field address_fields[] = {
	YAML_STR(struct gateway_address, "type", type, .max = 253, .check = check_address_type,
		.def = "IPAddress"),
	YAML_STR(struct gateway_address, "value", value, .max = 253),
	YAML_PRESENT(struct gateway_address, "routability", has_routability),
};
static const struct yaml_schema address_schema =
	YAML_SCHEMA(struct gateway_address, address_fields, .finish = address_finish);

static const struct yaml_field infrastructure_fields[] = {
	YAML_POINTER(struct gateway, "parametersRef", parameters, &object_ref_schema),
	YAML_MAP(struct gateway, "labels", labels, .check = check_label_value),
	YAML_MAP(struct gateway, "annotations", annotations),
};
static const struct yaml_schema infrastructure_schema =
	YAML_SCHEMA(struct gateway, infrastructure_fields);

static const struct yaml_field gateway_tls_fields[] = {
	YAML_PRESENT(struct gateway, "backend", has_backend_tls),
	YAML_IGNORED("frontend"), /* speaks about HTTPS listeners, which are refused */
};
static const struct yaml_schema gateway_tls_schema =
	YAML_SCHEMA(struct gateway, gateway_tls_fields);

static const struct yaml_field lenders_fields[] = {
	YAML_ENUM(struct gateway, "from", listeners_from, listeners_from_words, .def = "None"),
	YAML_POINTER(struct gateway, "selector", listeners_selector, &selector_schema),
};
static const struct yaml_schema lenders_schema = YAML_SCHEMA(struct gateway, lenders_fields);

static const struct yaml_field allowed_listeners_fields[] = {
	{.key = "namespaces", .type = YAML_TYPE_OBJECT, .schema = &lenders_schema},
};
static const struct yaml_schema allowed_listeners_schema =
	YAML_SCHEMA(struct gateway, allowed_listeners_fields);

static bool same_socket(const struct listener *a, const struct listener *b)
{
	return a->port == b->port && str_eq(a->protocol, b->protocol) &&
		str_eq(a->hostname, b->hostname);
}

static void listeners_unique(struct yaml_decoder *d, const struct yaml_node *n,
	const struct gateway *g)
{
	for (uint32_t i = 0; i < g->listeners_count; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (str_eq(g->listeners[i].name, g->listeners[k].name))
				yaml_report(d, n, "listeners", "the name %.*s stands twice",
					STR_FMT(g->listeners[i].name));
			else if (same_socket(&g->listeners[i], &g->listeners[k]))
				yaml_report(d, n, "listeners",
					"%.*s and %.*s have the same port, "
					"protocol and hostname",
					STR_FMT(g->listeners[k].name),
					STR_FMT(g->listeners[i].name));
		}
	}
}

static void gateway_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct gateway *g = obj;

	listeners_unique(d, n, g);
	for (uint32_t i = 0; i < g->addresses_count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (g->addresses[i].value.len &&
				str_eq(g->addresses[i].type, g->addresses[k].type) &&
				str_eq(g->addresses[i].value, g->addresses[k].value))
				yaml_report(d, n, "addresses", "the value %.*s stands twice",
					STR_FMT(g->addresses[i].value));
}

static const struct yaml_field gateway_fields[] = {
	YAML_STR(struct gateway, "gatewayClassName", class_name, .required = true, .min = 1,
		.max = 253),
	YAML_LIST(struct gateway, "listeners", listeners, &listener_schema, .required = true,
		.min = 1, .max = 64),
	YAML_LIST(struct gateway, "addresses", addresses, &address_schema, .max = 16),
	{.key = "infrastructure", .type = YAML_TYPE_OBJECT, .schema = &infrastructure_schema},
	{.key = "tls", .type = YAML_TYPE_OBJECT, .schema = &gateway_tls_schema},
	{.key = "allowedListeners", .type = YAML_TYPE_OBJECT, .schema = &allowed_listeners_schema},
};
static const struct yaml_schema spec_schema =
	YAML_SCHEMA(struct gateway, gateway_fields, .finish = gateway_finish);

SCHEMA_WITH_SPEC(gateway, struct gateway, spec_schema);
