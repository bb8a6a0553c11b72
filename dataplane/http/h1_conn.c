// SPDX-License-Identifier: Apache-2.0
/*
 * h1_conn.c: one TCP connection as a source of heads and bodies and as their sink.
 *
 * Heads are parsed where they lie. Nearly always the first mbuf holds the whole head; when it does
 * not, what follows is copied into its tailroom, and a head that outgrows one mbuf moves to one of
 * a bounded number of head buffers. So a client that sends its head a byte at a time pins one mbuf
 * and nothing else, and its receive window never closes before its head is complete.
 *
 * The parser starts from the beginning each time, so it is asked at the first bytes, at the
 * end of the first line, and then when h1_head_is_complete(), which looks at new bytes alone: the
 * work per head stays linear.
 */
#include "dataplane/http/http_core.h"

void h1_conn_init(struct http *h, struct h1_conn *c, enum h1_leg leg, struct tcp_conn *tcp)
{
	*c = (struct h1_conn){.tcp = tcp, .leg = leg, .rx_us = h->now_us, .acked_us = h->now_us};
	list_init(&c->ready);
	tcp_set_user(tcp, c);
}

static void head_buf_release(struct http *h, struct h1_conn *c)
{
	if (c->head_buf != NULL)
		slots_release(&h->head_bufs, c->head_buf);
	c->head_buf = NULL;
	c->head_len = c->head_dup = 0;
}

void h1_conn_fini(struct http *h, struct h1_conn *c)
{
	list_del(&c->ready);
	mbufq_free(&c->rx);
	mbufq_free(&c->trailer);
	head_buf_release(h, c);
	h->held_bytes -= c->held;
	c->held = c->held_own = 0;
	c->tcp = NULL;
}

void h1_conn_wake(struct http *h, struct h1_conn *c, uint32_t news)
{
	c->news |= news;
	if (!list_is_linked(&c->ready))
		list_add_tail(&h->ready, &c->ready);
}

void h1_conn_fill(struct http *h, struct h1_conn *c)
{
	if (tcp_read(h->tcp, c->tcp, &c->rx, UINT32_MAX) > 0)
		c->rx_us = h->now_us;
}

void h1_conn_credit(struct http *h, struct h1_conn *c, uint32_t charge)
{
	if (charge > 0 && !c->dead)
		tcp_credit(h->tcp, c->tcp, charge);
}

void h1_conn_skip(struct http *h, struct h1_conn *c, uint32_t n)
{
	h1_conn_credit(h, c, mbufq_trim(&c->rx, n));
}

void h1_conn_set_budget(struct http *h, struct h1_conn *c, uint32_t bytes)
{
	if (h->scarce)
		bytes /= 4;
	if (c->budget == bytes)
		return;
	c->budget = bytes;
	tcp_set_budget(h->tcp, c->tcp, bytes);
}

/* Heads ------------------------------------------------------------------------------------- */

static struct str head_bytes(const struct h1_conn *c)
{
	if (c->head_buf != NULL)
		return str_make(c->head_buf, c->head_len);
	if (c->rx.head == NULL)
		return str_make(NULL, 0);
	return str_make(rte_pktmbuf_mtod(c->rx.head, const char *), c->rx.head->data_len);
}

/* The first line tells early whether somebody speaks HTTP at all; after it, only a whole head. */
static bool worth_parsing(struct h1_conn *c, struct str s)
{
	bool first_line;

	if (s.len <= c->head_tried)
		return false;
	if (likely(c->head_tried == 0))
		return true;
	first_line = !c->head_line && str_find(str_from(s, c->head_tried), '\n') >= 0;
	c->head_line |= first_line;
	return first_line || h1_head_is_complete(s.p, s.len, c->head_tried);
}

/* Copies the next unread mbuf behind the bytes in the head buffer; false: nothing is there. */
static bool gather_in_buffer(struct http *h, struct h1_conn *c)
{
	uint32_t take;

	h1_conn_skip(h, c, c->head_dup);
	c->head_dup = 0;
	if (c->rx.head == NULL)
		return false;
	take = RTE_MIN((uint32_t)c->rx.head->data_len, HTTP_HEAD_BUFFER - c->head_len);
	mbufq_copy(&c->rx, 0, take, c->head_buf + c->head_len);
	c->head_len += take;
	c->head_dup = take;
	return take > 0;
}

static int take_head_buffer(struct http *h, struct h1_conn *c)
{
	c->head_buf = slots_alloc(&h->head_bufs);
	if (c->head_buf == NULL) {
		http_count(h, HTTP_HEAD_BUFFER_EMPTY);
		return HTTP_NO_BUFFER;
	}
	http_count(h, HTTP_HEAD_BUFFER_TAKEN);
	c->head_len = c->head_dup = 0;
	gather_in_buffer(h, c); /* what the first mbuf held */
	return gather_in_buffer(h, c);
}

/* The first mbuf's bytes move to a fresh one: it was shared, or its tailroom is used up. */
static int renew_first(struct http *h, struct h1_conn *c)
{
	struct rte_mbuf *old = c->rx.head, *m = rte_pktmbuf_alloc(h->pool);

	if (m == NULL) {
		http_count(h, HTTP_MBUF_EMPTY);
		return HTTP_NO_BUFFER;
	}
	*pkt_of(m) = (struct pkt){.next = pkt_of(old)->next, .charge = pkt_of(old)->charge};
	memcpy(rte_pktmbuf_append(m, old->data_len), rte_pktmbuf_mtod(old, void *), old->data_len);
	c->rx.head = m;
	if (c->rx.tail == old)
		c->rx.tail = m;
	rte_pktmbuf_free(old);
	return 1;
}

