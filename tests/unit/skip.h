// SPDX-License-Identifier: Apache-2.0
/*
 * skip.h: a test that does not run says why. scripts/test shows the line and counts the test as
 * skipped; where what is missing could be provided, a run with CI=true fails for it.
 */
#pragma once

#include <stdio.h>

/* What: "root", say. A run that is prepared for everything must have it. */
#define skip_needs(what) \
	do { \
		printf("# skip %s: needs %s\n", __func__, what); \
		skip(); \
	} while (0)

/* Why: the machine is another one. Nothing that a run could prepare changes it. */
#define skip_elsewhere(why) \
	do { \
		printf("# skip %s: elsewhere: %s\n", __func__, why); \
		skip(); \
	} while (0)

#define SKIP_EXIT 77 /* of a program that skips all it has; meson reads it so too */

/* For main(): return skip_all("root"); */
static inline int skip_all(const char *what)
{
	printf("# skip all: needs %s\n", what);
	return SKIP_EXIT;
}
