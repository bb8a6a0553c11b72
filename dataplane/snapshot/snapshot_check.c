// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_check.c: the facts that hold for every record of a good image, one function per section.
 *
 * An image that passes can be matched, printed and served without another check. Nothing here is
 * an assertion: a bad image is a counted, explained refusal.
 */
#include "dataplane/snapshot/snapshot_check.h"

#include <errno.h>

bool snapshot_is_text(const struct snapshot *s, struct snapshot_ref r, uint32_t max)
{
	uint32_t size = s->sec[SNAPSHOT_STRINGS].count;

	return r.len <= max && r.off <= size && r.len <= size - r.off;
}

/* A range of records that starts where the one before ended. */
static bool owns(uint32_t *next, uint32_t first, uint32_t count, uint32_t limit)
{
	if (first != *next || count > limit - *next)
		return false;
	*next += count;
	return true;
}

static bool is_range(uint32_t first, uint32_t count, uint32_t limit)
{
	return first <= limit && count <= limit - first;
}

bool snapshot_hostname_is_wild(struct str h, struct str *ret_suffix)
{
	if (h.len < 3 || h.p[0] != '*' || h.p[1] != '.')
		return false;
	*ret_suffix = str_from(h, 1);
	return true;
}

bool snapshot_hostname_is_valid(struct str h)
{
	struct str suffix;

	if (h.len == 0)
		return true;
	if (h.len > SNAPSHOT_HOSTNAME_MAX)
		return false;
	if (snapshot_hostname_is_wild(h, &suffix))
		h = str_from(suffix, 1);
	while (h.p != NULL) {
		struct str label = str_cut(&h, '.');

		if (label.len == 0)
			return false;
		for (size_t i = 0; i < label.len; i++) {
			char c = label.p[i];

			if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
				    c == '_'))
				return false;
		}
	}
	return true;
}

unsigned snapshot_label_count(struct str name)
{
	unsigned n = 0;

	if (name.len > 0 && name.p[0] == '.')
		name = str_from(name, 1);
	for (; name.p != NULL && name.len > 0; n++)
		(void)str_cut(&name, '.');
	return n;
}

unsigned snapshot_element_count(struct str path)
{
	unsigned n = 0;

	if (path.len <= 1)
		return 0;
	for (size_t i = 0; i < path.len; i++)
		n += path.p[i] == '/';
	return n;
}

uint64_t snapshot_host_hash(const struct snapshot *s, const struct snapshot_host *h)
{
	uint64_t chain = snapshot_hash_start(s);
	struct str rest = snapshot_str(s, h->name);

	while (rest.len > 0) { /* labels from the right */
		ptrdiff_t dot = str_rfind(rest, '.');

		chain = snapshot_hash(chain, str_from(rest, (size_t)(dot + 1)));
		rest = str_first(rest, dot < 0 ? 0 : (size_t)dot);
	}
	return snapshot_node_hash(chain, h->scope, h->level, h->kind);
}

uint64_t snapshot_path_hash(const struct snapshot *s, const struct snapshot_path *p)
{
	uint64_t chain = snapshot_hash_start(s);
	struct str rest = str_from(snapshot_str(s, p->path), 1);

	while (rest.p != NULL) /* elements from the left */
		chain = snapshot_hash(chain, str_cut(&rest, '/'));
	return snapshot_node_hash(chain, p->host, SNAPSHOT_LEVEL_LISTENER, p->kind);
}

static int bad(struct err *err, const char *section, uint32_t i, const char *what)
{
	return err_set(err, EINVAL, "snapshot: %s %u: %s", section, i, what);
}

static int check_listeners(const struct snapshot *s, struct err *err)
{
	uint32_t next = 0;

	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_LISTENER); i++) {
		struct snapshot_listener l = snapshot_listener(s, i);

		if (!snapshot_is_text(s, l.name, SNAPSHOT_NAME_MAX) ||
			!snapshot_is_text(s, l.hostname, SNAPSHOT_HOSTNAME_MAX) ||
			!snapshot_hostname_is_valid(snapshot_str(s, l.hostname)))
			return bad(err, "LISTENER", i, "name or hostname");
		if (l.port == 0 || l.protocol != BUILD_HTTP)
			return bad(err, "LISTENER", i, "port or protocol");
		if (!owns(&next, l.addr_first, l.addr_count, snapshot_count(s, SNAPSHOT_ADDR)))
			return bad(err, "LISTENER", i, "addresses");
	}
	return next == snapshot_count(s, SNAPSHOT_ADDR) ? 0 : bad(err, "ADDR", next, "no owner");
}

