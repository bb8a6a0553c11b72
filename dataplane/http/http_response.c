// SPDX-License-Identifier: Apache-2.0
/*
 * http_response.c: from the endpoint to the client.
 *
 * Framing towards the client (RFC 9112 6): Content-Length stays; chunked stays for HTTP/1.1 and
 * becomes close-delimited for HTTP/1.0; close-delimited becomes chunked for HTTP/1.1, so that the
 * client connection outlives it and the client can tell a complete body from a broken one.
 */
#include "dataplane/http/http_flow.h"
#include "dataplane/port/trace.h"

/* The head in h->head, edited, to the client. False: the exchange has ended. */
static bool write_head(struct http *h, struct exchange *x, const struct h1_response_out *out)
{
	size_t n = h1_emit_response(&h->head, out, h->emit, sizeof(h->emit));
	uint32_t own = 0;
	struct mbufq q;

	bug_on(n == 0); /* what we add is small against the room beyond H1_HEAD_BYTES_MAX */
	mbufq_init(&q);
	if (!h1_own_append(h, &q, h->emit, (uint32_t)n, &own)) {
		mbufq_free(&q);
		exchange_fail(h, x, OUTCOME_NO_BUFFER, 0);
		return false;
	}
	h1_conn_write(h, &x->down->c, &q, own);
	return true;
}

/* h->emit's <n> bytes in the place of the <len> in front of rx, when that mbuf has room for them. */
static bool replace_front(struct http *h, struct h1_conn *c, uint32_t len, uint32_t n)
{
	struct rte_mbuf *m = c->rx.head;

	if (n == 0 || !RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1)
		return false;
	if (n <= len)
		rte_pktmbuf_adj(m, (uint16_t)(len - n));
	else if (rte_pktmbuf_headroom(m) >= RTE_PKTMBUF_HEADROOM + n - len)
		rte_pktmbuf_prepend(m, (uint16_t)(n - len));
	else
		return false;
	memcpy(rte_pktmbuf_mtod(m, char *), h->emit, n);
	pkt_sum_forget(m);
	c->rx.bytes += n - len;
	return true;
}

/*
 * Head and body leave in the mbufs they came in: mostly nothing of the head has to change, else
 * the edited one takes its place. False: it must go the long way, nothing was done.
 */
static bool relay_whole(struct http *h, struct exchange *x, uint32_t len,
	const struct h1_response_out *out)
{
	struct h1_conn *up = &x->up->c;
	uint32_t body = up->rx.bytes - len;
	struct mbufq q;

	if (up->head_buf != NULL || x->down->c.dead)
		return false;
	if (up->in.kind == H1_BODY_CHUNKED || x->out_kind == H1_BODY_CHUNKED)
		return false;
	if (up->in.done ? body > 0 : up->in.kind == H1_BODY_LENGTH && body > up->in.left)
		return false;
	if (!h1_response_is_unchanged(&h->head, out) &&
		!replace_front(h, up, len,
			(uint32_t)h1_emit_response(&h->head, out, h->emit, sizeof(h->emit))))
		return false;
	mbufq_init(&q);
	mbufq_move(&q, &up->rx);
	h1_conn_head_taken(up);
	up->in.bytes = x->rec.bytes_out = body;
	if (up->in.kind == H1_BODY_LENGTH) {
		up->in.left -= body;
		up->in.done = up->in.left == 0;
	}
	h1_conn_write(h, &x->down->c, &q, 0);
	return true;
}

/*
 * RFC 9110 15.2: a proxy forwards 1xx responses, but never to an HTTP/1.0 client. 101 would end
 * HTTP on this connection; we never ask for it, so it is an error of the endpoint.
 */
static bool interim(struct http *h, struct exchange *x)
{
	if (h->head.status == 101) {
		exchange_fail(h, x, OUTCOME_UP_SWITCHED, 0);
		return false;
	}
	if (++x->interim > HTTP_INTERIM_MAX) {
		exchange_fail(h, x, OUTCOME_UP_BAD_RESPONSE, 0);
		return false;
	}
	if (x->rec.minor == 0) {
		http_count(h, HTTP_INTERIM_DROPPED);
		return true;
	}
	if (!write_head(h, x, &(struct h1_response_out){.body = H1_BODY_NONE}))
		return false;
	if (h->head.status == 100 && x->expects) {
		x->expects = false;
		x->window_us = h->now_us; /* now it is the client's turn */
		x->window_bytes = x->down->c.in.bytes;
		exchange_arm(h, x);
	}
	http_count(h, HTTP_INTERIM_FORWARDED);
	upstream_count(h->up, COUNTER_LISTENER, x->rec.listener, COUNTER_LISTENER_STATUS_1XX, 1);
	return true;
}

