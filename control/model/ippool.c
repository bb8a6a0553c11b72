// SPDX-License-Identifier: Apache-2.0
/*
 * ippool.c: the schema of IPPool (projectcalico.org/v3): which addresses are for LoadBalancers.
 */
#include "control/model/federation.h"
#include "control/model/schema.h"

static void pool_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct ip_pool *p = obj;
	const struct yaml_node *mode = yaml_get(n, "assignmentMode");

	yaml_for_each(use, yaml_get(n, "allowedUses")) if (str_eq(use->text, STR("LoadBalancer")))
		p->for_load_balancers = true;
	p->manual = mode != NULL && str_eq(mode->text, STR("Manual"));
}

static const struct yaml_field pool_fields[] = {
	{.key = "cidr",
		.type = YAML_TYPE_IP_NET,
		.required = true,
		.offset = offsetof(struct ip_pool, cidr)},
	YAML_BOOL(struct ip_pool, "disabled", disabled),
	YAML_IGNORED("allowedUses"),	/* pool_finish() */
	YAML_IGNORED("assignmentMode"), /* the same */
	YAML_IGNORED("blockSize"),
	YAML_IGNORED("ipipMode"),
	YAML_IGNORED("vxlanMode"),
	YAML_IGNORED("natOutgoing"),
	YAML_IGNORED("nat-outgoing"),
	YAML_IGNORED("ipip"),
	YAML_IGNORED("nodeSelector"),
	YAML_STR(struct ip_pool, "namespaceSelector", namespace_selector, .max = 8192),
	YAML_IGNORED("disableBGPExport"),
	YAML_IGNORED("awsSubnetID"),
};
static const struct yaml_schema spec_schema =
	YAML_SCHEMA(struct ip_pool, pool_fields, .finish = pool_finish);

SCHEMA_WITH_SPEC(ip_pool, struct ip_pool, spec_schema);
