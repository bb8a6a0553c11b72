// SPDX-License-Identifier: Apache-2.0
/*
 * http_body.c: message bodies as queues of mbufs: out of one framing, into another.
 *
 * Data is never copied from leg to leg. Content-Length and close-delimited bodies are moved mbuf by
 * mbuf. Chunked bodies are taken out of their coding within each mbuf: the chunk lines between
 * pieces are closed over by moving what follows them forward, so an mbuf stays one mbuf however small its
 * chunks were, and its charge stays with it. Towards the other leg everything that is there at the
 * moment becomes one chunk, whose size line fits the first mbuf's headroom and whose CRLF fits the
 * last one's tailroom nearly always.
 *
 * Compaction and trimming touch only bytes of the queue's own slice, so they are safe on mbufs
 * whose buffer is shared; headroom and tailroom are not, and are used only on unshared ones.
 */
#include <stdio.h>

#include "dataplane/http/http_flow.h"

void body_in_init(struct body_in *in, enum h1_body kind, uint64_t content_length)
{
	*in = (struct body_in){.kind = (uint8_t)kind, .left = content_length};
	in->done = kind == H1_BODY_NONE || (kind == H1_BODY_LENGTH && content_length == 0);
	if (kind == H1_BODY_CHUNKED)
		h1_chunk_init(&in->chunk);
}

/* A freed mbuf's charge goes with the data in front of it, or straight back. */
static void pass_charge(struct http *h, struct h1_conn *c, struct mbufq *out, uint32_t charge)
{
	if (mbufq_is_empty(out))
		h1_conn_credit(h, c, charge);
	else
		pkt_of(out->tail)->charge += charge;
}

/* The first <n> bytes of rx to <out>. */
static int move_bytes(struct http *h, struct h1_conn *c, struct mbufq *out, uint32_t n)
{
	if (n == c->rx.bytes) {
		mbufq_move(out, &c->rx);
		return 0;
	}
	if (mbufq_split(out, &c->rx, n, h->pool))
		return 0;
	http_count(h, HTTP_MBUF_EMPTY);
	return -HTTP_NO_BUFFER;
}

static int read_length(struct http *h, struct h1_conn *c, struct mbufq *out)
{
	uint32_t n = (uint32_t)RTE_MIN((uint64_t)c->rx.bytes, c->in.left), before = out->bytes;
	int err = move_bytes(h, c, out, n);

	c->in.left -= out->bytes - before;
	c->in.done = c->in.left == 0;
	return err;
}

/* What became of one mbuf's bytes: data compacted to [start, end), <used> bytes understood. */
struct decoded {
	uint32_t start, end, used;
};

/* The trailer section's bytes among the last <n> understood ones are kept for the other leg. */
static bool keep_trailer(struct http *h, struct h1_conn *c, const char *end, uint32_t n)
{
	uint32_t own = 0;

	if (c->in.chunk.trailer_count == 0 || n == 0)
		return true;
	return h1_own_append(h, &c->trailer, end - n, n, &own);
}

/* Takes the chunked coding of <m>'s bytes apart. */
static int decode(struct http *h, struct h1_conn *c, struct rte_mbuf *m, struct decoded *d)
{
	char *base = rte_pktmbuf_mtod(m, char *);
	struct h1_chunk *ck = &c->in.chunk;

	*d = (struct decoded){0};
	while (d->used < m->data_len && !c->in.done) {
		uint32_t trailer_before = ck->trailer_bytes;
		struct h1_piece p;
		ssize_t n = h1_chunk_parse(ck, base + d->used, m->data_len - d->used, &p);

		if (n < 0)
			return (int)-n;
		if (p.len > 0 && d->end == 0) {
			d->start = d->used + (uint32_t)p.off;
			d->end = d->start + (uint32_t)p.len;
		} else if (p.len > 0) {
			memmove(base + d->end, base + d->used + p.off, p.len);
			pkt_sum_forget(m);
			d->end += (uint32_t)p.len;
		}
		d->used += (uint32_t)n;
		c->in.done = p.last;
		if (!keep_trailer(h, c, base + d->used, ck->trailer_bytes - trailer_before))
			return -HTTP_NO_BUFFER;
	}
	return 0;
}

/* The whole first mbuf was body: what is left of it becomes data. */
static void take_whole(struct http *h, struct h1_conn *c, struct mbufq *out,
	const struct decoded *d)
{
	struct rte_mbuf *m = mbufq_pop(&c->rx);
	uint32_t charge = pkt_of(m)->charge;

	if (d->end == 0) {
		rte_pktmbuf_free(m);
		pass_charge(h, c, out, charge);
		return;
	}
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - d->end));
	rte_pktmbuf_adj(m, (uint16_t)d->start);
	mbufq_push(out, m);
}

