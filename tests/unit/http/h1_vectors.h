// SPDX-License-Identifier: Apache-2.0
/*
 * h1_vectors.h: reads tests/vectors/h1 (format: its README.md), for unit tests and fuzz seeds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "dataplane/base/arena.h"
#include "dataplane/base/str.h"
#include "dataplane/http/h1.h"

#define H1_VECTOR_FACTS_MAX 32

enum h1_vector_kind { H1_VECTOR_REQUEST, H1_VECTOR_RESPONSE, H1_VECTOR_CHUNKED, H1_VECTOR_STREAM };

struct h1_vector {
	const char *name; /* "file: claim" */
	enum h1_vector_kind kind;
	enum h1_method method; /* RESPONSE: of its request */
	struct str input;
	struct {
		struct str key, value; /* in the file's order; "expect" lines first come first */
	} facts[H1_VECTOR_FACTS_MAX];
	unsigned fact_count;
};

struct h1_vectors {
	struct arena arena;
	struct h1_vector *v;
	size_t count;
};

/* Reads all *.txt of a folder; ends the process with file and line on a malformed one. */
void h1_vectors_load(struct h1_vectors *vs, const char *dir);
void h1_vectors_free(struct h1_vectors *vs);
/* Value of the <n>-th fact with this key; {NULL, 0} when there are fewer. */
struct str h1_vector_fact(const struct h1_vector *v, const char *key, unsigned n);
/* Decodes the escapes of one line of text. */
struct str h1_vector_unescape(struct arena *a, struct str text);
