// SPDX-License-Identifier: Apache-2.0
/*
 * signing.c: the only file here that knows OpenSSL.
 */
#include "federation/signing.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "dataplane/base/base64.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"

#define KEY_FILE_MAX (16u << 10)
#define KEY_TEXT_MAX 1024u

struct signing_key {
	EVP_PKEY *pkey; /* owned */
	uint8_t public[FEDERATION_KEY_BYTES];
};

static struct signing_key *key_of(EVP_PKEY *pkey)
{
	struct signing_key *k = calloc(1, sizeof(*k));
	size_t len = sizeof(k->public);

	bug_on(k == NULL);
	if (pkey == NULL || EVP_PKEY_id(pkey) != EVP_PKEY_ED25519 ||
		EVP_PKEY_get_raw_public_key(pkey, k->public, &len) != 1) {
		EVP_PKEY_free(pkey);
		free(k);
		return NULL;
	}
	k->pkey = pkey;
	return k;
}

/* A key with a passphrase is refused, not asked for on a terminal. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	return -1;
}

int signing_key_read(const char *path, struct signing_key **ret, struct err *err)
{
	autofree void *text = NULL;
	struct signing_key *k;
	size_t len;
	BIO *bio;
	int rc = file_read(path, KEY_FILE_MAX, &text, &len, err);

	if (rc < 0)
		return rc;
	bio = BIO_new_mem_buf(text, (int)len);
	bug_on(bio == NULL);
	k = key_of(PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL));
	BIO_free(bio);
	OPENSSL_cleanse(text, len);
	if (k == NULL)
		return err_set(err, EINVAL, "%s: not an Ed25519 private key in PEM", path);
	*ret = k;
	return 0;
}

struct signing_key *signing_key_new(const uint8_t secret[FEDERATION_KEY_BYTES])
{
	return key_of(
		EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret, FEDERATION_KEY_BYTES));
}

void signing_key_free(struct signing_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey);
	free(k);
}

void signing_public(const struct signing_key *k, uint8_t ret[FEDERATION_KEY_BYTES])
{
	memcpy(ret, k->public, FEDERATION_KEY_BYTES);
}

/* Takes the armour off. */
static struct str pem_body(struct str text)
{
	static const struct str begin = STR("-----BEGIN PUBLIC KEY-----");
	ptrdiff_t end;

	if (!str_starts(text, begin))
		return text;
	text = str_from(text, begin.len);
	end = str_find(text, '-');
	return end < 0 ? text : str_first(text, (size_t)end);
}

bool signing_public_parse(struct str text, uint8_t ret[FEDERATION_KEY_BYTES])
{
	/* RFC 8410 4: SubjectPublicKeyInfo of Ed25519 is these twelve bytes and the key */
	static const uint8_t spki[] = {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03,
		0x21, 0x00};
	char raw[KEY_TEXT_MAX];
	size_t len = 0;

	while (text.len > 0 && strchr(" \t\r\n", text.p[0]) != NULL)
		text = str_from(text, 1);
	if (text.len == 0 || text.len > KEY_TEXT_MAX || !base64_decode(pem_body(text), raw, &len))
		return false;
	if (len == sizeof(spki) + FEDERATION_KEY_BYTES && memcmp(raw, spki, sizeof(spki)) == 0)
		memcpy(ret, raw + sizeof(spki), FEDERATION_KEY_BYTES);
	else if (len == FEDERATION_KEY_BYTES)
		memcpy(ret, raw, FEDERATION_KEY_BYTES);
	else
		return false;
	return true;
}

static bool sign(void *ctx, const void *data, size_t len, uint8_t ret[RECORD_SIGNATURE_BYTES])
{
	struct signing_key *k = ctx;
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	size_t n = RECORD_SIGNATURE_BYTES;
	bool ok = md != NULL && EVP_DigestSignInit(md, NULL, NULL, NULL, k->pkey) == 1 &&
		EVP_DigestSign(md, ret, &n, data, len) == 1;

	EVP_MD_CTX_free(md);
	return ok && n == RECORD_SIGNATURE_BYTES;
}

static bool verify(void *ctx, const uint8_t key[FEDERATION_KEY_BYTES], const void *data, size_t len,
	const uint8_t signature[RECORD_SIGNATURE_BYTES])
{
	EVP_PKEY *pkey =
		EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, FEDERATION_KEY_BYTES);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = pkey != NULL && md != NULL &&
		EVP_DigestVerifyInit(md, NULL, NULL, NULL, pkey) == 1 &&
		EVP_DigestVerify(md, signature, RECORD_SIGNATURE_BYTES, data, len) == 1;

	EVP_MD_CTX_free(md);
	EVP_PKEY_free(pkey);
	return ok;
}

struct federation_signer signing_signer(struct signing_key *k)
{
	return (struct federation_signer){.ctx = k, .sign = sign, .verify = verify};
}
