// SPDX-License-Identifier: Apache-2.0
/*
 * world.c: random configurations and the naive matcher.
 */
#include "tests/unit/route/world.h"

#include <stdio.h>

static const char *const hostnames[] = {"", "a.example.com", "b.example.com", "x.a.example.com",
	"*.example.com", "*.a.example.com", "*.com", "example.com", "other.org", "*.org"};
static const char *const request_hosts[] = {"a.example.com", "b.example.com", "x.a.example.com",
	"y.x.a.example.com", "c.example.com", "example.com", "other.org", "www.other.org", "com",
	"nobody", "A.Example.COM"};
static const char *const paths[] = {"/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/b", "/a/bc",
	"/b/c", "/as-long/as-the-record/of-paths-take", "/as-long/as-the-record/of-paths-take-not"};
static const char *const request_paths[] = {"/", "/a", "/a/", "/a/b", "/a/b/", "/a/b/c", "/a/b/c/d",
	"/ab", "/abc", "/b", "/a/bc", "/c", "/b/c/", "/b//c", "//a", "/a//b",
	"/as-long/as-the-record/of-paths-take", "/as-long/as-the-record/of-paths-take-not/x"};
static const char *const methods[] = {"", "", "GET", "POST"};
static const char *const header_names[] = {"X-A", "x-a", "X-B", "x-c"};
static const char *const header_values[] = {"1", "2", "1, 2", "v"};
static const char *const query_names[] = {"q", "r", "Q"};
static const char *const query_values[] = {"1", "2", "a b"};
static const char *const query_texts[] = {"q=1", "q=2", "r=1", "q=%31", "q=a+b", "q=a%20b",
	"q=2&q=1", "r=2&q=1", "Q=1", "q", "", "%71=1", "q=%zz"};

#define PICK(r, list) ((list)[rng_below(r, sizeof(list) / sizeof((list)[0]))])

static uint64_t id_of(const char *kind, uint64_t n)
{
	char text[32];
	struct str parts[2] = {str_of(kind),
		str_make(text,
			(size_t)snprintf(text, sizeof(text), "%llu", (unsigned long long)n))};

	return object_id(parts, 2);
}

static struct build_predicate *random_predicates(struct world *w, struct rng *r, bool header,
	uint32_t *ret_count)
{
	uint32_t n = rng_below(r, 3) ? 0 : 1 + (uint32_t)rng_below(r, 3);
	struct build_predicate *p = arena_array(&w->arena, struct build_predicate, n + 1);

	for (uint32_t i = 0; i < n; i++) {
		p[i].name = str_of(header ? PICK(r, header_names) : PICK(r, query_names));
		p[i].value = str_of(header ? PICK(r, header_values) : PICK(r, query_values));
	}
	*ret_count = n;
	return p;
}

static void random_rule(struct world *w, struct rng *r, struct build_rule *rule, const char *route,
	uint64_t id)
{
	uint32_t n = 1 + (uint32_t)rng_below(r, 3);
	struct build_match *m = arena_array(&w->arena, struct build_match, n);

	rule->id = id;
	rule->name = str_of(arena_printf(&w->arena, "%s rule %llu", route, (unsigned long long)id));
	rule->matches = m;
	rule->match_count = n;
	for (uint32_t i = 0; i < n; i++) {
		m[i].path_type = rng_below(r, 2) ? BUILD_MATCH_PREFIX : BUILD_MATCH_EXACT;
		m[i].path = str_of(PICK(r, paths));
		m[i].method = str_of(PICK(r, methods));
		m[i].headers = random_predicates(w, r, true, &m[i].header_count);
		m[i].queries = random_predicates(w, r, false, &m[i].query_count);
	}
}

static struct build_route *random_routes(struct world *w, struct rng *r, uint32_t count)
{
	struct build_route *routes = arena_array(&w->arena, struct build_route, count);
	uint64_t rules = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t n = 1 + (uint32_t)rng_below(r, 3);
		struct build_rule *rule = arena_array(&w->arena, struct build_rule, n);
		char *name = arena_printf(&w->arena, "ns%llu/route-%u",
			(unsigned long long)rng_below(r, 3), i);

