// SPDX-License-Identifier: Apache-2.0
/*
 * imports.c: ServiceImport, the whole ClusterSet's Service of one name.
 *
 * Whoever exports counts: a ServiceExport and a Service of the import's namespace and name in the
 * same cluster. The import's own ports are those that can be named; one that has none (nobody has
 * filled it in) has those of the Services, where the oldest export wins. A cluster whose Service
 * has no port of that name and protocol gets none of the traffic.
 * Standard: KEP-1645 "Multi-Cluster Services API", mcs-api v0.5.0; GEP-1748.
 */
#include "control/model/federation.h"
#include "control/reconcile/reconcile.h"

/* The Service behind an export in <cluster>, or NULL. *ret_export: the export. */
static const struct object *exported(struct reconcile *r, const struct object *import,
	struct str cluster, const struct object **ret_export)
{
	const struct object *e =
		view_find(r->view, KIND_SERVICE_EXPORT, cluster, import->ns, import->name);
	const struct object *o =
		view_find(r->view, KIND_SERVICE, cluster, import->ns, import->name);

	if (e == NULL || o == NULL || !endpoints_may_lend(r, o, import->cluster))
		return NULL;
	*ret_export = e;
	return o;
}

static const struct service_port *port_of(const struct service_port *ports, uint32_t count,
	uint16_t number, bool *ret_other)
{
	for (uint32_t i = 0; i < count; i++) {
		if (ports[i].port != number)
			continue;
		if (str_eq(ports[i].protocol, STR("TCP")))
			return &ports[i];
		*ret_other = true;
	}
	return NULL;
}

const struct service_port *imports_port(struct reconcile *r, const struct object *import,
	uint16_t number, bool *ret_exported, bool *ret_other)
{
	const struct service_import *spec = import->service_import;
	const struct object *oldest = NULL, *e;
	const struct service_port *port = NULL;

	*ret_exported = *ret_other = false;
	for (uint32_t i = 0; i < r->clusters_count; i++) {
		const struct object *o = exported(r, import, r->clusters[i], &e);
		const struct service_port *p;

		if (o == NULL)
			continue;
		*ret_exported = true;
		if (oldest != NULL && object_cmp_age(oldest, e) <= 0)
			continue;
		p = port_of(o->service->ports, o->service->ports_count, number, ret_other);
		if (p == NULL)
			continue;
		oldest = e;
		port = p;
	}
	if (spec->ports_count == 0)
		return port;
	*ret_other = false;
	return port_of(spec->ports, spec->ports_count, number, ret_other);
}

void imports_endpoints(struct reconcile *r, const struct object *import,
	const struct service_port *port, struct endpoint_list *out)
{
	const struct object *e;

	for (uint32_t i = 0; i < r->clusters_count; i++) {
		const struct object *o = exported(r, import, r->clusters[i], &e);

		if (o != NULL)
			endpoints_take(r, o, port, out);
	}
}
