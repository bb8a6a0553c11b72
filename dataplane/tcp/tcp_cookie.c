// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_cookie.c: SYN cookies.
 *
 * The cookie is the ISS of our SYN-ACK:
 *
 *	 31   30..28   27 .................. 0
 *	key    MSS     SipHash(key, flow, IRS, MSS, options)
 *
 * Two random keys take turns, a minute each, so a cookie is good for one to two minutes and the key
 * bit says which one made it; an attacker who guesses needs 2^28 tries per key. Window scale and
 * SACK do not fit: they ride in the low six bits of our TSval, come back as TSecr, and are covered
 * by the hash. A peer without timestamps loses them, as with every implementation of cookies.
 *
 * Standards: RFC 4987 3.6, RFC 7323.
 */
#include "dataplane/tcp/tcp_cookie.h"

#include "dataplane/base/bytes.h"

#define ROTATE_US 60000000u
#define HASH_MASK 0x0fffffffu
#define TS_MASK 63u
#define TS_SACK 0x10u /* low four bits: window scale, 15: none */
#define TS_WSCALE_NONE 15u
#define OPTIONS_NONE 0xff

static const uint16_t mss_table[8] = {64, 536, 1200, 1300, 1400, 1440, 1460, 8940};

static void key_make(struct hash_key *key, struct rng *rng)
{
	key->k[0] = rng_u64(rng);
	key->k[1] = rng_u64(rng);
}

void tcp_cookies_init(struct tcp_cookies *k, struct rng *rng, uint64_t now_us)
{
	*k = (struct tcp_cookies){.rotated_us = now_us};
	key_make(&k->key[0], rng);
	key_make(&k->key[1], rng);
}

/* Retires the older key when its minute is over; both after a long silence. */
static void rotate(struct tcp_cookies *k, struct rng *rng, uint64_t now_us)
{
	uint64_t age = now_us - k->rotated_us;

	if (age < ROTATE_US)
		return;
	if (age >= 2 * (uint64_t)ROTATE_US)
		key_make(&k->key[k->current], rng);
	k->current ^= 1;
	key_make(&k->key[k->current], rng);
	k->rotated_us = now_us;
}

static uint32_t cookie_hash(const struct hash_key *key, const struct tcp_flow *f, uint32_t irs,
	uint8_t mss_index, uint8_t options)
{
	uint8_t b[42];

	memcpy(b, f->local.b, 16);
	memcpy(b + 16, f->remote.b, 16);
	be16_put(b + 32, f->local_port);
	be16_put(b + 34, f->remote_port);
	be32_put(b + 36, irs);
	b[40] = mss_index;
	b[41] = options;
	return (uint32_t)siphash(key, b, sizeof(b)) & HASH_MASK;
}

static uint8_t options_pack(const struct tcp_cookie *c)
{
	if (!c->ts_on)
		return OPTIONS_NONE;
	return (uint8_t)((c->ws_on ? c->wscale : TS_WSCALE_NONE) | (c->sack_on ? TS_SACK : 0));
}

uint32_t tcp_cookie_make(struct tcp_cookies *k, struct rng *rng, const struct tcp_flow *f,
	uint32_t irs, const struct tcp_cookie *c, uint64_t now_us, uint32_t *tsval)
{
	uint8_t options = options_pack(c), i = 7;

	rotate(k, rng, now_us);
	while (i > 0 && mss_table[i] > c->mss)
		i--;
	if (c->ts_on) {
		uint32_t ts = (*tsval & ~TS_MASK) | options;

		/* never ahead of the clock: later timestamps must not look older (PAWS) */
		*tsval = (*tsval & TS_MASK) < options ? ts - (TS_MASK + 1) : ts;
	}
	k->issued_us = now_us;
	return (uint32_t)k->current << 31 | (uint32_t)i << 28 |
		cookie_hash(&k->key[k->current], f, irs, i, options);
}

bool tcp_cookies_are_out(const struct tcp_cookies *k, uint64_t now_us)
{
	return k->issued_us != 0 && now_us - k->issued_us <= 2 * (uint64_t)ROTATE_US;
}

bool tcp_cookie_check(struct tcp_cookies *k, struct rng *rng, const struct tcp_flow *f,
	uint32_t irs, uint32_t iss, bool has_ts, uint32_t tsecr, uint64_t now_us,
	struct tcp_cookie *ret)
{
	uint8_t i = (iss >> 28) & 7, options = has_ts ? (uint8_t)(tsecr & TS_MASK) : OPTIONS_NONE;

	if (!tcp_cookies_are_out(k, now_us))
		return false; /* do not even hash */
	rotate(k, rng, now_us);
	if (cookie_hash(&k->key[iss >> 31], f, irs, i, options) != (iss & HASH_MASK))
		return false;
	*ret = (struct tcp_cookie){.mss = mss_table[i], .ts_on = has_ts};
	if (has_ts) {
		ret->sack_on = (options & TS_SACK) != 0;
		ret->wscale = options & 15;
		ret->ws_on = ret->wscale != TS_WSCALE_NONE;
		if (!ret->ws_on)
			ret->wscale = 0;
	}
	return true;
}
