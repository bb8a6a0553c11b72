// SPDX-License-Identifier: Apache-2.0
/*
 * budget.h: a token bucket, with time as an argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct budget {
	uint64_t per_s, at_ms;
	int64_t burst, tokens; /* below zero: fines to be worked off */
	uint64_t left;	       /* thousandths of a token */
};

static inline void budget_init(struct budget *b, uint64_t per_s, int64_t burst, uint64_t now_ms)
{
	*b = (struct budget){.per_s = per_s, .burst = burst, .tokens = burst, .at_ms = now_ms};
}

static inline void budget_fill(struct budget *b, uint64_t now_ms)
{
	uint64_t ms = now_ms - b->at_ms, got;

	if (ms > 1000000)
		ms = 1000000; /* full long since, and no overflow */
	got = b->left + ms * b->per_s;
	b->tokens += (int64_t)(got / 1000);
	b->left = got % 1000;
	if (b->tokens >= b->burst) {
		b->tokens = b->burst;
		b->left = 0;
	}
	b->at_ms = now_ms;
}

/* All or nothing. */
static inline bool budget_take(struct budget *b, int64_t n, uint64_t now_ms)
{
	budget_fill(b, now_ms);
	if (b->tokens < n)
		return false;
	b->tokens -= n;
	return true;
}

/* A fine: taken also from what is not there yet, down to as much debt as a burst. */
static inline void budget_charge(struct budget *b, int64_t n)
{
	b->tokens = b->tokens - n > -b->burst ? b->tokens - n : -b->burst;
}
