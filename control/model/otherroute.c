// SPDX-License-Identifier: Apache-2.0
/*
 * otherroute.c: the schema of routes that are not served: GRPCRoute, TLSRoute, TCPRoute, UDPRoute.
 *
 * Whoever points such a route at a Gateway of ours has to be told that it does not serve, and for
 * that its parentRefs are all that must be known.
 */
#include "control/model/gateway.h"
#include "control/model/schema.h"

static const struct yaml_field spec_fields[] = {
	YAML_LIST(struct http_route, "parentRefs", parents, &parent_ref_schema, .max = 32),
	YAML_IGNORED("hostnames"),
	YAML_IGNORED("rules"),
	YAML_IGNORED("useDefaultGateways"),
};
static const struct yaml_schema spec_schema = YAML_SCHEMA(struct http_route, spec_fields);

SCHEMA_WITH_SPEC(other_route, struct http_route, spec_schema);
