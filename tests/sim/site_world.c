// SPDX-License-Identifier: Apache-2.0
/*
 * site_world.c: the clock, the wires and the witness of site_world.h.
 */
#include "tests/sim/site_world.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/hash.h"
#include "federation/edits.h"
#include "federation/proto.h"
#include "federation/signing.h"

enum { EVENT_UP, EVENT_MESSAGE, EVENT_DOWN };

struct world_event {
	uint64_t at_ms, order;
	uint32_t conn;
	uint8_t side, kind; /* who is told what */
	uint8_t *data;	    /* owned */
	size_t len;
};

void world_wrong(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (w->wrong[0] != '\0')
		return;
	va_start(ap, fmt);
	vsnprintf(w->wrong, sizeof(w->wrong), fmt, ap);
	va_end(ap);
}

/* The heap of what will happen. */

static bool is_before(const struct world_event *a, const struct world_event *b)
{
	return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->order < b->order;
}

static void swap(struct world *w, uint32_t i, uint32_t j)
{
	struct world_event e = w->events[i];

	w->events[i] = w->events[j];
	w->events[j] = e;
}

static void push(struct world *w, struct world_event e)
{
	uint32_t i = w->event_count++;

	if (w->event_count > w->event_room) {
		w->event_room = w->event_room ? 2 * w->event_room : 1024;
		w->events = realloc(w->events, w->event_room * sizeof(*w->events));
		bug_on(w->events == NULL);
	}
	e.order = w->order++;
	w->events[i] = e;
	for (; i > 0 && is_before(&w->events[i], &w->events[(i - 1) / 2]); i = (i - 1) / 2)
		swap(w, i, (i - 1) / 2);
}

static struct world_event pop(struct world *w)
{
	struct world_event first = w->events[0];
	uint32_t i = 0, n = --w->event_count;

	w->events[0] = w->events[n];
	for (;;) {
		uint32_t least = i;

		for (uint32_t c = 2 * i + 1; c <= 2 * i + 2 && c < n; c++)
			if (is_before(&w->events[c], &w->events[least]))
				least = c;
		if (least == i)
			return first;
		swap(w, i, least);
		i = least;
	}
}

/* The carrier: connections are places in a table + 1, numbers for the two sides differ. */

static uint64_t conn_number(uint32_t conn, uint32_t side)
{
	return 2ull * conn + side + 1;
}

static bool chance(struct world *w, uint32_t permille)
{
	return permille > 0 && rng_below(&w->rng, 1000) < permille;
}

static uint64_t arrival(struct world *w, uint32_t conn, uint32_t side)
{
	struct world_conn *c = &w->conns[conn];
	uint64_t at = w->now_ms + w->wire.delay_ms +
		(w->wire.jitter_ms ? rng_below(&w->rng, w->wire.jitter_ms) : 0);

	if (w->wire.in_order && at < c->last_ms[side])
		at = c->last_ms[side];
	if (at > c->last_ms[side])
		c->last_ms[side] = at;
	return at;
}

/* "sim:3" is site 3. */
static uint64_t carrier_open(void *ctx, const char *url, const char *name)
{
	struct world_site *s = ctx;
	struct world *w = s->world;
	uint32_t conn = w->conn_count, to = (uint32_t)strtoul(url + 4, NULL, 10);

	if (conn == WORLD_CONNS_MAX) {
		world_wrong(w, "more than %u connections", WORLD_CONNS_MAX);
		return 0;
	}
	w->conn_count++;
	w->conns[conn] = (struct world_conn){.site = {(uint8_t)(s - w->sites), (uint8_t)to},
		.is_open = {true, true}};
	for (uint8_t side = 0; side < 2; side++)
		push(w,
			(struct world_event){.at_ms = arrival(w, conn, side),
				.conn = conn,
				.side = side,
				.kind = EVENT_UP});
	return conn_number(conn, 0);
}

