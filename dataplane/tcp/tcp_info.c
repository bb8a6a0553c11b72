// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_info.c: looking at connections and counters without changing them.
 */
#include "dataplane/tcp/tcp_stack.h"

static const char *const state_names[TCP_STATE_COUNT] = {
	[TCP_LISTEN] = "LISTEN",
	[TCP_SYN_SENT] = "SYN-SENT",
	[TCP_SYN_RECEIVED] = "SYN-RECEIVED",
	[TCP_ESTABLISHED] = "ESTABLISHED",
	[TCP_FIN_WAIT_1] = "FIN-WAIT-1",
	[TCP_FIN_WAIT_2] = "FIN-WAIT-2",
	[TCP_CLOSE_WAIT] = "CLOSE-WAIT",
	[TCP_CLOSING] = "CLOSING",
	[TCP_LAST_ACK] = "LAST-ACK",
	[TCP_TIME_WAIT] = "TIME-WAIT",
	[TCP_CLOSED] = "CLOSED",
};

static const char *const reason_names[TCP_REASON_COUNT] = {
	[TCP_REASON_NONE] = "none",
	[TCP_REASON_REFUSED] = "refused",
	[TCP_REASON_RESET] = "reset",
	[TCP_REASON_TIMEOUT] = "timeout",
	[TCP_REASON_KEEPALIVE] = "keepalive",
	[TCP_REASON_UNREACHABLE] = "unreachable",
	[TCP_REASON_ABORTED] = "aborted",
	[TCP_REASON_NO_PORT] = "no-port",
	[TCP_REASON_NO_CONN] = "no-conn",
	[TCP_REASON_NO_SOURCE] = "no-source",
};

static const struct {
	const char *name, *help;
} counters[TCP_N_COUNT] = {
#define TCP_COUNTER(name, text, help) {text, help},
#include "dataplane/tcp/tcp.def"
#undef TCP_COUNTER
};

const char *tcp_state_str(enum tcp_state s)
{
	return (unsigned)s < TCP_STATE_COUNT ? state_names[s] : "?";
}

const char *tcp_reason_str(enum tcp_reason r)
{
	return (unsigned)r < TCP_REASON_COUNT ? reason_names[r] : "?";
}

const uint64_t *tcp_counters(const struct tcp *t, unsigned *ret_count)
{
	*ret_count = TCP_N_COUNT;
	return t->counters;
}

const char *tcp_counter_name(unsigned i)
{
	return i < TCP_N_COUNT ? counters[i].name : "?";
}

const char *tcp_counter_help(unsigned i)
{
	return i < TCP_N_COUNT ? counters[i].help : "?";
}

void tcp_usage(const struct tcp *t, struct tcp_usage *ret)
{
	*ret = (struct tcp_usage){
		.conns = t->conns_used,
		.parked = t->parked.used,
		.unparked = t->unparked,
		.half_open = t->syns_used,
		.timewait = t->timewait.used,
		.charged_bytes = t->charged,
	};
}

uint32_t tcp_unacked(const struct tcp_conn *c)
{
	return c->sndq.bytes;
}

bool tcp_is_eof(const struct tcp_conn *c)
{
	return c->has_fin && seq_gt(c->rcv_nxt, c->fin_seq);
}

void *tcp_user(const struct tcp_conn *c)
{
	return c->user;
}

void tcp_prefetch(const struct tcp_conn *c)
{
	tcp_conn_prefetch(c);
}

void tcp_set_user(struct tcp_conn *c, void *user)
{
	c->user = user;
}

const struct tcp_flow *tcp_conn_flow(const struct tcp_conn *c)
{
	return &c->flow;
}

uint32_t tcp_conn_bind(const struct tcp_conn *c)
{
	return c->bind;
}

enum tcp_state tcp_conn_state(const struct tcp_conn *c)
{
	return c->state;
}

enum tcp_reason tcp_close_reason(const struct tcp_conn *c)
{
	return c->reason;
}

void tcp_conn_info(const struct tcp_conn *c, uint64_t now_us, struct tcp_conn_info *ret)
{
	*ret = (struct tcp_conn_info){
		.flow = c->flow,
		.state = c->state,
		.cwnd = c->cc.cwnd,
		.ssthresh = c->cc.ssthresh,
		.srtt_us = c->rtt.srtt_us,
		.rttvar_us = c->rtt.rttvar_us,
		.rto_us = c->rtt.rto_us,
		.snd_wnd = c->snd_wnd,
		.rcv_wnd = c->rcv_adv - c->rcv_nxt,
		.unacked = c->sndq.bytes,
		.unread = c->rcvq.bytes,
		.charged = c->charged,
		.bytes_in = c->bytes_in,
		.bytes_out = c->bytes_out,
		.retransmits = c->retransmits,
		.retransmits_spurious = c->retransmits_spurious,
		.mss = c->mss,
		.active = c->active,
		.user = c->user,
	};
}

/* Cursor: the slots of connections, then, from conns_max on, those of parked ones. */
bool tcp_foreach(const struct tcp *t, uint32_t *cursor, uint32_t max, tcp_info_fn fn, void *ctx)
{
	uint32_t parked = t->cfg.conns_max;
	struct tcp_conn_info info;

	for (; max > 0 && *cursor < t->conns_touched; max--, (*cursor)++) {
		if (!t->conns[*cursor].in_use)
			continue;
		tcp_conn_info(&t->conns[*cursor], t->now_us, &info);
		fn(&info, ctx);
	}
	if (*cursor >= t->conns_touched && *cursor < parked)
		*cursor = parked;
	for (; max > 0 && *cursor - parked < t->parked.touched; max--, (*cursor)++) {
		if (!t->parked.r[*cursor - parked].in_use)
			continue;
		tcp_parked_info(t, *cursor - parked, &info);
		fn(&info, ctx);
	}
	return *cursor >= parked + t->parked.touched;
}
