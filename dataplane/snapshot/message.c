// SPDX-License-Identifier: Apache-2.0
/*
 * message.c: the codec of message.h, driven by the field table of message.def.
 *
 * Every number is read from inside a length that was checked before; lists go into the caller's
 * scratch, bounded by its arrays. An accepted message encodes to bytes that decode to it again.
 */
#include "dataplane/snapshot/message.h"

#include <assert.h>
#include <stddef.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/hash.h"

enum field_kind {
	KIND_BOOL,
	KIND_U16,
	KIND_U64,
	KIND_NAME,
	KIND_TEXT,
	KIND_WEIGHTS,
	KIND_ENDPOINTS,
	KIND_CLUSTERS
};
enum { MAY = 0, NEED = 1 };

#define FIELD_HEADER_BYTES 6u	 /* tag 16 bits, length 32 bits */
#define WEIGHT_BYTES 12u	 /* backend id, weight */
#define ENDPOINT_FIXED_BYTES 32u /* id, address, port, weight, flags, 2 name lengths, zero */
#define ENDPOINT_DRAINING 1u
#define CLUSTER_FIXED_BYTES 8u /* priority, flags, withheld, unready */
#define CLUSTER_REMOTE 1u
#define CLUSTER_PRIORITY_MAX 15u
#define CLUSTER_WITHHELD_MAX 1000u

struct field {
	uint8_t type;
	uint8_t kind;
	uint8_t need;
	uint16_t tag;
	uint32_t max;
	uint32_t offset; /* in struct message; of a list: of its count */
};

static const struct field fields[] = {
#define MESSAGE_FIELD(t, tg, member, k, mx, nd) \
	{.type = MESSAGE_##t, \
		.tag = tg, \
		.kind = KIND_##k, \
		.max = mx, \
		.need = nd, \
		.offset = offsetof(struct message, member)},
#include "dataplane/snapshot/message.def"
};
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static_assert(FIELD_COUNT <= 64, "fields seen are kept in one 64-bit mask");
static const struct {
	const char *text;
	enum message_stream stream;
	enum message_sender sender;
} types[MESSAGE_TYPE_MAX] = {
#define MESSAGE_TYPE(name, number, txt, strm, sndr) \
	[number] = {txt, MESSAGE_STREAM_##strm, MESSAGE_BY_##sndr},
#include "dataplane/snapshot/message.def"
};

static const struct {
	const char *text, *help;
} errors[] =
	{
		{"message_ok", "decoded"},
#define MESSAGE_ERROR(name, txt, hlp) {txt, hlp},
#include "dataplane/snapshot/message.def"
},
  results[] = {
#define MESSAGE_RESULT(name, number, txt, hlp) [number] = {txt, hlp},
#include "dataplane/snapshot/message.def"
};

static bool type_is_valid(uint8_t type)
{
	return type < MESSAGE_TYPE_MAX && types[type].text != NULL;
}

static void *field_at(const struct message *m, const struct field *f)
{
	return (char *)m + f->offset;
}

static const struct field *field_lookup(uint8_t type, uint16_t tag)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (fields[i].type == type && fields[i].tag == tag)
			return &fields[i];
	return NULL;
}

/* Printable in a log line: no C0 controls, no DEL. Bytes above 0x7f may be UTF-8. */
static bool name_is_clean(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return true;
}

static enum message_error weight_decode(const uint8_t *p, uint32_t len, struct message *m,
	struct message_scratch *s)
{
	uint32_t n = m->weights.count;

	if (len != WEIGHT_BYTES)
		return MESSAGE_ERR_FIELD_LENGTH;
	if (n == MESSAGE_WEIGHTS_MAX)
		return MESSAGE_ERR_ITEMS;
	s->weights[n] = (struct message_weight){be64_get(p), be32_get(p + 8)};
	m->weights.w = s->weights;
	m->weights.count = n + 1;
	return MESSAGE_ERR_NONE;
}

static enum message_error endpoint_decode(const uint8_t *p, uint32_t len, struct message *m,
	struct message_scratch *s)
{
	uint32_t n = m->endpoints.count;
	struct message_endpoint *e = &s->endpoints[n < MESSAGE_ENDPOINTS_MAX ? n : 0];

	if (len < ENDPOINT_FIXED_BYTES || len != ENDPOINT_FIXED_BYTES + p[29] + p[30])
		return MESSAGE_ERR_FIELD_LENGTH;
	if (n == MESSAGE_ENDPOINTS_MAX)
		return MESSAGE_ERR_ITEMS;
	e->id = be64_get(p);
	e->addr = ip_from_v6(p + 8);
	e->port = be16_get(p + 24);
	e->weight = be16_get(p + 26);
	e->draining = (p[28] & ENDPOINT_DRAINING) != 0;
	e->name = str_make(p + ENDPOINT_FIXED_BYTES, p[29]);
	e->cluster = str_make(p + ENDPOINT_FIXED_BYTES + p[29], p[30]);
	if (!name_is_clean(e->name) || !name_is_clean(e->cluster) || e->port == 0)
		return MESSAGE_ERR_FIELD_VALUE;
	m->endpoints.e = s->endpoints;
	m->endpoints.count = n + 1;
	return MESSAGE_ERR_NONE;
}

