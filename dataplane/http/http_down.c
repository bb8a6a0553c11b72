// SPDX-License-Identifier: Apache-2.0
/*
 * http_down.c: the client connection between requests.
 *
 *	        first byte            head complete          response written
 *	IDLE ──────────────▶ HEAD ──────────────────▶ BUSY ──────────────────▶ IDLE
 *	  │ time-out: close    │ time-out: 408           │ body of the request not read to its end
 *	  ▼                    ▼                         └──────▶ DISCARD ──────▶ IDLE
 *
 * Pipelined requests stay unread until their turn, and their turn comes when most of what was
 * written before has been acknowledged: a client that sends requests and reads nothing is stopped
 * by its own receive window.
 */
#include "dataplane/http/http_flow.h"

static void set_state(struct http *h, struct http_down *d, enum down_state state,
	uint64_t timeout_us)
{
	d->state = (uint8_t)state;
	d->since_us = h->now_us;
	timer_set(&h->wheel, &d->timer, timeout_us == 0 ? TIMER_NEVER : h->now_us + timeout_us);
}

/* The idle time-out; that of a head for the first one, which a client has no reason to delay. */
static uint64_t idle_until(const struct http *h, const struct http_down *d)
{
	return d->since_us + (d->requests == 0 ? h->lim.header_us : h->lim.idle_us);
}

void down_wait(struct http *h, struct http_down *d, uint64_t since_us)
{
	bool many = slots_used(&h->downs) >= HTTP_PARK_MANY;
	uint64_t park = h->now_us + (many ? HTTP_PARK_SOON_US : HTTP_PARK_US), until;

	d->state = DOWN_IDLE;
	d->since_us = since_us;
	until = idle_until(h, d);
	if (d->requests > 0 && park < until)
		until = park;
	timer_set(&h->wheel, &d->timer, until);
}

/* Are there as many client connections as may be, parked ones and those that come back included? */
static bool is_full(const struct http *h)
{
	struct tcp_usage u;

	tcp_usage(h->tcp, &u);
	return slots_used(&h->downs) + u.parked + u.unparked >= h->cfg.down_max;
}

struct h1_conn *down_open(struct http *h, struct tcp_conn *tc, bool unparked)
{
	struct http_down *d = unparked || !is_full(h) ? slots_alloc(&h->downs) : NULL;

	if (d == NULL) {
		http_count(h, HTTP_DOWN_REFUSED);
		tcp_abort(h->tcp, tc, h->now_us);
		return NULL;
	}
	*d = (struct http_down){.bind = SLOT_NONE};
	h1_conn_init(h, &d->c, H1_DOWN, tc);
	h1_conn_set_budget(h, &d->c, RTE_MIN(HTTP_DOWN_BUDGET, h->lim.exchange_bytes));
	d->c.in.done = true; /* no body is under way */
	timer_init(&d->timer);
	ip_format(&tcp_conn_flow(tc)->remote, d->ip);
	d->ip_len = (uint8_t)strlen(d->ip);
	if (unparked) {
		down_unpark(h, d);
	} else {
		http_count(h, HTTP_DOWN_OPENED);
		down_wait(h, d, h->now_us);
	}
	return &d->c;
}

void down_release(struct http *h, struct http_down *d)
{
	bug_on(d->c.x != NULL);
	timer_cancel(&h->wheel, &d->timer);
	h1_conn_fini(h, &d->c);
	slots_release(&h->downs, d);
}

void down_close(struct http *h, struct http_down *d)
{
	if (!d->c.in.done && !d->c.dead)
		http_count(h, HTTP_DOWN_LINGERED);
	tcp_close(h->tcp, d->c.tcp, h->now_us);
	down_release(h, d);
}

void down_abort(struct http *h, struct http_down *d)
{
	tcp_abort(h->tcp, d->c.tcp, h->now_us);
	down_release(h, d);
}

bool down_find_bind(struct http *h, struct http_down *d)
{
	const struct tcp_flow *f = tcp_conn_flow(d->c.tcp);

	if (h->config == NULL)
		return d->bind != SLOT_NONE;
	if (d->serial != h->config->serial) {
		d->bind = snapshot_find_bind(h->config->snap, &f->local, f->local_port);
		d->serial = h->config->serial;
	}
	return d->bind != SLOT_NONE;
}

bool down_may_discard(const struct http_down *d)
{
	const struct body_in *in = &d->c.in;

	if (in->done)
		return true;
	if (d->c.eof || d->c.dead)
		return false;
	return in->kind == H1_BODY_CHUNKED || in->left <= HTTP_DISCARD_MAX;
}

/* Between requests: either bytes are there already, or we wait for them. */
static void become_idle(struct http *h, struct http_down *d)
{
	h1_conn_set_budget(h, &d->c, RTE_MIN(HTTP_DOWN_BUDGET, h->lim.exchange_bytes));
	down_wait(h, d, h->now_us);
	if (!mbufq_is_empty(&d->c.rx) || tcp_peek(d->c.tcp)->bytes > 0 || d->c.eof || d->c.dead)
		h1_conn_wake(h, &d->c, HTTP_NEWS_WORK);
}

