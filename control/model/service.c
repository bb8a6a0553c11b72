// SPDX-License-Identifier: Apache-2.0
/*
 * service.c: the schema of Service.
 *
 * What only kube-proxy and cloud load balancers read is known and skipped.
 */
#include "control/model/service.h"

#include "control/model/check.h"
#include "control/model/schema.h"

static const char *const types[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName", NULL};
static const char *const protocols[] = {"TCP", "UDP", "SCTP", NULL};

static const struct yaml_field port_fields[] = {
	YAML_STR(struct service_port, "name", name, .max = 63, .def = ""),
	YAML_STR(struct service_port, "protocol", protocol, .words = protocols, .def = "TCP"),
	YAML_U16(struct service_port, "port", port, .required = true, .min = 1, .max = 65535),
	YAML_STR(struct service_port, "appProtocol", app_protocol, .max = 253),
	YAML_IGNORED("targetPort"), /* the EndpointSlices hold its result */
	YAML_IGNORED("nodePort"),
};
static const struct yaml_schema port_schema = YAML_SCHEMA(struct service_port, port_fields);

static void ports_check(struct yaml_decoder *d, const struct yaml_node *n, const struct service *s)
{
	for (uint32_t i = 0; i < s->ports_count; i++) {
		const struct service_port *p = &s->ports[i];

		if (s->ports_count > 1 && p->name.len == 0)
			yaml_report(d, n, "ports", "each port needs a name when there are several");
		for (uint32_t k = 0; k < i; k++) {
			const struct service_port *q = &s->ports[k];

			if (p->name.len && str_eq(p->name, q->name))
				yaml_report(d, n, "ports", "the name %.*s stands twice",
					STR_FMT(p->name));
			if (p->port == q->port && str_eq(p->protocol, q->protocol))
				yaml_report(d, n, "ports", "%.*s %u stands twice",
					STR_FMT(p->protocol), p->port);
		}
	}
}

static void service_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct service *s = obj;
	const struct yaml_node *selector = yaml_get(n, "selector");
	const struct yaml_node *cluster_ip = yaml_get(n, "clusterIP");
	bool headless = cluster_ip != NULL && str_eq(cluster_ip->text, STR("None"));

	s->has_selector = selector != NULL && selector->count != 0;
	if (s->ports_count == 0 && !headless && !str_eq(s->type, STR("ExternalName")))
		yaml_report(d, n, "ports", "is required");
	ports_check(d, n, s);
}

static const struct yaml_field service_fields[] = {
	YAML_STR(struct service, "type", type, .words = types, .def = "ClusterIP"),
	YAML_BOOL(struct service, "publishNotReadyAddresses", publish_not_ready),
	YAML_LIST(struct service, "ports", ports, &port_schema, .max = 100),
	YAML_IGNORED("selector"), /* only whether there is one counts: service_finish() */
	YAML_IGNORED("clusterIP"),
	YAML_IGNORED("clusterIPs"),
	YAML_IGNORED("externalIPs"),
	YAML_IGNORED("sessionAffinity"),
	YAML_IGNORED("sessionAffinityConfig"),
	YAML_IGNORED("loadBalancerIP"),
	YAML_IGNORED("loadBalancerClass"),
	YAML_IGNORED("loadBalancerSourceRanges"),
	YAML_IGNORED("allocateLoadBalancerNodePorts"),
	YAML_IGNORED("externalName"),
	YAML_IGNORED("externalTrafficPolicy"),
	YAML_IGNORED("internalTrafficPolicy"),
	YAML_IGNORED("healthCheckNodePort"),
	YAML_IGNORED("ipFamilies"),
	YAML_IGNORED("ipFamilyPolicy"),
	YAML_IGNORED("trafficDistribution"),
};
static const struct yaml_schema spec_schema =
	YAML_SCHEMA(struct service, service_fields, .finish = service_finish);

SCHEMA_WITH_SPEC(service, struct service, spec_schema);
