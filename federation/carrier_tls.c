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

void carrier_tls_fini(struct carrier_tls *t)
{
	pem_free(t->ca);
	pem_free(t->certificate);
	pem_free(t->key);
	if (t->server != NULL)
		nng_tls_config_free(t->server);
	*t = (struct carrier_tls){0};
}

static int pems_read(const struct carrier_nng_config *cfg, struct carrier_tls *ret, struct err *err)
{
	int rc = pem_read(cfg->ca, &ret->ca, err);

	if (rc == 0)
		rc = pem_read(cfg->certificate, &ret->certificate, err);
	if (rc == 0)
		rc = pem_read(cfg->key != NULL ? cfg->key : cfg->certificate, &ret->key, err);
	return rc;
}

/*
 * Both sides show a certificate and look at the other's. <name>: what the other's must say; NULL:
 * whatever it likes. An error of nng's, and *ret_ca when the CA's file is not good.
 */
static int tls_new(nng_tls_mode mode, const struct carrier_tls *t, const char *name,
	nng_tls_config **ret, bool *ret_ca)
{
	nng_tls_config *c = NULL;
	int rv = nng_tls_config_alloc(&c, mode);

	if (rv == 0)
		rv = nng_tls_config_auth_mode(c, NNG_TLS_AUTH_MODE_REQUIRED);
	if (rv == 0 && name != NULL)
		rv = nng_tls_config_server_name(c, name);
	if (rv == 0) {
		rv = nng_tls_config_ca_chain(c, t->ca, NULL);
		*ret_ca = rv != 0;
	}
	if (rv == 0)
		rv = nng_tls_config_own_cert(c, t->certificate, t->key, NULL);
	if (rv == 0)
		*ret = c;
	else if (c != NULL)
		nng_tls_config_free(c);
	return rv;
}

int carrier_tls_load(const struct carrier_nng_config *cfg, struct carrier_tls *ret, struct err *err)
{
	struct carrier_tls t = {NULL};
	bool ca = false;
	int rc = pems_read(cfg, &t, err), rv;

	if (rc == 0) {
		rv = tls_new(NNG_TLS_MODE_SERVER, &t, NULL, &t.server, &ca);
		if (rv != 0)
			rc = err_set(err, EINVAL,
				"%s: not a certificate or key that can be used: %s",
				ca ? cfg->ca : cfg->certificate, nng_strerror(rv));
	}
	if (rc < 0)
		carrier_tls_fini(&t);
	else
		*ret = t;
	return rc;
}

nng_tls_config *carrier_tls_client(const struct carrier_tls *t, const char *name)
{
	nng_tls_config *c = NULL;
	bool ca;

	return tls_new(NNG_TLS_MODE_CLIENT, t, name, &c, &ca) == 0 ? c : NULL;
}
