// SPDX-License-Identifier: Apache-2.0
/*
 * http_up.c: the upstream connection: taken from the pool or opened, lost, given back.
 *
 * Two kinds of failure are hidden from the client:
 *
 * - A connect that fails was never seen by the application, so any request may go to another
 *   endpoint of the same backend: on and on while they refuse, for each refusal takes one of them
 *   out of the choice; once after a time-out, for the client has waited long enough.
 * - A pooled connection may be closed by the endpoint at the moment a request is sent on it. When
 *   it dies before any byte of a response, an idempotent request without content is sent again,
 *   on a fresh connection (RFC 9112 9.3.1, RFC 9110 9.2.2). What must not be repeated is only put
 *   on a connection that was in use within the last second: no server closes those.
 *
 * A backend whose endpoints all drain is served by them as long as they can. Each may end at any
 * moment, before anybody can say so: a connection to it counts as one from the pool, and when they
 * refuse, the backend has nobody left, which is 503 and not the failure of an endpoint.
 */
#include "dataplane/http/http_flow.h"

static void up_release(struct http *h, struct http_up *up)
{
	bug_on(up->c.x != NULL);
	h1_conn_fini(h, &up->c);
	slots_release(&h->ups, up);
}

/* Ends <up>: in order, or by a reset when something is still on its way. */
static void up_end(struct http *h, struct http_up *up, bool orderly)
{
	if (orderly || up->c.dead)
		tcp_close(h->tcp, up->c.tcp, h->now_us);
	else
		tcp_abort(h->tcp, up->c.tcp, h->now_us);
	up_release(h, up);
}

void up_discard(struct http *h, struct http_up *up)
{
	if (up->state == UP_POOLED)
		pool_remove(h->up, &up->pool);
	up_end(h, up, true);
}

static struct http_up *up_of(struct pool_conn *pc)
{
	return (struct http_up *)((char *)pc - offsetof(struct http_up, pool));
}

static void take(struct http *h, struct exchange *x, struct http_up *up)
{
	x->up = up;
	up->c.x = x;
	upstream_started(h->up, x->ep);
	upstream_use(h->up, COUNTER_ENDPOINT, x->ep.slot);
}

/* Nothing may be left over on a connection that a request is sent on. */
static bool is_clean(const struct http_up *up)
{
	return !up->c.eof && !up->c.dead && mbufq_is_empty(&up->c.rx) &&
		tcp_peek(up->c.tcp)->bytes == 0 && !tcp_is_eof(up->c.tcp) &&
		tcp_conn_state(up->c.tcp) == TCP_ESTABLISHED;
}

/* A pooled connection that may carry <x>, or NULL. */
static struct http_up *take_pooled(struct http *h, struct exchange *x)
{
	struct pool_conn *pc;

	while ((pc = pool_newest(h->up, x->ep)) != NULL) {
		struct http_up *up = up_of(pc);

		if (!x->repeatable && h->now_us - pc->idle_us >= HTTP_UNSAFE_IDLE_US)
			return NULL; /* the others have been idle even longer */
		if (is_clean(up)) {
			pool_remove(h->up, pc);
			up->state = UP_BUSY;
			return up;
		}
		http_count(h, HTTP_UP_IDLE_LOST);
		up_discard(h, up);
	}
	return NULL;
}

/* Makes room for one connection by closing the one that is idle longest. */
static bool evict(struct http *h)
{
	struct pool_conn *pc = pool_oldest(h->up);

	if (pc == NULL)
		return false;
	http_count(h, HTTP_UP_IDLE_EVICTED);
	up_discard(h, up_of(pc));
	return true;
}

static struct http_up *alloc(struct http *h)
{
	struct http_up *up = slots_alloc(&h->ups);

	if (up == NULL && evict(h))
		up = slots_alloc(&h->ups);
	return up;
}

static enum tcp_reason dial(struct http *h, struct exchange *x, struct http_up *up)
{
	struct tcp_conn *tc;
	enum tcp_reason r =
		tcp_connect(h->tcp, &x->rec.upstream, x->rec.upstream_port, up, h->now_us, &tc);

	if (r == TCP_REASON_NO_CONN && evict(h))
		r = tcp_connect(h->tcp, &x->rec.upstream, x->rec.upstream_port, up, h->now_us, &tc);
	if (r != TCP_REASON_NONE)
		return r;
	*up = (struct http_up){.connect_us = h->now_us, .state = UP_CONNECTING};
	h1_conn_init(h, &up->c, H1_UP, tc);
	h1_conn_set_budget(h, &up->c, HTTP_BODY_BUDGET(h));
	pool_conn_init(&up->pool);
	up->pool.ep = x->ep;
	return TCP_REASON_NONE;
}

