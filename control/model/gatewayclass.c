// SPDX-License-Identifier: Apache-2.0
/*
 * gatewayclass.c: the schema of GatewayClass, and that of references by group, kind and name.
 */
#include "control/model/check.h"
#include "control/model/gateway.h"
#include "control/model/schema.h"

static const struct yaml_field ref_fields[] = {
	YAML_STR(struct object_ref, "group", group, .required = true, .max = 253,
		.check = check_group),
	YAML_STR(struct object_ref, "kind", kind, .required = true, .max = 63, .check = check_kind),
	YAML_STR(struct object_ref, "name", name, .required = true, .min = 1, .max = 253),
	YAML_STR(struct object_ref, "namespace", ns, .max = 63, .check = check_dns_label),
};
const struct yaml_schema object_ref_schema = YAML_SCHEMA(struct object_ref, ref_fields);

static const struct yaml_field spec_fields[] = {
	YAML_STR(struct gateway_class, "controllerName", controller_name, .required = true,
		.max = 253, .check = check_domain_path),
	YAML_POINTER(struct gateway_class, "parametersRef", parameters, &object_ref_schema),
	YAML_IGNORED("description"),
};
static const struct yaml_schema spec_schema = YAML_SCHEMA(struct gateway_class, spec_fields);

SCHEMA_WITH_SPEC(gateway_class, struct gateway_class, spec_schema);