static bool cluster_is_good(const struct message_cluster *c)
{
	return c->name.len <= MESSAGE_ENDPOINT_NAME_MAX && name_is_clean(c->name) &&
		c->priority <= CLUSTER_PRIORITY_MAX && c->withheld <= CLUSTER_WITHHELD_MAX;
}

static enum message_error cluster_decode(const uint8_t *p, uint32_t len, struct message *m,
	struct message_scratch *s)
{
	uint32_t n = m->endpoints.cluster_count;
	struct message_cluster *c = &s->clusters[n < MESSAGE_CLUSTERS_MAX ? n : 0];

	if (len < CLUSTER_FIXED_BYTES || len > CLUSTER_FIXED_BYTES + MESSAGE_ENDPOINT_NAME_MAX)
		return MESSAGE_ERR_FIELD_LENGTH;
	if (n == MESSAGE_CLUSTERS_MAX)
		return MESSAGE_ERR_ITEMS;
	c->priority = p[0];
	c->remote = (p[1] & CLUSTER_REMOTE) != 0;
	c->withheld = be16_get(p + 2);
	c->unready = be32_get(p + 4);
	c->name = str_make(p + CLUSTER_FIXED_BYTES, len - CLUSTER_FIXED_BYTES);
	if (!cluster_is_good(c))
		return MESSAGE_ERR_FIELD_VALUE;
	m->endpoints.clusters = s->clusters;
	m->endpoints.cluster_count = n + 1;
	return MESSAGE_ERR_NONE;
}

static enum message_error field_decode(const struct field *f, const uint8_t *p, uint32_t len,
	struct message *m, struct message_scratch *s)
{
	struct str text = str_make(p, len);

	switch (f->kind) {
	case KIND_BOOL:
		if (len != 1)
			return MESSAGE_ERR_FIELD_LENGTH;
		if (*p > 1)
			return MESSAGE_ERR_FIELD_VALUE;
		*(bool *)field_at(m, f) = *p != 0;
		return MESSAGE_ERR_NONE;
	case KIND_U16:
		if (len != 2)
			return MESSAGE_ERR_FIELD_LENGTH;
		*(uint16_t *)field_at(m, f) = be16_get(p);
		return MESSAGE_ERR_NONE;
	case KIND_U64:
		if (len != 8)
			return MESSAGE_ERR_FIELD_LENGTH;
		*(uint64_t *)field_at(m, f) = be64_get(p);
		return MESSAGE_ERR_NONE;
	case KIND_NAME:
	case KIND_TEXT:
		if (len > f->max)
			return MESSAGE_ERR_FIELD_LENGTH;
		if (f->kind == KIND_NAME && !name_is_clean(text))
			return MESSAGE_ERR_FIELD_VALUE;
		*(struct str *)field_at(m, f) = text;
		return MESSAGE_ERR_NONE;
	case KIND_WEIGHTS:
		return weight_decode(p, len, m, s);
	case KIND_CLUSTERS:
		return cluster_decode(p, len, m, s);
	default:
		return endpoint_decode(p, len, m, s);
	}
}

static bool is_list(const struct field *f)
{
	return f->kind == KIND_WEIGHTS || f->kind == KIND_ENDPOINTS || f->kind == KIND_CLUSTERS;
}

static enum message_error body_decode(const uint8_t *p, size_t len, struct message *m,
	struct message_scratch *s)
{
	uint64_t seen = 0;

	while (len > 0) {
		const struct field *f;
		enum message_error e;
		uint32_t n;

		if (len < FIELD_HEADER_BYTES)
			return MESSAGE_ERR_TRUNCATED;
		n = be32_get(p + 2);
		if (n > len - FIELD_HEADER_BYTES)
			return MESSAGE_ERR_TRUNCATED;
		f = field_lookup(m->type, be16_get(p));
		if (f != NULL) {
			uint64_t bit = 1ull << (f - fields);

			if ((seen & bit) != 0 && !is_list(f))
				return MESSAGE_ERR_FIELD_TWICE;
			seen |= bit;
			e = field_decode(f, p + FIELD_HEADER_BYTES, n, m, s);
			if (e != MESSAGE_ERR_NONE)
				return e;
		}
		p += FIELD_HEADER_BYTES + n;
		len -= FIELD_HEADER_BYTES + n;
	}
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (fields[i].type == m->type && fields[i].need && !(seen & (1ull << i)))
			return MESSAGE_ERR_FIELD_MISSING;
	return MESSAGE_ERR_NONE;
}