		routes[i] = (struct build_route){
			.id = id_of("route", i),
			.name = str_of(name),
			.created = (int64_t)rng_below(r, 3),
			.rules = rule,
			.rule_count = n,
		};
		for (uint32_t k = 0; k < n; k++, rules++)
			random_rule(w, r, &rule[k], name, id_of("rule", rules));
	}
	return routes;
}

static bool is_wild(struct str h)
{
	return h.len > 0 && h.p[0] == '*';
}

/* Does the hostname (empty: any) match this name, or cover this wildcard? */
static bool hostname_matches(struct str hostname, struct str name)
{
	if (hostname.len == 0 || str_eq(hostname, name))
		return true;
	return is_wild(hostname) && name.len >= hostname.len &&
		str_ends(name, str_from(hostname, 1));
}

static bool intersect(struct str a, struct str b, struct str *ret)
{
	if (b.len > 0 && hostname_matches(a, b))
		*ret = b;
	else if (hostname_matches(b, a))
		*ret = a;
	else
		return false;
	return true;
}

static void random_listener(struct world *w, struct rng *r, struct build_listener *l, uint32_t n,
	struct str hostname, uint16_t port)
{
	struct build_attachment *at =
		arena_array(&w->arena, struct build_attachment, w->config.route_count * 2 + 1);
	struct ip_addr *addr = arena_new(&w->arena, struct ip_addr);

	ip_parse(STR("192.0.2.1"), addr);
	*l = (struct build_listener){
		.id = id_of("listener", n),
		.name = str_of(arena_printf(&w->arena, "gw/l%u", n)),
		.addrs = addr,
		.addr_count = 1,
		.port = port,
		.hostname = hostname,
		.attachments = at,
	};
	for (uint32_t i = 0; i < w->config.route_count * 2; i++) {
		struct build_attachment *a = &at[l->attachment_count];

		a->route = i / 2;
		a->original = str_of(PICK(r, hostnames));
		if (rng_below(r, 2) && intersect(hostname, a->original, &a->hostname))
			l->attachment_count++;
	}
}

void world_random(struct world *w, struct rng *r, unsigned routes_max)
{
	struct build_listener *listeners;
	uint32_t n = 0;

	*w = (struct world){0};
	arena_init(&w->arena, 0);
	w->config.generation = 1;
	w->config.route_count = 1 + (uint32_t)rng_below(r, routes_max);
	w->config.routes = random_routes(w, r, w->config.route_count);
	listeners = arena_array(&w->arena, struct build_listener, 20);
	for (size_t i = 0; i < sizeof(hostnames) / sizeof(hostnames[0]); i++)
		for (uint16_t port = 80; port < 82; port++)
			if (n == 0 || rng_below(r, 4) == 0) {
				random_listener(w, r, &listeners[n], n, str_of(hostnames[i]), port);
				n++;
			}
	w->config.listeners = listeners;
	w->config.listener_count = n;
}

void world_free(struct world *w)
{
	arena_fini(&w->arena);
}

#define SHUFFLE(type, array, n) \
	for (uint32_t i_ = (n); i_ > 1; i_--) { \
		uint32_t k_ = (uint32_t)rng_below(r, i_); \
		type t_ = (array)[i_ - 1]; \
\
		(array)[i_ - 1] = (array)[k_]; \
		(array)[k_] = t_; \
	}

void world_shuffle(struct world *w, struct rng *r)
{
	uint32_t n = w->config.route_count;
	uint32_t *order = arena_array(&w->arena, uint32_t, n),
		 *at = arena_array(&w->arena, uint32_t, n);
	struct build_route *routes = arena_array(&w->arena, struct build_route, n);
	struct build_listener *listeners = (struct build_listener *)w->config.listeners;

	for (uint32_t i = 0; i < n; i++)
		order[i] = i;
	SHUFFLE(uint32_t, order, n)
	for (uint32_t i = 0; i < n; i++) {
		routes[i] = w->config.routes[order[i]];
		at[order[i]] = i;
	}
	w->config.routes = routes;
	SHUFFLE(struct build_listener, listeners, w->config.listener_count)
	for (uint32_t i = 0; i < w->config.listener_count; i++) {
		struct build_attachment *a = (struct build_attachment *)listeners[i].attachments;

		SHUFFLE(struct build_attachment, a, listeners[i].attachment_count)
		for (uint32_t k = 0; k < listeners[i].attachment_count; k++)
			a[k].route = at[a[k].route];
	}
}

