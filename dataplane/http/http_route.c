// SPDX-License-Identifier: Apache-2.0
/*
 * http_route.c: from a request to the endpoint that will serve it.
 *
 * Listener and rule by route/ (pure), backend by the rule's weighted sequence, endpoint by
 * upstream/. What the exchange keeps of all this are ids and slots: the next turn may bring
 * another configuration.
 */
#include "dataplane/base/prefetch.h"
#include "dataplane/http/http_flow.h"
#include "dataplane/port/trace.h"

#define HOST_MAX 255u /* RFC 1035 2.3.4; a longer name matches nothing */

/* RFC 9110 4.2.3, RFC 3986 3.2.2: case does not matter; a trailing dot names the same host. */
static struct str host_normal(struct str host, char buf[HOST_MAX])
{
	if (host.len > 0 && host.p[host.len - 1] == '.')
		host.len--;
	if (host.len > HOST_MAX)
		return str_make(NULL, 0);
	str_lower(buf, host);
	return str_make(buf, host.len);
}

static void match(struct http *h, struct exchange *x, struct route_result *ret)
{
	bool merged = !h->head.slashes || h1_merge_slashes(&h->head, h->path, sizeof(h->path));
	char host[HOST_MAX];
	struct route_request req = {
		.host = host_normal(h->head.host_name, host),
		.path = h->head.path,
		.query = h->head.query,
		.head = &h->head,
		.trusted = x->trusted,
	};

	bug_on(!merged); /* a target is shorter than a head may be */
	route_match(h->config->snap, x->down->bind, &req, ret);
}

/*
 * What the choice will touch, before it does: with thousands of rules none of it is in the cache.
 * The first backend, for most rules have one.
 */
static void look_ahead(struct http *h, const struct config_rule *rule)
{
	prefetch(atomic_load_explicit(&rule->weights, memory_order_relaxed));
	prefetch_for_write(upstream_row(h->up, COUNTER_RULE, rule->slot));
	if (rule->backend_count > 0)
		prefetch_for_write(upstream_row(h->up, COUNTER_BACKEND,
			h->config->backends[rule->backend_first].slot));
}

static void take_rule(struct http *h, struct exchange *x, const struct config_rule *rule)
{
	x->rec.rule = rule->slot;
	upstream_use(h->up, COUNTER_RULE, rule->slot);
	if (rule->request_timeout_ms > 0)
		x->deadline_us = x->rec.start_us + (uint64_t)rule->request_timeout_ms * 1000u;
	x->backend_timeout_us = (uint64_t)rule->backend_timeout_ms * 1000u;
}

/* Weighted choice among the rule's backends: index in the snapshot. */
static enum outcome pick(struct http *h, struct exchange *x, uint32_t rule_index,
	const struct config_rule *rule, uint32_t *ret)
{
	const struct weight_vector *w = config_weights(h->config, rule_index);
	uint32_t i;

	if (rule->backend_count == 0 || w == NULL)
		return OUTCOME_NO_BACKENDS;
	i = pick_backend(upstream_seq(h->up, x->rec.rule), w);
	if (i == SLOT_NONE)
		return OUTCOME_WEIGHTS_ZERO;
	bug_on(i >= rule->backend_count); /* a vector has one weight per backend of its rule */
	*ret = rule->backend_first + i;
	x->rule_id = w->rule_id;
	return OUTCOME_OK;
}

static void trace_choice(const struct access_record *r)
{
	char text[IP_ADDR_STRLEN];

	trace_flow(&r->client, r->client_port, &r->client, r->client_port, "http_route",
		"%.*s %.*s%.*s -> %s port %u", r->method_len, r->method, r->host_len, r->host,
		r->path_len, r->path, ip_format(&r->upstream, text), r->upstream_port);
}

static void take_endpoint(struct exchange *x, const struct endpoint *e)
{
	x->ep = (struct upstream_ref){.id = e->id, .slot = e->slot};
	x->rec.endpoint = e->slot;
	x->rec.upstream = e->addr;
	x->rec.upstream_port = e->port;
	trace_choice(&x->rec);
}

/* Takes an endpoint of <b>, if it has one that nobody knows to be bad. */
static bool change_backend(struct http *h, struct exchange *x, const struct config_backend *b)
{
	const struct endpoint_set *set = config_endpoints(h->config, b->service);
	bool panic;
	const struct endpoint *e = upstream_pick(h->up, set, b->slot, true, 0, h->now_us, &panic);

	if (e == NULL || panic)
		return false;
	upstream_unuse(h->up, COUNTER_BACKEND, x->rec.backend);
	x->rec.backend = b->slot;
	upstream_use(h->up, COUNTER_BACKEND, x->rec.backend);
	x->service_id = set->service_id;
	x->rec.flags &= (uint8_t)~ACCESS_PANIC;
	take_endpoint(x, e);
	http_count(h, HTTP_FAILED_OVER);
	return true;
}

