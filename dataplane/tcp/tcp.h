// SPDX-License-Identifier: Apache-2.0
/*
 * tcp.h: what the rest of the dataplane may ask of TCP.
 *
 * One struct tcp per worker lcore, share-nothing. Time is an argument (microseconds, monotonic),
 * randomness comes from a struct rng, packets come in as an mbuf list and go out by ip_output()
 * (net/ip.h), so the whole stack runs on a virtual clock. TCP calls nobody above it: a connection
 * that has news is put on the ready list, and the layer above takes it from there with its events.
 *
 * Life of a connection as its owner sees it: it appears on the ready list with TCP_EV_CONNECTED
 * (passive: the handshake is complete; active: tcp_connect() succeeded), then READABLE, SENT, EOF
 * in any order, until the owner calls tcp_close() or tcp_abort(), or CLOSED says that the
 * connection is dead, after which the owner calls tcp_close() and forgets it. CLOSED also ends an
 * orderly connection (both FINs exchanged, TCP_REASON_NONE); what is unread then can still be read
 * before tcp_close(). What was not sent when a connection dies is freed and shows in
 * tcp_released_take(). After tcp_close()
 * or tcp_abort() the owner must not touch the connection again: TCP lingers, retransmits and frees.
 *
 * Receive budget: bytes (truesize) that may be held because of this connection, unread here plus
 * on their way elsewhere. tcp_read() moves data out but keeps the charge; tcp_credit() returns it,
 * and credit alone opens the advertised window.
 *
 * Standards: RFC 9293, 1122, 5681, 6582, 6675, 2018, 2883, 7323, 6298, 5961, 6528, 6056, 4987,
 * 1337, 6191, 1191, 8201, 5927, 6691, 3042, 6928. Deviations are named where they are made.
 */
#pragma once

#include "dataplane/base/ip.h"
#include "dataplane/base/rng.h"
#include "dataplane/port/port.h"

struct net;
struct tcp;
struct tcp_conn;

enum tcp_state { /* RFC 9293 3.3.2, in its order */
	TCP_LISTEN = 0,
	TCP_SYN_SENT,
	TCP_SYN_RECEIVED,
	TCP_ESTABLISHED,
	TCP_FIN_WAIT_1,
	TCP_FIN_WAIT_2,
	TCP_CLOSE_WAIT,
	TCP_CLOSING,
	TCP_LAST_ACK,
	TCP_TIME_WAIT,
	TCP_CLOSED,
	TCP_STATE_COUNT
};

enum {
	TCP_EV_CONNECTED = 1 << 0,
	TCP_EV_READABLE = 1 << 1, /* new in-order bytes */
	TCP_EV_SENT = 1 << 2,	  /* the peer acknowledged bytes: see tcp_released_take() */
	TCP_EV_EOF = 1 << 3,	  /* the peer's FIN is in order: unread bytes are the last */
	TCP_EV_CLOSED = 1 << 4,	  /* dead, see tcp_close_reason() */
	TCP_EV_UNPARKED = 1 << 5, /* back from tcp_park(); it has no user yet, but a note */
};

/* Why a connection died, or why tcp_connect() refused. Names: tcp_reason_str(). */
enum tcp_reason {
	TCP_REASON_NONE = 0,
	TCP_REASON_REFUSED, /* RST in answer to our SYN */
	TCP_REASON_RESET,   /* RST in a synchronized state */
	TCP_REASON_TIMEOUT, /* retransmissions given up (R2, or the user timeout) */
	TCP_REASON_KEEPALIVE,
	TCP_REASON_UNREACHABLE, /* hard ICMP error to our SYN */
	TCP_REASON_ABORTED,	/* by us: tcp_abort(), pool pressure */
	TCP_REASON_NO_PORT,	/* no free source port towards this peer */
	TCP_REASON_NO_CONN,	/* connection pool empty */
	TCP_REASON_NO_SOURCE,	/* no source address of the peer's family */
	TCP_REASON_COUNT
};
const char *tcp_reason_str(enum tcp_reason r);
const char *tcp_state_str(enum tcp_state s);

struct tcp_flow {
	struct ip_addr local, remote;
	uint16_t local_port, remote_port; /* host order */
};

/* What an owner wants to remember of a connection while it is parked. */
struct tcp_note {
	uint64_t word[2];
};

/*
 * The addresses and ports that accept connections. Built by the agent for a whole configuration,
 * immutable; workers borrow it until the next tcp_set_listeners().
 */
struct tcp_listener {
	struct ip_addr addr;
	uint16_t port; /* host order */
	uint32_t bind; /* the owner's number, see tcp_conn_bind() */
};
struct tcp_listeners {
	uint32_t count;
	struct tcp_listener e[]; /* sorted by memcmp(addr), port */
};

