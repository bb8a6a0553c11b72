// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_match.c: the part of an image that matching walks.
 *
 * Precedence is spent here, once: candidates of one path are laid down best first, and a candidate
 * behind one without conditions can never be reached and is left out. Routes are filed under their
 * own hostname, not under its intersection with the listener's: whoever gets to the listener has
 * matched that one's hostname already, and the API compares routes by their own
 * (GatewayRouteHostnameIntersectionPrecedence).
 */
#include "dataplane/snapshot/snapshot_build.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/snapshot/snapshot_check.h"

/* One HTTPRouteMatch with its predicates in the image. */
struct match {
	const struct build_match *in;
	const struct build_route *route;
	uint32_t rule;	 /* in the image */
	uint32_t order;	 /* among the matches of its route: first rule, first match */
	struct str path; /* a prefix without trailing slashes */
	uint32_t header_first, query_first;
	uint16_t header_count, query_count;
};

struct matches {
	struct match *m; /* owned; by route in b->in->routes, then in order */
	uint32_t *first; /* owned; [route], one more at the end */
};

struct listener_at { /* one address of a listener */
	struct snapshot_bind bind;
	struct str hostname;
	uint32_t listener;
};

static const char *kind_of(enum build_match_type t)
{
	return t == BUILD_MATCH_REGEX ? "RegularExpression" : "unknown";
}

static int check_path(const struct build_rule *rule, const struct build_match *m, struct err *err)
{
	bool twice = false;

	if (m->path_type != BUILD_MATCH_EXACT && m->path_type != BUILD_MATCH_PREFIX)
		return err_set(err, ENOTSUP, "%.*s: path match of type %s is not supported",
			STR_FMT(rule->name), kind_of(m->path_type));
	for (size_t i = 1; i < m->path.len; i++)
		twice |= m->path.p[i] == '/' && m->path.p[i - 1] == '/';
	if (m->path.len == 0 || m->path.p[0] != '/' || m->path.len > SNAPSHOT_PATH_MAX || twice)
		return err_set(err, EINVAL, "%.*s: path \"%.*s\"", STR_FMT(rule->name),
			STR_FMT(str_first(m->path, 256)));
	return 0;
}

static int add_predicate(struct build *b, const struct build_rule *rule, const char *what,
	const struct build_predicate *p, struct err *err)
{
	struct snapshot_predicate rec = {
		.name = image_text(&b->im, p->name),
		.value = image_text(&b->im, p->value),
		.type = (uint8_t)p->type,
	};

	if (p->type != BUILD_MATCH_EXACT)
		return err_set(err, ENOTSUP, "%.*s: %s %.*s: match of type %s is not supported",
			STR_FMT(rule->name), what, STR_FMT(str_first(p->name, 256)),
			kind_of(p->type));
	if (p->name.len == 0 || p->name.len > SNAPSHOT_NAME_MAX ||
		p->value.len > SNAPSHOT_VALUE_MAX)
		return err_set(err, EINVAL,
			"%.*s: %s \"%.*s\": name or value too short or too long",
			STR_FMT(rule->name), what, STR_FMT(str_first(p->name, 256)));
	image_add(&b->im, SNAPSHOT_PREDICATE, &rec);
	return 0;
}

/* The API: of entries with equivalent names only the first counts. */
static bool is_repeated(const struct build_predicate *p, uint32_t i, bool fold)
{
	for (uint32_t k = 0; k < i; k++)
		if (fold ? str_ieq(p[k].name, p[i].name) : str_eq(p[k].name, p[i].name))
			return true;
	return false;
}

static int add_predicates(struct build *b, const struct build_rule *rule, const char *what,
	const struct build_predicate *p, uint32_t count, uint32_t *ret_first, uint16_t *ret_count,
	struct err *err)
{
	bool fold = what[0] == 'h'; /* header names are case-insensitive */
	int rc = 0;

	*ret_first = image_count(&b->im, SNAPSHOT_PREDICATE);
	if (count > SNAPSHOT_PREDICATES_MAX)
		return err_set(err, EINVAL, "%.*s: %u %s matches, the limit is %u",
			STR_FMT(rule->name), count, what, SNAPSHOT_PREDICATES_MAX);
	for (uint32_t i = 0; i < count && rc == 0; i++)
		if (!is_repeated(p, i, fold))
			rc = add_predicate(b, rule, what, &p[i], err);
	*ret_count = (uint16_t)(image_count(&b->im, SNAPSHOT_PREDICATE) - *ret_first);
	return rc;
}

