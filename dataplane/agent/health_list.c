// SPDX-License-Identifier: Apache-2.0
/*
 * health_list.c: who is there, by which rules, and the list of those to be probed.
 *
 * A listing names every endpoint of the configuration; those that it does not name are forgotten,
 * with all that was known of them, so one that becomes ready again starts without a grudge. From
 * what is listed comes the list for the workers: one block of memory, a new one only when its
 * content is another.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/agent/health.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"

#define CHECKS_PER_POLICY 2u /* as it says, and hurried under suspicion */
#define POLICIES_MAX (UINT16_MAX / CHECKS_PER_POLICY)

/* Policies ----------------------------------------------------------------------------------- */

static size_t words_of(const struct probe_check *k)
{
	return k->method.len + k->path.len + k->host.len;
}

static struct str copy_word(char **at, struct str s)
{
	struct str copy = str_make(*at, s.len);

	if (s.len > 0)
		memcpy(*at, s.p, s.len);
	*at += s.len;
	return copy;
}

static void copy_words(char **at, struct probe_check *k)
{
	k->method = copy_word(at, k->method);
	k->path = copy_word(at, k->path);
	k->host = copy_word(at, k->host);
}

void health_list_begin(struct health *h, const struct health_policy *policies, uint32_t count)
{
	size_t bytes = 1;
	char *at;

	bug_on(count == 0 || count > POLICIES_MAX);
	for (uint32_t i = 0; i < count; i++)
		bytes += words_of(&policies[i].check);
	free(h->policies);
	free(h->texts);
	h->policies = calloc(count, sizeof(*h->policies));
	h->texts = at = malloc(bytes);
	bug_on(h->policies == NULL || h->texts == NULL);
	h->policy_count = count;
	for (uint32_t i = 0; i < count; i++) {
		struct health_policy *p = &h->policies[i];

		*p = policies[i];
		copy_words(&at, &p->check);
		if (p->check.kind != BUILD_PROBE_NONE && !probe_check_is_sane(&p->check)) {
			h->counters[HEALTH_C_CHECK_INVALID]++;
			p->check.kind = BUILD_PROBE_NONE;
		}
	}
	h->pass++;
}

/* Endpoints ---------------------------------------------------------------------------------- */

/* Nothing is known of who has the slot now. */
static void wipe(struct health *h, uint32_t slot)
{
	struct health_entry *b = &h->board->entry[slot];

	h->ep[slot] = (struct health_endpoint){0};
	__atomic_store_n(&h->board->verdict[slot], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&b->rules.given, false, __ATOMIC_RELAXED);
	__atomic_store_n(&b->pardon_us, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&b->answers_us, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&b->sentence.until_us, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&b->sentence.count, 0, __ATOMIC_RELAXED);
}

static void show_rules(struct health *h, uint32_t slot)
{
	const struct health_rules *from = &h->policies[h->ep[slot].policy].rules;
	struct health_rules *to = &h->board->entry[slot].rules;

	__atomic_store_n(&to->base_ms, from->base_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&to->max_ms, from->max_ms, __ATOMIC_RELAXED);
	__atomic_store_n(&to->errors, from->errors, __ATOMIC_RELAXED);
	__atomic_store_n(&to->failures, from->failures, __ATOMIC_RELAXED);
	__atomic_store_n(&to->percent, from->percent, __ATOMIC_RELAXED);
	__atomic_store_n(&to->given, true, __ATOMIC_RELAXED);
}

void health_list_add(struct health *h, const struct health_listed *l)
{
	struct health_endpoint *e;

	bug_on(l->slot >= SLOTS_ENDPOINT_MAX || l->policy >= h->policy_count || l->id == 0);
	e = &h->ep[l->slot];
	if (e->id != l->id) {
		wipe(h, l->slot);
		e->id = l->id;
		e->fresh = true;
	}
	if (l->slot >= h->top)
		h->top = l->slot + 1;
	if (e->pass == h->pass) {
		if (e->policy == 0)
			e->policy = l->policy;
		e->remote |= l->remote;
		e->probed |= !l->draining; /* for now: somebody wants to use it */
		return;
	}
	e->pass = h->pass;
	e->cluster = l->cluster;
	e->addr = l->addr;
	e->port = l->port;
	e->policy = l->policy;
	e->remote = l->remote;
	e->probed = !l->draining;
}

