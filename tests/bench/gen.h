// SPDX-License-Identifier: Apache-2.0
/*
 * gen.h: the load generator's world.
 *
 * One process, one lcore, one port, and behind it everything that a gateway has around it: clients,
 * a router and backends, all with one MAC address. The gateway's two TCP connections of a request
 * both end here. The TCP is the generator's own (gen_tcp*.c): it shares no line with the gateway's
 * stack, so that a mistake cannot hide in both. Without a gateway (--direct) clients and backends
 * talk to each other over whatever reflects frames: testpmd, or a ring.
 *
 * Files: gen_args (words), gen_link (port), gen_neigh (ARP, ND), gen_conn (table of connections),
 * gen_tcp_in/out/timer, gen_reasm, gen_client, gen_backend, gen_http, gen_check, gen_body, gen_sum,
 * gen_latency, gen_run (phases), gen_report (JSON), gen_main.
 */
#pragma once

#include <signal.h>

#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_mbuf.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/list.h"
#include "dataplane/base/rng.h"
#include "dataplane/base/timer_wheel.h"
#include "tests/bench/gen_conn.h"
#include "tests/bench/gen_http.h"
#include "tests/bench/gen_latency.h"
#include "tests/bench/gen_link.h"

enum gen_count {
#define GEN_COUNT(name, json, kind, help) GEN_##name,
#include "tests/bench/gen.def"
#undef GEN_COUNT
	GEN_COUNTS
};

enum gen_case { CASE_KEEPALIVE = 0, CASE_CLOSE, CASE_IDLE };

#define MIXED_CLASSES 3

struct gen_config {
	const char *vdev, *file_prefix, *host;
	unsigned cpu;
	bool no_huge, direct, mixed, upstream_close, tso, json, verbose, has_gateway_mac;
	enum gen_case scenario;
	struct ip_addr vip, router;
	struct ip_net clients, backend_net;
	uint32_t clients_count, backends; /* addresses used */
	uint16_t vip_port, backend_port, mtu;
	uint32_t bytes, connections, routes, window, queues;
	double rate, warmup_s, duration_s, answer_s; /* answer_s: patience with one answer */
	double port_s;				     /* patience with the other side of the port */
	struct rte_ether_addr gateway_mac;
};

enum gen_phase {
	PHASE_PORT = 0,
	PHASE_NEIGH,
	PHASE_RAMP,
	PHASE_WARMUP,
	PHASE_MEASURE,
	PHASE_DRAIN,
	PHASE_END
};

/* How a run ended; the process's exit code. */
enum gen_end {
	END_GOOD = 0,
	END_START = 1,	      /* arguments, memory, port */
	END_DOWN = 2,	      /* nobody there, or nothing moves any more */
	END_WRONG = 3,	      /* errors were counted */
	END_SLOW = 4,	      /* open loop: the offered rate was not kept */
	END_INTERRUPTED = 130 /* SIGINT or SIGTERM */
};

/* What is measured in a window of time: taken at both ends and subtracted. */
struct gen_sample {
	uint64_t tsc, cpu_us, busy_tsc, requests, body_bytes, rx_packets, tx_packets;
	uint64_t count[GEN_COUNTS];
};

struct client {
	uint32_t want_keep, want_closing; /* connections: kept alive, and of one request each */
	uint32_t live, live_closing;	  /* connections from open to closed; of one request */
	uint32_t connecting;		  /* of the live ones in the handshake */
	uint32_t outstanding;		  /* requests without a complete answer */
	bool ramped;			  /* all connections were there once */
	struct list idle;		  /* open loop: connections without a request */
	uint64_t answer_us;
	uint32_t next_id, next_route, route_step, next_backend;
	/* client addresses and ports */
	uint64_t tuple;	       /* the next one */
	uint64_t block_us[63]; /* when a block of 1024 ports was entered last */
	bool early;	       /* the current block was left less than 60 s ago */
	/* open loop */
	bool late;		/* the next request has found no connection */
	uint64_t intended_tsc;	/* time of the next request */
	uint64_t intended_frac; /* and 1/65536 ticks of it */
	uint64_t interval_frac; /* between two, 1/65536 ticks; 0: closed loop */
	uint64_t scheduled;
	uint64_t offered;	     /* intended within the window that is measured */
	uint64_t first_tsc, end_tsc; /* that window */
	uint64_t backoff_until;	     /* us: no new connections after an error */
	uint64_t progress_us;	     /* last answer or handshake */
};

struct gen {
	/* time of this turn */
	uint64_t now_tsc, now_us;
	uint32_t now_ms; /* timestamp clock, RFC 7323 */
	/* what segments need */
	struct conn_table conns;
	struct timer_wheel wheel;
	struct gen_link link;
	bool v6;
	uint8_t l3_len, key_len;
	uint8_t l3[14 + 40]; /* Ethernet and IP header without addresses, length and checksum */
	uint16_t l3_sum;     /* IPv4: of its fixed words */
	uint16_t mss;	     /* what we announce */
	uint8_t window_scale;
	uint16_t window; /* as advertised, scaled */
	struct http http;
	struct client client;
	uint64_t requests, body_bytes, busy_tsc;
	struct latency latency; /* ticks */
	uint64_t count[GEN_COUNTS];
	/* cold */
	struct gen_config cfg;
	enum gen_phase phase;
	enum gen_end end;
	struct err why; /* when end is not END_GOOD */
	bool neigh_known;
	struct rte_ether_addr gateway_mac;
	uint64_t neigh_asked_us;
	uint64_t tsc_hz, tsc_start, tsc_phase_end;
	uint64_t last_tick_us, link_checked_us, said_us;
	uint32_t ms_start;    /* of now_ms */
	uint32_t open_at_end; /* client connections before they were aborted */
	struct rng rng;
	uint64_t hash_secret;
	struct gen_sample from, to;
	struct body body;
	struct head_buffer *head_buffers;
	volatile sig_atomic_t *stop;
};

static inline void gen_count(struct gen *g, enum gen_count c)
{
	g->count[c]++;
}

static inline uint64_t gen_us(const struct gen *g, uint64_t tsc)
{
	return (uint64_t)((unsigned __int128)(tsc - g->tsc_start) * 1000000 / g->tsc_hz);
}

/* gen_args.c: 0, 1 (--help was printed) or a negative errno. */
int args_parse(struct gen_config *cfg, int argc, char **argv, struct err *err);

/* gen_neigh.c: ARP and Neighbour Discovery. */
void neigh_input(struct gen *g, const uint8_t *frame, uint32_t len);
/* Asks for the VIP's MAC address while it is unknown. */
void neigh_run(struct gen *g);
void neigh_learn(struct gen *g, const uint8_t mac[6]);

/* gen_client.c */
void client_init(struct gen *g);
/* Opens connections and sends requests that are due; how many things it did. */
unsigned client_run(struct gen *g);
void client_established(struct gen *g, struct conn *c);
void client_data(struct gen *g, struct conn *c, const uint8_t *p, uint32_t len);
void client_fin(struct gen *g, struct conn *c);
void client_timer(struct gen *g, struct conn *c);
/* The connection is gone; <why> is what to count if somebody waited for it. */
void client_lost(struct gen *g, struct conn *c, enum gen_count why);

/* gen_backend.c */
void backend_data(struct gen *g, struct conn *c, const uint8_t *p, uint32_t len);
void backend_fin(struct gen *g, struct conn *c);

/* gen_run.c: everything from the port's link to the last RST. */
void gen_run(struct gen *g);

/* gen_report.c: one JSON object on stdout. */
void report_print(const struct gen *g);
