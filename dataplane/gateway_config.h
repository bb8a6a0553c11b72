// SPDX-License-Identifier: Apache-2.0
/*
 * gateway_config.h: gateway.yaml, checked and with its defaults: what sluice-dataplane needs to
 * know before control can tell it anything. configs/gateway.yaml explains every key.
 */
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/err.h"
#include "dataplane/worker/worker.h"

#define GATEWAY_PEERS_MAX 4

struct gateway_memif {
	int role; /* enum port_role */
	struct str socket;
	uint32_t id;
	uint16_t ring_size;
};

struct gateway_virtio {
	struct str socket;
	uint16_t queue_size;
	bool packed, in_order, mergeable;
};

struct gateway_vhost {
	struct str socket;
	int role; /* enum port_role */
};

struct gateway_xdp {
	struct str device;
};

struct gateway_port {
	struct str name;
	int profile;	       /* enum port_profile */
	struct str iface, pci; /* {NULL, 0} when absent */
	uint16_t mtu;
	int offloads;			     /* enum port_offload_mode */
	const struct gateway_memif *memif;   /* NULL: another profile */
	const struct gateway_virtio *virtio; /* NULL: another profile */
	const struct gateway_vhost *vhost;   /* NULL: another profile */
	const struct gateway_xdp *xdp;	     /* NULL: another profile */
	uint32_t line;
};

struct gateway_config {
	struct arena arena; /* owns everything below */
	struct str name;
	const struct gateway_port *ports;
	uint32_t ports_count;
	const struct ip_net *sources; /* single addresses */
	uint32_t sources_count;

	uint32_t workers_count;
	const uint32_t *cpus;
	uint32_t cpus_count; /* 0: the scheduler places the workers */
	int poll;	     /* enum worker_poll */
	bool profile;

	const char *url; /* where control finds us */
	struct str socket_mode;
	const struct str *peers;
	uint32_t peers_count; /* users that control may run as */
	const char *state_directory;
	const char *user; /* NULL: not said */

	int hugepages;	  /* 0 auto, 1 never */
	uint32_t packets; /* per worker */

	/* of the whole dataplane, shared out among the workers */
	uint32_t connections, connections_per_source, half_open, time_wait;
	uint32_t upstream_connections, requests, exchange_bytes;

	const char *log_path; /* NULL: no access log */
	uint32_t log_sample;
	int log_level; /* enum log_level */
	uint32_t watchdog_abort_ms, drain_ms, time_wait_ms;
};

/* *ret is valid on success only and ends with gateway_config_fini(). */
int gateway_config_load(const char *path, struct gateway_config *ret, struct err *err);
void gateway_config_fini(struct gateway_config *c);

/* True: a port is of this profile. */
bool gateway_config_has(const struct gateway_config *c, enum port_profile profile);
/* What the workers need of it: totals shared out, defaults of the layers filled in. */
void gateway_config_worker(const struct gateway_config *c, struct worker_config *ret);
void gateway_config_port(const struct gateway_port *p, struct port_config *ret);