static void connect_failed(struct http *h, struct exchange *x, enum outcome why);

static void up_open(struct http *h, struct exchange *x)
{
	struct http_up *up = alloc(h);

	if (up == NULL) {
		exchange_fail(h, x, OUTCOME_NO_UP_CONN, 0);
		return;
	}
	switch (dial(h, x, up)) {
	case TCP_REASON_NONE:
		http_count(h, HTTP_UP_OPENED);
		upstream_count(h->up, COUNTER_ENDPOINT, x->ep.slot, COUNTER_ENDPOINT_CONNECTS, 1);
		x->connect_us = h->now_us;
		take(h, x, up);
		exchange_arm(h, x);
		return;
	case TCP_REASON_NO_CONN:
		slots_release(&h->ups, up);
		exchange_fail(h, x, OUTCOME_NO_UP_CONN, 0);
		return;
	default:
		slots_release(&h->ups, up);
		connect_failed(h, x, OUTCOME_NO_PORT);
	}
}

void up_attach(struct http *h, struct exchange *x, bool fresh)
{
	struct http_up *up = fresh ? NULL : take_pooled(h, x);

	if (up == NULL) {
		up_open(h, x);
		return;
	}
	http_count(h, HTTP_UP_REUSED);
	x->rec.flags |= ACCESS_REUSED;
	x->connect_us = h->now_us;
	h1_conn_set_budget(h, &up->c, HTTP_BODY_BUDGET(h));
	take(h, x, up);
	request_send(h, x);
}

void up_detach(struct http *h, struct exchange *x)
{
	struct http_up *up = x->up;
	bool complete = x->response == RESPONSE_DONE && x->request == REQUEST_DONE;
	uint32_t charge;
	bool reuse;

	if (up == NULL)
		return;
	x->up = NULL;
	up->c.x = NULL;
	upstream_ended(h->up, up->pool.ep);
	upstream_unuse(h->up, COUNTER_ENDPOINT, up->pool.ep.slot);
	/* Bytes that each leg still owes the other: their sources are free from now on. */
	h1_conn_credit(h, &x->down->c, h1_conn_disown(&up->c));
	charge = h1_conn_disown(&x->down->c);
	if (!mbufq_is_empty(&up->c.rx) && x->response == RESPONSE_DONE)
		http_count(h, HTTP_UP_EXCESS);
	reuse = complete && x->up_keep && is_clean(up);
	if (reuse)
		h1_conn_credit(h, &up->c, charge);
	if (reuse && pool_put(h->up, &up->pool, h->now_us))
		up->state = UP_POOLED;
	else
		up_end(h, up, complete);
}

/* The request goes out once more. */
static void repeat(struct http *h, struct exchange *x, unsigned counter)
{
	x->request = REQUEST_WAITING;
	x->sent_us = x->request_us = 0;
	x->rec.retries++;
	x->rec.flags &= (uint8_t)~ACCESS_REUSED;
	http_count(h, counter);
	upstream_count(h->up, COUNTER_BACKEND, x->rec.backend, COUNTER_BACKEND_RETRIES, 1);
}

/*
 * Is another endpoint worth a try? Among those that are all known to be bad one attempt is enough,
 * and so is one more after a time-out.
 */
static bool may_connect_again(const struct exchange *x, enum outcome why)
{
	if (why == OUTCOME_CONNECT_TIMEOUT || (x->rec.flags & ACCESS_PANIC))
		return x->connects_failed < 2;
	return x->connects_failed < HTTP_CONNECTS_MAX;
}

/* Sends <x> to another endpoint of its backend, or ends it. */
static void connect_failed(struct http *h, struct exchange *x, enum outcome why)
{
	uint64_t failed_id = x->ep.id;

	up_detach(h, x);
	x->connects_failed++;
	if (!may_connect_again(x, why) || route_endpoint(h, x, failed_id) != OUTCOME_OK ||
		((x->rec.flags & ACCESS_PANIC) && x->connects_failed > 1)) {
		if (why != OUTCOME_NO_PORT && !route_has_ready(h, x))
			why = OUTCOME_NO_ENDPOINT;
		exchange_fail(h, x, why, 0);
		return;
	}
	repeat(h, x, HTTP_RETRY_CONNECT);
	up_attach(h, x, false);
}

