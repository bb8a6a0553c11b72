// SPDX-License-Identifier: Apache-2.0
/*
 * backends.c: from a backendRef to a port of a Service or ServiceImport and its endpoints, or to
 * the reason why not.
 *
 * "references to Services SHOULD always be interpreted as endpoints within the same cluster"
 * (GEP-1748): the route's own. Into others reach a ServiceImport, and a Service that carries the
 * annotation of Calico or Cilium for it, as in that product. The order of questions is the API's: is the kind known, is the namespace permitted (before anything is said
 * about existence), does the Service exist, does it have the port, do we speak its protocol.
 */
#include <stdlib.h>

#include "control/reconcile/reconcile.h"
#include "dataplane/base/hash.h"

/* Ports of Services by address: each is resolved once, however many routes point to it. */
struct service_table {
	struct plan_service **slots; /* open addressing, size a power of two, at most half full */
	uint32_t size, count;
};

static uint32_t slot_of(const struct service_table *t, const struct object *o,
	const struct service_port *port)
{
	uint32_t i = (uint32_t)hash_mix((uintptr_t)port, (uintptr_t)o) & (t->size - 1);

	while (t->slots[i] != NULL && (t->slots[i]->port != port || t->slots[i]->obj != o))
		i = (i + 1) & (t->size - 1);
	return i;
}

static void table_grow(struct reconcile *r, struct service_table *t)
{
	struct service_table old = *t;

	t->size = old.size ? old.size * 2 : 64;
	t->slots = arena_array(r->arena, struct plan_service *, t->size);
	for (uint32_t i = 0; i < old.size; i++)
		if (old.slots[i] != NULL)
			t->slots[slot_of(t, old.slots[i]->obj, old.slots[i]->port)] = old.slots[i];
}

void backends_prepare(struct reconcile *r)
{
	r->services = arena_new(r->arena, struct service_table);
	table_grow(r, r->services);
}

static struct plan_service *service_resolve(struct reconcile *r, const struct object *o,
	const struct service_port *port)
{
	struct plan_service *s = arena_new(r->arena, struct plan_service);
	struct endpoint_list list = {.home = o->cluster};

	if (o->kind == KIND_SERVICE_IMPORT)
		imports_endpoints(r, o, port, &list);
	else if (federated_is(o))
		federated_endpoints(r, o, port, &list);
	else if (cilium_is_global(o))
		cilium_endpoints(r, o, port, &list);
	else
		endpoints_take(r, o, port, &list);
	endpoints_sort(r, o, &list);
	*s = (struct plan_service){.obj = o,
		.port = port,
		.endpoints = list.items,
		.clusters = list.clusters,
		.endpoints_count = list.count,
		.clusters_count = list.clusters_count,
		.policy = policies_of(r, o)};
	if (s->policy != NULL)
		traffic_weigh(s);
	return s;
}

static const struct plan_service *service_get(struct reconcile *r, const struct object *o,
	const struct service_port *port)
{
	struct service_table *t = r->services;
	uint32_t i = slot_of(t, o, port);

	if (t->slots[i] != NULL)
		return t->slots[i];
	if (2 * (t->count + 1) > t->size) {
		table_grow(r, t);
		i = slot_of(t, o, port);
	}
	t->count++;
	return t->slots[i] = service_resolve(r, o, port);
}

static int cmp_services(const void *a, const void *b)
{
	const struct plan_service *x = *(struct plan_service *const *)a;
	const struct plan_service *y = *(struct plan_service *const *)b;
	int c = object_cmp_key(x->obj, y->obj->cluster, y->obj->ns, y->obj->name);

	if (c == 0)
		c = (int)x->obj->kind - (int)y->obj->kind;
	return c != 0 ? c : x->port->port - y->port->port;
}

void backends_finish(struct reconcile *r)
{
	struct service_table *t = r->services;
	struct plan *p = r->plan;

	p->services = arena_array(r->arena, struct plan_service *, t->count);
	for (uint32_t i = 0; i < t->size; i++)
		if (t->slots[i] != NULL)
			p->services[p->services_count++] = t->slots[i];
	qsort(p->services, p->services_count, sizeof(*p->services), cmp_services);
}

static void refuse(struct reconcile *r, struct plan_backend *b, enum ref_status status,
	const char *what)
{
	b->status = status;
	b->why = arena_printf(r->arena, "%.*s %.*s%s%.*s: %s", STR_FMT(b->ref->kind),
		STR_FMT(b->ref->ns), b->ref->ns.len ? "/" : "", STR_FMT(b->ref->name), what);
}