struct str world_request(struct world *w, struct rng *r)
{
	char fields[256];
	size_t n = 0;
	const char *query = PICK(r, query_texts);

	for (uint64_t i = rng_below(r, 4); i > 0; i--)
		n += (size_t)snprintf(fields + n, sizeof(fields) - n, "%s: %s\r\n",
			PICK(r, header_names), PICK(r, header_values));
	if (rng_below(r, 8) == 0)
		n += (size_t)snprintf(fields + n, sizeof(fields) - n, "Connection: x-b\r\n");
	fields[n] = 0;
	return str_of(arena_printf(&w->arena, "%s %s%s%s HTTP/1.1\r\nHost: %s\r\n%s\r\n",
		rng_below(r, 2) ? "GET" : "POST", PICK(r, request_paths), *query ? "?" : "", query,
		PICK(r, request_hosts), fields));
}

/*
 * The naive matcher. Words of the API in quotes, in the order in which they decide.
 */
static bool path_matches(const struct build_match *m, struct str path)
{
	struct str prefix = m->path;

	if (m->path_type == BUILD_MATCH_EXACT)
		return str_eq(m->path, path);
	/* "matching is done element by element"; "a trailing / is ignored" */
	while (prefix.len > 0 && prefix.p[prefix.len - 1] == '/')
		prefix.len--;
	return str_starts(path, prefix) && (path.len == prefix.len || path.p[prefix.len] == '/');
}

/* Of entries with equivalent names "only the first entry with an equivalent name MUST be
 * considered". */
static bool counts(const struct build_predicate *p, uint32_t i, bool header)
{
	for (uint32_t k = 0; k < i; k++)
		if (header ? str_ieq(p[k].name, p[i].name) : str_eq(p[k].name, p[i].name))
			return false;
	return true;
}

static unsigned how_many(const struct build_predicate *p, uint32_t count, bool header)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < count; i++)
		n += counts(p, i, header);
	return n;
}

static bool header_matches(const struct h1_head *h, const struct build_predicate *p)
{
	char all[512];
	size_t n = 0;
	bool found = false;

	for (uint32_t i = 0; i < h->header_count; i++) {
		if (!str_ieq(h->headers[i].name, p->name) || (h->headers[i].flags & H1_HEADER_HOP))
			continue;
		n += (size_t)snprintf(all + n, sizeof(all) - n, "%s%.*s", found ? ", " : "",
			STR_FMT(h->headers[i].value));
		found = true;
	}
	return found && str_eq(str_make(all, n), p->value);
}

static struct str decoded(struct str s, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < s.len; i++) {
		unsigned v;
		char digits[3] = {0};

		if (s.p[i] == '%' && i + 2 < s.len)
			memcpy(digits, s.p + i + 1, 2);
		if (strlen(digits) == 2 && strspn(digits, "0123456789abcdefABCDEF") == 2) {
			sscanf(digits, "%x", &v);
			out[n++] = (char)v;
			i += 2;
		} else {
			out[n++] = s.p[i] == '+' ? ' ' : s.p[i];
		}
	}
	return str_make(out, n);
}

static bool query_matches(struct str query, const struct build_predicate *p)
{
	char a[256], b[256];

	while (query.p != NULL) {
		struct str value = str_cut(&query, '&'), name = str_cut(&value, '=');

		if (str_eq(decoded(name, a), p->name))
			return str_eq(decoded(value, b), p->value);
	}
	return false;
}

