// SPDX-License-Identifier: Apache-2.0
/*
 * traffic_test.c: the traffic formula against the published tables, and what must hold whatever the
 * numbers.
 *
 * A row's members are "<weight>@<tier>:<avail>/<total>", all of <total> ready unless "<avail>/<ready>/
 * <total>" says otherwise, with "-<permille>" what is held back.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/rng.h"
#include "dataplane/route/traffic.h"

struct row {
	const char *name, *members;
	const char *want; /* percent of each member, rounded; then panic of the tiers */
	uint8_t panic_percent;
	bool each;
};

static const struct row rows[] = {
	/* Envoy, priority.rst: two tiers */
	{"72 of 100 are enough for everything", "1@0:72/100 1@1:100/100", "100 0", 50},
	{"71 are not quite", "1@0:71/100 1@1:100/100", "99 1", 50},
	{"71 in both", "1@0:71/100 1@1:71/100", "99 1", 50},
	{"half of them take 70 percent", "1@0:50/100 1@1:100/100", "70 30", 50},
	{"and 60 of the next the rest", "1@0:50/100 1@1:60/100", "70 30", 50},
	{"a quarter", "1@0:25/100 1@1:100/100", "35 65", 50},
	{"nobody", "1@0:0/100 1@1:100/100", "0 100", 50},
	{"too few in both: by health, in panic", "1@0:25/100 1@1:25/100", "50 50 panic 0 1", 50},
	{"one of them in panic", "1@0:5/100 1@1:65/100", "7 93 panic 0", 50},
	/* three tiers */
	{"three tiers spill in turn", "1@0:25/100 1@1:25/100 1@2:100/100", "35 35 30", 50},
	{"normalised to what there is", "1@0:25/100 1@1:25/100 1@2:20/100", "36 36 28 panic 0 1 2",
		50},
	{"no panic, no word of it", "1@0:25/100 1@1:25/100 1@2:20/100", "36 36 28", 0},
	/* locality_weight.rst */
	{"weights inside a tier", "1@0:100/100 2@0:100/100", "33 67", 50},
	{"half of the first", "1@0:50/100 2@0:100/100", "26 74", 50},
	{"overprovisioned", "1@0:72/100 2@0:100/100", "33 67", 50},
	/* what is ours */
	{"the canary of two clusters", "99@0:2/2 1@0:2/2", "99 1", 50},
	{"the share does not depend on how many there are", "1@0:1/1 1@0:1000/1000", "50 50", 50},
	{"a tier of two members spills what it cannot take", "1@0:50/100 1@0:50/100 1@1:10/10",
		"35 35 30", 50},
	{"inside a tier only the sick one gives way", "1@0:0/10 1@0:10/10 1@1:10/10", "0 70 30",
		50},
	{"weight 0 takes no part, healthy or not", "0@0:10/10 5@1:1/1", "0 100", 50},
	{"nor does it count against its tier", "0@0:0/10 5@0:10/10 1@1:1/1", "0 100 0", 50},
	{"nobody has a weight", "0@0:10/10 0@1:1/1", "0 0", 50},
	{"nobody is available: panic in the first tier", "1@0:0/10 1@1:0/10", "100 0 panic 0", 50},
	{"and without panic nobody gets anything", "1@0:0/10 1@1:0/10", "0 0", 0},
	{"panic ignores verdicts, never readiness", "1@0:0/0/10 1@1:0/3/10", "0 100 panic 1", 50},
	{"panic shares by who is ready", "1@0:0/7/10 1@0:1/10/10", "49 51 panic 0", 50},
	{"nobody is ready", "1@0:0/0/10 1@1:0/0/10", "0 0", 50},
	{"a drain takes the first away", "1@0:10/10-300 1@1:10/10", "98 2", 50},
	{"step by step", "1@0:10/10-650 1@1:10/10", "49 51", 50},
	{"until it is gone", "1@0:10/10-1000 1@1:10/10", "0 100", 50},
	{"unless there is nobody else", "1@0:10/10-1000 1@1:0/0", "100 0", 50},
	{"a drain inside a tier", "1@0:10/10-500 1@0:10/10", "33 67", 50},
	/* between backends */
	{"a backend that is gone leaves everything", "99@0:0/2 1@0:2/2", "0 100", 50, true},
	{"however many it had", "99@0:0/20 1@0:2/2", "0 100", 50, true},
	{"which clusters of one tier would call a panic", "99@0:0/20 1@0:2/2", "99 1 panic 0", 50},
	{"half of one", "50@0:1/2 50@0:2/2", "41 59", 50, true},
	{"71 percent are as good as all", "80@0:5/7 20@0:2/2", "80 20", 50, true},
	{"both are too few: panic by the weights", "80@0:1/5 20@0:1/5", "80 20 panic", 50, true},
	{"one of them is", "80@0:1/10 20@0:5/10", "85 15 panic", 50, true},
	{"all are gone", "80@0:0/5 20@0:0/5", "80 20 panic 0", 50, true},
	{"and there is no panic", "80@0:0/5 20@0:0/5", "0 0", 0, true},
	{"one of many is not nothing", "1@0:1/1000", "100", 0},
	{"nor beside others", "1@0:1/1000 1@1:1/1000", "50 50", 0},
};

