// SPDX-License-Identifier: Apache-2.0
/*
 * actions.c: what the peer machine does until both sides are proved, and how a connection ends.
 *
 * The greeting. TLS says that the other side holds a certificate of the federation; which site it
 * is, it proves by its Ed25519 key over both nonces, both names and both epochs. The verifier's
 * fresh nonce makes an old hello worthless, the order of the names keeps a hello from being sent
 * back to its maker.
 *
 * Why nobody can stand between two sites and pass their greeting on, though a hello says nothing of
 * the TLS connection (nng 1.5.2 cannot tell what it was made of): of two sites always the same one
 * dials, and it goes on only with who shows the other's certificate. Its hello, over a nonce that
 * came by that connection, is the only one by which it is admitted, so the nonce's maker holds the
 * other end of the very same connection.
 */
#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "federation/state.h"

#define HELLO_TEXT "sluice federation hello 1"
#define HELLO_MAX (sizeof(HELLO_TEXT) + 2 * (1 + SITE_NAME_MAX) + 2 * 32 + 2 * 8)

static size_t put_name(uint8_t *to, struct str name)
{
	to[0] = (uint8_t)name.len;
	memcpy(to + 1, name.p, name.len);
	return 1 + name.len;
}

struct greeter {
	struct str name;
	const uint8_t *nonce;
	uint64_t epoch;
};

/* What a hello signs; different for every pair of nonces, and for each direction. */
static size_t hello_text(uint8_t to[HELLO_MAX], struct greeter signer, struct greeter verifier)
{
	struct greeter both[2] = {signer, verifier};
	size_t n = sizeof(HELLO_TEXT);

	memcpy(to, HELLO_TEXT, n);
	for (int i = 0; i < 2; i++) {
		n += put_name(to + n, both[i].name);
		memcpy(to + n, both[i].nonce, 32);
		be64_put(to + n + 32, both[i].epoch);
		n += 40;
	}
	return n;
}

static struct greeter self(const struct peer *p)
{
	return (struct greeter){p->federation->name, p->nonce, p->federation->epoch};
}

static struct greeter other(const struct peer *p)
{
	return (struct greeter){p->remote->name, p->their_nonce, p->epoch};
}

static enum refusal action_dial(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	const struct carrier *c = &p->federation->cfg.carrier;

	/* 0: it cannot just now; the state's limit will end this attempt too */
	p->conn = c->open(c->ctx, p->remote->url, p->remote->certificate_name);
	return REFUSAL_NONE;
}

static enum refusal action_greet(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	struct federation *f = p->federation;
	struct proto_message out = {.type = PROTO_CHALLENGE,
		.challenge = {.site = f->name, .wall_ms = federation_wall_ms(f)}};

	f->cfg.random(f->cfg.arg, p->nonce, sizeof(p->nonce));
	memcpy(out.challenge.nonce, p->nonce, sizeof(p->nonce));
	p->seq = 0;
	p->heard_ms = now_ms;
	federation_send(p, &out);
	return REFUSAL_NONE;
}

static enum refusal action_prove(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	struct federation *f = p->federation;
	struct remote *r = federation_remote(f, m->challenge.site);
	struct proto_message out = {.type = PROTO_HELLO};
	uint8_t text[HELLO_MAX];
	size_t len;

	if (r == NULL)
		return REFUSAL_NAME_UNKNOWN;
	if (p->dialed && r != p->remote)
		return REFUSAL_NAME_OTHER;
	if (!p->dialed && federation_dials(f, r))
		return REFUSAL_DIRECTION;
	p->remote = r;
	if (hlc_ms_is_ahead(m->challenge.wall_ms, federation_wall_ms(f)))
		return REFUSAL_CLOCK;
	memcpy(p->their_nonce, m->challenge.nonce, sizeof(p->their_nonce));
	p->epoch = m->epoch;
	memcpy(out.hello.answers, p->their_nonce, sizeof(out.hello.answers));
	len = hello_text(text, self(p), other(p));
	bug_on(!f->cfg.signer.sign(f->cfg.signer.ctx, text, len, out.hello.signature));
	federation_send(p, &out);
	return REFUSAL_NONE;
}

static enum refusal action_admit(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	struct federation *f = p->federation;
	struct proto_message out = {.type = PROTO_WELCOME};
	uint8_t text[HELLO_MAX];
	size_t len;

	if (memcmp(m->hello.answers, p->nonce, sizeof(p->nonce)) != 0)
		return REFUSAL_REPLAYED;
	len = hello_text(text, other(p), self(p));
	if (!f->cfg.signer.verify(f->cfg.signer.ctx, p->remote->key, text, len, m->hello.signature))
		return REFUSAL_SIGNATURE;
	federation_send(p, &out);
	return REFUSAL_NONE;
}

/* The connection is gone: when to try again. */
static enum refusal action_rest(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	/* who was refused while greeting will be refused again: slower */
	uint64_t wait = p->why == REFUSAL_NONE || peer_is_proved(p) ? RETRY_MS : RETRY_REFUSED_MS;
	uint64_t dice;

	if (p->remote != NULL && p->remote->proved == p) {
		p->remote->proved = NULL;
		outbox_init(p->remote->outbox);
	}
	p->conn = 0;
	p->is_in_step = false;
	if (p->dialed) {
		/* sites that lost each other at once shall not find each other at once */
		p->federation->cfg.random(p->federation->cfg.arg, &dice, sizeof(dice));
		p->due_ms = now_ms + wait + dice % RETRY_MS;
	}
	return REFUSAL_NONE;
}

/* Does it help to tell the peer why? */
static bool is_told(enum refusal why)
{
	return why != REFUSAL_NONE && why != REFUSAL_UNWELCOME && why != REFUSAL_SILENT;
}

static enum refusal action_hang_up(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	const struct carrier *c = &p->federation->cfg.carrier;
	struct proto_message out = {.type = PROTO_WELCOME,
		.welcome.why = str_of(refusal_metrics[p->why])};

	if (p->why != REFUSAL_NONE)
		federation_refused(p->federation, p, p->why);
	if (p->conn != 0 && is_told(p->why))
		federation_send(p, &out);
	if (p->conn != 0)
		c->close(c->ctx, p->conn);
	return action_rest(p, NULL, now_ms);
}

static enum refusal action_stay(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	return REFUSAL_NONE;
}

static enum refusal action_late(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	return REFUSAL_LATE;
}

static enum refusal action_silent(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	return REFUSAL_SILENT;
}

static enum refusal action_unwelcome(struct peer *p, const struct proto_message *m, uint64_t now_ms)
{
	return REFUSAL_UNWELCOME;
}

const struct peer_actions federation_actions = {
	{
		[PEER_ACTION_DIAL] = action_dial,
		[PEER_ACTION_GREET] = action_greet,
		[PEER_ACTION_PROVE] = action_prove,
		[PEER_ACTION_ADMIT] = action_admit,
		[PEER_ACTION_JOIN] = action_join,
		[PEER_ACTION_ASK] = action_ask,
		[PEER_ACTION_COMPARE] = action_compare,
		[PEER_ACTION_TAKE] = action_take,
		[PEER_ACTION_CLEAR] = action_clear,
		[PEER_ACTION_BEAT] = action_beat,
		[PEER_ACTION_STAY] = action_stay,
		[PEER_ACTION_LATE] = action_late,
		[PEER_ACTION_SILENT] = action_silent,
		[PEER_ACTION_UNWELCOME] = action_unwelcome,
		[PEER_ACTION_HANG_UP] = action_hang_up,
		[PEER_ACTION_REST] = action_rest,
	},
};
