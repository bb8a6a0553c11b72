// SPDX-License-Identifier: Apache-2.0
/*
 * http_probe.c: active health checks: one short connection of their own at a time.
 *
 * A worker probes the endpoints of its part of the list (upstream/probe.h), each on its own clock:
 * the first probe at a random moment of the first interval, so that a thousand endpoints are not
 * asked in one burst, then one per interval, counted from start to start. A probe never touches a
 * pooled connection, a request or its counters. It ends by a result, once, and its time-out is the
 * end of the connection too: what of a body has not come by then, or is too long, is not waited
 * for.
 *
 *	WAIT ── due ─▶ CONNECT ── accepted ─▶ RESPONSE ── head ─▶ REST ── body ─▶ WAIT
 *	                  └────── failed, or late: result ──────────────────────▶ WAIT
 *
 * When it is we who had no means, or who looked too late, the result says so and the agent draws
 * no conclusion from it.
 */
#include "dataplane/http/http_flow.h"

#include <stdio.h>

#define IN_FLIGHT_MAX 512u	/* per worker; the next one waits */
#define RETRY_US 10000u		/* when it had to wait */
#define CONNECT_MAX_US 2000000u /* the kernel of a peer answers within that, or is not there */
#define TAKE_PER_TURN 256u	/* entries of a new list */
#define TIMERS_PER_TURN 64u	/* probes begun or given up */
#define BODY_MAX 65536u		/* read and thrown away */
#define BUDGET 32768u		/* receive budget */
#define REQUEST_MAX (3 * 1024u) /* PROBE_TEXT_MAX for path and host, and what is around them */

enum probe_phase { PROBE_WAIT = 0, PROBE_CONNECT, PROBE_RESPONSE, PROBE_REST };

struct probe_conn {
	struct h1_conn c;
	struct probe_state *of;
	uint64_t left; /* REST: body bytes that are still to come; UINT64_MAX: until it is closed */
	uint64_t bytes; /* REST: of the body so far */
	uint32_t heads; /* responses seen, 1xx included */
};

struct probe_state {
	struct timer timer; /* the next start; in flight: the time-out */
	uint64_t id;	    /* 0: nobody */
	uint64_t serial;    /* of the list that <index> belongs to */
	uint64_t sent_us;   /* of the newest probe */
	struct probe_conn *conn;
	uint32_t index;
	uint8_t phase; /* enum probe_phase */
};

struct probes {
	struct timer_wheel wheel;
	struct slots conns;
	const struct health_board *board; /* borrowed; NULL until probes_join() */
	uint32_t worker;
	struct probe_state *state;     /* owned, [SLOTS_ENDPOINT_MAX] */
	const struct probe_list *list; /* borrowed for the current turn */
	uint64_t serial;	       /* of the list that is being or was taken; 0: none */
	uint32_t cursor;	       /* next entry of it */
	bool taken;		       /* all of it */
	struct probe_ring ring;
	uint64_t counters[PROBE_COUNTER_COUNT];
};

struct probes *probes_new(uint32_t worker, uint64_t now_us)
{
	struct probes *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->worker = worker;
	timer_wheel_init(&p->wheel, now_us);
	p->taken = true;
	p->state = calloc(SLOTS_ENDPOINT_MAX, sizeof(*p->state));
	if (p->state == NULL || !slots_init(&p->conns, IN_FLIGHT_MAX, sizeof(struct probe_conn))) {
		free(p->state);
		free(p);
		return NULL;
	}
	return p;
}

void probes_join(struct http *h, const struct health_board *board)
{
	h->probes->board = board;
}

static void count(struct probes *p, unsigned counter)
{
	counter_add(&p->counters[counter], 1);
}

/* Connections ------------------------------------------------------------------------------- */

static void conn_end(struct http *h, struct probe_conn *pc, bool orderly)
{
	if (orderly || pc->c.dead)
		tcp_close(h->tcp, pc->c.tcp, h->now_us);
	else
		tcp_abort(h->tcp, pc->c.tcp, h->now_us);
	if (pc->of != NULL)
		pc->of->conn = NULL;
	h1_conn_fini(h, &pc->c);
	slots_release(&h->probes->conns, pc);
}

void probes_free(struct http *h)
{
	struct probes *p = h->probes;

	if (p == NULL)
		return;
	for (uint32_t i = 0; i < p->conns.count; i++)
		if (slots_at(&p->conns, i) != NULL)
			conn_end(h, slots_at(&p->conns, i), false);
	slots_fini(&p->conns);
	free(p->state);
	free(p);
	h->probes = NULL;
}

static const struct probe_target *target_of(const struct probes *p, const struct probe_state *s)
{
	if (p->list == NULL || s->serial != p->list->serial)
		return NULL;
	return &p->list->t[s->index];
}

