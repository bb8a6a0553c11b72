// SPDX-License-Identifier: Apache-2.0
/*
 * site_world.h: 2 to 32 sites in one process, on a virtual clock, joined by wires that misbehave.
 *
 * Everything is drawn from one seed, so a run that went wrong goes wrong again. The world watches
 * all sites: what any of them takes must have been made by its site, exactly so, and not be stamped
 * too far ahead of the clock of whoever takes it.
 */
#pragma once

#include "dataplane/base/rng.h"
#include "federation/federation.h"

#define WORLD_SITES_MAX 32u
#define WORLD_CONNS_MAX 65536u
#define WORLD_START_MS 1790000000000ull
#define WORLD_MADE_MAX 16384u

struct world_wire {
	uint32_t loss_permille, twice_permille, forge_permille;
	uint32_t delay_ms, jitter_ms;
	bool in_order; /* or every message takes its own time */
};

struct world_site {
	struct world *world;
	struct federation *federation; /* NULL: down */
	char name[SITE_NAME_MAX + 1];
	int64_t skew_ms;
	uint8_t key[FEDERATION_KEY_BYTES];
	struct signing_key *signing; /* NULL: a quick stand-in for Ed25519 */
	struct carrier_sink sink;
	bool has_sink;
	uint8_t *journal; /* owned; what its disk holds */
	size_t journal_len;
	bool is_disk_full, is_speaking;
	uint64_t conflicts, events;
};

struct world_conn {
	uint8_t site[2]; /* who dialed, who was dialed */
	bool is_open[2]; /* not yet closed by, or for, that side */
	bool is_up;
	uint64_t last_ms[2]; /* arrival of the last message to that side */
};

/* A record as its site made it. */
struct world_made {
	uint8_t site, kind;
	uint64_t stamp, key, value;
};

struct world {
	struct rng rng;
	uint64_t now_ms; /* monotonic, of all */
	uint32_t count;
	struct world_site sites[WORLD_SITES_MAX];
	struct world_wire wire;
	bool is_cut[WORLD_SITES_MAX][WORLD_SITES_MAX]; /* from, to: nothing arrives */
	struct world_conn conns[WORLD_CONNS_MAX];
	uint32_t conn_count;
	struct world_event *events; /* owned; a heap by time */
	uint32_t event_count, event_room;
	uint64_t order;
	struct world_made made[WORLD_MADE_MAX];
	uint32_t made_count;
	uint64_t messages, deltas, digests, forged; /* sent by sites; forged by us on the wire */
	char wrong[256];			    /* first thing that must not be; "" */
};

struct world *world_new(uint32_t sites, uint64_t seed, bool real_signatures);
void world_free(struct world *w);

/* A site's process starts; with <empty> its disk was lost. */
void world_start(struct world *w, uint32_t site, bool empty);
void world_stop(struct world *w, uint32_t site);
/* Both directions of the link between two sites. */
void world_cut(struct world *w, uint32_t a, uint32_t b, bool cut);

void world_run(struct world *w, uint32_t ms);
/* All sites that run, but <but> (or UINT32_MAX), hold the same. */
bool world_is_equal(const struct world *w, uint32_t but);
/* Runs until they do; ms that took, or UINT64_MAX. */
uint64_t world_converge(struct world *w, uint32_t but, uint32_t ms_max);

/* What a site says, remembered by the world. 0 or the errno. */
int world_weight(struct world *w, uint32_t site, const char *cluster, const char *scope,
	const struct record_weight *weight);
int world_health(struct world *w, uint32_t site, const char *cluster, uint32_t usable);
int world_load(struct world *w, uint32_t site, uint32_t requests_per_s);

void world_wrong(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Puts bytes on a wire as if <from> had sent them on its newest connection with <to>. */
bool world_inject(struct world *w, uint32_t from, uint32_t to, const void *data, size_t len);
