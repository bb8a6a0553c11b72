// SPDX-License-Identifier: Apache-2.0
/*
 * federation.c: one site: it opens, hears the carrier, ticks, and closes.
 *
 * Of two sites the one whose name sorts first dials, so there is one connection for each pair and
 * nobody has to choose between two. A connection that somebody else made is a peer of its own
 * until it has proved which site it is; then it takes the place of whatever that site had before.
 */
#include "federation/federation.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "federation/state.h"

#define TOLD_MS 1000u
#define SWEEP_MS 1000u
#define RECORDS_PER_S 1000u
#define MESSAGES_PER_S 200u

const char *const refusal_metrics[REFUSAL_COUNT] = {
	"none",
#define REFUSAL(name, metric, ends, help) metric,
#include "federation/refusal.def"
#undef REFUSAL
};

const char *const refusal_helps[REFUSAL_COUNT] = {
	"Nothing was refused.",
#define REFUSAL(name, metric, ends, help) help,
#include "federation/refusal.def"
#undef REFUSAL
};

static uint64_t now_ms(const struct federation *f)
{
	return f->cfg.now_ms(f->cfg.arg);
}

uint64_t federation_wall_ms(const struct federation *f)
{
	return f->cfg.wall_ms(f->cfg.arg);
}

struct remote *federation_remote(struct federation *f, struct str name)
{
	for (uint32_t i = 0; i < f->remote_count; i++)
		if (str_eq(f->remotes[i].name, name))
			return &f->remotes[i];
	return NULL;
}

bool federation_dials(const struct federation *f, const struct remote *r)
{
	return str_cmp(f->name, r->name) < 0;
}

void federation_tell(struct federation *f, const struct federation_event *e)
{
	if (f->cfg.on_event != NULL)
		f->cfg.on_event(f->cfg.arg, e);
}

void federation_refused(struct federation *f, struct peer *p, enum refusal why)
{
	char address[CARRIER_PEER_ID_MAX] = "";
	struct federation_event e = {.kind = FEDERATION_REFUSED,
		.refusal = why,
		.address = address};
	uint64_t now = now_ms(f);

	f->refusals[why].count++;
	if (p != NULL && p->remote != NULL) {
		p->remote->last_refusal = why;
		e.peer = p->remote->name;
	}
	if (f->refusals[why].told_ms != 0 && now - f->refusals[why].told_ms < TOLD_MS) {
		f->refusals[why].held_back++;
		return;
	}
	if (p != NULL && p->conn != 0)
		f->cfg.carrier.peer_id(f->cfg.carrier.ctx, p->conn, address, sizeof(address));
	e.held_back = f->refusals[why].held_back;
	f->refusals[why].told_ms = now;
	f->refusals[why].held_back = 0;
	federation_tell(f, &e);
}

bool federation_send(struct peer *p, struct proto_message *m)
{
	struct federation *f = p->federation;
	size_t len;

	if (p->conn == 0)
		return false;
	m->epoch = f->epoch;
	m->seq = p->seq + 1;
	m->stamp = f->clock.last;
	len = proto_encode(m, f->out);
	bug_on(len == 0);
	if (!f->cfg.carrier.send(f->cfg.carrier.ctx, p->conn, f->out, len))
		return false;
	p->seq++;
	if (peer_is_proved(p))
		p->remote->messages_sent++;
	return true;
}

/* What a peer looks like from outside: its proved connection, else our attempt at one. */
static enum peer_state remote_state(const struct remote *r)
{
	return r->proved != NULL ? r->proved->state : r->dialer.state;
}

/* After everything: states that changed are told. */
static void after(struct federation *f)
{
	for (uint32_t i = 0; i < f->remote_count; i++) {
		struct remote *r = &f->remotes[i];
		struct federation_event e = {.kind = FEDERATION_PEER,
			.peer = r->name,
			.state = remote_state(r)};

		if (e.state == r->told)
			continue;
		r->told = e.state;
		federation_tell(f, &e);
	}
}

static struct peer *peer_of(struct federation *f, uint64_t conn)
{
	if (conn == 0)
		return NULL;
	for (uint32_t i = 0; i < f->remote_count; i++)
		if (f->remotes[i].dialer.conn == conn)
			return &f->remotes[i].dialer;
	for (uint32_t i = 0; i < INCOMING_MAX; i++)
		if (f->incoming[i].conn == conn)
			return &f->incoming[i];
	return NULL;
}

