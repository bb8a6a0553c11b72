// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_stack.h: one worker's TCP, and the functions by which the files of this folder meet.
 *
 * References in the table carry their kind in the two upper bits, so one look-up finds a full
 * connection, a half-open one or a TIME_WAIT record.
 */
#pragma once

#include <rte_reciprocal.h>

#include "dataplane/tcp/tcp_conn.h"
#include "dataplane/tcp/tcp_cookie.h"
#include "dataplane/tcp/tcp_counter.h"
#include "dataplane/tcp/tcp_parked.h"
#include "dataplane/tcp/tcp_pmtu.h"
#include "dataplane/tcp/tcp_port.h"
#include "dataplane/tcp/tcp_segment.h"
#include "dataplane/tcp/tcp_source.h"
#include "dataplane/tcp/tcp_table.h"
#include "dataplane/tcp/tcp_timewait.h"

#define TCP_REF_KIND 0xc0000000u
#define TCP_REF_CONN 0x00000000u
#define TCP_REF_SYN 0x40000000u
#define TCP_REF_TIMEWAIT 0x80000000u
#define TCP_REF_PARKED 0xc0000000u
#define TCP_REF_INDEX 0x3fffffffu

#define TCP_SOURCES_MAX 64
#define TCP_RCV_WSCALE 7  /* windows up to 8 MiB in steps of 128 bytes */
#define TCP_MSS_MIN 64	  /* what a peer announces below this is not obeyed */
#define TCP_RETRY_US 5000 /* wait for mbufs to come back */
#define TCP_USER_HOT 320  /* bytes of an owner's object that are asked for with an event */

/* A half-open passive connection: all that SYN-RECEIVED needs (RFC 4987 3.2, SYN cache). */
struct tcp_syn {
	struct timer timer;
	struct tcp_flow flow;
	uint32_t next_free; /* index + 1 while free */
	uint64_t hash;
	uint64_t sent_us; /* last SYN-ACK */
	uint32_t irs, iss;
	uint32_t ts_recent, ts_offset;
	uint32_t bind;
	struct net_dst dst;
	uint16_t mss;	 /* the peer's */
	uint16_t wnd;	 /* of the SYN */
	uint8_t wscale;	 /* the peer's */
	uint8_t retries; /* by our timer */
	bool again;	 /* the peer asked for another SYN-ACK: its ACK times neither */
	bool ts_on, sack_on, ws_on;
	bool cookie; /* made from a SYN cookie: nothing is known about time */
};

struct tcp_challenge { /* RFC 5961 7, 10: how many challenge ACKs may go out */
	uint64_t second;
	uint32_t left;
};

struct tcp {
	struct tcp_config cfg;
	struct net *net;		    /* borrowed for life */
	struct rte_mempool *pool;	    /* borrowed for life */
	struct rng *rng;		    /* borrowed for life */
	uint64_t now_us;		    /* of the call in progress */
	uint32_t truesize;		    /* of an mbuf of <pool> */
	struct rte_reciprocal per_truesize; /* divides by it without a division */
	struct tcp_rtt_limits rto;

	struct tcp_table table;
	struct tcp_conn *conns;	       /* owned, cfg.conns_max slots */
	struct list conns_free;	       /* by ready_link */
	uint32_t conns_touched;	       /* slots [0, touched) have been used once */
	uint32_t conns_used, unparked; /* unparked: of them, back from parking and not popped */
	struct list ready;	       /* connections with events */
	struct list out;	       /* connections that may have to send */
	struct list orphans;	       /* oldest first */
	struct timer_wheel timers;
	struct tcp_range *ranges; /* owned, blocks of TCP_SACK_LARGE */
	uint32_t *ranges_free;	  /* owned, stack of block numbers */
	uint32_t ranges_free_count;

	struct tcp_syn *syns; /* owned, cfg.syn_backlog slots */
	uint32_t syns_free;   /* index + 1 of the first free one; 0: none */
	uint32_t syns_used;
	struct timer_wheel syn_timers;
	struct tcp_cookies cookies;
	struct tcp_timewait timewait;
	struct tcp_parked parked; /* with conns_used at most cfg.conns_max */
	struct tcp_source_table source;
	struct tcp_pmtu pmtu;

	const struct tcp_listeners *listeners; /* borrowed until the next tcp_set_listeners() */
	bool draining;
	struct ip_addr sources[TCP_SOURCES_MAX];
	unsigned source_count, source_next;
	struct tcp_ports ports;
	uint64_t no_port_dst, no_port_until_us; /* the last destination without a free port */