/* One that is not probed any more keeps no verdict of probes. */
static void settle(struct health *h, uint32_t slot, uint64_t now_us)
{
	struct health_endpoint *e = &h->ep[slot];
	const struct probe_check *k = &h->policies[e->policy].check;

	e->probed = e->probed && k->kind != BUILD_PROBE_NONE;
	if (e->fresh) /* workers may remember it, and what they had against it */
		__atomic_store_n(&h->board->entry[slot].pardon_us, now_us, __ATOMIC_RELAXED);
	e->fresh = false;
	if (e->probed) {
		h->probed++;
		h->interval_us = k->interval_us > h->interval_us ? k->interval_us : h->interval_us;
	} else {
		e->verdict = (struct verdict){0};
		e->silent_us = 0;
		e->last = (struct probe_report){0};
	}
	show_rules(h, slot);
}

/* False: there is no place to watch its cluster from. */
static bool join_cluster(struct health *h, const struct health_endpoint *e)
{
	struct suspicion_cluster *c;

	if (!e->probed || e->cluster == 0)
		return true;
	c = suspicion_cluster(&h->suspicion, e->cluster);
	if (c == NULL)
		return false;
	c->remote = e->remote;
	suspicion_count(c, e->silent_us);
	return true;
}

/* How many endpoints are in clusters that nobody watches. */
static uint32_t join_clusters(struct health *h, uint64_t now_us)
{
	uint32_t unwatched = 0;

	suspicion_recount(&h->suspicion);
	for (uint32_t i = 0; i < h->top; i++)
		unwatched += h->ep[i].id != 0 && !join_cluster(h, &h->ep[i]);
	suspicion_recounted(&h->suspicion, now_us);
	return unwatched;
}

void health_list_end(struct health *h, uint64_t now_us)
{
	h->probed = 0;
	h->interval_us = 0;
	for (uint32_t i = 0; i < h->top; i++) {
		if (h->ep[i].id == 0)
			continue;
		if (h->ep[i].pass != h->pass) {
			wipe(h, i);
			h->changes++;
			continue;
		}
		settle(h, i, now_us);
	}
	/* the second time in the places of those who have left */
	if (join_clusters(h, now_us) != 0)
		h->counters[HEALTH_C_UNWATCHED] += join_clusters(h, now_us);
	for (uint32_t i = 0; i < h->top; i++) {
		struct health_endpoint *e = &h->ep[i];
		const struct suspicion_cluster *c;

		if (e->id == 0)
			continue;
		c = e->cluster == 0 ? NULL : suspicion_find(&h->suspicion, e->cluster);
		e->suspected = c != NULL && c->suspected;
		health_publish(h, i, now_us);
	}
	h->counters[HEALTH_C_PROBED] = h->probed;
	h->relist = true;
}

/* The list ----------------------------------------------------------------------------------- */

static uint64_t digest_word(uint64_t d, struct str s)
{
	return hash_mix(d, object_id(&s, 1));
}

static uint64_t digest_check(uint64_t d, const struct probe_check *k)
{
	d = digest_word(digest_word(digest_word(d, k->method), k->path), k->host);
	d = hash_mix(hash_mix(d, k->interval_us), k->timeout_us);
	d = hash_mix(hash_mix(d, k->kind), k->status_count);
	for (unsigned i = 0; i < k->status_count; i++)
		d = hash_mix(d, (uint64_t)k->status[i].first << 16 | k->status[i].last);
	return d;
}

