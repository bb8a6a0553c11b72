// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_options.c: MSS, window scale, SACK-permitted, SACK, timestamps.
 *
 * The order on the wire is the usual one: a SYN carries mss, sackOK, timestamps, nop, wscale; other
 * segments carry nop, nop, timestamps, then nop, nop, SACK with as many blocks as fit. Every other
 * option is ignored, so Fast Open cookies and MPTCP do no harm.
 *
 * Standards: RFC 9293 3.1, 3.2, RFC 2018, RFC 7323.
 */
#include "dataplane/tcp/tcp_options.h"

#include <string.h>

#include "dataplane/base/bytes.h"

enum {
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_WSCALE = 3,
	OPT_SACK_PERMITTED = 4,
	OPT_SACK = 5,
	OPT_TIMESTAMP = 8,
};

/* The common segment: nop, nop, timestamps and nothing else (RFC 7323 appendix A). */
static bool parse_common(const uint8_t *p, size_t len, struct tcp_options *o)
{
	/* as one word, what it is always sent as */
	if (len != 12 || be32_get(p) != (OPT_NOP << 24 | OPT_NOP << 16 | OPT_TIMESTAMP << 8 | 10))
		return false;
	o->has_ts = true;
	o->tsval = be32_get(p + 4);
	o->tsecr = be32_get(p + 8);
	return true;
}

static bool parse_sack(const uint8_t *p, size_t len, struct tcp_options *o)
{
	size_t n = (len - 2) / 8;

	if (len < 10 || (len - 2) % 8 != 0 || n > TCP_SACK_BLOCKS_MAX)
		return false;
	o->sack_count = (uint8_t)n;
	for (size_t i = 0; i < n; i++) {
		o->sack[i].start = be32_get(p + 2 + 8 * i);
		o->sack[i].end = be32_get(p + 6 + 8 * i);
	}
	return true;
}

/* One option of <len> bytes, kind and length included. */
static bool parse_one(const uint8_t *p, size_t len, struct tcp_options *o)
{
	switch (p[0]) {
	case OPT_MSS:
		o->has_mss = len == 4;
		o->mss = o->has_mss ? be16_get(p + 2) : 0;
		return len == 4;
	case OPT_WSCALE:
		o->has_wscale = len == 3;
		o->wscale = o->has_wscale ? p[2] : 0;
		return len == 3;
	case OPT_SACK_PERMITTED:
		o->sack_permitted = len == 2;
		return len == 2;
	case OPT_SACK:
		return parse_sack(p, len, o);
	case OPT_TIMESTAMP:
		if (len != 10)
			return false;
		o->has_ts = true;
		o->tsval = be32_get(p + 2);
		o->tsecr = be32_get(p + 6);
		return true;
	default:
		return true; /* RFC 9293 3.1, MUST-6: ignore an option that is not implemented */
	}
}

bool tcp_options_parse(const uint8_t *p, size_t len, struct tcp_options *o)
{
	size_t i = 0;

	memset(o, 0, offsetof(struct tcp_options, sack)); /* blocks: sack_count of them */
	if (parse_common(p, len, o))
		return true;
	while (i < len) {
		size_t n;

		if (p[i] == OPT_END)
			return true;
		if (p[i] == OPT_NOP) {
			i++;
			continue;
		}
		/* RFC 9293 3.1, MUST-7: be prepared for an illegal option length */
		if (len - i < 2)
			return false;
		n = p[i + 1];
		if (n < 2 || n > len - i || !parse_one(p + i, n, o))
			return false;
		i += n;
	}
	return true;
}

static size_t sack_room(const struct tcp_options *o, size_t used)
{
	size_t fit = (TCP_OPTIONS_MAX - used - 4) / 8;

	return o->sack_count < fit ? o->sack_count : fit;
}

size_t tcp_options_len(const struct tcp_options *o)
{
	size_t n = 0;

	if (o->has_mss)
		n += 4;
	if (o->sack_permitted && !o->has_ts)
		n += 4;
	if (o->has_ts)
		n += 12;
	if (o->has_wscale)
		n += 4;
	if (o->sack_count > 0)
		n += 4 + 8 * sack_room(o, n);
	return n;
}

static uint8_t *emit_ts(const struct tcp_options *o, uint8_t *p)
{
	p[0] = o->sack_permitted ? OPT_SACK_PERMITTED : OPT_NOP;
	p[1] = o->sack_permitted ? 2 : OPT_NOP;
	p[2] = OPT_TIMESTAMP;
	p[3] = 10;
	be32_put(p + 4, o->tsval);
	be32_put(p + 8, o->tsecr);
	return p + 12;
}

static uint8_t *emit_sack(const struct tcp_options *o, size_t n, uint8_t *p)
{
	p[0] = p[1] = OPT_NOP;
	p[2] = OPT_SACK;
	p[3] = (uint8_t)(2 + 8 * n);
	for (size_t i = 0; i < n; i++) {
		be32_put(p + 4 + 8 * i, o->sack[i].start);
		be32_put(p + 8 + 8 * i, o->sack[i].end);
	}
	return p + 4 + 8 * n;
}

size_t tcp_options_emit(const struct tcp_options *o, uint8_t *p)
{
	uint8_t *q = p;

	if (o->has_mss) {
		q[0] = OPT_MSS;
		q[1] = 4;
		be16_put(q + 2, o->mss);
		q += 4;
	}
	if (o->sack_permitted && !o->has_ts) {
		static const uint8_t permitted[4] = {OPT_NOP, OPT_NOP, OPT_SACK_PERMITTED, 2};

		memcpy(q, permitted, 4);
		q += 4;
	}
	if (o->has_ts)
		q = emit_ts(o, q);
	if (o->has_wscale) {
		q[0] = OPT_NOP;
		q[1] = OPT_WSCALE;
		q[2] = 3;
		q[3] = o->wscale;
		q += 4;
	}
	if (o->sack_count > 0)
		q = emit_sack(o, sack_room(o, (size_t)(q - p)), q);
	return (size_t)(q - p);
}
