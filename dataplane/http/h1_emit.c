// SPDX-License-Identifier: Apache-2.0
/*
 * h1_emit.c: heads on their way out: edited, not rebuilt.
 *
 * Field lines that stay are copied in runs, as they came: the runs between the lines that go. What
 * goes: hop-by-hop fields and those that Connection named (RFC 9110 7.6.1), what an edit replaces,
 * and on a request from an untrusted peer everything that claims to know where it came from. What
 * the gateway has to say comes behind, so that nothing of the peer's can shadow it.
 *
 * The framing fields of what is forwarded are the ones that the parser judged: Content-Length stays
 * where it framed the body; a chunked body is announced anew.
 *
 * Standards: RFC 9110 7.6, 7.8, 10.1.1; RFC 9112 3.2.1, 6.1; RFC 7239 is left to the peer.
 */
#include "dataplane/base/bug.h"
#include "dataplane/http/h1.h"

/* A writer that stops writing when the room is gone and says so at the end. */
struct out {
	char *p, *end;
	bool full;
};

/* Most texts are short: words that overlap are cheaper than a call. */
static inline void copy(char *to, const char *from, size_t n)
{
	if (n > 32) {
		memcpy(to, from, n);
	} else if (n >= 16) {
		memcpy(to, from, 16);
		memcpy(to + n - 16, from + n - 16, 16);
	} else if (n >= 8) {
		memcpy(to, from, 8);
		memcpy(to + n - 8, from + n - 8, 8);
	} else if (n >= 4) {
		memcpy(to, from, 4);
		memcpy(to + n - 4, from + n - 4, 4);
	} else {
		for (size_t i = 0; i < n; i++)
			to[i] = from[i];
	}
}

static inline void put(struct out *o, struct str s)
{
	if (unlikely((size_t)(o->end - o->p) < s.len)) {
		o->full = true;
		return;
	}
	if (__builtin_constant_p(s.len))
		memcpy(o->p, s.p, s.len);
	else
		copy(o->p, s.p, s.len);
	o->p += s.len;
}

/* <name> is a literal with its colon. */
#define put_line(o, name, value) \
	do { \
		put(o, STR(name)); \
		put(o, value); \
		put(o, STR("\r\n")); \
	} while (0)

static void put_field(struct out *o, struct str name, struct str value)
{
	put(o, name);
	put_line(o, ": ", value);
}

static struct str decimal(uint64_t v, char buf[20])
{
	size_t i = 20;

	do {
		buf[--i] = (char)('0' + v % 10);
		v /= 10;
	} while (v != 0);
	return str_make(buf + i, 20 - i);
}

static size_t finish(const struct out *o, const char *buf)
{
	return o->full ? 0 : (size_t)(o->p - buf);
}

static bool is_edited(const struct h1_header *f, const struct h1_edit *edits, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (edits[i].op != H1_EDIT_ADD && str_ieq(edits[i].name, f->name))
			return true;
	return false;
}

static void put_edits(struct out *o, const struct h1_edit *edits, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (edits[i].op != H1_EDIT_REMOVE)
			put_field(o, edits[i].name, edits[i].value);
}

/* One past the line of field <i>: the next field's start, or the end of all fields. */
static const char *line_end(const struct h1_head *h, uint32_t i)
{
	if (i + 1 < h->header_count)
		return h->headers[i + 1].name.p;
	return h->fields.p + h->fields.len;
}

typedef bool (*keep_fn)(const struct h1_header *f, const void *ctx);

/*
 * Copies the field lines from <i> on that <keep> keeps, each run of neighbours at once; a run that
 * begins at <run> goes before. Fields without any flag stay unasked, unless <all> are to be asked
 * about.
 */
static inline void put_fields(struct out *o, const struct h1_head *h, const char *run, uint32_t i,
	bool all, keep_fn keep, const void *ctx)
{
	for (; i < h->header_count; i++) {
		const struct h1_header *f = &h->headers[i];

		if (likely(!all && f->flags == 0) || keep(f, ctx)) {
			if (run == NULL)
				run = f->name.p;
		} else if (run != NULL) {
			put(o, str_make(run, (size_t)(f->name.p - run)));
			run = NULL;
		}
	}
	if (run != NULL)
		put(o, str_make(run, (size_t)(h->fields.p + h->fields.len - run)));
}

static bool keep_in_request(const struct h1_header *f, const void *ctx)
{
	const struct h1_request_out *out = ctx;

	if (f->flags & H1_HEADER_HOP)
		return false;
	switch (f->id) {
	case H1_HDR_HOST:
		return false; /* written once, from the target's authority where it has one */
	case H1_HDR_EXPECT:
		return out->expect;
	case H1_HDR_X_FORWARDED_FOR:
		return false; /* merged into one line */
	default:
		break;
	}
	if ((f->flags & H1_HEADER_ORIGIN) && !out->trusted)
		return false;
	return !is_edited(f, out->edits, out->edit_count);
}

