// SPDX-License-Identifier: Apache-2.0
/*
 * config.h: control.yaml, checked and with its defaults.
 *
 *	controllerName: gateway.sluice.internal/controller
 *	clusters:		# at least one; the name is the cluster's id everywhere
 *	- {name: us-east, directory: clusters/us-east}
 *	- name: us-west		# an API server
 *	  kubeconfig: /etc/sluice/us-west.kubeconfig	# or inCluster: true
 *	  context: admin	# else the file's current-context
 *	  roles: [workload]	# of config and workload; both when left out
 *	  weight: 50		# against other clusters; left out: 100, or what REST said
 *	  adminState: active	# or drain, disabled; left out: active, or what REST said
 *	  site: west		# where it is; left out: at our own site
 *	pools:			# where VIPs come from, beside IPPools; if there are any, all must lie in one
 *	- {name: default, cidrs: [203.0.113.0/28, "2001:db8:113::/124"]}
 *	dataplanes:
 *	- {name: dp0, url: ipc:///run/sluice/dp0.ipc}
 *	site:			# this site among others
 *	  name: east
 *	  listen: tls+tcp://0.0.0.0:7443
 *	  certificate: east.crt	# of the federation's CA; key: east.key, ca: ca.crt
 *	  signingKey: east.sign.key
 *	  peers:
 *	  - {name: west, url: "tls+tcp://west.example.com:7443", signingKey: west.sign.pub, distance: far}
 *	api: {socket: /run/sluice/control.sock, mode: "0660"}
 *	status: {leaseNamespace: sluice-system}	# where the Lease is that chooses the writer
 *	services:		# the LoadBalancer Service that shows a Gateway's VIPs
 *	  namespace: tigera-gateway	# "": beside its Gateway
 *	  loadBalancerClass: gateway.sluice.internal/vip
 *	  nameLabel: gateway.envoyproxy.io/owning-gateway-name
 *	  namespaceLabel: gateway.envoyproxy.io/owning-gateway-namespace
 *	  labels: {team: edge}	# more of them
 *	user: sluice		# or sluice:adm; who we are once root is given up
 *	stateDirectory: /var/lib/sluice/control
 *	trustedNetworks: [10.0.0.0/8]
 *	timeouts: {header: 10s, idle: 60s, connect: 5s, response: 60s}
 *	exchangeBytesMax: 256Ki
 *	ramp: {pointsPerSecond: 10}	# how fast a cluster drains and comes back, of 100
 *	logLevel: info
 *
 * Relative paths start at the file's own folder. An unknown key is an error with its line.
 */
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/err.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"
#include "dataplane/yaml/yaml_decode.h"

struct config_cluster {
	struct str name; /* RFC 1123 label, unique */
	/* One of the three; paths are absolute, or relative to the working directory. */
	const char *directory; /* no '/' at the end */
	const char *kubeconfig;
	bool in_cluster;
	const char *context; /* NULL: the current one */
	unsigned roles;	     /* CLUSTER_ROLE_... */
	bool has_weight, has_admin;
	uint32_t weight;
	int admin;	 /* enum cluster_admin */
	struct str site; /* where it is; empty: at our own */
	uint32_t line;
};

#define CONFIG_PEERS_MAX 31u

enum config_distance { SITE_NEAR = 0, SITE_FAR };

struct config_peer {
	struct str name;
	const char *url;	      /* nng: tls+tcp://... */
	const char *certificate_name; /* what its certificate calls it; NULL: <name> */
	const char *signing_key;      /* path: PEM, public */
	int distance;		      /* enum config_distance */
	uint32_t line;
};

struct config_site {
	struct str name;
	const char *listen; /* nng: tls+tcp://...; NULL: nobody can reach us */
	/* Paths to PEM; there when there is anybody to speak to. */
	const char *certificate, *key, *ca, *signing_key;
	const struct config_peer *peers;
	uint32_t peers_count;
};

struct config_pool {
	struct str name;
	const struct ip_net *cidrs;
	uint32_t cidrs_count;
	uint32_t line;
};

struct config_dataplane {
	struct str name;
	const char *url; /* nng: ipc://... */
	uint32_t line;
};

struct control_config {
	struct arena arena; /* owns everything below */
	struct str controller_name;
	const struct config_cluster *clusters;
	const struct config_pool *pools;
	const struct config_dataplane *dataplanes;
	const struct config_site *site; /* NULL: there are no others */
	uint32_t clusters_count, pools_count, dataplanes_count;
	const char *api_socket, *state_directory;
	struct str api_mode; /* of the socket: three octal digits, perhaps after a 0 */
	const char *user;    /* NULL: not said */
	const struct ip_net *trusted;
	uint32_t trusted_count;
	uint32_t header_timeout_ms, idle_timeout_ms, connect_timeout_ms, response_timeout_ms;
	uint32_t exchange_bytes_max;
	uint32_t ramp_points; /* hundredths of a cluster's share per second */
	struct str lease_namespace;
	struct str services_namespace; /* empty: the Gateway's own */
	struct str services_class;
	const char *services_name_label, *services_namespace_label; /* keys */
	struct kv_list services_labels;
	int log_level; /* enum log_level */
};

/* *ret is valid on success only and ends with control_config_fini(). */
int control_config_load(const char *path, struct control_config *ret, struct err *err);
void control_config_fini(struct control_config *c);
