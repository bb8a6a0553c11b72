// SPDX-License-Identifier: Apache-2.0
/*
 * serviceimport.c: the schema of ServiceImport.
 */
#include "control/model/check.h"
#include "control/model/federation.h"
#include "control/model/schema.h"
#include "control/model/service.h"

static const char *const types[] = {"ClusterSetIP", "Headless", NULL};
static const char *const protocols[] = {"TCP", "UDP", "SCTP", NULL};

static const struct yaml_field port_fields[] = {
	YAML_STR(struct service_port, "name", name, .max = 63, .def = ""),
	YAML_STR(struct service_port, "protocol", protocol, .words = protocols, .def = "TCP"),
	YAML_U16(struct service_port, "port", port, .required = true, .min = 1, .max = 65535),
	YAML_STR(struct service_port, "appProtocol", app_protocol, .max = 253),
};
static const struct yaml_schema port_schema = YAML_SCHEMA(struct service_port, port_fields);

static const struct yaml_field import_fields[] = {
	YAML_STR(struct service_import, "type", type, .words = types, .def = "ClusterSetIP"),
	YAML_LIST(struct service_import, "ports", ports, &port_schema, .max = 100),
	YAML_IGNORED("ips"),
	YAML_IGNORED("sessionAffinity"),
	YAML_IGNORED("sessionAffinityConfig"),
	YAML_IGNORED("ipFamilies"),
	YAML_IGNORED("internalTrafficPolicy"),
	YAML_IGNORED("trafficDistribution"),
};
static const struct yaml_schema spec_schema = YAML_SCHEMA(struct service_import, import_fields);

SCHEMA_WITH_SPEC(service_import, struct service_import, spec_schema);