static uint32_t number(const char **p)
{
	char *end;
	unsigned long v = strtoul(*p, &end, 10);

	*p = end;
	return (uint32_t)v;
}

static uint32_t parse(const char *p, struct traffic_member *m)
{
	uint32_t n = 0;

	for (; *p != '\0'; n++) {
		struct traffic_member *x = &m[n];

		*x = (struct traffic_member){.weight = number(&p)};
		p++;
		x->tier = (uint8_t)number(&p);
		p++;
		x->avail = number(&p);
		p++;
		x->ready = x->total = number(&p);
		if (*p == '/')
			p++, x->total = number(&p);
		if (*p == '-')
			p++, x->held = number(&p) * 1000;
		while (*p == ' ')
			p++;
	}
	return n;
}

static void shares_are_as_published(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct traffic_policy p = {140, rows[i].panic_percent, rows[i].each};
		struct traffic_member m[TRAFFIC_MEMBERS_MAX];
		uint32_t n = parse(rows[i].members, m), at = 0;
		const char *word = " panic";
		struct traffic t;
		char got[256];

		traffic_shares(m, n, &p, &t);
		for (uint32_t k = 0; k < n; k++)
			at += (uint32_t)snprintf(got + at, sizeof(got) - at, "%s%u", k ? " " : "",
				(traffic_share(&t, k) + 5000) / 10000);
		if (rows[i].each && t.panic != 0 && t.norm != 0)
			at += (uint32_t)snprintf(got + at, sizeof(got) - at, "%s", word);
		for (unsigned k = 0; k < TRAFFIC_TIERS; k++)
			if (t.tier[k].panic) {
				at += (uint32_t)snprintf(got + at, sizeof(got) - at, "%s %u", word,
					k);
				word = "";
			}
		if (strcmp(got, rows[i].want) != 0)
			fail_msg("%s: %s gives %s, not %s", rows[i].name, rows[i].members, got,
				rows[i].want);
	}
}

static void shares_of_the_well_are_exactly_their_weights(void **state)
{
	struct traffic_policy p = {140, 50, false};
	struct traffic_member m[] = {{.weight = 198, .total = 2, .ready = 2, .avail = 2},
		{.weight = 2, .total = 7, .ready = 7, .avail = 7}};
	struct traffic t;

	traffic_shares(m, 2, &p, &t);
	assert_int_equal(t.share[0], 99);
	assert_int_equal(t.share[1], 1);
	m[1].tier = 1;
	traffic_shares(m, 2, &p, &t);
	assert_int_equal(t.share[0], 1);
	assert_int_equal(t.share[1], 0);
	m[0].avail = 1;
	m[0].held = 0;
	traffic_shares(m, 2, &p, &t);
	assert_int_equal(t.share[0], 7);
	assert_int_equal(t.share[1], 3);
}

