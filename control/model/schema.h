// SPDX-License-Identifier: Apache-2.0
/*
 * schema.h: the tables that read manifests; one per kind, each in the file of its kind.
 *
 * They are taken from the CRDs of Gateway API v1.7 (standard channel) and from the core API's
 * OpenAPI document: names, required fields, patterns, limits, defaults, and the CEL rules as
 * finish functions. The CRDs of our own kinds are in configs/kube/.
 */
#pragma once

#include "dataplane/yaml/yaml_decode.h"

extern const struct yaml_schema gateway_class_schema;
extern const struct yaml_schema gateway_schema;
extern const struct yaml_schema http_route_schema;
extern const struct yaml_schema other_route_schema; /* GRPCRoute, TLSRoute, TCPRoute, UDPRoute */
extern const struct yaml_schema reference_grant_schema;
extern const struct yaml_schema service_schema;
extern const struct yaml_schema endpoint_slice_schema;
extern const struct yaml_schema listener_set_schema;
extern const struct yaml_schema backend_tls_policy_schema;
extern const struct yaml_schema secret_schema;
extern const struct yaml_schema config_map_schema;
extern const struct yaml_schema service_import_schema;
extern const struct yaml_schema service_export_schema;
extern const struct yaml_schema remote_cluster_schema;
extern const struct yaml_schema ip_pool_schema;
extern const struct yaml_schema traffic_policy_schema;
extern const struct yaml_schema object_ref_schema; /* group, kind, name, namespace */
extern const struct yaml_schema listener_schema;   /* of Gateways and ListenerSets */
extern const struct yaml_schema parent_ref_schema; /* of routes of all kinds */

/* What stands around the spec of every manifest; metadata are read by decode.c. */
#define SCHEMA_FRAME \
	YAML_IGNORED("apiVersion"), YAML_IGNORED("kind"), YAML_IGNORED("metadata"), \
		YAML_IGNORED("status")

/* A manifest whose spec is all that is read of it: the object's struct is the spec. */
#define SCHEMA_WITH_SPEC(kind_, type_, spec_schema_) \
	static const struct yaml_field kind_##_frame[] = { \
		SCHEMA_FRAME, \
		{.key = "spec", \
			.type = YAML_TYPE_OBJECT, \
			.required = true, \
			.schema = &(spec_schema_)}, \
	}; \
	const struct yaml_schema kind_##_schema = YAML_SCHEMA(type_, kind_##_frame)
