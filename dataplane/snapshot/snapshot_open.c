// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_open.c: check an image once, so that nobody has to check it again.
 *
 * First the frame (magic, version, lengths, checksum, digest, section table), then every record of
 * every section: references to text and to other records, ranges, enumerations, order, and that
 * each hash table finds each of its nodes. The checksums guard against accidents; the checks hold
 * without them, against an image that was made to hurt. Ranges that own records (a rule its
 * backends, a service its endpoints) must follow each other without gap or overlap.
 */
#include "dataplane/snapshot/snapshot.h"

#include <errno.h>
#include <stddef.h>

#include "dataplane/snapshot/snapshot_check.h"

static const struct {
	const char *name;
	uint32_t id, record, stride_min, count_max;
} sections[SNAPSHOT_SECTION_COUNT] = {
#define SECTION(NAME, id, record, stride_min, count_max) \
	[SNAPSHOT_##NAME] = {#NAME, id, sizeof(record), stride_min, count_max},
#include "dataplane/snapshot/snapshot.def"
#undef SECTION
};

/* The format is what these sizes say; a record grows at its end only. */
#define SECTION(NAME, id, record, stride_min, count_max) \
	_Static_assert((stride_min) <= sizeof(record), #NAME); \
	_Static_assert((stride_min) == 1 || sizeof(record) % 8 == 0, #NAME);
#include "dataplane/snapshot/snapshot.def"
#undef SECTION
_Static_assert(sizeof(struct snapshot_header) == 48 && sizeof(struct snapshot_entry) == 24,
	"the frame never changes");

static uint64_t digest_of(const uint8_t *image, size_t len)
{
	static const struct hash_key key = {{0x736c75696365736eull, 0x617073686f743031ull}};

	return siphash(&key, image + sizeof(struct snapshot_header),
		len - sizeof(struct snapshot_header));
}

static uint32_t crc_of(const uint8_t *image)
{
	return crc32c(0, image, offsetof(struct snapshot_header, crc));
}

void snapshot_seal(void *image, size_t len)
{
	struct snapshot_header h;

	memcpy(&h, image, sizeof(h));
	h.digest = digest_of(image, len);
	memcpy(image, &h, sizeof(h));
	h.crc = crc_of(image);
	memcpy(image, &h, sizeof(h));
}

static int check_header(const uint8_t *image, size_t len, struct snapshot_header *h,
	struct err *err)
{
	if (len < sizeof(*h) || len > SNAPSHOT_BYTES_MAX || (uintptr_t)image % 8 != 0)
		return err_set(err, EINVAL, "snapshot: %zu bytes cannot be an image", len);
	memcpy(h, image, sizeof(*h));
	if (h->magic != SNAPSHOT_MAGIC)
		return err_set(err, EINVAL, "snapshot: not an image (magic %016llx)",
			(unsigned long long)h->magic);
	if (h->crc != crc_of(image))
		return err_set(err, EINVAL, "snapshot: the header's checksum is wrong");
	if (h->version < 1 || h->version > SNAPSHOT_VERSION + 1)
		return err_set(err, EINVAL, "snapshot: version %u, we read 1 to %u", h->version,
			SNAPSHOT_VERSION + 1);
	if (h->image_len != len)
		return err_set(err, EINVAL, "snapshot: %zu bytes, the header says %llu", len,
			(unsigned long long)h->image_len);
	if (h->section_count > SNAPSHOT_SECTIONS_MAX ||
		h->section_count * sizeof(struct snapshot_entry) > len - sizeof(*h))
		return err_set(err, EINVAL, "snapshot: %u sections", h->section_count);
	if (h->digest != digest_of(image, len))
		return err_set(err, EINVAL, "snapshot: the digest is wrong");
	return 0;
}

static int check_entry(const struct snapshot_entry *e, size_t len, unsigned sec, struct err *err)
{
	bool text = sec == SNAPSHOT_STRINGS;

	if (text ? e->stride != 1 : e->stride % 8 != 0 || e->stride < sections[sec].stride_min)
		return err_set(err, EINVAL, "snapshot: %s: stride %u", sections[sec].name,
			e->stride);
	if (e->count > sections[sec].count_max)
		return err_set(err, EINVAL, "snapshot: %s: %u records", sections[sec].name,
			e->count);
	/* stride and count are below 2^32: no overflow */
	if (e->off % 8 != 0 || e->off > len || (uint64_t)e->stride * e->count > len - e->off)
		return err_set(err, EINVAL, "snapshot: %s: outside the image", sections[sec].name);
	return 0;
}

static int read_table(const struct snapshot_header *h, struct snapshot *s, struct err *err)
{
	const uint8_t *p = s->image + sizeof(*h);

	for (uint32_t i = 0; i < h->section_count; i++, p += sizeof(struct snapshot_entry)) {
		struct snapshot_entry e;
		unsigned sec = 0;
		int rc;

		memcpy(&e, p, sizeof(e));
		while (sec < SNAPSHOT_SECTION_COUNT && sections[sec].id != e.id)
			sec++;
		if (sec == SNAPSHOT_SECTION_COUNT)
			continue; /* a newer writer's */
		if (s->sec[sec].p != NULL)
			return err_set(err, EINVAL, "snapshot: %s: twice", sections[sec].name);
		rc = check_entry(&e, s->len, sec, err);
		if (rc < 0)
			return rc;
		s->sec[sec].p = s->image + e.off;
		s->sec[sec].stride = e.stride;
		s->sec[sec].count = e.count;
	}
	for (unsigned sec = 0; sec < SNAPSHOT_SECTION_COUNT; sec++) {
		if (s->sec[sec].p != NULL)
			continue;
		if (sections[sec].id <= SNAPSHOT_SECTIONS_FIRST)
			return err_set(err, EINVAL, "snapshot: %s: missing", sections[sec].name);
		s->sec[sec].p = s->image;
		s->sec[sec].stride = sections[sec].record;
	}
	if (s->sec[SNAPSHOT_SETTINGS].count != 1)
		return err_set(err, EINVAL, "snapshot: SETTINGS: not one record");
	s->hash_seed = snapshot_settings(s).hash_seed;
	return 0;
}

int snapshot_open(const void *image, size_t len, struct snapshot *ret, struct err *err)
{
	struct snapshot s = {.image = image, .len = len};
	struct snapshot_header h;
	int rc = check_header(image, len, &h, err);

	if (rc == 0)
		rc = read_table(&h, &s, err);
	if (rc == 0)
		rc = snapshot_check(&s, err);
	if (rc < 0)
		return rc;
	s.generation = h.generation;
	s.digest = h.digest;
	*ret = s;
	return 0;
}

/* Position of (kind, id) in INDEX, which is sorted. */
static uint32_t find(const struct snapshot *s, enum snapshot_id kind, uint64_t id)
{
	uint32_t lo = 0, hi = snapshot_count(s, SNAPSHOT_INDEX);

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		const struct snapshot_index *x = snapshot_at(s, SNAPSHOT_INDEX, mid);

		if (x->kind == (uint32_t)kind && x->id == id)
			return x->index;
		if (x->kind < (uint32_t)kind || (x->kind == (uint32_t)kind && x->id < id))
			lo = mid + 1;
		else
			hi = mid;
	}
	return SLOT_NONE;
}

uint32_t snapshot_find_listener(const struct snapshot *s, uint64_t id)
{
	return find(s, SNAPSHOT_ID_LISTENER, id);
}

uint32_t snapshot_find_rule(const struct snapshot *s, uint64_t id)
{
	return find(s, SNAPSHOT_ID_RULE, id);
}

uint32_t snapshot_find_backend(const struct snapshot *s, uint64_t id)
{
	return find(s, SNAPSHOT_ID_BACKEND, id);
}

uint32_t snapshot_find_service(const struct snapshot *s, uint64_t id)
{
	return find(s, SNAPSHOT_ID_SERVICE, id);
}

int snapshot_bind_cmp(const struct snapshot_bind *a, const struct snapshot_bind *b)
{
	int d = memcmp(a->addr.b, b->addr.b, sizeof(a->addr.b));

	return d != 0 ? d : (a->port > b->port) - (a->port < b->port);
}

uint32_t snapshot_find_bind(const struct snapshot *s, const struct ip_addr *addr, uint16_t port)
{
	struct snapshot_bind want = {.addr = *addr, .port = port};
	uint32_t lo = 0, hi = snapshot_count(s, SNAPSHOT_BIND);

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		struct snapshot_bind b = snapshot_bind(s, mid);
		int d = snapshot_bind_cmp(&b, &want);

		if (d == 0)
			return mid;
		if (d < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return SLOT_NONE;
}

bool snapshot_is_trusted(const struct snapshot *s, const struct ip_addr *addr)
{
	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_TRUSTED); i++) {
		struct snapshot_net rec = snapshot_net(s, i);
		struct ip_net n = {rec.addr, rec.len};

		if (ip_net_contains(&n, addr))
			return true;
	}
	return false;
}
