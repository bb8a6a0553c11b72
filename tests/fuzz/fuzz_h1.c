// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_h1.c: heads. The first byte chooses request or response to a method; the rest is input.
 *
 * A head that parses parses the same from a prefix's point of view, and what we would forward of
 * it parses again, strictly, with the same meaning: a gateway must never emit what it would refuse.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/http/h1.h"
#include "tests/fuzz/fuzz.h"

#define OUT_MAX (2 * H1_HEAD_BYTES_MAX)

static ssize_t parse(unsigned kind, const char *p, size_t len, struct h1_head *h)
{
	if (kind == 0)
		return h1_parse_request(p, len, h);
	return h1_parse_response(p, len, (enum h1_method)kind, h);
}

static void check_prefix(unsigned kind, const char *p, size_t cut, ssize_t whole)
{
	struct h1_head h;
	char *copy = malloc(cut ? cut : 1);
	ssize_t rc;

	memcpy(copy, p, cut);
	rc = parse(kind, copy, cut, &h);
	bug_on(rc != H1_MORE && rc != whole);
	bug_on(whole > 0 && rc != (cut >= (size_t)whole ? whole : H1_MORE));
	bug_on(whole > 0 && cut >= (size_t)whole && !h1_head_is_complete(copy, cut, 0));
	free(copy);
}

/* Nothing of the peer's connection leaks into ours. */
static void check_forwarded(const struct h1_head *was, const struct h1_head *is)
{
	for (uint32_t i = 0; i < is->header_count; i++)
		bug_on((is->headers[i].flags & H1_HEADER_HOP) &&
			is->headers[i].id != H1_HDR_TRANSFER_ENCODING);
	bug_on(is->body != was->body || is->content_length != was->content_length);
}

static void forward_request(struct h1_head *h)
{
	static char out[OUT_MAX], path[OUT_MAX];
	struct h1_request_out how = {.client = STR("192.0.2.7"),
		.proto = STR("http"),
		.port = 80,
		.request_id = STR("id"),
		.expect = true};
	struct h1_head again;
	size_t n;

	bug_on(h->slashes && !h1_merge_slashes(h, path, sizeof(path)));
	n = h1_emit_request(h, &how, out, sizeof(out));
	bug_on(n == 0);
	if (n > H1_HEAD_BYTES_MAX || h->header_count + 6 > H1_HEADERS_MAX || h->host.len == 0)
		return;
	bug_on(h1_parse_request(out, n, &again) != (ssize_t)n);
	check_forwarded(h, &again);
	bug_on(!str_eq(h->method, again.method) || !str_eq(h->path, again.path) ||
		!str_eq(h->query, again.query) || !str_eq(h->host, again.host));
	bug_on(again.expect_continue != h->expect_continue || !again.keep_alive);
}

static void forward_response(const struct h1_head *h, enum h1_method method)
{
	static char out[OUT_MAX];
	struct h1_response_out how = {.body = h->body};
	struct h1_head again;
	size_t n = h1_emit_response(h, &how, out, sizeof(out));

	bug_on(n == 0);
	if (n > H1_HEAD_BYTES_MAX || h->header_count + 1 > H1_HEADERS_MAX)
		return;
	bug_on(h1_parse_response(out, n, method, &again) != (ssize_t)n);
	check_forwarded(h, &again);
	bug_on(again.status != h->status || !str_eq(again.reason, h->reason));
}

void fuzz_one(const uint8_t *data, size_t len)
{
	struct h1_head h;
	unsigned kind;
	ssize_t rc;

	if (len < 2)
		return;
	kind = data[0] % (H1_PATCH + 1u);
	data++, len--;
	rc = parse(kind, (const char *)data, len, &h);
	bug_on(rc > (ssize_t)len || rc <= -H1_ERR_COUNT);
	check_prefix(kind, (const char *)data, data[len / 2] * len / 256, rc);
	if (rc > 0 && kind == 0)
		forward_request(&h);
	else if (rc > 0)
		forward_response(&h, (enum h1_method)kind);
}