static enum h1_body out_kind(const struct exchange *x, enum h1_body in)
{
	if (in != H1_BODY_CHUNKED && in != H1_BODY_CLOSE)
		return in;
	return x->rec.minor == 0 ? H1_BODY_CLOSE : H1_BODY_CHUNKED;
}

/* May the client connection carry another request after this response? */
static bool may_keep(struct http *h, const struct exchange *x)
{
	if (!x->down_keep || h->draining || x->out_kind == H1_BODY_CLOSE)
		return false;
	if (x->expects && !x->down->c.in.done) {
		/*
		 * RFC 9110 10.1.1: the client may now send its content or not; where the next
		 * request begins is anybody's guess.
		 */
		http_count(h, HTTP_EXPECT_CLOSED);
		return false;
	}
	return down_may_discard(x->down) && down_find_bind(h, x->down);
}

static void trace_response(const struct http *h, const struct exchange *x)
{
	const struct tcp_flow *f = tcp_conn_flow(x->down->c.tcp);

	trace_flow(&f->local, f->local_port, &f->remote, f->remote_port, "http_response",
		"%u after %u us", h->head.status, x->rec.ttfb_us);
}

static bool final(struct http *h, struct exchange *x, uint32_t len)
{
	struct h1_conn *up = &x->up->c;
	struct h1_response_out out;

	x->rec.status = h->head.status;
	x->rec.ttfb_us = (uint32_t)RTE_MAX(h->now_us - x->rec.start_us, 1u);
	if (trace_is_on())
		trace_response(h, x);
	x->up_keep = h->head.keep_alive && h->head.body != H1_BODY_CLOSE;
	x->out_kind = (uint8_t)out_kind(x, h->head.body);
	x->down_keep = may_keep(h, x);
	body_in_init(&up->in, h->head.body, h->head.content_length);
	if (likely(x->rec.status < 500))
		upstream_succeeded(h->up, x->ep, h->now_us);
	else
		up_note_error(h, x);
	out = (struct h1_response_out){
		.body = (enum h1_body)x->out_kind,
		.close = !x->down_keep,
		.keep_alive = x->down_keep && x->rec.minor == 0,
	};
	if (!relay_whole(h, x, len, &out)) {
		if (!write_head(h, x, &out))
			return false;
		h1_conn_head_done(h, up, len);
	}
	x->response = RESPONSE_BODY;
	request_forget(h, x); /* nothing is repeated from here on */
	return true;
}

/* Heads up to the final one; false: it is not there yet, or the exchange has ended. */
static bool read_heads(struct http *h, struct exchange *x)
{
	struct h1_conn *up = &x->up->c;

	while (x->response == RESPONSE_HEAD) {
		ssize_t n = h1_conn_parse_response(h, up, (enum h1_method)x->method);

		if (n == H1_MORE) {
			if (up->eof || up->dead)
				up_lost(h, x);
			return false;
		}
		if (n < 0) {
			exchange_fail(h, x,
				n == HTTP_NO_BUFFER ? OUTCOME_NO_BUFFER : OUTCOME_UP_BAD_RESPONSE,
				n == HTTP_NO_BUFFER ? 0 : (int)-n);
			return false;
		}
		if (h->head.status >= 200)
			return final(h, x, (uint32_t)n);
		if (!interim(h, x))
			return false;
		h1_conn_head_done(h, up, (uint32_t)n);
	}
	return true;
}

static void read_body(struct http *h, struct exchange *x)
{
	struct h1_conn *up = &x->up->c, *down = &x->down->c;
	struct mbufq data;
	int err;

	mbufq_init(&data);
	err = body_read(h, up, &data);
	x->rec.bytes_out += data.bytes;
	if (err != 0) {
		h1_conn_credit(h, up, mbufq_free(&data));
		exchange_fail(h, x,
			err == -HTTP_NO_BUFFER ? OUTCOME_NO_BUFFER : OUTCOME_UP_BAD_BODY,
			err == -HTTP_NO_BUFFER ? 0 : err);
	} else if (!body_write(h, up, down, (enum h1_body)x->out_kind, &data)) {
		exchange_fail(h, x, OUTCOME_NO_BUFFER, 0);
	} else if (up->in.done) {
		exchange_complete(h, x);
	} else if (up->eof || up->dead) {
		up_note_failure(h, x, UPSTREAM_RESET);
		exchange_fail(h, x, OUTCOME_UP_SHORT_BODY, 0);
	} else {
		exchange_arm(h, x);
	}
}

void response_pump(struct http *h, struct exchange *x)
{
	h1_conn_fill(h, &x->up->c);
	if (read_heads(h, x))
		read_body(h, x);
}