/* An enemy on the wire who can repair checksums but has no keys: one byte of a delta changes. */
static void forge(struct world *w, uint8_t *p, size_t len)
{
	if (len <= PROTO_HEAD_BYTES || p[4] != PROTO_DELTA)
		return;
	p[PROTO_HEAD_BYTES + rng_below(&w->rng, len - PROTO_HEAD_BYTES)] ^=
		(uint8_t)(1u << rng_below(&w->rng, 8));
	be32_put(p + 36, 0);
	be32_put(p + 36, crc32c(0, p, len));
	w->forged++;
}

static void transmit(struct world *w, uint32_t conn, uint32_t to_side, const void *data, size_t len)
{
	uint8_t *copy = malloc(len);

	bug_on(copy == NULL);
	memcpy(copy, data, len);
	if (chance(w, w->wire.forge_permille))
		forge(w, copy, len);
	push(w,
		(struct world_event){.at_ms = arrival(w, conn, to_side),
			.conn = conn,
			.side = (uint8_t)to_side,
			.kind = EVENT_MESSAGE,
			.data = copy,
			.len = len});
}

static bool carrier_send(void *ctx, uint64_t number, const void *data, size_t len)
{
	struct world_site *s = ctx;
	struct world *w = s->world;
	uint32_t conn = (uint32_t)((number - 1) / 2), side = (number - 1) % 2;

	if (!w->conns[conn].is_open[side])
		return false;
	w->messages++;
	w->deltas += ((const uint8_t *)data)[4] == PROTO_DELTA;
	w->digests += ((const uint8_t *)data)[4] == PROTO_DIGEST;
	if (chance(w, w->wire.loss_permille))
		return true;
	transmit(w, conn, !side, data, len);
	if (chance(w, w->wire.twice_permille))
		transmit(w, conn, !side, data, len);
	return true;
}

static void carrier_receive(void *ctx, const struct carrier_sink *sink)
{
	struct world_site *s = ctx;

	s->has_sink = sink != NULL;
	if (sink != NULL)
		s->sink = *sink;
}

static void carrier_peer_id(void *ctx, uint64_t number, char *buf, size_t size)
{
	snprintf(buf, size, "sim:%llu", (unsigned long long)number);
}

static void carrier_close(void *ctx, uint64_t number)
{
	struct world_site *s = ctx;
	struct world *w = s->world;
	uint32_t conn = (uint32_t)((number - 1) / 2), side = (number - 1) % 2;

	if (!w->conns[conn].is_open[side])
		return;
	w->conns[conn].is_open[side] = false;
	push(w,
		(struct world_event){.at_ms = arrival(w, conn, !side),
			.conn = conn,
			.side = !side,
			.kind = EVENT_DOWN});
}

static void carrier_stats(void *ctx, uint64_t conn, struct carrier_stats *ret)
{
	*ret = (struct carrier_stats){0};
}

static void deliver(struct world *w, const struct world_event *e)
{
	struct world_conn *c = &w->conns[e->conn];
	struct world_site *s = &w->sites[c->site[e->side]];
	uint64_t number = conn_number(e->conn, e->side);
	uint32_t from = c->site[!e->side], to = c->site[e->side];

	/* a link that is cut is silent: neither data nor ends come through */
	if (w->is_cut[from][to] || !c->is_open[e->side] || !s->has_sink)
		return;
	switch (e->kind) {
	case EVENT_UP:
		if (w->is_cut[to][from] || w->sites[from].federation == NULL)
			return;
		c->is_up = true;
		s->sink.on_up(s->sink.arg, number, e->side == 0);
		break;
	case EVENT_MESSAGE:
		s->sink.on_message(s->sink.arg, number, e->data, e->len);
		break;
	default:
		c->is_open[e->side] = false;
		s->sink.on_down(s->sink.arg, number, CARRIER_CLOSED);
	}
}

