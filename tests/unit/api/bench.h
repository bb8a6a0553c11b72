// SPDX-License-Identifier: Apache-2.0
/*
 * bench.h: what a test of whole programs needs: a directory of its own, the programs of this build,
 * requests over control's socket, patience.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct answer {
	long status; /* 0: none came */
	char body[256 << 10], etag[64];
	size_t len;
};

extern struct bench {
	char dir[64];	    /* made by the test */
	char build[4096];   /* where the programs are */
	struct answer last; /* of get() */
} bench;

void find_build(void);
/* A path in the directory; the result of the last few calls stays valid. */
const char *in_dir(const char *name);
/* Writes a file by rename. */
void put(const char *name, const char *text);

/* Its log goes to control.log. */
pid_t spawn_control(const char *config);
int wait_exit(pid_t pid);
/* Runs "<program> <arguments>" of the build with its whole output in <out>; the exit status. */
int run(char *out, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* <header> and <body> may be NULL. */
void call(struct answer *a, const char *method, const char *path, const char *header,
	const char *body, size_t body_len);
long get(const char *path);

/* Until <fn> is true, or patience ends. */
bool soon(bool (*fn)(const void *arg), const void *arg);
