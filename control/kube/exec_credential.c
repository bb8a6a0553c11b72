// SPDX-License-Identifier: Apache-2.0
/*
 * exec_credential.c: the two JSON documents of the protocol, ours to the program and its answer.
 * Reference: Kubernetes, "Authenticating", client-go credential plugins.
 */
#define _XOPEN_SOURCE 700
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <time.h>

#include "control/kube/exec.h"
#include "control/kube/object.h"
#include "control/kube/pem.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"

bool exec_time(const char *text, int64_t *ret)
{
	struct tm tm = {0};
	const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	int hours = 0, minutes = 0, sign = 0;

	if (p == NULL)
		return false;
	if (*p == '.') {
		size_t n = strspn(p + 1, "0123456789");

		if (n == 0)
			return false;
		p += n + 1;
	}
	if (*p == '+' || *p == '-') {
		sign = *p == '+' ? 1 : -1;
		if (strlen(p) != 6 || sscanf(p + 1, "%2d:%2d", &hours, &minutes) != 2)
			return false;
	} else if (strcmp(p, "Z") != 0) {
		return false;
	}
	*ret = timegm(&tm) - sign * (hours * 3600 + minutes * 60);
	return true;
}

/* The authority in base64, of a file too: what the program is told names no file. */
static json_t *authority(const struct kubeconfig_cluster *c)
{
	struct str pem = {NULL, 0};
	json_t *j;
	char *text;

	if (c->ca_data != NULL)
		return json_string(c->ca_data);
	if (c->ca_file == NULL || kubeconfig_read(c->ca_file, KUBECONFIG_PEM_MAX, &pem, NULL) < 0)
		return NULL;
	text = malloc(pem.len / 3 * 4 + 5);
	bug_on(text == NULL);
	EVP_EncodeBlock((unsigned char *)text, (const unsigned char *)pem.p, (int)pem.len);
	j = json_string(text);
	free(text);
	free((char *)pem.p);
	return j;
}

/* The cluster as the program may ask for it: its address, and the extension meant for it. */
static json_t *cluster_info(const struct kubeconfig *k)
{
	const struct kubeconfig_cluster *c = &k->cluster;
	json_t *j = json_pack("{s:s}", "server", c->server), *ca = authority(c);

	if (c->tls_server_name != NULL)
		json_object_set_new(j, "tls-server-name", json_string(c->tls_server_name));
	if (c->insecure)
		json_object_set_new(j, "insecure-skip-tls-verify", json_true());
	if (ca != NULL)
		json_object_set_new(j, "certificate-authority-data", ca);
	if (c->proxy_url != NULL)
		json_object_set_new(j, "proxy-url", json_string(c->proxy_url));
	if (k->exec_config != NULL)
		json_object_set(j, "config", k->exec_config);
	return j;
}

char *exec_info(const struct kubeconfig *k)
{
	json_t *spec = json_pack("{s:b}", "interactive", 0), *j;
	char *text;

	if (k->user.exec->provide_cluster_info)
		json_object_set_new(spec, "cluster", cluster_info(k));
	j = json_pack("{s:s, s:s, s:o}", "kind", "ExecCredential", "apiVersion",
		k->user.exec->api_version, "spec", spec);
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return text;
}

static char *copy_of(const json_t *status, const char *key)
{
	const char *s = object_text(status, key);

	return s != NULL && s[0] != '\0' ? strdup(s) : NULL;
}

static int check_result(const struct exec_result *r, struct err *err)
{
	if (r->token == NULL && r->cert == NULL)
		return err_set(err, EINVAL, "printed neither status.token nor a certificate");
	for (const char *c = r->token; c != NULL && *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f)
			return err_set(err, EINVAL, "status.token holds a byte it must not");
	if ((r->cert == NULL) != (r->key == NULL))
		return err_set(err, EINVAL,
			"clientCertificateData and clientKeyData belong together");
	if (r->cert != NULL && pem_check_pair(str_of(r->cert), str_of(r->key), err) < 0) {
		err_wrap(err, "clientKeyData");
		return -EINVAL;
	}
	return 0;
}

static int read_status(const json_t *j, const char *api_version, struct exec_result *r,
	struct err *err)
{
	const char *kind = object_text(j, "kind"), *version = object_text(j, "apiVersion");
	const json_t *status = json_object_get(j, "status");
	const char *until = object_text(status, "expirationTimestamp");

	if (kind == NULL || strcmp(kind, "ExecCredential") != 0)
		return err_set(err, EINVAL, "printed no ExecCredential");
	if (version == NULL || strcmp(version, api_version) != 0)
		return err_set(err, EINVAL, "printed apiVersion %.80s, but %s is configured",
			version ? version : "(none)", api_version);
	r->token = copy_of(status, "token");
	r->cert = copy_of(status, "clientCertificateData");
	r->key = copy_of(status, "clientKeyData");
	if (until != NULL && !exec_time(until, &r->expires))
		return err_set(err, EINVAL, "status.expirationTimestamp is no time");
	return check_result(r, err);
}

int exec_parse(struct str output, const char *api_version, struct exec_result *ret, struct err *err)
{
	struct exec_result r = {NULL};
	json_t *j = object_parse(output, err);
	int rc;

	if (j == NULL) {
		err_wrap(err, "printed no JSON");
		return -EINVAL;
	}
	rc = read_status(j, api_version, &r, err);
	json_decref(j);
	if (rc < 0)
		exec_result_fini(&r);
	else
		*ret = r;
	return rc;
}

void exec_result_fini(struct exec_result *r)
{
	free(r->token);
	free(r->cert);
	free(r->key);
	*r = (struct exec_result){NULL};
}