static int check_binds(const struct snapshot *s, struct err *err)
{
	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_BIND); i++) {
		struct snapshot_bind b = snapshot_bind(s, i), before;

		if (b.port == 0)
			return bad(err, "BIND", i, "port");
		if (i == 0)
			continue;
		before = snapshot_bind(s, i - 1);
		if (snapshot_bind_cmp(&before, &b) >= 0)
			return bad(err, "BIND", i, "order");
	}
	return 0;
}

static bool is_host_name(struct str name, uint8_t kind)
{
	switch (kind) {
	case SNAPSHOT_HOST_EXACT:
		return name.len > 0 && name.p[0] != '*' && snapshot_hostname_is_valid(name);
	case SNAPSHOT_HOST_WILD:
		return name.len > 1 && name.p[0] == '.' &&
			snapshot_hostname_is_valid(str_from(name, 1));
	case SNAPSHOT_HOST_ANY:
		return name.len == 0;
	}
	return false;
}

static int check_hosts(const struct snapshot *s, struct err *err)
{
	uint32_t listeners = snapshot_count(s, SNAPSHOT_LISTENER);

	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_HOST); i++) {
		const struct snapshot_host *h = snapshot_at(s, SNAPSHOT_HOST, i);
		bool top = h->level == SNAPSHOT_LEVEL_BIND;
		unsigned wild;

		if (h->level > SNAPSHOT_LEVEL_LISTENER ||
			!snapshot_is_text(s, h->name, SNAPSHOT_HOSTNAME_MAX) ||
			!is_host_name(snapshot_str(s, h->name), h->kind) ||
			h->labels != snapshot_label_count(snapshot_str(s, h->name)))
			return bad(err, "HOST", i, "name");
		if (h->scope >= (top ? snapshot_count(s, SNAPSHOT_BIND) : listeners) ||
			(top && h->value >= listeners))
			return bad(err, "HOST", i, "scope");
		wild = top ? snapshot_bind(s, h->scope).wild_labels
			   : snapshot_listener(s, h->scope).wild_labels;
		if (h->kind == SNAPSHOT_HOST_WILD && h->labels > wild)
			return bad(err, "HOST", i, "more labels than its scope says");
		if (h->exact_len > SNAPSHOT_PATH_MAX || h->prefix_depth > SNAPSHOT_DEPTH_MAX)
			return bad(err, "HOST", i, "path bounds");
	}
	return 0;
}

/* The tail says what the rest of the record says. */
static bool is_tail_true(const struct snapshot *s, const struct snapshot_path *p)
{
	const struct snapshot_candidate *c = snapshot_at(s, SNAPSHOT_CANDIDATE, p->candidate_first);

	if (p->path.len <= sizeof(p->text) &&
		!str_eq(str_make(p->text, p->path.len), snapshot_str(s, p->path)))
		return false;
	return p->rule == 0 ||
		(p->candidate_count == 1 && c->rule == p->rule - 1 && c->method.len == 0 &&
			c->header_count == 0 && c->query_count == 0);
}

static int check_paths(const struct snapshot *s, struct err *err)
{
	uint32_t next = 0;

	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_PATH); i++) {
		const struct snapshot_path *p = snapshot_at(s, SNAPSHOT_PATH, i);
		const struct snapshot_host *h;
		struct str path;

		if (p->host >= snapshot_count(s, SNAPSHOT_HOST) || p->kind > SNAPSHOT_PATH_PREFIX ||
			!snapshot_is_text(s, p->path, SNAPSHOT_PATH_MAX))
			return bad(err, "PATH", i, "host, kind or text");
		h = snapshot_at(s, SNAPSHOT_HOST, p->host);
		path = snapshot_str(s, p->path);
		if (h->level != SNAPSHOT_LEVEL_LISTENER || (path.len > 0 && path.p[0] != '/'))
			return bad(err, "PATH", i, "not below a route's host, or relative");
		if (p->kind == SNAPSHOT_PATH_EXACT ? path.len == 0 || path.len > h->exact_len
						   : !h->has_prefix || str_ends(path, STR("/")) ||
					snapshot_element_count(path) > h->prefix_depth)
			return bad(err, "PATH", i, "beyond its host's bounds");
		if (p->candidate_count == 0 ||
			!owns(&next, p->candidate_first, p->candidate_count,
				snapshot_count(s, SNAPSHOT_CANDIDATE)))
			return bad(err, "PATH", i, "candidates");
		if (snapshot_has_path_tail(s) && !is_tail_true(s, p))
			return bad(err, "PATH", i, "tail");
	}
	return next == snapshot_count(s, SNAPSHOT_CANDIDATE)
		? 0
		: bad(err, "CANDIDATE", next, "no owner");
}