/* The body ended within the first mbuf: data is cut out, the next message's bytes stay. */
static int take_front(struct http *h, struct h1_conn *c, struct mbufq *out, const struct decoded *d)
{
	int err = 0;

	h1_conn_skip(h, c, d->start);
	if (d->end > d->start)
		err = move_bytes(h, c, out, d->end - d->start);
	if (err == 0)
		h1_conn_skip(h, c, d->used - d->end);
	return err;
}

static int read_chunked(struct http *h, struct h1_conn *c, struct mbufq *out)
{
	while (!mbufq_is_empty(&c->rx) && !c->in.done) {
		struct decoded d;
		int err = decode(h, c, c->rx.head, &d);

		if (err != 0)
			return err;
		if (d.end == 0)
			d.end = d.start = 0;
		if (d.used == c->rx.head->data_len)
			take_whole(h, c, out, &d);
		else
			err = take_front(h, c, out, &d);
		if (err != 0)
			return err;
	}
	return 0;
}

int body_read(struct http *h, struct h1_conn *c, struct mbufq *out)
{
	uint32_t before = out->bytes;
	int err = 0;

	if (c->in.done)
		return 0;
	switch (c->in.kind) {
	case H1_BODY_LENGTH:
		err = read_length(h, c, out);
		break;
	case H1_BODY_CHUNKED:
		err = read_chunked(h, c, out);
		break;
	case H1_BODY_CLOSE:
		mbufq_move(out, &c->rx);
		c->in.done = c->eof;
		break;
	}
	c->in.bytes += out->bytes - before;
	return err;
}

/* Writing ----------------------------------------------------------------------------------- */

/* Puts the size line into the headroom of the first data mbuf, leaving TCP's share of it. */
static bool prepend_line(struct mbufq *data, const char *line, uint16_t len)
{
	struct rte_mbuf *m = data->head;

	if (!RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1 ||
		rte_pktmbuf_headroom(m) < RTE_PKTMBUF_HEADROOM + len)
		return false;
	memcpy(rte_pktmbuf_prepend(m, len), line, len);
	pkt_sum_forget(m);
	data->bytes += len;
	return true;
}

/* <data> as one chunk in <q>. */
static bool frame_chunk(struct http *h, struct mbufq *q, struct mbufq *data, uint32_t *own)
{
	char line[16];
	int n = snprintf(line, sizeof(line), "%x\r\n", data->bytes);

	if (!prepend_line(data, line, (uint16_t)n) && !h1_own_append(h, q, line, (uint32_t)n, own))
		return false;
	mbufq_move(q, data);
	return h1_own_append(h, q, "\r\n", 2, own);
}

static bool frame_last(struct http *h, struct mbufq *q, struct mbufq *trailer, uint32_t *own)
{
	if (mbufq_is_empty(trailer))
		return h1_own_append(h, q, "0\r\n\r\n", 5, own);
	if (!h1_own_append(h, q, "0\r\n", 3, own))
		return false;
	for (struct rte_mbuf *m = trailer->head; m != NULL; m = pkt_of(m)->next)
		*own += pkt_of(m)->charge;
	mbufq_move(q, trailer); /* with the empty line at its end */
	http_count(h, HTTP_TRAILERS_FORWARDED);
	return true;
}

bool body_write(struct http *h, struct h1_conn *src, struct h1_conn *dst, enum h1_body kind,
	struct mbufq *data)
{
	bool last = src->in.done, ok = true;
	uint32_t own = 0;
	struct mbufq q;

	if (mbufq_is_empty(data) && kind != H1_BODY_CHUNKED && mbufq_is_empty(&src->trailer))
		return true; /* nothing came, and an end without chunks has no bytes */
	mbufq_init(&q);
	if (kind == H1_BODY_CHUNKED && !mbufq_is_empty(data))
		ok = frame_chunk(h, &q, data, &own);
	if (kind == H1_BODY_CHUNKED && last && ok)
		ok = frame_last(h, &q, &src->trailer, &own);
	if (last && !mbufq_is_empty(&src->trailer)) {
		http_count(h, HTTP_TRAILERS_DROPPED); /* the other framing has no place for them */
		mbufq_free(&src->trailer);
	}
	mbufq_move(&q, data);
	if (ok)
		h1_conn_write(h, dst, &q, own);
	else
		h1_conn_credit(h, src, mbufq_free(&q) - own);
	return ok;
}
