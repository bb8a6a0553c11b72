// SPDX-License-Identifier: Apache-2.0
/*
 * rate.h: how fast we may write: a token bucket whose rate follows the server.
 *
 * Additive increase while answers are quick and the bucket is what holds us back, a cut when the
 * server says 429 or becomes slow, and silence for as long as Retry-After asks. client-go's fixed
 * 5 per second would need minutes for the status of a thousand routes; 20 with bursts of 30 is what
 * every server bears and is never undercut. Pure: time is an argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RATE_MIN 20.0	 /* per second */
#define RATE_START 100.0 /* per second */
#define RATE_MAX 1000.0	 /* per second */
#define RATE_BURST 30.0
#define RATE_QUICK_US 100000u /* an answer within this lets the rate grow */
#define RATE_SLOW_US 1000000u /* one slower than this cuts it */
#define RATE_PAUSE_MAX_US 60000000u

struct rate {
	double per_second, tokens;
	uint64_t filled_us;
	uint64_t paused_until_us; /* Retry-After */
	uint64_t cut_us;	  /* one cut per second: many answers tell of one trouble */
	bool limited;		  /* somebody had to wait since the last answer */
};

static inline void rate_init(struct rate *r, uint64_t now_us)
{
	*r = (struct rate){.per_second = RATE_START, .tokens = RATE_BURST, .filled_us = now_us};
}

static inline void rate_fill(struct rate *r, uint64_t now_us)
{
	r->tokens += (double)(now_us - r->filled_us) * r->per_second / 1e6;
	if (r->tokens > RATE_BURST)
		r->tokens = RATE_BURST;
	r->filled_us = now_us;
}

/* 0: taken, go. Else the microseconds to wait before asking again. */
static inline uint64_t rate_take(struct rate *r, uint64_t now_us)
{
	rate_fill(r, now_us);
	if (now_us < r->paused_until_us)
		return r->paused_until_us - now_us;
	if (r->tokens < 1) {
		r->limited = true;
		return (uint64_t)((1 - r->tokens) / r->per_second * 1e6) + 1;
	}
	r->tokens -= 1;
	return 0;
}

static inline void rate_cut(struct rate *r, double factor, uint64_t now_us)
{
	if (r->cut_us != 0 && now_us - r->cut_us < 1000000)
		return;
	rate_fill(r, now_us);
	r->cut_us = now_us;
	r->per_second = r->per_second * factor > RATE_MIN ? r->per_second * factor : RATE_MIN;
}

static inline void rate_on_answer(struct rate *r, uint64_t took_us, uint64_t now_us)
{
	if (took_us >= RATE_SLOW_US) {
		rate_cut(r, 0.7, now_us);
	} else if (took_us < RATE_QUICK_US && r->limited) {
		rate_fill(r, now_us);
		r->per_second = r->per_second + 2 < RATE_MAX ? r->per_second + 2 : RATE_MAX;
		r->limited = false;
	}
}

/* 429, or 503 with Retry-After. How long nothing is sent, the refused request included. */
static inline uint64_t rate_on_refused(struct rate *r, uint64_t retry_after_us, uint64_t now_us)
{
	uint64_t pause = retry_after_us < RATE_PAUSE_MAX_US ? retry_after_us : RATE_PAUSE_MAX_US;

	rate_cut(r, 0.5, now_us);
	if (now_us + pause > r->paused_until_us)
		r->paused_until_us = now_us + pause;
	return pause;
}
