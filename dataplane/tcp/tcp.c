// SPDX-License-Identifier: Apache-2.0
/*
 * tcp.c: a worker's TCP from birth to death, and what the layer above calls.
 *
 * The folder in the order a packet sees it: tcp_input.c (verify, look up, the RFC's steps),
 * tcp_listen.c and tcp_accept.c (half-open), tcp_synsent.c and tcp_connect.c (active opens),
 * tcp_ack.c, tcp_recovery.c (loss and congestion), tcp_rcv.c (text), tcp_timer.c, tcp_output.c,
 * tcp_emit.c (bytes). Pure parts: tcp_options, tcp_sack, tcp_rack, tcp_reasm, tcp_rtt, tcp_cc_*,
 * tcp_cookie, tcp_port, tcp_source, tcp_pmtu, tcp_table, tcp_timewait.
 *
 * Who owns what: struct tcp owns the slots; an mbuf is owned by the queue it is on; a connection
 * belongs to its owner until tcp_close() or tcp_abort() and to TCP afterwards. All memory is taken
 * at tcp_new(). Nothing here looks at a clock or rolls dice: both are arguments.
 */
#include "dataplane/tcp/tcp_stack.h"
#include "dataplane/base/pages.h"

#include <stdlib.h>

/* Scoreboards for connections with loss: one for eight connections, and some. */
#define RANGE_BLOCKS(conns) ((conns) / 8 + 64)

void tcp_config_default(struct tcp_config *cfg)
{
	*cfg = (struct tcp_config){
		.conns_max = 65536,
		.timewait_max = 65536,
		.syn_backlog = 4096,
		.conns_per_source_max = 0,
		.rcv_budget = 512 * 1024,
		.rto_min_us = 200000,
		.rto_max_us = 60000000,
		.rto_initial_us = 1000000,
		.syn_retries = 5,
		.retries = 8,
		.delack_us = 40000,
		.timewait_us = 10000000,
		.fin_wait_2_us = 30000000,
		.linger_us = 2000000,
		.keepalive_us = 60000000,
		.keepalive_interval_us = 10000000,
		.keepalive_probes = 5,
		.sack = true,
		.timestamps = true,
		.window_scaling = true,
	};
}

static void *slots_alloc(size_t n, size_t size)
{
	size_t bytes = (n * size + 63) / 64 * 64;

	void *p = aligned_alloc(64, bytes > 0 ? bytes : 64);

	pages_wish_large(p, bytes);
	return p;
}

static bool alloc_slots(struct tcp *t)
{
	const struct tcp_config *cfg = &t->cfg;
	uint32_t blocks = RANGE_BLOCKS(cfg->conns_max);

	/* slots are cleared when first used, so memory that is never needed stays unmapped */
	t->conns = slots_alloc(cfg->conns_max, sizeof(*t->conns));
	t->syns = slots_alloc(cfg->syn_backlog, sizeof(*t->syns));
	t->ranges = slots_alloc((size_t)blocks * TCP_SACK_LARGE, sizeof(*t->ranges));
	t->ranges_free = slots_alloc(blocks, sizeof(*t->ranges_free));
	if (t->conns == NULL || t->syns == NULL || t->ranges == NULL || t->ranges_free == NULL)
		return false;
	for (uint32_t i = 0; i < blocks; i++)
		t->ranges_free[t->ranges_free_count++] = i;
	for (uint32_t i = cfg->syn_backlog; i > 0; i--) {
		t->syns[i - 1].next_free = t->syns_free;
		t->syns_free = i;
	}
	return true;
}

static bool alloc_tables(struct tcp *t)
{
	const struct tcp_config *cfg = &t->cfg;
	uint32_t flows = cfg->conns_max + cfg->syn_backlog + cfg->timewait_max;

	bug_on(flows > TCP_REF_INDEX);
	if (!tcp_table_init(&t->table, flows, t->rng) ||
		!tcp_timewait_init(&t->timewait, cfg->timewait_max) ||
		!tcp_parked_init(&t->parked, cfg->conns_max))
		return false;
	return cfg->conns_per_source_max == 0 ||
		tcp_source_init(&t->source, cfg->conns_max, t->rng);
}

static void make_secrets(struct tcp *t)
{
	for (unsigned i = 0; i < 2; i++)
		t->flow_key.k[i] = rng_u64(t->rng);
	tcp_cookies_init(&t->cookies, t->rng, t->now_us);
	tcp_pmtu_init(&t->pmtu, t->rng);
	tcp_ports_init(&t->ports, t->rng);
}

