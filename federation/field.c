// SPDX-License-Identifier: Apache-2.0
/*
 * field.c: the codec behind records and messages.
 */
#include "federation/field.h"

#include <assert.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"
#include "federation/record.h"

#define HEAD_BYTES 3u

static_assert(sizeof(struct ip_addr) == 16 && _Alignof(struct ip_addr) == 1,
	"addresses stand right behind their count");

/* Nothing that could break a log line: no C0 controls, no DEL. */
static bool text_is_clean(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

static uint32_t width(enum field_kind kind)
{
	switch (kind) {
	case FIELD_BOOL:
	case FIELD_U8:
		return 1;
	case FIELD_U16:
		return 2;
	case FIELD_U32:
		return 4;
	case FIELD_U64:
		return 8;
	default:
		return 0;
	}
}

static bool number_get(const struct field *f, const uint8_t *p, uint32_t len, uint8_t *at)
{
	uint64_t v = 0;

	if (len != width(f->kind))
		return false;
	for (uint32_t i = 0; i < len; i++)
		v = v << 8 | p[i];
	if ((f->max != 0 && v > f->max) || (f->kind == FIELD_BOOL && v > 1))
		return false;
	switch (f->kind) {
	case FIELD_BOOL:
		*(bool *)at = v != 0;
		break;
	case FIELD_U8:
		*at = (uint8_t)v;
		break;
	case FIELD_U16:
		*(uint16_t *)(void *)at = (uint16_t)v;
		break;
	case FIELD_U32:
		*(uint32_t *)(void *)at = (uint32_t)v;
		break;
	default:
		*(uint64_t *)(void *)at = v;
	}
	return true;
}

static uint64_t number_of(const struct field *f, const uint8_t *at)
{
	switch (f->kind) {
	case FIELD_BOOL:
		return *(const bool *)at;
	case FIELD_U8:
		return *at;
	case FIELD_U16:
		return *(const uint16_t *)(const void *)at;
	case FIELD_U32:
		return *(const uint32_t *)(const void *)at;
	default:
		return *(const uint64_t *)(const void *)at;
	}
}

static bool string_is_valid(const struct field *f, struct str s)
{
	switch (f->kind) {
	case FIELD_LABEL:
		return record_name_is_valid(s);
	case FIELD_TEXT:
		return s.len <= f->max && text_is_clean(s);
	default:
		return s.len <= f->max;
	}
}

static bool value_get(const struct field *f, const uint8_t *p, uint32_t len, uint8_t *at)
{
	struct str s = str_make(p, len);
	uint16_t count;

	switch (f->kind) {
	case FIELD_LABEL:
	case FIELD_TEXT:
	case FIELD_BLOB:
		if (!string_is_valid(f, s))
			return false;
		*(struct str *)(void *)at = s;
		return true;
	case FIELD_RAW:
		if (len != f->max)
			return false;
		memcpy(at, p, len);
		return true;
	case FIELD_ADDRS:
		if (len % sizeof(struct ip_addr) != 0 || len / sizeof(struct ip_addr) > f->max)
			return false;
		count = (uint16_t)(len / sizeof(struct ip_addr));
		memcpy(at, &count, sizeof(count));
		memcpy(at + sizeof(count), p, len);
		return true;
	default:
		return number_get(f, p, len, at);
	}
}

/* False: no room, or not a valid value. */
static bool value_put(const struct field *f, const uint8_t *at, uint8_t *to, size_t room,
	uint32_t *ret_len)
{
	uint32_t len = width(f->kind);
	struct str s;
	uint16_t count;
	uint64_t v;

	switch (f->kind) {
	case FIELD_LABEL:
	case FIELD_TEXT:
	case FIELD_BLOB:
		s = *(const struct str *)(const void *)at;
		if (!string_is_valid(f, s) || s.len > UINT16_MAX)
			return false;
		len = (uint32_t)s.len;
		at = (const uint8_t *)s.p;
		break;
	case FIELD_RAW:
		len = f->max;
		break;
	case FIELD_ADDRS:
		memcpy(&count, at, sizeof(count));
		if (count > f->max)
			return false;
		len = count * (uint32_t)sizeof(struct ip_addr);
		at += sizeof(count);
		break;
	default:
		v = number_of(f, at);
		if (len > room || (f->max != 0 && v > f->max))
			return false;
		for (uint32_t i = 0; i < len; i++)
			to[i] = (uint8_t)(v >> (8 * (len - 1 - i)));
		*ret_len = len;
		return true;
	}
	if (len > room)
		return false;
	if (len > 0)
		memcpy(to, at, len);
	*ret_len = len;
	return true;
}

/* Zero, or empty: not written where it may be absent. */
static bool is_absent(const struct field *f, const uint8_t *at)
{
	uint16_t count;

	switch (f->kind) {
	case FIELD_LABEL:
	case FIELD_TEXT:
	case FIELD_BLOB:
		return ((const struct str *)(const void *)at)->len == 0;
	case FIELD_ADDRS:
		memcpy(&count, at, sizeof(count));
		return count == 0;
	case FIELD_RAW:
		return false;
	default:
		return number_of(f, at) == 0;
	}
}

size_t fields_encode(const struct field *fields, size_t count, uint8_t type, const void *from,
	uint8_t *to, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		const struct field *f = &fields[i];
		const uint8_t *at = (const uint8_t *)from + f->offset;
		uint32_t len;

		if (f->type != type || (f->need == FIELD_MAY && is_absent(f, at)))
			continue;
		if (room - n < HEAD_BYTES ||
			!value_put(f, at, to + n + HEAD_BYTES, room - n - HEAD_BYTES, &len))
			return 0;
		to[n] = f->tag;
		be16_put(to + n + 1, (uint16_t)len);
		n += HEAD_BYTES + len;
	}
	return n;
}

/* The field of <tag>, or NULL; needed ones that it passes on the way are missing: *ret_missing. */
static const struct field *field_find(const struct field *fields, size_t count, uint8_t type,
	uint8_t tag, size_t *pos, bool *ret_missing)
{
	for (; *pos < count; ++*pos) {
		const struct field *f = &fields[*pos];

		if (f->type != type)
			continue;
		if (f->tag > tag)
			return NULL;
		if (f->tag == tag) {
			++*pos;
			return f;
		}
		*ret_missing |= f->need == FIELD_NEED;
	}
	return NULL;
}

bool fields_decode(const struct field *fields, size_t count, uint8_t type, const uint8_t *p,
	size_t len, void *ret)
{
	bool missing = false;
	int last = -1; /* tag before this one */
	size_t pos = 0;

	for (size_t off = 0; off < len;) {
		const struct field *f;
		uint32_t n;

		if (len - off < HEAD_BYTES || p[off] <= last)
			return false;
		n = be16_get(p + off + 1);
		if (n > len - off - HEAD_BYTES)
			return false;
		last = p[off];
		f = field_find(fields, count, type, p[off], &pos, &missing);
		if (f != NULL && !value_get(f, p + off + HEAD_BYTES, n, (uint8_t *)ret + f->offset))
			return false;
		off += HEAD_BYTES + n;
	}
	for (; pos < count; pos++)
		missing |= fields[pos].type == type && fields[pos].need == FIELD_NEED;
	return !missing;
}
