// SPDX-License-Identifier: Apache-2.0
/*
 * budget.h: a token bucket, with time as an argument.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct budget {
	uint64_t per_s, burst; /* tokens */
	uint64_t tokens, left; /* <left>: thousandths of a token */
	uint64_t at_ms;
};

static inline void budget_init(struct budget *b, uint64_t per_s, uint64_t burst, uint64_t now_ms)
{
	*b = (struct budget){.per_s = per_s, .burst = burst, .tokens = burst, .at_ms = now_ms};
}

static inline void budget_fill(struct budget *b, uint64_t now_ms)
{
	uint64_t ms = now_ms - b->at_ms, got;

	if (ms > 1000000)
		ms = 1000000; /* full long since, and no overflow */
	got = b->left + ms * b->per_s;
	b->tokens += got / 1000;
	b->left = got % 1000;
	if (b->tokens > b->burst)
		b->tokens = b->burst;
	b->at_ms = now_ms;
}

/* All or nothing. */
static inline bool budget_take(struct budget *b, uint64_t n, uint64_t now_ms)
{
	budget_fill(b, now_ms);
	if (b->tokens < n)
		return false;
	b->tokens -= n;
	return true;
}

/* A fine: as much of it as there is. */
static inline void budget_charge(struct budget *b, uint64_t n)
{
	b->tokens -= n < b->tokens ? n : b->tokens;
}
