// SPDX-License-Identifier: Apache-2.0
/*
 * cilium.c: global Services of a Cilium cluster mesh.
 *
 * A Service with service.cilium.io/global: "true" stands for all Services of its name and namespace
 * that are global too and shared, which they are unless service.cilium.io/shared says otherwise;
 * its own endpoints always count for itself. service.cilium.io/affinity: local keeps those of other
 * clusters in reserve, remote its own; anything else prefers nobody. Each annotation has an older
 * name that counts where the newer one is absent.
 * Standard: Cilium documentation, "Load-balancing & Service Discovery" and "Service Affinity".
 */
#include <strings.h>

#include "control/reconcile/reconcile.h"

static struct str annotation(const struct object *o, struct str name, struct str older)
{
	struct str v = kv_find(&o->annotations, name);

	return v.p != NULL ? v : kv_find(&o->annotations, older);
}

static bool is_word(struct str v, struct str word)
{
	return v.len == word.len && strncasecmp(v.p, word.p, word.len) == 0;
}

bool cilium_is_global(const struct object *service)
{
	return is_word(annotation(service, STR("service.cilium.io/global"),
			       STR("io.cilium/global-service")),
		STR("true"));
}

static bool is_shared(const struct object *service)
{
	struct str v = annotation(service, STR("service.cilium.io/shared"),
		STR("io.cilium/shared-service"));

	return v.p == NULL || is_word(v, STR("true"));
}

static bool is_reserve(const struct object *service, bool foreign)
{
	struct str v = annotation(service, STR("service.cilium.io/affinity"),
		STR("io.cilium/service-affinity"));

	return is_word(v, foreign ? STR("local") : STR("remote"));
}

void cilium_endpoints(struct reconcile *r, const struct object *service,
	const struct service_port *port, struct endpoint_list *out)
{
	for (uint32_t i = 0; i < r->clusters_count; i++) {
		struct str cluster = r->clusters[i];
		const struct object *o =
			view_find(r->view, KIND_SERVICE, cluster, service->ns, service->name);
		bool foreign = o != service;

		if (o == NULL || (foreign && !(cilium_is_global(o) && is_shared(o))))
			continue;
		out->reserve = is_reserve(service, foreign);
		endpoints_take(r, o, port, out);
	}
}
