// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_build.c: from the meaning of a configuration to its image.
 *
 * Objects are put in an order of their own (names, then ids), so that the caller's order does not
 * show. Lists whose order means something keep it: rules of a route, matches and backends of a
 * rule. What the reader will check is checked here first, with the name of the object at fault.
 * What matching walks is made in snapshot_match.c, policies and clusters in snapshot_policy.c.
 */
#include "dataplane/snapshot/snapshot_build.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/snapshot/snapshot_check.h"

uint64_t object_id(const struct str *parts, unsigned count)
{
	/* chained, so that each part counts with its own length: ("a", "bc") is not ("ab", "c") */
	struct hash_key key = {{0x736c756963652d69ull, 0x642d6f626a656374ull}};
	uint64_t id = count;

	for (unsigned i = 0; i < count; i++) {
		struct hash_key k = {{key.k[0] ^ id, key.k[1] ^ parts[i].len}};

		id = siphash(&k, parts[i].p, parts[i].len);
	}
	return id != 0 ? id : 1;
}

static int cmp_name(struct str a, uint64_t a_id, struct str b, uint64_t b_id)
{
	int d = str_cmp(a, b);

	return d != 0 ? d : (a_id > b_id) - (a_id < b_id);
}

static int cmp_listener(const void *a, const void *b)
{
	const struct build_listener *x = *(const struct build_listener *const *)a;
	const struct build_listener *y = *(const struct build_listener *const *)b;

	return cmp_name(x->name, x->id, y->name, y->id);
}

static int cmp_route(const void *a, const void *b)
{
	const struct build_route *x = *(const struct build_route *const *)a;
	const struct build_route *y = *(const struct build_route *const *)b;

	return cmp_name(x->name, x->id, y->name, y->id);
}

static int cmp_service(const void *a, const void *b)
{
	const struct build_service *x = *(const struct build_service *const *)a;
	const struct build_service *y = *(const struct build_service *const *)b;

	return cmp_name(x->name, x->id, y->name, y->id);
}

static int cmp_endpoint(const void *a, const void *b)
{
	const struct build_endpoint *x = *(const struct build_endpoint *const *)a;
	const struct build_endpoint *y = *(const struct build_endpoint *const *)b;
	int d = memcmp(x->addr.b, y->addr.b, sizeof(x->addr.b));

	if (d == 0)
		d = (x->port > y->port) - (x->port < y->port);
	return d != 0 ? d : (x->id > y->id) - (x->id < y->id);
}

static int cmp_net(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct snapshot_net));
}

static int cmp_addr(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip_addr));
}

/* Sorted pointers to the elements of an array; the caller frees. */
static void *sorted(const void *array, size_t size, uint32_t count,
	int (*cmp)(const void *, const void *))
{
	const void **order = calloc(count + 1ul, sizeof(*order));

	bug_on(order == NULL);
	for (uint32_t i = 0; i < count; i++)
		order[i] = (const uint8_t *)array + i * size;
	qsort(order, count, sizeof(*order), cmp);
	return order;
}

int build_name_check(struct str name, const char *what, struct err *err)
{
	if (name.len <= SNAPSHOT_NAME_MAX)
		return 0;
	return err_set(err, EINVAL, "%s %.64s...: the name is longer than %u bytes", what, name.p,
		SNAPSHOT_NAME_MAX);
}

static void add_id(struct build *b, enum snapshot_id kind, uint64_t id, uint32_t index)
{
	struct snapshot_index x = {.id = id, .kind = kind, .index = index};

	image_add(&b->im, SNAPSHOT_INDEX, &x);
}