/* Which source ports this worker may use (one of two ways, reference: RFC 6056). */
struct tcp_port_slice {
	uint16_t first, count;	     /* software dispatch: a contiguous slice of [1024, 65535] */
	const struct rss_ports *rss; /* or: the port table of a port with RSS (port/rss.h); NULL */
	unsigned worker;	     /* with <rss>: our number in its table */
};

struct tcp_config {
	uint32_t conns_max;		/* connections, parked ones included */
	uint32_t timewait_max;		/* TIME_WAIT records */
	uint32_t syn_backlog;		/* half-open connections before SYN cookies are sent */
	uint32_t conns_per_source_max;	/* open ones per address (v6: /64); 0: no limit */
	uint32_t rcv_budget;		/* default receive budget of a new connection, bytes */
	uint32_t rto_min_us;		/* 200 000 */
	uint32_t rto_max_us;		/* 60 000 000 */
	uint32_t rto_initial_us;	/* 1 000 000, RFC 6298 2.1 */
	uint32_t syn_retries;		/* 5 */
	uint32_t retries;		/* 8 retransmissions of data before TCP_REASON_TIMEOUT */
	uint32_t delack_us;		/* 40 000 */
	uint32_t timewait_us;		/* 10 000 000; why not 2 MSL: tcp_timewait.c */
	uint32_t fin_wait_2_us;		/* 30 000 000: an orphan waits so long for the peer's FIN */
	uint32_t linger_us;		/* 2 000 000: an orphan drains data so long, then RST */
	uint32_t keepalive_us;		/* 60 000 000 idle before the first probe; 0: off */
	uint32_t keepalive_interval_us; /* 10 000 000 */
	uint32_t keepalive_probes;	/* 5 */
	uint16_t mss_default;		/* 536 / 1220 by family when the peer sends none */
	bool sack, timestamps, window_scaling; /* all true; tests switch them off */
	bool syn_cookies_always;	       /* tests */
	uint8_t cc;			       /* 0 CUBIC, 1 NewReno */
	struct port_offload tx;		       /* what all ports do; zero: software does it */
};
void tcp_config_default(struct tcp_config *cfg);

/* Lifecycle. <pool> is this worker's mbuf pool; <rng> and <net> outlive the stack. */
struct tcp *tcp_new(const struct tcp_config *cfg, struct net *net, struct rte_mempool *pool,
	struct rng *rng, uint64_t now_us);
void tcp_free(struct tcp *t);
void tcp_set_listeners(struct tcp *t, const struct tcp_listeners *l);
/* Copied. One source address of each family at least, else connects to that family are refused. */
void tcp_set_sources(struct tcp *t, const struct ip_addr *addrs, unsigned count);
void tcp_set_ports(struct tcp *t, const struct tcp_port_slice *slice);
/* While true every SYN is answered with RST (drain). */
void tcp_set_draining(struct tcp *t, bool draining);

/* Called by the loop. */
/* Takes all mbufs of <in>: data starts at the TCP header, struct pkt is filled. */
void tcp_input(struct tcp *t, struct mbufq *in, uint64_t now_us);
/* An ICMP or ICMPv6 error about one of our segments, already parsed (RFC 5927 checks are here). */
struct tcp_icmp_error {
	struct tcp_flow flow; /* as we sent it: local is ours */
	uint32_t seq;	      /* of the embedded segment */
	uint32_t mtu;	      /* packet too big: next-hop MTU (0: unknown); else 0 */
	bool too_big, hard;   /* hard: port/protocol unreachable; neither: soft error */
};
void tcp_icmp_input(struct tcp *t, const struct tcp_icmp_error *e, uint64_t now_us);
/* Expired timers, at most <budget>. */
void tcp_timers_run(struct tcp *t, uint64_t now_us, unsigned budget);
/* Sends what connections owe: data that fits the windows, pending ACKs. */
void tcp_output(struct tcp *t, uint64_t now_us);
/* Nothing is due before this time; TIMER_NEVER: nothing at all. */
uint64_t tcp_next_us(const struct tcp *t);

/* Called by the layer above. */
/* Next connection with news, or NULL; its events are taken with it. */
struct tcp_conn *tcp_ready_pop(struct tcp *t, uint32_t *ret_events);
/*
 * Opens a connection from a source address and port of ours. On success *ret is valid and
 * TCP_EV_CONNECTED or TCP_EV_CLOSED will follow; else the reason is returned.
 */
enum tcp_reason tcp_connect(struct tcp *t, const struct ip_addr *remote, uint16_t remote_port,
	void *user, uint64_t now_us, struct tcp_conn **ret);