static int check_candidates(const struct snapshot *s, struct err *err)
{
	uint32_t predicates = snapshot_count(s, SNAPSHOT_PREDICATE);

	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_CANDIDATE); i++) {
		const struct snapshot_candidate *c = snapshot_at(s, SNAPSHOT_CANDIDATE, i);

		if (c->rule >= snapshot_count(s, SNAPSHOT_RULE) ||
			!snapshot_is_text(s, c->method, SNAPSHOT_NAME_MAX))
			return bad(err, "CANDIDATE", i, "rule or method");
		if (c->header_count > SNAPSHOT_PREDICATES_MAX ||
			c->query_count > SNAPSHOT_PREDICATES_MAX ||
			!is_range(c->header_first, c->header_count, predicates) ||
			!is_range(c->query_first, c->query_count, predicates))
			return bad(err, "CANDIDATE", i, "predicates");
	}
	for (uint32_t i = 0; i < predicates; i++) {
		const struct snapshot_predicate *p = snapshot_at(s, SNAPSHOT_PREDICATE, i);

		if (p->type != BUILD_MATCH_EXACT || p->name.len == 0 ||
			!snapshot_is_text(s, p->name, SNAPSHOT_NAME_MAX) ||
			!snapshot_is_text(s, p->value, SNAPSHOT_VALUE_MAX))
			return bad(err, "PREDICATE", i, "type, name or value");
	}
	return 0;
}

static int check_rules(const struct snapshot *s, struct err *err)
{
	uint32_t next = 0, backends = snapshot_count(s, SNAPSHOT_BACKEND);

	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_RULE); i++) {
		struct snapshot_rule r = snapshot_rule(s, i);

		if (!snapshot_is_text(s, r.name, SNAPSHOT_NAME_MAX))
			return bad(err, "RULE", i, "name");
		if (r.failover > 1 || r.policy > snapshot_count(s, SNAPSHOT_POLICY))
			return bad(err, "RULE", i, "failover or policy");
		if (r.backend_count > SNAPSHOT_RULE_BACKENDS_MAX ||
			!owns(&next, r.backend_first, r.backend_count, backends))
			return bad(err, "RULE", i, "backends");
	}
	for (uint32_t i = 0; i < backends; i++) {
		struct snapshot_backend b = snapshot_backend(s, i);
		bool ok = b.status == BUILD_BACKEND_OK;

		if (!snapshot_is_text(s, b.name, SNAPSHOT_NAME_MAX) ||
			b.weight > SNAPSHOT_WEIGHT_MAX)
			return bad(err, "BACKEND", i, "name or weight");
		if (b.status > BUILD_BACKEND_UNSUPPORTED ||
			(ok ? b.service >= snapshot_count(s, SNAPSHOT_SERVICE)
			    : b.service != SLOT_NONE))
			return bad(err, "BACKEND", i, "status or service");
	}
	return next == backends ? 0 : bad(err, "BACKEND", next, "no owner");
}

static int check_services(const struct snapshot *s, struct err *err)
{
	uint32_t next = 0, endpoints = snapshot_count(s, SNAPSHOT_ENDPOINT);
	uint32_t next_cluster = 0, clusters = snapshot_count(s, SNAPSHOT_SERVICE_CLUSTER);

	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_SERVICE); i++) {
		struct snapshot_service v = snapshot_service(s, i);
		int rc;

		if (!snapshot_is_text(s, v.name, SNAPSHOT_NAME_MAX) ||
			!owns(&next, v.endpoint_first, v.endpoint_count, endpoints))
			return bad(err, "SERVICE", i, "name or endpoints");
		if (v.policy > snapshot_count(s, SNAPSHOT_POLICY) ||
			v.cluster_count > BUILD_CLUSTERS_MAX ||
			!owns(&next_cluster, v.cluster_first, v.cluster_count, clusters))
			return bad(err, "SERVICE", i, "policy or clusters");
		rc = snapshot_clusters_check(s, &v, err);
		if (rc < 0)
			return rc;
	}
	if (next_cluster != clusters)
		return bad(err, "SERVICE_CLUSTER", next_cluster, "no owner");
	for (uint32_t i = 0; i < endpoints; i++) {
		struct snapshot_endpoint e = snapshot_endpoint(s, i);

		if (e.port == 0 || e.draining > 1 ||
			!snapshot_is_text(s, e.name, SNAPSHOT_NAME_MAX) ||
			!snapshot_is_text(s, e.cluster, SNAPSHOT_NAME_MAX))
			return bad(err, "ENDPOINT", i, "port, state or name");
	}
	return next == endpoints ? 0 : bad(err, "ENDPOINT", next, "no owner");
}

