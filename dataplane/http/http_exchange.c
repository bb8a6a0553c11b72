// SPDX-License-Identifier: Apache-2.0
/*
 * http_exchange.c: begin, deadlines and end of one request.
 *
 * Request and response run side by side, each with its own small state:
 *
 *	request   WAITING (for a connection) ─▶ BODY ─▶ DONE
 *	response  HEAD ─▶ BODY ─▶ DONE
 *
 * The exchange ends when the response is handed to TCP whole, whatever the request does by then,
 * or when it fails. The client connection's one timer stands at the earliest of the deadlines that
 * hold at the moment, or before it: a timer that fires too early is put back, which costs less than
 * taking it off the wheel and on again with each request.
 */
#include "dataplane/base/bytes.h"
#include "dataplane/base/hex.h"
#include "dataplane/http/http_flow.h"
#include "dataplane/port/trace.h"

/* RFC 9110 9.2.2: GET, HEAD, OPTIONS, TRACE, PUT and DELETE are idempotent. */
static bool is_idempotent(enum h1_method m)
{
	return m == H1_GET || m == H1_HEAD || m == H1_PUT || m == H1_DELETE || m == H1_OPTIONS ||
		m == H1_TRACE;
}

static void record_request(struct http *h, struct exchange *x)
{
	struct access_record *r = &x->rec;
	const struct h1_head *m = &h->head;
	const struct tcp_flow *f = tcp_conn_flow(x->down->c.tcp);
	bool cut;

	r->start_us = x->down->state == DOWN_HEAD ? x->down->since_us : h->now_us;
	r->client = f->remote;
	r->client_port = f->remote_port;
	r->minor = m->minor;
	r->flags = h->draining ? ACCESS_DRAINING : 0;
	if (h->log == NULL && !trace_is_on())
		return; /* nobody will read it */
	cut = access_copy(r->method, sizeof(r->method), m->method, &r->method_len);
	cut |= access_copy(r->host, sizeof(r->host), m->host, &r->host_len);
	cut |= access_copy(r->path, sizeof(r->path), m->path, &r->path_len);
	if (cut)
		r->flags |= ACCESS_CUT;
}

/* 128 random bits, unless a trusted peer has named the request already. */
static void set_id(struct http *h, struct exchange *x)
{
	struct str sent = {NULL, 0};

	if (unlikely(x->trusted))
		sent = h1_header_get(&h->head, H1_HDR_X_REQUEST_ID);
	if (sent.len > 0) {
		if (access_copy(x->rec.id, sizeof(x->rec.id), sent, &x->rec.id_len))
			x->rec.flags |= ACCESS_CUT;
		return;
	}
	hex_digits(x->rec.id, rng_u64(h->rng));
	hex_digits(x->rec.id + 16, rng_u64(h->rng));
	x->rec.id_len = 32;
}

static void init(struct http *h, struct exchange *x, struct http_down *d)
{
	const struct h1_head *m = &h->head;

	bytes_zero(x, offsetof(struct exchange, rec.method)); /* the texts have their lengths */
	x->down = d;
	x->ep.slot = SLOT_NONE;
	x->deadline_us = TIMER_NEVER;
	x->window_us = h->now_us;
	x->method = (uint8_t)m->method_id;
	x->expects = m->expect_continue;
	x->repeatable = is_idempotent(m->method_id) && m->body == H1_BODY_NONE;
	x->down_keep = m->keep_alive && !h->draining;
	x->rec.listener = x->rec.rule = x->rec.backend = x->rec.endpoint = SLOT_NONE;
	x->trusted = h->config != NULL &&
		snapshot_is_trusted(h->config->snap, &tcp_conn_flow(d->c.tcp)->remote);
	record_request(h, x);
	set_id(h, x);
	d->c.x = x;
	d->state = DOWN_BUSY;
	d->requests++;
	body_in_init(&d->c.in, m->body, m->content_length);
	if (m->body != H1_BODY_NONE)
		h1_conn_set_budget(h, &d->c, HTTP_BODY_BUDGET(h));
}

static enum outcome route_and_emit(struct http *h, struct exchange *x)
{
	enum outcome why, emitted;
	uint32_t rule;

