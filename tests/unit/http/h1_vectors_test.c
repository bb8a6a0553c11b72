// SPDX-License-Identifier: Apache-2.0
/*
 * h1_vectors_test.c: every vector of tests/vectors/h1, at every split point, with the input at
 * the end of a page and nothing readable behind it.
 *
 * A prefix of a head must say "more" or already the final error; a head that is complete gives
 * the same whatever comes behind it; a chunked body gives the same data however it is cut; a
 * client's stream gives the same list of requests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "tests/unit/http/h1_vectors.h"

#define PAGE 4096u
#define ROOM (64u * PAGE)
#define SPLITS_DENSE 2048 /* longer inputs are split at every 61st byte and near their ends */

static char *guard; /* ROOM bytes, then a page that may not be touched */
static struct h1_vectors vectors;

/* <len> bytes of input, ending where the readable memory ends. */
static const char *at_page_end(const char *p, size_t len)
{
	char *to = guard + ROOM - len;

	memmove(to, p, len);
	return to;
}

static size_t next_split(size_t i, size_t len)
{
	if (len <= SPLITS_DENSE || i < 128 || i + 128 >= len)
		return i + 1;
	return i + 61 < len - 128 ? i + 61 : len - 128;
}

static const char *yes_no(bool b)
{
	return b ? "yes" : "no";
}

static void body_text(const struct h1_head *h, char out[64])
{
	static const char *const names[] = {"none", "length", "chunked", "close"};

	if (h->body == H1_BODY_LENGTH)
		snprintf(out, 64, "length %llu", (unsigned long long)h->content_length);
	else
		snprintf(out, 64, "%s", names[h->body]);
}

/* Names of the fields with <flag>, by blanks. */
static struct str flagged(const struct h1_head *h, uint8_t flag, char *out, size_t size)
{
	size_t n = 0;

	for (uint32_t i = 0; i < h->header_count; i++)
		if (h->headers[i].flags & flag)
			n += (size_t)snprintf(out + n, size - n, "%s%.*s", n ? " " : "",
				STR_FMT(h->headers[i].name));
	return str_make(out, n);
}

static struct str first_value(const struct h1_head *h, struct str name)
{
	for (uint32_t i = 0; i < h->header_count; i++)
		if (str_eq(h->headers[i].name, name))
			return h->headers[i].value;
	return STR("(absent)");
}

static void assert_str(const char *what, struct str got, struct str want)
{
	if (!str_eq(got, want))
		fail_msg("%s: got \"%.*s\", want \"%.*s\"", what, STR_FMT(got), STR_FMT(want));
}

static void check_head_fact(const struct h1_head *h, size_t rest, struct str key, struct str want)
{
	char num[64], list[2048];

#define TEXT(name, expr) \
	if (str_eq(key, STR(name))) { \
		assert_str(name, expr, want); \
		return; \
	}
#define NUMBER(name, expr) \
	if (str_eq(key, STR(name))) { \
		snprintf(num, sizeof(num), "%llu", (unsigned long long)(expr)); \
		assert_str(name, str_of(num), want); \
		return; \
	}
	TEXT("method", h->method)
	TEXT("target", h->target)
	TEXT("path", h->path)
	TEXT("query", h->query)
	TEXT("host", h->host)
	TEXT("host_name", h->host_name)
	TEXT("reason", h->reason)
	NUMBER("status", h->status)
	NUMBER("minor", h->minor)
	NUMBER("fields", h->header_count)
	NUMBER("rest", rest)
	TEXT("keep_alive", str_of(yes_no(h->keep_alive)))
	TEXT("expect_continue", str_of(yes_no(h->expect_continue)))
	TEXT("upgrade", str_of(yes_no(h->upgrade)))
	TEXT("slashes", str_of(yes_no(h->slashes)))
	TEXT("hop", flagged(h, H1_HEADER_HOP, list, sizeof(list)))
	TEXT("origin", flagged(h, H1_HEADER_ORIGIN, list, sizeof(list)))
	if (str_eq(key, STR("body"))) {
		body_text(h, num);
		assert_str("body", str_of(num), want);
		return;
	}
	if (str_eq(key, STR("value"))) {
		struct str name = str_cut(&want, ' ');

		assert_str("value", first_value(h, name), want);
		return;
	}
	fail_msg("unknown fact \"%.*s\"", STR_FMT(key));
}

