// SPDX-License-Identifier: Apache-2.0
/*
 * listeners.c: what each listener of a Gateway is good for.
 *
 * Is its protocol one of ours, which kinds of routes may it carry, does another listener want the
 * same port for something else. There are two rules for conflicts, and they differ: of the
 * Gateway's own listeners that are in each other's way none is chosen, because nobody could say
 * which one was meant; a listener that a ListenerSet lends gives way to those that come before it
 * (the Gateway's own, older sets, names), so that nobody breaks what serves already.
 * Standards: Gateway API v1.7, Listener, ListenerStatus.supportedKinds; GEP-1713, Listener
 * Precedence.
 */
#include "control/reconcile/label.h"
#include "control/reconcile/reconcile.h"

/* What listens on a TCP or UDP port; two different ones cannot share a TCP port. */
enum port_class {
	PORT_UNKNOWN = 0, /* another implementation's protocol: left alone */
	PORT_HTTP,
	PORT_TLS, /* HTTPS and TLS tell each other apart by server name */
	PORT_TCP,
	PORT_UDP,
};

static const struct {
	struct str protocol;
	enum port_class class;
} port_classes[] = {
	{{"HTTP", 4}, PORT_HTTP},
	{{"HTTPS", 5}, PORT_TLS},
	{{"TLS", 3}, PORT_TLS},
	{{"TCP", 3}, PORT_TCP},
	{{"UDP", 3}, PORT_UDP},
};

static enum port_class port_class(const struct listener *l)
{
	for (size_t i = 0; i < sizeof(port_classes) / sizeof(port_classes[0]); i++)
		if (str_eq(l->protocol, port_classes[i].protocol))
			return port_classes[i].class;
	return PORT_UNKNOWN;
}

static const char hostname_conflict[] = "HostnameConflict";
static const char protocol_conflict[] = "ProtocolConflict";

/* "the same Port, Protocol and Hostname", or protocols that do not mix; NULL: no conflict. */
static const char *conflict(const struct listener *a, const struct listener *b)
{
	enum port_class ca, cb;

	if (a->port != b->port)
		return NULL;
	ca = port_class(a);
	cb = port_class(b);
	if (ca == PORT_UNKNOWN || cb == PORT_UNKNOWN)
		return NULL;
	if (ca == cb)
		return str_eq(a->protocol, b->protocol) && str_eq(a->hostname, b->hostname)
			? hostname_conflict
			: NULL;
	return ca != PORT_UDP && cb != PORT_UDP ? protocol_conflict : NULL;
}

/* The more telling reason of two. */
static const char *worse(const char *a, const char *b)
{
	return a == hostname_conflict || b == NULL ? a : b;
}

static void judge_own(struct plan_gateway *gw)
{
	for (uint32_t i = 0; i < gw->own_count; i++)
		for (uint32_t k = 0; k < gw->own_count; k++)
			if (k != i)
				gw->listeners[i].conflict = worse(gw->listeners[i].conflict,
					conflict(gw->listeners[i].spec, gw->listeners[k].spec));
}

/* One that gave way itself is in nobody's way. */
static bool stands(const struct plan_listener *l)
{
	return l->set == NULL || (l->conflict == NULL && l->set->no_room == NULL);
}

static void judge_lent(struct plan_gateway *gw)
{
	for (uint32_t i = gw->own_count; i < gw->listeners_count; i++) {
		struct plan_listener *l = &gw->listeners[i];

		for (uint32_t k = 0; k < i && l->set->no_room == NULL; k++)
			if (stands(&gw->listeners[k]))
				l->conflict = worse(l->conflict,
					conflict(l->spec, gw->listeners[k].spec));
	}
}

static bool is_http_route(const struct route_kind *k)
{
	return str_eq(k->group, GATEWAY_GROUP) && str_eq(k->kind, STR("HTTPRoute"));
}

/*
 * supportedKinds: what the protocol can carry and allowedRoutes.kinds lets in. A kind that the
 * listener asks for and that is not in it makes ResolvedRefs false (InvalidRouteKinds).
 */
static void judge_kinds(struct plan_listener *l)
{
	static const struct route_kind http_route[] = {
		{{"gateway.networking.k8s.io", 25}, {"HTTPRoute", 9}}};
	bool wanted = l->spec->kinds_count == 0;

	if (port_class(l->spec) != PORT_HTTP)
		return;
	for (uint32_t i = 0; i < l->spec->kinds_count; i++) {
		if (is_http_route(&l->spec->kinds[i]))
			wanted = true;
		else if (l->wrong_kind == NULL)
			l->wrong_kind = &l->spec->kinds[i];
	}
	l->supported_kinds = http_route;
	l->supported_kinds_count = wanted ? 1 : 0;
}

void listeners_judge(struct reconcile *r, struct plan_gateway *gw)
{
	judge_own(gw);
	judge_lent(gw);
	for (uint32_t i = 0; i < gw->listeners_count; i++) {
		struct plan_listener *l = &gw->listeners[i];

		judge_kinds(l);
		if (l->spec->from == ROUTES_FROM_SELECTOR && l->spec->selector != NULL)
			l->bad_selector = label_selector_fault(r->arena, l->spec->selector);
		l->accepted = port_class(l->spec) == PORT_HTTP && !l->spec->has_filters &&
			l->bad_selector == NULL && stands(l) && l->conflict == NULL;
	}
}

const struct object *listener_owner(const struct plan_gateway *gw, const struct plan_listener *l)
{
	return l->set != NULL ? l->set->obj : gw->obj;
}