/* X-Forwarded-For: what a trusted peer reported, then the peer itself. */
static void put_forwarded_for(struct out *o, const struct h1_head *h,
	const struct h1_request_out *out)
{
	put(o, STR("X-Forwarded-For: "));
	for (uint32_t i = 0; unlikely(out->trusted) && i < h->header_count; i++) {
		const struct h1_header *f = &h->headers[i];

		if (f->id != H1_HDR_X_FORWARDED_FOR || f->value.len == 0)
			continue;
		put(o, f->value);
		put(o, STR(", "));
	}
	put(o, out->client);
	put(o, STR("\r\n"));
}

static bool has(const struct h1_head *h, enum h1_header_id id)
{
	return h1_header_get(h, id).p != NULL;
}

/* Where the request came from, unless a trusted peer has said it already. */
static void put_origin(struct out *o, const struct h1_head *h, const struct h1_request_out *out)
{
	char port[20];

	put_forwarded_for(o, h, out);
	if (!out->trusted || !has(h, H1_HDR_X_FORWARDED_PROTO))
		put_line(o, "X-Forwarded-Proto: ", out->proto);
	if (h->host.len > 0 && (!out->trusted || !has(h, H1_HDR_X_FORWARDED_HOST)))
		put_line(o, "X-Forwarded-Host: ", h->host);
	if (!out->trusted || !has(h, H1_HDR_X_FORWARDED_PORT))
		put_line(o, "X-Forwarded-Port: ", decimal(out->port, port));
	if (!out->trusted || !has(h, H1_HDR_X_REQUEST_ID))
		put_line(o, "X-Request-Id: ", out->request_id);
}

/* Without asking for room. */
static inline char *add(char *p, struct str s)
{
	if (__builtin_constant_p(s.len))
		memcpy(p, s.p, s.len);
	else
		copy(p, s.p, s.len);
	return p + s.len;
}

static inline char *add_port(char *p, unsigned v)
{
	char *end = p + 1 + (v > 9) + (v > 99) + (v > 999) + (v > 9999);

	for (char *q = end; q > p; v /= 10)
		*--q = (char)('0' + v % 10);
	return end;
}

/* put_origin() of a request from nobody trusted, with a Host, when there is room; else false. */
static inline bool put_all_origin(struct out *o, const struct h1_head *h,
	const struct h1_request_out *out)
{
	static const char fixed[] = "X-Forwarded-For: \r\nX-Forwarded-Proto: \r\n"
				    "X-Forwarded-Host: \r\nX-Forwarded-Port: 65535\r\n"
				    "X-Request-Id: \r\n";
	size_t n = sizeof(fixed) + out->client.len + out->proto.len + h->host.len +
		out->request_id.len;
	char *p = o->p;

	if (unlikely(out->trusted || h->host.len == 0 || (size_t)(o->end - p) < n))
		return false;
	p = add(add(p, STR("X-Forwarded-For: ")), out->client);
	p = add(add(p, STR("\r\nX-Forwarded-Proto: ")), out->proto);
	p = add(add(p, STR("\r\nX-Forwarded-Host: ")), h->host);
	p = add_port(add(p, STR("\r\nX-Forwarded-Port: ")), out->port);
	p = add(add(p, STR("\r\nX-Request-Id: ")), out->request_id);
	o->p = add(p, STR("\r\n"));
	return true;
}

/* Options of the next hop's connection; nothing of the peer's survives (RFC 9110 7.6.1). */
static void put_connection(struct out *o, const struct h1_head *h, bool close, bool keep_alive,
	bool upgrade)
{
	if (upgrade) {
		put_field(o, STR("Connection"), STR("upgrade"));
		put_field(o, STR("Upgrade"), h1_header_get(h, H1_HDR_UPGRADE));
	} else if (close) {
		put_field(o, STR("Connection"), STR("close"));
	} else if (keep_alive) {
		put_field(o, STR("Connection"), STR("keep-alive"));
	}
}

/*
 * Do the request line and the Host behind it already read as they are to go out? The path lies
 * where it came in origin-form, the version is ours and the Host line has one blank.
 */
static inline bool starts_as_it_leaves(const struct h1_head *h)
{
	const struct h1_header *f = h->headers;
	const char *version = h->fields.p - strlen("1\r\n");

	return likely(h->header_count > 0 && f->id == H1_HDR_HOST && h->host.p == f->value.p &&
		f->value.p == f->name.p + strlen("Host: ") && f->value.p[-1] == ' ' &&
		line_end(h, 0) == f->value.p + f->value.len + strlen("\r\n") &&
		h->path.p == h->method.p + h->method.len + 1 && *version == '1');
}

static void put_request_start(struct out *o, const struct h1_head *h,
	const struct h1_request_out *out)
{
	put(o, h->method);
	put(o, STR(" "));
	put(o, h->path);
	if (h->query.p != NULL) {
		put(o, STR("?"));
		put(o, h->query);
	}
	put(o, STR(" HTTP/1.1\r\n"));
	/* RFC 9112 3.2, 3.3: always a Host; without one, what the connection was made to */
	put_line(o, "Host: ", h->host.len > 0 ? h->host : out->authority);
}

