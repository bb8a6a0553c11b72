// SPDX-License-Identifier: Apache-2.0
/*
 * federation.h: kinds that speak about several clusters: those of the Multi-Cluster Services API
 * (KEP-1645; mcs-api v0.5.0, v1beta1, whose fields v1alpha1 shares), and Calico's.
 */
#pragma once

#include "control/model/object.h"
#include "dataplane/base/ip.h"

struct service_import {
	struct str type; /* ClusterSetIP, Headless */
	const struct service_port *ports;
	uint32_t ports_count;
};

struct service_export {
	struct kv_list labels, annotations; /* exportedLabels, exportedAnnotations */
};

/* Calico: another cluster, and how to reach its datastore. */
struct remote_cluster {
	struct str datastore; /* kubernetes, etcdv3; absent: the Secret says */
	struct str secret_kind, secret_ns, secret_name; /* clusterAccessSecret; may be absent */
	struct str kubeconfig;				/* a path; absent: none */
	struct str endpoint;				/* k8sAPIEndpoint; absent: none */
	bool has_etcd;
};

/* Calico: addresses that it gives out. */
struct ip_pool {
	struct ip_net cidr;
	bool disabled;
	bool for_load_balancers;       /* allowedUses names LoadBalancer */
	bool manual;		       /* assignmentMode: Manual */
	struct str namespace_selector; /* of those who may have them; absent or empty: all */
};
