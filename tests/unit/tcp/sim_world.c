// SPDX-License-Identifier: Apache-2.0
/*
 * sim_world.c: the clock and the applications of the simulation.
 */
#include "tests/unit/tcp/sim_wire.h"

#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/hash.h"

uint16_t ip_route_mtu(struct net *n, const struct ip_addr *dst, struct net_dst *cache)
{
	return n->w->cfg.mtu;
}

void ip_confirm(struct net *n, const struct net_dst *cache)
{
}

/*
 * Applications.
 */

static uint8_t pattern(uint64_t seed, uint64_t off)
{
	return (uint8_t)(hash_mix(seed, off >> 3) >> (8 * (off & 7)));
}

static void stream_write(struct world *w, struct stream *s)
{
	uint32_t limit = s->plan.unacked_max ? s->plan.unacked_max : 256 * 1024;
	struct mbufq q;

	if (s->fin_sent)
		return;
	mbufq_init(&q);
	while (s->sent < s->plan.send_bytes && tcp_unacked(s->c) + q.bytes < limit) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(w->pool[s->side]);
		uint32_t n = 1448;
		uint8_t *p;

		if (m == NULL)
			break; /* later, when the peer has acknowledged something */
		*pkt_of(m) = (struct pkt){0};
		if (s->plan.write_max)
			n = 1 + (uint32_t)rng_below(&w->rng, s->plan.write_max);
		n = (uint32_t)RTE_MIN((uint64_t)n, s->plan.send_bytes - s->sent);
		n = RTE_MIN(n, (uint32_t)rte_pktmbuf_tailroom(m));
		p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)n);
		for (uint32_t i = 0; i < n; i++)
			p[i] = pattern(s->seed_out, s->sent + i);
		s->sent += n;
		mbufq_push(&q, m);
	}
	if (q.head != NULL)
		tcp_write(w->tcp[s->side], s->c, &q);
	if (s->sent == s->plan.send_bytes && !s->plan.close_when_sent) {
		tcp_shutdown(w->tcp[s->side], s->c);
		s->fin_sent = true;
	}
}

static uint32_t may_read(const struct world *w, struct stream *s)
{
	uint64_t us;

	if (w->now_us - s->opened_us < s->plan.read_stall_us)
		return 0;
	if (s->plan.read_rate == 0)
		return UINT32_MAX;
	us = w->now_us - s->allowance_us;
	return (uint32_t)RTE_MIN(us * s->plan.read_rate / 1000000, (uint64_t)UINT32_MAX);
}

static void stream_read(struct world *w, struct stream *s)
{
	uint32_t max = may_read(w, s), n, charge;
	struct tcp_conn_info info;
	struct mbufq q;

	mbufq_init(&q);
	tcp_conn_info(s->c, w->now_us, &info);
	if (info.charged > s->res.charged_max)
		s->res.charged_max = info.charged;
	n = tcp_read(w->tcp[s->side], s->c, &q, max);
	if (n == 0)
		return;
	s->allowance_us = w->now_us;
	for (const struct rte_mbuf *m = q.head; m != NULL;
		m = pkt_of((struct rte_mbuf *)(uintptr_t)m)->next) {
		const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);

		for (uint32_t i = 0; i < m->data_len; i++)
			if (p[i] != pattern(s->seed_in, s->res.received++))
				s->res.bad_byte = true;
	}
	charge = mbufq_free(&q);
	tcp_credit(w->tcp[s->side], s->c, charge);
}

static void stream_end(struct world *w, struct stream *s)
{
	struct tcp_conn_info info;

	tcp_conn_info(s->c, w->now_us, &info);
	s->res.retransmits = info.retransmits;
	s->res.spurious = info.retransmits_spurious;
	s->res.reason = tcp_close_reason(s->c);
	s->res.ended = true;
	s->open = false;
	tcp_close(w->tcp[s->side], s->c, w->now_us);
	s->c = NULL;
}

static void stream_turn(struct world *w, struct stream *s, uint32_t events)
{
	if (events & TCP_EV_CONNECTED)
		s->res.connected = true;
	tcp_released_take(s->c);
	stream_read(w, s);
	if (!(events & TCP_EV_CLOSED) && s->res.connected)
		stream_write(w, s);
	if (tcp_is_eof(s->c) && tcp_peek(s->c)->bytes == 0 && !s->res.eof) {
		s->res.eof = true;
		s->res.done_us = w->now_us;
	}
	if ((events & TCP_EV_CLOSED) ||
		(s->plan.close_when_sent && s->res.eof && s->sent == s->plan.send_bytes)) {
		if (tcp_peek(s->c)->bytes == 0 || tcp_close_reason(s->c) != TCP_REASON_NONE)
			stream_end(w, s);
		else
			s->plan.close_when_sent = true; /* when the rest is read */
	}
}

static struct stream *stream_of(struct world *w, unsigned side, struct tcp_conn *c)
{
	const struct tcp_flow *f = tcp_conn_flow(c);

