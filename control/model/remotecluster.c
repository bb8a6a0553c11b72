// SPDX-License-Identifier: Apache-2.0
/*
 * remotecluster.c: the schema of RemoteClusterConfiguration (projectcalico.org/v3).
 *
 * Only the way by clusterAccessSecret can be gone by us: paths of files mean those of somebody
 * else's machine, and etcd is not spoken. Whoever reads the object says so.
 */
#include "control/model/check.h"
#include "control/model/federation.h"
#include "control/model/schema.h"

static const struct yaml_field access_fields[] = {
	YAML_STR(struct remote_cluster, "kind", secret_kind, .max = 63, .def = "Secret"),
	YAML_STR(struct remote_cluster, "namespace", secret_ns, .max = 63,
		.check = check_dns_label),
	YAML_STR(struct remote_cluster, "name", secret_name, .max = 253, .check = check_dns_name),
	YAML_IGNORED("apiVersion"),
	YAML_IGNORED("uid"),
	YAML_IGNORED("resourceVersion"),
	YAML_IGNORED("fieldPath"),
};
static const struct yaml_schema access_schema = YAML_SCHEMA(struct remote_cluster, access_fields);

static const char *const datastores[] = {"kubernetes", "etcdv3", NULL};

static void remote_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct remote_cluster *r = obj;

	if (r->secret_name.len != 0 &&
		(r->datastore.len != 0 || r->kubeconfig.len != 0 || r->endpoint.len != 0 ||
			r->has_etcd))
		yaml_report(d, n, "clusterAccessSecret",
			"must not stand together with the fields that it is to give");
	if (r->secret_name.len != 0 && r->secret_ns.len == 0)
		yaml_report(d, n, "clusterAccessSecret.namespace", "is required");
}

static const struct yaml_field remote_fields[] = {
	{.key = "clusterAccessSecret", .type = YAML_TYPE_OBJECT, .schema = &access_schema},
	YAML_STR(struct remote_cluster, "datastoreType", datastore, .words = datastores),
	YAML_STR(struct remote_cluster, "kubeconfig", kubeconfig, .max = 4096),
	YAML_STR(struct remote_cluster, "k8sAPIEndpoint", endpoint, .max = 4096),
	YAML_PRESENT(struct remote_cluster, "etcdEndpoints", has_etcd),
	YAML_IGNORED("etcdUsername"), YAML_IGNORED("etcdPassword"), YAML_IGNORED("etcdKeyFile"),
	YAML_IGNORED("etcdCertFile"), YAML_IGNORED("etcdCACertFile"), YAML_IGNORED("etcdKey"),
	YAML_IGNORED("etcdCert"), YAML_IGNORED("etcdCACert"), YAML_IGNORED("k8sKeyFile"),
	YAML_IGNORED("k8sCertFile"), YAML_IGNORED("k8sCAFile"), YAML_IGNORED("k8sAPIToken"),
	YAML_IGNORED("k8sInsecureSkipTLSVerify"), YAML_IGNORED("kubeconfigInline"),
	YAML_IGNORED("syncOptions"), /* overlay networks between nodes; a gateway is none */
};
static const struct yaml_schema spec_schema =
	YAML_SCHEMA(struct remote_cluster, remote_fields, .finish = remote_finish);

SCHEMA_WITH_SPEC(remote_cluster, struct remote_cluster, spec_schema);
