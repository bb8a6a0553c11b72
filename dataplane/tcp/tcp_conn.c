// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_conn.c: a connection's slot, state, events and death.
 *
 * tcp_set_state() writes c->state and checks each move against RFC 9293 3.3.2's
 * diagram. A connection leaves the table in exactly two places: tcp_conn_die() (CLOSED) and
 * tcp_conn_to_timewait(). What remains then is a husk: unread data, if any, until its owner calls
 * tcp_close(), or nothing when it is an orphan.
 */
#include "dataplane/base/prefetch.h"
#include "dataplane/port/trace.h"
#include "dataplane/tcp/tcp_stack.h"

#define MOVE(s) (1u << (s))

static const uint16_t moves[TCP_STATE_COUNT] = {
	[TCP_SYN_SENT] = MOVE(TCP_SYN_RECEIVED) | MOVE(TCP_ESTABLISHED) | MOVE(TCP_CLOSED),
	[TCP_SYN_RECEIVED] = MOVE(TCP_ESTABLISHED) | MOVE(TCP_CLOSED),
	[TCP_ESTABLISHED] = MOVE(TCP_FIN_WAIT_1) | MOVE(TCP_CLOSE_WAIT) | MOVE(TCP_CLOSED),
	[TCP_FIN_WAIT_1] =
		MOVE(TCP_FIN_WAIT_2) | MOVE(TCP_CLOSING) | MOVE(TCP_TIME_WAIT) | MOVE(TCP_CLOSED),
	[TCP_FIN_WAIT_2] = MOVE(TCP_TIME_WAIT) | MOVE(TCP_CLOSED),
	[TCP_CLOSE_WAIT] = MOVE(TCP_LAST_ACK) | MOVE(TCP_CLOSED),
	[TCP_CLOSING] = MOVE(TCP_TIME_WAIT) | MOVE(TCP_CLOSED),
	[TCP_LAST_ACK] = MOVE(TCP_CLOSED),
	/* the last one: back from a parked record */
	[TCP_CLOSED] = MOVE(TCP_SYN_SENT) | MOVE(TCP_SYN_RECEIVED) | MOVE(TCP_ESTABLISHED),
};

void tcp_set_state(struct tcp *t, struct tcp_conn *c, enum tcp_state s)
{
	bug_on(!(moves[c->state] & MOVE(s)));
	trace_flow(&c->flow.local, c->flow.local_port, &c->flow.remote, c->flow.remote_port,
		"tcp_state", "%s -> %s", tcp_state_str(c->state), tcp_state_str(s));
	if (s == TCP_ESTABLISHED && c->state != TCP_CLOSED)
		tcp_count(t, TCP_N_ESTABLISHED);
	c->state = (uint8_t)s;
}

/* The oldest connection that nobody owns any more makes room. */
static bool evict_orphan(struct tcp *t)
{
	if (list_is_empty(&t->orphans))
		return false;
	tcp_count(t, TCP_N_ORPHAN_EVICTED);
	tcp_conn_reset(t, list_entry(t->orphans.next, struct tcp_conn, ready_link),
		TCP_REASON_ABORTED);
	return true;
}

struct tcp_conn *tcp_conn_alloc(struct tcp *t)
{
	struct list *l;
	struct tcp_conn *c;

	/* a parked connection keeps the place that it will want again */
	if (t->conns_used + t->parked.used >= t->cfg.conns_max && !evict_orphan(t))
		return NULL;
	l = list_pop(&t->conns_free);
	c = l != NULL ? list_entry(l, struct tcp_conn, ready_link) : &t->conns[t->conns_touched++];
	memset(c, 0, sizeof(*c));
	c->in_use = true;
	c->state = TCP_CLOSED;
	list_init(&c->out_link);
	list_init(&c->ready_link);
	timer_init(&c->timer);
	t->conns_used++;
	return c;
}

void tcp_conn_free(struct tcp *t, struct tcp_conn *c)
{
	bug_on(!c->in_use || !tcp_is_dead(c));
	mbufq_free(&c->rcvq);
	t->charged -= c->charged;
	list_del(&c->ready_link);
	c->in_use = false;
	list_add_head(&t->conns_free, &c->ready_link);
	t->conns_used--;
}

