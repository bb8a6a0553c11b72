// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_connect.c: active opens: a source address, a source port, a SYN.
 *
 * A port is free when its 4-tuple is in no table of this worker. A TIME_WAIT record does not block
 * it once it is a second old and timestamps tell the two connections apart (the RFC 6191 argument,
 * seen from the opener's side: our timestamp clock is later, our ISS is above its last sequence
 * number). When every port is taken the answer is TCP_REASON_NO_PORT, and the search is not
 * repeated for that destination within a few milliseconds.
 */
#include "dataplane/tcp/tcp_stack.h"

#define REUSE_AFTER_MS 1000u /* RFC 6191 2: the timestamp clock has ticked */
#define NO_PORT_US 10000u

/* May <f> be opened? *ret_iss_min: above it the ISS must be, when *ret_has_min. */
static bool is_free(struct tcp *t, const struct tcp_flow *f, uint64_t hash, bool *ret_has_min,
	uint32_t *ret_iss_min)
{
	uint32_t ref = tcp_flow_lookup(t, f, hash), i = ref & TCP_REF_INDEX;
	struct tcp_timewait_record *r;

	*ret_has_min = false;
	if (ref == TCP_TABLE_NONE)
		return true;
	if ((ref & TCP_REF_KIND) != TCP_REF_TIMEWAIT)
		return false;
	r = &t->timewait.r[i];
	if (!r->ts_on || !t->cfg.timestamps ||
		tcp_timewait_until_ms(t) - r->until_ms < REUSE_AFTER_MS)
		return false;
	*ret_has_min = true;
	*ret_iss_min = r->snd_nxt;
	tcp_count(t, TCP_N_TIMEWAIT_REUSED);
	tcp_timewait_forget(t, i);
	return true;
}

struct choice {
	struct tcp_flow flow;
	uint64_t hash;
	bool has_min;
	uint32_t iss_min;
};

/* The next free port for the addresses in ch->flow. */
static bool choose_port(struct tcp *t, struct choice *ch)
{
	struct tcp_flow *f = &ch->flow;
	struct tcp_port_walk walk;

	tcp_port_walk(&t->ports, &f->local, &f->remote, f->remote_port, &walk);
	while (tcp_port_next(&walk, &f->local_port)) {
		ch->hash = tcp_flow_hash(t, f);
		if (is_free(t, f, ch->hash, &ch->has_min, &ch->iss_min)) {
			tcp_port_took(&t->ports, &walk);
			return true;
		}
	}
	return false;
}

/* Every source address of the family, beginning with another one each time. */
static enum tcp_reason choose(struct tcp *t, struct choice *ch)
{
	bool v4 = ip_is_v4(&ch->flow.remote), any = false;
	uint64_t dst = tcp_table_hash(&t->table, &ch->flow.remote, &ch->flow.remote, 0,
		ch->flow.remote_port);

	if (t->no_port_dst == dst && t->now_us < t->no_port_until_us)
		return TCP_REASON_NO_PORT;
	for (unsigned n = 0; n < t->source_count; n++) {
		unsigned i = (t->source_next + n) % t->source_count;

		if (ip_is_v4(&t->sources[i]) != v4)
			continue;
		any = true;
		ch->flow.local = t->sources[i];
		if (choose_port(t, ch)) {
			t->source_next = i + 1;
			return TCP_REASON_NONE;
		}
	}
	if (!any)
		return TCP_REASON_NO_SOURCE;
	t->no_port_dst = dst;
	t->no_port_until_us = t->now_us + NO_PORT_US;
	return TCP_REASON_NO_PORT;
}

/* The SYN of a connection whose flow is set; its timer starts. */
static void open_flow(struct tcp *t, struct tcp_conn *c, const struct choice *ch)
{
	struct tcp_flow_secrets secrets = tcp_flow_secrets(t, &c->flow);

	c->iss = secrets.isn;
	c->ts_offset = secrets.ts_offset;
	if (ch->has_min && !seq_gt(c->iss, ch->iss_min))
		c->iss = ch->iss_min + 1 + (uint32_t)rng_below(t->rng, 1u << 16);
	tcp_sack_reset(&c->sack, c->iss);
	tcp_recovery_init(c);
	c->snd_end = c->iss + 1;
	for (struct rte_mbuf *m = c->sndq.head; m != NULL; m = pkt_of(m)->next) {
		pkt_of(m)->seq = c->snd_end; /* written before the port was changed */
		c->snd_end += m->data_len;
	}
	c->rcv_adv = c->rcv_nxt = 0;
	tcp_sack_sent(&c->sack, 1, (uint32_t)t->now_us, 0);
	tcp_count(t, TCP_N_SYN_OUT);
	tcp_emit_syn(t, c); /* without an mbuf now, the timer sends it */
	tcp_due(c, TCP_DUE_REXMIT, t->now_us + tcp_rtt_timeout(&c->rtt, &t->rto));
	tcp_timer_arm(t, c);
}

static enum tcp_reason refused(struct tcp *t, enum tcp_reason why)
{
	static const enum tcp_counter n[TCP_REASON_COUNT] = {
		[TCP_REASON_NO_PORT] = TCP_N_CONNECT_NO_PORT,
		[TCP_REASON_NO_CONN] = TCP_N_CONNECT_NO_CONN,
		[TCP_REASON_NO_SOURCE] = TCP_N_CONNECT_NO_SOURCE,
		[TCP_REASON_UNREACHABLE] = TCP_N_CONNECT_NO_ROUTE,
	};

	tcp_count(t, n[why]);
	return why;
}

enum tcp_reason tcp_connect(struct tcp *t, const struct ip_addr *remote, uint16_t remote_port,
	void *user, uint64_t now_us, struct tcp_conn **ret)
{
	struct choice ch = {.flow = {.remote = *remote, .remote_port = remote_port}};
	struct net_dst dst = {0};
	enum tcp_reason why;
	struct tcp_conn *c;

	t->now_us = now_us;
	if (ip_route_mtu(t->net, remote, &dst) == 0)
		return refused(t, TCP_REASON_UNREACHABLE);
	c = tcp_conn_alloc(t);
	if (c == NULL)
		return refused(t, TCP_REASON_NO_CONN);
	why = choose(t, &ch);
	if (why != TCP_REASON_NONE) {
		tcp_conn_free(t, c);
		return refused(t, why);
	}
	tcp_conn_init(t, c, &ch.flow, ch.hash);
	c->active = true;
	c->user = user;
	tcp_set_state(t, c, TCP_SYN_SENT);
	open_flow(t, c, &ch);
	*ret = c;
	return TCP_REASON_NONE;
}

bool tcp_connect_next_port(struct tcp *t, struct tcp_conn *c)
{
	struct choice ch = {.flow = c->flow};
	uint32_t ref = TCP_REF_CONN | (uint32_t)(c - t->conns);

	if (!choose_port(t, &ch))
		return false;
	tcp_count(t, TCP_N_PORT_CHANGED);
	tcp_table_remove(&t->table, c->hash, ref);
	c->flow = ch.flow;
	c->hash = ch.hash;
	tcp_table_insert(&t->table, c->hash, ref);
	c->rtt.backoff = 0;
	c->retries = 0;
	c->syn_rtx = false;
	open_flow(t, c, &ch);
	return true;
}