	struct hash_key flow_key;
	struct tcp_challenge challenge;
	uint32_t charged; /* sum over connections */
	uint64_t counters[TCP_N_COUNT + 1];
};

static inline void tcp_count(struct tcp *t, enum tcp_counter n)
{
	t->counters[n]++;
}

/* tcp.c */
/* The flow's reference in the table or TCP_TABLE_NONE. */
uint32_t tcp_flow_lookup(const struct tcp *t, const struct tcp_flow *f, uint64_t hash);
static inline uint64_t tcp_flow_hash(const struct tcp *t, const struct tcp_flow *f)
{
	return tcp_table_hash(&t->table, &f->local, &f->remote, f->local_port, f->remote_port);
}

/* tcp_conn.c: slots, states, events, death */
struct tcp_conn *tcp_conn_alloc(struct tcp *t);
void tcp_conn_free(struct tcp *t, struct tcp_conn *c);
/* ISS, timestamp offset and scoreboard are the caller's to set. */
void tcp_conn_init(struct tcp *t, struct tcp_conn *c, const struct tcp_flow *f, uint64_t hash);
void tcp_set_state(struct tcp *t, struct tcp_conn *c, enum tcp_state s);
/* Tells the owner, who finds the connection on the ready list. */
void tcp_event(struct tcp *t, struct tcp_conn *c, unsigned events);
/* The connection is over: out of the table, timers off; an orphan is freed at once. */
void tcp_conn_die(struct tcp *t, struct tcp_conn *c, enum tcp_reason why);
/* RST to the peer, then the above. */
void tcp_conn_reset(struct tcp *t, struct tcp_conn *c, enum tcp_reason why);
/* From the last FIN on the flow is a TIME_WAIT record; the connection is dead. */
void tcp_conn_to_timewait(struct tcp *t, struct tcp_conn *c);
/* The table knows the flow by <ref> from here on; the connection is free without a trace. */
void tcp_conn_give_way(struct tcp *t, struct tcp_conn *c, uint32_t ref);
void tcp_want_output(struct tcp *t, struct tcp_conn *c);
/* What nobody else can know of a flow: one digest under a key of ours, half of it for each. */
struct tcp_flow_secrets {
	uint32_t isn;	    /* RFC 6528 3: M + F(flow, secret), M ticks every 4 microseconds */
	uint32_t ts_offset; /* RFC 7323 5.4: so that timestamps tell nothing about our uptime */
};
struct tcp_flow_secrets tcp_flow_secrets(const struct tcp *t, const struct tcp_flow *f);
static inline uint32_t tcp_ts_now(const struct tcp *t, uint32_t offset)
{
	return (uint32_t)(t->now_us / 1000) + offset;
}
/* Sets MSS and what depends on it from the path's MTU and the peer's MSS. */
void tcp_conn_set_mtu(struct tcp *t, struct tcp_conn *c, uint16_t mtu);
/* The MSS of an MTU (RFC 6691: options are not subtracted). */
uint16_t tcp_mss_of_mtu(const struct ip_addr *remote, uint16_t mtu);
/* What we announce: the interface's, because a narrow path narrows one direction only. */
uint16_t tcp_mss_announced(struct tcp *t, const struct ip_addr *remote, struct net_dst *dst);
/* Of a new connection: the interface's, or less when the path is known to have less. */
uint16_t tcp_path_mtu(struct tcp *t, const struct ip_addr *remote, struct net_dst *dst);

/* tcp_input.c: a segment for a full connection; takes s->m */
void tcp_conn_input(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s);
/* tcp_synsent.c: RFC 9293 3.10.7.3 */
void tcp_synsent_input(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s);
/* The handshake is complete; the SYN is acknowledged. */
void tcp_established(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s);
/* Options of the peer's SYN. */
void tcp_synsent_negotiate(struct tcp *t, struct tcp_conn *c, const struct tcp_segment *s);

/* RFC 7323 5.3 R1, 5.5: is <tsval> older than what the peer has said within the last 24 days? */
#define TCP_PAWS_IDLE_US (24ull * 86400 * 1000000)
static inline bool tcp_ts_is_old(const struct tcp *t, const struct tcp_conn *c, uint32_t tsval)
{
	return seq_lt(tsval, c->ts_recent) && t->now_us - c->ts_recent_us < TCP_PAWS_IDLE_US;
}

