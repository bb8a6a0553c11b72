// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_cc_cubic.c: CUBIC (RFC 9438) in integers.
 *
 * Windows are bytes, times milliseconds. C = 0.4 segments / s^3, beta = 0.7. Where Reno would have
 * more (short round trips, small windows), Reno's window is followed (RFC 9438 4.3).
 */
#include "dataplane/tcp/tcp_cc.h"

#define BETA_NUM 7u /* RFC 9438 4.6 */
#define BETA_DEN 10u
#define ELAPSED_MAX_MS 1000000 /* keeps the cube within 64 bits */

/* Largest r with r^3 <= x. */
static uint32_t cube_root(uint64_t x)
{
	uint64_t r = 0;

	for (int shift = 63; shift >= 0; shift -= 3) {
		uint64_t b;

		r <<= 1;
		b = 3 * r * (r + 1) + 1;
		if ((x >> shift) >= b) {
			x -= b << shift;
			r++;
		}
	}
	return (uint32_t)r;
}

/* RFC 9438 4.2: K = cbrt((W_max - cwnd_epoch) / C) seconds; in ms, segments: cbrt(d * 2.5e9). */
static uint32_t cubic_k_ms(uint32_t w_max, uint32_t cwnd, uint32_t mss)
{
	uint64_t d = w_max > cwnd ? (uint64_t)(w_max - cwnd) : 0;

	return cube_root(d * 2500000000ull / mss);
}

static void epoch_start(struct tcp_cc *cc, uint64_t now_us)
{
	struct tcp_cubic *q = &cc->cubic;

	q->epoch_us = now_us != 0 ? now_us : 1;
	q->cwnd_prior = cc->cwnd;
	q->w_est = cc->cwnd;
	q->acked = q->est_acked = 0;
	if (q->w_max < cc->cwnd)
		q->w_max = cc->cwnd;
	q->k_ms = cubic_k_ms(q->w_max, cc->cwnd, cc->mss);
}

/* RFC 9438 4.2: W_cubic(t) = C * (t - K)^3 + W_max, bytes, clamped to what 4.4 allows. */
static uint32_t cubic_target(const struct tcp_cc *cc, uint64_t now_us, uint32_t srtt_us)
{
	const struct tcp_cubic *q = &cc->cubic;
	int64_t t = (int64_t)((now_us - q->epoch_us + srtt_us) / 1000);
	int64_t d, w, max = (int64_t)cc->cwnd + cc->cwnd / 2;

	if (t > ELAPSED_MAX_MS)
		t = ELAPSED_MAX_MS;
	d = t - (int64_t)q->k_ms;
	if (d > ELAPSED_MAX_MS)
		d = ELAPSED_MAX_MS;
	/* 0.4 * (d/1000)^3 * mss = d^3 / 2.5e9 * mss; d^3 <= 1e18 */
	w = (int64_t)q->w_max + d * d * d / 1000000 * (int64_t)cc->mss / 2500;
	if (w < (int64_t)cc->cwnd)
		w = cc->cwnd;
	return (uint32_t)(w < max ? w : max);
}

/* RFC 9438 4.3: W_est grows by alpha segments per window; alpha = 3 * (1 - beta) / (1 + beta). */
static void grow_estimate(struct tcp_cc *cc, uint32_t bytes)
{
	struct tcp_cubic *q = &cc->cubic;
	bool caught_up = q->w_est >= q->w_max;

	q->est_acked += bytes;
	while (q->est_acked >= cc->cwnd) {
		q->est_acked -= cc->cwnd;
		/* once the old window is reached alpha is 1, as Reno's */
		q->w_est += caught_up ? cc->mss : (uint32_t)((uint64_t)cc->mss * 9 / 17);
	}
}

static void cubic_on_ack(struct tcp_cc *cc, const struct tcp_cc_ack *a)
{
	struct tcp_cubic *q = &cc->cubic;
	uint32_t target, step;

	if (q->epoch_us == 0)
		epoch_start(cc, a->now_us);
	target = cubic_target(cc, a->now_us, a->srtt_us);
	grow_estimate(cc, a->bytes);
	if (q->w_est > target) {
		cc->cwnd = q->w_est; /* RFC 9438 4.3: the Reno-friendly region */
		return;
	}
	if (target <= cc->cwnd)
		return;
	/* RFC 9438 4.4: (target - cwnd) / cwnd for each acknowledged byte */
	q->acked += a->bytes;
	step = (uint32_t)((uint64_t)(target - cc->cwnd) * q->acked / cc->cwnd);
	if (step > 0) {
		cc->cwnd += step < target - cc->cwnd ? step : target - cc->cwnd;
		q->acked = 0;
	}
}

static uint32_t cubic_on_loss(struct tcp_cc *cc)
{
	struct tcp_cubic *q = &cc->cubic;
	uint32_t cwnd = cc->cwnd;

	/* RFC 9438 4.7: fast convergence: a smaller maximum than last time makes room for others */
	if (cwnd < q->w_max)
		q->w_max = (uint32_t)((uint64_t)cwnd * (BETA_DEN + BETA_NUM) / (2 * BETA_DEN));
	else
		q->w_max = cwnd;
	q->epoch_us = 0;
	return (uint32_t)((uint64_t)cwnd * BETA_NUM / BETA_DEN);
}

/* RFC 9438 4.2: time in which nothing was sent must not count as growth. */
static void cubic_on_idle(struct tcp_cc *cc)
{
	cc->cubic.epoch_us = 0;
}

const struct tcp_cc_ops tcp_cc_cubic = {
	.name = "cubic",
	.on_ack = cubic_on_ack,
	.on_loss = cubic_on_loss,
	.on_idle = cubic_on_idle,
};