bool world_inject(struct world *w, uint32_t from, uint32_t to, const void *data, size_t len)
{
	for (uint32_t i = w->conn_count; i > 0; i--) {
		struct world_conn *c = &w->conns[i - 1];

		for (uint32_t side = 0; side < 2; side++) {
			if (c->site[side] != from || c->site[!side] != to || !c->is_open[0] ||
				!c->is_open[1] || !c->is_up)
				continue;
			transmit(w, i - 1, !side, data, len);
			return true;
		}
	}
	return false;
}

/* Disk. */

static int store_load(void *ctx, void **ret, size_t *ret_len, struct err *err)
{
	struct world_site *s = ctx;

	*ret = malloc(s->journal_len + 1);
	bug_on(*ret == NULL);
	if (s->journal_len > 0)
		memcpy(*ret, s->journal, s->journal_len);
	*ret_len = s->journal_len;
	return 0;
}

static int store_append(void *ctx, const void *data, size_t len, struct err *err)
{
	struct world_site *s = ctx;

	if (s->is_disk_full)
		return err_set(err, ENOSPC, "disk full");
	s->journal = realloc(s->journal, s->journal_len + len);
	bug_on(s->journal == NULL);
	memcpy(s->journal + s->journal_len, data, len);
	s->journal_len += len;
	return 0;
}

static int store_replace(void *ctx, const void *data, size_t len, struct err *err)
{
	struct world_site *s = ctx;

	if (s->is_disk_full)
		return err_set(err, ENOSPC, "disk full");
	s->journal_len = 0;
	return store_append(ctx, data, len, err);
}

/* Signatures: the stand-in is a keyed hash, the key known to all but used by its site alone. */

static void quick_signature(const uint8_t *key, const void *data, size_t len, uint8_t *ret)
{
	struct hash_key k = {{be64_get(key), be64_get(key + 8)}};

	memset(ret, 0x5a, RECORD_SIGNATURE_BYTES);
	be64_put(ret, siphash(&k, data, len));
}

static bool quick_sign(void *ctx, const void *data, size_t len, uint8_t ret[RECORD_SIGNATURE_BYTES])
{
	struct world_site *s = ctx;

	quick_signature(s->key, data, len, ret);
	return true;
}

static bool quick_verify(void *ctx, const uint8_t key[FEDERATION_KEY_BYTES], const void *data,
	size_t len, const uint8_t signature[RECORD_SIGNATURE_BYTES])
{
	uint8_t right[RECORD_SIGNATURE_BYTES];

	quick_signature(key, data, len, right);
	return memcmp(right, signature, sizeof(right)) == 0;
}

/* The witness. */

/* What it says, whenever it was said. */
static uint64_t value_of(const struct record *r)
{
	static const struct hash_key key = {{1, 2}};
	struct record undated = *r;
	uint8_t b[RECORD_BYTES_MAX];

	undated.stamp = 1;
	return siphash(&key, b, record_encode(&undated, b, sizeof(b)));
}

static struct world_made made_of(uint32_t site, const struct record *r)
{
	return (struct world_made){.site = (uint8_t)site,
		.kind = r->kind,
		.stamp = r->stamp,
		.key = record_key_hash(r),
		.value = value_of(r)};
}

/* Has its site said so, at that time or (0) at any? */
static bool was_made(const struct world *w, const struct world_made *m, uint64_t stamp)
{
	for (uint32_t i = 0; i < w->made_count; i++)
		if (w->made[i].site == m->site && w->made[i].key == m->key &&
			w->made[i].value == m->value && (stamp == 0 || w->made[i].stamp == stamp))
			return true;
	return false;
}

static void made_add(struct world *w, const struct world_made *m)
{
	if (w->made_count == WORLD_MADE_MAX)
		world_wrong(w, "more than %u records made", WORLD_MADE_MAX);
	else
		w->made[w->made_count++] = *m;
}