/* tcp_ack.c: step 5; false: the segment ends here (or the connection did) */
bool tcp_ack_input(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s);
/*
 * Does <s>, which is in order, acknowledge what was sent once in the order it was sent, with nothing
 * known to be lost, no probe out and no window closed? Then tcp_ack_plain() is all of step 5.
 */
bool tcp_ack_is_plain(const struct tcp_conn *c, const struct tcp_segment *s);
void tcp_ack_plain(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s);
/* tcp_rcv.c: steps 7 and 8; may take s->m */
void tcp_text_input(struct tcp *t, struct tcp_conn *c, struct tcp_segment *s);
/* An ACK is owed: now, or with the next data or after the delay. */
void tcp_ack_owe(struct tcp *t, struct tcp_conn *c);

/* tcp_window.c: the window that we announce */
/* Right edge that the budget allows. */
uint32_t tcp_window_edge(const struct tcp *t, const struct tcp_conn *c);
/* The field of the next segment; moves rcv_adv. */
uint16_t tcp_window_announce(const struct tcp *t, struct tcp_conn *c);
/* Would announcing the window now be worth a segment of its own? */
bool tcp_window_update_is_due(const struct tcp *t, const struct tcp_conn *c);
void tcp_window_note_segment(struct tcp_conn *c, uint32_t len);

/* tcp_recovery.c */
struct tcp_ack_event {
	struct tcp_delivery d;
	uint32_t acked;	 /* bytes, in order */
	uint32_t flight; /* pipe before the ACK */
	uint32_t rtt_us; /* 0: no sample */
	bool is_dup;	 /* RFC 5681 2 */
	bool dsack;	 /* a retransmission of ours was reported as a duplicate */
	bool echo_old;	 /* TSecr is from before the first retransmission: Eifel */
	bool echo_rtx;	 /* TSecr proves that a retransmission arrived */
};
void tcp_recovery_init(struct tcp_conn *c);
void tcp_recovery_on_ack(struct tcp *t, struct tcp_conn *c, struct tcp_ack_event *e);
/* The same for what tcp_ack_is_plain() allows. */
void tcp_recovery_on_plain_ack(struct tcp *t, struct tcp_conn *c, const struct tcp_ack_event *e);
void tcp_recovery_on_rto(struct tcp *t, struct tcp_conn *c);
void tcp_recovery_on_reorder_timer(struct tcp *t, struct tcp_conn *c);
/* One segment of <len> bytes is about to be sent again, or was sent for the first time. */
void tcp_recovery_on_rtx(struct tcp *t, struct tcp_conn *c, uint32_t seq, uint32_t len);
static inline void tcp_recovery_on_sent(struct tcp_conn *c, uint32_t len)
{
	c->rec.prr_out += len;
}
/* Is the duplicate report about a retransmission of ours, or has the network duplicated? */
bool tcp_recovery_is_ours(struct tcp_conn *c, const struct tcp_sack_block *b);
/* Bytes believed to be in the network. */
static inline uint32_t tcp_pipe(const struct tcp_conn *c)
{
	uint32_t pipe = tcp_sack_pipe(&c->sack);

	return pipe > c->rec.reno_sacked ? pipe - c->rec.reno_sacked : 0;
}
/* May <len> bytes more go out? Notes when cwnd says no. */
static inline bool tcp_cwnd_allows(struct tcp_conn *c, uint32_t len)
{
	uint32_t pipe = tcp_pipe(c);

	if (pipe == 0 || pipe + len <= c->cc.cwnd)
		return true;
	c->rec.cwnd_limited = true;
	return false;
}

/* tcp_output.c */
/* Sends as much as the windows allow, or the ACK that is owed. */
void tcp_conn_output(struct tcp *t, struct tcp_conn *c);
/* Sends the lost bytes at the head, whatever the windows say; false when there was no mbuf. */
bool tcp_retransmit_head(struct tcp *t, struct tcp_conn *c);
/* Sends new data or the last segment again (tail loss probe). */
void tcp_send_tail_probe(struct tcp *t, struct tcp_conn *c);
/* One byte into a closed window, or what fits a small one; false when there was no mbuf. */
bool tcp_send_window_probe(struct tcp *t, struct tcp_conn *c);

