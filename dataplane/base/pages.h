// SPDX-License-Identifier: Apache-2.0
/*
 * pages.h: tables that are looked into at random, on large pages.
 *
 * A look into a table of many megabytes costs a walk of the page tables besides the cache miss, in
 * a virtual machine two of them, one inside the other. Pages of 2 MiB make the walk short and rare.
 * It is a wish: the kernel grants it when transparent huge pages are set to madvise or always.
 */
#pragma once

#include <stddef.h>

/*
 * Memory for such a table, for free(): it begins a cache line, and if it is large a large page. Not
 * zeroed. NULL: there is none.
 */
void *pages_alloc(size_t bytes);
/* Wishes large pages for [p, p + bytes), memory of malloc() and its kin, not touched yet. */
void pages_wish_large(void *p, size_t bytes);
