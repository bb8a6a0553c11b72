// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_image.c: memory and layout of an image under construction.
 *
 * Runs in control, not on the packet path: memory that runs out ends the process (bug_on). The
 * result depends on the order of the calls alone.
 */
#include "dataplane/snapshot/snapshot_image.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/snapshot/snapshot_check.h"

#define TEXT_SLOTS_FIRST 1024u
#define TABLE_GROWTH_MAX 8u
#define SEEDS_MAX 16u

static const struct {
	const char *name;
	uint32_t id, record, count_max;
} sections[SNAPSHOT_SECTION_COUNT] = {
#define SECTION(NAME, id, record, stride_min, count_max) \
	[SNAPSHOT_##NAME] = {#NAME, id, sizeof(record), count_max},
#include "dataplane/snapshot/snapshot.def"
#undef SECTION
};

void image_init(struct image *im)
{
	*im = (struct image){.text_mask = TEXT_SLOTS_FIRST - 1};
	for (unsigned i = 0; i < SNAPSHOT_SECTION_COUNT; i++)
		im->sec[i].record = sections[i].record;
	im->text_slots = calloc(TEXT_SLOTS_FIRST, sizeof(uint32_t));
	im->text_lens = calloc(TEXT_SLOTS_FIRST, sizeof(uint32_t));
	bug_on(im->text_slots == NULL || im->text_lens == NULL);
}

void image_fini(struct image *im)
{
	for (unsigned i = 0; i < SNAPSHOT_SECTION_COUNT; i++)
		free(im->sec[i].p);
	free(im->text_slots);
	free(im->text_lens);
}

/* Room for <n> more records; they are zero. */
static void *grow(struct image_section *s, uint32_t n)
{
	uint8_t *room;

	if (s->count + n > s->capacity) {
		s->capacity = s->capacity * 2 + n + 64;
		s->p = realloc(s->p, (size_t)s->capacity * s->record);
		bug_on(s->p == NULL);
	}
	room = s->p + (size_t)s->count * s->record;
	memset(room, 0, (size_t)n * s->record);
	s->count += n;
	return room;
}

uint32_t image_add(struct image *im, enum snapshot_section sec, const void *record)
{
	memcpy(grow(&im->sec[sec], 1), record, im->sec[sec].record);
	return im->sec[sec].count - 1;
}

void *image_at(struct image *im, enum snapshot_section sec, uint32_t i)
{
	bug_on(i >= im->sec[sec].count);
	return im->sec[sec].p + (size_t)i * im->sec[sec].record;
}

uint32_t image_count(const struct image *im, enum snapshot_section sec)
{
	return im->sec[sec].count;
}

static uint32_t text_hash(struct str s)
{
	return (uint32_t)snapshot_hash(0, s);
}

static void text_rehash(struct image *im)
{
	uint32_t mask = im->text_mask * 2 + 1;
	uint32_t *slots = calloc(mask + 1ul, sizeof(uint32_t));
	uint32_t *lens = calloc(mask + 1ul, sizeof(uint32_t));

	bug_on(slots == NULL || lens == NULL);
	for (uint32_t i = 0; i <= im->text_mask; i++) {
		const char *p = (const char *)im->sec[SNAPSHOT_STRINGS].p;
		uint32_t k;

		if (im->text_slots[i] == 0)
			continue;
		k = text_hash(str_make(p + im->text_slots[i] - 1, im->text_lens[i])) & mask;
		while (slots[k] != 0)
			k = (k + 1) & mask;
		slots[k] = im->text_slots[i];
		lens[k] = im->text_lens[i];
	}
	free(im->text_slots);
	free(im->text_lens);
	im->text_slots = slots;
	im->text_lens = lens;
	im->text_mask = mask;
}

struct snapshot_ref image_text(struct image *im, struct str s)
{
	struct image_section *sec = &im->sec[SNAPSHOT_STRINGS];
	struct snapshot_ref ref = {0, (uint32_t)s.len};
	uint32_t k = text_hash(s) & im->text_mask;

	if (s.len == 0)
		return ref;
	for (; im->text_slots[k] != 0; k = (k + 1) & im->text_mask) {
		ref.off = im->text_slots[k] - 1;
		if (im->text_lens[k] == s.len && memcmp(sec->p + ref.off, s.p, s.len) == 0)
			return ref;
	}
	ref.off = sec->count;
	memcpy(grow(sec, (uint32_t)s.len), s.p, s.len);
	im->text_slots[k] = ref.off + 1;
	im->text_lens[k] = ref.len;
	if (++im->text_count * 2 > im->text_mask)
		text_rehash(im);
	return ref;
}

struct snapshot image_view(const struct image *im)
{
	struct snapshot s = {.hash_seed = im->hash_seed};

	for (unsigned i = 0; i < SNAPSHOT_SECTION_COUNT; i++) {
		s.sec[i].p = im->sec[i].p;
		s.sec[i].stride = im->sec[i].record;
		s.sec[i].count = im->sec[i].count;
	}
	return s;
}

/* False when some key finds no slot within the probes: the table is too small. */
static bool fill_slots(struct image *im, enum snapshot_section nodes, struct snapshot_slot *slots,
	uint32_t mask)
{
	struct snapshot s = image_view(im);

	for (uint32_t i = 0; i < image_count(im, nodes); i++) {
		uint64_t hash = nodes == SNAPSHOT_HOST
			? snapshot_host_hash(&s, image_at(im, nodes, i))
			: snapshot_path_hash(&s, image_at(im, nodes, i));
		uint32_t k = 0;

		while (k < SNAPSHOT_PROBES_MAX && slots[((uint32_t)hash + k) & mask].node != 0)
			k++;
		if (k == SNAPSHOT_PROBES_MAX)
			return false;
		slots[((uint32_t)hash + k) & mask] =
			(struct snapshot_slot){(uint32_t)(hash >> 32), i + 1};
	}
	return true;
}

static bool index_nodes(struct image *im, enum snapshot_section nodes, enum snapshot_section sec)
{
	uint32_t first = 8;

	while (first < 2 * image_count(im, nodes))
		first *= 2;
	for (uint32_t size = first; size <= TABLE_GROWTH_MAX * first; size *= 2) {
		im->sec[sec].count = 0;
		if (fill_slots(im, nodes, grow(&im->sec[sec], size), size - 1))
			return true;
	}
	return false;
}

/*
 * Names and paths are chosen by users of the clusters, and the hash is no secret: should somebody
 * find keys that crowd one place, the next seed scatters them.
 */
int image_index(struct image *im, struct err *err)
{
	for (im->hash_seed = 0; im->hash_seed < SEEDS_MAX; im->hash_seed++)
		if (index_nodes(im, SNAPSHOT_HOST, SNAPSHOT_HOST_SLOT) &&
			index_nodes(im, SNAPSHOT_PATH, SNAPSHOT_PATH_SLOT))
			return 0;
	return err_set(err, EINVAL, "hostnames or paths that collide in every hash table");
}

/* Sections begin cache lines, so that records of 32 or 64 bytes lie in one. */
static size_t align_section(size_t n)
{
	return (n + 63) & ~(size_t)63;
}

int image_finish(struct image *im, uint64_t generation, void **ret_image, size_t *ret_len,
	struct err *err)
{
	struct snapshot_header h = {
		.magic = SNAPSHOT_MAGIC,
		.version = SNAPSHOT_VERSION,
		.section_count = SNAPSHOT_SECTION_COUNT,
		.generation = generation,
	};
	size_t table = sizeof(h),
	       off = align_section(table + sizeof(struct snapshot_entry) * SNAPSHOT_SECTION_COUNT);
	uint8_t *out;

	h.image_len = off;
	for (unsigned i = 0; i < SNAPSHOT_SECTION_COUNT; i++) {
		if (im->sec[i].count > sections[i].count_max)
			return err_set(err, EINVAL, "%s: %u records, the limit is %u",
				sections[i].name, im->sec[i].count, sections[i].count_max);
		h.image_len += align_section((size_t)im->sec[i].count * im->sec[i].record);
	}
	if (h.image_len > SNAPSHOT_BYTES_MAX)
		return err_set(err, EINVAL, "the image has %llu bytes, the limit is %u",
			(unsigned long long)h.image_len, SNAPSHOT_BYTES_MAX);
	out = calloc(1, h.image_len);
	bug_on(out == NULL);
	memcpy(out, &h, sizeof(h));
	for (unsigned i = 0; i < SNAPSHOT_SECTION_COUNT;
		i++, table += sizeof(struct snapshot_entry)) {
		const struct image_section *s = &im->sec[i];
		struct snapshot_entry e = {sections[i].id, s->record, off, s->count, 0};

		memcpy(out + table, &e, sizeof(e));
		if (s->count > 0)
			memcpy(out + off, s->p, (size_t)s->count * s->record);
		off += align_section((size_t)s->count * s->record);
	}
	snapshot_seal(out, h.image_len);
	*ret_image = out;
	*ret_len = h.image_len;
	return 0;
}
