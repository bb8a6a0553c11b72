// SPDX-License-Identifier: Apache-2.0
/*
 * traffic.h: the traffic formula: from weights and health to shares. Pure: no time, no sockets.
 *
 * Members are the clusters of a backend, by priority, or the backends of a rule with failover, all
 * of priority 0. What a tier of one priority can take is its health; tiers are filled in order, and
 * what one cannot take spills to the next. Inside a tier the members share by weight and by what
 * each can take. Integers, in the published mathematics' rounding:
 *
 *	reach(m)  = min(100 %, over * avail_m/total_m) * (1 - held_m)
 *	eff(m)    = weight_m * reach(m)			   share inside a tier: eff / sum of eff
 *	health(P) = min(100, over * avail_P/total_P)	   of its members with a weight; avail: less
 *							   what is held back
 *	norm      = min(100, sum of health)
 *	load(P)   = min(100 - loads before, health(P) * 100/norm)
 *	panic(P)  : norm < 100 and avail_P/total_P below the threshold: verdicts inside P are ignored
 *
 * Between backends (<each>) health, norm and panic are those of each member, not of the tier.
 *
 * Requests only ever go to endpoints that the API calls ready, in panic too. When nobody at all is
 * available the first tier that has a ready endpoint is in panic and gets everything; with the
 * threshold 0 nobody gets anything.
 * Standard: Envoy, load_balancing/{priority,locality_weight,panic_threshold,overprovisioning}.rst.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define TRAFFIC_MEMBERS_MAX 64u
#define TRAFFIC_TIERS 16u
#define TRAFFIC_WHOLE 1000000u	      /* of held and of traffic_share() */
#define TRAFFIC_REACH 10000u	      /* hundredths of a percent */
#define TRAFFIC_WEIGHT_MAX (1u << 28) /* larger ones are taken for this */
#define TRAFFIC_TOTAL_MAX (1u << 29)  /* bound of the sum of shares: pick_backend()'s */

struct traffic_member {
	uint64_t weight; /* against the others of its tier; 0: it takes no part */
	uint32_t total;	 /* endpoints that should be ready */
	uint32_t ready;	 /* those that are */
	uint32_t avail;	 /* those that no verdict is against either */
	uint32_t held;	 /* millionths that a drain or a ramp holds back */
	uint8_t tier;	 /* its priority */
};

struct traffic_policy {
	uint16_t overprovisioning_percent;
	uint8_t panic_percent; /* 0: never */
	bool each;	       /* members are judged one by one */
};

struct traffic_tier {
	uint32_t total, ready, avail; /* of its members with a weight */
	uint8_t health, load;	      /* percent */
	bool panic;
};

struct traffic {
	uint8_t norm;	/* percent */
	uint64_t panic; /* a bit per member: verdicts are ignored */
	struct traffic_tier tier[TRAFFIC_TIERS];
	uint32_t reach[TRAFFIC_MEMBERS_MAX]; /* 0 to TRAFFIC_REACH */
	uint32_t share[TRAFFIC_MEMBERS_MAX]; /* by <total>; equal members, equal numbers */
	uint32_t total;			     /* sum of shares; 0: nobody gets anything */
};

void traffic_shares(const struct traffic_member *m, uint32_t count, const struct traffic_policy *p,
	struct traffic *ret);

/* Millionths of everything that member <i> gets. */
static inline uint32_t traffic_share(const struct traffic *t, uint32_t i)
{
	return t->total == 0 ? 0 : (uint32_t)((uint64_t)t->share[i] * TRAFFIC_WHOLE / t->total);
}

/*
 * The least that has to be held back of member <i>, so that it gets no more than <limit> millionths;
 * at most <held>. What it gets at least (the only one, in panic) is not held back.
 */
uint32_t traffic_hold(const struct traffic_member *m, uint32_t count,
	const struct traffic_policy *p, uint32_t i, uint32_t limit, uint32_t held);
