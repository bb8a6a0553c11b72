// SPDX-License-Identifier: Apache-2.0
/*
 * proto.h: the messages between sites. Pure: bytes <-> struct. The tables are in proto.def.
 *
 * An envelope of 48 bytes, big-endian, then a body of fields (field.h):
 *
 *	 0 magic "FG"   2 major  3 minor  4 type  5 flags (zero)  6 header length
 *	 8 epoch        of the sender: one more with each start
 *	16 seq          one more per message on this connection, from 1
 *	24 stamp        the sender's hybrid logical clock (hlc.h)
 *	32 body length  36 CRC-32C of everything with this field zero
 *	40 zero, 64 bits
 *
 * A newer minor version may add fields, message types only after a release that knows them; a
 * longer header is skipped over. Another major version is refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/str.h"
#include "federation/federation.h"

#define PROTO_MAGIC 0x4647u
#define PROTO_MAJOR 1
#define PROTO_MINOR 0
#define PROTO_HEAD_BYTES 48u
#define PROTO_GREETING_MAX 4096u /* before the other side is proved */
#define PROTO_MAX (PROTO_HEAD_BYTES + 61440u)
#define TABLE_BUCKETS 256u

enum proto_type {
#define PROTO_MESSAGE(name, number, text, max, help) PROTO_##name = number,
#include "federation/proto.def"
	PROTO_TYPE_COUNT
};
extern const char *const proto_names[PROTO_TYPE_COUNT];

struct proto_message {
	uint8_t type;
	uint64_t epoch, seq, stamp;
	union {
		struct {
			struct str site;
			uint8_t nonce[32];
			uint64_t wall_ms;
		} challenge;
		struct {
			uint8_t answers[32]; /* the nonce whose challenge this answers */
			uint8_t signature[64];
		} hello;
		struct {
			struct str why; /* metric of a refusal; empty: welcome */
		} welcome;
		struct {
			uint8_t buckets[TABLE_BUCKETS * 8];
			bool is_answer;
		} digest;
		struct {
			struct str records; /* one behind the other, as record.h has them */
		} delta;
		struct {
			uint64_t seq;
			uint32_t refused;
		} ack;
		struct {
			uint64_t root, wall_ms;
		} heartbeat;
	};
};

/* Bytes written to <to>, which has room for PROTO_MAX; 0: not a valid message. */
size_t proto_encode(const struct proto_message *m, uint8_t *to);
/* REFUSAL_NONE, or LENGTH, FORMAT, VERSION, TYPE. Slices of <ret> point into <p>. */
enum refusal proto_decode(const uint8_t *p, size_t len, struct proto_message *ret);
/* The next record of a delta; empty at the end, or where lengths do not add up (*ret_bad). */
struct str proto_next_record(struct str *rest, bool *ret_bad);