/* Moves up to <max> in-order bytes to the end of <dst>; returns how many. The charge stays. */
uint32_t tcp_read(struct tcp *t, struct tcp_conn *c, struct mbufq *dst, uint32_t max);
/* The unread in-order bytes, to look at without taking (may be consumed by tcp_read only). */
const struct mbufq *tcp_peek(const struct tcp_conn *c);
/* Returns <bytes> of charge: they were freed. Opens the window as RFC 9293 3.8.6.2.2 allows. */
void tcp_credit(struct tcp *t, struct tcp_conn *c, uint32_t bytes);
/* Changes the receive budget; never takes back window that was announced. */
void tcp_set_budget(struct tcp *t, struct tcp_conn *c, uint32_t bytes);
/* Takes all of <q> for sending, in order. Always accepted: the callers' budgets bound it. */
void tcp_write(struct tcp *t, struct tcp_conn *c, struct mbufq *q);
/* FIN after everything written; reading goes on (half-close). */
void tcp_shutdown(struct tcp *t, struct tcp_conn *c);
/* Orderly end, see above. Unread data is discarded; arriving data is drained for linger_us. */
void tcp_close(struct tcp *t, struct tcp_conn *c, uint64_t now_us);
/* RST now. */
void tcp_abort(struct tcp *t, struct tcp_conn *c, uint64_t now_us);
/*
 * Puts a passive connection on which nothing is under way into a small record until its next
 * segment, or <until_us>. True: <c> is gone and comes back on the ready list, as a new one
 * without user, with TCP_EV_UNPARKED. The waits of all calls are to be of one length.
 */
bool tcp_park(struct tcp *t, struct tcp_conn *c, struct tcp_note note, uint64_t until_us);
struct tcp_note tcp_note_of(const struct tcp_conn *c);
/*
 * Brings back those of whose flow <fn> says true: looks at <max> records from *cursor on; true
 * when there are no more.
 */
typedef bool (*tcp_parked_fn)(const struct tcp_flow *f, void *ctx);
bool tcp_parked_sweep(struct tcp *t, uint32_t *cursor, uint32_t max, tcp_parked_fn fn, void *ctx);
/* Sum of pkt.charge of the mbufs freed by acknowledgement since the last call. */
uint32_t tcp_released_take(struct tcp_conn *c);
/*
 * The same, and the charges of everything still queued for sending, which are taken off. For an
 * owner who is about to tcp_close() with data queued: afterwards nobody could tell.
 */
uint32_t tcp_charge_take(struct tcp_conn *c);
/* Bytes written and not yet acknowledged. */
uint32_t tcp_unacked(const struct tcp_conn *c);
/* True when the peer has closed its side in order (EOF was or will be reported). */
bool tcp_is_eof(const struct tcp_conn *c);
void *tcp_user(const struct tcp_conn *c);
/* Asks for it, before a write or a credit. */
void tcp_prefetch(const struct tcp_conn *c);
void tcp_set_user(struct tcp_conn *c, void *user);
const struct tcp_flow *tcp_conn_flow(const struct tcp_conn *c);
/* Passive: the bind number of the listener; active: UINT32_MAX. */
uint32_t tcp_conn_bind(const struct tcp_conn *c);
enum tcp_state tcp_conn_state(const struct tcp_conn *c);
enum tcp_reason tcp_close_reason(const struct tcp_conn *c);

/* Seeing it. */
struct tcp_conn_info {
	struct tcp_flow flow;
	enum tcp_state state;
	uint32_t cwnd, ssthresh; /* bytes */
	uint32_t srtt_us, rttvar_us, rto_us;
	uint32_t snd_wnd, rcv_wnd; /* bytes */
	uint32_t unacked, unread, charged;
	uint64_t bytes_in, bytes_out;
	uint32_t retransmits, retransmits_spurious;
	uint16_t mss;
	bool active; /* we opened it */
	bool parked;
	void *user;
};
void tcp_conn_info(const struct tcp_conn *c, uint64_t now_us, struct tcp_conn_info *ret);
/* Calls <fn> for every connection, looking at <max> slots from *cursor on; true: there are no more. */
typedef void (*tcp_info_fn)(const struct tcp_conn_info *info, void *ctx);
bool tcp_foreach(const struct tcp *t, uint32_t *cursor, uint32_t max, tcp_info_fn fn, void *ctx);
/* Counters in the order of tcp.def; single writer, read relaxed by the agent. */
const uint64_t *tcp_counters(const struct tcp *t, unsigned *ret_count);
const char *tcp_counter_name(unsigned i);
const char *tcp_counter_help(unsigned i);
/*
 * In-use now: connections, parked ones, half-open, TIME_WAIT; all zero at rest. <unparked>: of the
 * connections, those that came back and have not been popped yet.
 */
struct tcp_usage {
	uint32_t conns, parked, unparked, half_open, timewait, charged_bytes;
};
void tcp_usage(const struct tcp *t, struct tcp_usage *ret);
