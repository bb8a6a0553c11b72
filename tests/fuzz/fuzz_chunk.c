// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_chunk.c: chunked bodies. The first byte seeds the cuts: however the bytes arrive, the data,
 * the end and the error are those of the whole; and what was accepted can be relayed as new chunks.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/rng.h"
#include "dataplane/http/h1.h"
#include "tests/fuzz/fuzz.h"

struct result {
	char *data; /* owned */
	size_t len, consumed;
	int error;
	bool last;
};

/* Feeds the input in arrivals of at most <step> bytes (0: all at once). */
static struct result decode(const char *p, size_t len, struct rng *r, size_t step)
{
	struct result res = {.data = malloc(len ? len : 1)};
	struct h1_chunk c;
	size_t here = 0;

	h1_chunk_init(&c);
	while (res.consumed < len && !res.last && res.error == 0) {
		struct h1_piece piece;
		ssize_t rc;

		if (here == res.consumed)
			here += step == 0 ? len - here : 1 + rng_below(r, step);
		here = here < len ? here : len;
		rc = h1_chunk_parse(&c, p + res.consumed, here - res.consumed, &piece);
		if (rc < 0) {
			res.error = (int)-rc;
			break;
		}
		bug_on(rc == 0 || (size_t)rc > here - res.consumed);
		bug_on(piece.off + piece.len > (size_t)rc);
		memcpy(res.data + res.len, p + res.consumed + piece.off, piece.len);
		res.len += piece.len;
		res.consumed += (size_t)rc;
		res.last = piece.last;
	}
	return res;
}

void fuzz_one(const uint8_t *data, size_t len)
{
	struct result whole, cut;
	struct rng r;

	if (len < 1)
		return;
	rng_seed(&r, data[0]);
	whole = decode((const char *)data + 1, len - 1, &r, 0);
	cut = decode((const char *)data + 1, len - 1, &r, 1 + data[0] % 16);
	bug_on(whole.error != cut.error || whole.last != cut.last);
	if (whole.error == 0)
		bug_on(whole.len != cut.len || whole.consumed != cut.consumed ||
			memcmp(whole.data, cut.data, whole.len) != 0);
	free(whole.data);
	free(cut.data);
}
