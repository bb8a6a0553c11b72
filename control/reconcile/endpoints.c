// SPDX-License-Identifier: Apache-2.0
/*
 * endpoints.c: who answers behind one port of one Service.
 *
 * EndpointSlices are the truth, also for Services without a selector and for headless ones: all
 * slices with the label kubernetes.io/service-name are joined, the Service's port finds the slice's
 * by *name* (and protocol), only the first address of an endpoint counts, and an endpoint that
 * stands in two slices while it moves counts once. Absent conditions mean: ready and serving, not
 * terminating. Not ready but serving and terminating is kept as draining: it answers when nothing
 * is ready, as kube-proxy does (KEP-1669). One that is not ready and does not terminate is counted:
 * it belongs to what its cluster should be able to take.
 * Addresses that are names (FQDN) are refused, and those that lead to no pod. A slice that a mesh has copied from another cluster
 * is left out where we read that cluster ourselves: its endpoints would count twice, and under the
 * wrong cluster. service.cilium.io/weight on a slice is the weight of its endpoints.
 * Standard: discovery.k8s.io/v1, EndpointConditions; KEP-1645, labels of EndpointSlices.
 */
#include <stdlib.h>

#include "control/reconcile/reconcile.h"

#define SLICE_WEIGHT_DEFAULT 100 /* as Cilium's backends have it */
#define LABEL_SOURCE_CLUSTER STR("multicluster.kubernetes.io/source-cluster")
#define ANNOTATION_WEIGHT STR("service.cilium.io/weight")

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

static bool knows_cluster(const struct reconcile *r, struct str name)
{
	for (uint32_t i = 0; i < r->clusters_count; i++)
		if (str_eq(r->clusters[i], name))
			return true;
	return false;
}

static void find_clusters(struct reconcile *r)
{
	const struct view_kind *vk = &r->view->kinds[KIND_SERVICE];
	struct str last = {NULL, 0};

	r->clusters = arena_array(r->arena, struct str, vk->count);
	for (uint32_t i = 0; i < vk->count; i++) {
		if (last.p != NULL && str_eq(vk->objects[i]->cluster, last))
			continue;
		last = vk->objects[i]->cluster;
		r->clusters[r->clusters_count++] = last;
	}
}

static uint16_t slice_weight(struct reconcile *r, const struct object *o)
{
	struct str text = kv_find(&o->annotations, ANNOTATION_WEIGHT);
	uint64_t w;

	if (text.p == NULL)
		return SLICE_WEIGHT_DEFAULT;
	if (str_to_u64(text, &w) && w <= UINT16_MAX)
		return (uint16_t)w;
	note_add(r, true, o, "service.cilium.io/weight is no number up to 65535 and not used");
	return SLICE_WEIGHT_DEFAULT;
}

/* The first of those whose addresses are not used, for all of them. */
static void note_refused(struct reconcile *r, const struct object *o)
{
	const struct endpoint_slice *s = o->endpoint_slice;
	uint32_t i = 0;

	if (s->refused == 0)
		return;
	while (!s->endpoints[i].refused)
		i++;
	note_add(r, true, o,
		"endpoints[%u].addresses: \"%.*s\" cannot be the address of an %.*s endpoint: %u "
		"of "
		"%u endpoints are not used",
		i, STR_FMT(str_first(s->endpoints[i].addresses[0], 60)), STR_FMT(s->address_type),
		s->refused, s->endpoints_count);
}

static bool slice_counts(struct reconcile *r, const struct object *o)
{
	struct str source = kv_find(&o->labels, LABEL_SOURCE_CLUSTER);

	if (str_eq(o->endpoint_slice->address_type, STR("FQDN"))) {
		note_add(r, false, o, "endpoints with names instead of addresses are not used");
		return false;
	}
	return source.len == 0 || str_eq(source, o->cluster) || !knows_cluster(r, source);
}