static ssize_t parse_head(const struct h1_vector *v, const char *p, size_t len, struct h1_head *h)
{
	if (v->kind == H1_VECTOR_RESPONSE)
		return h1_parse_response(p, len, v->method, h);
	return h1_parse_request(p, len, h);
}

static const char *outcome(ssize_t rc)
{
	return rc > 0 ? "ok" : rc == 0 ? "more" : h1_error_name((int)-rc);
}

static void check_head_splits(const struct h1_vector *v, ssize_t final)
{
	struct h1_head h;
	ssize_t before = H1_MORE;

	for (size_t i = 0; i < v->input.len; i = next_split(i, v->input.len)) {
		const char *p = at_page_end(v->input.p, i);
		ssize_t rc = parse_head(v, p, i, &h);
		bool late = final > 0 && i >= (size_t) final;

		if (late ? rc != final : rc != H1_MORE && rc != final)
			fail_msg("at byte %zu: %s", i, outcome(rc));
		if (before < 0 && rc != before)
			fail_msg("at byte %zu the error went away", i);
		if (final > 0)
			assert_int_equal(h1_head_is_complete(p, i, i / 2), late);
		before = rc;
	}
}

static void check_head(const struct h1_vector *v)
{
	struct str want = h1_vector_fact(v, "expect", 0);
	struct h1_head h;
	ssize_t rc = parse_head(v, at_page_end(v->input.p, v->input.len), v->input.len, &h);

	if (str_starts(want, STR("error ")))
		assert_str("outcome", str_of(outcome(rc)), str_from(want, 6));
	else
		assert_str("outcome", str_of(outcome(rc)), want);
	for (unsigned i = 0; i < v->fact_count && rc > 0; i++)
		if (!str_eq(v->facts[i].key, STR("expect")))
			check_head_fact(&h, v->input.len - (size_t)rc, v->facts[i].key,
				v->facts[i].value);
	check_head_splits(v, rc);
}

struct body {
	char data[ROOM];
	size_t len, consumed;
	int error;
	bool last;
};

/* Feeds input[from, to) as one arrival. */
static void feed_chunked(struct h1_chunk *c, struct body *b, struct str input, size_t to)
{
	while (b->consumed < to && !b->last && b->error == 0) {
		size_t n = to - b->consumed;
		const char *p = at_page_end(input.p + b->consumed, n);
		struct h1_piece piece;
		ssize_t rc = h1_chunk_parse(c, p, n, &piece);

		if (rc < 0) {
			b->error = (int)-rc;
			return;
		}
		assert_true(rc > 0 && (size_t)rc <= n && piece.off + piece.len <= (size_t)rc);
		memcpy(b->data + b->len, p + piece.off, piece.len);
		b->len += piece.len;
		b->consumed += (size_t)rc;
		b->last = piece.last;
	}
}

static void check_chunked_once(const struct h1_vector *v, size_t split, size_t step)
{
	static struct body b;
	struct str want = h1_vector_fact(v, "expect", 0);
	struct str data = h1_vector_fact(v, "data", 0), rest = h1_vector_fact(v, "rest", 0);
	struct h1_chunk c;
	char num[32];

	b.len = b.consumed = 0, b.error = 0, b.last = false;
	h1_chunk_init(&c);
	if (split > 0)
		feed_chunked(&c, &b, v->input, split);
	for (size_t to = split; to < v->input.len && !b.last && b.error == 0;) {
		to = to + step < v->input.len ? to + step : v->input.len;
		feed_chunked(&c, &b, v->input, to);
	}
	if (str_starts(want, STR("error ")))
		assert_str("outcome", str_of(b.error ? h1_error_name(b.error) : "no error"),
			str_from(want, 6));
	else
		assert_str("outcome",
			str_of(b.error		 ? h1_error_name(b.error)
					: b.last ? "ok"
						 : "more"),
			want);
	if (data.p != NULL)
		assert_str("data", str_make(b.data, b.len),
			h1_vector_unescape(&vectors.arena, data));
	snprintf(num, sizeof(num), "%zu", v->input.len - b.consumed);
	if (rest.p != NULL)
		assert_str("rest", str_of(num), rest);
}