static uint32_t draw(struct rng *r, struct traffic_member *m)
{
	uint32_t n = 1 + (uint32_t)rng_below(r, rng_below(r, 8) ? 6 : TRAFFIC_MEMBERS_MAX);

	for (uint32_t i = 0; i < n; i++) {
		uint32_t total = (uint32_t)rng_below(r, rng_below(r, 4) ? 12 : 16385);

		m[i] = (struct traffic_member){
			.weight = rng_below(r, 5) ? rng_below(r, 1ull << rng_below(r, 32)) : 0,
			.total = total,
			.ready = (uint32_t)rng_below(r, total + 1u),
			.held = rng_below(r, 3) ? 0 : (uint32_t)rng_below(r, TRAFFIC_WHOLE + 1u),
			.tier = (uint8_t)rng_below(r, rng_below(r, 3) ? 1 : TRAFFIC_TIERS),
		};
		m[i].avail = (uint32_t)rng_below(r, m[i].ready + 1u);
		if (rng_below(r, 2))
			m[i].avail = m[i].ready = total;
	}
	return n;
}

static void whatever_the_numbers_are(void **state)
{
	struct rng r;

	rng_seed(&r, 5);
	for (unsigned round = 0; round < 50000; round++) {
		struct traffic_policy p = {(uint16_t)(100 + rng_below(&r, 100)),
			(uint8_t)rng_below(&r, 101), rng_below(&r, 2) != 0};
		struct traffic_member m[TRAFFIC_MEMBERS_MAX];
		uint32_t n = draw(&r, m), load = 0;
		bool can = false;
		uint64_t sum = 0;
		struct traffic t;

		traffic_shares(m, n, &p, &t);
		for (uint32_t i = 0; i < n; i++) {
			sum += t.share[i];
			can |= m[i].weight != 0 &&
				(m[i].avail != 0 || (m[i].ready != 0 && p.panic_percent != 0));
			/* nobody without weight, and nobody without a ready endpoint */
			if (m[i].weight == 0 || m[i].ready == 0)
				assert_int_equal(t.share[i], 0);
			/* without panic nobody against whom there is a verdict */
			if (m[i].avail == 0 && (t.panic >> i & 1) == 0)
				assert_int_equal(t.share[i], 0);
		}
		for (unsigned k = 0; k < TRAFFIC_TIERS; k++)
			load += t.tier[k].load;
		assert_int_equal(sum, t.total);
		assert_true(t.total < TRAFFIC_TOTAL_MAX);
		assert_int_equal(t.total != 0, can);
		assert_int_equal(load, can ? 100 : 0);
	}
}

static void what_is_held_back_bounds_a_share(void **state)
{
	struct traffic_policy p = {140, 50, false};
	struct rng r;

	rng_seed(&r, 6);
	for (unsigned round = 0; round < 3000; round++) {
		struct traffic_member m[TRAFFIC_MEMBERS_MAX];
		uint32_t n = draw(&r, m), i = (uint32_t)rng_below(&r, n);
		uint32_t limit = (uint32_t)rng_below(&r, TRAFFIC_WHOLE + 1), got, max;
		struct traffic t;

		m[i].held = TRAFFIC_WHOLE;
		traffic_shares(m, n, &p, &t);
		max = traffic_share(&t, i);
		m[i].held = traffic_hold(m, n, &p, i, limit, TRAFFIC_WHOLE);
		traffic_shares(m, n, &p, &t);
		got = traffic_share(&t, i);
		assert_true(got <= limit || got == max);
		if (m[i].held == 0 || got > limit)
			continue;
		m[i].held--; /* and no more than needed is held back */
		traffic_shares(m, n, &p, &t);
		assert_true(traffic_share(&t, i) > limit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_are_as_published),
		cmocka_unit_test(shares_of_the_well_are_exactly_their_weights),
		cmocka_unit_test(whatever_the_numbers_are),
		cmocka_unit_test(what_is_held_back_bounds_a_share),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