/* What is seldom said. */
static void put_request_rest(struct out *o, const struct h1_head *h,
	const struct h1_request_out *out)
{
	put_edits(o, out->edits, out->edit_count);
	put_connection(o, h, out->close, false, out->upgrade && h->upgrade);
}

size_t h1_emit_request(const struct h1_head *h, const struct h1_request_out *out, char *buf,
	size_t size)
{
	struct out o = {buf, buf + size, false};
	bool lies = starts_as_it_leaves(h);

	if (!lies)
		put_request_start(&o, h, out);
	put_fields(&o, h, lies ? h->method.p : NULL, lies, out->edit_count > 0, keep_in_request,
		out);
	if (h->body == H1_BODY_CHUNKED)
		put_field(&o, STR("Transfer-Encoding"), STR("chunked"));
	if (!put_all_origin(&o, h, out))
		put_origin(&o, h, out);
	if (unlikely(out->edit_count > 0 || out->close || out->upgrade))
		put_request_rest(&o, h, out);
	put(&o, STR("\r\n"));
	return finish(&o, buf);
}

static bool keep_in_response(const struct h1_header *f, const void *ctx)
{
	const struct h1_response_out *out = ctx;

	if (f->flags & H1_HEADER_HOP)
		return false;
	/* a length beside another framing would be a lie (RFC 9112 6.2) */
	if (f->id == H1_HDR_CONTENT_LENGTH)
		return out->body == H1_BODY_NONE || out->body == H1_BODY_LENGTH;
	return !is_edited(f, out->edits, out->edit_count);
}

static void put_status_line(struct out *o, unsigned status, struct str reason)
{
	char digits[20];

	put(o, STR("HTTP/1.1 "));
	put(o, decimal(status, digits));
	put(o, STR(" "));
	put(o, reason);
	put(o, STR("\r\n"));
}

size_t h1_emit_response(const struct h1_head *h, const struct h1_response_out *out, char *buf,
	size_t size)
{
	struct out o = {buf, buf + size, false};

	put_status_line(&o, h->status, h->reason);
	put_fields(&o, h, NULL, 0, true, keep_in_response, out);
	if (out->body == H1_BODY_CHUNKED)
		put_field(&o, STR("Transfer-Encoding"), STR("chunked"));
	if (out->date.len > 0 && !has(h, H1_HDR_DATE))
		put_field(&o, STR("Date"), out->date);
	put_edits(&o, out->edits, out->edit_count);
	put_connection(&o, h, out->close, out->keep_alive, out->upgrade);
	put(&o, STR("\r\n"));
	return finish(&o, buf);
}

/* "HTTP/1.1 200 ": what stands in front of the reason phrase */
#define STATUS_LINE_MINOR (-6)

bool h1_response_is_unchanged(const struct h1_head *h, const struct h1_response_out *out)
{
	if (h->hop || out->close || out->keep_alive || out->upgrade || out->edit_count > 0)
		return false;
	if (out->body != H1_BODY_NONE && out->body != H1_BODY_LENGTH)
		return false;
	if (out->date.len > 0 && !has(h, H1_HDR_DATE))
		return false;
	/* the parser takes another minor, and a status line without its last blank */
	return h->reason.p != NULL && h->reason.p[STATUS_LINE_MINOR] == '1';
}

const struct str h1_continue = {"HTTP/1.1 100 Continue\r\n\r\n", 25};

struct str h1_status_reason(unsigned status)
{
	switch (status) {
#define REASON(code, text) \
	case code: \
		return STR(text);
#include "dataplane/http/reason.def"
#undef REASON
	default:
		return STR("Unknown");
	}
}

size_t h1_emit_error(const struct h1_error_out *out, char *buf, size_t size)
{
	struct out o = {buf, buf + size, false};
	struct str reason = h1_status_reason(out->status);
	char code[20], len[20];
	struct str digits = decimal(out->status, code);

	put_status_line(&o, out->status, reason);
	put_field(&o, STR("Content-Type"), STR("text/plain; charset=utf-8"));
	/* "503 Service Unavailable\n" */
	put_field(&o, STR("Content-Length"), decimal(digits.len + 1 + reason.len + 1, len));
	if (out->date.len > 0)
		put_field(&o, STR("Date"), out->date);
	if (out->request_id.len > 0)
		put_field(&o, STR("X-Request-Id"), out->request_id);
	if (out->close)
		put_field(&o, STR("Connection"), STR("close"));
	put(&o, STR("\r\n"));
	if (!out->head) {
		put(&o, digits);
		put(&o, STR(" "));
		put(&o, reason);
		put(&o, STR("\n"));
	}
	return finish(&o, buf);
}

size_t h1_emit_chunk_head(uint64_t len, char buf[H1_CHUNK_HEAD_MAX])
{
	static const char hex[] = "0123456789abcdef";
	unsigned digits = 1;

	while (digits < 16 && len >> (4 * digits))
		digits++;
	for (unsigned i = 0; i < digits; i++)
		buf[i] = hex[(len >> (4 * (digits - 1 - i))) & 15];
	buf[digits] = '\r';
	buf[digits + 1] = '\n';
	return digits + 2;
}