static uint32_t site_named(const struct world *w, struct str name)
{
	for (uint32_t i = 0; i < w->count; i++)
		if (str_eq(str_of(w->sites[i].name), name))
			return i;
	return UINT32_MAX;
}

static uint64_t wall_of(const struct world_site *s)
{
	return WORLD_START_MS + s->world->now_ms + (uint64_t)s->skew_ms;
}

static void witness(struct world_site *s, const struct record *r)
{
	struct world *w = s->world;
	uint32_t owner = site_named(w, r->site);
	bool is_own = owner == (uint32_t)(s - w->sites);
	struct world_made m = made_of(owner, r);

	if (owner == UINT32_MAX) {
		world_wrong(w, "%s took a record of nobody", s->name);
		return;
	}
	if ((r->stamp >> 16) > wall_of(s) + 300000)
		world_wrong(w, "%s took a stamp of %s beyond the bound", s->name,
			w->sites[owner].name);
	if (was_made(w, &m, r->stamp))
		return;
	/* it speaks now, or says again what it had said: after a restart, or having lost its memory */
	if (is_own && (s->is_speaking || was_made(w, &m, 0)))
		made_add(w, &m);
	else
		world_wrong(w, "%s took a %s record that %s never made", s->name,
			record_kind_names[r->kind], w->sites[owner].name);
}

static void on_event(void *arg, const struct federation_event *e)
{
	struct world_site *s = arg;

	s->events++;
	if (e->kind == FEDERATION_RECORD)
		witness(s, e->record);
	s->conflicts += e->kind == FEDERATION_CONFLICT;
}

static uint64_t now_ms(void *arg)
{
	return ((struct world_site *)arg)->world->now_ms;
}

static uint64_t wall_ms(void *arg)
{
	return wall_of(arg);
}

static void random_bytes(void *arg, void *buf, size_t len)
{
	struct world_site *s = arg;

	for (size_t i = 0; i < len; i++)
		((uint8_t *)buf)[i] = (uint8_t)rng_u64(&s->world->rng);
}

/* Life and death. */

static void site_init(struct world *w, uint32_t i, bool real_signatures)
{
	struct world_site *s = &w->sites[i];

	s->world = w;
	snprintf(s->name, sizeof(s->name), "site-%02u", i);
	random_bytes(s, s->key, sizeof(s->key));
	if (!real_signatures)
		return;
	s->signing = signing_key_new(s->key);
	bug_on(s->signing == NULL);
	signing_public(s->signing, s->key);
}

struct world *world_new(uint32_t sites, uint64_t seed, bool real_signatures)
{
	struct world *w = calloc(1, sizeof(*w));

	bug_on(w == NULL || sites > WORLD_SITES_MAX);
	rng_seed(&w->rng, seed);
	w->now_ms = 1000;
	w->count = sites;
	w->wire = (struct world_wire){.delay_ms = 5, .in_order = true};
	for (uint32_t i = 0; i < sites; i++)
		site_init(w, i, real_signatures);
	return w;
}

void world_free(struct world *w)
{
	for (uint32_t i = 0; i < w->count; i++) {
		world_stop(w, i);
		signing_key_free(w->sites[i].signing);
		free(w->sites[i].journal);
	}
	for (uint32_t i = 0; i < w->event_count; i++)
		free(w->events[i].data);
	free(w->events);
	free(w);
}

static uint32_t peers_of(struct world *w, uint32_t site, struct federation_peer *peers,
	char (*urls)[16])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->count; i++) {
		if (i == site)
			continue;
		snprintf(urls[n], sizeof(urls[n]), "sim:%u", i);
		peers[n] =
			(struct federation_peer){.name = str_of(w->sites[i].name), .url = urls[n]};
		memcpy(peers[n].key, w->sites[i].key, FEDERATION_KEY_BYTES);
		n++;
	}
	return n;
}