static struct peer *incoming_new(struct federation *f, uint64_t conn)
{
	for (uint32_t i = 0; i < INCOMING_MAX; i++) {
		struct peer *p = &f->incoming[i];

		if (p->conn != 0)
			continue;
		*p = (struct peer){.federation = f, .actions = &federation_actions, .conn = conn};
		return p;
	}
	return NULL;
}

static void on_up(void *arg, uint64_t conn, bool dialed)
{
	struct federation *f = arg;
	struct peer *p = dialed ? peer_of(f, conn) : incoming_new(f, conn);

	if (p == NULL) {
		if (!dialed)
			federation_refused(f, NULL, REFUSAL_LINKS);
		f->cfg.carrier.close(f->cfg.carrier.ctx, conn);
		return;
	}
	peer_step(p, PEER_EVENT_UP, NULL, now_ms(f));
	after(f);
}

static void on_down(void *arg, uint64_t conn, enum carrier_end why)
{
	struct federation *f = arg;
	struct peer *p = peer_of(f, conn);

	if (why == CARRIER_CERTIFICATE)
		federation_refused(f, p, REFUSAL_CERTIFICATE);
	else if (why == CARRIER_TOO_LONG)
		federation_refused(f, p, REFUSAL_LENGTH);
	else if (why == CARRIER_CROWDED)
		federation_refused(f, NULL, REFUSAL_LINKS);
	if (p != NULL)
		peer_step(p, PEER_EVENT_DOWN, NULL, now_ms(f));
	after(f);
}

/* Bytes to a message that this peer may send now. */
static enum refusal input(struct federation *f, struct peer *p, const void *data, size_t len,
	struct proto_message *ret)
{
	enum refusal why;

	if (!peer_is_proved(p) && len > PROTO_GREETING_MAX)
		return REFUSAL_LENGTH;
	why = proto_decode(data, len, ret);
	if (why != REFUSAL_NONE || !peer_is_proved(p))
		return why;
	if (!hlc_observe(&f->clock, ret->stamp, federation_wall_ms(f)))
		federation_refused(f, p, REFUSAL_STAMP_AHEAD);
	return REFUSAL_NONE;
}

/* False: dropped. A peer that goes on and on is hung up on. */
static bool is_in_budget(struct federation *f, struct peer *p)
{
	struct remote *r = p->remote;

	if (!peer_is_proved(p))
		return true; /* a greeting is three messages, what is more is UNEXPECTED */
	r->messages_received++;
	if (budget_take(&r->messages, 1, now_ms(f)))
		return true;
	federation_refused(f, p, REFUSAL_FLOOD);
	if (!budget_take(&r->drops, 1, now_ms(f)))
		peer_refuse(p, REFUSAL_FLOOD_LONG, now_ms(f));
	return false;
}

static void on_message(void *arg, uint64_t conn, const void *data, size_t len)
{
	struct federation *f = arg;
	struct peer *p = peer_of(f, conn);
	struct proto_message m;
	enum refusal why;

	if (p == NULL)
		return;
	if (is_in_budget(f, p)) {
		p->heard_ms = now_ms(f);
		if (p->remote != NULL && peer_is_proved(p))
			p->remote->heard_ms = p->heard_ms;
		why = input(f, p, data, len, &m);
		if (why != REFUSAL_NONE)
			peer_refuse(p, why, now_ms(f));
		else
			peer_step(p, peer_event_of(&m), &m, now_ms(f));
	}
	after(f);
}

/* It may well be heard: a connection has two directions. */
static bool is_unread(const struct peer *p)
{
	const struct carrier *c = &p->federation->cfg.carrier;
	struct carrier_stats s;

	c->stats(c->ctx, p->conn, &s);
	return s.waits_ms >= FEDERATION_UNREAD_MS;
}

static void peer_tick(struct peer *p, uint64_t now)
{
	enum peer_event due = peer_due(p, now);

	if (due != PEER_EVENT_NONE)
		peer_step(p, due, NULL, now);
	if (peer_is_proved(p) && is_unread(p))
		peer_refuse(p, REFUSAL_UNREAD, now);
	if (!peer_is_proved(p))
		return;
	outbox_tick(p->remote->outbox, now);
	sync_flush(p, now);
	if (now >= p->beat_ms)
		sync_heartbeat(p, now);
}

