// SPDX-License-Identifier: Apache-2.0
/*
 * h1_parse.c: request and response heads, from bytes to struct h1_head; the start line is here.
 *
 * One pass from left to right, in the order of RFC 9112: start line, field lines (h1_fields.c),
 * then what the fields mean together (h1_framing.c). The first offence in that order is the answer,
 * so it is the same however the bytes were cut: a prefix of a head says "more" or already gives the
 * error that the whole gives. Nothing is kept between calls.
 *
 * Strict where implementations differ, because a gateway that accepts what its backend reads in
 * another way is a smuggling device: lines end with CRLF only, no folding, no blanks before a
 * colon, one Host, one Content-Length or one "Transfer-Encoding: chunked" but not both, paths that
 * mean the same to everybody. What is refused here is refused for responses too (RFC 9112 11.1).
 * Standards: RFC 9112 2-6, RFC 9110 4-7, RFC 3986 3.
 */
#include "dataplane/http/h1_parse.h"

static inline int line_end_fast(struct cursor *c, enum h1_error other)
{
	if (unlikely(!is_line_end(c->p, c->end)))
		return line_end(c, other);
	c->p += 2;
	return OK;
}

/* "HTTP/1." DIGIT; any other major is an error of its own. */
static int parse_version_slow(struct cursor *c, enum h1_error malformed, struct h1_head *h)
{
	static const char pattern[8] = {'H', 'T', 'T', 'P', '/', '1', '.', '1'};
	size_t n = (size_t)(c->end - c->p);

	if (n >= 8 && memcmp(c->p, pattern, 7) == 0 && H1_IS_DIGIT(c->p[7])) {
		/* RFC 9110 2.5: a higher minor is treated as the highest one we know */
		h->minor = c->p[7] != '0';
		c->p += 8;
		return OK;
	}
	for (size_t i = 0; i < n && i < 8; i++) {
		bool digit = i == 5 || i == 7;

		if (digit ? !H1_IS_DIGIT(c->p[i]) : c->p[i] != pattern[i])
			return (int)malformed;
	}
	return n < 8 ? MORE : H1_ERR_VERSION;
}

static inline int parse_version(struct cursor *c, enum h1_error malformed, struct h1_head *h)
{
	if (unlikely(c->end - c->p < 8 || memcmp(c->p, "HTTP/1.1", 8) != 0))
		return parse_version_slow(c, malformed, h);
	h->minor = 1;
	c->p += 8;
	return OK;
}

static enum h1_method method_id(struct str m)
{
	static const struct str names[] = {
		[H1_GET] = STR("GET"),
		[H1_HEAD] = STR("HEAD"),
		[H1_POST] = STR("POST"),
		[H1_PUT] = STR("PUT"),
		[H1_DELETE] = STR("DELETE"),
		[H1_CONNECT] = STR("CONNECT"),
		[H1_OPTIONS] = STR("OPTIONS"),
		[H1_TRACE] = STR("TRACE"),
		[H1_PATCH] = STR("PATCH"),
	};

	for (unsigned i = H1_GET; i <= H1_PATCH; i++)
		if (str_eq(m, names[i]))
			return (enum h1_method)i;
	return H1_METHOD_OTHER;
}

/* RFC 9112 3: request-line = method SP request-target SP HTTP-version CRLF, single blanks. */
static int parse_method_slow(struct cursor *c, struct h1_head *h)
{
	const char *sp = scan(c, c->p, &h1_token, false);

	h->method = str_make(c->p, (size_t)(sp - c->p));
	if (sp == c->end)
		return MORE;
	if (*sp == '\r' || *sp == '\n')
		return H1_ERR_REQUEST_LINE;
	if (*sp != ' ' || h->method.len == 0)
		return H1_ERR_METHOD;
	h->method_id = method_id(h->method);
	if (h->method_id == H1_CONNECT)
		return H1_ERR_CONNECT;
	c->p = sp + 1;
	return OK;
}

static inline int parse_method(struct cursor *c, struct h1_head *h)
{
	if (unlikely(c->end - c->p < 4 || memcmp(c->p, "GET ", 4) != 0))
		return parse_method_slow(c, h);
	h->method = str_make(c->p, 3);
	h->method_id = H1_GET;
	c->p += 4;
	return OK;
}

static inline int parse_target(struct cursor *c, struct h1_head *h)
{
	const char *sp = scan(c, c->p, &h1_target, false);

	h->target = str_make(c->p, (size_t)(sp - c->p));
	if (sp == c->end)
		return MORE;
	if (*sp == '\r' || *sp == '\n' || h->target.len == 0)
		return H1_ERR_REQUEST_LINE;
	if (*sp != ' ')
		return H1_ERR_TARGET_CHAR;
	c->p = sp + 1;
	return h1_target_parse(h);
}

static inline int parse_request_line(struct cursor *c, struct h1_head *h)
{
	int rc;

	/* RFC 9112 2.2: ignore at least one empty line received before the request line */
	if (c->p < c->end && *c->p == '\r') {
		rc = line_end(c, H1_ERR_REQUEST_LINE);
		if (rc != OK)
			return rc;
	}
	rc = parse_method(c, h);
	if (rc == OK)
		rc = parse_target(c, h);
	if (rc == OK)
		rc = parse_version(c, H1_ERR_REQUEST_LINE, h);
	return rc == OK ? line_end_fast(c, H1_ERR_REQUEST_LINE) : rc;
}

