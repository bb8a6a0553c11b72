// SPDX-License-Identifier: Apache-2.0
/*
 * arena.h: memory that is freed all at once (one configuration, one compile, one request).
 *
 * No frees inside. Allocation beyond <max_bytes> returns NULL and sets the overflow bit, which
 * the owner tests once, late; with max_bytes 0 there is no limit and running out of memory ends
 * the process. All memory is zeroed and aligned to 16.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/base/str.h"

struct arena_block;

#define ARENA_LINE 64u

struct arena {
	struct arena_block *blocks; /* owned, newest first */
	size_t used_bytes, max_bytes;
	bool overflow; /* an allocation was refused */
};

void arena_init(struct arena *a, size_t max_bytes);
void arena_fini(struct arena *a);
void *arena_alloc(struct arena *a, size_t len);
/* Begins a cache line: for arrays that are looked into at random. */
void *arena_alloc_lines(struct arena *a, size_t len);
/* What it takes of the heap, rather than what was asked of it. */
size_t arena_held_bytes(const struct arena *a);
/* Copies; the copy is NUL-terminated behind its length. {NULL, 0} on overflow. */
struct str arena_str(struct arena *a, struct str s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define arena_new(a, type) ((type *)arena_alloc(a, sizeof(type)))
#define arena_array(a, type, n) ((type *)arena_alloc(a, sizeof(type) * (size_t)(n)))