static uint32_t conn_ref(const struct tcp *t, const struct tcp_conn *c)
{
	return TCP_REF_CONN | (uint32_t)(c - t->conns);
}

struct tcp_flow_secrets tcp_flow_secrets(const struct tcp *t, const struct tcp_flow *f)
{
	uint64_t digest;
	uint8_t b[36];

	memcpy(b, f->local.b, 16);
	memcpy(b + 16, f->remote.b, 16);
	memcpy(b + 32, &f->local_port, 2);
	memcpy(b + 34, &f->remote_port, 2);
	digest = siphash(&t->flow_key, b, sizeof(b));
	return (struct tcp_flow_secrets){
		.isn = (uint32_t)(t->now_us / 4) + (uint32_t)digest,
		.ts_offset = (uint32_t)(digest >> 32),
	};
}

void tcp_conn_init(struct tcp *t, struct tcp_conn *c, const struct tcp_flow *f, uint64_t hash)
{
	c->flow = *f;
	c->hash = hash;
	c->bind = UINT32_MAX;
	c->budget = t->cfg.rcv_budget;
	c->rcvd_us = t->now_us;
	c->ack_every = TCP_ACK_EVERY;
	for (unsigned i = 0; i < TCP_DUE_COUNT; i++)
		c->due_us[i] = TIMER_NEVER;
	mbufq_init(&c->rcvq);
	mbufq_init(&c->sndq);
	tcp_reasm_init(&c->reasm);
	tcp_sack_init(&c->sack, c->iss);
	tcp_rack_init(&c->rack);
	tcp_rtt_init(&c->rtt, t->cfg.rto_initial_us);
	c->mtu = tcp_path_mtu(t, &f->remote, &c->dst);
	c->mss = c->mss_peer = c->rcv_mss = tcp_mss_of_mtu(&f->remote, c->mtu);
	tcp_cc_init(&c->cc, t->cfg.cc == 1 ? &tcp_cc_newreno : &tcp_cc_cubic, c->mss);
	tcp_recovery_init(c);
	tcp_table_insert(&t->table, hash, conn_ref(t, c));
}

/* Everything that a dead connection no longer needs; unread data stays. */
static void detach(struct tcp *t, struct tcp_conn *c)
{
	struct tcp_range *block = tcp_sack_shrink(&c->sack);
	uint32_t charge = tcp_reasm_fini(&c->reasm);

	if (block != NULL)
		t->ranges_free[t->ranges_free_count++] =
			(uint32_t)((block - t->ranges) / TCP_SACK_LARGE);
	c->charged -= charge;
	t->charged -= charge;
	c->released += mbufq_free(&c->sndq);
	c->snd_cursor = c->rtx_cursor = NULL;
	list_del(&c->out_link);
	timer_cancel(&t->timers, &c->timer);
	for (unsigned i = 0; i < TCP_DUE_COUNT; i++)
		c->due_us[i] = TIMER_NEVER;
	if (c->counted)
		tcp_source_remove(&t->source, &c->flow.remote);
	c->counted = false;
}

/* The husk goes to its owner, or away. */
static void hand_over(struct tcp *t, struct tcp_conn *c)
{
	if (c->orphan)
		tcp_conn_free(t, c);
	else
		tcp_event(t, c, TCP_EV_CLOSED | (c->released > 0 ? TCP_EV_SENT : 0));
}

void tcp_conn_die(struct tcp *t, struct tcp_conn *c, enum tcp_reason why)
{
	bug_on(tcp_is_dead(c));
	tcp_table_remove(&t->table, c->hash, conn_ref(t, c));
	detach(t, c);
	c->reason = (uint8_t)why;
	tcp_set_state(t, c, TCP_CLOSED);
	hand_over(t, c);
}

void tcp_conn_reset(struct tcp *t, struct tcp_conn *c, enum tcp_reason why)
{
	/* RFC 9293 3.10.5: in SYN-SENT there is nobody to reset */
	if (c->state != TCP_SYN_SENT)
		tcp_emit_rst(t, c);
	tcp_conn_die(t, c, why);
}