static uint32_t message_crc(const uint8_t *p, size_t len)
{
	static const uint8_t zero[4];
	uint32_t crc = crc32c(0, p, 36);

	return crc32c(crc32c(crc, zero, 4), p + 40, len - 40);
}

static enum message_error envelope_check(const uint8_t *p, size_t len)
{
	if (len < MESSAGE_HEADER_BYTES)
		return MESSAGE_ERR_SHORT;
	if (be16_get(p) != MESSAGE_MAGIC)
		return MESSAGE_ERR_MAGIC;
	if (len > MESSAGE_BYTES_MAX)
		return MESSAGE_ERR_TOO_LONG;
	if (message_crc(p, len) != be32_get(p + 36))
		return MESSAGE_ERR_CHECKSUM;
	if (p[2] != MESSAGE_MAJOR)
		return MESSAGE_ERR_MAJOR;
	/* A later minor version may lengthen the envelope; what it adds is skipped. */
	if (be16_get(p + 6) < MESSAGE_HEADER_BYTES || be16_get(p + 6) > len)
		return MESSAGE_ERR_HEADER;
	if (be32_get(p + 32) != len - be16_get(p + 6))
		return MESSAGE_ERR_LENGTH;
	return MESSAGE_ERR_NONE;
}

enum message_error message_decode(const void *buf, size_t len, struct message_scratch *scratch,
	struct message *ret)
{
	const uint8_t *p = buf;
	enum message_error e = envelope_check(p, len);
	struct message m = {0};
	struct message head;

	if (e != MESSAGE_ERR_NONE)
		return e;
	m.type = p[4];
	m.flags = p[5];
	m.epoch = be64_get(p + 8);
	m.seq = be64_get(p + 16);
	m.session = be32_get(p + 28);
	m.stamp_us = be64_get(p + 40);
	head = m;
	if (!type_is_valid(m.type))
		e = MESSAGE_ERR_TYPE;
	else if (be16_get(p + 24) != types[m.type].stream)
		e = MESSAGE_ERR_STREAM;
	else
		e = body_decode(p + be16_get(p + 6), len - be16_get(p + 6), &m, scratch);
	*ret = e == MESSAGE_ERR_NONE ? m : head;
	return e;
}

/* Where the encoder stands; <over> is set by the first write that does not fit. */
struct writer {
	uint8_t *p;
	size_t len, cap;
	bool over;
};

/* Room for a field of <len> bytes, or NULL. */
static uint8_t *put_field(struct writer *w, uint16_t tag, size_t len)
{
	uint8_t *p = w->p + w->len;

	if (w->over || w->cap - w->len < FIELD_HEADER_BYTES + len) {
		w->over = true;
		return NULL;
	}
	be16_put(p, tag);
	be32_put(p + 2, (uint32_t)len);
	w->len += FIELD_HEADER_BYTES + len;
	return p + FIELD_HEADER_BYTES;
}

static void put_str(struct writer *w, const struct field *f, struct str s)
{
	uint8_t *p;

	if (s.len > f->max || (f->kind == KIND_NAME && !name_is_clean(s))) {
		w->over = true;
		return;
	}
	if (s.len == 0 && !f->need)
		return;
	p = put_field(w, f->tag, s.len);
	if (p != NULL && s.len > 0)
		memcpy(p, s.p, s.len);
}

static void put_endpoint(struct writer *w, uint16_t tag, const struct message_endpoint *e)
{
	uint8_t *p;

	if (e->name.len > MESSAGE_ENDPOINT_NAME_MAX || e->cluster.len > MESSAGE_ENDPOINT_NAME_MAX ||
		!name_is_clean(e->name) || !name_is_clean(e->cluster) || e->port == 0) {
		w->over = true;
		return;
	}
	p = put_field(w, tag, ENDPOINT_FIXED_BYTES + e->name.len + e->cluster.len);
	if (p == NULL)
		return;
	be64_put(p, e->id);
	memcpy(p + 8, e->addr.b, 16);
	be16_put(p + 24, e->port);
	be16_put(p + 26, e->weight);
	p[28] = e->draining ? ENDPOINT_DRAINING : 0;
	p[29] = (uint8_t)e->name.len;
	p[30] = (uint8_t)e->cluster.len;
	p[31] = 0;
	p += ENDPOINT_FIXED_BYTES;
	if (e->name.len > 0)
		memcpy(p, e->name.p, e->name.len);
	if (e->cluster.len > 0)
		memcpy(p + e->name.len, e->cluster.p, e->cluster.len);
}

