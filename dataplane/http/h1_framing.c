// SPDX-License-Identifier: Apache-2.0
/*
 * h1_framing.c: what the fields of a head mean together: whose message it is (Host), where it ends
 * (Content-Length, Transfer-Encoding), what the connection does next (Connection, Upgrade, Expect).
 *
 * The rules that keep two parties from seeing different messages; each MUST is quoted where it is
 * kept, and where a standard lets a recipient repair, we refuse.
 * Standards: RFC 9112 3.2, 6, 9; RFC 9110 7.6.1, 7.8, 10.1.1.
 */
#include "dataplane/http/h1_parse.h"

#define CONNECTION_OPTIONS_MAX 16 /* named fields; each is compared with every field */

/*
 * RFC 9110 7.6.1: fields that Connection names go no further. A name that means something end to
 * end is left alone: to take Host, Content-Length or Authorization away from a request is an
 * attack, not an option.
 */
static void mark_named(struct h1_head *h, struct str name)
{
	for (uint32_t i = 0; i < h->header_count; i++) {
		struct h1_header *f = &h->headers[i];
		uint8_t row = h1_rows[f->id].flags;

		if (f->id != H1_HDR_OTHER && !(row & (H1_ROW_HOP | H1_ROW_NAMED)))
			continue;
		if ((f->flags & H1_HEADER_ORIGIN) || !str_ieq(f->name, name))
			continue;
		f->flags |= H1_HEADER_HOP;
		h->hop = true;
	}
}

/* Connection = #connection-option, a token; empty elements are allowed (RFC 9110 5.6.1.2). */
static int parse_connection(struct h1_head *h, struct str list, struct h1_framing *fr,
	unsigned *options)
{
	while (list.p != NULL) {
		struct str opt = str_trim(str_cut(&list, ','));
		const char *end = opt.p + opt.len;

		if (opt.len == 0)
			continue;
		if (h1_scan(opt.p, end, &h1_token, false) != end)
			return H1_ERR_CONNECTION;
		if (str_ieq(opt, STR("close")))
			fr->opt_close = true;
		else if (str_ieq(opt, STR("keep-alive")))
			fr->opt_keep_alive = true;
		else if (str_ieq(opt, STR("upgrade")))
			fr->opt_upgrade = true;
		else if ((*options)++ < CONNECTION_OPTIONS_MAX)
			mark_named(h, opt);
		else
			return H1_ERR_CONNECTION;
	}
	return OK;
}

static int parse_connections(struct h1_head *h, struct h1_framing *fr)
{
	unsigned options = 0;
	int rc = OK;

	for (uint32_t i = 0; i < h->header_count && rc == OK; i++)
		if (h->headers[i].id == H1_HDR_CONNECTION)
			rc = parse_connection(h, h->headers[i].value, fr, &options);
	return rc;
}

static inline int check_connection(struct h1_head *h, struct h1_framing *fr)
{
	int rc = fr->connection ? parse_connections(h, fr) : OK;

	/* RFC 9112 9.3; HTTP/1.0 asks for persistence, HTTP/1.1 for its end */
	h->keep_alive = !fr->opt_close && (h->minor == 1 || fr->opt_keep_alive);
	/* RFC 9110 7.8: a server must ignore an Upgrade field received in an HTTP/1.0 request */
	h->upgrade = fr->opt_upgrade && fr->upgrade && h->minor == 1;
	return rc;
}

/* A list of tokens whose last and only one "chunked" is preceded by other codings. */
static bool is_chunked_on_top(struct str list)
{
	while (list.p != NULL) {
		struct str t = str_trim(str_cut(&list, ','));
		const char *end = t.p + t.len;

		if (t.len == 0 || h1_scan(t.p, end, &h1_token, false) != end)
			return false;
		if (str_ieq(t, STR("chunked")))
			return list.p == NULL;
	}
	return false;
}

/* Transfer-Encoding is here: it must be chunked, and nothing else may speak of length. */
static int check_coding(const struct h1_head *h, const struct h1_framing *fr)
{
	/* RFC 9112 6.1: a message of HTTP/1.0 with Transfer-Encoding has faulty framing */
	if (h->minor == 0)
		return H1_ERR_CODING_HTTP10;
	/* RFC 9112 6.1: together they might be an attempt at smuggling; we reject */
	if (fr->length != NULL)
		return H1_ERR_LENGTH_AND_CODING;
	if (str_ieq(fr->coding->value, STR("chunked")))
		return OK;
	return is_chunked_on_top(fr->coding->value) ? H1_ERR_CODING_UNKNOWN : H1_ERR_CODING_INVALID;
}

