// SPDX-License-Identifier: Apache-2.0
/*
 * certs.h: a CA and certificates of it, in PEM files of a test's folder.
 */
#pragma once

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "dataplane/base/bug.h"

struct test_ca {
	EVP_PKEY *key;
	X509 *cert;
};

static void test_name_set(X509_NAME *name, const char *cn)
{
	bug_on(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)cn, -1,
		       -1, 0) != 1);
}

/* <ca> NULL: signs itself. Valid from <from_s> to <to_s> seconds from now. */
static X509 *test_cert_new(const struct test_ca *ca, EVP_PKEY *key, const char *cn, long from_s,
	long to_s)
{
	static long serial = 1;
	X509 *c = X509_new();
	X509_EXTENSION *basic;

	bug_on(c == NULL || X509_set_version(c, 2) != 1);
	ASN1_INTEGER_set(X509_get_serialNumber(c), serial++);
	X509_gmtime_adj(X509_getm_notBefore(c), from_s);
	X509_gmtime_adj(X509_getm_notAfter(c), to_s);
	test_name_set(X509_get_subject_name(c), cn);
	X509_set_issuer_name(c, X509_get_subject_name(ca != NULL ? ca->cert : c));
	X509_set_pubkey(c, key);
	basic = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints,
		ca != NULL ? "critical,CA:FALSE" : "critical,CA:TRUE");
	bug_on(basic == NULL || X509_add_ext(c, basic, -1) != 1);
	X509_EXTENSION_free(basic);
	bug_on(X509_sign(c, ca != NULL ? ca->key : key, EVP_sha256()) == 0);
	return c;
}

static struct test_ca test_ca_new(const char *cn)
{
	struct test_ca ca = {.key = EVP_EC_gen("P-256")};

	bug_on(ca.key == NULL);
	ca.cert = test_cert_new(NULL, ca.key, cn, -3600, 86400);
	return ca;
}

static void test_ca_free(struct test_ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
}

static void test_ca_write(const struct test_ca *ca, const char *path)
{
	FILE *f = fopen(path, "w");

	bug_on(f == NULL || PEM_write_X509(f, ca->cert) != 1);
	fclose(f);
}

/* Certificate and key in one file. */
static void test_pair_write(const struct test_ca *ca, const char *cn, long from_s, long to_s,
	const char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *c = test_cert_new(ca, key, cn, from_s, to_s);
	FILE *f = fopen(path, "w");

	bug_on(f == NULL || PEM_write_X509(f, c) != 1 ||
		PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) != 1);
	fclose(f);
	X509_free(c);
	EVP_PKEY_free(key);
}
