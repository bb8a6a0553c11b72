// SPDX-License-Identifier: Apache-2.0
/*
 * proto.c: the codec of proto.h.
 */
#include "federation/proto.h"

#include "dataplane/base/bytes.h"
#include "dataplane/base/hash.h"
#include "federation/field.h"

static const struct field fields[] = {
#define PROTO_FIELD(message, tg, member, k, mx, nd) \
	{.type = PROTO_##message, \
		.tag = tg, \
		.kind = FIELD_##k, \
		.need = FIELD_##nd, \
		.max = mx, \
		.offset = offsetof(struct proto_message, member)},
#include "federation/proto.def"
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

const char *const proto_names[PROTO_TYPE_COUNT] = {
#define PROTO_MESSAGE(name, number, text, max, help) [number] = text,
#include "federation/proto.def"
};

static const uint32_t body_max[PROTO_TYPE_COUNT] = {
#define PROTO_MESSAGE(name, number, text, max, help) [number] = max,
#include "federation/proto.def"
};

/* Of the whole message, as if its own four bytes were zero. */
static uint32_t checksum(const uint8_t *p, size_t len)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32c(0, p, 36);

	return crc32c(crc32c(crc, zero, 4), p + 40, len - 40);
}

size_t proto_encode(const struct proto_message *m, uint8_t *to)
{
	size_t n;

	if (m->type >= PROTO_TYPE_COUNT || body_max[m->type] == 0)
		return 0;
	n = fields_encode(fields, FIELD_COUNT, m->type, m, to + PROTO_HEAD_BYTES,
		body_max[m->type]);
	if (n == 0 && m->type != PROTO_WELCOME) /* the only one whose body may be empty */
		return 0;
	memset(to, 0, PROTO_HEAD_BYTES);
	be16_put(to, PROTO_MAGIC);
	to[2] = PROTO_MAJOR;
	to[3] = PROTO_MINOR;
	to[4] = m->type;
	be16_put(to + 6, PROTO_HEAD_BYTES);
	be64_put(to + 8, m->epoch);
	be64_put(to + 16, m->seq);
	be64_put(to + 24, m->stamp);
	be32_put(to + 32, (uint32_t)n);
	be32_put(to + 36, checksum(to, PROTO_HEAD_BYTES + n));
	return PROTO_HEAD_BYTES + n;
}

enum refusal proto_decode(const uint8_t *p, size_t len, struct proto_message *ret)
{
	size_t head;

	if (len > PROTO_MAX)
		return REFUSAL_LENGTH;
	if (len < PROTO_HEAD_BYTES || be16_get(p) != PROTO_MAGIC)
		return REFUSAL_FORMAT;
	if (p[2] != PROTO_MAJOR)
		return REFUSAL_VERSION;
	head = be16_get(p + 6);
	if (head < PROTO_HEAD_BYTES || head > len || be32_get(p + 32) != len - head ||
		be32_get(p + 36) != checksum(p, len))
		return REFUSAL_FORMAT;
	*ret = (struct proto_message){.type = p[4],
		.epoch = be64_get(p + 8),
		.seq = be64_get(p + 16),
		.stamp = be64_get(p + 24)};
	if (ret->type >= PROTO_TYPE_COUNT || body_max[ret->type] == 0)
		return REFUSAL_TYPE;
	if (len - head > body_max[ret->type])
		return REFUSAL_LENGTH;
	if (!fields_decode(fields, FIELD_COUNT, ret->type, p + head, len - head, ret))
		return REFUSAL_FORMAT;
	return REFUSAL_NONE;
}

struct str proto_next_record(struct str *rest, bool *ret_bad)
{
	struct str r = {rest->p, 0};

	*ret_bad = false;
	if (rest->len == 0)
		return r;
	if (rest->len >= 2)
		r.len = 2u + be16_get(rest->p) + RECORD_SIGNATURE_BYTES;
	*ret_bad = r.len == 0 || r.len > rest->len || r.len > RECORD_BYTES_MAX;
	if (*ret_bad)
		return (struct str){NULL, 0};
	*rest = str_from(*rest, r.len);
	return r;
}