/* Appends the second mbuf's bytes to the first. */
static void merge_second(struct http *h, struct h1_conn *c)
{
	struct rte_mbuf *m = c->rx.head, *next = pkt_of(m)->next;

	memcpy(rte_pktmbuf_append(m, next->data_len), rte_pktmbuf_mtod(next, void *),
		next->data_len);
	pkt_of(m)->next = pkt_of(next)->next;
	pkt_sum_forget(m);
	if (c->rx.tail == next)
		c->rx.tail = m;
	c->rx.count--;
	h1_conn_credit(h, c, pkt_of(next)->charge);
	rte_pktmbuf_free(next);
}

/* Makes more of the head contiguous: 1 when there was more, 0, or HTTP_NO_BUFFER. */
static int gather(struct http *h, struct h1_conn *c)
{
	struct rte_mbuf *m = c->rx.head, *next;
	uint32_t fresh_room = rte_pktmbuf_data_room_size(h->pool) - RTE_PKTMBUF_HEADROOM;

	if (c->head_buf != NULL)
		return gather_in_buffer(h, c);
	if (m == NULL || (next = pkt_of(m)->next) == NULL)
		return 0;
	if (c->head_tried > 0)
		http_count(h, HTTP_HEAD_GATHERED);
	if ((uint32_t)m->data_len + next->data_len > fresh_room)
		return take_head_buffer(h, c);
	if (!RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1 ||
		rte_pktmbuf_tailroom(m) < next->data_len) {
		if (renew_first(h, c) < 0)
			return HTTP_NO_BUFFER;
	}
	merge_second(h, c);
	return 1;
}

/* Request and response differ in one call. */
static ssize_t parse_once(struct http *h, struct h1_conn *c, struct str s, enum h1_method method)
{
	if (c->leg == H1_DOWN)
		return h1_parse_request(s.p, s.len, &h->head);
	return h1_parse_response(s.p, s.len, method, &h->head);
}

static ssize_t parse_head(struct http *h, struct h1_conn *c, enum h1_method method)
{
	int more;

	do {
		struct str s = head_bytes(c);
		ssize_t n;

		if (worth_parsing(c, s)) {
			n = parse_once(h, c, s, method);
			if (likely(n != H1_MORE))
				return n;
			if (c->head_tried == 0)
				c->head_line = str_find(s, '\n') >= 0;
		}
		c->head_tried = (uint32_t)s.len;
		more = gather(h, c);
	} while (more > 0);
	return more < 0 ? HTTP_NO_BUFFER : H1_MORE;
}

ssize_t h1_conn_parse_request(struct http *h, struct h1_conn *c)
{
	bug_on_hot(c->leg != H1_DOWN);
	return parse_head(h, c, H1_METHOD_OTHER);
}

ssize_t h1_conn_parse_response(struct http *h, struct h1_conn *c, enum h1_method request_method)
{
	bug_on_hot(c->leg == H1_DOWN);
	return parse_head(h, c, request_method);
}

void h1_conn_head_done(struct http *h, struct h1_conn *c, uint32_t len)
{
	if (c->head_buf != NULL) {
		uint32_t gone = c->head_len - c->head_dup; /* of the buffer, no longer in rx */

		bug_on(len < gone);
		len -= gone;
		head_buf_release(h, c);
	}
	h1_conn_head_taken(c);
	h1_conn_skip(h, c, len);
}

/* Writing ----------------------------------------------------------------------------------- */

bool h1_own_append(struct http *h, struct mbufq *q, const void *data, uint32_t len, uint32_t *own)
{
	struct rte_mbuf *tail = q->tail, *m;
	bool ok = mbufq_append(q, data, len, h->pool);

	if (!ok)
		http_count(h, HTTP_MBUF_EMPTY);
	for (m = tail != NULL ? pkt_of(tail)->next : q->head; m != NULL; m = pkt_of(m)->next) {
		pkt_of(m)->charge = pkt_truesize(m);
		*own += pkt_truesize(m);
	}
	return ok;
}

void h1_conn_write(struct http *h, struct h1_conn *c, struct mbufq *q, uint32_t own)
{
	uint32_t charge = 0;

	if (mbufq_is_empty(q))
		return;
	for (struct rte_mbuf *m = q->head; m != NULL; m = pkt_of(m)->next)
		charge += pkt_of(m)->charge;
	bug_on_hot(own > charge || c->dead);
	if (c->held == 0)
		c->acked_us = h->now_us;
	c->held += charge;
	c->held_own += own;
	h->held_bytes += charge;
	if (c->held > h->held_high)
		h->held_high = c->held;
	tcp_write(h->tcp, c->tcp, q);
}

uint32_t h1_conn_disown(struct h1_conn *c)
{
	uint32_t foreign = c->held - c->held_own;

	c->held_own = c->held;
	return foreign;
}

uint32_t h1_conn_released(struct http *h, struct h1_conn *c)
{
	uint32_t charge = tcp_released_take(c->tcp), own;

	if (charge == 0)
		return 0;
	bug_on(charge > c->held);
	c->acked_us = h->now_us;
	c->held -= charge;
	h->held_bytes -= charge;
	/*
	 * Our own first: heads precede the bodies that are held, and what an earlier exchange left
	 * precedes both. Chunk lines lie in between, so a source may get its credit a little late,
	 * never too early and never less.
	 */
	own = RTE_MIN(charge, c->held_own);
	c->held_own -= own;
	return charge - own;
}