static void check_chunked(const struct h1_vector *v)
{
	for (size_t i = 0; i < v->input.len; i = next_split(i, v->input.len))
		check_chunked_once(v, i, v->input.len);
	check_chunked_once(v, 0, 1);
	check_chunked_once(v, 0, 7);
}

/* A client's connection as a server sees it, with <avail> bytes at first and then all of them. */
struct stream {
	const struct h1_vector *v;
	size_t pos, avail;
	unsigned line; /* next "expect" line */
};

static void expect_line(struct stream *s, const char *got)
{
	assert_str("next message", str_of(got), h1_vector_fact(s->v, "expect", s->line++));
}

static bool stream_wait(struct stream *s)
{
	if (s->avail == s->v->input.len)
		return false;
	s->avail = s->v->input.len;
	return true;
}

/* Content of one message, or -1: unfinished, or -2: an error was reported. */
static ssize_t stream_body(struct stream *s, const struct h1_head *h)
{
	size_t size = 0;
	struct h1_chunk c;
	struct h1_piece piece = {0};

	if (h->body == H1_BODY_NONE)
		return 0;
	if (h->body == H1_BODY_LENGTH) {
		while (s->avail - s->pos < h->content_length)
			if (!stream_wait(s))
				return -1;
		s->pos += h->content_length;
		return (ssize_t)h->content_length;
	}
	h1_chunk_init(&c);
	while (!piece.last) {
		size_t n = s->avail - s->pos;
		ssize_t rc = h1_chunk_parse(&c, at_page_end(s->v->input.p + s->pos, n), n, &piece);
		char text[64];

		if (rc < 0) {
			snprintf(text, sizeof(text), "error %s", h1_error_name((int)-rc));
			expect_line(s, text);
			return -2;
		}
		s->pos += (size_t)rc;
		size += piece.len;
		if (n == 0 && !stream_wait(s))
			return -1;
	}
	return (ssize_t)size;
}

static void check_stream_once(const struct h1_vector *v, size_t split)
{
	struct stream s = {v, 0, split, 0};
	struct h1_head h = {.keep_alive = true};
	char text[256];

	while (h.keep_alive && s.pos < v->input.len) {
		size_t n = s.avail - s.pos;
		ssize_t rc = h1_parse_request(at_page_end(v->input.p + s.pos, n), n, &h);
		int len;

		if (rc < 0) {
			snprintf(text, sizeof(text), "error %s", h1_error_name((int)-rc));
			expect_line(&s, text);
			return;
		}
		if (rc == H1_MORE) {
			h.keep_alive = true;
			if (stream_wait(&s))
				continue;
			expect_line(&s, "more");
			return;
		}
		s.pos += (size_t)rc;
		len = snprintf(text, sizeof(text), "%.*s %.*s", STR_FMT(h.method),
			STR_FMT(h.target));
		rc = stream_body(&s, &h);
		if (rc == -1)
			expect_line(&s, "more");
		if (rc < 0)
			return;
		if (rc > 0)
			snprintf(text + len, sizeof(text) - (size_t)len, " +%zd", rc);
		expect_line(&s, text);
	}
	expect_line(&s, "end");
}

static void check_vector(void **state)
{
	const struct h1_vector *v = *state;

	assert_non_null(h1_vector_fact(v, "expect", 0).p);
	if (v->kind == H1_VECTOR_CHUNKED)
		check_chunked(v);
	else if (v->kind != H1_VECTOR_STREAM)
		check_head(v);
	for (size_t i = 0; v->kind == H1_VECTOR_STREAM && i <= v->input.len; i++)
		check_stream_once(v, i);
}

int main(void)
{
	struct CMUnitTest *tests;
	int rc;

	guard = mmap(NULL, ROOM + PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (guard == MAP_FAILED || mprotect(guard + ROOM, PAGE, PROT_NONE) != 0)
		return 1;
	h1_vectors_load(&vectors, VECTORS_DIR);
	if (vectors.count < 200)
		return 1;
	tests = arena_array(&vectors.arena, struct CMUnitTest, vectors.count);
	for (size_t i = 0; i < vectors.count; i++)
		tests[i] = (struct CMUnitTest){vectors.v[i].name, check_vector, NULL, NULL,
			&vectors.v[i]};
	rc = _cmocka_run_group_tests("h1_vectors", tests, vectors.count, NULL, NULL);
	h1_vectors_free(&vectors);
	munmap(guard, ROOM + PAGE);
	return rc;
}
