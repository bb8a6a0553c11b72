// SPDX-License-Identifier: Apache-2.0
/*
 * http_request.c: from the client to the endpoint.
 *
 * The head is rebuilt once, when the rule is known; the body follows as it comes, under the
 * framing the client chose (Content-Length or chunked), so that its end is as certain for the
 * endpoint as it is for us.
 */
#include "dataplane/http/http_flow.h"

#include <stdio.h>

/* Where the client connected to, as the authority of an http URI (RFC 9110 4.2.1). */
static struct str authority(const struct tcp_flow *f, char buf[IP_ADDR_STRLEN + 8])
{
	const char *form = ip_is_v4(&f->local) ? "%s:%u" : "[%s]:%u";
	char ip[IP_ADDR_STRLEN];
	int n = snprintf(buf, IP_ADDR_STRLEN + 8, form, ip_format(&f->local, ip), f->local_port);

	return str_make(buf, (size_t)n - (f->local_port == 80 ? strlen(":80") : 0));
}

enum outcome request_emit(struct http *h, struct exchange *x)
{
	const struct tcp_flow *f = tcp_conn_flow(x->down->c.tcp);
	char local[IP_ADDR_STRLEN + 8];
	struct h1_request_out out = {
		.client = str_make(x->down->ip, x->down->ip_len),
		.proto = STR("http"),
		.port = f->local_port,
		.request_id = str_make(x->rec.id, x->rec.id_len),
		.authority = h->head.host.len > 0 ? h->head.host : authority(f, local),
		.trusted = x->trusted,
		.expect = x->expects,
	};
	struct rte_mbuf *m = rte_pktmbuf_alloc(h->pool);
	uint32_t own = 0;
	uint16_t room;
	size_t n;

	mbufq_init(&x->head);
	if (m == NULL) {
		http_count(h, HTTP_MBUF_EMPTY);
		return OUTCOME_NO_BUFFER;
	}
	pkt_alloc_ahead(h->pool);
	*pkt_of(m) = (struct pkt){.charge = pkt_truesize(m)};
	room = rte_pktmbuf_tailroom(m);
	n = h1_emit_request(&h->head, &out, rte_pktmbuf_append(m, room), room);
	rte_pktmbuf_trim(m, (uint16_t)(room - n));
	if (likely(n > 0)) {
		mbufq_push(&x->head, m);
		return OUTCOME_OK;
	}
	rte_pktmbuf_free(m); /* longer than one of them holds */
	n = h1_emit_request(&h->head, &out, h->emit, sizeof(h->emit));
	if (n == 0)
		return OUTCOME_HEAD_TOO_LONG;
	return h1_own_append(h, &x->head, h->emit, (uint32_t)n, &own) ? OUTCOME_OK
								      : OUTCOME_NO_BUFFER;
}

/*
 * What may be sent twice is mostly a head that fills its mbuf: it is kept as it came, at no cost,
 * and emitted anew should it be needed.
 */
void request_head_done(struct http *h, struct exchange *x, uint32_t len)
{
	struct h1_conn *c = &x->down->c;

	if (x->repeatable && c->head_buf == NULL && c->rx.head->data_len == len) {
		mbufq_push(&x->raw, mbufq_pop(&c->rx));
		h1_conn_head_taken(c);
	} else {
		h1_conn_head_done(h, c, len);
	}
}

void request_forget(struct http *h, struct exchange *x)
{
	mbufq_free(&x->head);
	h1_conn_credit(h, &x->down->c, mbufq_free(&x->raw));
}

/* The head that was kept, emitted once more. */
static bool emit_again(struct http *h, struct exchange *x)
{
	struct rte_mbuf *m = x->raw.head;
	ssize_t n = h1_parse_request(rte_pktmbuf_mtod(m, char *), m->data_len, &h->head);

	bug_on(n != m->data_len); /* so it was the first time */
	if (h->head.slashes)
		bug_on(!h1_merge_slashes(&h->head, h->path, sizeof(h->path)));
	return request_emit(h, x) == OUTCOME_OK;
}

/* A copy of the head for a connection that may turn out to be dead; the original stays. */
static bool copy_head(struct http *h, const struct exchange *x, struct mbufq *q, uint32_t *own)
{
	for (struct rte_mbuf *m = x->head.head; m != NULL; m = pkt_of(m)->next)
		if (!h1_own_append(h, q, rte_pktmbuf_mtod(m, void *), m->data_len, own))
			return false;
	return true;
}

static bool write_head(struct http *h, struct exchange *x)
{
	bool kept = !mbufq_is_empty(&x->raw);
	struct mbufq q;
	uint32_t own = 0;

	mbufq_init(&q);
	if (kept && mbufq_is_empty(&x->head) && !emit_again(h, x))
		return false;
	if (!kept && x->repeatable && x->up->requests > 1) {
		if (!copy_head(h, x, &q, &own)) {
			mbufq_free(&q);
			return false;
		}
	} else {
		for (struct rte_mbuf *m = x->head.head; m != NULL; m = pkt_of(m)->next)
			own += pkt_of(m)->charge;
		mbufq_move(&q, &x->head);
	}
	h1_conn_write(h, &x->up->c, &q, own);
	return true;
}

void request_send(struct http *h, struct exchange *x)
{
	x->up->requests++;
	if (!write_head(h, x)) {
		exchange_fail(h, x, OUTCOME_NO_BUFFER, 0);
		return;
	}
	x->sent_us = x->window_us = h->now_us;
	x->request = REQUEST_BODY;
	request_pump(h, x);
}

static void after_read(struct http *h, struct exchange *x)
{
	struct http_down *d = x->down;

	if (d->c.in.done) {
		x->request = REQUEST_DONE;
		x->request_us = h->now_us;
	} else if (d->c.eof && mbufq_is_empty(&d->c.rx)) {
		exchange_fail(h, x, OUTCOME_SHORT_BODY, 0);
		return;
	}
	if (h1_foreign_held(&x->up->c) >= d->c.budget / 4)
		x->blocked = true;
	exchange_arm(h, x);
}

void request_pump(struct http *h, struct exchange *x)
{
	struct h1_conn *down = &x->down->c;
	struct mbufq data;
	int err;

	if (x->request != REQUEST_BODY)
		return;
	mbufq_init(&data);
	if (!down->in.done)
		h1_conn_fill(h, down);
	err = body_read(h, down, &data);
	if (err != 0) {
		/* the decoder stopped within an mbuf: where the next request begins is lost */
		x->down_keep = false;
		h1_conn_credit(h, down, mbufq_free(&data));
		exchange_fail(h, x, err == -HTTP_NO_BUFFER ? OUTCOME_NO_BUFFER : OUTCOME_BAD_BODY,
			err == -HTTP_NO_BUFFER ? 0 : err);
	} else if (x->up->c.dead) {
		h1_conn_credit(h, down, mbufq_free(&data)); /* its own news will end this */
	} else if (!body_write(h, down, &x->up->c, (enum h1_body)down->in.kind, &data)) {
		exchange_fail(h, x, OUTCOME_NO_BUFFER, 0);
	} else {
		after_read(h, x);
	}
}
