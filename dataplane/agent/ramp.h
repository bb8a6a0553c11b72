// SPDX-License-Identifier: Apache-2.0
/*
 * ramp.h: shares that fall at once and rise by steps. Pure: a step is a call.
 *
 * What falls because endpoints died falls at once, and the others take it over at once. What comes
 * back because of health comes back slowly: what recovers is cold, and a herd would kill it again.
 * The ramp holds back as much of a recovering part as keeps its share below a bound that grows with
 * each step; the rest is the formula's. Weights, priorities and drains are the operator's, and act
 * at once: only a part whose own health has risen is held back.
 */
#pragma once

#include "dataplane/route/traffic.h"

/* A cluster of a service, or a backend of a rule with failover. */
struct ramp_part {
	struct traffic_member m; /* the caller's, but for <held>, which ramp_solve() fills in */
	uint32_t withheld;	 /* millionths that a drain has taken back */
	bool remote;		 /* rests while we suspect ourselves */
	bool suspected;		 /* none is available, but this is no judgement on its health */
	/* Memory; zeroed is a part that nobody knew before. */
	bool known;	/* it has served before */
	uint32_t well;	/* millionths of it that were available when it was judged last */
	uint32_t back;	/* millionths that are held back until it has come up again; 0: no ramp */
	uint32_t allow; /* millionths of everything that it may get, while it comes up */
	uint32_t share; /* millionths of everything that it gets */
};

/* The shares now; <ramped> false: what rises does so at once. */
void ramp_solve(struct ramp_part *p, uint32_t count, const struct traffic_policy *policy,
	bool ramped, struct traffic *ret);
/*
 * One step: those that come up may get <step> millionths more, but for remote ones while <frozen>.
 * ramp_solve() comes next.
 */
void ramp_step(struct ramp_part *p, uint32_t count, const struct traffic_policy *policy,
	uint32_t step, bool frozen);
bool ramp_is_running(const struct ramp_part *p, uint32_t count);
/* What <from> remembered of a part is from now on what <to> does. */
void ramp_adopt(struct ramp_part *to, const struct ramp_part *from);
