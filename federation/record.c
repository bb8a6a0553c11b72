// SPDX-License-Identifier: Apache-2.0
/*
 * record.c: the codec of record.h by a table of fields, keys, and who wins.
 */
#include "federation/record.h"

#include <assert.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/hash.h"
#include "federation/field.h"
#include "federation/hlc.h"

const char *const record_kind_names[RECORD_KIND_COUNT] = {"", "site", "health", "weight"};
const char *const site_state_names[SITE_STATE_COUNT] = {"serving", "draining", "suspect"};
const char *const health_state_names[HEALTH_STATE_COUNT] = {"ok", "stale", "silent", "gone"};

#define F(t, tg, member, k, mx, nd) \
	{ \
		.type = RECORD_##t, .tag = tg, .kind = FIELD_##k, .need = FIELD_##nd, .max = mx, \
		.offset = offsetof(struct record, member) \
	}

/* Tags are on the wire and in journals: never used for something else. 1 is the kind. */
static const struct field fields[] = {
	F(SITE, 1, kind, U8, 0, NEED),
	F(SITE, 2, site, LABEL, 0, NEED),
	F(SITE, 3, stamp, U64, 0, NEED),
	F(SITE, 10, of_site.state, U8, SITE_STATE_COUNT - 1, MAY),
	F(SITE, 11, of_site.requests_per_s, U32, 0, MAY),
	F(SITE, 12, of_site.capacity_per_s, U32, 0, MAY),
	F(SITE, 13, of_site.load_permille, U16, 1000, MAY),
	F(SITE, 14, of_site.vip_count, ADDRS, RECORD_VIPS_MAX, MAY),

	F(HEALTH, 1, kind, U8, 0, NEED),
	F(HEALTH, 2, site, LABEL, 0, NEED),
	F(HEALTH, 3, stamp, U64, 0, NEED),
	F(HEALTH, 4, cluster, LABEL, 0, NEED),
	F(HEALTH, 20, health.state, U8, HEALTH_STATE_COUNT - 1, MAY),
	F(HEALTH, 21, health.total, U32, 0, MAY),
	F(HEALTH, 22, health.ready, U32, 0, MAY),
	F(HEALTH, 23, health.usable, U32, 0, MAY),
	F(HEALTH, 24, health.requests_per_s, U32, 0, MAY),

	F(WEIGHT, 1, kind, U8, 0, NEED),
	F(WEIGHT, 2, site, LABEL, 0, NEED),
	F(WEIGHT, 3, stamp, U64, 0, NEED),
	F(WEIGHT, 4, cluster, LABEL, 0, NEED),
	F(WEIGHT, 5, scope, LABEL, 0, MAY),
	F(WEIGHT, 30, weight.weight, U32, RECORD_WEIGHT_MAX, NEED),
	F(WEIGHT, 31, weight.drain, BOOL, 0, MAY),
	F(WEIGHT, 32, weight.removed, BOOL, 0, MAY),
	F(WEIGHT, 33, weight.expires_ms, U64, 0, MAY),
	F(WEIGHT, 34, weight.seen, U64, 0, MAY),
	F(WEIGHT, 35, weight.actor, TEXT, RECORD_ACTOR_MAX, MAY),
	F(WEIGHT, 36, weight.reason, TEXT, RECORD_REASON_MAX, MAY),
	F(WEIGHT, 37, weight.weightless, BOOL, 0, MAY),
};
#undef F
#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))

static_assert(offsetof(struct record_site, vips) ==
		offsetof(struct record_site, vip_count) + sizeof(uint16_t),
	"the codec writes addresses right behind their count");

bool record_name_is_valid(struct str name)
{
	if (name.len == 0 || name.len > SITE_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];
		bool is_inner = i > 0 && i + 1 < name.len;

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && is_inner)))
			return false;
	}
	return true;
}

bool record_is_its_makers(const struct record *r)
{
	return r->scope.len == 0 || str_eq(r->scope, r->site);
}

static bool kind_is_valid(uint8_t kind)
{
	return kind >= RECORD_SITE && kind < RECORD_KIND_COUNT;
}

