// SPDX-License-Identifier: Apache-2.0
/*
 * h1_emit_test.c: heads as they leave, byte for byte; nothing is written past the room given; what
 * was emitted is read back by the strict parser with the same meaning.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/http/h1.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define OURS "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\n"
#define OURS_A OURS "X-Forwarded-Host: a\r\nX-Forwarded-Port: 80\r\nX-Request-Id: id-1\r\n"

static const struct h1_edit edits[] = {
	{H1_EDIT_SET, STR("X-Set"), STR("new")},
	{H1_EDIT_ADD, STR("X-Add"), STR("more")},
	{H1_EDIT_REMOVE, STR("x-gone"), STR("")},
};

/* Fields of an h1_request_out that a row changes. */
#define PLAIN \
	.client = STR("192.0.2.7"), .proto = STR("http"), .port = 80, .request_id = STR("id-1")

static const struct request_row {
	const char *claim, *in, *want;
	struct h1_request_out out;
} requests[] = {
	{"a head keeps its lines and gets ours behind",
		"GET /a?b HTTP/1.1\r\nHost: a\r\nAccept:  */*\r\nuser-agent: x\r\n\r\n",
		"GET /a?b HTTP/1.1\r\nHost: a\r\nAccept:  */*\r\nuser-agent: x\r\n" OURS_A "\r\n",
		{PLAIN}},
	{"a Host behind a tab leaves as ours are written", "GET / HTTP/1.1\r\nHost:\ta\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" OURS_A "\r\n", {PLAIN}},
	{"fields of one hop and those that Connection names stay behind",
		"GET / HTTP/1.1\r\nConnection: close, X-B\r\nX-A: 1\r\nX-B: 2\r\nKeep-Alive: 5\r\n"
		"Host: a\r\nTE: trailers\r\nX-C: 3\r\nUpgrade: h2c\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nX-C: 3\r\n" OURS_A "\r\n", {PLAIN}},
	{"foreign claims about the origin stay behind",
		"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6\r\n"
		"X-Forwarded-Prefix: /x\r\nX-Real-IP: 6.6.6.6\r\nX-Request-Id: evil\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" OURS_A "\r\n", {PLAIN}},
	{"a trusted peer's claims stay, and it is appended",
		"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6\r\n"
		"X-Forwarded-Proto: https\r\nx-forwarded-for: 7.7.7.7, 8.8.8.8\r\nX-Request-Id: "
		"good\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=6\r\nX-Forwarded-Proto: https\r\n"
		"X-Request-Id: good\r\nX-Forwarded-For: 6.6.6.6, 7.7.7.7, 8.8.8.8, 192.0.2.7\r\n"
		"X-Forwarded-Host: a\r\nX-Forwarded-Port: 80\r\n\r\n",
		{PLAIN, .trusted = true}},
	{"an absolute target leaves in origin-form with its authority as Host",
		"GET http://A:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /x?y HTTP/1.1\r\nHost: A:80\r\n" OURS "X-Forwarded-Host: A:80\r\n"
		"X-Forwarded-Port: 80\r\nX-Request-Id: id-1\r\n\r\n",
		{PLAIN}},
	{"HTTP/1.0 without Host leaves with the address that it came to", "GET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: [::1]:81\r\n" OURS
		"X-Forwarded-Port: 80\r\nX-Request-Id: id-1\r\n\r\n",
		{PLAIN, .authority = STR("[::1]:81")}},
	{"a Host line that leads and reads well stays as it came",
		"GET /a HTTP/1.1\r\nhOST: a\r\nX: 1\r\n\r\n",
		"GET /a HTTP/1.1\r\nhOST: a\r\nX: 1\r\n" OURS_A "\r\n", {PLAIN}},
	{"one with other blanks in front is written anew",
		"GET /a HTTP/1.1\r\nHost:  a\r\nX: 1\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\nX: 1\r\n" OURS_A "\r\n", {PLAIN}},
	{"one with blanks behind is written anew", "GET /a HTTP/1.1\r\nHost: a \r\nX: 1\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\nX: 1\r\n" OURS_A "\r\n", {PLAIN}},
	{"one that does not lead comes to the front",
		"GET /a HTTP/1.1\r\nX: 1\r\nHost: a\r\nY: 2\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\n" OURS_A "\r\n", {PLAIN}},
	{"a higher minor leaves as the highest that we know", "GET /a HTTP/1.7\r\nHost: a\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\n" OURS_A "\r\n", {PLAIN}},
	{"HTTP/1.0 leaves as HTTP/1.1", "GET /a HTTP/1.0\r\nHost: a\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\n" OURS_A "\r\n", {PLAIN}},
	{"what goes behind a Host that stays is cut out",
		"GET /a HTTP/1.1\r\nHost: a\r\nTE: x\r\nX: 1\r\nConnection: close\r\n\r\n",
		"GET /a HTTP/1.1\r\nHost: a\r\nX: 1\r\n" OURS_A "\r\n", {PLAIN}},
	{"an empty query keeps its question mark", "GET /? HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /? HTTP/1.1\r\nHost: a\r\n" OURS_A "\r\n", {PLAIN}},
	{"a length stays where it was", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n" OURS_A "\r\n", {PLAIN}},
	{"chunked is announced anew",
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:  CHUNKED\r\nTrailer: X\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n" OURS_A
		"\r\n",
		{PLAIN}},
	{"an expectation goes on when asked",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n" OURS_A
		"\r\n",
		{PLAIN, .expect = true}},
	{"an expectation stays behind when not",
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n" OURS_A "\r\n", {PLAIN}},
	{"an expectation of HTTP/1.0 never goes on",
		"POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n" OURS_A "\r\n",
		{PLAIN, .expect = true}},
	{"an upgrade goes on when asked",
		"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, keep-alive\r\nUpgrade: "
		"websocket\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" OURS_A
		"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
		{PLAIN, .upgrade = true}},
	{"an upgrade that was not asked for does not go on",
		"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" OURS_A "\r\n", {PLAIN, .upgrade = true}},
	{"close is said when asked", "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n" OURS_A "Connection: close\r\n\r\n",
		{PLAIN, .close = true}},
	{"fields are set, added and removed",
		"GET / HTTP/1.1\r\nx-set: old\r\nHost: a\r\nX-SET: older\r\nX-Add: one\r\nX-Gone: "
		"1\r\nX-A: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nX-Add: one\r\nX-A: 1\r\n" OURS_A
		"X-Set: new\r\nX-Add: more\r\n\r\n",
		{PLAIN, .edits = edits, .edit_count = COUNT(edits)}},
	{"the asterisk stays an asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a\r\n" OURS_A "\r\n", {PLAIN}},
};

static void assert_bytes(const char *claim, const char *got, size_t len, const char *want)
{
	if (len != strlen(want) || memcmp(got, want, len) != 0)
		fail_msg("%s: got\n%.*s\nwant\n%s", claim, (int)len, got, want);
}

/* One byte less than needed is not enough, whatever the byte; the sanitizer watches the end. */
static void requests_leave_as_they_should(void **state)
{
	for (size_t i = 0; i < COUNT(requests); i++) {
		const struct request_row *r = &requests[i];
		size_t len = strlen(r->want);
		struct h1_head h, again;

		assert_int_equal(h1_parse_request(r->in, strlen(r->in), &h), strlen(r->in));
		for (size_t size = 0; size <= len; size++) {
			char *buf = malloc(size ? size : 1);
			size_t n = h1_emit_request(&h, &r->out, buf, size);

			assert_int_equal(n, size < len ? 0 : len);
			if (n > 0)
				assert_bytes(r->claim, buf, n, r->want);
			if (n > 0 && h.host.len > 0) {
				assert_int_equal(h1_parse_request(buf, n, &again), n);
				assert_int_equal(again.body, h.body);
				assert_true(again.content_length == h.content_length);
				assert_true(str_eq(again.path, h.path));
			}
			free(buf);
		}
	}
}

static const struct response_row {
	const char *claim, *in, *want;
	enum h1_method method;
	struct h1_response_out out;
} responses[] = {
	{"a head keeps its lines", "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\n", H1_GET,
		{.body = H1_BODY_LENGTH}},
	{"fields of one hop stay behind",
		"HTTP/1.1 200 OK\r\nConnection: close, X-A\r\nX-A: 1\r\nKeep-Alive: "
		"1\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", H1_GET, {.body = H1_BODY_LENGTH}},
	{"204 goes on without a length",
		"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX-A: 1\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n", H1_GET, {.body = H1_BODY_NONE}},
	{"HTTP/1.0 becomes 1.1 and a lost reason stays lost",
		"HTTP/1.0 404\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 404 \r\nContent-Length: 5\r\nConnection: close\r\n\r\n", H1_GET,
		{.body = H1_BODY_LENGTH, .close = true}},
	{"a body without length becomes chunked", "HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n", H1_GET,
		{.body = H1_BODY_CHUNKED}},
	{"chunks become a closing body for HTTP/1.0",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", H1_GET,
		{.body = H1_BODY_CLOSE, .close = true}},
	{"HTTP/1.0 is told that the connection stays",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n", H1_GET,
		{.body = H1_BODY_LENGTH, .keep_alive = true}},
	{"an answer to HEAD keeps its length", "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", H1_HEAD, {.body = H1_BODY_NONE}},
	{"a missing date is added", "HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nDate: now\r\n\r\n", H1_GET, {.date = STR("now")}},
	{"a date that is there stays", "HTTP/1.1 204 No Content\r\ndate: then\r\n\r\n",
		"HTTP/1.1 204 No Content\r\ndate: then\r\n\r\n", H1_GET, {.date = STR("now")}},
	{"an upgrade goes on",
		"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
		"websocket\r\nX: 1\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nX: 1\r\nConnection: upgrade\r\nUpgrade: "
		"websocket\r\n\r\n",
		H1_GET, {.upgrade = true}},
	{"fields are set, added and removed",
		"HTTP/1.1 204 No Content\r\nX-Set: a\r\nX-Gone: b\r\n\r\n",
		"HTTP/1.1 204 No Content\r\nX-Set: new\r\nX-Add: more\r\n\r\n", H1_GET,
		{.edits = edits, .edit_count = COUNT(edits)}},
};

static void responses_leave_as_they_should(void **state)
{
	for (size_t i = 0; i < COUNT(responses); i++) {
		const struct response_row *r = &responses[i];
		size_t len = strlen(r->want);
		struct h1_head h;

		assert_int_equal(h1_parse_response(r->in, strlen(r->in), r->method, &h),
			strlen(r->in));
		assert_int_equal(h1_response_is_unchanged(&h, &r->out),
			strcmp(r->in, r->want) == 0);
		for (size_t size = 0; size <= len; size++) {
			char *buf = malloc(size ? size : 1);
			size_t n = h1_emit_response(&h, &r->out, buf, size);

			assert_int_equal(n, size < len ? 0 : len);
			if (n > 0)
				assert_bytes(r->claim, buf, n, r->want);
			free(buf);
		}
	}
}

static void errors_are_whole_responses(void **state)
{
	struct h1_error_out out = {.status = 404, .date = STR("now"), .request_id = STR("id")};
	char buf[H1_ERROR_BYTES_MAX];
	struct h1_head h;
	size_t n = h1_emit_error(&out, buf, sizeof(buf));

	assert_bytes("404", buf, n,
		"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"Content-Length: 14\r\nDate: now\r\nX-Request-Id: id\r\n\r\n404 Not Found\n");
	for (unsigned status = 400; status < 600; status++) {
		out = (struct h1_error_out){.status = status,
			.close = status % 2,
			.head = status % 3 == 0,
			.date = STR(
				"Sun, 06 Nov 1994 08:49:37 GMT.................................."),
			.request_id = STR("01234567890123456789012345678901234567890123456789012345"
					  "67890123")};
		n = h1_emit_error(&out, buf, sizeof(buf));
		assert_true(n > 0);
		size_t head = (size_t)h1_parse_response(buf, n, out.head ? H1_HEAD : H1_GET, &h);

		assert_int_equal(head + (out.head ? 0 : h.content_length), n);
		assert_int_equal(h.keep_alive, !out.close);
		assert_int_equal(h1_emit_error(&out, buf, n - 1), 0);
	}
}

static void chunk_heads_are_read_back(void **state)
{
	static const uint64_t sizes[] = {1, 15, 16, 255, 256, 65535, 1ull << 32, INT64_MAX};

	for (size_t i = 0; i < COUNT(sizes); i++) {
		char buf[H1_CHUNK_HEAD_MAX];
		size_t n = h1_emit_chunk_head(sizes[i], buf);
		struct h1_piece piece;
		struct h1_chunk c;

		h1_chunk_init(&c);
		assert_int_equal(h1_chunk_parse(&c, buf, n, &piece), n);
		assert_true(c.left == sizes[i]);
	}
	assert_int_equal(h1_emit_chunk_head(UINT64_MAX, (char[H1_CHUNK_HEAD_MAX]){0}), 18);
}

static void continue_is_a_response(void **state)
{
	struct h1_head h;

	assert_int_equal(h1_parse_response(h1_continue.p, h1_continue.len, H1_POST, &h),
		h1_continue.len);
	assert_int_equal(h.status, 100);
	assert_true(str_eq(h1_status_reason(503), STR("Service Unavailable")));
	assert_true(str_eq(h1_status_reason(599), STR("Unknown")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_leave_as_they_should),
		cmocka_unit_test(responses_leave_as_they_should),
		cmocka_unit_test(errors_are_whole_responses),
		cmocka_unit_test(chunk_heads_are_read_back),
		cmocka_unit_test(continue_is_a_response),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
