// SPDX-License-Identifier: Apache-2.0
/*
 * config.c: control.yaml by table.
 */
#include "control/config/config_private.h"

#include <string.h>

#include "dataplane/yaml/yaml_config.h"

const char *config_check_label(struct str s)
{
	bool ok = s.len && s.p[0] != '-' && s.p[s.len - 1] != '-';

	for (size_t i = 0; i < s.len; i++)
		ok = ok &&
			((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
				s.p[i] == '-');
	return ok ? NULL : "must be lower case letters, digits and '-'";
}

static const char *check_label_or_none(struct str s)
{
	return s.len != 0 ? config_check_label(s) : NULL;
}

/* [prefix/]name of a label or of a loadBalancerClass; API servers check the rest. */
static const char *check_key(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= 'A' && s.p[i] <= 'Z') ||
			    (s.p[i] >= '0' && s.p[i] <= '9') || str_find(STR("-_./"), s.p[i]) >= 0))
			return "must be letters, digits, '-', '_', '.' and '/'";
	return NULL;
}

static const char *check_value(struct str s)
{
	return s.len == 0 || (s.len <= 63 && str_find(s, '/') < 0 && check_key(s) == NULL)
		? NULL
		: "must be at most 63 letters, digits, '-', '_' and '.'";
}

static const char *check_controller(struct str s)
{
	return str_find(s, '/') > 0 && s.p[s.len - 1] != '/'
		? NULL
		: "must be a domain and a path, like example.com/controller";
}

/* One spelling for each file below it, whoever puts the path together. */
static const char *without_slashes(struct yaml_decoder *d, const char *path)
{
	size_t len = path != NULL ? strlen(path) : 0;

	while (len > 1 && path[len - 1] == '/')
		len--;
	return path != NULL ? arena_printf(d->arena, "%.*s", (int)len, path) : NULL;
}

static const struct yaml_field net_field = {.type = YAML_TYPE_IP_NET};
static const struct yaml_schema net_schema = YAML_SCALARS(struct ip_net, &net_field);

static const char *const role_names[] = {"config", "workload", NULL};

/* A list of words as bits, in the order of CLUSTER_ROLE_...; all when it is left out. */
static unsigned roles_read(struct yaml_decoder *d, const struct yaml_node *n)
{
	const struct yaml_node *list = yaml_get(n, "roles");
	unsigned roles = 0;

	yaml_for_each(c, list)
	{
		unsigned bit = 0;

		while (role_names[bit] != NULL && !str_eq(c->text, str_of(role_names[bit])))
			bit++;
		if (role_names[bit] == NULL)
			yaml_report(d, c, "roles", "must be config or workload, but is \"%.*s\"",
				STR_FMT(str_first(c->text, 60)));
		else
			roles |= 1u << bit;
	}
	if (list != NULL && roles == 0)
		yaml_report(d, list, "roles", "must be a list of config and workload");
	return list != NULL ? roles : 3;
}

static void cluster_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct config_cluster *c = obj;
	int sources = (c->directory != NULL) + (c->kubeconfig != NULL) + c->in_cluster;

	c->line = n->line;
	c->directory = without_slashes(d, yaml_config_resolve(d, c->directory));
	c->kubeconfig = yaml_config_resolve(d, c->kubeconfig);
	c->roles = roles_read(d, n);
	if (sources != 1)
		yaml_report(d, n, NULL, "needs one of directory, kubeconfig and inCluster");
	if (c->context != NULL && c->kubeconfig == NULL)
		yaml_report(d, n, "context", "belongs to a kubeconfig");
}

static const char *const admin_words[] = {"active", "drain", "disabled", NULL};

