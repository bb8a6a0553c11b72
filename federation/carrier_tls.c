// SPDX-License-Identifier: Apache-2.0
/*
 * carrier_tls.c: certificate, key and CA of a site, for both directions.
 */
#include "federation/carrier_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/file.h"

#define PEM_BYTES_MAX (1u << 20)

/* As text that ends with a zero; to be wiped by whoever frees it. */
static int pem_read(const char *path, char **ret, struct err *err)
{
	char *real = realpath(path, NULL); /* those who renew certificates like links */
	size_t len;
	void *data;
	int rc = file_read(real != NULL ? real : path, PEM_BYTES_MAX, &data, &len, err);

	free(real);
	if (rc < 0)
		return rc;
	*ret = calloc(1, len + 1);
	bug_on(*ret == NULL);
	memcpy(*ret, data, len);
	explicit_bzero(data, len);
	free(data);
	return 0;
}

static void pem_free(char *pem)
{
	if (pem != NULL)
		explicit_bzero(pem, strlen(pem));
	free(pem);
}

struct pems {
	char *ca, *certificate, *key; /* owned */
};

static void pems_free(struct pems *p)
{
	pem_free(p->ca);
	pem_free(p->certificate);
	pem_free(p->key);
}

static int pems_read(const struct carrier_nng_config *cfg, struct pems *ret, struct err *err)
{
	int rc = pem_read(cfg->ca, &ret->ca, err);

	if (rc == 0)
		rc = pem_read(cfg->certificate, &ret->certificate, err);
	if (rc == 0)
		rc = pem_read(cfg->key != NULL ? cfg->key : cfg->certificate, &ret->key, err);
	return rc;
}

/* Both sides show a certificate and look at the other's. */
static int tls_new(nng_tls_mode mode, const struct carrier_nng_config *cfg, const struct pems *p,
	nng_tls_config **ret, struct err *err)
{
	const char *what = "TLS";
	nng_tls_config *c = NULL;
	int rv = nng_tls_config_alloc(&c, mode);

	if (rv == 0)
		rv = nng_tls_config_auth_mode(c, NNG_TLS_AUTH_MODE_REQUIRED);
	if (rv == 0) {
		what = cfg->ca;
		rv = nng_tls_config_ca_chain(c, p->ca, NULL);
	}
	if (rv == 0) {
		what = cfg->certificate;
		rv = nng_tls_config_own_cert(c, p->certificate, p->key, NULL);
	}
	if (rv == 0) {
		*ret = c;
		return 0;
	}
	if (c != NULL)
		nng_tls_config_free(c);
	return err_set(err, EINVAL, "%s: not a certificate or key that can be used: %s", what,
		nng_strerror(rv));
}

int carrier_tls_load(const struct carrier_nng_config *cfg, nng_tls_config **ret_server,
	nng_tls_config **ret_client, struct err *err)
{
	struct pems p = {0};
	int rc = pems_read(cfg, &p, err);

	if (rc == 0)
		rc = tls_new(NNG_TLS_MODE_SERVER, cfg, &p, ret_server, err);
	if (rc == 0) {
		rc = tls_new(NNG_TLS_MODE_CLIENT, cfg, &p, ret_client, err);
		if (rc < 0) {
			nng_tls_config_free(*ret_server);
			*ret_server = NULL;
		}
	}
	pems_free(&p);
	return rc;
}
