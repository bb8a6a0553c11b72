// SPDX-License-Identifier: Apache-2.0
/*
 * kube_credential_test.c: files of a kubeconfig that change while they are in use: what cannot be
 * used never takes the place of what could.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "control/kube/credential.h"

#define CONFIG \
	"{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], clusters: " \
	"[{name: k, cluster: {server: 'https://h', certificate-authority: ca}}], users: [{name: " \
	"u, user: {client-certificate: cert, client-key: key}}]}"

struct pair {
	char *cert, *key; /* PEM, owned */
};

struct bench {
	char folder[64], config[80];
	struct kubeconfig k;
	struct credential c;
	struct pair one, two;
};

static char *text_of(BIO *bio)
{
	char *p, *copy;
	long len = BIO_get_mem_data(bio, &p);

	copy = strndup(p, (size_t)len);
	BIO_free(bio);
	return copy;
}

static struct pair pair_new(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	BIO *cert_out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());

	assert_non_null(key);
	X509_gmtime_adj(X509_getm_notBefore(x), 0);
	X509_gmtime_adj(X509_getm_notAfter(x), 86400);
	X509_set_pubkey(x, key);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	PEM_write_bio_X509(cert_out, x);
	PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL);
	X509_free(x);
	EVP_PKEY_free(key);
	return (struct pair){text_of(cert_out), text_of(key_out)};
}

static void put(struct bench *b, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", b->folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void read_again(struct bench *b)
{
	b->c.read_us = 0;
	assert_int_equal(credential_get(&b->c), CREDENTIAL_READY);
}

static void settled(void *arg)
{
}

static int setup(void **state)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct err err = {""};

	strcpy(b->folder, "/tmp/kube-credential-XXXXXX");
	assert_non_null(mkdtemp(b->folder));
	b->one = pair_new();
	b->two = pair_new();
	put(b, "ca", b->one.cert);
	put(b, "cert", b->one.cert);
	put(b, "key", b->one.key);
	snprintf(b->config, sizeof(b->config), "%s/config", b->folder);
	if (kubeconfig_parse(STR(CONFIG), b->config, NULL, false, &b->k, &err) < 0)
		fail_msg("%s", err.msg);
	if (credential_init(&b->c, NULL, &b->k, settled, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;
	char command[128];

	credential_fini(&b->c);
	kubeconfig_fini(&b->k);
	snprintf(command, sizeof(command), "rm -r %s", b->folder);
	assert_int_equal(system(command), 0);
	free(b->one.cert);
	free(b->one.key);
	free(b->two.cert);
	free(b->two.key);
	free(b);
	return 0;
}

/* Without one libcurl would trust whoever the machine trusts. */
static void an_authority_is_never_replaced_by_none(void **state)
{
	static const char *const bad[] = {"", "\n", "no certificate",
		"-----BEGIN CERTIFICATE-----\n"};
	struct bench *b = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t failures = b->c.failures;

		put(b, "ca", bad[i]);
		read_again(b);
		assert_true(str_eq(b->c.ca, str_of(b->one.cert)));
		assert_true(b->c.failures > failures);
		assert_non_null(strstr(b->c.why.msg, "/ca: holds no certificate in PEM"));
	}
	put(b, "ca", b->two.cert);
	read_again(b);
	assert_true(str_eq(b->c.ca, str_of(b->two.cert)));
}

static void a_certificate_and_its_key_change_together(void **state)
{
	struct bench *b = *state;

	put(b, "cert", b->two.cert);
	read_again(b);
	assert_true(str_eq(b->c.cert, str_of(b->one.cert)));
	assert_true(str_eq(b->c.key, str_of(b->one.key)));
	assert_non_null(strstr(b->c.why.msg, "/key: is not the key of the certificate"));
	put(b, "key", "");
	read_again(b);
	assert_true(str_eq(b->c.key, str_of(b->one.key)));
	put(b, "key", b->two.key);
	read_again(b);
	assert_true(str_eq(b->c.cert, str_of(b->two.cert)));
	assert_true(str_eq(b->c.key, str_of(b->two.key)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(an_authority_is_never_replaced_by_none, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_certificate_and_its_key_change_together, setup,
			teardown),
	};

	return cmocka_run_group_tests_name("kube_credential", tests, NULL, NULL);
}