static int add_match(struct build *b, const struct build_rule *rule, struct match *m,
	struct err *err)
{
	const struct build_match *in = m->in;
	int rc = check_path(rule, in, err);

	m->path = in->path;
	if (in->path_type == BUILD_MATCH_PREFIX)
		while (str_ends(m->path, STR("/")))
			m->path.len--;
	if (rc == 0 && in->method.len > SNAPSHOT_NAME_MAX)
		rc = err_set(err, EINVAL, "%.*s: the method is too long", STR_FMT(rule->name));
	if (rc == 0)
		rc = add_predicates(b, rule, "header", in->headers, in->header_count,
			&m->header_first, &m->header_count, err);
	if (rc == 0)
		rc = add_predicates(b, rule, "query parameter", in->queries, in->query_count,
			&m->query_first, &m->query_count, err);
	return rc;
}

static int add_route_matches(struct build *b, struct matches *ms, uint32_t route, struct err *err)
{
	const struct build_route *r = &b->in->routes[route];
	uint32_t n = 0;

	for (uint32_t i = 0; i < r->rule_count; i++) {
		for (uint32_t k = 0; k < r->rules[i].match_count; k++, n++) {
			struct match *m = &ms->m[ms->first[route] + n];
			int rc;

			*m = (struct match){
				.in = &r->rules[i].matches[k],
				.route = r,
				.rule = b->first_rule[route] + i,
				.order = n,
			};
			rc = add_match(b, &r->rules[i], m, err);
			if (rc < 0)
				return rc;
		}
	}
	return 0;
}

static int add_matches(struct build *b, struct matches *ms, struct err *err)
{
	uint32_t n = 0;
	int rc = 0;

	ms->first = calloc(b->in->route_count + 1ul, sizeof(*ms->first));
	bug_on(ms->first == NULL);
	for (uint32_t i = 0; i < b->in->route_count; i++) {
		ms->first[i] = n;
		for (uint32_t k = 0; k < b->in->routes[i].rule_count; k++)
			n += b->in->routes[i].rules[k].match_count;
	}
	ms->first[b->in->route_count] = n;
	ms->m = calloc(n + 1ul, sizeof(*ms->m));
	bug_on(ms->m == NULL);
	/* in sorted order, so that the predicates lie in an order of ours */
	for (uint32_t i = 0; i < b->in->route_count && rc == 0; i++)
		rc = add_route_matches(b, ms, (uint32_t)(b->routes[i] - b->in->routes), err);
	return rc;
}

/* Gateway API precedence of two matches of the same path (HTTPRouteRule.matches). */
static int cmp_precedence(const struct match *x, const struct match *y)
{
	int d = (y->in->method.len > 0) - (x->in->method.len > 0);

	if (d == 0)
		d = y->header_count - x->header_count;
	if (d == 0)
		d = y->query_count - x->query_count;
	if (d == 0)
		d = (x->route->created > y->route->created) -
			(x->route->created < y->route->created);
	if (d == 0)
		d = str_cmp(x->route->name, y->route->name);
	if (d == 0)
		d = (x->route->id > y->route->id) - (x->route->id < y->route->id);
	return d != 0 ? d : (x->order > y->order) - (x->order < y->order);
}

static int cmp_path(const struct match *x, const struct match *y)
{
	if (x->in->path_type != y->in->path_type)
		return x->in->path_type == BUILD_MATCH_EXACT ? -1 : 1;
	return str_cmp(x->path, y->path);
}

static int cmp_match(const void *a, const void *b)
{
	const struct match *x = *(const struct match *const *)a,
			   *y = *(const struct match *const *)b;
	int d = cmp_path(x, y);

	return d != 0 ? d : cmp_precedence(x, y);
}

static bool is_unconditional(const struct match *m)
{
	return m->in->method.len == 0 && m->header_count == 0 && m->query_count == 0;
}

