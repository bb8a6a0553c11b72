// SPDX-License-Identifier: Apache-2.0
/*
 * bug.c: the end of a process that found itself wrong.
 */
#include "dataplane/base/bug.h"

void (*bug_dump_fn)(void);

_Noreturn void bug_panic(const char *file, int line, const char *func, const char *what)
{
	fprintf(stderr, "level=fatal mod=bug at=%s:%d func=%s msg=\"%s\"\n", file, line, func,
		what);
	if (bug_dump_fn != NULL) {
		void (*dump)(void) = bug_dump_fn;
		bug_dump_fn = NULL; /* a bug inside the dump must not come back here */
		dump();
	}
	fflush(stderr);
	abort();
}
