// SPDX-License-Identifier: Apache-2.0
/*
 * derive_slow.c: endpoints on their way up, and which verdicts have changed.
 *
 * An endpoint that is new in a service, or usable again, begins with a tenth of its weight and has
 * the whole of it at the end of its window (slowStart of Envoy Gateway's BackendTrafficPolicy). What
 * it lacks stands on the health board, so a step touches a byte and no set. An endpoint in several
 * services has the window of the one that began it.
 */
#include <assert.h>

#include "dataplane/agent/derive_state.h"
#include "dataplane/base/bug.h"
#include "dataplane/worker/worker.h"

#define SLOW_LEAST ((HEALTH_SLOW_WHOLE + 9u) / 10u) /* a tenth */

static void board_set(struct live_context *c, uint32_t slot, uint32_t lacks)
{
	__atomic_store_n(&c->group->health.slow[slot], (uint8_t)lacks, __ATOMIC_RELAXED);
}

static void begin(struct live_context *c, const struct endpoint *e, uint32_t window_ms,
	uint64_t now_us)
{
	struct derive *d = &c->derive;
	uint16_t *at = &d->slow_at[e->slot];

	static_assert(SLOTS_ENDPOINT_MAX <= UINT16_MAX, "places fit");
	if (*at == 0)
		*at = (uint16_t)++d->slow_count; /* slots stand there once each: there is room */
	d->slow[*at - 1] = (struct derive_slow){e->id, now_us, e->slot, window_ms};
	board_set(c, e->slot, HEALTH_SLOW_WHOLE - SLOW_LEAST);
}

bool derive_set_is_dirty(struct live_context *c, const struct endpoint_set *set,
	const struct derive_service *d, uint64_t now_us)
{
	bool dirty = false;

	for (uint32_t i = 0; i < set->count; i++) {
		uint32_t slot = set->e[i].slot;

		if ((c->derive.dirty[slot / 64] >> slot % 64 & 1) == 0)
			continue;
		dirty = true;
		if (d->slow_start_ms != 0 && c->derive.was[slot] != 0 &&
			health_verdict(&c->group->health, slot) == 0)
			begin(c, &set->e[i], d->slow_start_ms, now_us);
	}
	return dirty;
}

void derive_dirty_clear(struct live_context *c)
{
	struct derive *d = &c->derive;

	for (uint32_t k = 0; d->any_dirty && k < SLOTS_ENDPOINT_MAX / 64; k++)
		for (; d->dirty[k] != 0; d->dirty[k] &= d->dirty[k] - 1) {
			uint32_t slot = k * 64 + (uint32_t)__builtin_ctzll(d->dirty[k]);

			d->was[slot] = health_verdict(&c->group->health, slot);
		}
	d->any_dirty = false;
}

void derive_slow_start_new(struct live_context *c, const struct endpoint_set *set,
	const struct endpoint_set *old, uint32_t window_ms, uint64_t now_us)
{
	uint64_t had[SLOTS_ENDPOINT_MAX / 64] = {0};

	for (uint32_t i = 0; i < old->count; i++)
		if (!old->e[i].draining)
			had[old->e[i].slot / 64] |= 1ull << old->e[i].slot % 64;
	for (uint32_t i = 0; i < set->count; i++) {
		const struct endpoint *e = &set->e[i];

		if (!e->draining && (had[e->slot / 64] >> e->slot % 64 & 1) == 0)
			begin(c, e, window_ms, now_us);
	}
}

void derive_slow_step(struct live_context *c, uint64_t now_us)
{
	struct derive *d = &c->derive;

	for (uint32_t i = 0; i < d->slow_count;) {
		const struct derive_slow *s = &d->slow[i];
		uint64_t ms = (now_us - s->since_us) / 1000;
		bool ours = slots_get(&c->slots, AGENT_SLOT_ENDPOINT, s->slot)->id == s->id;
		uint32_t has = SLOW_LEAST +
			(uint32_t)((HEALTH_SLOW_WHOLE - SLOW_LEAST) * ms / s->window_ms);

		if (ours && ms < s->window_ms) {
			board_set(c, s->slot, HEALTH_SLOW_WHOLE - has);
			i++;
			continue;
		}
		board_set(c, s->slot, 0);
		d->slow_at[s->slot] = 0;
		if (i != --d->slow_count) {
			d->slow[i] = d->slow[d->slow_count];
			d->slow_at[d->slow[i].slot] = (uint16_t)(i + 1);
		}
	}
}
