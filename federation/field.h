// SPDX-License-Identifier: Apache-2.0
/*
 * field.h: bytes <-> struct by a table of fields: tag 8 bits, length 16 bits, value.
 *
 * Tags stand in rising order and each once, so a value has one encoding. Unknown tags are skipped:
 * a newer minor release may add fields. Every number is read from inside a length checked before.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_kind {
	FIELD_BOOL, /* bool */
	FIELD_U8,   /* uint8_t, and so on; <max> is the greatest value, 0: any */
	FIELD_U16,
	FIELD_U32,
	FIELD_U64,
	FIELD_LABEL, /* struct str: an RFC 1123 label */
	FIELD_TEXT,  /* struct str of at most <max> bytes without control characters */
	FIELD_BLOB,  /* struct str of at most <max> bytes */
	FIELD_RAW,   /* an array of exactly <max> bytes in the struct */
	FIELD_ADDRS, /* uint16_t count, right behind it at most <max> struct ip_addr */
};

enum { FIELD_MAY = 0, FIELD_NEED = 1 }; /* what may be absent is then zero, and not written */

struct field {
	uint8_t type; /* of the record or message that has it */
	uint8_t tag;  /* rising within a type */
	uint8_t kind, need;
	uint32_t max;
	uint32_t offset;
};

/* Bytes written; 0: no room, or a value that fields_decode() would refuse. */
size_t fields_encode(const struct field *fields, size_t count, uint8_t type, const void *from,
	uint8_t *to, size_t room);
/* <ret> is zeroed but for its fields of this type. False: see above, or a field is missing. */
bool fields_decode(const struct field *fields, size_t count, uint8_t type, const uint8_t *p,
	size_t len, void *ret);
