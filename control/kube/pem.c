// SPDX-License-Identifier: Apache-2.0
/*
 * pem.c: OpenSSL's readers behind three questions.
 */
#include "control/kube/pem.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

static BIO *bio_of(struct str s)
{
	return s.len > 0 && s.len < (1u << 30) ? BIO_new_mem_buf(s.p, (int)s.len) : NULL;
}

static X509 *first_certificate(struct str pem)
{
	BIO *bio = bio_of(pem);
	X509 *x = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	return x;
}

int pem_check_certificates(struct str pem, struct err *err)
{
	X509 *x = first_certificate(pem);

	if (x == NULL)
		return err_set(err, EINVAL, "holds no certificate in PEM");
	X509_free(x);
	return 0;
}

/* A key with a pass phrase is none for us: nobody is there to ask. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

int pem_check_pair(struct str certificate, struct str key, struct err *err)
{
	X509 *x = first_certificate(certificate);
	BIO *bio = bio_of(key);
	EVP_PKEY *k = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
	int rc = 0;

	if (x == NULL)
		rc = err_set(err, EINVAL, "the certificate is not in PEM");
	else if (k == NULL)
		rc = err_set(err, EINVAL, "holds no private key in PEM without a pass phrase");
	else if (X509_check_private_key(x, k) != 1)
		rc = err_set(err, EINVAL, "is not the key of the certificate");
	EVP_PKEY_free(k);
	BIO_free(bio);
	X509_free(x);
	ERR_clear_error();
	return rc;
}

long pem_seconds_left(struct str certificate)
{
	X509 *x = first_certificate(certificate);
	int days = 0, seconds = 0;

	if (x != NULL)
		ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x));
	X509_free(x);
	ERR_clear_error();
	return days * 86400L + seconds;
}