	if (tcp_user(c) != NULL)
		return tcp_user(c);
	/* passive: the other side knows the flow */
	for (int i = 0; i < w->conns; i++) {
		struct stream *peer = &w->stream[i][1 - side], *s = &w->stream[i][side];

		if (s->open || s->res.ended || peer->c == NULL ||
			tcp_conn_flow(peer->c)->local_port != f->remote_port)
			continue;
		s->c = c;
		s->open = true;
		s->opened_us = s->allowance_us = w->now_us;
		tcp_set_user(c, s);
		return s;
	}
	return NULL;
}

static void apps_run(struct world *w)
{
	for (unsigned side = 0; side < 2; side++) {
		struct tcp_conn *c;
		uint32_t ev;

		while ((c = tcp_ready_pop(w->tcp[side], &ev)) != NULL) {
			struct stream *s = stream_of(w, side, c);

			if (s != NULL)
				stream_turn(w, s, ev);
			else
				tcp_abort(w->tcp[side], c, w->now_us);
		}
	}
	/* slow readers look again by themselves, and so do writers that found no mbuf */
	for (int i = 0; i < w->conns; i++)
		for (unsigned side = 0; side < 2; side++) {
			struct stream *s = &w->stream[i][side];

			if (s->open &&
				(s->plan.read_rate || s->plan.read_stall_us ||
					s->sent < s->plan.send_bytes))
				stream_turn(w, s, 0);
		}
}

/*
 * The clock.
 */

static void deliver(struct world *w)
{
	wire_release_held(w);
	while (w->flying > 0 && w->heap[0].at_us <= w->now_us) {
		struct rte_mbuf *m = wire_heap_pop(w);

		mbufq_push(&w->rx[pkt_of(m)->port], m);
	}
}

static void turn(struct world *w)
{
	deliver(w);
	for (unsigned side = 0; side < 2; side++) {
		tcp_input(w->tcp[side], &w->rx[side], w->now_us);
		tcp_timers_run(w->tcp[side], w->now_us, 1000);
	}
	apps_run(w);
	for (unsigned side = 0; side < 2; side++)
		tcp_output(w->tcp[side], w->now_us);
}

static bool needs_ticks(const struct world *w)
{
	for (int i = 0; i < w->conns; i++)
		for (unsigned side = 0; side < 2; side++) {
			const struct stream *s = &w->stream[i][side];

			if (s->open && (s->plan.read_rate || s->plan.read_stall_us))
				return true;
		}
	return false;
}

static void advance(struct world *w, uint64_t end_us)
{
	uint64_t next = end_us;

	if (w->flying > 0 && w->heap[0].at_us < next)
		next = w->heap[0].at_us;
	for (unsigned i = 0; i < 2; i++) {
		next = RTE_MIN(next, tcp_next_us(w->tcp[i]));
		if (w->dir[i].held != NULL)
			next = RTE_MIN(next, w->dir[i].held_until_us);
	}
	if (needs_ticks(w))
		next = RTE_MIN(next, w->now_us + 1000);
	w->now_us = next > w->now_us ? next : w->now_us + 1;
}

static bool all_ended(const struct world *w)
{
	for (int i = 0; i < w->conns; i++)
		for (unsigned side = 0; side < 2; side++)
			if (!w->stream[i][side].res.ended &&
				(side == 0 || w->stream[i][0].res.connected))
				return false;
	return true;
}

bool world_run(struct world *w, uint64_t max_us)
{
	uint64_t end = w->now_us + max_us;

	while (w->now_us < end) {
		turn(w);
		if (all_ended(w))
			return true;
		advance(w, end);
	}
	return all_ended(w);
}

void world_run_for(struct world *w, uint64_t us)
{
	uint64_t end = w->now_us + us;

	while (w->now_us < end) {
		turn(w);
		advance(w, end);
	}
}

/*
 * Building.
 */

struct ip_addr world_addr(const struct world *w, unsigned side)
{
	uint8_t v4[4] = {10, 0, 0, (uint8_t)(1 + side)};
	uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = (uint8_t)(1 + side)};

	return w->cfg.v6 ? ip_from_v6(v6) : ip_from_v4(v4);
}

