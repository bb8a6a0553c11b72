// SPDX-License-Identifier: Apache-2.0
/*
 * pkt.h: the page runner: TCP against pages of text, on a virtual clock.
 *
 * A page (tests/scenario/tcp/<rfc-cell>/<claim>.pkt) plays the peer: it injects segments, says what
 * must come out and when, and drives the application side through tcp.h. One struct page runs one
 * file once, over one address family, against a fresh stack. The language: README.md beside this
 * file.
 *
 * Every segment that leaves the stack must be expected by a line; what no line can express is
 * checked on each of them (pkt_wire.c: checksum, options, payload, windows, MTU).
 */
#pragma once

#include "dataplane/tcp/tcp.h"

#define PKT_PEERS 40u
#define PKT_PENDING 4096u
#define PKT_LOCAL_PORT 80u

enum { F_FIN = 1, F_SYN = 2, F_RST = 4, F_PSH = 8, F_ACK = 16, F_URG = 32 };

/* Options of a segment; on injected ones in the order of the page. */
enum { OPT_MSS = 1, OPT_WSCALE = 2, OPT_SACKOK = 4, OPT_SACK = 8, OPT_TS = 16 };

/* A segment as a page writes it and as it is read back from the wire. */
struct seg {
	uint8_t flags;
	uint32_t seq, len, ack; /* relative to the initial sequence numbers */
	uint32_t win;		/* injected: the field; captured: bytes, scaled */
	uint16_t urg;
	unsigned opts; /* OPT_* */
	uint16_t mss;
	uint8_t wscale;
	uint32_t tsval, tsecr;
	unsigned sacks;
	uint32_t sack[4][2];
	uint16_t src_port, dst_port;
	uint8_t raw[40]; /* option bytes as injected */
	unsigned raw_len;
	/* Of a line only: */
	char win_op; /* '=', '<' (at most), '>' (at least), '*' */
	bool ack_any, opts_given, opts_more, tsval_any, tsecr_any;
	bool until; /* skip pure ACKs before it */
	bool may;   /* the RFC leaves it open */
	bool newport, badsum, alt;
	int doff;      /* words, -1: right */
	uint32_t each; /* bytes per segment of an injected burst */
};

/* One packet that the stack sent. The mbuf is held like a NIC holds it until it is looked at. */
struct captured {
	struct rte_mbuf *m; /* owned */
	uint8_t bytes[2048];
	uint32_t len;
	uint64_t at_us;
	unsigned peer;
};

/* One remote endpoint and the connection with it. */
struct peer {
	struct ip_addr addr;
	uint16_t port, local_port;
	const struct peer *before; /* the connection that had this 4-tuple, or NULL */
	bool active;		   /* the stack connects to it */
	struct tcp_conn *c;	   /* borrowed from the stack until closed */
	enum tcp_reason refused;   /* by tcp_connect() */
	uint32_t events;	   /* reported and not yet expected */
	uint32_t irs, iss;	   /* the peer's ISN, the stack's (0 until seen) */
	bool iss_known;
	struct seg syn_out, syn_in; /* options offered both ways */
	struct seg syn_offer;	    /* becomes syn_in when a SYN answers it */
	bool rx_edge_known;
	uint32_t rx_edge;	/* right edge that the stack announced, relative */
	uint32_t tx_edge;	/* right edge that the peer announced, relative */
	uint32_t snd_max;	/* number after all that the stack has sent, relative */
	uint32_t ts_last;	/* last TSval of the stack */
	uint64_t written, read; /* stream offsets of the application */
	struct mbufq held;	/* read, not credited */
	uint32_t released;
};

struct page {
	const char *file; /* borrowed */
	int line;
	bool v4, failed;
	bool chain;	/* segments come in several mbufs */
	bool park;	/* every connection at rest is parked and unparked, after every turn */
	char msg[2048]; /* file:line: what was expected and what came */
	struct tcp_config cfg;
	bool listen;
	uint16_t mtu, ports;
	uint64_t tolerance_us;
	uint32_t peer_isn;
	struct tcp *t;			 /* owned */
	struct tcp_listeners *listeners; /* owned */
	struct rte_mempool *pool;	 /* borrowed */
	unsigned resting;		 /* mbufs in it before the page */
	struct rng rng;
	uint64_t start_us, base_us, now_us;
	struct ip_addr local;
	struct peer peer[PKT_PEERS], *p; /* <p>: the one that lines speak of */
	struct captured *pending[PKT_PENDING];
	unsigned pending_count;
};

/* pkt_text.c: lines and segments as text. */
/* Parses what stands behind '<' or '>'; false: page_fail() was called. */
bool seg_parse(struct page *g, char *text, bool injected, struct seg *ret);
char *seg_format(const struct seg *s, char *buf, size_t size);
bool parse_u64(const char *s, uint64_t *ret);
bool parse_seconds(const char *s, uint64_t *ret_us);
bool compare(const char *op, uint64_t a, uint64_t b, bool *ret);

/* pkt_wire.c: segments as bytes. */
extern struct page *pkt_page; /* the running one, for ip_output() */
void wire_inject(struct page *g, const struct seg *s);
/* Reads a captured packet and checks all that holds for any segment. */
bool wire_read(struct page *g, struct captured *c, struct seg *ret);
void wire_forget(struct captured *c);
uint8_t wire_byte(uint64_t offset, bool alt);

/* pkt_app.c: the application and what can be asked of the stack. */
void app_line(struct page *g, int argc, char **argv);
void config_line(struct page *g, int argc, char **argv);
void counter_line(struct page *g, int argc, char **argv);
void usage_line(struct page *g, int argc, char **argv);
void icmp_line(struct page *g, int argc, char **argv);
void app_ready(struct page *g);
/* Parks and brings back what can be parked: nothing that a page can see may change. */
void app_park(struct page *g);

/* pkt_page.c: the clock and the lines. */
void page_fail(struct page *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One turn of the loop at the present time; <in> may be NULL. */
void page_turn(struct page *g, struct mbufq *in);
/* Runs the stack up to <until_us>; stops early at a segment for this peer when told so. */
void page_clock_run(struct page *g, uint64_t until_us, bool stop_at_segment);
/* Takes a captured segment off the list. */
void page_drop(struct page *g, struct captured *c);
/* A page without lines: page_init(), change g->cfg, page_start(), ..., page_end(). */
void page_init(struct page *g, const char *file, bool v4, struct rte_mempool *pool);
void page_start(struct page *g);
/* Lets go of everything, waits, and looks for what is left; true when nothing ever failed. */
bool page_end(struct page *g);
/* True: the page holds; else <g->msg> says where and why. */
bool page_run(struct page *g, const char *file, char *text, bool v4, bool park, bool chain,
	struct rte_mempool *pool);
