// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_conn.h: the connection, open to tcp/ and its tests only.
 *
 * Names are RFC 9293's (3.3.1). SND.UNA and SND.NXT live in the scoreboard (c->sack.una, .nxt),
 * which also holds our SYN and FIN as the one sequence number each of them is.
 */
#pragma once

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>

#include "dataplane/base/list.h"
#include "dataplane/base/prefetch.h"
#include "dataplane/base/timer_wheel.h"
#include "dataplane/net/ip.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/tcp/tcp_cc.h"
#include "dataplane/tcp/tcp_rack.h"
#include "dataplane/tcp/tcp_reasm.h"
#include "dataplane/tcp/tcp_rtt.h"
#include "dataplane/tcp/tcp_sack.h"

/* A connection has one timer in the wheel, set to the earliest of these (tcp_timer.c). */
enum tcp_deadline {
	TCP_DUE_REXMIT = 0, /* RTO, or persist when c->persist */
	TCP_DUE_PROBE,	    /* tail loss probe, RFC 8985 7 */
	TCP_DUE_REORDER,    /* RACK's reordering window is over */
	TCP_DUE_DELACK,
	TCP_DUE_IDLE,  /* keepalive; of an orphan: its end */
	TCP_DUE_RETRY, /* there was no mbuf to send with */
	TCP_DUE_COUNT
};

enum tcp_phase {
	TCP_PHASE_OPEN = 0, /* no loss known */
	TCP_PHASE_RECOVERY, /* fast recovery, RFC 6675 / 6582 */
	TCP_PHASE_LOSS,	    /* after a retransmission timeout */
};

#define TCP_RTX_LOG 6
#define TCP_ACK_EVERY 2u /* segments, RFC 9293 3.8.6.3 */

/* Loss recovery (tcp_recovery.c). What is looked at without a loss comes first. */
struct tcp_recovery {
	uint8_t phase;	   /* enum tcp_phase */
	uint8_t dupacks;   /* without SACK: duplicate ACKs since SND.UNA moved */
	uint8_t dupthresh; /* without SACK: grows when reordering is proved */
	bool can_undo;	   /* what undo_* remembers is still worth returning to */
	bool force;	   /* one retransmission may go out whatever the window says */
	bool frto;	   /* RFC 5682: the timeout may have been spurious */
	bool rto_unsent;   /* the timeout's retransmission still waits for an mbuf */
	bool has_rtx_ts;
	bool tlp_out;	      /* a tail loss probe is unanswered */
	bool tlp_rtx;	      /* ... and it was a retransmission */
	bool go_back;	      /* the last phase was LOSS: duplicate ACKs may be of our making */
	bool cwnd_limited;    /* cwnd, not data or the peer's window, stopped the sender */
	uint32_t reno_sacked; /* without SACK: bytes that duplicate ACKs say have arrived */
	uint32_t prr_out;     /* RFC 6937, with prr_delivered and prr_flight */
	uint32_t recover;     /* SND.NXT when the phase began; RFC 6582 recover */
	uint32_t rtx_ts;      /* TSval of the first retransmission of the phase (Eifel) */
	struct tcp_sack_block rtx_log[TCP_RTX_LOG]; /* retransmissions not proved needless yet */
	uint32_t rtx_count;    /* retransmissions of the phase; many: no undo by DSACK */
	uint32_t rtx_needless; /* ... of which a DSACK was seen */
	uint32_t tlp_end;      /* SND.NXT after the probe */
	uint32_t rto_us;       /* time of the timeout, low 32 bits (F-RTO) */
	uint32_t undo_una;     /* SND.UNA when the phase began */
	uint32_t undo_cwnd, undo_ssthresh;
	uint32_t prr_delivered, prr_flight;
};

/*
 * Drawn by cache line: with many connections every line of this is a miss. Lines 5, 7, 8, 10 and 11
 * are of no use to a stream to which nothing unusual happens: there lie the tails of structures
 * whose heads end the line before. tcp_conn_prefetch() leaves them out.
 */
struct tcp_conn {
	/* line 0: who it is, whose, and does it owe something */
	alignas(64) struct tcp_flow flow;
	uint8_t state;	      /* enum tcp_state; written by tcp_set_state() only */
	uint8_t reason;	      /* enum tcp_reason, once dead */
	uint8_t events;	      /* TCP_EV_* not taken by the owner yet */
	bool in_use;	      /* the slot holds a connection */
	void *user;	      /* owner's */
	struct list out_link; /* on tcp.out while something may have to be sent */

	/* line 1: receiving */
	uint32_t rcv_nxt;
	uint32_t rcv_adv;	/* right edge of the window that was announced */
	uint32_t last_ack_sent; /* RFC 7323 4.3 */
	uint32_t ts_recent;
	uint32_t charged; /* truesize held on our account, read but not credited included */
	uint32_t budget;
	struct mbufq rcvq;     /* owned; in order, unread */
	uint16_t rcv_mss;      /* payload of the segments that the peer sends, see tcp_window.c */
	uint16_t rcv_mss_seen; /* largest of the current sample */
	uint8_t rcv_mss_count; /* segments in it */
	uint8_t ack_pending;   /* segments received since the last ACK was sent */
	uint8_t ack_every;     /* send one when so many are pending; grows within a turn */
	uint8_t quick_acks;    /* full segments still to be acknowledged at once */
	uint8_t rcv_wscale;    /* shift of the windows we announce */
	uint8_t snd_wscale;    /* shift of the windows we receive */
	bool ack_now;	       /* an ACK is owed and may not wait */
	bool ts_on, sack_on;   /* negotiated */

