// SPDX-License-Identifier: Apache-2.0
/*
 * gen_tcp.h: the generator's TCP.
 *
 * Complete enough to be fair and to survive loss: handshake with MSS, SACK (blocks are sent, those
 * received are not used), timestamps and window scaling in Linux' order; acceptance, PAWS, challenge
 * ACKs; slow start, congestion avoidance, fast retransmit and NewReno recovery, RTO with back-off and
 * go-back-N; probes of a closed window; TIME_WAIT; all close states. ACKs as Linux sends them: at
 * once for the first data of a connection until data has gone the other way, then every second full
 * segment, else with our data or after 40 ms; the ACK of a SYN-ACK goes by itself.
 *
 * What a message is, is the applications' matter: tcp_message() says how long the bytes are that
 * follow, gen_tcp_out.c asks for any part of them as often as it needs.
 *
 * Standards: RFC 9293, 1122 4.2, 5681, 6582, 6298, 7323, 2018, 5961 3-4.
 */
#pragma once

#include "tests/bench/gen.h"

#define TCP_RTO_MIN_US 200000u /* Linux */
#define TCP_RTO_MAX_US 120000000u
#define TCP_SYN_RTO_US 1000000u /* RFC 6298 2.1 */
#define TCP_DELACK_US 40000u	/* Linux: ATO_MIN */
#define TCP_QUICK_ACKS 16	/* Linux: TCP_MAX_QUICKACKS */
#define TCP_SYN_TRIES 4
#define TCP_TRIES 10
#define TCP_CWND_SEGMENTS 10 /* RFC 6928 */

#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10

/* A segment as received. */
struct seg {
	struct rte_mbuf *m;
	const uint8_t *key; /* in the packet, see gen_conn.h */
	const uint8_t *tcp; /* its header */
	uint32_t seq, ack, len, hash;
	uint32_t ts_val, ts_echo;
	uint16_t window, data_at; /* data_at: payload from the start of the packet */
	uint8_t flags, options_len;
	bool has_ts;
};

static inline bool seq_lt(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

static inline bool seq_le(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) <= 0;
}

/* gen_tcp_parse.c: false when the packet is none for TCP (counted, or handed to gen_neigh.c). */
bool tcp_parse(struct gen *g, struct rte_mbuf *m, struct seg *s);
struct tcp_syn_options {
	uint16_t mss;
	uint8_t scale;
	bool has_scale, sack;
};
void tcp_syn_options(const struct seg *s, struct tcp_syn_options *ret);

/* gen_tcp_in.c: a burst of packets; takes them. */
void tcp_input(struct gen *g, struct rte_mbuf **pkts, unsigned count);

/* gen_tcp_out.c */
/* A client's end towards the key's source; sends the SYN. */
struct conn *tcp_connect(struct gen *g, const uint8_t *key, uint32_t hash);
/*
 * <len> bytes follow what has been sent, and behind them a FIN when they are the <last>. False: the
 * message before is not acknowledged yet.
 */
bool tcp_message(struct gen *g, struct conn *c, uint32_t len, bool last);
/* A FIN behind the message. */
void tcp_close(struct gen *g, struct conn *c);
/* RST; the connection is freed and its application is not told. */
void tcp_abort(struct gen *g, struct conn *c);
/* Sends what the windows allow. */
void tcp_output(struct gen *g, struct conn *c);
/* One segment from snd_una, again. */
void tcp_resend(struct gen *g, struct conn *c);
void tcp_send_ack(struct gen *g, struct conn *c);
void tcp_send_syn(struct gen *g, struct conn *c);
void tcp_send_probe(struct gen *g, struct conn *c);
/* RST in answer to a segment of no connection (RFC 9293 3.5.2 case 1). */
void tcp_send_rst_for(struct gen *g, const struct seg *s);

/* gen_tcp_timer.c */
void tcp_timer(struct timer *t, uint64_t now_us, void *gen);
void tcp_rto_arm(struct gen *g, struct conn *c);
void tcp_rtt_sample(struct conn *c, uint32_t us);
void tcp_died(struct gen *g, struct conn *c, enum gen_count why);