/* Plain HTTP/1.1 over TCP is all that goes to backends so far (GEP-1911: appProtocol). */
static bool speaks_http(const struct service_port *p)
{
	return p->app_protocol.len == 0 || str_eq(p->app_protocol, STR("http")) ||
		str_eq(p->app_protocol, STR("kubernetes.io/http"));
}

/* The TCP port of this number; *ret_other: another protocol has it. */
static const struct service_port *find_port(const struct service *s, uint16_t port, bool *ret_other)
{
	*ret_other = false;
	for (uint32_t i = 0; i < s->ports_count; i++) {
		if (s->ports[i].port != port)
			continue;
		if (str_eq(s->ports[i].protocol, STR("TCP")))
			return &s->ports[i];
		*ret_other = true;
	}
	return NULL;
}

static void take_port(struct reconcile *r, const struct object *o, const struct service_port *port,
	bool other, struct plan_backend *b)
{
	if (port == NULL && other)
		refuse(r, b, REF_UNSUPPORTED_PROTOCOL, "this port is not a TCP port");
	else if (port == NULL)
		refuse(r, b, REF_BACKEND_NOT_FOUND,
			arena_printf(r->arena, "has no port %u", b->ref->port));
	else if (!speaks_http(port))
		refuse(r, b, REF_UNSUPPORTED_PROTOCOL,
			arena_printf(r->arena,
				"appProtocol %.*s of port %u is not supported: plain HTTP/1.1 is, "
				"with http, kubernetes.io/http or none",
				STR_FMT(port->app_protocol), port->port));
	else if (policies_demand_tls(r, o, port))
		refuse(r, b, REF_TLS_DEMANDED,
			"a BackendTLSPolicy demands TLS, which is not supported");
	else
		b->service = service_get(r, o, port);
}

static void resolve_service(struct reconcile *r, const struct object *o, struct plan_backend *b)
{
	const struct service_port *port;
	bool other;

	if (str_eq(o->service->type, STR("ExternalName"))) {
		refuse(r, b, REF_UNSUPPORTED_PROTOCOL,
			"Services of type ExternalName are not supported");
		return;
	}
	port = find_port(o->service, b->ref->port, &other);
	take_port(r, o, port, other, b);
}

static void resolve_import(struct reconcile *r, const struct object *o, struct plan_backend *b)
{
	bool exported, other;
	const struct service_port *port = imports_port(r, o, b->ref->port, &exported, &other);

	if (!exported)
		refuse(r, b, REF_BACKEND_NOT_FOUND, "no cluster exports a Service of this name");
	else
		take_port(r, o, port, other, b);
}

/* The kind that a reference means; KIND_COUNT: none of ours. */
static enum kind backend_kind(const struct backend_ref *ref)
{
	if (ref->group.len == 0 && str_eq(ref->kind, STR("Service")))
		return KIND_SERVICE;
	if (str_eq(ref->group, kind_info[KIND_SERVICE_IMPORT].group) &&
		str_eq(ref->kind, kind_info[KIND_SERVICE_IMPORT].name))
		return KIND_SERVICE_IMPORT;
	return KIND_COUNT;
}

void backends_resolve(struct reconcile *r, const struct object *route,
	const struct backend_ref *ref, struct plan_backend *ret)
{
	struct str ns = ref->ns.len ? ref->ns : route->ns;
	enum kind kind = backend_kind(ref);
	const struct object *o;

	*ret = (struct plan_backend){.ref = ref, .status = REF_OK};
	if (kind == KIND_COUNT) {
		refuse(r, ret, REF_INVALID_KIND, "backends of this kind are not supported");
		return;
	}
	if (!refs_permitted(r, route, ref->group, ref->kind, ns, ref->name)) {
		refuse(r, ret, REF_NOT_PERMITTED, "no ReferenceGrant permits this reference");
		return;
	}
	o = view_find(r->view, kind, route->cluster, ns, ref->name);
	if (o == NULL)
		refuse(r, ret, REF_BACKEND_NOT_FOUND, plan_why_absent(r, kind, route->cluster));
	else if (kind == KIND_SERVICE_IMPORT)
		resolve_import(r, o, ret);
	else
		resolve_service(r, o, ret);
}
