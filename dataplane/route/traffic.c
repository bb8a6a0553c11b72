// SPDX-License-Identifier: Apache-2.0
/*
 * traffic.c: the traffic formula of traffic.h.
 *
 * The same code gives the dataplane its live weights and control the numbers that it explains, so
 * every intermediate value is kept in the result.
 */
#include "dataplane/route/traffic.h"

#include <string.h>

#include "dataplane/base/bug.h"

#define LOAD_SHIFT 22	/* a percent of load in shares, when several tiers have some */
#define EFF_BITS_MAX 32 /* of the sum inside a tier, then */

static bool takes_part(const struct traffic_member *m)
{
	return m->weight != 0 && m->tier < TRAFFIC_TIERS;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* min(<whole>, <whole> * over * part/all), <part> in millionths; what can be used is not nothing. */
static uint32_t overprovisioned(uint64_t part, uint32_t all, uint32_t whole,
	const struct traffic_policy *p)
{
	uint64_t v;

	if (part == 0 || all == 0)
		return 0;
	/* fewer than 2^20 endpoints in millionths, times less than 2^21 */
	v = min_u64(whole,
		part * (whole / 100 * p->overprovisioning_percent) /
			((uint64_t)all * TRAFFIC_WHOLE));
	return v == 0 ? 1 : (uint32_t)v;
}

static uint32_t held_of(const struct traffic_member *m)
{
	return m->held < TRAFFIC_WHOLE ? m->held : TRAFFIC_WHOLE;
}

/* Counts of each tier, and what it can take. */
static void weigh_tiers(const struct traffic_member *m, uint32_t count,
	const struct traffic_policy *p, struct traffic *t)
{
	uint64_t given[TRAFFIC_TIERS] = {0}; /* what is available and not held back, millionths */
	uint32_t sum = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct traffic_tier *tier;

		if (!takes_part(&m[i]))
			continue;
		tier = &t->tier[m[i].tier];
		tier->total += m[i].total;
		tier->ready += m[i].ready;
		tier->avail += m[i].avail;
		given[m[i].tier] += (uint64_t)m[i].avail * (TRAFFIC_WHOLE - held_of(&m[i]));
	}
	for (unsigned k = 0; k < TRAFFIC_TIERS; k++) {
		t->tier[k].health = (uint8_t)overprovisioned(given[k], t->tier[k].total, 100, p);
		sum += t->tier[k].health;
	}
	t->norm = (uint8_t)(sum < 100 ? sum : 100);
}

/* The same for members one by one: each is as a tier of its own, but they do not stand in line. */
static void weigh_each(const struct traffic_member *m, uint32_t count,
	const struct traffic_policy *p, struct traffic *t)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		if (takes_part(&m[i]))
			sum += overprovisioned((uint64_t)m[i].avail *
					(TRAFFIC_WHOLE - held_of(&m[i])),
				m[i].total, 100, p);
	t->norm = (uint8_t)(sum < 100 ? sum : 100);
}

static bool is_panic(uint32_t total, uint32_t ready, uint32_t avail, const struct traffic *t,
	const struct traffic_policy *p)
{
	return t->norm < 100 && ready != 0 &&
		(uint64_t)avail * 100 < (uint64_t)p->panic_percent * total;
}

static void judge_panic(const struct traffic_member *m, uint32_t count,
	const struct traffic_policy *p, struct traffic *t)
{
	for (uint32_t i = 0; i < count; i++)
		if (takes_part(&m[i]) &&
			(p->each ? is_panic(m[i].total, m[i].ready, m[i].avail, t, p)
				 : t->tier[m[i].tier].panic))
			t->panic |= 1ull << i;
}

/* Nobody is well, or all of those are held back. */
static void load_the_first(const struct traffic_policy *p, struct traffic *t)
{
	for (unsigned pass = 0; pass < 2; pass++)
		for (unsigned k = 0; k < TRAFFIC_TIERS; k++) {
			struct traffic_tier *tier = &t->tier[k];

			if (pass == 0 ? tier->avail == 0 : tier->ready == 0 || !p->panic_percent)
				continue;
			tier->load = 100;
			tier->panic = pass == 1;
			return;
		}
}

static void load_tiers(const struct traffic_policy *p, struct traffic *t)
{
	uint32_t rest = 100;

	if (t->norm == 0) {
		load_the_first(p, t);
		return;
	}
	for (unsigned k = 0; k < TRAFFIC_TIERS; k++) {
		struct traffic_tier *tier = &t->tier[k];
		uint32_t due = (tier->health * 100u + t->norm / 2u) / t->norm;

		tier->load = (uint8_t)(due < rest ? due : rest);
		rest -= tier->load;
		tier->panic = !p->each && is_panic(tier->total, tier->ready, tier->avail, t, p);
	}
	for (unsigned k = 0; rest > 0 && k < TRAFFIC_TIERS; k++)
		if (t->tier[k].load > 0) { /* what rounding has left over */
			t->tier[k].load = (uint8_t)(t->tier[k].load + rest);
			rest = 0;
		}
}

static bool is_in_panic(const struct traffic *t, uint32_t i)
{
	return (t->panic >> i & 1) != 0;
}

