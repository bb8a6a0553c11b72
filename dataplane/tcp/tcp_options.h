// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_options.h: the option list of a TCP header, parsed and emitted. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/tcp/tcp_sack.h"

#define TCP_OPTIONS_MAX 40 /* data offset is 4 bits: 60 bytes of header at most */
#define TCP_WSCALE_MAX 14  /* RFC 7323 2.3 */

struct tcp_options {
	bool has_mss, has_wscale, has_ts, sack_permitted;
	uint8_t wscale; /* as sent; the caller caps it at TCP_WSCALE_MAX */
	uint8_t sack_count;
	uint16_t mss;
	uint32_t tsval, tsecr;
	struct tcp_sack_block sack[TCP_SACK_BLOCKS_MAX];
};

/*
 * Reads the <len> bytes behind the fixed header. Unknown options are skipped, a second instance
 * of a known one replaces the first. False when a length is impossible: zero, one, past the end,
 * or wrong for its kind; *o then holds what came before.
 */
bool tcp_options_parse(const uint8_t *p, size_t len, struct tcp_options *o);

/* Writes <o> into <p> (TCP_OPTIONS_MAX bytes); returns the padded length, a multiple of 4. */
size_t tcp_options_emit(const struct tcp_options *o, uint8_t *p);
/* The length emit would write. */
size_t tcp_options_len(const struct tcp_options *o);
