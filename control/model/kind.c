// SPDX-License-Identifier: Apache-2.0
/*
 * kind.c: the table of kinds, and which versions of their groups are read.
 */
#include "control/model/object.h"
#include "control/model/schema.h"

/* The core group has no name and no slash. */
#define API_VERSION(group, version) (sizeof(group) == 1 ? version : group "/" version)

const struct kind_info kind_info[KIND_COUNT] = {
#define KIND(e, kind, group_, plural_, version, other, namespaced_, keeps_status_, schema_) \
	[KIND_##e] = {.name = {kind, sizeof(kind) - 1}, \
		.group = {group_, sizeof(group_) - 1}, \
		.plural = plural_, \
		.versions = (const char *const[]){version, other, NULL}, \
		.api_version = API_VERSION(group_, version), \
		.namespaced = namespaced_, \
		.keeps_status = keeps_status_, \
		.schema = schema_},
#include "control/model/kind.def"
#undef KIND
};

static bool version_fits(const struct kind_info *info, struct str version)
{
	for (const char *const *v = info->versions; *v != NULL; v++)
		if (str_eq(version, str_of(*v)))
			return true;
	return false;
}

enum kind kind_of(struct str api_version, struct str kind)
{
	ptrdiff_t slash = str_find(api_version, '/');
	struct str group = str_first(api_version, slash < 0 ? 0 : (size_t)slash);
	struct str version = slash < 0 ? api_version : str_from(api_version, (size_t)slash + 1);

	for (unsigned k = 0; k < KIND_COUNT; k++)
		if (str_eq(kind, kind_info[k].name) && str_eq(group, kind_info[k].group) &&
			version_fits(&kind_info[k], version))
			return (enum kind)k;
	return KIND_COUNT;
}
