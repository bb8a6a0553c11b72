// SPDX-License-Identifier: Apache-2.0
/*
 * service.h: Service and EndpointSlice, as much of them as routing needs.
 */
#pragma once

#include "control/model/object.h"

struct service_port {
	struct str name;	 /* empty when the only port has none */
	struct str protocol;	 /* TCP, UDP, SCTP */
	struct str app_protocol; /* absent: not given */
	uint16_t port;
};

struct service {
	struct str type; /* ClusterIP, NodePort, LoadBalancer, ExternalName */
	bool has_selector;
	bool publish_not_ready;
	const struct service_port *ports;
	uint32_t ports_count;
};

struct slice_endpoint {
	const struct str *addresses;
	uint32_t addresses_count;
	enum tristate ready, serving, terminating;
	struct str target_name; /* targetRef.name, the pod; may be absent */
	bool refused;		/* its address, the first, cannot be one: it is not used */
};

struct slice_port {
	struct str name; /* empty when not given */
	struct str protocol;
	struct str app_protocol;
	uint16_t port; /* 0: none given, all ports */
};

struct endpoint_slice {
	struct str address_type; /* IPv4, IPv6, FQDN */
	const struct slice_endpoint *endpoints;
	const struct slice_port *ports;
	uint32_t endpoints_count, ports_count;
	uint32_t refused; /* of the endpoints */
};

#define LABEL_SERVICE_NAME STR("kubernetes.io/service-name")
