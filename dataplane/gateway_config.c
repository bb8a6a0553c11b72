// SPDX-License-Identifier: Apache-2.0
/*
 * gateway_config.c: gateway.yaml by table.
 */
#include "dataplane/gateway_config.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/gateway_port.h"
#include "dataplane/yaml/yaml_config.h"

static const char *const polls[] = {"adaptive", "busy", NULL};
static const char *const hugepages[] = {"auto", "never", NULL};

static const char *check_absolute(struct str s)
{
	return s.p[0] == '/' ? NULL : "must be an absolute path";
}

static const char *check_log_path(struct str s)
{
	return s.p[0] == '/' || str_eq(s, STR("-")) ? NULL : "must be an absolute path or \"-\"";
}

static const struct yaml_field addr_field = {.type = YAML_TYPE_IP_NET};
static const struct yaml_schema addr_schema = YAML_SCALARS(struct ip_net, &addr_field);
static const struct yaml_field cpu_field = {.type = YAML_TYPE_U32, .max = 1023};
static const struct yaml_schema cpu_schema = YAML_SCALARS(uint32_t, &cpu_field);
static const struct yaml_field peer_field = {.type = YAML_TYPE_STR, .min = 1, .max = 63};
static const struct yaml_schema peer_schema = YAML_SCALARS(struct str, &peer_field);

static const struct yaml_field workers_fields[] = {
	YAML_U32(struct gateway_config, "count", workers_count, .min = 1, .max = WORKERS_MAX,
		.def = "1"),
	YAML_LIST(struct gateway_config, "cpus", cpus, &cpu_schema, .max = WORKERS_MAX),
};
static const struct yaml_schema workers_schema = YAML_SCHEMA(struct gateway_config, workers_fields);

static const struct yaml_field control_fields[] = {
	YAML_CSTR(struct gateway_config, "url", url, .min = 1, .max = 113,
		.check = yaml_config_check_url, .def = "ipc:///run/sluice/dp0.ipc"),
	YAML_STR(struct gateway_config, "socketMode", socket_mode, .check = yaml_config_check_mode,
		.def = "0660"),
	YAML_LIST(struct gateway_config, "users", peers, &peer_schema, .max = GATEWAY_PEERS_MAX),
};
static const struct yaml_schema control_schema = YAML_SCHEMA(struct gateway_config, control_fields);

static const struct yaml_field memory_fields[] = {
	YAML_ENUM(struct gateway_config, "hugepages", hugepages, hugepages, .def = "auto"),
	YAML_U32(struct gateway_config, "packets", packets, .min = 2048, .max = 1 << 20,
		.def = "16384"),
};
static const struct yaml_schema memory_schema = YAML_SCHEMA(struct gateway_config, memory_fields);

static const struct yaml_field limits_fields[] = {
	YAML_U32(struct gateway_config, "connections", connections, .min = 16, .max = 1 << 22,
		.def = "32768"),
	YAML_U32(struct gateway_config, "connectionsPerSource", connections_per_source,
		.max = 1 << 22, .def = "4096"),
	YAML_U32(struct gateway_config, "halfOpen", half_open, .min = 16, .max = 1 << 20,
		.def = "4096"),
	YAML_U32(struct gateway_config, "timeWait", time_wait, .min = 16, .max = 1 << 22,
		.def = "65536"),
	YAML_U32(struct gateway_config, "upstreamConnections", upstream_connections, .min = 16,
		.max = 1 << 22, .def = "16384"),
	YAML_U32(struct gateway_config, "requests", requests, .min = 16, .max = 1 << 22,
		.def = "32768"),
	YAML_SIZE(struct gateway_config, "exchangeBytes", exchange_bytes, .min = 16384,
		.max = 1 << 30, .def = "1Mi"),
};
static const struct yaml_schema limits_schema = YAML_SCHEMA(struct gateway_config, limits_fields);

static const struct yaml_field access_log_fields[] = {
	YAML_CSTR(struct gateway_config, "path", log_path, .min = 1, .max = 4000,
		.check = check_log_path),
	YAML_U32(struct gateway_config, "sample", log_sample, .max = 1000000, .def = "1"),
};
static const struct yaml_schema access_log_schema =
	YAML_SCHEMA(struct gateway_config, access_log_fields);

static void sources_check(struct yaml_decoder *d, const struct yaml_node *n,
	const struct gateway_config *c)
{
	const struct yaml_node *list = yaml_get(n, "sources");
	char text[IP_ADDR_STRLEN];

	for (uint32_t i = 0; i < c->sources_count; i++) {
		ip_format(&c->sources[i].addr, text);
		if (c->sources[i].len != 128)
			yaml_report(d, list, "sources", "%s/%u is a network, not an address", text,
				c->sources[i].len - (ip_is_v4(&c->sources[i].addr) ? 96 : 0));
		for (uint32_t k = 0; k < i; k++)
			if (ip_eq(&c->sources[i].addr, &c->sources[k].addr))
				yaml_report(d, list, "sources", "%s stands twice", text);
	}
}

