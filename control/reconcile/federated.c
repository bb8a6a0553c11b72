// SPDX-License-Identifier: Apache-2.0
/*
 * federated.c: Services whose endpoints come from other clusters, as Calico documents them.
 *
 * A Service without a selector and with the annotation federation.tigera.io/serviceSelector stands
 * for all Services of its own namespace, in every cluster, whose labels the expression selects. The
 * Services of other clusters carry the implicit label federation.tigera.io/remoteClusterName, those
 * of its own cluster do not, so that !has(...) selects local ones. Endpoints are taken over for
 * ports of equal name and protocol; the federated Service's own target port means nothing. A
 * federated Service never backs another one, which also keeps endpoints from being counted twice
 * when a cluster's own controller has federated already.
 * An expression that cannot be parsed selects nothing.
 * Standard: Calico Enterprise documentation, "Configure federated services".
 */
#include "control/reconcile/reconcile.h"
#include "control/reconcile/selector.h"

#define LABEL_REMOTE_CLUSTER STR("federation.tigera.io/remoteClusterName")

bool federated_is(const struct object *service)
{
	return kv_find(&service->annotations, ANNOTATION_FEDERATED).p != NULL &&
		!service->service->has_selector;
}

/* The labels of a Service of another cluster, with the implicit one at its place. */
static struct kv_list labels_with_cluster(struct arena *a, const struct object *o)
{
	const struct kv_list *l = &o->labels;
	struct kv *items = arena_array(a, struct kv, l->count + 1);
	uint32_t n = 0;
	bool done = false;

	for (uint32_t i = 0; i < l->count; i++) {
		int c = str_cmp(l->items[i].key, LABEL_REMOTE_CLUSTER);

		if (c >= 0 && !done) {
			items[n++] = (struct kv){LABEL_REMOTE_CLUSTER, o->cluster};
			done = true;
		}
		if (c != 0)
			items[n++] = l->items[i];
	}
	if (!done)
		items[n++] = (struct kv){LABEL_REMOTE_CLUSTER, o->cluster};
	return (struct kv_list){items, n};
}

/* A local Service cannot pretend to be another cluster's. */
static struct kv_list labels_without_cluster(struct arena *a, const struct object *o)
{
	struct kv *items;
	uint32_t n = 0;

	if (kv_find(&o->labels, LABEL_REMOTE_CLUSTER).p == NULL)
		return o->labels;
	items = arena_array(a, struct kv, o->labels.count);
	for (uint32_t i = 0; i < o->labels.count; i++)
		if (!str_eq(o->labels.items[i].key, LABEL_REMOTE_CLUSTER))
			items[n++] = o->labels.items[i];
	return (struct kv_list){items, n};
}

/* <scratch>: of labels, which nobody needs once they were matched. */
static void add_source(struct reconcile *r, const struct object *federated,
	const struct object *source, const struct service_port *port, const struct selector *sel,
	struct arena *scratch, struct endpoint_list *out)
{
	bool foreign = !str_eq(source->cluster, federated->cluster);
	struct kv_list labels;

	if (kv_find(&source->annotations, ANNOTATION_FEDERATED).p != NULL ||
		!endpoints_may_lend(r, source, federated->cluster))
		return;
	labels = foreign ? labels_with_cluster(scratch, source)
			 : labels_without_cluster(scratch, source);
	if (selector_matches(sel, &labels))
		endpoints_take(r, source, port, out);
}

void federated_endpoints(struct reconcile *r, const struct object *service,
	const struct service_port *port, struct endpoint_list *out)
{
	struct str text = kv_find(&service->annotations, ANNOTATION_FEDERATED);
	const struct view_kind *all = &r->view->kinds[KIND_SERVICE];
	const struct selector *sel;
	struct arena scratch;
	struct err err;

	if (selector_parse(text, r->arena, &sel, &err) < 0) {
		note_add(r, true, service,
			"the federation.tigera.io/serviceSelector is not valid, so that "
			"nothing is federated: %s",
			err.msg);
		return;
	}
	arena_init(&scratch, 0);
	for (uint32_t c = 0; c < r->clusters_count; c++) {
		struct str cluster = r->clusters[c];

		for (uint32_t i = view_first(all, cluster, service->ns); i < all->count; i++) {
			const struct object *o = all->objects[i];

			if (!str_eq(o->cluster, cluster) || !str_eq(o->ns, service->ns))
				break;
			add_source(r, service, o, port, sel, &scratch, out);
		}
	}
	arena_fini(&scratch);
}
