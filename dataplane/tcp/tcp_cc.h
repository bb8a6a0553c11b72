// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_cc.h: congestion control: how much may be in the network.
 *
 * An algorithm is a struct of functions over struct tcp_cc; it never sees a connection. When to
 * call which is decided in tcp_recovery.c. All amounts are bytes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TCP_CC_SSTHRESH_INF 0x7fffffffu
#define TCP_CC_CWND_MAX 0x3fffffffu /* the largest window of RFC 7323 2.3 */

struct tcp_cubic {
	uint64_t epoch_us;   /* begin of the current growth; 0: none yet */
	uint32_t w_max;	     /* RFC 9438 4.1, bytes */
	uint32_t cwnd_prior; /* cwnd_epoch */
	uint32_t w_est;	     /* RFC 9438 4.3: what Reno would have */
	uint32_t k_ms;	     /* time from epoch to w_max */
	uint32_t acked;	     /* bytes not yet turned into growth */
	uint32_t est_acked;  /* the same for w_est */
};

/* HyStart++ (RFC 9406): leaving slow start when the round-trip time begins to grow. */
struct tcp_hystart {
	uint32_t round_end;	      /* sequence number that ends the round */
	uint32_t rtt_us, last_rtt_us; /* minimum of this and of the last round; UINT32_MAX: none */
	uint32_t baseline_us;	      /* cssBaselineMinRtt */
	uint8_t samples;	      /* in this round */
	uint8_t css_rounds;
	bool css; /* in Conservative Slow Start */
	bool started;
};

struct tcp_cc {
	const struct tcp_cc_ops *ops;
	uint32_t cwnd, ssthresh;
	uint32_t mss;
	uint32_t acked; /* NewReno: bytes towards the next increase */
	struct tcp_hystart hystart;
	struct tcp_cubic cubic;
};

struct tcp_cc_ack {
	uint64_t now_us;
	uint32_t bytes;	   /* newly acknowledged in order */
	uint32_t una, nxt; /* SND.UNA after it, SND.NXT */
	uint32_t rtt_us;   /* sample of this ACK; 0: none */
	uint32_t srtt_us;
};

struct tcp_cc_ops {
	const char *name;
	/* Growth in congestion avoidance: bytes were acknowledged and cwnd was the limit. */
	void (*on_ack)(struct tcp_cc *cc, const struct tcp_cc_ack *a);
	/* A loss: returns what ssthresh becomes. */
	uint32_t (*on_loss)(struct tcp_cc *cc);
	/* The window was not used for a while (RFC 7661's concern): growth starts afresh. */
	void (*on_idle)(struct tcp_cc *cc);
};

extern const struct tcp_cc_ops tcp_cc_cubic, tcp_cc_newreno;

/* tcp_cc.c: what all algorithms share. */
/* RFC 6928: min(10 * MSS, max(2 * MSS, 14600)) */
uint32_t tcp_cc_initial_window(uint32_t mss);
void tcp_cc_init(struct tcp_cc *cc, const struct tcp_cc_ops *ops, uint32_t mss);
void tcp_cc_set_mss(struct tcp_cc *cc, uint32_t mss);
/* Slow start, then the algorithm. Call only when cwnd was what limited sending. */
void tcp_cc_on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *a);
/* RFC 5681 3.1 (4): ssthresh after a loss; cwnd is the caller's to set. */
void tcp_cc_on_loss(struct tcp_cc *cc);
/* RFC 5681 4.1: nothing was sent for longer than one RTO. */
void tcp_cc_on_idle(struct tcp_cc *cc);
