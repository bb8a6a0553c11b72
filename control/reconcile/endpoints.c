// SPDX-License-Identifier: Apache-2.0
/*
 * endpoints.c: who answers behind one port of one Service.
 *
 * EndpointSlices are the truth, also for Services without a selector and for headless ones: all
 * slices with the label kubernetes.io/service-name are joined, the Service's port finds the slice's
 * by *name* (and protocol), only the first address of an endpoint counts, and an endpoint that
 * stands in two slices while it moves counts once. Absent conditions mean: ready and serving, not
 * terminating. Not ready but serving and terminating is kept as draining: it answers when nothing
 * is ready, as kube-proxy does (KEP-1669).
 * Standard: discovery.k8s.io/v1, EndpointConditions.
 */
#include <stdlib.h>

#include "control/reconcile/reconcile.h"

static int cmp_ref(const struct slice_ref *r, struct str cluster, struct str ns, struct str service)
{
	int c = str_cmp(r->cluster, cluster);

	if (c == 0)
		c = str_cmp(r->ns, ns);
	return c != 0 ? c : str_cmp(r->service, service);
}

static int cmp_slices(const void *a, const void *b)
{
	const struct slice_ref *x = a, *y = b;

	return cmp_ref(x, y->cluster, y->ns, y->service);
}

void endpoints_prepare(struct reconcile *r)
{
	const struct view_kind *vk = &r->view->kinds[KIND_ENDPOINT_SLICE];

	r->slices = arena_array(r->arena, struct slice_ref, vk->count);
	for (uint32_t i = 0; i < vk->count; i++) {
		const struct object *o = vk->objects[i];
		struct str service = kv_find(&o->labels, LABEL_SERVICE_NAME);

		if (service.len == 0 || str_eq(o->endpoint_slice->address_type, STR("FQDN")))
			continue;
		r->slices[r->slices_count++] =
			(struct slice_ref){o->cluster, o->ns, service, o->endpoint_slice};
	}
	qsort(r->slices, r->slices_count, sizeof(*r->slices), cmp_slices);
}

static uint32_t first_slice(const struct reconcile *r, const struct object *service)
{
	uint32_t lo = 0, hi = r->slices_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (cmp_ref(&r->slices[mid], service->cluster, service->ns, service->name) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void list_add(struct reconcile *r, struct endpoint_list *l, struct plan_endpoint e)
{
	if (l->count == l->room) {
		struct plan_endpoint *old = l->items;

		l->room = l->room ? 2 * l->room : 8;
		l->items = arena_array(r->arena, struct plan_endpoint, l->room);
		if (l->count != 0)
			memcpy(l->items, old, l->count * sizeof(*old));
	}
	l->items[l->count++] = e;
}

enum readiness { NOT_USED = 0, DRAINING, READY };

static enum readiness readiness(const struct service *s, const struct slice_endpoint *e)
{
	if (e->ready != TRI_FALSE || s->publish_not_ready)
		return READY;
	return e->serving != TRI_FALSE && e->terminating == TRI_TRUE ? DRAINING : NOT_USED;
}

/* targetRef.name of another cluster's pod becomes <cluster>/<pod>. */
static struct str endpoint_name(struct reconcile *r, const struct object *service,
	const struct slice_endpoint *e, bool foreign)
{
	struct str name = e->target_name.len ? e->target_name : e->addresses[0];

	if (!foreign)
		return name;
	return str_of(
		arena_printf(r->arena, "%.*s/%.*s", STR_FMT(service->cluster), STR_FMT(name)));
}

static void add_slice(struct reconcile *r, const struct object *service,
	const struct endpoint_slice *s, uint16_t port, bool foreign, struct endpoint_list *out)
{
	for (uint32_t i = 0; i < s->endpoints_count; i++) {
		const struct slice_endpoint *e = &s->endpoints[i];
		enum readiness how = readiness(service->service, e);
		struct plan_endpoint pe = {.port = port,
			.draining = how == DRAINING,
			.cluster = service->cluster};

		if (how == NOT_USED || !ip_parse(e->addresses[0], &pe.addr))
			continue;
		pe.name = endpoint_name(r, service, e, foreign);
		list_add(r, out, pe);
	}
}

void endpoints_of(struct reconcile *r, const struct object *service,
	const struct service_port *port, bool foreign, struct endpoint_list *out)
{
	for (uint32_t i = first_slice(r, service); i < r->slices_count; i++) {
		const struct slice_ref *ref = &r->slices[i];

		if (cmp_ref(ref, service->cluster, service->ns, service->name) != 0)
			break;
		for (uint32_t k = 0; k < ref->slice->ports_count; k++) {
			const struct slice_port *p = &ref->slice->ports[k];

			if (p->port != 0 && str_eq(p->name, port->name) &&
				str_eq(p->protocol, port->protocol))
				add_slice(r, service, ref->slice, p->port, foreign, out);
		}
	}
}

static int cmp_endpoints(const void *a, const void *b)
{
	const struct plan_endpoint *x = a, *y = b;
	int c = memcmp(x->addr.b, y->addr.b, sizeof(x->addr.b));

	if (c != 0)
		return c;
	if (x->port != y->port)
		return x->port < y->port ? -1 : 1;
	if (x->draining != y->draining)
		return x->draining ? 1 : -1;
	c = str_cmp(x->cluster, y->cluster);
	return c != 0 ? c : str_cmp(x->name, y->name);
}

void endpoints_sort(struct endpoint_list *l)
{
	uint32_t n = 0;

	if (l->count == 0)
		return;
	qsort(l->items, l->count, sizeof(*l->items), cmp_endpoints);
	for (uint32_t i = 1; i < l->count; i++)
		if (!ip_eq(&l->items[i].addr, &l->items[n].addr) ||
			l->items[i].port != l->items[n].port)
			l->items[++n] = l->items[i];
	l->count = n + 1;
}
