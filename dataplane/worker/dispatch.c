// SPDX-License-Identifier: Apache-2.0
/*
 * dispatch.c: which worker owns a flow, and the rings between workers.
 *
 * A ring has one producer and one consumer, so neither needs an atomic read-modify-write. What does
 * not fit is dropped and counted: a worker that cannot keep up must not hold up the others, and TCP
 * repeats. Packets are collected per target and handed over in bursts; a target that naps is woken
 * once per burst.
 */
#include "dataplane/worker/dispatch.h"

#include <rte_errno.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>

#include "dataplane/base/bytes.h"
#include "dataplane/worker/worker.h"

#define PORTS (65536u - DISPATCH_PORT_FIRST)
#define NOTES_PER_TURN 32

/* -- who owns what ------------------------------------------------------------------------- */

void dispatch_port_slice(unsigned i, unsigned n, uint16_t *ret_first, uint16_t *ret_count)
{
	uint32_t size = PORTS / n;

	*ret_first = (uint16_t)(DISPATCH_PORT_FIRST + i * size);
	*ret_count = (uint16_t)(i + 1 < n ? size : PORTS - i * size);
}

unsigned dispatch_port_owner(uint16_t port, unsigned n)
{
	unsigned i;

	if (port < DISPATCH_PORT_FIRST)
		return 0;
	i = (port - DISPATCH_PORT_FIRST) / (PORTS / n);
	return i < n ? i : n - 1;
}

uint32_t dispatch_hash(const struct hash_key *key, const struct ip_addr *src, uint16_t src_port,
	const struct ip_addr *dst, uint16_t dst_port)
{
	uint64_t a = hash_mix(be64_get(src->b) ^ key->k[0], be64_get(src->b + 8) ^ key->k[1]);
	uint64_t b = hash_mix(be64_get(dst->b) ^ key->k[1], be64_get(dst->b + 8) ^ a);
	uint64_t h = hash_mix(b ^ key->k[0], (uint64_t)src_port << 16 | dst_port);

	return (uint32_t)(h ^ h >> 32) | 1;
}

unsigned dispatch_owner(const struct dispatch *d, bool local_is_source, uint32_t hash,
	uint16_t local_port)
{
	if (local_is_source && local_port >= DISPATCH_PORT_FIRST)
		return dispatch_port_owner(local_port, d->count);
	return (unsigned)(((uint64_t)hash * d->count) >> 32);
}

/* -- life ---------------------------------------------------------------------------------- */