/* tcp_emit.c: bytes on the wire; all return false when there was no mbuf */
bool tcp_emit_data(struct tcp *t, struct tcp_conn *c, uint32_t seq, uint32_t len);
bool tcp_emit_ack(struct tcp *t, struct tcp_conn *c);
/* The same with SND.NXT - 1: RFC 9293 3.8.4. */
bool tcp_emit_keepalive(struct tcp *t, struct tcp_conn *c);
bool tcp_emit_rst(struct tcp *t, struct tcp_conn *c);
bool tcp_emit_syn(struct tcp *t, struct tcp_conn *c);
struct tcp_raw { /* a segment without a connection */
	const struct tcp_flow *flow;
	uint32_t seq, ack;
	uint16_t wnd;
	uint8_t flags;
	struct tcp_options opt;
};
bool tcp_emit_raw(struct tcp *t, const struct tcp_raw *r, struct net_dst *dst);
/* RFC 9293 3.10.7.1: the reset that answers <s>. */
void tcp_emit_reset_for(struct tcp *t, const struct tcp_flow *f, const struct tcp_segment *s);
/* RFC 5961: an ACK that makes a real peer prove itself; rate-limited. */
void tcp_challenge_ack(struct tcp *t, struct tcp_conn *c);
bool tcp_challenge_allowed(struct tcp *t);

/* tcp_timer.c */
void tcp_due(struct tcp_conn *c, enum tcp_deadline which, uint64_t at_us);
/* Brings the wheel in line with due_us. */
void tcp_timer_arm(struct tcp *t, struct tcp_conn *c);
/* RFC 6298 5.1-5.3 and persist: what the retransmission timer should be doing now. */
void tcp_rexmit_restart(struct tcp *t, struct tcp_conn *c);
void tcp_rexmit_ensure(struct tcp *t, struct tcp_conn *c);
/* RFC 8985 7.2: arms the tail loss probe when its conditions hold. */
void tcp_probe_schedule(struct tcp *t, struct tcp_conn *c);
/* The peer was heard: keepalive starts anew; an orphan made progress. */
void tcp_idle_restart(struct tcp *t, struct tcp_conn *c);

/* tcp_listen.c */
void tcp_listen_input(struct tcp *t, const struct tcp_flow *f, uint64_t hash,
	struct tcp_segment *s);
void tcp_syn_input(struct tcp *t, struct tcp_syn *y, struct tcp_segment *s);
void tcp_syn_timers_run(struct tcp *t, unsigned budget);
const struct tcp_listener *tcp_listener_lookup(const struct tcp *t, const struct ip_addr *addr,
	uint16_t port);
/* A SYN that replaces a TIME_WAIT record; the ISS must be above <iss_min>. */
void tcp_listen_syn(struct tcp *t, const struct tcp_flow *f, uint64_t hash,
	const struct tcp_listener *l, const struct tcp_segment *s, const uint32_t *iss_min);
/* The window of a SYN-ACK, never scaled. */
uint16_t tcp_syn_window(const struct tcp *t);
/* tcp_accept.c: from half-open to open */
void tcp_accept(struct tcp *t, const struct tcp_syn *y, struct tcp_segment *s);

/* tcp_parked.c */
/* Whole again, on the ready list. */
struct tcp_conn *tcp_unpark(struct tcp *t, uint32_t index);
/* Unparks those whose time has come, at most <budget>; returns how many. */
unsigned tcp_parked_run(struct tcp *t, unsigned budget);
void tcp_parked_info(const struct tcp *t, uint32_t index, struct tcp_conn_info *ret);

/* tcp_timewait_input.c */
void tcp_timewait_input(struct tcp *t, uint32_t index, const struct tcp_flow *f, uint64_t hash,
	struct tcp_segment *s);
/* A record, at the cost of the oldest when there is no room; TCP_TIMEWAIT_NONE: a table of none. */
uint32_t tcp_timewait_enter(struct tcp *t);
/* Out of the table; its slot is free. */
void tcp_timewait_forget(struct tcp *t, uint32_t i);
/* When a wait that begins now ends. */
uint32_t tcp_timewait_until_ms(const struct tcp *t);
void tcp_timewait_run(struct tcp *t);

/* tcp_connect.c */
/* Takes another source port for a connection in SYN_SENT and sends its SYN from there. */
bool tcp_connect_next_port(struct tcp *t, struct tcp_conn *c);
/* The MSS that a SYN's options stand for, bounded from below. */
uint16_t tcp_peer_mss(const struct tcp *t, const struct ip_addr *remote,
	const struct tcp_options *o);