static void side_init(struct world *w, unsigned side)
{
	struct tcp_port_slice slice = {.first = 10000, .count = 50000};
	struct ip_addr addr = world_addr(w, side);
	char name[32];

	snprintf(name, sizeof(name), "sim%u", side);
	w->pool[side] = rte_pktmbuf_pool_create(name, w->cfg.mbufs, 0, PKT_PRIV_SIZE,
		RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	bug_on(w->pool[side] == NULL);
	w->net[side] = (struct net){w, side};
	rng_seed(&w->stack_rng[side], w->cfg.seed * 2 + side);
	w->tcp[side] = tcp_new(&w->cfg.tcp[side], &w->net[side], w->pool[side], &w->stack_rng[side],
		w->now_us);
	bug_on(w->tcp[side] == NULL);
	tcp_set_sources(w->tcp[side], &addr, 1);
	tcp_set_ports(w->tcp[side], &slice);
	mbufq_init(&w->rx[side]);
	w->dir[side].wire = w->cfg.wire[side];
}

struct world *world_new(const struct world_config *cfg)
{
	struct world *w = calloc(1, sizeof(*w));

	bug_on(w == NULL);
	w->cfg = *cfg;
	if (w->cfg.mtu == 0)
		w->cfg.mtu = 1500;
	if (w->cfg.mbufs == 0)
		w->cfg.mbufs = 16383;
	w->now_us = 1000000;
	w->heap = calloc(HEAP_MAX + 1, sizeof(*w->heap));
	rng_seed(&w->rng, cfg->seed);
	for (unsigned side = 0; side < 2; side++)
		side_init(w, side);
	w->listeners = calloc(1, sizeof(*w->listeners) + sizeof(w->listeners->e[0]));
	w->listeners->count = 1;
	w->listeners->e[0] = (struct tcp_listener){world_addr(w, 1), SERVER_PORT, 7};
	tcp_set_listeners(w->tcp[1], w->listeners);
	return w;
}

void world_free(struct world *w)
{
	while (w->flying > 0)
		rte_pktmbuf_free(wire_heap_pop(w));
	for (unsigned side = 0; side < 2; side++) {
		tcp_free(w->tcp[side]);
		rte_pktmbuf_free(w->dir[side].held);
	}
	for (unsigned side = 0; side < 2; side++)
		rte_mempool_free(w->pool[side]);
	free(w->listeners);
	free(w->heap);
	free(w);
}

int world_open(struct world *w, const struct stream_plan plan[2], enum tcp_reason *ret_why)
{
	struct ip_addr to = world_addr(w, 1);
	struct stream *s = w->stream[w->conns];
	enum tcp_reason why;

	bug_on(w->conns == STREAMS_MAX);
	for (unsigned side = 0; side < 2; side++) {
		s[side].used = true;
		s[side].side = side;
		s[side].plan = plan[side];
		s[side].seed_out = rng_u64(&w->rng);
	}
	s[0].seed_in = s[1].seed_out;
	s[1].seed_in = s[0].seed_out;
	s[0].opened_us = s[0].allowance_us = w->now_us;
	why = tcp_connect(w->tcp[0], &to, SERVER_PORT, &s[0], w->now_us, &s[0].c);
	if (ret_why != NULL)
		*ret_why = why;
	if (why != TCP_REASON_NONE)
		return -1;
	s[0].open = true;
	return w->conns++;
}

struct tcp *world_tcp(struct world *w, unsigned side)
{
	return w->tcp[side];
}

uint64_t world_now(const struct world *w)
{
	return w->now_us;
}

const struct wire_stats *world_wire_stats(const struct world *w, unsigned dir)
{
	return &w->dir[dir].stats;
}

const struct stream_result *world_result(const struct world *w, int conn, unsigned side)
{
	return &w->stream[conn][side].res;
}

void world_set_wire(struct world *w, unsigned dir, const struct wire *wire)
{
	w->dir[dir].wire = *wire;
}

bool world_is_clean(const struct world *w)
{
	for (unsigned side = 0; side < 2; side++) {
		struct tcp_usage u;

		tcp_usage(w->tcp[side], &u);
		if (u.conns || u.half_open || u.timewait || u.charged_bytes ||
			rte_mempool_in_use_count(w->pool[side]) != 0) {
			fprintf(stderr,
				"side %u: conns %u half-open %u timewait %u charged %u mbufs %u\n",
				side, u.conns, u.half_open, u.timewait, u.charged_bytes,
				rte_mempool_in_use_count(w->pool[side]));
			return false;
		}
	}
	return true;
}

uint64_t world_counter(const struct world *w, unsigned side, const char *name)
{
	unsigned n;
	const uint64_t *v = tcp_counters(w->tcp[side], &n);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(tcp_counter_name(i), name) == 0)
			return v[i];
	bug_on(true);
	return 0;
}

static void dump_stream(const struct world *w, int i, unsigned side)
{
	const struct stream *s = &w->stream[i][side];
	struct tcp_conn_info c = {.state = TCP_CLOSED};

	if (s->c != NULL)
		tcp_conn_info(s->c, w->now_us, &c);
	fprintf(stderr, "%d.%u %s sent %lu/%lu received %lu eof %d reason %s\n", i, side,
		tcp_state_str(c.state), s->sent, s->plan.send_bytes, s->res.received, s->res.eof,
		tcp_reason_str(s->res.reason));
	fprintf(stderr, "\tunacked %u unread %u windows %u/%u cwnd %u charged %u rto %u\n",
		c.unacked, c.unread, c.snd_wnd, c.rcv_wnd, c.cwnd, c.charged, c.rto_us);
}

void world_dump(struct world *w)
{
	for (int i = 0; i < w->conns; i++)
		if (!w->stream[i][0].res.ended || !w->stream[i][1].res.ended) {
			dump_stream(w, i, 0);
			dump_stream(w, i, 1);
		}
	for (unsigned side = 0; side < 2; side++) {
		unsigned n;
		const uint64_t *v = tcp_counters(w->tcp[side], &n);

		for (unsigned i = 0; i < n; i++)
			if (v[i] != 0)
				fprintf(stderr, "%u %s %lu\n", side, tcp_counter_name(i), v[i]);
	}
}