/*
 * The agent moves a rule's weights within milliseconds of what workers meet; a request that falls
 * into them need not fail. Backends that weigh nothing are nobody's stand-in.
 */
static bool fail_over(struct http *h, struct exchange *x)
{
	uint32_t index = snapshot_find_rule(h->config->snap, x->rule_id), start;
	const struct config_rule *rule;
	const struct weight_vector *w;

	if (index == SLOT_NONE || !snapshot_rule(h->config->snap, index).failover)
		return false;
	rule = &h->config->rules[index];
	w = config_weights(h->config, index);
	start = (uint32_t)rng_below(h->rng, rule->backend_count);
	for (uint32_t n = 0; n < rule->backend_count; n++) {
		uint32_t i = (start + n) % rule->backend_count;
		const struct config_backend *b = &h->config->backends[rule->backend_first + i];

		if (w->w[i] > 0 && b->service != SLOT_NONE && b->slot != x->rec.backend &&
			change_backend(h, x, b))
			return true;
	}
	return false;
}

static enum outcome choose_endpoint(struct http *h, struct exchange *x,
	const struct endpoint_set *set, bool first, uint64_t exclude_id)
{
	bool panic;
	const struct endpoint *e =
		upstream_pick(h->up, set, x->rec.backend, first, exclude_id, h->now_us, &panic);

	if (unlikely(e == NULL || panic) && fail_over(h, x))
		return OUTCOME_OK;
	if (e == NULL)
		return OUTCOME_NO_ENDPOINT;
	if (panic) {
		http_count(h, HTTP_PANIC);
		x->rec.flags |= ACCESS_PANIC;
	}
	take_endpoint(x, e);
	return OUTCOME_OK;
}

static enum outcome take_backend(struct http *h, struct exchange *x, uint32_t index)
{
	const struct config_backend *b = &h->config->backends[index];
	const struct endpoint_set *set;

	x->rec.backend = b->slot;
	upstream_use(h->up, COUNTER_BACKEND, x->rec.backend);
	upstream_count(h->up, COUNTER_BACKEND, x->rec.backend, COUNTER_BACKEND_PICKS, 1);
	if (b->service == SLOT_NONE)
		return OUTCOME_BACKEND_INVALID;
	set = config_endpoints(h->config, b->service);
	x->service_id = set->service_id;
	return choose_endpoint(h, x, set, true, 0);
}

enum outcome route_request(struct http *h, struct exchange *x, uint32_t *ret_rule)
{
	struct route_result match_result;

	match(h, x, &match_result);
	if (match_result.listener != SLOT_NONE)
		x->rec.listener = h->config->listener_slot[match_result.listener];
	upstream_use(h->up, COUNTER_LISTENER, x->rec.listener);
	if (match_result.rule == SLOT_NONE)
		return OUTCOME_NO_ROUTE;
	*ret_rule = match_result.rule;
	look_ahead(h, &h->config->rules[match_result.rule]);
	return OUTCOME_OK;
}

enum outcome route_choose(struct http *h, struct exchange *x, uint32_t rule_index)
{
	const struct config_rule *rule = &h->config->rules[rule_index];
	enum outcome why;
	uint32_t backend;

	take_rule(h, x, rule);
	why = pick(h, x, rule_index, rule, &backend);
	return why != OUTCOME_OK ? why : take_backend(h, x, backend);
}

const struct endpoint_set *route_set(struct http *h, const struct exchange *x)
{
	uint32_t service;

	if (h->config == NULL)
		return NULL;
	service = snapshot_find_service(h->config->snap, x->service_id);
	return service == SLOT_NONE ? NULL : config_endpoints(h->config, service);
}

enum outcome route_endpoint(struct http *h, struct exchange *x, uint64_t exclude_id)
{
	const struct endpoint_set *set = route_set(h, x);

	return set == NULL ? OUTCOME_NO_ENDPOINT : choose_endpoint(h, x, set, false, exclude_id);
}

bool route_has_ready(struct http *h, const struct exchange *x)
{
	const struct endpoint_set *set = route_set(h, x);

	for (uint32_t i = 0; set != NULL && i < set->count; i++)
		if (!set->e[i].draining)
			return true;
	return false;
}

uint32_t route_listener(struct http *h, struct http_down *d)
{
	struct route_request req = {.path = STR("/"), .head = &h->head};
	struct route_result r;

	if (h->config == NULL || !down_find_bind(h, d))
		return SLOT_NONE;
	h->head = (struct h1_head){0};
	route_match(h->config->snap, d->bind, &req, &r);
	return r.listener == SLOT_NONE ? SLOT_NONE : h->config->listener_slot[r.listener];
}
