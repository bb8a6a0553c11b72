// SPDX-License-Identifier: Apache-2.0
/*
 * kubeconfig_files.c: what a kubeconfig's data and files hold, tried before anything is connected,
 * and the configuration of a pod.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "control/kube/kubeconfig.h"
#include "control/kube/pem.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/ip.h"
#include "dataplane/yaml/yaml_tree.h"

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

static int at(const struct kubeconfig *k, uint32_t line, const char *field, int rc, struct err *err)
{
	if (rc < 0)
		err_wrap(err, "%s:%u: %s", k->name, line, field);
	return rc;
}

static bool is_loopback(const char *host)
{
	struct ip_addr a;

	return strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
		(ip_parse(str_of(host), &a) && ip_is_v4(&a) && a.b[12] == 127);
}

/* A secret would go over a network where anybody can read it. */
static bool is_clear_text(const struct kubeconfig_cluster *c)
{
	return strcmp(c->scheme, "http") == 0 && (!is_loopback(c->host) || c->proxy_url != NULL);
}

int kubeconfig_check(const struct kubeconfig *k, struct err *err)
{
	const struct kubeconfig_cluster *c = &k->cluster;
	const struct kubeconfig_user *u = &k->user;
	bool secret =
		u->token != NULL || u->token_file != NULL || u->password != NULL || u->exec != NULL;

	if (secret && is_clear_text(c))
		return at(k, c->line, "clusters.cluster.server",
			err_set(err, EINVAL, "would send the credential in clear text: use https"),
			err);
	if (c->ca.len && pem_check_certificates(c->ca, err) < 0)
		return at(k, c->line, "clusters.cluster.certificate-authority-data", -EINVAL, err);
	if (u->cert.len && pem_check_certificates(u->cert, err) < 0)
		return at(k, u->line, "users.user.client-certificate-data", -EINVAL, err);
	if (u->cert.len && u->key.len && pem_check_pair(u->cert, u->key, err) < 0)
		return at(k, u->line, "users.user.client-key-data", -EINVAL, err);
	return 0;
}

int kubeconfig_read(const char *path, size_t max, struct str *ret, struct err *err)
{
	char *text;
	int rc = yaml_read_file(path, &text, &ret->len, err);

	if (rc < 0)
		return rc;
	ret->p = text;
	if (ret->len <= max)
		return 0;
	free(text);
	return err_set(err, EFBIG, "%s: more than %zu bytes", path, max);
}

int kubeconfig_read_token(const char *path, char **ret, struct err *err)
{
	struct str s = {NULL, 0}, t;
	int rc = kubeconfig_read(path, KUBECONFIG_TOKEN_MAX, &s, err);

	if (rc < 0)
		return rc;
	t = s;
	while (t.len && isspace((unsigned char)t.p[t.len - 1]))
		t.len--;
	while (t.len && isspace((unsigned char)t.p[0]))
		t = str_from(t, 1);
	if (t.len == 0)
		rc = err_set(err, EINVAL, "%s: is empty", path);
	for (size_t i = 0; rc == 0 && i < t.len; i++)
		if ((unsigned char)t.p[i] <= ' ' || t.p[i] == 0x7f)
			rc = err_set(err, EINVAL, "%s: holds no token", path);
	if (rc == 0)
		*ret = strndup(t.p, t.len);
	free((char *)s.p);
	return rc;
}

/* The bytes of data or of a file; *ret_owned is for free(). */
static int pem_of(struct str data, const char *path, struct str *ret, char **ret_owned,
	struct err *err)
{
	int rc;

	*ret = data;
	if (data.len || path == NULL)
		return 0;
	rc = kubeconfig_read(path, KUBECONFIG_PEM_MAX, ret, err);
	if (rc == 0)
		*ret_owned = (char *)ret->p;
	return rc;
}

static int try_pair(const struct kubeconfig *k, struct err *err)
{
	const struct kubeconfig_user *u = &k->user;
	autofree char *own_cert = NULL, *own_key = NULL;
	struct str cert, key;
	int rc = pem_of(u->cert, u->cert_file, &cert, &own_cert, err);

	if (rc == 0 && cert.len)
		rc = pem_check_certificates(cert, err);
	if (rc < 0)
		return at(k, u->line, "users.user.client-certificate", rc, err);
	rc = pem_of(u->key, u->key_file, &key, &own_key, err);
	if (rc == 0 && key.len)
		rc = pem_check_pair(cert, key, err);
	return at(k, u->line, "users.user.client-key", rc, err);
}

int kubeconfig_files(const struct kubeconfig *k, struct err *err)
{
	autofree char *own_ca = NULL, *token = NULL;
	struct str ca;
	int rc = pem_of(k->cluster.ca, k->cluster.ca_file, &ca, &own_ca, err);

	if (rc == 0 && ca.len)
		rc = pem_check_certificates(ca, err);
	if (rc < 0)
		return at(k, k->cluster.line, "clusters.cluster.certificate-authority", rc, err);
	rc = try_pair(k, err);
	if (rc == 0 && k->user.token_file != NULL)
		rc = at(k, k->user.line, "users.user.tokenFile",
			kubeconfig_read_token(k->user.token_file, &token, err), err);
	return rc;
}

int kubeconfig_in_cluster(struct kubeconfig *ret, struct err *err)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST"),
		   *port = getenv("KUBERNETES_SERVICE_PORT");
	struct kubeconfig k = {.name = "service account", .folder = ""};
	unsigned long n = port != NULL ? strtoul(port, NULL, 10) : 0;

	if (host == NULL || host[0] == '\0' || n == 0 || n > 65535)
		return err_set(err, ENOENT,
			"no kubeconfig is named, and KUBERNETES_SERVICE_HOST and "
			"KUBERNETES_SERVICE_PORT say that this is no pod");
	arena_init(&k.arena, 0);
	k.cluster_name = k.user_name = "in-cluster";
	k.cluster.scheme = "https";
	k.cluster.host = arena_printf(&k.arena, strchr(host, ':') ? "[%s]" : "%s", host);
	k.cluster.port = (unsigned)n;
	k.cluster.prefix = "";
	k.cluster.server = arena_printf(&k.arena, "https://%s:%lu", k.cluster.host, n);
	k.cluster.ca_file = SERVICE_ACCOUNT "/ca.crt";
	k.user.token_file = SERVICE_ACCOUNT "/token";
	*ret = k;
	return 0;
}
