// SPDX-License-Identifier: Apache-2.0
/*
 * health.c: passive health, from what requests experience.
 *
 * A refused connect says plainly that nobody listens: the endpoint is ejected at once. Other
 * failures eject after eject_failures in a row. An ejection lasts eject_base_us times the number
 * of ejections in a row, eject_max_us at most; an endpoint that afterwards serves for as long as
 * it was ejected starts afresh. Ejection only reorders the choice: when all endpoints of a service
 * are ejected, all are used (pick.c), so no verdict of ours can empty a service.
 */
#include "dataplane/upstream/endpoint.h"

static uint64_t sentence_us(const struct upstream *u, uint32_t ejections)
{
	uint64_t us = (uint64_t)u->cfg.eject_base_us * ejections;

	return us < u->cfg.eject_max_us ? us : u->cfg.eject_max_us;
}

static void eject(struct upstream *u, struct endpoint_state *s, uint32_t slot, uint64_t now_us)
{
	if (now_us - s->ejected_until_us > sentence_us(u, s->ejections))
		s->ejections = 0;
	s->ejections++;
	s->failures = 0;
	__atomic_store_n(&s->ejected_until_us, now_us + sentence_us(u, s->ejections),
		__ATOMIC_RELAXED);
	upstream_count(u, COUNTER_ENDPOINT, slot, COUNTER_ENDPOINT_EJECTIONS, 1);
}

bool upstream_failed(struct upstream *u, struct upstream_ref ep, enum upstream_failure why,
	uint64_t now_us)
{
	static const unsigned counter[] = {
		[UPSTREAM_REFUSED] = COUNTER_ENDPOINT_CONNECT_FAILED,
		[UPSTREAM_CONNECT_TIMEOUT] = COUNTER_ENDPOINT_CONNECT_FAILED,
		[UPSTREAM_RESET] = COUNTER_ENDPOINT_RESETS,
		[UPSTREAM_RESPONSE_TIMEOUT] = COUNTER_ENDPOINT_TIMEOUTS,
	};
	struct endpoint_state *s = endpoint_lookup(u, ep);

	if (s == NULL)
		return false;
	upstream_count(u, COUNTER_ENDPOINT, ep.slot, counter[why], 1);
	if (endpoint_is_ejected(s, now_us))
		return false;
	s->failures++;
	if (why != UPSTREAM_REFUSED && s->failures < u->cfg.eject_failures)
		return false;
	eject(u, s, ep.slot, now_us);
	return true;
}

void upstream_succeeded(struct upstream *u, struct upstream_ref ep, uint64_t now_us)
{
	struct endpoint_state *s = endpoint_lookup(u, ep);

	if (s == NULL)
		return;
	s->failures = 0;
	/* Only possible in panic: it does serve, so it is no longer the worst choice. */
	if (unlikely(endpoint_is_ejected(s, now_us)))
		__atomic_store_n(&s->ejected_until_us, now_us, __ATOMIC_RELAXED);
}