void up_note_failure(struct http *h, const struct exchange *x, enum upstream_failure why)
{
	bool silent = why == UPSTREAM_CONNECT_TIMEOUT || why == UPSTREAM_RESPONSE_TIMEOUT;

	if (silent ? upstream_timed_out(h->up, x->ep, why, x->connect_us, h->now_us)
		   : upstream_failed(h->up, x->ep, why, h->now_us))
		http_count(h, HTTP_EJECTED);
}

void up_note_error(struct http *h, const struct exchange *x)
{
	if (likely(!upstream_error(h->up, x->ep, h->now_us)))
		return;
	if (upstream_eject_error(h->up, x->ep, route_set(h, x), h->now_us))
		http_count(h, HTTP_EJECTED);
	else
		http_count(h, HTTP_EJECTION_LIMIT);
}

void up_connect_timed_out(struct http *h, struct exchange *x)
{
	up_note_failure(h, x, UPSTREAM_CONNECT_TIMEOUT);
	connect_failed(h, x, OUTCOME_CONNECT_TIMEOUT);
}

/* The attempt ended before a byte of the request was sent. */
static void up_refused(struct http *h, struct exchange *x)
{
	switch (tcp_close_reason(x->up->c.tcp)) {
	case TCP_REASON_TIMEOUT:
		up_connect_timed_out(h, x);
		return;
	case TCP_REASON_UNREACHABLE:
		up_note_failure(h, x, UPSTREAM_REFUSED);
		connect_failed(h, x, OUTCOME_CONNECT_UNREACHABLE);
		return;
	case TCP_REASON_ABORTED: /* by our own TCP, for want of memory */
		exchange_fail(h, x, OUTCOME_NO_UP_CONN, 0);
		return;
	case TCP_REASON_RESET: /* accepted and thrown away: a full backlog, a dying process */
		up_note_failure(h, x, UPSTREAM_CONNECT_RESET);
		connect_failed(h, x, OUTCOME_UP_RESET);
		return;
	default:
		up_note_failure(h, x, UPSTREAM_REFUSED);
		connect_failed(h, x, OUTCOME_CONNECT_REFUSED);
	}
}

/* Repeats the request, or ends it. */
void up_lost(struct http *h, struct exchange *x)
{
	bool reused = x->up->requests > 1;
	bool silent = mbufq_is_empty(&x->up->c.rx) && x->up->c.head_buf == NULL && x->interim == 0;
	bool excused = reused || !route_has_ready(h, x);
	enum outcome why;

	if (!reused)
		up_note_failure(h, x, UPSTREAM_RESET);
	if (!excused || !silent || !x->repeatable || x->retried_reused) {
		exchange_fail(h, x, OUTCOME_UP_RESET, 0);
		return;
	}
	up_detach(h, x);
	why = route_endpoint(h, x, 0); /* the endpoint may have left together with its connection */
	if (why != OUTCOME_OK) {
		exchange_fail(h, x, why, 0);
		return;
	}
	x->retried_reused = true;
	repeat(h, x, HTTP_RETRY_REUSED);
	up_attach(h, x, true);
}

static void on_connecting(struct http *h, struct http_up *up, uint32_t news)
{
	struct exchange *x = up->c.x;

	if (up->c.dead) {
		up_refused(h, x);
	} else if (news & TCP_EV_CONNECTED) {
		http_count(h, HTTP_UP_CONNECTED);
		up->state = UP_BUSY;
		x->rec.connect_us += (uint32_t)(h->now_us - up->connect_us);
		if (news & (TCP_EV_READABLE | TCP_EV_EOF))
			h1_conn_wake(h, &up->c, HTTP_NEWS_WORK);
		request_send(h, x);
	}
}

static void on_pooled(struct http *h, struct http_up *up)
{
	if (is_clean(up))
		return;
	if (tcp_peek(up->c.tcp)->bytes > 0)
		http_count(h, HTTP_UP_IDLE_BYTES);
	else
		http_count(h, HTTP_UP_IDLE_LOST);
	up_discard(h, up);
}

void up_on_news(struct http *h, struct http_up *up, uint32_t news)
{
	uint32_t charge = h1_conn_released(h, &up->c);

	if (charge > 0) {
		bug_on(up->c.x == NULL);
		h1_conn_credit(h, &up->c.x->down->c, charge);
	}
	up->c.eof |= (news & TCP_EV_EOF) != 0;
	up->c.dead |= (news & TCP_EV_CLOSED) != 0;
	switch (up->state) {
	case UP_CONNECTING:
		on_connecting(h, up, news);
		return;
	case UP_BUSY:
		response_pump(h, up->c.x);
		return;
	default:
		on_pooled(h, up);
	}
}
