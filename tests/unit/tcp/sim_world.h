// SPDX-License-Identifier: Apache-2.0
/*
 * sim_world.h: two TCP stacks, a wire between them and a clock that only the test moves.
 *
 * The wire has bandwidth, a queue, delay, and seeded impairments; every packet that leaves a stack
 * by ip_output() crosses it as a copy. Applications are streams: each side of a connection sends so
 * many bytes of a pattern that its peer checks byte by byte.
 */
#pragma once

#include "dataplane/net/ip.h"
#include "dataplane/tcp/tcp.h"

struct wire { /* one direction; all zero: perfect, no delay */
	uint32_t delay_us;
	uint32_t mbit;	/* 0: infinite */
	uint32_t queue; /* packets; 0: no limit */
	double loss, dup, corrupt, reorder;
	uint32_t reorder_max; /* held until 1..max later packets have passed */
	uint16_t drop_above;  /* IP bytes: longer packets vanish (black hole); 0: off */
};

struct wire_stats {
	uint64_t packets, data_packets; /* offered */
	uint64_t data_lost;		/* never arrived in good order: loss, queue, corruption */
	uint64_t queue_drops, reordered, duplicated;
};

struct world_config {
	uint64_t seed;
	struct wire wire[2]; /* [0]: from side 0 to side 1 */
	struct tcp_config tcp[2];
	uint16_t mtu;
	bool v6;
	unsigned mbufs; /* per side */
};

struct world;

/* What one side of a connection does. */
struct stream_plan {
	uint64_t send_bytes;
	uint32_t write_max;	/* slices of 1..write_max bytes; 0: as an mbuf holds */
	uint32_t unacked_max;	/* keeps so many bytes in the send queue */
	uint32_t read_rate;	/* bytes per second; 0: at once */
	uint64_t read_stall_us; /* does not read before this age */
	bool close_when_sent;	/* tcp_close() instead of tcp_shutdown(), when the peer has ended */
};

struct stream_result {
	bool connected, eof, ended, bad_byte;
	enum tcp_reason reason;
	uint64_t received;
	uint64_t done_us;     /* everything received and EOF */
	uint32_t charged_max; /* high water against the budget */
	uint32_t retransmits, spurious;
};

struct world *world_new(const struct world_config *cfg);
void world_free(struct world *w);
struct tcp *world_tcp(struct world *w, unsigned side);
uint64_t world_now(const struct world *w);
const struct wire_stats *world_wire_stats(const struct world *w, unsigned dir);
struct ip_addr world_addr(const struct world *w, unsigned side);
/* Opens a connection from side 0 to side 1; returns its number, or -1 with the reason. */
int world_open(struct world *w, const struct stream_plan plan[2], enum tcp_reason *ret_why);
const struct stream_result *world_result(const struct world *w, int conn, unsigned side);
/* Runs until every opened connection has ended on both sides, or <max_us> more have passed. */
bool world_run(struct world *w, uint64_t max_us);
/* Runs for <us>, whatever happens. */
void world_run_for(struct world *w, uint64_t us);
/* True when nothing is left anywhere: stacks at rest, all mbufs in their pools. */
bool world_is_clean(const struct world *w);
uint64_t world_counter(const struct world *w, unsigned side, const char *name);
void world_set_wire(struct world *w, unsigned dir, const struct wire *wire);
/* Prints the streams that have not ended, for a failing seed. */
void world_dump(struct world *w);
