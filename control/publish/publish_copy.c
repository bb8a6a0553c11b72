// SPDX-License-Identifier: Apache-2.0
/*
 * publish_copy.c: a configuration that outlives its maker.
 *
 * Kept so that an image of the newest state can be built at any time: for a dataplane that comes
 * later, or one that needs a snapshot because it refused a message. An older image with small
 * messages behind it would take weights back for a moment.
 */
#include <string.h>

#include "control/publish/publish_state.h"

static void *dup_array(struct arena *a, const void *from, size_t len)
{
	void *to = arena_alloc(a, len + 1);

	if (len > 0)
		memcpy(to, from, len);
	return to;
}

#define DUP(a, p, n) dup_array(a, p, (size_t)(n) * sizeof(*(p)))

static const struct build_predicate *copy_predicates(struct arena *a,
	const struct build_predicate *from, uint32_t n)
{
	struct build_predicate *p = DUP(a, from, n);

	for (uint32_t i = 0; i < n; i++) {
		p[i].name = arena_str(a, from[i].name);
		p[i].value = arena_str(a, from[i].value);
	}
	return p;
}

static const struct build_match *copy_matches(struct arena *a, const struct build_match *from,
	uint32_t n)
{
	struct build_match *m = DUP(a, from, n);

	for (uint32_t i = 0; i < n; i++) {
		m[i].path = arena_str(a, from[i].path);
		m[i].method = arena_str(a, from[i].method);
		m[i].headers = copy_predicates(a, from[i].headers, from[i].header_count);
		m[i].queries = copy_predicates(a, from[i].queries, from[i].query_count);
	}
	return m;
}

static const struct build_backend *copy_backends(struct arena *a, const struct build_backend *from,
	uint32_t n)
{
	struct build_backend *b = DUP(a, from, n);

	for (uint32_t i = 0; i < n; i++)
		b[i].name = arena_str(a, from[i].name);
	return b;
}

static const struct build_rule *copy_rules(struct arena *a, const struct build_rule *from,
	uint32_t n)
{
	struct build_rule *r = DUP(a, from, n);

	for (uint32_t i = 0; i < n; i++) {
		r[i].name = arena_str(a, from[i].name);
		r[i].matches = copy_matches(a, from[i].matches, from[i].match_count);
		r[i].backends = copy_backends(a, from[i].backends, from[i].backend_count);
	}
	return r;
}

static const struct build_route *copy_routes(struct arena *a, const struct build_route *from,
	uint32_t n)
{
	struct build_route *r = DUP(a, from, n);

	for (uint32_t i = 0; i < n; i++) {
		r[i].name = arena_str(a, from[i].name);
		r[i].rules = copy_rules(a, from[i].rules, from[i].rule_count);
	}
	return r;
}

static const struct build_endpoint *copy_endpoints(struct arena *a,
	const struct build_endpoint *from, uint32_t n)
{
	struct build_endpoint *e = DUP(a, from, n);

	for (uint32_t i = 0; i < n; i++) {
		e[i].name = arena_str(a, from[i].name);
		e[i].cluster = arena_str(a, from[i].cluster);
	}
	return e;
}

static const struct build_service_cluster *copy_clusters(struct arena *a,
	const struct build_service_cluster *from, uint32_t n)
{
	struct build_service_cluster *c = DUP(a, from, n);

	for (uint32_t i = 0; i < n; i++)
		c[i].name = arena_str(a, from[i].name);
	return c;
}

static const struct build_service *copy_services(struct arena *a, const struct build_service *from,
	uint32_t n)
{
	struct build_service *s = DUP(a, from, n);

	for (uint32_t i = 0; i < n; i++) {
		s[i].name = arena_str(a, from[i].name);
		s[i].endpoints = copy_endpoints(a, from[i].endpoints, from[i].endpoint_count);
		s[i].clusters = copy_clusters(a, from[i].clusters, from[i].cluster_count);
	}
	return s;
}

static const struct build_policy *copy_policies(struct arena *a, const struct build_policy *from,
	uint32_t n)
{
	struct build_policy *p = DUP(a, from, n);

	for (uint32_t i = 0; i < n; i++) {
		p[i].name = arena_str(a, from[i].name);
		p[i].path = arena_str(a, from[i].path);
		p[i].host = arena_str(a, from[i].host);
		p[i].method = arena_str(a, from[i].method);
	}
	return p;
}

static const struct build_attachment *copy_attachments(struct arena *a,
	const struct build_attachment *from, uint32_t n)
{
	struct build_attachment *t = DUP(a, from, n);

	for (uint32_t i = 0; i < n; i++) {
		t[i].hostname = arena_str(a, from[i].hostname);
		t[i].original = arena_str(a, from[i].original);
	}
	return t;
}

static const struct build_listener *copy_listeners(struct arena *a,
	const struct build_listener *from, uint32_t n)
{
	struct build_listener *l = DUP(a, from, n);

	for (uint32_t i = 0; i < n; i++) {
		l[i].name = arena_str(a, from[i].name);
		l[i].addrs = DUP(a, from[i].addrs, from[i].addr_count);
		l[i].hostname = arena_str(a, from[i].hostname);
		l[i].attachments =
			copy_attachments(a, from[i].attachments, from[i].attachment_count);
	}
	return l;
}

void pub_config_copy(const struct build_config *from, struct arena *a, struct build_config *ret)
{
	*ret = *from;
	ret->settings.trusted = DUP(a, from->settings.trusted, from->settings.trusted_count);
	ret->listeners = copy_listeners(a, from->listeners, from->listener_count);
	ret->routes = copy_routes(a, from->routes, from->route_count);
	ret->services = copy_services(a, from->services, from->service_count);
	ret->policies = copy_policies(a, from->policies, from->policy_count);
}