struct tcp *tcp_new(const struct tcp_config *cfg, struct net *net, struct rte_mempool *pool,
	struct rng *rng, uint64_t now_us)
{
	struct tcp *t = slots_alloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	memset(t, 0, sizeof(*t));
	t->cfg = *cfg;
	t->net = net;
	t->pool = pool;
	t->rng = rng;
	t->now_us = now_us;
	t->truesize = (uint32_t)(rte_pktmbuf_data_room_size(pool) + sizeof(struct rte_mbuf) +
		PKT_PRIV_SIZE);
	t->per_truesize = rte_reciprocal_value(t->truesize);
	t->rto = (struct tcp_rtt_limits){cfg->rto_min_us, cfg->rto_max_us};
	list_init(&t->conns_free);
	list_init(&t->ready);
	list_init(&t->out);
	list_init(&t->orphans);
	timer_wheel_init(&t->timers, now_us);
	timer_wheel_init(&t->syn_timers, now_us);
	make_secrets(t);
	if (!alloc_slots(t) || !alloc_tables(t)) {
		tcp_free(t);
		return NULL;
	}
	return t;
}

void tcp_free(struct tcp *t)
{
	if (t == NULL)
		return;
	for (uint32_t i = 0; i < t->conns_touched; i++) {
		struct tcp_conn *c = &t->conns[i];

		if (!c->in_use)
			continue;
		mbufq_free(&c->rcvq);
		mbufq_free(&c->sndq);
		tcp_reasm_fini(&c->reasm);
	}
	tcp_source_fini(&t->source);
	tcp_parked_fini(&t->parked);
	tcp_timewait_fini(&t->timewait);
	tcp_table_fini(&t->table);
	free(t->ranges_free);
	free(t->ranges);
	free(t->syns);
	free(t->conns);
	free(t);
}

void tcp_set_listeners(struct tcp *t, const struct tcp_listeners *l)
{
	t->listeners = l;
}

void tcp_set_sources(struct tcp *t, const struct ip_addr *addrs, unsigned count)
{
	t->source_count = RTE_MIN(count, (unsigned)TCP_SOURCES_MAX);
	memcpy(t->sources, addrs, t->source_count * sizeof(*addrs));
	t->source_next = 0;
}

void tcp_set_ports(struct tcp *t, const struct tcp_port_slice *slice)
{
	t->ports.slice = *slice;
}

void tcp_set_draining(struct tcp *t, bool draining)
{
	t->draining = draining;
}

static bool flow_eq(const struct tcp_flow *a, const struct tcp_flow *b)
{
	return a->local_port == b->local_port && a->remote_port == b->remote_port &&
		ip_eq(&a->remote, &b->remote) && ip_eq(&a->local, &b->local);
}

uint32_t tcp_flow_lookup(const struct tcp *t, const struct tcp_flow *f, uint64_t hash)
{
	struct tcp_table_iter it;
	uint32_t ref;

	for (ref = tcp_table_first(&t->table, &it, hash); ref != TCP_TABLE_NONE;
		ref = tcp_table_next(&t->table, &it)) {
		uint32_t i = ref & TCP_REF_INDEX;
		const struct tcp_timewait_record *r;

		if ((ref & TCP_REF_KIND) == TCP_REF_CONN) {
			if (flow_eq(&t->conns[i].flow, f))
				return ref;
			continue;
		}
		if ((ref & TCP_REF_KIND) == TCP_REF_PARKED) {
			if (flow_eq(&t->parked.r[i].flow, f))
				return ref;
			continue;
		}
		if ((ref & TCP_REF_KIND) == TCP_REF_SYN) {
			if (flow_eq(&t->syns[i].flow, f))
				return ref;
			continue;
		}
		r = &t->timewait.r[i];
		if (r->hash == hash && r->local_port == f->local_port &&
			r->remote_port == f->remote_port)
			return ref;
	}
	return TCP_TABLE_NONE;
}

/*
 * The layer above.
 */

struct tcp_conn *tcp_ready_pop(struct tcp *t, uint32_t *ret_events)
{
	struct list *l = list_pop(&t->ready);
	struct tcp_conn *c;

	if (l == NULL)
		return NULL;
	c = list_entry(l, struct tcp_conn, ready_link);
	*ret_events = c->events;
	c->events = 0;
	if (unlikely(*ret_events & TCP_EV_UNPARKED))
		t->unparked--;
	return c;
}