static const struct probe_check *check_of(const struct probes *p, const struct probe_state *s)
{
	const struct probe_target *t = target_of(p, s);

	return t != NULL ? &p->list->checks[t->check] : NULL;
}

static uint32_t slot_of(const struct probes *p, const struct probe_state *s)
{
	return (uint32_t)(s - p->state);
}

/* Waits for its next turn: an interval after the start of the last. */
static void wait_next(struct http *h, struct probe_state *s)
{
	const struct probe_check *k = check_of(h->probes, s);
	uint64_t at = k != NULL ? s->sent_us + k->interval_us : h->now_us + RETRY_US;

	s->phase = PROBE_WAIT;
	timer_set(&h->probes->wheel, &s->timer, at > h->now_us ? at : h->now_us);
}

/* The verdict of this probe; its connection may live on for what is left of a body. */
static void tell(struct http *h, struct probe_state *s, enum probe_result result, unsigned status)
{
	struct probes *p = h->probes;
	struct probe_report r = {.id = s->id,
		.sent_us = s->sent_us,
		.done_us = h->now_us,
		.slot = slot_of(p, s),
		.status = (uint16_t)status,
		.result = (uint8_t)result};

	count(p, result);
	upstream_count(h->up, COUNTER_ENDPOINT, r.slot, COUNTER_ENDPOINT_PROBES, 1);
	if (probe_result_class(result) != PROBE_GOOD && probe_result_class(result) != PROBE_OURS)
		upstream_count(h->up, COUNTER_ENDPOINT, r.slot, COUNTER_ENDPOINT_PROBES_FAILED, 1);
	if (!probe_ring_put(&p->ring, &r))
		count(p, PROBE_N_REPORT_LOST);
}

static void finish(struct http *h, struct probe_state *s, enum probe_result result, bool orderly)
{
	tell(h, s, result, 0);
	if (s->conn != NULL)
		conn_end(h, s->conn, orderly);
	wait_next(h, s);
}

static void forget(struct http *h, struct probe_state *s)
{
	if (s->conn != NULL) {
		count(h->probes, PROBE_GONE);
		conn_end(h, s->conn, false);
	}
	if (s->id != 0)
		timer_cancel(&h->probes->wheel, &s->timer);
	*s = (struct probe_state){0};
}

/* Since its start; a connection attempt is as bounded as one for a request. */
static uint64_t patience_us(const struct probe_check *k, const struct probe_state *s)
{
	if (s->phase == PROBE_CONNECT && k->timeout_us > CONNECT_MAX_US)
		return CONNECT_MAX_US;
	return k->timeout_us;
}

/* Begin ------------------------------------------------------------------------------------- */

static enum probe_result result_of_connect(enum tcp_reason r)
{
	return r == TCP_REASON_UNREACHABLE ? PROBE_NO_ROUTE : PROBE_NO_MEANS;
}

static void begin(struct http *h, struct probe_state *s)
{
	struct probes *p = h->probes;
	const struct probe_target *t = target_of(p, s);
	struct probe_conn *pc = slots_alloc(&p->conns);
	enum tcp_reason r;
	struct tcp_conn *tc;

	if (pc == NULL) {
		count(p, PROBE_N_WAITED);
		timer_set(&p->wheel, &s->timer, h->now_us + RETRY_US);
		return;
	}
	s->sent_us = h->now_us;
	count(p, PROBE_N_STARTED);
	r = h->exhausted ? TCP_REASON_NO_CONN
			 : tcp_connect(h->tcp, &t->addr, t->port, pc, h->now_us, &tc);
	if (r != TCP_REASON_NONE) {
		slots_release(&p->conns, pc);
		finish(h, s, result_of_connect(r), false);
		return;
	}
	*pc = (struct probe_conn){.of = s};
	h1_conn_init(h, &pc->c, H1_PROBE, tc);
	h1_conn_set_budget(h, &pc->c, BUDGET);
	s->conn = pc;
	s->phase = PROBE_CONNECT;
	timer_set(&p->wheel, &s->timer, s->sent_us + patience_us(&p->list->checks[t->check], s));
}

/* A worker that comes long after the time-out may have slept through the answer as well. */
static bool is_late(const struct http *h, const struct probe_state *s)
{
	const struct probe_check *k = check_of(h->probes, s);
	uint64_t us = k != NULL ? patience_us(k, s) : 0;

	return k == NULL || h->now_us - s->sent_us > us + us / 2 + 10000;
}

