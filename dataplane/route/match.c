// SPDX-License-Identifier: Apache-2.0
/*
 * match.c: from a request to a rule, in the order that the Gateway API gives.
 *
 * The most specific listener of the bind takes the request, and no other listener is asked
 * (listener isolation). In it the most specific hostname of a route comes first, and the next one
 * when none of its rules match. Under a hostname: the exact path, then prefixes from the longest to
 * the shortest; under a path the candidates, best first (snapshot_match.c laid them so).
 *
 * Every question is one look into a hash table, asked once per label of the host or element of the
 * path, so the cost does not depend on how many routes there are. Chains of hashes are computed
 * once per request.
 */
#include "dataplane/route/route.h"

#include "dataplane/base/bug.h"
#include "dataplane/http/h1.h"
#include "dataplane/route/predicate.h"
#include "dataplane/snapshot/snapshot.h"

#define LABELS_MAX 127 /* of a name of SNAPSHOT_HOSTNAME_MAX bytes */

struct walk {
	const struct snapshot *s;
	const struct route_request *req;
	uint32_t steps;
	/* Host: [k] is about the last k labels. */
	unsigned labels;
	uint64_t host_chain[LABELS_MAX + 1];
	uint16_t host_at[LABELS_MAX + 1]; /* where these labels start */
	/* Path: [k] is about the first k elements; filled up to <elements>. */
	unsigned elements;
	bool path_done; /* there are no more elements */
	uint64_t path_chain[SNAPSHOT_DEPTH_MAX + 1];
	uint32_t path_end[SNAPSHOT_DEPTH_MAX + 1];
};

/* A name that no route can have is left without labels: it matches "any" alone. */
static void split_host(struct walk *w)
{
	struct str rest = w->req->host;

	w->labels = 0;
	w->host_chain[0] = snapshot_hash_start(w->s);
	if (rest.len > SNAPSHOT_HOSTNAME_MAX)
		return;
	for (size_t end = rest.len, i; end > 0; end = i - 1) {
		for (i = end; i > 0 && rest.p[i - 1] != '.';)
			i--;
		if (w->labels == LABELS_MAX) {
			w->labels = 0;
			return;
		}
		w->labels++;
		w->host_chain[w->labels] =
			snapshot_hash(w->host_chain[w->labels - 1], str_make(rest.p + i, end - i));
		w->host_at[w->labels] = (uint16_t)i;
		if (i == 0)
			return;
	}
}

/* Splits the path until <n> elements are known or there are no more. */
static void split_path(struct walk *w, unsigned n)
{
	struct str path = w->req->path;
	unsigned k = w->elements;
	bool done = w->path_done;

	for (; k < n && !done; k++) {
		size_t from = w->path_end[k] + 1u;
		size_t end = from;

		while (end < path.len && path.p[end] != '/') /* elements are short */
			end++;
		w->path_chain[k + 1] =
			snapshot_hash(w->path_chain[k], str_make(path.p + from, end - from));
		w->path_end[k + 1] = (uint32_t)end;
		done = end >= path.len;
	}
	w->elements = k;
	w->path_done = done;
}

/* Is <name> the bytes at <p>? Names are short: words that overlap, not a call. */
static inline bool is_text(const char *p, struct str name)
{
	uint64_t a, b;
	size_t i = 0;

	if (name.len < 8)
		return name.len == 0 || memcmp(p, name.p, name.len) == 0;
	for (; i + 8 < name.len; i += 8) {
		memcpy(&a, p + i, 8);
		memcpy(&b, name.p + i, 8);
		if (a != b)
			return false;
	}
	memcpy(&a, p + name.len - 8, 8);
	memcpy(&b, name.p + name.len - 8, 8);
	return a == b;
}

static inline bool is_name(struct walk *w, struct snapshot_ref ref, struct str name)
{
	return ref.len == name.len && is_text(snapshot_str(w->s, ref).p, name);
}

/* The slot <k> places behind the home of <hash>. */
static const struct snapshot_slot *slot_at(struct walk *w, enum snapshot_section slots,
	uint64_t hash, uint32_t k)
{
	w->steps++;
	return snapshot_at(w->s, slots, ((uint32_t)hash + k) & (snapshot_count(w->s, slots) - 1));
}