static int add_settings(struct build *b, struct err *err)
{
	const struct build_settings *in = &b->in->settings;
	struct snapshot_settings rec = {
		.header_timeout_ms = in->header_timeout_ms,
		.idle_timeout_ms = in->idle_timeout_ms,
		.connect_timeout_ms = in->connect_timeout_ms,
		.response_timeout_ms = in->response_timeout_ms,
		.exchange_bytes_max = in->exchange_bytes_max,
	};

	image_add(&b->im, SNAPSHOT_SETTINGS, &rec);
	for (uint32_t i = 0; i < in->trusted_count; i++) {
		struct snapshot_net n = {.addr = in->trusted[i].addr, .len = in->trusted[i].len};

		if (n.len > 128)
			return err_set(err, EINVAL, "trusted network %u: prefix length %u", i,
				n.len);
		image_add(&b->im, SNAPSHOT_TRUSTED, &n);
	}
	if (in->trusted_count > 1)
		qsort(image_at(&b->im, SNAPSHOT_TRUSTED, 0), in->trusted_count,
			sizeof(struct snapshot_net), cmp_net);
	return 0;
}

static int add_endpoints(struct build *b, const struct build_service *svc, struct err *err)
{
	const struct build_endpoint **order =
		sorted(svc->endpoints, sizeof(*svc->endpoints), svc->endpoint_count, cmp_endpoint);
	int rc = 0;

	for (uint32_t i = 0; i < svc->endpoint_count && rc == 0; i++) {
		const struct build_endpoint *e = order[i];
		struct snapshot_endpoint rec = {
			.id = e->id,
			.addr = e->addr,
			.port = e->port,
			.weight = e->weight,
			.draining = e->draining,
			.name = image_text(&b->im, e->name),
			.cluster = image_text(&b->im, e->cluster),
		};

		if (e->port == 0)
			rc = err_set(err, EINVAL, "service %.*s: endpoint %.*s: port 0",
				STR_FMT(svc->name), STR_FMT(e->name));
		else if (i > 0 && order[i - 1]->id == e->id)
			rc = err_set(err, EINVAL, "service %.*s: endpoint %.*s is there twice",
				STR_FMT(svc->name), STR_FMT(e->name));
		if (rc == 0)
			rc = build_name_check(e->name, "endpoint", err);
		if (rc == 0)
			rc = build_name_check(e->cluster, "cluster", err);
		image_add(&b->im, SNAPSHOT_ENDPOINT, &rec);
	}
	free(order);
	return rc;
}

static int add_services(struct build *b, struct err *err)
{
	const struct build_service **order = sorted(b->in->services, sizeof(*b->in->services),
		b->in->service_count, cmp_service);
	int rc = 0;

	for (uint32_t i = 0; i < b->in->service_count && rc == 0; i++) {
		struct snapshot_service rec = {
			.id = order[i]->id,
			.name = image_text(&b->im, order[i]->name),
			.endpoint_first = image_count(&b->im, SNAPSHOT_ENDPOINT),
			.endpoint_count = order[i]->endpoint_count,
			.cluster_first = image_count(&b->im, SNAPSHOT_SERVICE_CLUSTER),
			.cluster_count = order[i]->cluster_count,
		};

		rc = build_policy_number(b, order[i]->policy_id, &rec.policy, err);
		add_id(b, SNAPSHOT_ID_SERVICE, rec.id, image_add(&b->im, SNAPSHOT_SERVICE, &rec));
		if (rc == 0)
			rc = build_name_check(order[i]->name, "service", err);
		if (rc == 0)
			rc = add_endpoints(b, order[i], err);
		if (rc == 0)
			rc = build_clusters(b, order[i], err);
	}
	free(order);
	return rc;
}

