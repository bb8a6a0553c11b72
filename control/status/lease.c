// SPDX-License-Identifier: Apache-2.0
/*
 * lease.c: the election, step by step.
 */
#include "control/status/lease.h"

#include <stdio.h>
#include <string.h>

#include "dataplane/base/bug.h"

void lease_init(struct lease *l, const char *identity)
{
	*l = (struct lease){.look = true};
	snprintf(l->identity, sizeof(l->identity), "%s", identity);
}

static bool is_ours(const struct lease *l)
{
	return l->known && strcmp(l->seen.holder, l->identity) == 0;
}

/* Nobody's, ours, or of one who has not been heard of for the time that he asked for. */
static bool is_free(const struct lease *l, uint64_t now_us)
{
	uint64_t duration_s = l->seen.duration_s ? l->seen.duration_s : LEASE_DURATION_S;

	return !l->known || l->seen.holder[0] == '\0' || is_ours(l) ||
		now_us - l->changed_us >= duration_s * 1000000;
}

static void give_up(struct lease *l)
{
	l->lost += l->held;
	l->held = false;
}

static enum lease_step next_step(const struct lease *l, uint64_t now_us)
{
	if (l->look)
		return LEASE_GET;
	if (l->absent)
		return LEASE_CREATE;
	return is_free(l, now_us) ? LEASE_PUT : LEASE_GET;
}

enum lease_step lease_due(struct lease *l, uint64_t now_us)
{
	enum lease_step step;

	if (l->held && now_us - l->renewed_us >= LEASE_RENEW_US)
		give_up(l);
	if (l->under_way || now_us < l->due_us)
		return LEASE_WAIT;
	step = next_step(l, now_us);
	l->under_way = true;
	l->sent_us = now_us;
	return step;
}

uint64_t lease_next_us(const struct lease *l)
{
	uint64_t lost_us = l->renewed_us + LEASE_RENEW_US;

	if (l->under_way)
		return l->held ? lost_us : UINT64_MAX;
	return l->held && lost_us < l->due_us ? lost_us : l->due_us;
}

struct lease_record lease_wanted(const struct lease *l, bool *ret_fresh)
{
	struct lease_record r = {.duration_s = LEASE_DURATION_S};

	memcpy(r.holder, l->identity, sizeof(r.holder));
	if (l->known) {
		memcpy(r.version, l->seen.version, sizeof(r.version));
		r.transitions = l->seen.transitions + !is_ours(l);
	}
	/* what a process of before held under our name we have not held since then */
	*ret_fresh = !is_ours(l) || !l->held;
	return r;
}

static void answered(struct lease *l, uint64_t due_us)
{
	bug_on(!l->under_way);
	l->under_way = false;
	l->denied = false;
	l->due_us = due_us;
}

static void see(struct lease *l, const struct lease_record *r, uint64_t now_us)
{
	if (!l->known || strcmp(l->seen.version, r->version) != 0 ||
		strcmp(l->seen.holder, r->holder) != 0)
		l->changed_us = now_us;
	l->seen = *r;
	l->known = true;
	l->absent = false;
}

void lease_on_record(struct lease *l, const struct lease_record *r, uint64_t now_us)
{
	see(l, r, now_us);
	/* Another's: look again later. Else write at once. */
	l->look = !is_free(l, now_us);
	answered(l, l->look ? now_us + LEASE_RETRY_US : now_us);
	if (!is_ours(l))
		give_up(l);
}

void lease_on_written(struct lease *l, const struct lease_record *r, uint64_t now_us)
{
	see(l, r, now_us);
	l->denials = 0;
	answered(l, now_us + LEASE_RETRY_US);
	if (!is_ours(l)) { /* a server that says something else than what we wrote */
		l->look = true;
		give_up(l);
		return;
	}
	l->look = false;
	l->taken += !l->held;
	l->held = true;
	l->renewed_us = l->sent_us;
}

void lease_on_absent(struct lease *l, uint64_t now_us)
{
	give_up(l);
	l->known = false;
	l->absent = true;
	l->look = false;
	answered(l, now_us);
}

void lease_on_conflict(struct lease *l, uint64_t now_us)
{
	l->look = true;
	l->absent = false;
	/* One who holds it looks at once: somebody may only have edited a label. */
	answered(l, l->held ? now_us : now_us + LEASE_RETRY_US);
}

void lease_on_denied(struct lease *l, uint64_t now_us)
{
	bool soon = l->denials < LEASE_DENIED_TRIES;

	l->look = true;
	answered(l, now_us + (soon ? LEASE_RETRY_US : LEASE_DENIED_US));
	l->denied = true;
	l->denials += soon;
	give_up(l);
}

void lease_on_failure(struct lease *l, uint64_t now_us)
{
	l->look = true; /* it may have been done all the same */
	answered(l, now_us + LEASE_RETRY_US);
}
