// SPDX-License-Identifier: Apache-2.0
/*
 * serviceexport.c: the schema of ServiceExport: that it exists is nearly all it says.
 */
#include "control/model/federation.h"
#include "control/model/schema.h"

static const struct yaml_field export_fields[] = {
	YAML_MAP(struct service_export, "exportedLabels", labels),
	YAML_MAP(struct service_export, "exportedAnnotations", annotations),
};
static const struct yaml_schema spec_schema = YAML_SCHEMA(struct service_export, export_fields);

static const struct yaml_field frame[] = {
	SCHEMA_FRAME,
	{.key = "spec", .type = YAML_TYPE_OBJECT, .schema = &spec_schema},
};
const struct yaml_schema service_export_schema = YAML_SCHEMA(struct service_export, frame);