static bool index_is_true(const struct snapshot *s, const struct snapshot_index *x)
{
	switch (x->kind) {
	case SNAPSHOT_ID_LISTENER:
		return x->index < snapshot_count(s, SNAPSHOT_LISTENER) &&
			snapshot_listener(s, x->index).id == x->id;
	case SNAPSHOT_ID_RULE:
		return x->index < snapshot_count(s, SNAPSHOT_RULE) &&
			snapshot_rule(s, x->index).id == x->id;
	case SNAPSHOT_ID_BACKEND:
		return x->index < snapshot_count(s, SNAPSHOT_BACKEND) &&
			snapshot_backend(s, x->index).id == x->id;
	case SNAPSHOT_ID_SERVICE:
		return x->index < snapshot_count(s, SNAPSHOT_SERVICE) &&
			snapshot_service(s, x->index).id == x->id;
	}
	return false;
}

static int check_index(const struct snapshot *s, struct err *err)
{
	uint32_t n = snapshot_count(s, SNAPSHOT_INDEX);

	for (uint32_t i = 0; i < n; i++) {
		const struct snapshot_index *x = snapshot_at(s, SNAPSHOT_INDEX, i), *before;

		if (!index_is_true(s, x))
			return bad(err, "INDEX", i, "points to something else");
		if (i == 0)
			continue;
		before = snapshot_at(s, SNAPSHOT_INDEX, i - 1);
		if (before->kind > x->kind || (before->kind == x->kind && before->id >= x->id))
			return bad(err, "INDEX", i, "order");
	}
	if (n !=
		snapshot_count(s, SNAPSHOT_LISTENER) + snapshot_count(s, SNAPSHOT_RULE) +
			snapshot_count(s, SNAPSHOT_BACKEND) + snapshot_count(s, SNAPSHOT_SERVICE))
		return bad(err, "INDEX", n, "incomplete");
	return 0;
}

/* Every node is found where matching looks for it; every slot names a node. */
static int check_table(const struct snapshot *s, enum snapshot_section nodes,
	enum snapshot_section slots, struct err *err)
{
	uint32_t mask = snapshot_count(s, slots) - 1;

	if (snapshot_count(s, slots) == 0 || (snapshot_count(s, slots) & mask) != 0)
		return bad(err, "SLOT", 0, "not a power of two");
	for (uint32_t i = 0; i <= mask; i++) {
		const struct snapshot_slot *slot = snapshot_at(s, slots, i);

		if (slot->node > snapshot_count(s, nodes))
			return bad(err, "SLOT", i, "node");
	}
	for (uint32_t i = 0; i < snapshot_count(s, nodes); i++) {
		uint64_t hash = nodes == SNAPSHOT_HOST
			? snapshot_host_hash(s, snapshot_at(s, nodes, i))
			: snapshot_path_hash(s, snapshot_at(s, nodes, i));
		bool found = false;

		for (uint32_t k = 0; k < SNAPSHOT_PROBES_MAX && !found; k++) {
			const struct snapshot_slot *slot =
				snapshot_at(s, slots, ((uint32_t)hash + k) & mask);

			if (slot->node == 0)
				break;
			found = slot->node == i + 1 && slot->tag == (uint32_t)(hash >> 32);
		}
		if (!found)
			return bad(err, nodes == SNAPSHOT_HOST ? "HOST" : "PATH", i,
				"not in its table");
	}
	return 0;
}

static int check_trusted(const struct snapshot *s, struct err *err)
{
	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_TRUSTED); i++)
		if (snapshot_net(s, i).len > 128)
			return bad(err, "TRUSTED", i, "prefix length");
	return 0;
}

int snapshot_check(const struct snapshot *s, struct err *err)
{
	static int (*const checks[])(const struct snapshot *, struct err *) = {
		check_trusted,
		snapshot_policies_check,
		check_listeners,
		check_binds,
		check_hosts,
		check_paths,
		check_candidates,
		check_rules,
		check_services,
		check_index,
	};
	int rc = 0;

	for (unsigned i = 0; i < sizeof(checks) / sizeof(checks[0]) && rc == 0; i++)
		rc = checks[i](s, err);
	if (rc == 0)
		rc = check_table(s, SNAPSHOT_HOST, SNAPSHOT_HOST_SLOT, err);
	return rc == 0 ? check_table(s, SNAPSHOT_PATH, SNAPSHOT_PATH_SLOT, err) : rc;
}
