// SPDX-License-Identifier: Apache-2.0
/*
 * referencegrant.c: the schema of ReferenceGrant.
 */
#include "control/model/check.h"
#include "control/model/gateway.h"
#include "control/model/schema.h"

static const struct yaml_field from_fields[] = {
	YAML_STR(struct grant_from, "group", group, .required = true, .max = 253,
		.check = check_group),
	YAML_STR(struct grant_from, "kind", kind, .required = true, .max = 63, .check = check_kind),
	YAML_STR(struct grant_from, "namespace", ns, .required = true, .max = 63,
		.check = check_dns_label),
};
static const struct yaml_schema from_schema = YAML_SCHEMA(struct grant_from, from_fields);

static const struct yaml_field to_fields[] = {
	YAML_STR(struct grant_to, "group", group, .required = true, .max = 253,
		.check = check_group),
	YAML_STR(struct grant_to, "kind", kind, .required = true, .max = 63, .check = check_kind),
	YAML_STR(struct grant_to, "name", name, .min = 1, .max = 253),
};
static const struct yaml_schema to_schema = YAML_SCHEMA(struct grant_to, to_fields);

static const struct yaml_field grant_fields[] = {
	YAML_LIST(struct reference_grant, "from", from, &from_schema, .required = true, .min = 1,
		.max = 16),
	YAML_LIST(struct reference_grant, "to", to, &to_schema, .required = true, .min = 1,
		.max = 16),
};
static const struct yaml_schema spec_schema = YAML_SCHEMA(struct reference_grant, grant_fields);

SCHEMA_WITH_SPEC(reference_grant, struct reference_grant, spec_schema);
