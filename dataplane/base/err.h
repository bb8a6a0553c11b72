// SPDX-License-Identifier: Apache-2.0
/*
 * err.h: the sentence that explains a failure, outside the packet path.
 *
 * A function that can fail for the user's reasons returns 0 or a negative errno and takes a
 * struct err * last. The sentence is made where the fact is known, wrapped with context on the
 * way up, and printed once at the edge. <err> may be NULL: the caller does not want to know.
 */
#pragma once

#include <stdarg.h>

struct err {
	char msg[512]; /* NUL-terminated; empty while nothing failed */
};

/* Stores the sentence and returns -<code>, so: return err_set(err, EINVAL, "port %d: ...", p); */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "<context>: " in front of what is there. */
void err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
