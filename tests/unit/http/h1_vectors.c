// SPDX-License-Identifier: Apache-2.0
/*
 * h1_vectors.c: the reader of tests/vectors/h1.
 */
#include "tests/unit/http/h1_vectors.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#define FILE_BYTES_MAX (1u << 20)
#define INPUT_BYTES_MAX (128u << 10)
#define VECTORS_MAX 4096

struct reader {
	struct h1_vectors *vs;
	const char *file;
	unsigned line;
	char *input; /* of the current vector, INPUT_BYTES_MAX */
	size_t input_len;
};

static _Noreturn void bad(const struct reader *r, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", r->file, r->line, what);
	exit(1);
}

static int hex(char c)
{
	const char *digits = "0123456789abcdef", *p = c ? strchr(digits, ascii_lower(c)) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* One escape or plain byte from the front of *<s>; -1 when the escape is unknown. */
static int next_byte(struct str *s)
{
	struct str t = *s;
	int c = (unsigned char)t.p[0];

	*s = str_from(t, 1);
	if (c != '\\')
		return c;
	if (t.len < 2)
		return -1;
	*s = str_from(t, 2);
	switch (t.p[1]) {
	case 'r':
		return '\r';
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case '0':
		return 0;
	case '\\':
		return '\\';
	case 'x':
		if (t.len < 4 || hex(t.p[2]) < 0 || hex(t.p[3]) < 0)
			return -1;
		*s = str_from(t, 4);
		return hex(t.p[2]) << 4 | hex(t.p[3]);
	}
	return -1;
}

/* Appends; the bytes written, or -1. */
static ssize_t unescape(struct str s, char *out, size_t size)
{
	size_t n = 0;

	while (s.len > 0) {
		if (str_starts(s, STR("\\{"))) {
			ptrdiff_t end = str_find(s, '}'), colon = str_find(s, ':');
			uint64_t times = 0;
			struct str text;

			if (end < 0 || colon < 0 || colon > end ||
				!str_to_u64(str_make(s.p + 2, (size_t)colon - 2), &times))
				return -1;
			text = str_make(s.p + colon + 1, (size_t)(end - colon - 1));
			for (uint64_t i = 0; i < times; i++) {
				ssize_t m = unescape(text, out + n, size - n);

				if (m < 0)
					return -1;
				n += (size_t)m;
			}
			s = str_from(s, (size_t)end + 1);
			continue;
		}
		int c = next_byte(&s);

		if (c < 0 || n == size)
			return -1;
		out[n++] = (char)c;
	}
	return (ssize_t)n;
}

struct str h1_vector_unescape(struct arena *a, struct str text)
{
	char *buf = malloc(INPUT_BYTES_MAX);
	ssize_t n = unescape(text, buf, INPUT_BYTES_MAX);
	struct str s = n < 0 ? (struct str){NULL, 0} : arena_str(a, str_make(buf, (size_t)n));

	free(buf);
	return s;
}

static void read_kind(struct reader *r, struct h1_vector *v, struct str what)
{
	static const char *const methods[] = {"", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT",
		"OPTIONS", "TRACE", "PATCH"};

	if (str_eq(what, STR("request")))
		v->kind = H1_VECTOR_REQUEST;
	else if (str_eq(what, STR("chunked")))
		v->kind = H1_VECTOR_CHUNKED;
	else if (str_eq(what, STR("stream")))
		v->kind = H1_VECTOR_STREAM;
	else if (str_eq(str_cut(&what, ' '), STR("response"))) {
		v->kind = H1_VECTOR_RESPONSE;
		for (unsigned i = H1_GET; i <= H1_PATCH; i++)
			if (str_eq(what, str_of(methods[i])))
				v->method = (enum h1_method)i;
	} else
		bad(r, "unknown kind of input");
}

static void read_line(struct reader *r, struct str line)
{
	struct h1_vectors *vs = r->vs;
	struct h1_vector *v = vs->count > 0 ? &vs->v[vs->count - 1] : NULL;
	struct str key, rest = line;

	if (line.len == 0 || line.p[0] == '#')
		return;
	if (line.p[0] == '|') {
		ssize_t n = unescape(str_from(line, 2), r->input + r->input_len,
			INPUT_BYTES_MAX - r->input_len);

		if (v == NULL || n < 0)
			bad(r, "bad input line");
		r->input_len += (size_t)n;
		return;
	}
	key = str_cut(&rest, ':');
	if (rest.p == NULL)
		bad(r, "no colon");
	rest = str_from(rest, rest.len > 0 && rest.p[0] == ' ');
	if (str_eq(key, STR("claim"))) {
		if (vs->count == VECTORS_MAX)
			bad(r, "too many vectors");
		v = &vs->v[vs->count++];
		v->name = arena_printf(&vs->arena, "%.*s: %.*s", (int)strcspn(r->file, "."),
			r->file, STR_FMT(rest));
		r->input_len = 0;
	} else if (v == NULL) {
		bad(r, "a claim must come first");
	} else if (str_eq(key, STR("input"))) {
		read_kind(r, v, rest);
	} else {
		if (v->fact_count == H1_VECTOR_FACTS_MAX)
			bad(r, "too many facts");
		if (v->input.p == NULL)
			v->input = arena_str(&vs->arena, str_make(r->input, r->input_len));
		v->facts[v->fact_count].key = key;
		v->facts[v->fact_count++].value = rest;
	}
}

static void read_file(struct reader *r, const char *dir)
{
	char *path = arena_printf(&r->vs->arena, "%s/%s", dir, r->file);
	char *text = arena_alloc(&r->vs->arena, FILE_BYTES_MAX);
	FILE *f = fopen(path, "r");
	struct str rest;

	r->line = 0;
	if (f == NULL)
		bad(r, "cannot open");
	rest = str_make(text, fread(text, 1, FILE_BYTES_MAX, f));
	fclose(f);
	while (rest.len > 0) {
		r->line++;
		read_line(r, str_cut(&rest, '\n'));
	}
}

static int is_vector_file(const struct dirent *d)
{
	return str_ends(str_of(d->d_name), STR(".txt"));
}

void h1_vectors_load(struct h1_vectors *vs, const char *dir)
{
	struct reader r = {.vs = vs, .input = malloc(INPUT_BYTES_MAX)};
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, is_vector_file, alphasort);

	*vs = (struct h1_vectors){0};
	arena_init(&vs->arena, 0);
	vs->v = arena_array(&vs->arena, struct h1_vector, VECTORS_MAX);
	for (int i = 0; i < n; i++) {
		r.file = arena_printf(&vs->arena, "%s", entries[i]->d_name);
		read_file(&r, dir);
		free(entries[i]);
	}
	free(entries);
	free(r.input);
}

void h1_vectors_free(struct h1_vectors *vs)
{
	arena_fini(&vs->arena);
}

struct str h1_vector_fact(const struct h1_vector *v, const char *key, unsigned n)
{
	for (unsigned i = 0; i < v->fact_count; i++)
		if (str_eq(v->facts[i].key, str_of(key)) && n-- == 0)
			return v->facts[i].value;
	return (struct str){NULL, 0};
}
