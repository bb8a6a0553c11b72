// SPDX-License-Identifier: Apache-2.0
/*
 * slots.h: a pool of objects of one size, allocated at start, handed out in O(1).
 *
 * An object's address never changes, so pointers between objects of one worker are safe as long
 * as the owner clears them when it releases. Free objects are poisoned in sanitizer builds, so a
 * use after release is caught although the memory never goes back to malloc.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/pages.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define slots_poison(p, n) ASAN_POISON_MEMORY_REGION(p, n)
#define slots_unpoison(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define slots_poison(p, n) ((void)(p), (void)(n))
#define slots_unpoison(p, n) ((void)(p), (void)(n))
#endif

struct slots {
	char *mem;	/* owned, [count * size] */
	uint32_t *free; /* owned, stack of free indexes */
	uint8_t *used;	/* owned, [count]: 1 while handed out */
	uint32_t free_count, count;
	size_t size;
};

static inline bool slots_init(struct slots *s, uint32_t count, size_t size)
{
	*s = (struct slots){.count = count, .size = (size + 63) & ~(size_t)63};
	s->mem = aligned_alloc(64, s->size * (count ? count : 1));
	s->free = calloc(count ? count : 1, sizeof(*s->free));
	s->used = calloc(count ? count : 1, 1);
	if (s->mem == NULL || s->free == NULL || s->used == NULL) {
		free(s->mem);
		free(s->free);
		free(s->used);
		*s = (struct slots){0};
		return false;
	}
	pages_wish_large(s->mem, s->size * count);
	for (uint32_t i = 0; i < count; i++)
		s->free[i] = count - 1 - i;
	s->free_count = count;
	slots_poison(s->mem, s->size * count);
	return true;
}

static inline void slots_fini(struct slots *s)
{
	if (s->mem != NULL)
		slots_unpoison(s->mem, s->size * s->count);
	free(s->mem);
	free(s->free);
	free(s->used);
	*s = (struct slots){0};
}

/* Not zeroed; NULL when all are in use. */
static inline void *slots_alloc(struct slots *s)
{
	uint32_t i;
	void *p;

	if (s->free_count == 0)
		return NULL;
	i = s->free[--s->free_count];
	s->used[i] = 1;
	p = s->mem + (size_t)i * s->size;
	slots_unpoison(p, s->size);
	return p;
}

static inline void slots_release(struct slots *s, void *p)
{
	size_t off = (size_t)((char *)p - s->mem);

	bug_on(off % s->size != 0 || off / s->size >= s->count || !s->used[off / s->size]);
	s->used[off / s->size] = 0;
	slots_poison(p, s->size);
	s->free[s->free_count++] = (uint32_t)(off / s->size);
}

/* The object in slot <i>, or NULL when that slot is free. */
static inline void *slots_at(const struct slots *s, uint32_t i)
{
	return i < s->count && s->used[i] ? s->mem + (size_t)i * s->size : NULL;
}

/* Does <p> point into this pool? */
static inline bool slots_has(const struct slots *s, const void *p)
{
	return (const char *)p >= s->mem && (const char *)p < s->mem + s->size * s->count;
}

static inline uint32_t slots_used(const struct slots *s)
{
	return s->count - s->free_count;
}
