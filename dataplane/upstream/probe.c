// SPDX-License-Identifier: Apache-2.0
/*
 * probe.c: names of results, ownership, the ring.
 */
#include "dataplane/upstream/probe.h"

#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"

static const struct {
	const char *name, *help;
} rows[PROBE_COUNTER_COUNT] = {
#define PROBE_RESULT(NAME, name, class, help) {name, help},
#define PROBE_COUNTER(NAME, name, help) {name, help},
#include "dataplane/upstream/probe.def"
};

static const uint8_t classes[PROBE_RESULT_COUNT] = {
#define PROBE_RESULT(NAME, name, class, help) PROBE_##class,
#include "dataplane/upstream/probe.def"
};

const char *probe_result_str(enum probe_result r)
{
	return r < PROBE_RESULT_COUNT ? rows[r].name : "?";
}

enum probe_class probe_result_class(enum probe_result r)
{
	bug_on(r >= PROBE_RESULT_COUNT);
	return (enum probe_class)classes[r];
}

const char *probe_counter_name(unsigned i)
{
	bug_on(i >= PROBE_COUNTER_COUNT);
	return rows[i].name;
}

const char *probe_counter_help(unsigned i)
{
	bug_on(i >= PROBE_COUNTER_COUNT);
	return rows[i].help;
}

unsigned probe_owner(uint64_t id, unsigned workers)
{
	return (unsigned)(hash_mix(id, 0x70726f6265) % workers);
}

static bool is_word(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= ' ' || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return s.len <= PROBE_TEXT_MAX;
}

bool probe_check_is_sane(const struct probe_check *c)
{
	if (c->interval_us == 0 || c->timeout_us == 0)
		return false;
	if (c->kind == BUILD_PROBE_TCP)
		return true;
	return c->kind == BUILD_PROBE_HTTP && c->method.len > 0 && c->method.len < 32 &&
		c->path.len > 0 && c->path.p[0] == '/' && is_word(c->method) && is_word(c->path) &&
		is_word(c->host) && c->status_count <= BUILD_STATUS_RANGES_MAX;
}

bool probe_status_is_expected(const struct probe_check *c, unsigned status)
{
	for (unsigned i = 0; i < c->status_count; i++)
		if (status >= c->status[i].first && status <= c->status[i].last)
			return true;
	/* Envoy Gateway: 200 unless something else is said */
	return c->status_count == 0 && status == 200;
}

bool probe_ring_put(struct probe_ring *r, const struct probe_report *p)
{
	uint32_t put = atomic_load_explicit(&r->put, memory_order_relaxed);

	if (put - atomic_load_explicit(&r->taken, memory_order_acquire) == PROBE_RING)
		return false;
	r->r[put % PROBE_RING] = *p;
	atomic_store_explicit(&r->put, put + 1, memory_order_release);
	return true;
}

bool probe_ring_take(struct probe_ring *r, struct probe_report *ret)
{
	uint32_t taken = atomic_load_explicit(&r->taken, memory_order_relaxed);

	if (taken == atomic_load_explicit(&r->put, memory_order_acquire))
		return false;
	*ret = r->r[taken % PROBE_RING];
	atomic_store_explicit(&r->taken, taken + 1, memory_order_release);
	return true;
}
