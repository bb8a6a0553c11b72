// SPDX-License-Identifier: Apache-2.0
/*
 * signing.h: Ed25519 (RFC 8032) by OpenSSL, and the text forms of its keys.
 *
 *	openssl genpkey -algorithm ed25519 -out site.key		the site's own
 *	openssl pkey -in site.key -pubout				what its peers are told
 */
#pragma once

#include "dataplane/base/err.h"
#include "federation/federation.h"

struct signing_key; /* the private half */

int signing_key_read(const char *path, struct signing_key **ret, struct err *err); /* PEM */
/* From 32 bytes of secret: for tests and tools. NULL: OpenSSL cannot. */
struct signing_key *signing_key_new(const uint8_t secret[FEDERATION_KEY_BYTES]);
void signing_key_free(struct signing_key *k); /* NULL is fine */
void signing_public(const struct signing_key *k, uint8_t ret[FEDERATION_KEY_BYTES]);

/* A public key as PEM, as the base64 inside of that, or as base64 of its 32 bytes. */
bool signing_public_parse(struct str text, uint8_t ret[FEDERATION_KEY_BYTES]);

struct federation_signer signing_signer(struct signing_key *k);