/* SP status-code */
static int parse_status(struct cursor *c, struct h1_head *h)
{
	unsigned status = 0;

	for (int i = 0; i < 4; i++, c->p++) {
		if (c->p == c->end)
			return MORE;
		if (i == 0 ? *c->p != ' ' : !H1_IS_DIGIT(*c->p))
			return H1_ERR_STATUS_LINE;
		if (i > 0)
			status = status * 10 + (unsigned)(*c->p - '0');
	}
	/* RFC 9110 15: 100 to 599 */
	if (status < 100 || status > 599)
		return H1_ERR_STATUS_LINE;
	h->status = (uint16_t)status;
	return OK;
}

/* RFC 9112 4: HTTP-version SP status-code SP [ reason-phrase ]; the last SP is often forgotten. */
static int parse_status_line_slow(struct cursor *c, struct h1_head *h)
{
	int rc = parse_version(c, H1_ERR_STATUS_LINE, h);

	if (rc == OK)
		rc = parse_status(c, h);
	if (rc != OK)
		return rc;
	if (c->p < c->end && *c->p == ' ')
		c->p++;
	else
		return line_end(c, H1_ERR_STATUS_LINE);
	h->reason.p = c->p;
	c->p = scan(c, c->p, &h1_control, true);
	h->reason.len = (size_t)(c->p - h->reason.p);
	return line_end(c, H1_ERR_STATUS_LINE);
}

static inline int parse_status_line(struct cursor *c, struct h1_head *h)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\n";

	if (unlikely((size_t)(c->end - c->p) < sizeof(ok) - 1 ||
		    memcmp(c->p, ok, sizeof(ok) - 1) != 0))
		return parse_status_line_slow(c, h);
	h->minor = 1;
	h->status = 200;
	h->reason = str_make(c->p + strlen("HTTP/1.1 200 "), strlen("OK"));
	c->p += sizeof(ok) - 1;
	return OK;
}

/* Everything but the array of fields, which is filled up to header_count. */
static inline void head_init(struct h1_head *h)
{
	h->method = h->target = h->reason = h->path = h->query = h->host = h->host_name =
		(struct str){NULL, 0};
	h->fields = (struct str){NULL, 0};
	h->method_id = H1_METHOD_OTHER;
	h->status = 0;
	h->minor = 0;
	h->keep_alive = h->expect_continue = h->upgrade = h->slashes = h->hop = false;
	h->body = H1_BODY_NONE;
	h->content_length = 0;
	h->header_count = 0;
}

/* A head ends within the limit or never. */
static struct cursor cursor_of(const char *buf, size_t len)
{
	return (struct cursor){buf, buf + (len < H1_HEAD_BYTES_MAX ? len : H1_HEAD_BYTES_MAX), buf};
}

static ssize_t result(int rc, const struct cursor *c, const char *buf, enum h1_error too_long)
{
	if (rc == OK)
		return c->p - buf;
	if (rc != MORE)
		return -rc;
	return c->end - buf < H1_HEAD_BYTES_MAX ? H1_MORE : -(int)too_long;
}

ssize_t h1_parse_request(const char *buf, size_t len, struct h1_head *ret)
{
	struct cursor c = cursor_of(buf, len);
	struct h1_framing fr = {0};
	int rc;

	head_init(ret);
	rc = parse_request_line(&c, ret);
	if (rc != OK)
		return result(rc, &c, buf, H1_ERR_TARGET_LONG);
	rc = h1_fields_parse(&c, ret, &fr);
	if (rc == OK)
		rc = h1_framing_request(ret, &fr);
	return result(rc, &c, buf, H1_ERR_HEAD_LARGE);
}

ssize_t h1_parse_response(const char *buf, size_t len, enum h1_method request_method,
	struct h1_head *ret)
{
	struct cursor c = cursor_of(buf, len);
	struct h1_framing fr = {0};
	int rc;

	head_init(ret);
	rc = parse_status_line(&c, ret);
	if (rc == OK)
		rc = h1_fields_parse(&c, ret, &fr);
	if (rc == OK)
		rc = h1_framing_response(ret, request_method, &fr);
	return result(rc, &c, buf, H1_ERR_HEAD_LARGE);
}

bool h1_head_is_complete(const char *buf, size_t len, size_t seen)
{
	struct str rest = {buf, len};

	if (len >= H1_HEAD_BYTES_MAX)
		return true;
	/* an end that was cut short: LF, LF CR */
	rest = str_from(rest, seen < 2 ? 0 : seen - 2);
	for (ptrdiff_t i; (i = str_find(rest, '\n')) >= 0;) {
		rest = str_from(rest, (size_t)i + 1);
		/* an empty line, or what can only be an error: LF LF, CR without LF */
		if (str_starts(rest, STR("\n")) || (str_starts(rest, STR("\r")) && rest.len >= 2))
			return true;
	}
	return false;
}