	/* line 2: sending */
	struct mbufq sndq;	     /* owned; [SND.UNA, snd_end), pkt.seq set */
	struct rte_mbuf *snd_cursor; /* in sndq: holds or precedes SND.NXT; NULL: the head */
	struct rte_mbuf *rtx_cursor; /* the same for the last retransmission */
	uint32_t snd_end;	     /* sequence number after the last byte written */
	uint32_t snd_wnd;	     /* bytes */
	uint32_t snd_wl1, snd_wl2;
	uint32_t snd_wnd_max; /* MAX.SND.WND, RFC 5961 5.2, RFC 9293 3.8.6.2.1 */
	uint16_t mss;	      /* payload of a full segment to send, timestamps subtracted */
	bool fin_queued;      /* a FIN follows snd_end */
	bool probe_out;	      /* the only thing in flight is the byte of a window probe */

	/* line 3: lists and times */
	struct timer timer;
	struct list ready_link; /* on tcp.ready with events; an orphan: on tcp.orphans */
	uint64_t rcvd_us;	/* last segment received */
	uint64_t sent_us;	/* last data sent */

	/* line 4: deadlines; 5: the rest of congestion control */
	uint64_t due_us[TCP_DUE_COUNT];
	struct tcp_cc cc;

	/* line 6: where to, and whether anything is unusual; 7, 8: losses, and what is cold */
	uint64_t ts_recent_us; /* when ts_recent was taken, RFC 7323 5.5 */
	uint64_t bytes_in;
	uint32_t released; /* charges of sent mbufs that were freed */
	struct net_dst dst;
	uint16_t mtu;	 /* of the path, IP bytes */
	uint8_t retries; /* timeouts since the peer last acknowledged something */
	uint8_t persist_backoff;
	uint8_t probes;	     /* keepalive or window probes without an answer */
	bool persist;	     /* TCP_DUE_REXMIT is the persist timer */
	bool has_fin;	     /* the peer's FIN was seen, maybe not in order yet */
	bool orphan;	     /* the owner has called tcp_close() */
	bool syn_rtx;	     /* our SYN was retransmitted, RFC 6298 5.7 */
	bool active;	     /* we sent the first SYN */
	bool counted;	     /* in the per-source table */
	uint8_t ports_tried; /* SYN_SENT: ports given up because of a stale peer */
	struct tcp_recovery rec;
	uint16_t mss_peer;    /* as received, or the default */
	uint64_t hash;	      /* of the flow, for the table */
	struct tcp_note note; /* owner's, from before it was parked */
	uint64_t linger_us;   /* orphan: incoming data after this time is answered with RST */

	/* line 9: the scoreboard's head and its first range; 10, 11: the others, and what is cold */
	alignas(64) uint64_t bytes_out;
	struct tcp_sack sack;
	uint32_t iss, irs;
	uint32_t bind;
	uint32_t fin_seq; /* of the peer's FIN, when has_fin */
	uint32_t retransmits, retransmits_spurious;

	/* lines 12, 13: what is out of order, and round-trip times */
	alignas(64) struct tcp_rack rack;
	struct tcp_reasm reasm;
	struct tcp_rtt rtt;
	uint32_t ts_offset; /* of our timestamps, random per flow */
};
static_assert(sizeof(struct tcp_conn) <= 14 * 64, "a connection is at most 14 cache lines");
static_assert(offsetof(struct tcp_conn, rcv_nxt) == 64 && offsetof(struct tcp_conn, sndq) == 128 &&
		offsetof(struct tcp_conn, timer) == 192 &&
		offsetof(struct tcp_conn, due_us) == 256 &&
		offsetof(struct tcp_conn, cc.mss) == 5 * 64 &&
		offsetof(struct tcp_conn, ts_recent_us) == 6 * 64 &&
		offsetof(struct tcp_conn, rec.recover) == 7 * 64 &&
		offsetof(struct tcp_conn, bytes_out) == 9 * 64 &&
		offsetof(struct tcp_conn, sack.small[1]) <= 10 * 64 &&
		offsetof(struct tcp_conn, rack) == 12 * 64,
	"lines as drawn");

/* Asks for all that a stream needs to which nothing unusual happens. */
static inline void tcp_conn_prefetch(const struct tcp_conn *c)
{
	const char *p = (const char *)c;

	prefetch_lines(p, (size_t)5 * 64);
	prefetch(p + (size_t)6 * 64);
	prefetch(p + (size_t)9 * 64);
	prefetch_lines(p + (size_t)12 * 64, (size_t)2 * 64);
}

static inline bool tcp_is_dead(const struct tcp_conn *c)
{
	return c->state == TCP_CLOSED || c->state == TCP_TIME_WAIT;
}

/* States in which the handshake is complete and the connection is in the table. */
static inline bool tcp_is_synchronized(const struct tcp_conn *c)
{
	return c->state >= TCP_ESTABLISHED && c->state <= TCP_LAST_ACK;
}

/* End of the sequence space to send: the data written and the FIN. */
static inline uint32_t tcp_snd_limit(const struct tcp_conn *c)
{
	return c->snd_end + c->fin_queued;
}

/* Our FIN was sent and acknowledged. */
static inline bool tcp_fin_is_acked(const struct tcp_conn *c)
{
	return c->fin_queued && c->sack.una == c->snd_end + 1;
}