void tcp_conn_to_timewait(struct tcp *t, struct tcp_conn *c)
{
	struct tcp_timewait_record *r;
	uint32_t i;

	if (c->ack_now)
		tcp_emit_ack(t, c); /* of the FIN; a lost one is asked for again */
	i = tcp_timewait_enter(t);
	if (i == TCP_TIMEWAIT_NONE) { /* a table of size zero */
		tcp_conn_die(t, c, TCP_REASON_NONE);
		return;
	}
	r = &t->timewait.r[i];
	r->hash = c->hash;
	r->local_port = c->flow.local_port;
	r->remote_port = c->flow.remote_port;
	r->snd_nxt = c->sack.nxt;
	r->rcv_nxt = c->rcv_nxt;
	r->ts_on = c->ts_on;
	r->ts_recent = c->ts_recent;
	r->wnd = (uint16_t)RTE_MIN((c->rcv_adv - c->rcv_nxt) >> c->rcv_wscale, 0xffffu);
	r->until_ms = tcp_timewait_until_ms(t);
	tcp_table_replace(&t->table, c->hash, conn_ref(t, c), TCP_REF_TIMEWAIT | i);
	detach(t, c);
	tcp_set_state(t, c, TCP_TIME_WAIT);
	hand_over(t, c);
}

void tcp_conn_give_way(struct tcp *t, struct tcp_conn *c, uint32_t ref)
{
	tcp_table_replace(&t->table, c->hash, conn_ref(t, c), ref);
	detach(t, c);
	trace_flow(&c->flow.local, c->flow.local_port, &c->flow.remote, c->flow.remote_port,
		"tcp_parked", "at rest");
	c->state = TCP_CLOSED; /* of the slot, not of the connection */
	tcp_conn_free(t, c);
}

void tcp_event(struct tcp *t, struct tcp_conn *c, unsigned events)
{
	if (c->orphan || events == 0)
		return;
	c->events |= (uint8_t)events;
	if (list_is_linked(&c->ready_link))
		return;
	list_add_tail(&t->ready, &c->ready_link);
	prefetch_lines(c->user, TCP_USER_HOT); /* its owner will look at it soon */
}

void tcp_want_output(struct tcp *t, struct tcp_conn *c)
{
	if (!list_is_linked(&c->out_link))
		list_add_tail(&t->out, &c->out_link);
}

static uint32_t ip_header_len(const struct ip_addr *remote)
{
	return ip_is_v4(remote) ? 20 : 40;
}

uint16_t tcp_mss_of_mtu(const struct ip_addr *remote, uint16_t mtu)
{
	return (uint16_t)(mtu - ip_header_len(remote) - TCP_HEADER_LEN);
}

static uint16_t interface_mtu(struct tcp *t, const struct ip_addr *remote, struct net_dst *dst)
{
	uint16_t mtu = ip_route_mtu(t->net, remote, dst);

	if (mtu != 0)
		return mtu;
	return ip_is_v4(remote) ? 576 : 1280; /* no route yet: what every path carries */
}

uint16_t tcp_mss_announced(struct tcp *t, const struct ip_addr *remote, struct net_dst *dst)
{
	return tcp_mss_of_mtu(remote, interface_mtu(t, remote, dst));
}

uint16_t tcp_path_mtu(struct tcp *t, const struct ip_addr *remote, struct net_dst *dst)
{
	uint16_t mtu = interface_mtu(t, remote, dst);
	uint16_t known = tcp_pmtu_lookup(&t->pmtu, remote, t->now_us);

	return known != 0 && known < mtu ? known : mtu;
}

void tcp_conn_set_mtu(struct tcp *t, struct tcp_conn *c, uint16_t mtu)
{
	uint16_t mss = tcp_mss_of_mtu(&c->flow.remote, mtu);

	c->mtu = mtu;
	if (c->mss_peer < mss)
		mss = c->mss_peer;
	/* RFC 6691 2: the sender subtracts the options that every segment carries */
	c->mss = (uint16_t)(mss - (c->ts_on ? 12 : 0));
	tcp_cc_set_mss(&c->cc, c->mss);
}