/* One path of a host: the matches [m, m + count) are all of it, sorted. */
static void add_path(struct build *b, uint32_t host, const struct match **m, uint32_t count)
{
	bool exact = m[0]->in->path_type == BUILD_MATCH_EXACT;
	struct snapshot_host *h = image_at(&b->im, SNAPSHOT_HOST, host);
	struct snapshot_path path = {
		.path = image_text(&b->im, m[0]->path),
		.host = host,
		.candidate_first = image_count(&b->im, SNAPSHOT_CANDIDATE),
		.kind = exact ? SNAPSHOT_PATH_EXACT : SNAPSHOT_PATH_PREFIX,
	};
	unsigned depth = snapshot_element_count(m[0]->path);

	if (exact && h->exact_len < m[0]->path.len)
		h->exact_len = (uint16_t)m[0]->path.len;
	if (!exact && h->prefix_depth < depth)
		h->prefix_depth = (uint16_t)depth;
	h->has_prefix |= !exact;
	for (uint32_t i = 0; i < count; i++) {
		struct snapshot_candidate c = {
			.rule = m[i]->rule,
			.method = image_text(&b->im, m[i]->in->method),
			.header_first = m[i]->header_first,
			.query_first = m[i]->query_first,
			.header_count = m[i]->header_count,
			.query_count = m[i]->query_count,
		};

		path.candidate_count++;
		image_add(&b->im, SNAPSHOT_CANDIDATE, &c);
		if (is_unconditional(m[i]))
			break;
	}
	if (path.candidate_count == 1 && is_unconditional(m[0]))
		path.rule = m[0]->rule + 1;
	if (m[0]->path.len <= sizeof(path.text))
		memcpy(path.text, m[0]->path.p, m[0]->path.len);
	image_add(&b->im, SNAPSHOT_PATH, &path);
}

static uint32_t add_host(struct build *b, enum snapshot_level level, uint32_t scope,
	struct str hostname, uint32_t value)
{
	struct str name = hostname;
	uint8_t kind = hostname.len == 0		     ? SNAPSHOT_HOST_ANY
		: snapshot_hostname_is_wild(hostname, &name) ? SNAPSHOT_HOST_WILD
							     : SNAPSHOT_HOST_EXACT;
	struct snapshot_host h = {
		.name = image_text(&b->im, name),
		.scope = scope,
		.value = value,
		.level = level,
		.kind = kind,
		.labels = (uint16_t)snapshot_label_count(name),
	};
	uint16_t *wild = level == SNAPSHOT_LEVEL_BIND
		? &((struct snapshot_bind *)image_at(&b->im, SNAPSHOT_BIND, scope))->wild_labels
		: &((struct snapshot_listener *)image_at(&b->im, SNAPSHOT_LISTENER, scope))
			   ->wild_labels;

	if (kind == SNAPSHOT_HOST_WILD && *wild < h.labels)
		*wild = h.labels;
	return image_add(&b->im, SNAPSHOT_HOST, &h);
}

/* Does <pattern> match every name that <name> stands for? */
static bool covers(struct str pattern, struct str name)
{
	struct str suffix;

	if (pattern.len == 0 || str_eq(pattern, name))
		return true;
	return snapshot_hostname_is_wild(pattern, &suffix) && name.len > suffix.len &&
		str_ends(name, suffix);
}

static int check_attachment(const struct build *b, const struct build_listener *l,
	const struct build_attachment *at, struct err *err)
{
	struct str both;

	if (at->route >= b->in->route_count)
		return err_set(err, EINVAL, "listener %.*s: route %u of %u", STR_FMT(l->name),
			at->route, b->in->route_count);
	if (!snapshot_hostname_is_valid(at->original))
		return err_set(err, EINVAL, "route %.*s: hostname \"%.*s\"",
			STR_FMT(b->in->routes[at->route].name), STR_FMT(at->original));
	both = covers(l->hostname, at->original) && at->original.len > 0 ? at->original
									 : l->hostname;
	if (!covers(at->original, both) || !str_eq(both, at->hostname))
		return err_set(err, EINVAL,
			"listener %.*s: route %.*s: \"%.*s\" and \"%.*s\" do not give \"%.*s\"",
			STR_FMT(l->name), STR_FMT(b->in->routes[at->route].name),
			STR_FMT(l->hostname), STR_FMT(at->original), STR_FMT(at->hostname));
	return 0;
}

static int cmp_attachment(const void *a, const void *b)
{
	const struct build_attachment *x = *(const struct build_attachment *const *)a;
	const struct build_attachment *y = *(const struct build_attachment *const *)b;
	int d = str_cmp(x->original, y->original);

	return d != 0 ? d : (x->route > y->route) - (x->route < y->route);
}