/* Of all that a list would say. */
static uint64_t digest(const struct health *h, unsigned workers)
{
	uint64_t d = hash_mix(workers, h->policy_count);

	for (uint32_t i = 0; i < h->policy_count; i++)
		d = digest_check(d, &h->policies[i].check);
	for (uint32_t i = 0; i < h->top; i++)
		if (h->ep[i].id != 0 && h->ep[i].probed)
			d = hash_mix(hash_mix(d, h->ep[i].id),
				(uint64_t)i << 32 | h->ep[i].policy << 1 | h->ep[i].suspected);
	return d;
}

/* Under suspicion the first answer is what everybody waits for. */
static struct probe_check hurried(struct probe_check k)
{
	if (k.interval_us > HEALTH_SUSPECT_INTERVAL_US)
		k.interval_us = HEALTH_SUSPECT_INTERVAL_US;
	if (k.timeout_us > HEALTH_SUSPECT_TIMEOUT_US)
		k.timeout_us = HEALTH_SUSPECT_TIMEOUT_US;
	return k;
}

struct parts {
	struct probe_list *list;
	struct probe_check *checks;
	struct probe_target *targets;
	char *words;
};

/* One block: list, checks, targets, words. */
static struct parts parts_new(const struct health *h)
{
	size_t words = 0, checks = h->policy_count * CHECKS_PER_POLICY * sizeof(struct probe_check);
	struct parts p;

	for (uint32_t i = 0; i < h->policy_count; i++)
		words += words_of(&h->policies[i].check);
	p.list = calloc(1,
		sizeof(*p.list) + checks + h->probed * sizeof(struct probe_target) + words + 1);
	bug_on(p.list == NULL);
	p.checks = (struct probe_check *)(void *)&p.list[1];
	p.targets = (struct probe_target *)(void *)((char *)p.checks + checks);
	p.words = (char *)&p.targets[h->probed];
	return p;
}

static void fill_checks(const struct health *h, struct parts *p)
{
	for (uint32_t i = 0; i < h->policy_count; i++) {
		struct probe_check k = h->policies[i].check;

		copy_words(&p->words, &k);
		p->checks[i * CHECKS_PER_POLICY] = k;
		p->checks[i * CHECKS_PER_POLICY + 1] = hurried(k);
	}
	p->list->checks = p->checks;
}

/* By owner: first their numbers, then each at its place. */
static void fill_targets(const struct health *h, struct parts *p, unsigned workers)
{
	uint32_t *first = p->list->first, at[PROBE_WORKERS_MAX];

	for (uint32_t i = 0; i < h->top; i++)
		if (h->ep[i].id != 0 && h->ep[i].probed)
			first[probe_owner(h->ep[i].id, workers) + 1]++;
	for (unsigned w = 0; w < PROBE_WORKERS_MAX; w++) {
		first[w + 1] += first[w];
		at[w] = first[w];
	}
	bug_on(first[PROBE_WORKERS_MAX] != h->probed);
	for (uint32_t i = 0; i < h->top; i++) {
		const struct health_endpoint *e = &h->ep[i];

		if (e->id == 0 || !e->probed)
			continue;
		p->targets[at[probe_owner(e->id, workers)]++] = (struct probe_target){.id = e->id,
			.addr = e->addr,
			.slot = i,
			.port = e->port,
			.check = (uint16_t)(e->policy * CHECKS_PER_POLICY + e->suspected)};
	}
	p->list->t = p->targets;
}

const struct probe_list *health_list_probes(struct health *h, unsigned workers,
	struct probe_list **ret_old)
{
	struct parts p;
	uint64_t d;

	bug_on(workers == 0 || workers > PROBE_WORKERS_MAX);
	h->relist = false;
	if (h->policy_count == 0 || (h->probed == 0 && h->list == NULL))
		return NULL;
	d = digest(h, workers);
	if (h->list != NULL && d == h->list_digest)
		return NULL;
	p = parts_new(h);
	p.list->serial = ++h->list_serial;
	fill_checks(h, &p);
	fill_targets(h, &p, workers);
	*ret_old = h->list;
	h->list = p.list;
	h->list_digest = d;
	h->counters[HEALTH_C_LISTS]++;
	return p.list;
}