/* Index of the service in the image, by its id; SLOT_NONE. */
static uint32_t service_of(const struct build *b, uint64_t id)
{
	for (uint32_t lo = 0, hi = b->service_count; lo < hi;) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (b->services[mid].id == id)
			return b->services[mid].index;
		if (b->services[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return SLOT_NONE;
}

static int add_backend(struct build *b, const struct build_rule *rule,
	const struct build_backend *in, struct err *err)
{
	struct snapshot_backend rec = {
		.id = in->id,
		.name = image_text(&b->im, in->name),
		.weight = in->weight,
		.service =
			in->status == BUILD_BACKEND_OK ? service_of(b, in->service_id) : SLOT_NONE,
		.status = (uint8_t)in->status,
	};

	add_id(b, SNAPSHOT_ID_BACKEND, rec.id, image_add(&b->im, SNAPSHOT_BACKEND, &rec));
	if (in->weight > SNAPSHOT_WEIGHT_MAX)
		return err_set(err, EINVAL, "%.*s: backend %.*s: weight %u, the limit is %u",
			STR_FMT(rule->name), STR_FMT(in->name), in->weight, SNAPSHOT_WEIGHT_MAX);
	if (in->status > BUILD_BACKEND_UNSUPPORTED)
		return err_set(err, EINVAL, "%.*s: backend %.*s: unknown status %d",
			STR_FMT(rule->name), STR_FMT(in->name), (int)in->status);
	if (in->status == BUILD_BACKEND_OK && rec.service == SLOT_NONE)
		return err_set(err, EINVAL, "%.*s: backend %.*s: its service is not there",
			STR_FMT(rule->name), STR_FMT(in->name));
	return build_name_check(in->name, "backend", err);
}

static int add_rule(struct build *b, const struct build_rule *in, struct err *err)
{
	struct snapshot_rule rec = {
		.id = in->id,
		.name = image_text(&b->im, in->name),
		.backend_first = image_count(&b->im, SNAPSHOT_BACKEND),
		.backend_count = in->backend_count,
		.request_timeout_ms = in->request_timeout_ms,
		.backend_timeout_ms = in->backend_timeout_ms,
		.failover = in->failover,
	};
	int rc = build_name_check(in->name, "rule", err);

	if (rc == 0)
		rc = build_policy_number(b, in->policy_id, &rec.policy, err);
	if (rc < 0)
		return rc;
	if (in->match_count == 0)
		return err_set(err, EINVAL, "%.*s: no match", STR_FMT(in->name));
	if (in->backend_count > SNAPSHOT_RULE_BACKENDS_MAX)
		return err_set(err, EINVAL, "%.*s: %u backends, the limit is %u", STR_FMT(in->name),
			in->backend_count, SNAPSHOT_RULE_BACKENDS_MAX);
	add_id(b, SNAPSHOT_ID_RULE, rec.id, image_add(&b->im, SNAPSHOT_RULE, &rec));
	for (uint32_t i = 0; i < in->backend_count && rc == 0; i++)
		rc = add_backend(b, in, &in->backends[i], err);
	return rc;
}

static int cmp_key(const void *a, const void *b)
{
	const struct build_key *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int add_rules(struct build *b, struct err *err)
{
	int rc = 0;

	b->service_count = image_count(&b->im, SNAPSHOT_SERVICE);
	b->services = calloc(b->service_count + 1ul, sizeof(*b->services));
	bug_on(b->services == NULL);
	for (uint32_t i = 0; i < b->service_count; i++) {
		const struct snapshot_service *s = image_at(&b->im, SNAPSHOT_SERVICE, i);

		b->services[i] = (struct build_key){s->id, i};
	}
	qsort(b->services, b->service_count, sizeof(*b->services), cmp_key);
	b->routes = sorted(b->in->routes, sizeof(*b->in->routes), b->in->route_count, cmp_route);
	for (uint32_t i = 0; i < b->in->route_count && rc == 0; i++) {
		const struct build_route *r = b->routes[i];

		b->first_rule[r - b->in->routes] = image_count(&b->im, SNAPSHOT_RULE);
		for (uint32_t k = 0; k < r->rule_count && rc == 0; k++)
			rc = add_rule(b, &r->rules[k], err);
	}
	return rc;
}

static int add_listener(struct build *b, const struct build_listener *in, struct err *err)
{
	struct snapshot_listener rec = {
		.id = in->id,
		.name = image_text(&b->im, in->name),
		.hostname = image_text(&b->im, in->hostname),
		.addr_first = image_count(&b->im, SNAPSHOT_ADDR),
		.addr_count = in->addr_count,
		.port = in->port,
		.protocol = (uint8_t)in->protocol,
	};

	add_id(b, SNAPSHOT_ID_LISTENER, rec.id, image_add(&b->im, SNAPSHOT_LISTENER, &rec));
	for (uint32_t i = 0; i < in->addr_count; i++)
		image_add(&b->im, SNAPSHOT_ADDR, &in->addrs[i]);
	if (in->addr_count > 1)
		qsort(image_at(&b->im, SNAPSHOT_ADDR, rec.addr_first), in->addr_count,
			sizeof(struct ip_addr), cmp_addr);
	if (in->port == 0)
		return err_set(err, EINVAL, "listener %.*s: port 0", STR_FMT(in->name));
	if (in->protocol != BUILD_HTTP)
		return err_set(err, ENOTSUP, "listener %.*s: protocol %d", STR_FMT(in->name),
			(int)in->protocol);
	if (!snapshot_hostname_is_valid(in->hostname))
		return err_set(err, EINVAL, "listener %.*s: hostname \"%.*s\"", STR_FMT(in->name),
			STR_FMT(in->hostname));
	return build_name_check(in->name, "listener", err);
}

static int add_listeners(struct build *b, struct err *err)
{
	int rc = 0;

	b->listeners = sorted(b->in->listeners, sizeof(*b->in->listeners), b->in->listener_count,
		cmp_listener);
	for (uint32_t i = 0; i < b->in->listener_count && rc == 0; i++)
		rc = add_listener(b, b->listeners[i], err);
	return rc;
}

static int cmp_index(const void *a, const void *b)
{
	const struct snapshot_index *x = a, *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return (x->id > y->id) - (x->id < y->id);
}

static const char *kind_name(uint32_t kind)
{
	return kind == SNAPSHOT_ID_LISTENER   ? "listeners"
		: kind == SNAPSHOT_ID_RULE    ? "rules"
		: kind == SNAPSHOT_ID_BACKEND ? "backends"
					      : "services";
}

static int sort_index(struct build *b, struct err *err)
{
	uint32_t n = image_count(&b->im, SNAPSHOT_INDEX);
	struct snapshot_index *x = n > 0 ? image_at(&b->im, SNAPSHOT_INDEX, 0) : NULL;

	if (n > 0)
		qsort(x, n, sizeof(*x), cmp_index);
	for (uint32_t i = 1; i < n; i++)
		if (cmp_index(&x[i - 1], &x[i]) == 0)
			return err_set(err, EINVAL, "two %s have the id %016llx",
				kind_name(x[i].kind), (unsigned long long)x[i].id);
	return 0;
}

static int build_all(struct build *b, struct err *err)
{
	int rc = add_settings(b, err);

	if (rc == 0)
		rc = build_policies(b, err);
	if (rc == 0)
		rc = add_services(b, err);
	if (rc == 0)
		rc = add_rules(b, err);
	if (rc == 0)
		rc = add_listeners(b, err);
	if (rc == 0)
		rc = sort_index(b, err);
	if (rc == 0)
		rc = build_matching(b, err);
	if (rc == 0)
		rc = image_index(&b->im, err);
	if (rc == 0) {
		struct snapshot_settings *s = image_at(&b->im, SNAPSHOT_SETTINGS, 0);

		s->hash_seed = b->im.hash_seed;
	}
	return rc;
}

int snapshot_build(const struct build_config *in, void **ret_image, size_t *ret_len,
	struct err *err)
{
	struct build b = {.in = in};
	int rc;

	b.first_rule = calloc(in->route_count + 1ul, sizeof(*b.first_rule));
	bug_on(b.first_rule == NULL);
	image_init(&b.im);
	rc = build_all(&b, err);
	if (rc == 0)
		rc = image_finish(&b.im, in->generation, ret_image, ret_len, err);
	image_fini(&b.im);
	free(b.first_rule);
	free(b.services);
	free(b.policies);
	free(b.routes);
	free(b.listeners);
	return rc;
}