/* Weight times reach; 0 for those of tiers without load. */
static void reach_members(const struct traffic_member *m, uint32_t count,
	const struct traffic_policy *p, struct traffic *t, uint64_t *eff)
{
	uint64_t sum[TRAFFIC_TIERS] = {0};

	for (uint32_t i = 0; i < count; i++) {
		const struct traffic_tier *tier = &t->tier[m[i].tier % TRAFFIC_TIERS];
		uint64_t w = min_u64(m[i].weight, TRAFFIC_WEIGHT_MAX);
		uint32_t left = TRAFFIC_WHOLE - held_of(&m[i]), reach;

		eff[i] = 0;
		if (!takes_part(&m[i]))
			continue;
		reach = overprovisioned((uint64_t)(is_in_panic(t, i) ? m[i].ready : m[i].avail) *
				TRAFFIC_WHOLE,
			m[i].total, TRAFFIC_REACH, p);
		t->reach[i] = (uint32_t)((uint64_t)reach * left / TRAFFIC_WHOLE);
		if (tier->load == 0)
			continue;
		eff[i] = w * reach;
		if (left < TRAFFIC_WHOLE && eff[i] != 0 && left != 0)
			eff[i] = eff[i] * left / TRAFFIC_WHOLE + 1;
		else if (left == 0)
			eff[i] = 0;
		sum[m[i].tier] += eff[i];
	}
	/* All of a tier that has to serve is held back: then it is not. */
	for (uint32_t i = 0; i < count; i++)
		if (takes_part(&m[i]) && t->tier[m[i].tier].load != 0 && sum[m[i].tier] == 0)
			eff[i] = m[i].weight *
				(is_in_panic(t, i) ? m[i].ready != 0 : m[i].avail != 0);
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Of equal ratio, as small as that allows, with a sum below TRAFFIC_TOTAL_MAX. */
static void put_shares(const uint64_t *v, uint32_t count, struct traffic *t)
{
	uint64_t all = 0, sum = 0;
	unsigned shift = 0;

	for (uint32_t i = 0; i < count; i++)
		all = gcd(all, v[i]);
	if (all == 0)
		return;
	for (uint32_t i = 0; i < count; i++)
		sum += v[i] / all;
	while ((sum >> shift) + count >= TRAFFIC_TOTAL_MAX)
		shift++;
	for (uint32_t i = 0; i < count; i++) {
		uint64_t w = v[i] / all >> shift;

		t->share[i] = (uint32_t)(w == 0 && v[i] != 0 ? 1 : w);
		t->total += t->share[i];
	}
}

/* Several tiers have some load: a percent of it is 1 << LOAD_SHIFT. */
static void spread_loads(const struct traffic_member *m, uint32_t count, const struct traffic *t,
	uint64_t *eff)
{
	uint64_t sum[TRAFFIC_TIERS] = {0}, all[TRAFFIC_TIERS] = {0};

	for (uint32_t i = 0; i < count; i++)
		if (eff[i] != 0)
			all[m[i].tier] += eff[i];
	for (uint32_t i = 0; i < count; i++) {
		if (eff[i] == 0)
			continue;
		for (uint64_t s = all[m[i].tier]; s >> EFF_BITS_MAX != 0; s >>= 1)
			eff[i] = (eff[i] >> 1) + (eff[i] == 1);
		sum[m[i].tier] += eff[i];
	}
	for (uint32_t i = 0; i < count; i++)
		if (eff[i] != 0)
			eff[i] = ((uint64_t)t->tier[m[i].tier].load << LOAD_SHIFT) * eff[i] /
				sum[m[i].tier];
}

static void share_out(const struct traffic_member *m, uint32_t count, struct traffic *t,
	uint64_t *eff)
{
	unsigned loaded = 0;

	for (unsigned k = 0; k < TRAFFIC_TIERS; k++)
		loaded += t->tier[k].load != 0;
	if (loaded > 1)
		spread_loads(m, count, t, eff);
	put_shares(eff, count, t);
}

void traffic_shares(const struct traffic_member *m, uint32_t count, const struct traffic_policy *p,
	struct traffic *ret)
{
	uint64_t eff[TRAFFIC_MEMBERS_MAX];

	bug_on(count > TRAFFIC_MEMBERS_MAX);
	memset(ret, 0, sizeof(*ret));
	weigh_tiers(m, count, p, ret);
	if (p->each)
		weigh_each(m, count, p, ret);
	load_tiers(p, ret);
	judge_panic(m, count, p, ret);
	reach_members(m, count, p, ret, eff);
	share_out(m, count, ret, eff);
}

uint32_t traffic_hold(const struct traffic_member *m, uint32_t count,
	const struct traffic_policy *p, uint32_t i, uint32_t limit, uint32_t held)
{
	struct traffic_member with[TRAFFIC_MEMBERS_MAX];
	uint32_t lo = 0, hi = held < TRAFFIC_WHOLE ? held : TRAFFIC_WHOLE;
	struct traffic t;

	bug_on(count > TRAFFIC_MEMBERS_MAX || i >= count);
	memcpy(with, m, count * sizeof(*m));
	with[i].held = hi;
	traffic_shares(with, count, p, &t);
	if (traffic_share(&t, i) > limit)
		return hi;
	while (lo < hi) { /* holding back more never gives it more */
		uint32_t mid = lo + (hi - lo) / 2;

		with[i].held = mid;
		traffic_shares(with, count, p, &t);
		if (traffic_share(&t, i) <= limit)
			hi = mid;
		else
			lo = mid + 1;
	}
	return lo;
}
