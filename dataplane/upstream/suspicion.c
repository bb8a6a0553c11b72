// SPDX-License-Identifier: Apache-2.0
/*
 * suspicion.c: clusters that fall silent together.
 */
#include "dataplane/upstream/suspicion.h"

#include <stddef.h>

#include "dataplane/base/bug.h"

struct suspicion_cluster *suspicion_find(struct suspicion *s, uint64_t id)
{
	for (unsigned i = 0; i < SUSPICION_CLUSTERS_MAX; i++)
		if (s->c[i].id == id)
			return &s->c[i];
	return NULL;
}

struct suspicion_cluster *suspicion_cluster(struct suspicion *s, uint64_t id)
{
	struct suspicion_cluster *free_one = NULL;

	bug_on(id == 0);
	for (unsigned i = 0; i < SUSPICION_CLUSTERS_MAX; i++) {
		if (s->c[i].id == id)
			return &s->c[i];
		if (s->c[i].id == 0 && free_one == NULL)
			free_one = &s->c[i];
	}
	if (free_one != NULL)
		*free_one = (struct suspicion_cluster){.id = id};
	return free_one;
}

void suspicion_recount(struct suspicion *s)
{
	for (unsigned i = 0; i < SUSPICION_CLUSTERS_MAX; i++) {
		s->c[i].probed = s->c[i].silent = 0;
		s->c[i].fell_us = 0;
	}
}

void suspicion_count(struct suspicion_cluster *c, uint64_t silent_us)
{
	c->probed++;
	if (silent_us != 0)
		suspicion_silent(c, silent_us);
}

void suspicion_silent(struct suspicion_cluster *c, uint64_t sent_us)
{
	c->silent++;
	bug_on(c->silent > c->probed);
	if (sent_us > c->fell_us)
		c->fell_us = sent_us;
}

static void end(struct suspicion *s, uint64_t now_us)
{
	for (unsigned i = 0; i < SUSPICION_CLUSTERS_MAX; i++)
		s->c[i].suspected = false;
	s->on = false;
	s->since_us = now_us;
}

void suspicion_recounted(struct suspicion *s, uint64_t now_us)
{
	bool any = false;

	for (unsigned i = 0; i < SUSPICION_CLUSTERS_MAX; i++) {
		if (s->c[i].probed == 0)
			s->c[i] = (struct suspicion_cluster){0};
		any |= s->c[i].suspected;
	}
	if (s->on && !any)
		end(s, now_us);
}

bool suspicion_answered(struct suspicion *s, struct suspicion_cluster *c, bool was_silent,
	uint64_t now_us)
{
	if (was_silent) {
		bug_on(c->silent == 0);
		c->silent--;
		if (c->silent == 0)
			c->fell_us = 0;
	}
	if (!c->suspected)
		return false;
	end(s, now_us);
	return true;
}

static bool is_silent(const struct suspicion_cluster *c)
{
	return c->id != 0 && c->remote && c->probed > 0 && c->silent == c->probed;
}

/* <c> fell silent, the last of it, within <interval_us> of <other>. */
static bool fell_together(const struct suspicion_cluster *c, const struct suspicion_cluster *other,
	uint64_t interval_us)
{
	uint64_t a = c->fell_us, b = other->fell_us;

	return is_silent(c) && (a > b ? a - b : b - a) <= interval_us;
}

static const struct suspicion_cluster *newest_silent(const struct suspicion *s)
{
	const struct suspicion_cluster *newest = NULL;

	for (unsigned i = 0; i < SUSPICION_CLUSTERS_MAX; i++)
		if (is_silent(&s->c[i]) && (newest == NULL || s->c[i].fell_us > newest->fell_us))
			newest = &s->c[i];
	return newest;
}

/* One that falls silent while we suspect ourselves is under suspicion as well; one that did long before is not. */
static bool join(struct suspicion *s, uint64_t interval_us)
{
	bool joined = false;

	for (unsigned i = 0; i < SUSPICION_CLUSTERS_MAX; i++) {
		struct suspicion_cluster *c = &s->c[i];

		if (!c->suspected && is_silent(c) && c->fell_us + interval_us >= s->fell_us)
			c->suspected = joined = true;
	}
	return joined;
}

bool suspicion_judge(struct suspicion *s, uint64_t interval_us, uint64_t now_us)
{
	const struct suspicion_cluster *newest = newest_silent(s);
	unsigned together = 0;
	bool peer_silent = false;

	if (newest == NULL)
		return false;
	if (s->on)
		return join(s, interval_us);
	for (unsigned i = 0; i < SUSPICION_CLUSTERS_MAX; i++)
		if (fell_together(&s->c[i], newest, interval_us)) {
			together++;
			peer_silent |= s->c[i].peer_silent;
		}
	if (together < 2 && !peer_silent)
		return false;
	for (unsigned i = 0; i < SUSPICION_CLUSTERS_MAX; i++)
		s->c[i].suspected = fell_together(&s->c[i], newest, interval_us);
	s->on = true;
	s->fell_us = newest->fell_us;
	s->since_us = now_us;
	s->times++;
	return true;
}