static void on_timer(struct timer *t, uint64_t now_us, void *ctx)
{
	struct probe_state *s =
		(struct probe_state *)((char *)t - offsetof(struct probe_state, timer));
	struct http *h = ctx;
	struct probes *p = h->probes;

	switch (s->phase) {
	case PROBE_CONNECT:
		finish(h, s, is_late(h, s) ? PROBE_LATE : PROBE_TIMEOUT, false);
		return;
	case PROBE_RESPONSE:
		finish(h, s, is_late(h, s) ? PROBE_LATE : PROBE_NO_RESPONSE, false);
		return;
	case PROBE_REST:
		count(p, PROBE_N_BODY_CUT);
		conn_end(h, s->conn, false);
		wait_next(h, s);
		return;
	default:
		if (target_of(p, s) != NULL)
			begin(h, s);
		else if (p->taken)
			forget(h, s); /* it has left the list */
		else
			timer_set(&p->wheel, &s->timer, now_us + RETRY_US);
	}
}

/* The connection's news --------------------------------------------------------------------- */

static struct str host_of(const struct probe_target *t, struct str host,
	char buf[IP_ADDR_STRLEN + 8])
{
	char ip[IP_ADDR_STRLEN];
	int n;

	if (host.len > 0)
		return host;
	n = snprintf(buf, IP_ADDR_STRLEN + 8, ip_is_v4(&t->addr) ? "%s:%u" : "[%s]:%u",
		ip_format(&t->addr, ip), t->port);
	return str_make(buf, (size_t)n);
}

/* False: no buffer. */
static bool send_request(struct http *h, struct probe_conn *pc)
{
	const struct probe_target *t = target_of(h->probes, pc->of);
	const struct probe_check *k = check_of(h->probes, pc->of);
	char buf[REQUEST_MAX], name[IP_ADDR_STRLEN + 8];
	struct str host = host_of(t, k->host, name);
	uint32_t own = 0;
	struct mbufq q;
	int n = snprintf(buf, sizeof(buf),
		"%.*s %.*s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: sluice-probe\r\n"
		"Accept: */*\r\nConnection: close\r\n\r\n",
		(int)k->method.len, k->method.p, (int)k->path.len, k->path.p, (int)host.len,
		host.p);

	bug_on(n < 0 || (size_t)n >= sizeof(buf)); /* probe_check_is_sane() bounds the parts */
	mbufq_init(&q);
	if (!h1_own_append(h, &q, buf, (uint32_t)n, &own)) {
		mbufq_free(&q);
		return false;
	}
	h1_conn_write(h, &pc->c, &q, own);
	return true;
}

static enum probe_result result_of_death(const struct probe_conn *pc)
{
	switch (tcp_close_reason(pc->c.tcp)) {
	case TCP_REASON_REFUSED:
		return PROBE_REFUSED;
	case TCP_REASON_UNREACHABLE:
		return PROBE_UNREACHABLE;
	case TCP_REASON_TIMEOUT:
		return PROBE_TIMEOUT;
	case TCP_REASON_ABORTED: /* by our own TCP, for want of memory */
		return PROBE_NO_MEANS;
	default:
		return PROBE_RESET;
	}
}

static void on_connect(struct http *h, struct probe_conn *pc, uint32_t news)
{
	struct probe_state *s = pc->of;
	const struct probe_check *k = check_of(h->probes, s);

	if (pc->c.dead) {
		finish(h, s, result_of_death(pc), true);
	} else if ((news & TCP_EV_CONNECTED) == 0) {
		return;
	} else if (k == NULL) {
		finish(h, s, PROBE_GONE, false);
	} else if (k->kind == BUILD_PROBE_TCP) {
		finish(h, s, PROBE_PASSED, true);
	} else if (!send_request(h, pc)) {
		finish(h, s, PROBE_NO_MEANS, false);
	} else {
		s->phase = PROBE_RESPONSE;
		timer_set(&h->probes->wheel, &s->timer, s->sent_us + patience_us(k, s));
	}
}

/* Throws away what has come; the end of the body, or of our patience, ends the connection. */
static void read_rest(struct http *h, struct probe_conn *pc)
{
	struct probe_state *s = pc->of;
	uint64_t n = pc->c.rx.bytes;

	h1_conn_skip(h, &pc->c, pc->c.rx.bytes);
	pc->bytes += n;
	if (pc->left != UINT64_MAX)
		pc->left -= n < pc->left ? n : pc->left;
	if (pc->left > 0 && !pc->c.eof && !pc->c.dead) {
		if (pc->bytes <= BODY_MAX)
			return;
		count(h->probes, PROBE_N_BODY_CUT);
		conn_end(h, pc, false);
	} else {
		conn_end(h, pc, true);
	}
	wait_next(h, s);
}

