// SPDX-License-Identifier: Apache-2.0
/*
 * kind.c: the table of kinds, and which versions of their groups are read.
 */
#include "control/model/object.h"
#include "control/model/schema.h"

#define GATEWAY_API_VERSION "gateway.networking.k8s.io/v1"
#define KIND_API_VERSION(group) \
	(sizeof(group) == 1					      ? "v1" \
			: sizeof(group) == sizeof("discovery.k8s.io") ? "discovery.k8s.io/v1" \
								      : GATEWAY_API_VERSION)

const struct kind_info kind_info[KIND_COUNT] = {
#define KIND(e, kind, group, namespaced, schema) \
	[KIND_##e] = {{kind, sizeof(kind) - 1}, {group, sizeof(group) - 1}, \
		KIND_API_VERSION(group), namespaced, schema},
#include "control/model/kind.def"
#undef KIND
};

/* v1beta1 of the Gateway API has the same fields as v1 for the kinds of the table. */
static bool version_fits(struct str group, struct str version)
{
	return str_eq(version, STR("v1")) ||
		(str_eq(group, GATEWAY_GROUP) && str_eq(version, STR("v1beta1")));
}

enum kind kind_of(struct str api_version, struct str kind)
{
	ptrdiff_t slash = str_find(api_version, '/');
	struct str group = str_first(api_version, slash < 0 ? 0 : (size_t)slash);
	struct str version = slash < 0 ? api_version : str_from(api_version, (size_t)slash + 1);

	for (unsigned k = 0; k < KIND_COUNT; k++)
		if (str_eq(kind, kind_info[k].name) && str_eq(group, kind_info[k].group) &&
			version_fits(group, version))
			return (enum kind)k;
	return KIND_COUNT;
}