/* The host with this key, or SLOT_NONE. <labels> labels of the request's host are its name. */
static inline uint32_t find_host(struct walk *w, uint32_t scope, enum snapshot_level level,
	enum snapshot_host_kind kind, unsigned labels)
{
	uint64_t hash =
		snapshot_node_hash(w->host_chain[labels], scope, (uint8_t)level, (uint8_t)kind);
	struct str name = {NULL, 0};

	if (kind == SNAPSHOT_HOST_EXACT)
		name = w->req->host;
	else if (kind == SNAPSHOT_HOST_WILD) /* with the dot in front of its labels */
		name = str_from(w->req->host, w->host_at[labels] - 1u);
	for (uint32_t k = 0; k < SNAPSHOT_PROBES_MAX; k++) {
		const struct snapshot_slot *slot = slot_at(w, SNAPSHOT_HOST_SLOT, hash, k);
		const struct snapshot_host *h;

		if (slot->node == 0)
			return SLOT_NONE;
		if (slot->tag != (uint32_t)(hash >> 32))
			continue;
		h = snapshot_at(w->s, SNAPSHOT_HOST, slot->node - 1);
		if (h->scope == scope && h->level == level && h->kind == kind &&
			is_name(w, h->name, name))
			return slot->node - 1;
	}
	return SLOT_NONE;
}

/*
 * Hosts of a scope that match the request, the most specific first: exact, wildcards from the most
 * labels to the fewest, any. *<it> counts them; start with 0. SLOT_NONE: no more.
 */
static inline uint32_t next_host(struct walk *w, uint32_t scope, enum snapshot_level level,
	unsigned wild_labels, unsigned *it)
{
	unsigned wild = w->labels > 0 ? w->labels - 1 : 0; /* '*' stands for a label at least */
	uint32_t host = SLOT_NONE;

	if (wild > wild_labels)
		wild = wild_labels;
	while (host == SLOT_NONE && *it < wild + 2) {
		unsigned step = (*it)++;

		if (step == 0 && w->labels > 0)
			host = find_host(w, scope, level, SNAPSHOT_HOST_EXACT, w->labels);
		else if (step > 0 && step <= wild)
			host = find_host(w, scope, level, SNAPSHOT_HOST_WILD, wild + 1 - step);
		else if (step > wild)
			host = find_host(w, scope, level, SNAPSHOT_HOST_ANY, 0);
	}
	return host;
}

static bool candidate_matches(struct walk *w, const struct snapshot_candidate *c)
{
	const struct h1_head *head = w->req->head;
	uint8_t hidden = H1_HEADER_HOP | (w->req->trusted ? 0 : H1_HEADER_ORIGIN);

	w->steps++;
	if (c->method.len > 0 && !is_name(w, c->method, head->method))
		return false;
	for (uint32_t i = 0; i < c->header_count; i++) {
		const struct snapshot_predicate *p =
			snapshot_at(w->s, SNAPSHOT_PREDICATE, c->header_first + i);

		if (!predicate_header(head, hidden, snapshot_str(w->s, p->name),
			    snapshot_str(w->s, p->value)))
			return false;
	}
	for (uint32_t i = 0; i < c->query_count; i++) {
		const struct snapshot_predicate *p =
			snapshot_at(w->s, SNAPSHOT_PREDICATE, c->query_first + i);

		if (!predicate_query(w->req->query, snapshot_str(w->s, p->name),
			    snapshot_str(w->s, p->value)))
			return false;
	}
	return true;
}

static inline bool is_path(struct walk *w, const struct snapshot_path *p, struct str text)
{
	if (p->path.len != text.len)
		return false;
	return is_text(snapshot_has_path_tail(w->s) && text.len <= sizeof(p->text)
			? p->text
			: snapshot_str(w->s, p->path).p,
		text);
}