static const struct yaml_field cluster_fields[] = {
	YAML_STR(struct config_cluster, "name", name, .required = true, .min = 1, .max = 63,
		.check = config_check_label),
	YAML_CSTR(struct config_cluster, "directory", directory, .min = 1, .max = 4000),
	YAML_CSTR(struct config_cluster, "kubeconfig", kubeconfig, .min = 1, .max = 4000),
	YAML_BOOL(struct config_cluster, "inCluster", in_cluster),
	YAML_CSTR(struct config_cluster, "context", context, .min = 1, .max = 253),
	YAML_IGNORED("roles"), /* cluster_finish() */
	YAML_U32(struct config_cluster, "weight", weight, .max = 1000000),
	YAML_PRESENT(struct config_cluster, "weight", has_weight),
	YAML_ENUM(struct config_cluster, "adminState", admin, admin_words),
	YAML_PRESENT(struct config_cluster, "adminState", has_admin),
	YAML_STR(struct config_cluster, "site", site, .min = 1, .max = 63,
		.check = config_check_label),
};
static const struct yaml_schema cluster_schema =
	YAML_SCHEMA(struct config_cluster, cluster_fields, .finish = cluster_finish);

static void pool_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	((struct config_pool *)obj)->line = n->line;
}

static const struct yaml_field pool_fields[] = {
	YAML_STR(struct config_pool, "name", name, .required = true, .min = 1, .max = 63,
		.check = config_check_label),
	YAML_LIST(struct config_pool, "cidrs", cidrs, &net_schema, .required = true, .min = 1,
		.max = 256),
};
static const struct yaml_schema pool_schema =
	YAML_SCHEMA(struct config_pool, pool_fields, .finish = pool_finish);

static void dataplane_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	((struct config_dataplane *)obj)->line = n->line;
}

static const struct yaml_field dataplane_fields[] = {
	YAML_STR(struct config_dataplane, "name", name, .required = true, .min = 1, .max = 63,
		.check = config_check_label),
	YAML_CSTR(struct config_dataplane, "url", url, .required = true, .max = 113,
		.check = yaml_config_check_url),
};
static const struct yaml_schema dataplane_schema =
	YAML_SCHEMA(struct config_dataplane, dataplane_fields, .finish = dataplane_finish);

static const struct yaml_field api_fields[] = {
	YAML_CSTR(struct control_config, "socket", api_socket, .min = 1, .max = 107,
		.def = "/run/sluice/control.sock"),
	YAML_STR(struct control_config, "mode", api_mode, .check = yaml_config_check_mode,
		.def = "0660"),
};
static const struct yaml_schema api_schema = YAML_SCHEMA(struct control_config, api_fields);

static const struct yaml_field timeout_fields[] = {
	YAML_DURATION(struct control_config, "header", header_timeout_ms, .min = 1, .max = 3600000),
	YAML_DURATION(struct control_config, "idle", idle_timeout_ms, .min = 1, .max = 86400000),
	YAML_DURATION(struct control_config, "connect", connect_timeout_ms, .min = 1,
		.max = 3600000),
	YAML_DURATION(struct control_config, "response", response_timeout_ms, .min = 1,
		.max = 86400000),
};
static const struct yaml_schema timeout_schema = YAML_SCHEMA(struct control_config, timeout_fields);

static const struct yaml_field status_fields[] = {
	YAML_STR(struct control_config, "leaseNamespace", lease_namespace, .max = 63,
		.check = config_check_label, .def = "sluice-system"),
};
static const struct yaml_schema status_schema = YAML_SCHEMA(struct control_config, status_fields);

static const struct yaml_field ramp_fields[] = {
	YAML_U32(struct control_config, "pointsPerSecond", ramp_points, .min = 1, .max = 1000,
		.def = "10"),
};
static const struct yaml_schema ramp_schema = YAML_SCHEMA(struct control_config, ramp_fields);

static const struct yaml_field services_fields[] = {
	YAML_STR(struct control_config, "namespace", services_namespace, .max = 63,
		.check = check_label_or_none, .def = "tigera-gateway"),
	YAML_STR(struct control_config, "loadBalancerClass", services_class, .min = 1, .max = 253,
		.check = check_key, .def = "gateway.sluice.internal/vip"),
	YAML_CSTR(struct control_config, "nameLabel", services_name_label, .min = 1, .max = 253,
		.check = check_key, .def = "gateway.envoyproxy.io/owning-gateway-name"),
	YAML_CSTR(struct control_config, "namespaceLabel", services_namespace_label, .min = 1,
		.max = 253, .check = check_key,
		.def = "gateway.envoyproxy.io/owning-gateway-namespace"),
	YAML_MAP(struct control_config, "labels", services_labels, .check = check_value),
};
static const struct yaml_schema services_schema =
	YAML_SCHEMA(struct control_config, services_fields);

