// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_image.h: an image while it is being built: one growing array per section, text stored
 * once, hash tables at the end. For the files of this folder.
 */
#pragma once

#include "dataplane/snapshot/snapshot.h"

struct image_section {
	uint8_t *p; /* owned */
	uint32_t record, count, capacity;
};

struct image {
	struct image_section sec[SNAPSHOT_SECTION_COUNT];
	uint32_t *text_slots; /* owned; STRINGS' offsets + 1, by hash */
	uint32_t *text_lens;  /* owned; beside them */
	uint32_t text_mask, text_count;
	uint32_t hash_seed;
};

void image_init(struct image *im);
void image_fini(struct image *im);
/* Appends a copy of the record; its index. */
uint32_t image_add(struct image *im, enum snapshot_section sec, const void *record);
void *image_at(struct image *im, enum snapshot_section sec, uint32_t i);
uint32_t image_count(const struct image *im, enum snapshot_section sec);
struct snapshot_ref image_text(struct image *im, struct str s);
/* A view that snapshot_str() and the hashes of snapshot_check.h work on. */
struct snapshot image_view(const struct image *im);
/* Builds HOST_SLOT and PATH_SLOT; the hash_seed it chose is then known. */
int image_index(struct image *im, struct err *err);
/* Lays the sections out in a malloc'ed, sealed image. -EINVAL when a limit is passed. */
int image_finish(struct image *im, uint64_t generation, void **ret_image, size_t *ret_len,
	struct err *err);