void down_next(struct http *h, struct http_down *d, enum down_fate fate)
{
	if (fate == DOWN_RESET && !d->c.dead) {
		down_abort(h, d);
	} else if (fate != DOWN_KEEP || d->c.dead) {
		down_close(h, d);
	} else if (d->c.in.done) {
		become_idle(h, d);
	} else {
		d->discard_left = HTTP_DISCARD_MAX;
		set_state(h, d, DOWN_DISCARD, h->cfg.body_timeout_us);
		h1_conn_wake(h, &d->c, HTTP_NEWS_WORK);
	}
}

static void discard(struct http *h, struct http_down *d)
{
	struct mbufq q;
	uint32_t n;
	int err;

	mbufq_init(&q);
	h1_conn_fill(h, &d->c);
	err = body_read(h, &d->c, &q);
	n = q.bytes;
	h1_conn_credit(h, &d->c, mbufq_free(&q));
	mbufq_free(&d->c.trailer);
	if (err != 0 || n > d->discard_left || (!d->c.in.done && d->c.eof)) {
		down_close(h, d);
		return;
	}
	d->discard_left -= n;
	if (d->c.in.done) {
		http_count(h, HTTP_BODY_DISCARDED);
		become_idle(h, d);
	}
}

/* RFC 9112 2.2: empty lines before a request line may be ignored, so they begin no request. */
static bool only_line_ends(const struct mbufq *q)
{
	char b[4];
	uint32_t n = mbufq_copy(q, 0, sizeof(b), b);

	if (q->bytes > 2)
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (b[i] != '\r' && b[i] != '\n')
			return false;
	return true;
}

static void head_incomplete(struct http *h, struct http_down *d)
{
	if (d->c.eof) {
		if (d->state == DOWN_HEAD)
			http_count(h, HTTP_DOWN_PARTIAL);
		d->c.in.done = true; /* nothing more will come: no lingering */
		down_close(h, d);
	} else if (d->state == DOWN_IDLE && (d->c.head_buf != NULL || !only_line_ends(&d->c.rx))) {
		set_state(h, d, DOWN_HEAD, h->lim.header_us);
	}
}

static void read_head(struct http *h, struct http_down *d)
{
	ssize_t n;

	if (d->c.held > HTTP_QUEUED_MAX(h))
		return; /* TCP_EV_SENT brings us back */
	h1_conn_fill(h, &d->c);
	if (mbufq_is_empty(&d->c.rx) && d->c.head_buf == NULL) {
		if (d->c.eof)
			down_close(h, d);
		return;
	}
	n = h1_conn_parse_request(h, &d->c);
	if (n > 0) {
		exchange_start(h, d, (uint32_t)n);
	} else if (n == H1_MORE) {
		head_incomplete(h, d);
	} else if (n == HTTP_NO_BUFFER) {
		reply_refuse(h, d, OUTCOME_NO_BUFFER, 0);
	} else {
		reply_refuse(h, d, OUTCOME_BAD_REQUEST, (int)-n);
	}
}

void down_on_news(struct http *h, struct http_down *d, uint32_t news)
{
	uint32_t charge = h1_conn_released(h, &d->c);

	if (charge > 0) {
		bug_on(d->c.x == NULL || d->c.x->up == NULL);
		h1_conn_credit(h, &d->c.x->up->c, charge);
	}
	d->c.eof |= (news & TCP_EV_EOF) != 0;
	d->c.dead |= (news & TCP_EV_CLOSED) != 0;
	if (d->state == DOWN_BUSY)
		exchange_on_down(h, d->c.x);
	else if (d->c.dead)
		down_close(h, d);
	else if (d->state == DOWN_DISCARD)
		discard(h, d);
	else
		read_head(h, d);
}

/* A slow reader of the last response is not idle; one that stopped reading is worse. */
static bool still_reading(struct http *h, struct http_down *d)
{
	uint64_t until = d->c.acked_us + h->cfg.stall_timeout_us;

	if (d->c.held == 0 || until <= h->now_us)
		return false;
	timer_set(&h->wheel, &d->timer, until);
	return true;
}

void down_on_timer(struct http *h, struct http_down *d)
{
	switch (d->state) {
	case DOWN_IDLE:
		if (h->now_us < idle_until(h, d)) {
			if (!down_park(h, d))
				down_wait(h, d, d->since_us);
			return;
		}
		if (still_reading(h, d))
			return;
		http_count(h, HTTP_DOWN_IDLE_CLOSED);
		d->c.in.done = true;
		down_close(h, d);
		return;
	case DOWN_HEAD:
		reply_refuse(h, d, OUTCOME_HEAD_TIMEOUT, 0);
		return;
	case DOWN_DISCARD:
		down_close(h, d);
		return;
	default:
		exchange_on_timer(h, d->c.x);
	}
}