void world_start(struct world *w, uint32_t site, bool empty)
{
	struct world_site *s = &w->sites[site];
	struct federation_store store = {s, store_load, store_append, store_replace};
	struct federation_peer peers[WORLD_SITES_MAX];
	char urls[WORLD_SITES_MAX][16];
	struct federation_config cfg = {.name = str_of(s->name),
		.peers = peers,
		.peer_count = peers_of(w, site, peers, urls),
		.carrier = {s, carrier_open, carrier_send, carrier_receive, carrier_peer_id,
			carrier_close, carrier_stats},
		.signer = {s, quick_sign, quick_verify},
		.store = &store,
		.arg = s,
		.now_ms = now_ms,
		.wall_ms = wall_ms,
		.random = random_bytes,
		.on_event = on_event};
	struct err err = {""};

	if (empty)
		s->journal_len = 0;
	memcpy(cfg.key, s->key, sizeof(cfg.key));
	if (s->signing != NULL)
		cfg.signer = signing_signer(s->signing);
	if (federation_open(&cfg, &s->federation, &err) < 0)
		world_wrong(w, "%s does not open: %s", s->name, err.msg);
}

void world_stop(struct world *w, uint32_t site)
{
	federation_close(w->sites[site].federation);
	w->sites[site].federation = NULL;
}

void world_cut(struct world *w, uint32_t a, uint32_t b, bool cut)
{
	w->is_cut[a][b] = w->is_cut[b][a] = cut;
}

/* Each site has its own beat: nobody's clocks tick together. */
static void tick(struct world *w)
{
	for (uint32_t i = 0; i < w->count; i++)
		if (w->sites[i].federation != NULL && (w->now_ms + 7 * i) % FEDERATION_TICK_MS == 0)
			federation_tick(w->sites[i].federation);
}

void world_run(struct world *w, uint32_t ms)
{
	for (uint64_t end = w->now_ms + ms; w->now_ms < end; w->now_ms++) {
		while (w->event_count > 0 && w->events[0].at_ms <= w->now_ms) {
			struct world_event e = pop(w);

			deliver(w, &e);
			free(e.data);
		}
		tick(w);
	}
}

bool world_is_equal(const struct world *w, uint32_t but)
{
	const struct federation *first = NULL;

	for (uint32_t i = 0; i < w->count; i++) {
		const struct federation *f = w->sites[i].federation;

		if (f == NULL || i == but)
			continue;
		if (first != NULL && federation_digest(f) != federation_digest(first))
			return false;
		first = first != NULL ? first : f;
	}
	return true;
}

uint64_t world_converge(struct world *w, uint32_t but, uint32_t ms_max)
{
	for (uint32_t ms = 0; ms <= ms_max; ms += 10) {
		if (world_is_equal(w, but))
			return ms;
		world_run(w, 10);
	}
	return UINT64_MAX;
}

/* Speaking. */

int world_weight(struct world *w, uint32_t site, const char *cluster, const char *scope,
	const struct record_weight *weight)
{
	struct world_site *s = &w->sites[site];
	struct err err;
	int rc;

	s->is_speaking = true;
	rc = federation_set_weight(s->federation, str_of(cluster), str_of(scope), weight, &err);
	s->is_speaking = false;
	return rc;
}

int world_health(struct world *w, uint32_t site, const char *cluster, uint32_t usable)
{
	struct record_health h = {.total = 100, .ready = 100, .usable = usable};
	struct world_site *s = &w->sites[site];
	struct err err;
	int rc;

	s->is_speaking = true;
	rc = federation_put_health(s->federation, str_of(cluster), &h, &err);
	s->is_speaking = false;
	return rc;
}

int world_load(struct world *w, uint32_t site, uint32_t requests_per_s)
{
	struct record_site r = {.requests_per_s = requests_per_s};
	struct world_site *s = &w->sites[site];
	struct err err;
	int rc;

	s->is_speaking = true;
	rc = federation_put_site(s->federation, &r, &err);
	s->is_speaking = false;
	return rc;
}
