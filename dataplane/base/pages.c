// SPDX-License-Identifier: Apache-2.0
/*
 * pages.c: see pages.h.
 */
#include "dataplane/base/pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define LARGE_PAGE ((size_t)2 << 20)

void *pages_alloc(size_t bytes)
{
	size_t align = bytes >= LARGE_PAGE ? LARGE_PAGE : 64;
	size_t size = (bytes + align - 1) / align * align;
	void *p = aligned_alloc(align, size > 0 ? size : align);

	pages_wish_large(p, size);
	return p;
}

void pages_wish_large(void *p, size_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uintptr_t from = ((uintptr_t)p + page - 1) / page * page;
	uintptr_t to = ((uintptr_t)p + bytes) / page * page;

	/* refused where the kernel has none: then it stays as it is */
	if (p != NULL && bytes >= LARGE_PAGE)
		madvise((void *)from, to - from, MADV_HUGEPAGE);
}