void endpoints_prepare(struct reconcile *r)
{
	const struct view_kind *vk = &r->view->kinds[KIND_ENDPOINT_SLICE];

	find_clusters(r);
	r->slices = arena_array(r->arena, struct slice_ref, vk->count);
	for (uint32_t i = 0; i < vk->count; i++) {
		const struct object *o = vk->objects[i];
		struct str service = kv_find(&o->labels, LABEL_SERVICE_NAME);

		note_refused(r, o);
		if (service.len == 0 || !slice_counts(r, o))
			continue;
		r->slices[r->slices_count++] = (struct slice_ref){o->cluster, o->ns, service,
			o->endpoint_slice, slice_weight(r, o)};
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
	const struct slice_endpoint *e, struct str home)
{
	struct str name = e->target_name.len ? e->target_name : e->addresses[0];

	if (str_eq(service->cluster, home))
		return name;
	return str_of(
		arena_printf(r->arena, "%.*s/%.*s", STR_FMT(service->cluster), STR_FMT(name)));
}

static void add_slice(struct reconcile *r, const struct object *service,
	const struct slice_ref *ref, uint16_t port, struct endpoint_list *out)
{
	for (uint32_t i = 0; i < ref->slice->endpoints_count; i++) {
		const struct slice_endpoint *e = &ref->slice->endpoints[i];
		enum readiness how = readiness(service->service, e);
		struct plan_endpoint pe = {.port = port,
			.slice_weight = ref->weight,
			.draining = how == DRAINING,
			.cluster = service->cluster};

		if (e->refused || !ip_parse(e->addresses[0], &pe.addr))
			continue;
		if (how == NOT_USED) {
			out->clusters[out->clusters_count - 1].unready +=
				e->terminating != TRI_TRUE;
			continue;
		}
		pe.name = endpoint_name(r, service, e, out->home);
		list_add(r, out, pe);
	}
}

static void add_endpoints(struct reconcile *r, const struct object *service,
	const struct service_port *port, struct endpoint_list *out)
{
	for (uint32_t i = first_slice(r, service); i < r->slices_count; i++) {
		const struct slice_ref *ref = &r->slices[i];

		if (cmp_ref(ref, service->cluster, service->ns, service->name) != 0)
			break;
		for (uint32_t k = 0; k < ref->slice->ports_count; k++) {
			const struct slice_port *p = &ref->slice->ports[k];

			if (p->port != 0 && str_eq(p->name, port->name) &&
				str_eq(p->protocol, port->protocol))
				add_slice(r, service, ref, p->port, out);
		}
	}
}

/* Clusters come by name, each perhaps several times in a row. */
static const struct plan_cluster *add_cluster(struct reconcile *r, struct str name,
	struct endpoint_list *out)
{
	const struct cluster *c = clusters_lookup(r->in->clusters, name);
	uint32_t n = out->clusters_count;

	if (n != 0 && str_eq(out->clusters[n - 1].name, name))
		return &out->clusters[n - 1];
	if (n == 0)
		out->clusters = arena_array(r->arena, struct plan_cluster, r->clusters_count);
	out->clusters[n] = (struct plan_cluster){.name = name,
		.weight = c->weight,
		.policy_weight = CLUSTER_WEIGHT_DEFAULT,
		.withheld = c->withheld,
		.remote = c->site.len != 0,
		.admin = c->admin,
		.priority = out->reserve ? 1 : 0};
	out->clusters_count++;
	return &out->clusters[n];
}

bool endpoints_may_lend(const struct reconcile *r, const struct object *service, struct str home)
{
	unsigned roles = clusters_lookup(r->in->clusters, service->cluster)->roles;

	return (str_eq(service->cluster, home) || (roles & CLUSTER_ROLE_WORKLOAD) != 0) &&
		!federated_is(service) && !str_eq(service->service->type, STR("ExternalName"));
}

static bool has_port_like(const struct service *s, const struct service_port *p)
{
	for (uint32_t i = 0; i < s->ports_count; i++)
		if (str_eq(s->ports[i].name, p->name) && str_eq(s->ports[i].protocol, p->protocol))
			return true;
	return false;
}

void endpoints_take(struct reconcile *r, const struct object *service,
	const struct service_port *port, struct endpoint_list *out)
{
	if (!has_port_like(service->service, port) ||
		add_cluster(r, service->cluster, out)->admin == CLUSTER_DISABLED)
		return;
	/* a policy for this Service holds whatever other Service or import leads to it */
	if (policies_demand_tls(r, service, port))
		note_add(r, false, service,
			"its endpoints are lent to nobody: a BackendTLSPolicy demands TLS, which "
			"is not supported");
	else
		add_endpoints(r, service, port, out);
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

static void note_overlap(struct reconcile *r, const struct object *service,
	const struct plan_endpoint *kept, const struct plan_endpoint *dropped)
{
	char text[IP_ADDR_STRLEN];

	note_add(r, true, service,
		"clusters %.*s and %.*s both have an endpoint %s port %u: only the first is used",
		STR_FMT(kept->cluster), STR_FMT(dropped->cluster), ip_format(&kept->addr, text),
		kept->port);
}

void endpoints_sort(struct reconcile *r, const struct object *service, struct endpoint_list *l)
{
	uint32_t n = 0;
	bool noted = false;

	if (l->count == 0)
		return;
	qsort(l->items, l->count, sizeof(*l->items), cmp_endpoints);
	for (uint32_t i = 1; i < l->count; i++) {
		if (!ip_eq(&l->items[i].addr, &l->items[n].addr) ||
			l->items[i].port != l->items[n].port) {
			l->items[++n] = l->items[i];
			continue;
		}
		if (!noted && !str_eq(l->items[i].cluster, l->items[n].cluster)) {
			note_overlap(r, service, &l->items[n], &l->items[i]);
			noted = true;
		}
	}
	l->count = n + 1;
}