static uint32_t match_candidates(struct walk *w, const struct snapshot_path *p)
{
	if (snapshot_has_path_tail(w->s) && p->rule != 0)
		return p->rule - 1;
	for (uint32_t i = 0; i < p->candidate_count; i++) {
		const struct snapshot_candidate *c =
			snapshot_at(w->s, SNAPSHOT_CANDIDATE, p->candidate_first + i);

		if (candidate_matches(w, c))
			return c->rule;
	}
	return SLOT_NONE;
}

/* The rule of the first candidate of the path <text> that matches, or SLOT_NONE. */
static uint32_t match_path(struct walk *w, uint32_t host, enum snapshot_path_kind kind,
	uint64_t chain, struct str text)
{
	uint64_t hash = snapshot_node_hash(chain, host, SNAPSHOT_LEVEL_LISTENER, (uint8_t)kind);

	for (uint32_t k = 0; k < SNAPSHOT_PROBES_MAX; k++) {
		const struct snapshot_slot *slot = slot_at(w, SNAPSHOT_PATH_SLOT, hash, k);
		const struct snapshot_path *p;

		if (slot->node == 0)
			return SLOT_NONE;
		if (slot->tag != (uint32_t)(hash >> 32))
			continue;
		p = snapshot_at(w->s, SNAPSHOT_PATH, slot->node - 1);
		if (p->host == host && p->kind == kind && is_path(w, p, text))
			return match_candidates(w, p);
	}
	return SLOT_NONE;
}

static uint32_t match_host(struct walk *w, uint32_t host)
{
	const struct snapshot_host *h = snapshot_at(w->s, SNAPSHOT_HOST, host);
	struct str path = w->req->path;
	uint32_t rule = SLOT_NONE;

	if (path.len <= h->exact_len) {
		split_path(w, SNAPSHOT_DEPTH_MAX);
		if (w->path_done)
			rule = match_path(w, host, SNAPSHOT_PATH_EXACT, w->path_chain[w->elements],
				path);
	}
	if (!h->has_prefix)
		return rule;
	split_path(w, h->prefix_depth);
	for (unsigned k = w->elements < h->prefix_depth ? w->elements : h->prefix_depth;
		rule == SLOT_NONE; k--) {
		rule = match_path(w, host, SNAPSHOT_PATH_PREFIX, w->path_chain[k],
			str_first(path, w->path_end[k]));
		if (k == 0)
			break;
	}
	return rule;
}

static uint32_t match_listener(struct walk *w, uint32_t listener)
{
	const struct snapshot_listener *l = snapshot_at(w->s, SNAPSHOT_LISTENER, listener);
	uint32_t rule = SLOT_NONE, host;
	unsigned it = 0;

	while (rule == SLOT_NONE) {
		host = next_host(w, listener, SNAPSHOT_LEVEL_LISTENER, l->wild_labels, &it);
		if (host == SLOT_NONE)
			break;
		rule = match_host(w, host);
	}
	return rule;
}

void route_match(const struct snapshot *snap, uint32_t bind, const struct route_request *req,
	struct route_result *ret)
{
	struct walk w; /* large, and mostly never touched */
	const struct snapshot_bind *b;
	uint32_t host;
	unsigned it = 0;

	bug_on_hot(bind >= snapshot_count(snap, SNAPSHOT_BIND));
	w.s = snap;
	w.req = req;
	w.steps = 0;
	w.elements = 0;
	w.path_done = req->path.len <= 1; /* "/" has no elements */
	w.path_chain[0] = snapshot_hash_start(snap);
	w.path_end[0] = 0;
	split_host(&w);
	*ret = (struct route_result){SLOT_NONE, SLOT_NONE, 0};
	b = snapshot_at(snap, SNAPSHOT_BIND, bind);
	host = next_host(&w, bind, SNAPSHOT_LEVEL_BIND, b->wild_labels, &it);
	if (host != SLOT_NONE) {
		ret->listener =
			((const struct snapshot_host *)snapshot_at(snap, SNAPSHOT_HOST, host))
				->value;
		if (req->path.len > 0 && req->path.p[0] == '/')
			ret->rule = match_listener(&w, ret->listener);
	}
	ret->steps = w.steps;
}
