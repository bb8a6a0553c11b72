// SPDX-License-Identifier: Apache-2.0
/*
 * mbufq.c: cutting, copying and filling queues of slices; frames that came in several mbufs.
 */
#include "dataplane/port/mbufq.h"

#define SPLIT_COPY_MAX 256 /* below this a copy is cheaper than an indirect mbuf pinning 2 KiB */

void pkt_cut(struct rte_mbuf *m, uint32_t len)
{
	struct rte_mbuf *last = m;
	uint32_t left = len;
	uint16_t segs = 1;

	if (likely(m->nb_segs == 1)) {
		rte_pktmbuf_trim(m, (uint16_t)(m->pkt_len - len));
		return;
	}
	for (; left > last->data_len; segs++) {
		left -= last->data_len;
		last = last->next;
	}
	rte_pktmbuf_free(last->next);
	last->next = NULL;
	last->data_len = (uint16_t)left;
	m->nb_segs = segs;
	m->pkt_len = len;
}

void pkt_skip(struct rte_mbuf *m, uint32_t n)
{
	uint32_t left;

	if (likely(n <= m->data_len)) {
		rte_pktmbuf_adj(m, (uint16_t)n);
		return;
	}
	left = n - m->data_len;
	rte_pktmbuf_adj(m, m->data_len);
	m->pkt_len -= left;
	for (struct rte_mbuf *s = m->next; left > 0; s = s->next) {
		uint16_t take = (uint16_t)RTE_MIN(left, (uint32_t)s->data_len);

		s->data_off += take;
		s->data_len -= take;
		left -= take;
	}
}

struct rte_mbuf *pkt_unchain(struct rte_mbuf *m)
{
	struct rte_mbuf *rest = m->next;

	if (rest == NULL)
		return NULL;
	*pkt_of(rest) = (struct pkt){.port = pkt_of(m)->port};
	rest->nb_segs = m->nb_segs - 1;
	rest->pkt_len = m->pkt_len - m->data_len;
	m->next = NULL;
	m->nb_segs = 1;
	m->pkt_len = m->data_len;
	return rest;
}

uint32_t mbufq_trim(struct mbufq *q, uint32_t n)
{
	uint32_t charge = 0;

	bug_on_hot(n > q->bytes);
	while (n > 0) {
		struct rte_mbuf *m = q->head;

		if (m->data_len > n) {
			rte_pktmbuf_adj(m, (uint16_t)n);
			q->bytes -= n;
			break;
		}
		n -= m->data_len;
		mbufq_pop(q);
		charge += pkt_of(m)->charge;
		rte_pktmbuf_free(m);
	}
	return charge;
}

/* The first <n> bytes of <m> as an mbuf of its own; <m> keeps the rest. NULL: pool empty. */
static struct rte_mbuf *front_part(struct rte_mbuf *m, uint16_t n, struct rte_mempool *pool)
{
	struct rte_mbuf *f = rte_pktmbuf_alloc(pool);

	if (f == NULL)
		return NULL;
	*pkt_of(f) = (struct pkt){.port = pkt_of(m)->port};
	if (n <= SPLIT_COPY_MAX) {
		memcpy(rte_pktmbuf_append(f, n), rte_pktmbuf_mtod(m, void *), n);
	} else {
		rte_pktmbuf_attach(f, m);
		f->data_len = n;
		f->pkt_len = n;
		f->nb_segs = 1;
		f->next = NULL;
	}
	rte_pktmbuf_adj(m, n);
	return f;
}

bool mbufq_split(struct mbufq *dst, struct mbufq *src, uint32_t n, struct rte_mempool *pool)
{
	bug_on_hot(n > src->bytes);
	while (n > 0) {
		struct rte_mbuf *m = src->head;

		if (m->data_len <= n) {
			n -= m->data_len;
			mbufq_push(dst, mbufq_pop(src));
			continue;
		}
		m = front_part(m, (uint16_t)n, pool);
		if (m == NULL)
			return false;
		src->bytes -= n;
		mbufq_push(dst, m);
		break;
	}
	return true;
}

uint32_t mbufq_copy(const struct mbufq *q, uint32_t off, uint32_t n, void *buf)
{
	uint32_t done = 0;

	for (struct rte_mbuf *m = q->head; m != NULL && done < n; m = pkt_of(m)->next) {
		uint32_t take;

		if (off >= m->data_len) {
			off -= m->data_len;
			continue;
		}
		take = RTE_MIN(n - done, m->data_len - off);
		memcpy((char *)buf + done, rte_pktmbuf_mtod_offset(m, char *, off), take);
		done += take;
		off = 0;
	}
	return done;
}

bool mbufq_append(struct mbufq *q, const void *data, uint32_t len, struct rte_mempool *pool)
{
	const char *p = data;

	while (len > 0) {
		struct rte_mbuf *m = q->tail;
		uint16_t take;

		if (m == NULL || !RTE_MBUF_DIRECT(m) || rte_mbuf_refcnt_read(m) != 1 ||
			rte_pktmbuf_tailroom(m) == 0) {
			m = rte_pktmbuf_alloc(pool);
			if (m == NULL)
				return false;
			*pkt_of(m) = (struct pkt){0};
			mbufq_push(q, m);
		}
		take = (uint16_t)RTE_MIN(len, (uint32_t)rte_pktmbuf_tailroom(m));
		memcpy(rte_pktmbuf_append(m, take), p, take);
		pkt_sum_forget(m);
		q->bytes += take;
		p += take;
		len -= take;
	}
	return true;
}
