// SPDX-License-Identifier: Apache-2.0
/*
 * hash.h: two keyed hashes and the checksum of our files.
 *
 * siphash() where an attacker chooses the input and the result lives long (ISNs, SYN cookies,
 * stable object ids); hash_mix() for tables on the packet path, keyed by a secret of the boot, in
 * a few cycles. crc32c() guards files and messages against accidents, not against enemies.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hash_key {
	uint64_t k[2];
};

/* SipHash-2-4 (Aumasson, Bernstein 2012). */
uint64_t siphash(const struct hash_key *key, const void *data, size_t len);

/* CRC-32C (RFC 3720 B.4), start with 0, chainable: crc32c(crc32c(0, a), b). */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* One round of a 64x64->128 multiply, both halves folded. */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 m =
		(unsigned __int128)(a ^ 0x9e3779b97f4a7c15ull) * (b ^ 0xbf58476d1ce4e5b9ull);
	return (uint64_t)m ^ (uint64_t)(m >> 64);
}