/* All routes of a listener that name the same hostname: one host with its paths. */
static void add_routes(struct build *b, const struct matches *ms, uint32_t listener,
	const struct build_attachment **at, uint32_t count)
{
	uint32_t host = add_host(b, SNAPSHOT_LEVEL_LISTENER, listener, at[0]->original, 0), n = 0;
	const struct match **list;

	for (uint32_t i = 0; i < count; i++)
		n += ms->first[at[i]->route + 1] - ms->first[at[i]->route];
	list = calloc(n + 1ul, sizeof(struct match *));
	bug_on(list == NULL);
	n = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (i > 0 && at[i]->route == at[i - 1]->route)
			continue; /* two parentRefs that came to the same */
		for (uint32_t k = ms->first[at[i]->route]; k < ms->first[at[i]->route + 1]; k++)
			list[n++] = &ms->m[k];
	}
	qsort(list, n, sizeof(struct match *), cmp_match);
	for (uint32_t i = 0, k; i < n; i = k) {
		for (k = i + 1; k < n && cmp_path(list[i], list[k]) == 0;)
			k++;
		add_path(b, host, list + i, k - i);
	}
	free(list);
}

static int add_attachments(struct build *b, const struct matches *ms, uint32_t listener,
	struct err *err)
{
	const struct build_listener *l = b->listeners[listener];
	const struct build_attachment **at = calloc(l->attachment_count + 1ul, sizeof(*at));
	int rc = 0;

	bug_on(at == NULL);
	for (uint32_t i = 0; i < l->attachment_count && rc == 0; i++) {
		at[i] = &l->attachments[i];
		rc = check_attachment(b, l, at[i], err);
	}
	if (rc == 0)
		qsort(at, l->attachment_count, sizeof(*at), cmp_attachment);
	for (uint32_t i = 0, k; i < l->attachment_count && rc == 0; i = k) {
		for (k = i + 1;
			k < l->attachment_count && str_eq(at[i]->original, at[k]->original);)
			k++;
		add_routes(b, ms, listener, at + i, k - i);
	}
	free(at);
	return rc;
}

static int cmp_listener_at(const void *a, const void *b)
{
	const struct listener_at *x = a, *y = b;
	int d = snapshot_bind_cmp(&x->bind, &y->bind);

	if (d == 0)
		d = str_cmp(x->hostname, y->hostname);
	return d != 0 ? d : (x->listener > y->listener) - (x->listener < y->listener);
}

/* Listeners at one address and port, sorted by hostname. */
static int add_bind(struct build *b, const struct listener_at *at, uint32_t count, struct err *err)
{
	struct snapshot_bind rec = at[0].bind;
	uint32_t bind = image_add(&b->im, SNAPSHOT_BIND, &rec), n = 0;

	for (uint32_t i = 0; i < count; i++) {
		if (i > 0 && at[i].listener == at[i - 1].listener)
			continue; /* an address twice in its list */
		if (i > 0 && str_eq(at[i].hostname, at[i - 1].hostname)) {
			char addr[IP_ADDR_STRLEN];

			return err_set(err, EINVAL,
				"listeners %.*s and %.*s have the same address %s, port %u and "
				"hostname",
				STR_FMT(b->listeners[at[i - 1].listener]->name),
				STR_FMT(b->listeners[at[i].listener]->name),
				ip_format(&rec.addr, addr), rec.port);
		}
		add_host(b, SNAPSHOT_LEVEL_BIND, bind, at[i].hostname, at[i].listener);
		n++;
	}
	((struct snapshot_bind *)image_at(&b->im, SNAPSHOT_BIND, bind))->listener_count = n;
	return 0;
}

static int add_binds(struct build *b, struct err *err)
{
	uint32_t n = 0, total = image_count(&b->im, SNAPSHOT_ADDR);
	struct listener_at *at = calloc(total + 1ul, sizeof(*at));
	int rc = 0;

	bug_on(at == NULL);
	for (uint32_t i = 0; i < b->in->listener_count; i++)
		for (uint32_t k = 0; k < b->listeners[i]->addr_count; k++)
			at[n++] = (struct listener_at){
				.bind = {.addr = b->listeners[i]->addrs[k],
					.port = b->listeners[i]->port},
				.hostname = b->listeners[i]->hostname,
				.listener = i,
			};
	qsort(at, n, sizeof(*at), cmp_listener_at);
	for (uint32_t i = 0, k; i < n && rc == 0; i = k) {
		for (k = i + 1; k < n && snapshot_bind_cmp(&at[i].bind, &at[k].bind) == 0;)
			k++;
		rc = add_bind(b, at + i, k - i, err);
	}
	free(at);
	return rc;
}

int build_matching(struct build *b, struct err *err)
{
	struct matches ms = {0};
	int rc = add_binds(b, err);

	if (rc == 0)
		rc = add_matches(b, &ms, err);
	for (uint32_t i = 0; i < b->in->listener_count && rc == 0; i++)
		rc = add_attachments(b, &ms, i, err);
	free(ms.m);
	free(ms.first);
	return rc;
}
