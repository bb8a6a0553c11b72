// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_message.c: whatever decodes must encode, and decode to the same again.
 *
 * The checksum is repaired first, or nothing would ever get past it.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/hash.h"
#include "dataplane/snapshot/message.h"
#include "tests/fuzz/fuzz.h"

static void repair(uint8_t *p, size_t len)
{
	if (len < MESSAGE_HEADER_BYTES)
		return;
	be32_put(p + 36, 0);
	be32_put(p + 36, crc32c(0, p, len));
}

void fuzz_one(const uint8_t *data, size_t len)
{
	static struct message_scratch s1, s2;
	static uint8_t out[MESSAGE_BYTES_MAX], again[MESSAGE_BYTES_MAX];
	autofree uint8_t *in = malloc(len ? len : 1);
	struct message m, m2;
	size_t n, n2;

	message_decode(data, len, &s1, &m);
	if (len > 0)
		memcpy(in, data, len);
	repair(in, len);
	if (message_decode(in, len, &s1, &m) != MESSAGE_ERR_NONE)
		return;
	n = message_encode(&m, out, MESSAGE_BYTES_MAX);
	bug_on(n == 0 || n > len); /* unknown fields are gone, nothing is added */
	bug_on(message_decode(out, n, &s2, &m2) != MESSAGE_ERR_NONE);
	n2 = message_encode(&m2, again, MESSAGE_BYTES_MAX);
	bug_on(n2 != n || memcmp(out, again, n) != 0);
}