void federation_tick(struct federation *f)
{
	uint64_t now = now_ms(f);

	for (uint32_t i = 0; i < f->remote_count; i++)
		peer_tick(&f->remotes[i].dialer, now);
	for (uint32_t i = 0; i < INCOMING_MAX; i++)
		if (f->incoming[i].conn != 0)
			peer_tick(&f->incoming[i], now);
	if (now - f->swept_ms >= SWEEP_MS) {
		f->swept_ms = now;
		merge_sweep(f);
	}
	after(f);
}

static struct str own_str(struct str s)
{
	char *p = malloc(s.len + 1);

	bug_on(p == NULL);
	memcpy(p, s.p, s.len);
	p[s.len] = '\0';
	return str_make(p, s.len);
}

static int remote_add(struct federation *f, const struct federation_peer *peer, struct err *err)
{
	struct remote *r = &f->remotes[f->remote_count];
	uint64_t now = now_ms(f);

	if (!record_name_is_valid(peer->name))
		return err_set(err, EINVAL, "peer \"%.*s\": not a name", STR_FMT(peer->name));
	if (str_eq(peer->name, f->name) || federation_remote(f, peer->name) != NULL)
		return err_set(err, EINVAL, "peer %.*s: there is such a site already",
			STR_FMT(peer->name));
	*r = (struct remote){.name = own_str(peer->name),
		.url = peer->url != NULL ? strdup(peer->url) : NULL,
		.site = (uint16_t)(++f->remote_count),
		.outbox = calloc(1, sizeof(*r->outbox))};
	r->certificate_name =
		strdup(peer->certificate_name != NULL ? peer->certificate_name : r->name.p);
	bug_on(r->outbox == NULL || r->certificate_name == NULL);
	memcpy(r->key, peer->key, sizeof(r->key));
	r->dialer = (struct peer){.federation = f,
		.actions = &federation_actions,
		.remote = r,
		.dialed = true};
	if (r->url != NULL && federation_dials(f, r))
		r->dialer.due_ms = now > 0 ? now : 1;
	budget_init(&r->records, RECORDS_PER_S, 2ll * FEDERATION_RECORDS_MAX, now);
	budget_init(&r->messages, MESSAGES_PER_S, 4 * MESSAGES_PER_S, now);
	budget_init(&r->digests, 1, 4, now);
	budget_init(&r->drops, 1, 64, now);
	budget_init(&r->lost, 1, FEDERATION_SITE_WEIGHTS_MAX, now);
	return 0;
}

int federation_open(const struct federation_config *cfg, struct federation **ret, struct err *err)
{
	struct federation *f = calloc(1, sizeof(*f));
	struct carrier_sink sink = {f, on_up, on_message, on_down};
	int rc = 0;

	bug_on(f == NULL);
	f->cfg = *cfg;
	f->table = table_new();
	f->name = own_str(cfg->name);
	f->has_store = cfg->store != NULL;
	if (f->has_store)
		f->store = *cfg->store;
	if (!record_name_is_valid(f->name))
		rc = err_set(err, EINVAL, "site \"%.*s\": not a name", STR_FMT(f->name));
	else if (cfg->peer_count > FEDERATION_PEERS_MAX)
		rc = err_set(err, E2BIG, "%u peers; at most %u", cfg->peer_count,
			FEDERATION_PEERS_MAX);
	for (uint32_t i = 0; rc == 0 && i < cfg->peer_count; i++)
		rc = remote_add(f, &cfg->peers[i], err);
	if (rc == 0)
		rc = edits_load(f, err);
	if (rc < 0) {
		federation_close(f);
		return rc;
	}
	f->cfg.carrier.receive(f->cfg.carrier.ctx, &sink);
	*ret = f;
	return 0;
}

/* Peers see the connection end, as if the process had died: nothing is said that could be lost. */
void federation_close(struct federation *f)
{
	if (f == NULL)
		return;
	f->cfg.carrier.receive(f->cfg.carrier.ctx, NULL);
	for (uint32_t i = 0; i < INCOMING_MAX; i++)
		if (f->incoming[i].conn != 0)
			f->cfg.carrier.close(f->cfg.carrier.ctx, f->incoming[i].conn);
	for (uint32_t i = 0; i < f->remote_count; i++) {
		struct remote *r = &f->remotes[i];

		if (r->dialer.conn != 0)
			f->cfg.carrier.close(f->cfg.carrier.ctx, r->dialer.conn);
		free(r->outbox);
		free(r->url);
		free(r->certificate_name);
		free((char *)r->name.p);
	}
	edits_fini(f);
	table_free(f->table);
	free((char *)f->name.p);
	free(f);
}
