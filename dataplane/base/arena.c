// SPDX-License-Identifier: Apache-2.0
/*
 * arena.c: blocks of growing size, chained; the newest is filled first.
 */
#include "dataplane/base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"

#define ARENA_BLOCK_MIN 1024 /* thousands of objects have an arena each */

struct arena_block {
	struct arena_block *next;
	size_t size, used;
	_Alignas(16) unsigned char data[];
};

void arena_init(struct arena *a, size_t max_bytes)
{
	*a = (struct arena){.max_bytes = max_bytes};
}

void arena_fini(struct arena *a)
{
	struct arena_block *b = a->blocks;

	while (b != NULL) {
		struct arena_block *next = b->next;

		free(b);
		b = next;
	}
	*a = (struct arena){.max_bytes = a->max_bytes};
}

static struct arena_block *block_new(struct arena *a, size_t len)
{
	size_t size = a->blocks ? a->blocks->size * 2 : ARENA_BLOCK_MIN;
	struct arena_block *b;

	if (size > (1u << 20))
		size = 1u << 20;
	if (size < len)
		size = len;
	b = calloc(1, sizeof(*b) + size);
	bug_on(b == NULL);
	b->size = size;
	b->next = a->blocks;
	a->blocks = b;
	return b;
}

void *arena_alloc(struct arena *a, size_t len)
{
	struct arena_block *b = a->blocks;
	void *p;

	bug_on(len > SIZE_MAX / 4);
	len = (len + 15) & ~(size_t)15;
	if (len == 0)
		len = 16;
	if (a->max_bytes != 0 && a->used_bytes + len > a->max_bytes) {
		a->overflow = true;
		return NULL;
	}
	if (b == NULL || b->size - b->used < len)
		b = block_new(a, len);
	p = b->data + b->used;
	b->used += len;
	a->used_bytes += len;
	return p;
}

size_t arena_held_bytes(const struct arena *a)
{
	size_t n = 0;

	for (const struct arena_block *b = a->blocks; b != NULL; b = b->next)
		n += sizeof(*b) + b->size;
	return n;
}

void *arena_alloc_lines(struct arena *a, size_t len)
{
	char *p = arena_alloc(a, len + ARENA_LINE);

	return p == NULL ? NULL : p + (-(uintptr_t)p & (ARENA_LINE - 1));
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = arena_alloc(a, s.len + 1);

	if (p == NULL)
		return (struct str){NULL, 0};
	if (s.len)
		memcpy(p, s.p, s.len);
	return (struct str){p, s.len};
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	char small[256]; /* most texts fit, and are formatted once */
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	bug_on(n < 0);
	p = arena_alloc(a, (size_t)n + 1);
	if (p == NULL)
		return NULL;
	if ((size_t)n < sizeof(small)) {
		memcpy(p, small, (size_t)n + 1);
		return p;
	}
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}