/* Lists are short: comparing each with those before it is the whole search. */
#define UNIQUE(d, n, list, key, items, count, member) \
	for (uint32_t i_ = 0; i_ < (count); i_++) \
		for (uint32_t k_ = 0; k_ < i_; k_++) \
			if (str_eq((items)[i_].member, (items)[k_].member)) \
	yaml_report(d, n, list, "the " key " %.*s stands twice", STR_FMT((items)[i_].member))

static void config_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct control_config *c = obj;

	UNIQUE(d, yaml_get(n, "clusters"), "clusters", "name", c->clusters, c->clusters_count,
		name);
	UNIQUE(d, yaml_get(n, "pools"), "pools", "name", c->pools, c->pools_count, name);
	UNIQUE(d, yaml_get(n, "dataplanes"), "dataplanes", "name", c->dataplanes,
		c->dataplanes_count, name);
	for (uint32_t i = 0; i < c->clusters_count; i++)
		if (c->clusters[i].site.len != 0 && c->site == NULL)
			yaml_report(d, yaml_get(n, "clusters"), "clusters",
				"%.*s: site: says nothing without the name of our own (site.name)",
				STR_FMT(c->clusters[i].name));
	c->api_socket = yaml_config_resolve(d, c->api_socket);
	c->state_directory = yaml_config_resolve(d, c->state_directory);
}

static const struct yaml_field config_fields[] = {
	YAML_STR(struct control_config, "controllerName", controller_name, .max = 253,
		.check = check_controller, .def = "gateway.sluice.internal/controller"),
	YAML_LIST(struct control_config, "clusters", clusters, &cluster_schema, .required = true,
		.min = 1, .max = 64),
	YAML_LIST(struct control_config, "pools", pools, &pool_schema, .max = 64),
	YAML_LIST(struct control_config, "dataplanes", dataplanes, &dataplane_schema, .max = 16),
	{.key = "ramp", .type = YAML_TYPE_OBJECT, .schema = &ramp_schema},
	YAML_POINTER(struct control_config, "site", site, &config_site_schema),
	{.key = "status", .type = YAML_TYPE_OBJECT, .schema = &status_schema},
	{.key = "services", .type = YAML_TYPE_OBJECT, .schema = &services_schema},
	YAML_CSTR(struct control_config, "user", user, .min = 1, .max = 127),
	{.key = "api", .type = YAML_TYPE_OBJECT, .schema = &api_schema},
	YAML_CSTR(struct control_config, "stateDirectory", state_directory, .min = 1, .max = 4000,
		.def = "/var/lib/sluice/control"),
	YAML_LIST(struct control_config, "trustedNetworks", trusted, &net_schema, .max = 256),
	{.key = "timeouts", .type = YAML_TYPE_OBJECT, .schema = &timeout_schema},
	YAML_SIZE(struct control_config, "exchangeBytesMax", exchange_bytes_max, .min = 16384,
		.max = 1 << 30),
	YAML_ENUM(struct control_config, "logLevel", log_level, yaml_config_log_levels,
		.def = "info"),
};
static const struct yaml_schema config_schema =
	YAML_SCHEMA(struct control_config, config_fields, .finish = config_finish);

int control_config_load(const char *path, struct control_config *ret, struct err *err)
{
	struct control_config c;
	struct arena arena;
	int rc = yaml_config_load(path, &config_schema, &c, &arena, err);

	if (rc < 0)
		return rc;
	c.arena = arena;
	*ret = c;
	return 0;
}

void control_config_fini(struct control_config *c)
{
	arena_fini(&c->arena);
}