static bool match_matches(const struct build_match *m, const struct h1_head *h)
{
	if (!path_matches(m, h->path) || (m->method.len > 0 && !str_eq(m->method, h->method)))
		return false;
	for (uint32_t i = 0; i < m->header_count; i++)
		if (counts(m->headers, i, true) && !header_matches(h, &m->headers[i]))
			return false;
	for (uint32_t i = 0; i < m->query_count; i++)
		if (counts(m->queries, i, false) && !query_matches(h->query, &m->queries[i]))
			return false;
	return true;
}

/* What the precedence rules compare; better: higher. */
struct rank {
	size_t exact_host, host_len, exact_path, prefix_len, method, headers, queries;
	int64_t created;
	struct str route;
	uint32_t rule;
	bool valid;
};

static bool is_better(const struct rank *a, const struct rank *b)
{
	int d;

	if (!b->valid)
		return true;
#define MORE_WINS(field) \
	if (a->field != b->field) \
		return a->field > b->field;
	/* "the most characters in a matching non-wildcard hostname", then "in a matching hostname"
	 */
	MORE_WINS(exact_host)
	MORE_WINS(host_len)
	/* "exact path match", "prefix path match with largest number of characters", "method match"
	 */
	MORE_WINS(exact_path)
	MORE_WINS(prefix_len)
	MORE_WINS(method)
	/* "largest number of header matches", "largest number of query param matches" */
	MORE_WINS(headers)
	MORE_WINS(queries)
	/* "the oldest Route", "first in alphabetical order by {namespace}/{name}", the first rule
	 */
	if (a->created != b->created)
		return a->created < b->created;
	d = str_cmp(a->route, b->route);
	if (d != 0)
		return d < 0;
	return a->rule < b->rule;
}

static struct rank rank_of(const struct build_attachment *at, const struct build_route *route,
	const struct build_match *m, uint32_t rule)
{
	bool exact = m->path_type == BUILD_MATCH_EXACT;
	size_t len = m->path.len;

	while (!exact && len > 0 && m->path.p[len - 1] == '/')
		len--;
	return (struct rank){
		.exact_host = is_wild(at->original) ? 0 : at->original.len,
		.host_len = at->original.len,
		.exact_path = exact,
		.prefix_len = exact ? 0 : len,
		.method = m->method.len > 0,
		.headers = how_many(m->headers, m->header_count, true),
		.queries = how_many(m->queries, m->query_count, false),
		.created = route->created,
		.route = route->name,
		.rule = rule,
		.valid = true,
	};
}

static uint64_t best_rule(const struct world *w, const struct build_listener *l,
	const struct h1_head *h, struct str host)
{
	struct rank best = {0};
	uint64_t id = 0;

	for (uint32_t i = 0; i < l->attachment_count; i++) {
		const struct build_attachment *at = &l->attachments[i];
		const struct build_route *route = &w->config.routes[at->route];

		if (!hostname_matches(at->hostname, host))
			continue;
		for (uint32_t k = 0; k < route->rule_count; k++)
			for (uint32_t m = 0; m < route->rules[k].match_count; m++) {
				const struct build_match *match = &route->rules[k].matches[m];
				struct rank rank = rank_of(at, route, match, k);

				if (match_matches(match, h) && is_better(&rank, &best)) {
					best = rank;
					id = route->rules[k].id;
				}
			}
	}
	return id;
}

void world_match(const struct world *w, const struct ip_addr *addr, uint16_t port,
	const struct h1_head *head, struct str host, uint64_t *ret_listener, uint64_t *ret_rule)
{
	const struct build_listener *best = NULL;

	for (uint32_t i = 0; i < w->config.listener_count; i++) {
		const struct build_listener *l = &w->config.listeners[i];
		bool exact = l->hostname.len > 0 && !is_wild(l->hostname);

		if (!ip_eq(&l->addrs[0], addr) || l->port != port ||
			!hostname_matches(l->hostname, host))
			continue;
		if (best == NULL || exact ||
			(best->hostname.len < l->hostname.len &&
				!(best->hostname.len > 0 && !is_wild(best->hostname))))
			best = l;
	}
	*ret_listener = best ? best->id : 0;
	*ret_rule = best ? best_rule(w, best, head, host) : 0;
}