static struct rte_ring *ring_new(const char *kind, unsigned from, unsigned to, unsigned elem,
	unsigned count, struct err *err)
{
	struct rte_ring *r;
	char name[RTE_RING_NAMESIZE];

	snprintf(name, sizeof(name), "%s_%u_%u", kind, from, to);
	r = rte_ring_create_elem(name, elem, count, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (r == NULL)
		err_set(err, rte_errno, "ring %s: %s", name, rte_strerror(rte_errno));
	return r;
}

static int pair_init(struct worker_group *g, unsigned from, unsigned to, struct err *err)
{
	struct dispatch *a = &g->w[from]->dispatch, *b = &g->w[to]->dispatch;

	a->packets_to[to] = ring_new("pkt", from, to, sizeof(void *), DISPATCH_RING, err);
	a->notes_to[to] =
		ring_new("note", from, to, sizeof(struct dispatch_note), DISPATCH_NOTES, err);
	if (a->packets_to[to] == NULL || a->notes_to[to] == NULL)
		return -ENOMEM;
	b->packets_from[from] = a->packets_to[to];
	b->notes_from[from] = a->notes_to[to];
	return 0;
}

int dispatch_init(struct worker_group *g, struct err *err)
{
	struct hash_key key;

	static_assert(sizeof(struct dispatch_note) % 4 == 0, "what a ring's element must be");
	rng_secret(&key, sizeof(key));
	for (unsigned i = 0; i < g->count; i++) {
		g->w[i]->dispatch.key = key;
		g->w[i]->dispatch.self = i;
		g->w[i]->dispatch.count = g->count;
	}
	for (unsigned i = 0; i < g->count; i++)
		for (unsigned j = 0; j < g->count; j++)
			if (i != j && pair_init(g, i, j, err) < 0)
				return -ENOMEM;
	return 0;
}

static void packets_discard(struct rte_ring *r)
{
	struct rte_mbuf *m;

	while (r != NULL && rte_ring_sc_dequeue(r, (void **)&m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(r);
}

void dispatch_fini(struct worker_group *g)
{
	for (unsigned i = 0; i < g->count; i++) {
		for (unsigned j = 0; g->w[i] != NULL && j < g->count; j++) {
			packets_discard(g->w[i]->dispatch.packets_to[j]);
			rte_ring_free(g->w[i]->dispatch.notes_to[j]);
		}
	}
}

/* -- packets ------------------------------------------------------------------------------- */

/* What is on its way to each other worker. */
struct outgoing {
	unsigned count[DISPATCH_WORKERS_MAX];
	struct rte_mbuf *m[DISPATCH_WORKERS_MAX][PORT_BURST];
};

static void outgoing_flush(struct worker *w, struct outgoing *out, unsigned to)
{
	unsigned n = out->count[to];
	unsigned sent = rte_ring_sp_enqueue_burst(w->dispatch.packets_to[to],
		(void *const *)out->m[to], n, NULL);

	w->stats.counters[WORKER_C_DISPATCH_OUT] += sent;
	w->stats.counters[WORKER_C_DISPATCH_FULL] += n - sent;
	for (unsigned i = sent; i < n; i++)
		rte_pktmbuf_free(out->m[to][i]);
	out->count[to] = 0;
	worker_wake(w->group->w[to]);
}

static unsigned packet_owner(const struct worker *w, struct rte_mbuf *m)
{
	const uint8_t *tcp = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct dispatch *d = &w->dispatch;
	const struct pkt *p = pkt_of(m);
	uint32_t hash;

	if (unlikely(m->data_len < 4))
		return d->self; /* no ports: TCP will say so */
	hash = dispatch_hash(&d->key, &p->src, be16_get(tcp), &p->dst, be16_get(tcp + 2));
	return dispatch_owner(d, net_is_source(w->net, &p->dst), hash, be16_get(tcp + 2));
}

void dispatch_packets(struct worker *w, struct mbufq *in, struct mbufq *mine)
{
	struct dispatch *d = &w->dispatch;
	struct outgoing out;
	struct rte_mbuf *m;

	if (d->count == 1 || mbufq_is_empty(in)) {
		mbufq_move(mine, in); /* all of them are ours */
		return;
	}
	memset(out.count, 0, d->count * sizeof(out.count[0]));
	while ((m = mbufq_pop(in)) != NULL) {
		unsigned to = packet_owner(w, m);

		if (to == d->self) {
			mbufq_push(mine, m);
			continue;
		}
		trace_pkt(m, "dispatch", "to worker %u", to);
		out.m[to][out.count[to]++] = m;
		if (out.count[to] == PORT_BURST)
			outgoing_flush(w, &out, to);
	}
	for (unsigned to = 0; to < d->count; to++)
		if (out.count[to] > 0)
			outgoing_flush(w, &out, to);
}

/* -- notes --------------------------------------------------------------------------------- */

static void note_send(struct worker *w, unsigned to, struct dispatch_note *note)
{
	if (rte_ring_sp_enqueue_elem(w->dispatch.notes_to[to], note, sizeof(*note)) != 0)
		w->stats.counters[WORKER_C_NOTES_FULL]++;
	else
		worker_wake(w->group->w[to]);
}

static void icmp_apply(struct worker *w, const struct net_icmp_error *e)
{
	struct tcp_icmp_error t = {.flow = {e->local, e->remote, e->local_port, e->remote_port},
		.seq = e->seq,
		.mtu = e->mtu,
		.too_big = e->too_big,
		.hard = e->hard};

	tcp_icmp_input(w->tcp, &t, w->now_us);
}

static void icmp_dispatch(struct worker *w, const struct net_icmp_error *e)
{
	struct dispatch *d = &w->dispatch;
	struct dispatch_note note = {.kind = DISPATCH_NOTE_ICMP, .icmp = *e};
	/* as the receiver of the flow's own packets would see it */
	uint32_t hash =
		dispatch_hash(&d->key, &e->remote, e->remote_port, &e->local, e->local_port);
	unsigned to = dispatch_owner(d, net_is_source(w->net, &e->local), hash, e->local_port);

	if (to == d->self)
		icmp_apply(w, e);
	else
		note_send(w, to, &note);
}

void dispatch_notes(struct worker *w)
{
	const struct net_icmp_error *errors;
	const struct net_note *notes;
	unsigned error_count, note_count;

	errors = net_icmp_errors(w->net, &error_count);
	for (unsigned i = 0; i < error_count; i++)
		icmp_dispatch(w, &errors[i]);
	notes = net_notes(w->net, &note_count);
	for (unsigned i = 0; i < note_count; i++) {
		struct dispatch_note note = {.kind = DISPATCH_NOTE_NEIGH, .neigh = notes[i]};

		for (unsigned to = 0; to < w->dispatch.count; to++)
			if (to != w->dispatch.self)
				note_send(w, to, &note);
	}
}

static void notes_collect(struct worker *w, struct rte_ring *r)
{
	struct dispatch_note note;

	for (unsigned i = 0; i < NOTES_PER_TURN; i++) {
		if (rte_ring_sc_dequeue_elem(r, &note, sizeof(note)) != 0)
			return;
		w->work++;
		if (note.kind == DISPATCH_NOTE_ICMP)
			icmp_apply(w, &note.icmp);
		else
			net_note_apply(w->net, &note.neigh);
	}
}

void dispatch_collect(struct worker *w, struct mbufq *mine)
{
	struct dispatch *d = &w->dispatch;
	struct rte_mbuf *m[PORT_BURST];

	for (unsigned from = 0; from < d->count; from++) {
		unsigned n;

		if (from == d->self)
			continue;
		n = rte_ring_sc_dequeue_burst(d->packets_from[from], (void **)m, PORT_BURST, NULL);
		for (unsigned i = 0; i < n; i++)
			mbufq_push(mine, m[i]);
		w->stats.counters[WORKER_C_DISPATCH_IN] += n;
		w->work += n;
		notes_collect(w, d->notes_from[from]);
	}
}

bool dispatch_has_news(const struct worker *w)
{
	const struct dispatch *d = &w->dispatch;

	for (unsigned from = 0; from < d->count; from++)
		if (from != d->self &&
			(!rte_ring_empty(d->packets_from[from]) ||
				!rte_ring_empty(d->notes_from[from])))
			return true;
	return false;
}