	if (h->exhausted)
		return OUTCOME_NO_BUFFER;
	if (h->config == NULL)
		return OUTCOME_NO_CONFIG;
	if (!down_find_bind(h, x->down)) {
		x->down_keep = false;
		return OUTCOME_NO_LISTENER;
	}
	why = route_request(h, x, &rule);
	if (why != OUTCOME_OK)
		return why;
	/* in between: what the choice needs of the rule is on its way from memory meanwhile */
	emitted = request_emit(h, x);
	why = route_choose(h, x, rule);
	return why != OUTCOME_OK ? why : emitted;
}

static void trace_route(const struct exchange *x, enum outcome why)
{
	const struct tcp_flow *f = tcp_conn_flow(x->down->c.tcp);
	const struct access_record *r = &x->rec;
	char to[IP_ADDR_STRLEN] = "-";

	if (why == OUTCOME_OK)
		ip_format(&r->upstream, to);
	trace_flow(&f->local, f->local_port, &f->remote, f->remote_port, "http_route",
		"%.*s %.*s%.*s: %s, endpoint %s:%u", r->method_len, r->method, r->host_len, r->host,
		r->path_len, r->path, outcome_name(why), to, r->upstream_port);
}

void exchange_start(struct http *h, struct http_down *d, uint32_t head_len)
{
	struct exchange *x = slots_alloc(&h->xs);
	enum outcome why;

	if (x == NULL) {
		reply_refuse(h, d, OUTCOME_NO_EXCHANGE, 0);
		return;
	}
	init(h, x, d);
	why = route_and_emit(h, x);
	if (trace_is_on())
		trace_route(x, why);
	request_head_done(h, x, head_len);
	if (why != OUTCOME_OK)
		exchange_fail(h, x, why, 0);
	else
		up_attach(h, x, false);
}

static void finish(struct http *h, struct exchange *x, enum down_fate fate)
{
	struct http_down *d = x->down;

	bug_on(x->up != NULL);
	if (fate != DOWN_KEEP)
		x->rec.flags |= ACCESS_CLOSED;
	x->rec.bytes_in = d->c.in.bytes;
	log_exchange(h, x);
	request_forget(h, x);
	d->c.x = NULL;
	slots_release(&h->xs, x);
	down_next(h, d, fate);
}

void exchange_complete(struct http *h, struct exchange *x)
{
	bool keep = x->down_keep && down_may_discard(x->down);

	x->response = RESPONSE_DONE;
	x->rec.outcome = OUTCOME_OK;
	up_detach(h, x);
	finish(h, x, keep ? DOWN_KEEP : DOWN_CLOSE);
}

/* After these nobody knows where the next request would begin. */
static bool is_framing_lost(enum outcome why)
{
	return why == OUTCOME_BAD_BODY || why == OUTCOME_SHORT_BODY || why == OUTCOME_BODY_TIMEOUT;
}

/*
 * May the connection live on after an answer of ours? An HTTP/1.0 client is not told, and one that
 * still holds its content back for 100 (Continue) may or may not send it (RFC 9110 10.1.1).
 */
static bool may_keep_after(const struct exchange *x, enum outcome why)
{
	const struct http_down *d = x->down;

	return x->down_keep && x->rec.minor > 0 && !is_framing_lost(why) &&
		(!x->expects || d->c.in.done) && down_may_discard(d);
}

static bool is_client_lost(const struct exchange *x, enum outcome why)
{
	return x->down->c.dead || why == OUTCOME_CLIENT_GONE || why == OUTCOME_CLIENT_STALLED ||
		why == OUTCOME_STOPPED;
}

/*
 * The response has begun and cannot be ended in order. With Content-Length or chunked framing the
 * client sees by itself that the end is missing (RFC 9112 8); a body that ends with the connection
 * can only be broken off by a reset.
 */
static enum down_fate cut_fate(const struct exchange *x)
{
	return x->out_kind == H1_BODY_CLOSE ? DOWN_RESET : DOWN_CLOSE;
}

void exchange_fail(struct http *h, struct exchange *x, enum outcome why, int h1_error)
{
	bool keep = may_keep_after(x, why);

	x->rec.outcome = (uint8_t)why;
	x->rec.h1_error = (uint8_t)h1_error;
	up_detach(h, x);
	if (is_client_lost(x, why)) {
		x->rec.flags |= ACCESS_TRUNCATED;
		finish(h, x, DOWN_RESET);
		return;
	}
	if (x->response != RESPONSE_HEAD) {
		x->rec.flags |= ACCESS_TRUNCATED;
		finish(h, x, cut_fate(x));
		return;
	}
	x->rec.status = (uint16_t)(why == OUTCOME_BAD_BODY ? h1_error_status(h1_error)
							   : outcome_status(why));
	if (!reply_send(h, x->down, x->rec.status, (enum h1_method)x->method, keep))
		keep = false;
	finish(h, x, keep ? DOWN_KEEP : DOWN_CLOSE);
}

