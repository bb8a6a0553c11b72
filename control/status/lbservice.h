// SPDX-License-Identifier: Apache-2.0
/*
 * lbservice.h: the Service of type LoadBalancer that shows a Gateway's VIPs, because that is where
 * users of Calico, Envoy Gateway and MetalLB look for them.
 *
 * It has no selector and carries no traffic: nothing in the cluster shall act on it, so it has a
 * loadBalancerClass of its own and no node ports, and ipMode Proxy keeps kube-proxy from catching
 * the VIP on nodes (KEP-1860). It stands in one namespace, the only one in which we may write
 * Services, or beside its Gateway when none is named. Pure.
 */
#pragma once

#include <jansson.h>

#include "control/config/config.h"
#include "control/reconcile/plan.h"

#define LBSERVICE_NAME_MAX 64u /* DNS label, with its NUL */
#define LABEL_VALUE_LEN_MAX 63u

/* Whose it is, as label and annotation: the Gateway may be gone when we look. */
#define LABEL_MANAGED_BY "app.kubernetes.io/managed-by"
#define MANAGED_BY "sluice"
#define LABEL_CONTROLLER "gateway.sluice.internal/controller"
#define LABEL_GATEWAY_NAME "gateway.networking.k8s.io/gateway-name"
#define LABEL_CLASS_NAME "gateway.networking.k8s.io/gateway-class-name"
#define ANNOTATION_DIGEST "gateway.sluice.internal/digest"
#define ANNOTATION_GATEWAY "gateway.sluice.internal/gateway"

/* Where the Service of this Gateway stands. */
struct str lbservice_namespace(const struct object *gateway, const struct control_config *config);
void lbservice_name(const struct object *gateway, char buf[LBSERVICE_NAME_MAX]);
/* A value that labels can have: longer ones end in a hash of the whole. */
void label_value(struct str s, char buf[LABEL_VALUE_LEN_MAX + 1]);

/* The whole Service without status, for server-side apply; NULL: it shall have none. */
json_t *lbservice_desired(const struct plan_gateway *gw, const struct control_config *config);
/* Its status: {"loadBalancer": {"ingress": [...]}}; empty while the Gateway does not serve. */
json_t *lbservice_status(const struct plan_gateway *gw);

/* Made by a control of this controllerName. */
bool lbservice_is_ours(const struct object *service, const struct control_config *config);
/* Somebody has edited it, or it shall be another one. */
bool lbservice_differs(const struct object *service, const json_t *desired);