/* RFC 9110 8.6: 1*DIGIT, so no sign, list or blank; and what a signed peer can count */
static inline bool parse_length(struct str s, uint64_t *ret)
{
	uint64_t v = 0;

	if (s.len == 0 || s.len > 19) /* twenty digits do not fit, nineteen do */
		return false;
	for (const char *p = s.p, *end = p + s.len; p < end; p++) {
		unsigned digit = (unsigned)((uint8_t)*p - '0');

		if (digit > 9)
			return false;
		v = v * 10 + digit;
	}
	*ret = v;
	return v <= INT64_MAX;
}

/* RFC 9112 6.3, as far as both kinds of messages agree. */
static inline int check_body(struct h1_head *h, const struct h1_framing *fr)
{
	if (fr->coding != NULL) {
		h->body = H1_BODY_CHUNKED;
		return check_coding(h, fr);
	}
	if (fr->length == NULL)
		return OK;
	if (!parse_length(fr->length->value, &h->content_length))
		return H1_ERR_LENGTH_INVALID;
	h->body = h->content_length > 0 ? H1_BODY_LENGTH : H1_BODY_NONE;
	return OK;
}

/* The authority "a" and "a:80" of an http target are the same (RFC 9110 4.2.3). */
static bool is_same_port(struct str a, struct str b, struct str scheme_port)
{
	uint64_t va = 0, vb = 0;

	return str_to_u64(a.len > 0 ? a : scheme_port, &va) &&
		str_to_u64(b.len > 0 ? b : scheme_port, &vb) && va == vb;
}

/* RFC 9112 3.2: Host; an absolute target's authority wins (3.2.2), we also want them equal. */
static int check_host(struct h1_head *h, const struct h1_framing *fr)
{
	struct str name, port, target_name, target_port;
	bool https;
	int rc;

	if (fr->host == NULL)
		return h->minor == 0 ? OK : H1_ERR_HOST_MISSING;
	rc = h1_authority_parse(fr->host->value, &name, &port);
	if (rc != OK)
		return rc;
	if (h->host.len == 0) {
		h->host = fr->host->value;
		h->host_name = name;
		return OK;
	}
	https = ascii_lower(h->target.p[4]) == 's';
	(void)h1_authority_parse(h->host, &target_name, &target_port);
	if (!str_ieq(name, target_name) ||
		!is_same_port(port, target_port, https ? STR("443") : STR("80")))
		return H1_ERR_HOST_MISMATCH;
	return OK;
}

/* RFC 9110 10.1.1: 100-continue, ignored in HTTP/1.0 and where no content follows. */
static int check_expect(struct h1_head *h, const struct h1_framing *fr)
{
	if (fr->expect == NULL)
		return OK;
	if (!str_ieq(fr->expect->value, STR("100-continue")))
		return H1_ERR_EXPECT;
	h->expect_continue = h->minor == 1 && h->body != H1_BODY_NONE;
	if (!h->expect_continue) {
		fr->expect->flags |= H1_HEADER_HOP;
		h->hop = true;
	}
	return OK;
}

int h1_framing_request(struct h1_head *h, struct h1_framing *fr)
{
	int rc = check_host(h, fr);

	if (rc == OK)
		rc = check_body(h, fr);
	if (rc == OK)
		rc = check_expect(h, fr);
	if (rc == OK)
		rc = check_connection(h, fr);
	/* RFC 9110 9.3.8: a client must not send content in a TRACE request */
	if (rc == OK && h->method_id == H1_TRACE && h->body != H1_BODY_NONE)
		return H1_ERR_BODY_FORBIDDEN;
	return rc;
}

int h1_framing_response(struct h1_head *h, enum h1_method request_method, struct h1_framing *fr)
{
	bool bare = h->status < 200 || h->status == 204;
	int rc = check_body(h, fr);

	if (rc == OK)
		rc = check_connection(h, fr);
	if (rc != OK)
		return rc;
	/* RFC 9112 6.1, RFC 9110 8.6: neither in 1xx and 204; "Content-Length: 0" does no harm */
	if (bare && h->body != H1_BODY_NONE)
		return H1_ERR_BODY_FORBIDDEN;
	if (bare && fr->length != NULL) {
		fr->length->flags |= H1_HEADER_HOP; /* RFC 9110 8.6: nor do we send it */
		h->hop = true;
	}
	/* RFC 9112 6.3 (1), (2): ended by the empty line whatever the fields say */
	if (bare || h->status == 304 || request_method == H1_HEAD ||
		(request_method == H1_CONNECT && h->status < 300)) {
		h->body = H1_BODY_NONE;
	} else if (fr->coding == NULL && fr->length == NULL) {
		h->body = H1_BODY_CLOSE;
		h->keep_alive = false;
	}
	return OK;
}