/* Deadlines ---------------------------------------------------------------------------------- */

struct deadline {
	uint64_t at_us;
	enum outcome why;
};

static void consider(struct deadline *d, uint64_t at_us, enum outcome why)
{
	if (at_us < d->at_us)
		*d = (struct deadline){at_us, why};
}

static void consider_request(struct http *h, const struct exchange *x, struct deadline *d)
{
	if (x->request == REQUEST_BODY && h1_foreign_held(&x->up->c) > 0)
		consider(d, x->up->c.acked_us + h->cfg.stall_timeout_us, OUTCOME_UP_STALLED);
	/* A client that waits for 100 (Continue) is not slow: the endpoint is. */
	if (x->request == REQUEST_BODY && !x->expects)
		consider(d, x->window_us + h->cfg.body_timeout_us, OUTCOME_BODY_TIMEOUT);
}

static void consider_response(struct http *h, const struct exchange *x, struct deadline *d)
{
	if (x->response == RESPONSE_HEAD && x->request == REQUEST_DONE)
		consider(d, x->request_us + h->lim.response_us, OUTCOME_RESPONSE_TIMEOUT);
	if (x->response == RESPONSE_HEAD && x->request == REQUEST_BODY && x->expects)
		consider(d, x->sent_us + h->lim.response_us, OUTCOME_RESPONSE_TIMEOUT);
	if (x->response != RESPONSE_BODY)
		return;
	if (x->down->c.held > 0)
		consider(d, x->down->c.acked_us + h->cfg.stall_timeout_us, OUTCOME_CLIENT_STALLED);
	else
		consider(d, x->up->c.rx_us + h->cfg.stream_timeout_us, OUTCOME_UP_BODY_TIMEOUT);
}

/* The earliest deadline that holds now, and what it means when it passes. */
static struct deadline next_deadline(struct http *h, const struct exchange *x)
{
	struct deadline d = {x->deadline_us, OUTCOME_REQUEST_TIMEOUT};

	if (x->up == NULL)
		return d;
	if (x->up->state == UP_CONNECTING)
		consider(&d, x->connect_us + h->lim.connect_us, OUTCOME_CONNECT_TIMEOUT);
	if (x->backend_timeout_us > 0)
		consider(&d, x->connect_us + x->backend_timeout_us, OUTCOME_REQUEST_TIMEOUT);
	consider_request(h, x, &d);
	consider_response(h, x, &d);
	return d;
}

void exchange_arm(struct http *h, struct exchange *x)
{
	timer_set(&h->wheel, &x->down->timer, next_deadline(h, x).at_us);
}

/*
 * A request body must bring body_min_bytes in each window, unless the endpoint was what held it
 * up. False: it was too slow.
 */
static bool body_window_passed(struct http *h, struct exchange *x)
{
	if (x->down->c.in.bytes - x->window_bytes < h->cfg.body_min_bytes && !x->blocked)
		return false;
	x->window_us = h->now_us;
	x->window_bytes = x->down->c.in.bytes;
	x->blocked = h1_foreign_held(&x->up->c) >= x->down->c.budget / 4;
	return true;
}

void exchange_on_timer(struct http *h, struct exchange *x)
{
	struct deadline d = next_deadline(h, x);

	if (d.at_us > h->now_us || (d.why == OUTCOME_BODY_TIMEOUT && body_window_passed(h, x))) {
		exchange_arm(h, x);
		return;
	}
	if (d.why == OUTCOME_CONNECT_TIMEOUT) {
		up_connect_timed_out(h, x);
		return;
	}
	/* with content outstanding it may be the client that waits for nothing (Expect) */
	if (d.why == OUTCOME_RESPONSE_TIMEOUT && x->request == REQUEST_DONE)
		up_note_failure(h, x, UPSTREAM_RESPONSE_TIMEOUT);
	exchange_fail(h, x, d.why, 0);
}

void exchange_on_down(struct http *h, struct exchange *x)
{
	if (x->down->c.dead) {
		exchange_fail(h, x, OUTCOME_CLIENT_GONE, 0);
		return;
	}
	if (x->response == RESPONSE_BODY && x->down->c.held == 0)
		exchange_arm(h, x); /* from now on it is the endpoint that we wait for */
	request_pump(h, x);
}