uint32_t tcp_read(struct tcp *t, struct tcp_conn *c, struct mbufq *dst, uint32_t max)
{
	uint32_t n = RTE_MIN(max, c->rcvq.bytes), before = dst->bytes;

	if (n == c->rcvq.bytes)
		mbufq_move(dst, &c->rcvq);
	else if (!mbufq_split(dst, &c->rcvq, n, t->pool))
		tcp_count(t, TCP_N_NO_MBUF);
	return dst->bytes - before;
}

const struct mbufq *tcp_peek(const struct tcp_conn *c)
{
	return &c->rcvq;
}

static void update_window(struct tcp *t, struct tcp_conn *c)
{
	if (!tcp_is_synchronized(c) || c->has_fin || !tcp_window_update_is_due(t, c))
		return;
	tcp_count(t, TCP_N_WINDOW_UPDATE);
	c->ack_now = true;
	tcp_want_output(t, c);
}

void tcp_credit(struct tcp *t, struct tcp_conn *c, uint32_t bytes)
{
	bug_on(bytes > c->charged);
	c->charged -= bytes;
	t->charged -= bytes;
	update_window(t, c);
}

void tcp_set_budget(struct tcp *t, struct tcp_conn *c, uint32_t bytes)
{
	c->budget = bytes;
	update_window(t, c);
}

void tcp_write(struct tcp *t, struct tcp_conn *c, struct mbufq *q)
{
	if (tcp_is_dead(c) || c->fin_queued) {
		c->released += mbufq_free(q);
		tcp_event(t, c, TCP_EV_SENT);
		return;
	}
	for (struct rte_mbuf *m = q->head; m != NULL; m = pkt_of(m)->next) {
		pkt_of(m)->seq = c->snd_end;
		c->snd_end += m->data_len;
	}
	mbufq_move(&c->sndq, q);
	tcp_want_output(t, c);
}

void tcp_shutdown(struct tcp *t, struct tcp_conn *c)
{
	if (c->fin_queued || tcp_is_dead(c))
		return;
	c->fin_queued = true;
	/* RFC 9293 3.10.4: before ESTABLISHED the FIN waits for the handshake */
	if (c->state == TCP_ESTABLISHED)
		tcp_set_state(t, c, TCP_FIN_WAIT_1);
	else if (c->state == TCP_CLOSE_WAIT)
		tcp_set_state(t, c, TCP_LAST_ACK);
	tcp_want_output(t, c);
}

/* From here on nobody but TCP knows the connection. */
static void disown(struct tcp *t, struct tcp_conn *c)
{
	mbufq_free(&c->rcvq);
	tcp_reasm_fini(&c->reasm);
	t->charged -= c->charged;
	c->charged = 0;
	c->user = NULL;
	c->events = 0;
	list_del(&c->ready_link);
	c->orphan = true;
}

void tcp_close(struct tcp *t, struct tcp_conn *c, uint64_t now_us)
{
	t->now_us = now_us;
	disown(t, c);
	if (tcp_is_dead(c)) {
		tcp_conn_free(t, c);
		return;
	}
	if (c->state == TCP_SYN_SENT) { /* RFC 9293 3.10.4: delete the TCB */
		tcp_conn_die(t, c, TCP_REASON_ABORTED);
		return;
	}
	list_add_tail(&t->orphans, &c->ready_link);
	c->linger_us = now_us + t->cfg.linger_us;
	tcp_shutdown(t, c);
	tcp_idle_restart(t, c);
	tcp_timer_arm(t, c);
}

void tcp_abort(struct tcp *t, struct tcp_conn *c, uint64_t now_us)
{
	t->now_us = now_us;
	disown(t, c);
	if (tcp_is_dead(c))
		tcp_conn_free(t, c);
	else
		tcp_conn_reset(t, c, TCP_REASON_ABORTED);
}

uint32_t tcp_charge_take(struct tcp_conn *c)
{
	uint32_t n = tcp_released_take(c);

	for (struct rte_mbuf *m = c->sndq.head; m != NULL; m = pkt_of(m)->next) {
		n += pkt_of(m)->charge;
		pkt_of(m)->charge = 0;
	}
	return n;
}

uint32_t tcp_released_take(struct tcp_conn *c)
{
	uint32_t n = c->released;

	c->released = 0;
	return n;
}
