// SPDX-License-Identifier: Apache-2.0
/*
 * ramp.c: the memory of shares, see ramp.h.
 *
 * The amount to hold back is found by asking the formula (traffic_hold()), so a ramp is right also
 * across tiers and beside other ramps: its bound is one of shares, not of weights.
 */
#include "dataplane/agent/ramp.h"

#include "dataplane/base/bug.h"

static uint32_t part_of(uint32_t part, uint32_t all)
{
	return all == 0 ? 0 : (uint32_t)((uint64_t)part * TRAFFIC_WHOLE / all);
}

/* A drain and a ramp hold back what is left of each other. */
static uint32_t held_of(const struct ramp_part *p)
{
	uint64_t left = (uint64_t)(TRAFFIC_WHOLE - p->withheld) * (TRAFFIC_WHOLE - p->back);

	return TRAFFIC_WHOLE - (uint32_t)(left / TRAFFIC_WHOLE);
}

static void members_of(const struct ramp_part *p, uint32_t count, struct traffic_member *ret)
{
	bug_on(count > TRAFFIC_MEMBERS_MAX);
	for (uint32_t i = 0; i < count; i++) {
		ret[i] = p[i].m;
		ret[i].held = held_of(&p[i]);
	}
}

/* As much as keeps part <i> within what it is allowed. */
static void hold_back(struct ramp_part *p, uint32_t count, const struct traffic_policy *policy,
	uint32_t i)
{
	struct traffic_member m[TRAFFIC_MEMBERS_MAX];
	uint32_t held, left = TRAFFIC_WHOLE - p[i].withheld;

	if (p[i].allow >= TRAFFIC_WHOLE || left == 0) {
		p[i].back = 0;
		return;
	}
	members_of(p, count, m);
	held = traffic_hold(m, count, policy, i, p[i].allow, TRAFFIC_WHOLE);
	p[i].back = held <= p[i].withheld ? 0
					  : TRAFFIC_WHOLE -
			(uint32_t)((uint64_t)(TRAFFIC_WHOLE - held) * TRAFFIC_WHOLE / left);
}

/* Sees whose health has changed; <fell>: those that may get no more than they are left with. */
static void judge(struct ramp_part *p, uint32_t count, const struct traffic_policy *policy,
	bool ramped, uint64_t *ret_fell)
{
	*ret_fell = 0;
	for (uint32_t i = 0; i < count; i++) {
		uint32_t well = part_of(p[i].m.avail, p[i].m.total);

		if (p[i].suspected)
			continue;
		if (!ramped) {
			p[i].back = 0;
		} else if (p[i].known && well > p[i].well) {
			if (p[i].back == 0 || p[i].share < p[i].allow)
				p[i].allow = p[i].share;
			hold_back(p, count, policy, i);
		} else if (p[i].known && well < p[i].well) {
			*ret_fell |= 1ull << i;
		}
		p[i].well = well;
		/* One that has never served is new, not recovering: pods of a new one start unready. */
		p[i].known = p[i].m.total != 0 && (p[i].known || well != 0);
	}
}

void ramp_solve(struct ramp_part *p, uint32_t count, const struct traffic_policy *policy,
	bool ramped, struct traffic *ret)
{
	struct traffic_member m[TRAFFIC_MEMBERS_MAX];
	uint64_t fell;

	judge(p, count, policy, ramped, &fell);
	members_of(p, count, m);
	traffic_shares(m, count, policy, ret);
	for (uint32_t i = 0; i < count; i++) {
		p[i].m.held = m[i].held;
		p[i].share = traffic_share(ret, i);
		if ((fell >> i & 1) != 0 && p[i].share < p[i].allow)
			p[i].allow = p[i].share;
	}
}

void ramp_step(struct ramp_part *p, uint32_t count, const struct traffic_policy *policy,
	uint32_t step, bool frozen)
{
	for (uint32_t i = 0; i < count; i++) {
		if (p[i].back == 0 || (frozen && (p[i].remote || p[i].suspected)))
			continue;
		p[i].allow = p[i].allow + step < TRAFFIC_WHOLE ? p[i].allow + step : TRAFFIC_WHOLE;
		hold_back(p, count, policy, i);
	}
}

bool ramp_is_running(const struct ramp_part *p, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (p[i].back != 0)
			return true;
	return false;
}

void ramp_adopt(struct ramp_part *to, const struct ramp_part *from)
{
	to->known = from->known;
	to->well = from->well;
	to->back = from->back;
	to->allow = from->allow;
	to->share = from->share;
}