/* What no single field can tell. */
static bool is_valid(const struct record *r)
{
	return r->stamp != 0 &&
		(r->kind != RECORD_HEALTH ||
			(r->health.ready <= r->health.total &&
				r->health.usable <= r->health.ready));
}

size_t record_encode(const struct record *r, uint8_t *to, size_t room)
{
	if (!kind_is_valid(r->kind) || !is_valid(r))
		return 0;
	return fields_encode(fields, FIELD_COUNT, r->kind, r, to, room);
}

bool record_decode(const uint8_t *p, size_t len, struct record *ret)
{
	uint8_t kind;

	/* the kind comes first, or nothing else makes sense: tag 1, length 1 */
	if (len < 4 || p[0] != 1 || be16_get(p + 1) != 1 || !kind_is_valid(p[3]))
		return false;
	kind = p[3];
	*ret = (struct record){.kind = kind};
	return fields_decode(fields, FIELD_COUNT, kind, p, len, ret) && is_valid(ret);
}

bool record_split(const uint8_t *p, size_t len, struct record_bytes *ret)
{
	if (len < 2 + RECORD_SIGNATURE_BYTES || len > RECORD_BYTES_MAX ||
		be16_get(p) != len - 2 - RECORD_SIGNATURE_BYTES)
		return false;
	ret->fields = p + 2;
	ret->fields_len = be16_get(p);
	ret->signature = ret->fields + ret->fields_len;
	return true;
}

bool record_same_key(const struct record *a, const struct record *b)
{
	return a->kind == b->kind && str_eq(a->cluster, b->cluster) && str_eq(a->scope, b->scope) &&
		(a->kind == RECORD_WEIGHT || str_eq(a->site, b->site));
}

uint64_t record_key_hash(const struct record *r)
{
	static const struct hash_key same_everywhere = {
		{0x736c756963652066ull, 0x6564657261746521ull}};
	char key[3 * (SITE_NAME_MAX + 1) + 1];
	struct str parts[] = {r->kind == RECORD_WEIGHT ? STR("") : r->site, r->cluster, r->scope};
	size_t n = 0;

	key[n++] = (char)r->kind;
	for (size_t i = 0; i < 3; i++) {
		if (parts[i].len > 0)
			memcpy(key + n, parts[i].p, parts[i].len);
		n += parts[i].len;
		key[n++] = 0; /* no label holds one */
	}
	return siphash(&same_everywhere, key, n);
}

/*
 * A site that lost its memory may use a stamp twice: its clock is behind those of others, and what
 * it hears from them ends right before its own last stamp. Then the values decide: whichever, but
 * the same everywhere.
 */
static int compare_values(const struct record *a, const struct record *b)
{
	uint8_t of_a[RECORD_BYTES_MAX], of_b[RECORD_BYTES_MAX];
	size_t len_a = record_encode(a, of_a, sizeof(of_a));
	size_t len_b = record_encode(b, of_b, sizeof(of_b));

	return str_cmp(str_make(of_a, len_a), str_make(of_b, len_b));
}

int record_compare(const struct record *a, const struct record *b)
{
	int by_name;

	if (a->stamp != b->stamp)
		return a->stamp > b->stamp ? 1 : -1;
	by_name = str_cmp(a->site, b->site);
	return by_name != 0 ? by_name : compare_values(a, b);
}

/* When it became, or will become, void; 0: only a newer one can make it so. */
static uint64_t death_ms(const struct record *r)
{
	if (r->kind == RECORD_WEIGHT && !r->weight.removed)
		return r->weight.expires_ms;
	if (r->kind == RECORD_WEIGHT ||
		(r->kind == RECORD_HEALTH && r->health.state == HEALTH_GONE))
		return hlc_ms(r->stamp);
	return 0;
}

bool record_is_dead(const struct record *r, uint64_t now_ms)
{
	uint64_t at = death_ms(r);

	return at != 0 && at <= now_ms;
}

bool record_is_gone(const struct record *r, uint64_t now_ms)
{
	return record_is_dead(r, now_ms) && now_ms - death_ms(r) >= RECORD_DEAD_KEPT_MS;
}
