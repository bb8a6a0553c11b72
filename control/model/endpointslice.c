// SPDX-License-Identifier: Apache-2.0
/*
 * endpointslice.c: the schema of EndpointSlice, which has no spec: its fields stand on top.
 */
#include "dataplane/base/ip.h"

#include "control/model/check.h"
#include "control/model/schema.h"
#include "control/model/service.h"

static const char *const address_types[] = {"IPv4", "IPv6", "FQDN", NULL};
static const char *const protocols[] = {"TCP", "UDP", "SCTP", NULL};

static const struct yaml_field address_field = {.type = YAML_TYPE_STR, .min = 1, .max = 253};
static const struct yaml_schema addresses_schema = YAML_SCALARS(struct str, &address_field);

static const struct yaml_field conditions_fields[] = {
	YAML_TRISTATE(struct slice_endpoint, "ready", ready),
	YAML_TRISTATE(struct slice_endpoint, "serving", serving),
	YAML_TRISTATE(struct slice_endpoint, "terminating", terminating),
};
static const struct yaml_schema conditions_schema =
	YAML_SCHEMA(struct slice_endpoint, conditions_fields);

static const struct yaml_field target_fields[] = {
	YAML_STR(struct slice_endpoint, "name", target_name),
	YAML_IGNORED("kind"),
	YAML_IGNORED("namespace"),
	YAML_IGNORED("apiVersion"),
	YAML_IGNORED("uid"),
	YAML_IGNORED("resourceVersion"),
	YAML_IGNORED("fieldPath"),
};
static const struct yaml_schema target_schema = YAML_SCHEMA(struct slice_endpoint, target_fields);

static const struct yaml_field endpoint_fields[] = {
	YAML_LIST(struct slice_endpoint, "addresses", addresses, &addresses_schema,
		.required = true, .min = 1, .max = 100),
	{.key = "conditions", .type = YAML_TYPE_OBJECT, .schema = &conditions_schema},
	{.key = "targetRef", .type = YAML_TYPE_OBJECT, .schema = &target_schema},
	YAML_IGNORED("hostname"),
	YAML_IGNORED("nodeName"),
	YAML_IGNORED("zone"),
	YAML_IGNORED("hints"), /* a gateway outside the cluster has no zone */
	YAML_IGNORED("deprecatedTopology"),
};
static const struct yaml_schema endpoint_schema =
	YAML_SCHEMA(struct slice_endpoint, endpoint_fields);

static const struct yaml_field port_fields[] = {
	YAML_STR(struct slice_port, "name", name, .max = 63, .def = ""),
	YAML_STR(struct slice_port, "protocol", protocol, .words = protocols, .def = "TCP"),
	YAML_U16(struct slice_port, "port", port, .max = 65535),
	YAML_STR(struct slice_port, "appProtocol", app_protocol, .max = 253),
};
static const struct yaml_schema port_schema = YAML_SCHEMA(struct slice_port, port_fields);

/* Of the slice's family, and none that leads to no pod (ValidateEndpointIP, and 240/4 besides). */
static bool is_address(struct str text, bool v4)
{
	struct ip_addr a;

	return ip_parse(text, &a) && ip_is_v4(&a) == v4 && !check_is_special(&a);
}

/*
 * API servers refuse unspecified, loopback, link-local and multicast addresses, and those of the
 * other family; reserved ones (240/4) they let through. One such address costs its endpoint only:
 * whoever can make one pod with it must not take the other pods out of service.
 */
static void slice_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct endpoint_slice *s = obj;
	struct slice_endpoint *list = (struct slice_endpoint *)s->endpoints; /* the decoder's */
	bool v4 = str_eq(s->address_type, STR("IPv4"));

	if (str_eq(s->address_type, STR("FQDN")))
		return;
	for (uint32_t i = 0; i < s->endpoints_count; i++) {
		list[i].refused = !is_address(list[i].addresses[0], v4);
		s->refused += list[i].refused;
	}
}

static const struct yaml_field slice_fields[] = {
	YAML_IGNORED("apiVersion"),
	YAML_IGNORED("kind"),
	YAML_IGNORED("metadata"),
	YAML_STR(struct endpoint_slice, "addressType", address_type, .required = true,
		.words = address_types),
	YAML_LIST(struct endpoint_slice, "endpoints", endpoints, &endpoint_schema, .max = 1000),
	YAML_LIST(struct endpoint_slice, "ports", ports, &port_schema, .max = 100),
};
const struct yaml_schema endpoint_slice_schema =
	YAML_SCHEMA(struct endpoint_slice, slice_fields, .finish = slice_finish);
