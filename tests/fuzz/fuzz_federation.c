// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_federation.c: messages between sites: what decodes must encode, and decode to the same; so
 * must every record of a delta. The checksum is repaired first, or nothing would get past it.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/hash.h"
#include "federation/edits.h"
#include "federation/proto.h"
#include "federation/record.h"
#include "tests/fuzz/fuzz.h"

static void try_record(const uint8_t *p, size_t len)
{
	uint8_t a[RECORD_BYTES_MAX], b[RECORD_BYTES_MAX];
	struct record r, again;
	size_t n;

	if (!record_decode(p, len, &r))
		return;
	record_key_hash(&r);
	n = record_encode(&r, a, sizeof(a));
	bug_on(n == 0 || n > len); /* unknown fields are gone, nothing is added */
	bug_on(!record_decode(a, n, &again) || record_compare(&r, &again) != 0);
	bug_on(!record_same_key(&r, &again));
	bug_on(record_encode(&again, b, sizeof(b)) != n || memcmp(a, b, n) != 0);
}

static void try_records(struct str records)
{
	struct record_bytes parts;
	bool bad = false;

	while (records.len > 0 && !bad) {
		struct str one = proto_next_record(&records, &bad);

		if (!bad && record_split((const uint8_t *)one.p, one.len, &parts))
			try_record(parts.fields, parts.fields_len);
	}
}

static void try_journal(const uint8_t *data, size_t len)
{
	struct str rest = str_make(data, len), payload;
	enum edits_type type;

	while (edits_next(&rest, &type, &payload))
		bug_on(payload.len > len);
}

void fuzz_one(const uint8_t *data, size_t len)
{
	static uint8_t out[PROTO_MAX], again[PROTO_MAX];
	autofree uint8_t *in = malloc(len ? len : 1);
	static struct proto_message m, m2;
	size_t n;

	proto_decode(data, len, &m);
	try_journal(data, len);
	if (len > 0)
		memcpy(in, data, len);
	if (len >= PROTO_HEAD_BYTES) {
		be32_put(in + 32, (uint32_t)(len - PROTO_HEAD_BYTES));
		be32_put(in + 36, 0);
		be32_put(in + 36, crc32c(0, in, len));
	}
	if (proto_decode(in, len, &m) != REFUSAL_NONE)
		return;
	if (m.type == PROTO_DELTA)
		try_records(m.delta.records);
	n = proto_encode(&m, out);
	bug_on(n == 0 || n > len);
	bug_on(proto_decode(out, n, &m2) != REFUSAL_NONE);
	bug_on(proto_encode(&m2, again) != n || memcmp(out, again, n) != 0);
}