static void on_head(struct http *h, struct probe_conn *pc, const struct probe_check *k)
{
	bool good = probe_status_is_expected(k, h->head.status);

	tell(h, pc->of, good ? PROBE_PASSED : PROBE_STATUS, h->head.status);
	pc->of->phase = PROBE_REST;
	switch (h->head.body) {
	case H1_BODY_NONE:
		pc->left = 0;
		return;
	case H1_BODY_LENGTH:
		pc->left = h->head.content_length;
		return;
	default: /* we have said "Connection: close" */
		pc->left = UINT64_MAX;
	}
}

/* True: a final head has been understood. */
static bool read_heads(struct http *h, struct probe_conn *pc)
{
	struct probe_state *s = pc->of;
	const struct probe_check *k = check_of(h->probes, s);
	enum h1_method method;

	if (k == NULL) {
		finish(h, s, PROBE_GONE, false);
		return false;
	}
	method = str_eq(k->method, STR("HEAD")) ? H1_HEAD : H1_GET;
	for (;;) {
		ssize_t n = h1_conn_parse_response(h, &pc->c, method);

		if (n == H1_MORE && !pc->c.eof && !pc->c.dead)
			return false;
		if (n < 0 || pc->heads > HTTP_INTERIM_MAX) {
			finish(h, s,
				n == HTTP_NO_BUFFER    ? PROBE_NO_MEANS
					: n != H1_MORE ? PROBE_BAD_RESPONSE
					: pc->c.eof    ? PROBE_CLOSED
						       : PROBE_RESET,
				false);
			return false;
		}
		if (h->head.status >= 200)
			on_head(h, pc, k);
		pc->heads++;
		h1_conn_head_done(h, &pc->c, (uint32_t)n);
		if (s->phase == PROBE_REST)
			return true;
	}
}

void probe_on_news(struct http *h, struct h1_conn *c, uint32_t news)
{
	struct probe_conn *pc = (struct probe_conn *)c;

	h1_conn_released(h, c);
	c->eof |= (news & TCP_EV_EOF) != 0;
	c->dead |= (news & TCP_EV_CLOSED) != 0;
	if (pc->of->phase == PROBE_CONNECT) {
		on_connect(h, pc, news);
		return;
	}
	h1_conn_fill(h, c);
	if (pc->of->phase == PROBE_RESPONSE && !read_heads(h, pc))
		return;
	read_rest(h, pc);
}

/* The list ---------------------------------------------------------------------------------- */

static void take(struct http *h, uint32_t index)
{
	struct probes *p = h->probes;
	const struct probe_target *t = &p->list->t[index];
	uint64_t interval_us = p->list->checks[t->check].interval_us;
	struct probe_state *s = &p->state[t->slot];
	bool fresh = s->id != t->id;

	bug_on(t->slot >= SLOTS_ENDPOINT_MAX || t->id == 0);
	if (fresh) {
		forget(h, s);
		timer_init(&s->timer);
		s->id = t->id;
	}
	s->index = index;
	s->serial = p->serial;
	/* one that has kept its pace keeps it, unless it would now be too slow */
	if (fresh || (s->phase == PROBE_WAIT && s->timer.expires_us > h->now_us + interval_us))
		timer_set(&p->wheel, &s->timer, h->now_us + rng_below(h->rng, interval_us));
}

static void take_list(struct http *h)
{
	struct probes *p = h->probes;
	uint32_t end;

	if (p->list->serial != p->serial) {
		p->serial = p->list->serial;
		p->cursor = p->list->first[p->worker];
		p->taken = false;
		count(p, PROBE_N_LISTS);
	}
	end = p->list->first[p->worker + 1];
	for (uint32_t n = 0; n < TAKE_PER_TURN && p->cursor < end; n++)
		take(h, p->cursor++);
	p->taken = p->cursor == end;
}

void probes_turn(struct http *h)
{
	struct probes *p = h->probes;

	if (unlikely(p->board == NULL))
		return;
	p->list = atomic_load_explicit(&p->board->probes, memory_order_acquire);
	if (p->list != NULL && unlikely(p->list->serial != p->serial || !p->taken))
		take_list(h);
}

void probes_run(struct http *h)
{
	struct probes *p = h->probes;

	if (p->wheel.armed_count > 0 || p->list != NULL)
		timer_wheel_run(&p->wheel, h->now_us, TIMERS_PER_TURN, on_timer, h);
	p->list = NULL; /* it may be gone before the next turn */
}

uint64_t probes_next_us(const struct http *h)
{
	const struct probes *p = h->probes;

	return p->taken ? timer_wheel_next_us(&p->wheel) : 0;
}

uint32_t probes_in_flight(const struct http *h)
{
	return slots_used(&h->probes->conns);
}

struct probe_ring *http_probe_ring(struct http *h)
{
	return &h->probes->ring;
}

const uint64_t *http_probe_counters(const struct http *h)
{
	return h->probes->counters;
}
