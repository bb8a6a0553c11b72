// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_cc_newreno.c: additive increase, multiplicative decrease (RFC 5681).
 */
#include "dataplane/tcp/tcp_cc.h"

/* RFC 5681 3.1: one segment per window of acknowledged bytes (RFC 3465 2.1). */
static void newreno_on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *a)
{
	cc->acked += a->bytes;
	while (cc->acked >= cc->cwnd) {
		cc->acked -= cc->cwnd;
		cc->cwnd += cc->mss;
	}
}

/* RFC 5681 3.1 (4): half. */
static uint32_t newreno_on_loss(struct tcp_cc *cc)
{
	cc->acked = 0;
	return cc->cwnd / 2;
}

static void newreno_on_idle(struct tcp_cc *cc)
{
	cc->acked = 0;
}

const struct tcp_cc_ops tcp_cc_newreno = {
	.name = "newreno",
	.on_ack = newreno_on_ack,
	.on_loss = newreno_on_loss,
	.on_idle = newreno_on_idle,
};