bool gateway_config_has(const struct gateway_config *c, enum port_profile profile)
{
	for (uint32_t i = 0; i < c->ports_count; i++)
		if (c->ports[i].profile == (int)profile)
			return true;
	return false;
}

static void config_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct gateway_config *c = obj;

	for (uint32_t i = 0; i < c->ports_count; i++)
		for (uint32_t k = 0; k < i; k++)
			if (str_eq(c->ports[i].name, c->ports[k].name))
				yaml_report(d, yaml_get(n, "ports"), "ports",
					"the name %.*s stands twice", STR_FMT(c->ports[i].name));
	if (gateway_config_has(c, PORT_AF_XDP) && gateway_config_has(c, PORT_PCI))
		yaml_report(d, yaml_get(n, "ports"), "ports",
			"profiles af_xdp and pci want packet buffers of different kinds");
	sources_check(d, n, c);
	if (c->connections < c->workers_count * 16 || c->half_open < c->workers_count * 16)
		yaml_report(d, n, "limits", "leaves a worker fewer than 16 connections");
}

static const struct yaml_field config_fields[] = {
	YAML_STR(struct gateway_config, "name", name, .min = 1, .max = 32,
		.check = gateway_check_label, .def = "dp0"),
	YAML_LIST(struct gateway_config, "ports", ports, &gateway_port_schema, .required = true,
		.min = 1, .max = PORTS_MAX),
	YAML_LIST(struct gateway_config, "sources", sources, &addr_schema, .required = true,
		.min = 1, .max = WORKER_SOURCES_MAX),
	{.key = "workers", .type = YAML_TYPE_OBJECT, .schema = &workers_schema},
	YAML_ENUM(struct gateway_config, "poll", poll, polls, .def = "adaptive"),
	YAML_BOOL(struct gateway_config, "profileStages", profile, .def = "false"),
	{.key = "control", .type = YAML_TYPE_OBJECT, .schema = &control_schema},
	YAML_CSTR(struct gateway_config, "stateDirectory", state_directory, .min = 1, .max = 4000,
		.check = check_absolute, .def = "/var/lib/sluice"),
	YAML_CSTR(struct gateway_config, "user", user, .min = 1, .max = 127),
	{.key = "memory", .type = YAML_TYPE_OBJECT, .schema = &memory_schema},
	{.key = "limits", .type = YAML_TYPE_OBJECT, .schema = &limits_schema},
	{.key = "accessLog", .type = YAML_TYPE_OBJECT, .schema = &access_log_schema},
	YAML_ENUM(struct gateway_config, "logLevel", log_level, yaml_config_log_levels,
		.def = "info"),
	YAML_DURATION(struct gateway_config, "watchdogAbort", watchdog_abort_ms, .max = 3600000,
		.def = "20s"),
	YAML_DURATION(struct gateway_config, "drainTimeout", drain_ms, .max = 3600000,
		.def = "30s"),
	YAML_DURATION(struct gateway_config, "timeWaitTime", time_wait_ms, .min = 1000,
		.max = 240000, .def = "10s"),
};
static const struct yaml_schema config_schema =
	YAML_SCHEMA(struct gateway_config, config_fields, .finish = config_finish);

int gateway_config_load(const char *path, struct gateway_config *ret, struct err *err)
{
	struct gateway_config c;
	struct arena arena;
	int rc = yaml_config_load(path, &config_schema, &c, &arena, err);

	if (rc < 0)
		return rc;
	c.arena = arena;
	*ret = c;
	return 0;
}

void gateway_config_fini(struct gateway_config *c)
{
	arena_fini(&c->arena);
}

static uint32_t share(uint32_t total, uint32_t workers)
{
	return (total + workers - 1) / workers;
}

void gateway_config_worker(const struct gateway_config *c, struct worker_config *ret)
{
	uint32_t n = c->workers_count;

	*ret = (struct worker_config){.poll = (enum worker_poll)c->poll,
		.profile = c->profile,
		.mbufs = c->packets,
		.access_records = c->log_path != NULL ? 4096 : 0,
		.source_count = c->sources_count};
	for (uint32_t i = 0; i < c->sources_count; i++)
		ret->sources[i] = c->sources[i].addr;
	tcp_config_default(&ret->tcp);
	ret->tcp.conns_max = share(c->connections, n) + share(c->upstream_connections, n);
	ret->tcp.timewait_max = share(c->time_wait, n);
	ret->tcp.timewait_us = c->time_wait_ms * 1000;
	ret->tcp.syn_backlog = share(c->half_open, n);
	ret->tcp.conns_per_source_max = share(c->connections_per_source, n);
	http_config_default(&ret->http);
	ret->http.down_max = share(c->connections, n);
	ret->http.up_max = share(c->upstream_connections, n);
	ret->http.exchanges_max = share(c->requests, n);
	ret->http.exchange_bytes_max = c->exchange_bytes;
	ret->http.log_sample = c->log_sample;
}