static void put_cluster(struct writer *w, uint16_t tag, const struct message_cluster *c)
{
	uint8_t *p;

	if (!cluster_is_good(c)) {
		w->over = true;
		return;
	}
	p = put_field(w, tag, CLUSTER_FIXED_BYTES + c->name.len);
	if (p == NULL)
		return;
	p[0] = c->priority;
	p[1] = c->remote ? CLUSTER_REMOTE : 0;
	be16_put(p + 2, c->withheld);
	be32_put(p + 4, c->unready);
	if (c->name.len > 0)
		memcpy(p + CLUSTER_FIXED_BYTES, c->name.p, c->name.len);
}

static void put_weight(struct writer *w, uint16_t tag, const struct message_weight *v)
{
	uint8_t *p = put_field(w, tag, WEIGHT_BYTES);

	if (p == NULL)
		return;
	be64_put(p, v->backend_id);
	be32_put(p + 8, v->weight);
}

static void field_encode(struct writer *w, const struct message *m, const struct field *f)
{
	const void *at = field_at(m, f);
	uint8_t *p;

	switch (f->kind) {
	case KIND_BOOL:
		if ((p = put_field(w, f->tag, 1)) != NULL)
			*p = *(const bool *)at;
		break;
	case KIND_U16:
		if ((p = put_field(w, f->tag, 2)) != NULL)
			be16_put(p, *(const uint16_t *)at);
		break;
	case KIND_U64:
		if ((p = put_field(w, f->tag, 8)) != NULL)
			be64_put(p, *(const uint64_t *)at);
		break;
	case KIND_NAME:
	case KIND_TEXT:
		put_str(w, f, *(const struct str *)at);
		break;
	case KIND_WEIGHTS:
		w->over |= m->weights.count > f->max;
		for (uint32_t i = 0; i < m->weights.count && !w->over; i++)
			put_weight(w, f->tag, &m->weights.w[i]);
		break;
	case KIND_CLUSTERS:
		w->over |= m->endpoints.cluster_count > f->max;
		for (uint32_t i = 0; i < m->endpoints.cluster_count && !w->over; i++)
			put_cluster(w, f->tag, &m->endpoints.clusters[i]);
		break;
	default:
		w->over |= m->endpoints.count > f->max;
		for (uint32_t i = 0; i < m->endpoints.count && !w->over; i++)
			put_endpoint(w, f->tag, &m->endpoints.e[i]);
		break;
	}
}

size_t message_encode(const struct message *m, void *buf, size_t cap)
{
	struct writer w = {.p = buf, .cap = cap, .len = MESSAGE_HEADER_BYTES};

	bug_on(!type_is_valid(m->type));
	if (w.cap > MESSAGE_BYTES_MAX)
		w.cap = MESSAGE_BYTES_MAX;
	if (w.cap < MESSAGE_HEADER_BYTES)
		return 0;
	memset(buf, 0, MESSAGE_HEADER_BYTES);
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (fields[i].type == m->type)
			field_encode(&w, m, &fields[i]);
	if (w.over)
		return 0;
	be16_put(w.p, MESSAGE_MAGIC);
	w.p[2] = MESSAGE_MAJOR;
	w.p[3] = MESSAGE_MINOR;
	w.p[4] = m->type;
	w.p[5] = m->flags;
	be16_put(w.p + 6, MESSAGE_HEADER_BYTES);
	be64_put(w.p + 8, m->epoch);
	be64_put(w.p + 16, m->seq);
	be16_put(w.p + 24, (uint16_t)types[m->type].stream);
	be32_put(w.p + 28, m->session);
	be32_put(w.p + 32, (uint32_t)(w.len - MESSAGE_HEADER_BYTES));
	be64_put(w.p + 40, m->stamp_us);
	be32_put(w.p + 36, message_crc(w.p, w.len));
	return w.len;
}

const char *message_type_str(uint8_t type)
{
	return type_is_valid(type) ? types[type].text : "unknown";
}

enum message_stream message_type_stream(uint8_t type)
{
	bug_on(!type_is_valid(type));
	return types[type].stream;
}

enum message_sender message_type_sender(uint8_t type)
{
	bug_on(!type_is_valid(type));
	return types[type].sender;
}

const char *message_error_name(enum message_error e)
{
	return (unsigned)e < MESSAGE_ERR_COUNT ? errors[e].text : "message_unknown_error";
}

const char *message_error_help(enum message_error e)
{
	return (unsigned)e < MESSAGE_ERR_COUNT ? errors[e].help : "";
}

const char *message_result_str(uint16_t result)
{
	return result < MESSAGE_RESULT_COUNT ? results[result].text : "unknown";
}

const char *message_result_help(uint16_t result)
{
	return result < MESSAGE_RESULT_COUNT ? results[result].help : "";
}
