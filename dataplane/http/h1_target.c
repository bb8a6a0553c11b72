// SPDX-License-Identifier: Apache-2.0
/*
 * h1_target.c: the request target, its path and its authority.
 *
 * What is matched is forwarded, so a path must mean the same to us and to any backend. Nothing is
 * decoded or normalised here (h1_merge_slashes() is the one exception, on request); a path that
 * some servers normalise is refused instead.
 * Standards: RFC 9112 3.2, RFC 9110 4.2, RFC 3986 3.
 */
#include "dataplane/http/h1_parse.h"

#define PORT_DIGITS_MAX 5

/* The byte that "%XY" at the start of <s> stands for, or -1. */
static int escape_value(struct str s)
{
	int hi, lo;

	if (s.len < 3 || s.p[0] != '%')
		return -1;
	hi = ascii_hex(s.p[1]);
	lo = ascii_hex(s.p[2]);
	return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

/*
 * Is the segment at the start of <s> "." or ".."? Dots may be escaped, and servlet engines cut
 * parameters off before they look: "/..;x/" counts.
 */
static bool is_dot_segment(struct str s)
{
	unsigned dots = 0;

	while (s.len > 0 && dots < 3) {
		size_t n = s.p[0] == '.' ? 1 : escape_value(s) == '.' ? 3 : 0;

		if (n == 0)
			break;
		dots++;
		s = str_from(s, n);
	}
	return (dots == 1 || dots == 2) && (s.len == 0 || s.p[0] == '/' || s.p[0] == ';');
}

/* The closer look at a path that is not plain (RFC 3986 6.2.2: forms that may be equivalent). */
static int check_path(struct h1_head *h)
{
	struct str rest = h->path;

	for (; rest.len > 0; rest = str_from(rest, 1)) {
		int v;

		switch (rest.p[0]) {
		case '/':
			if (rest.len > 1 && rest.p[1] == '/')
				h->slashes = true;
			if (is_dot_segment(str_from(rest, 1)))
				return H1_ERR_PATH_DOTS;
			break;
		case '\\':
			return H1_ERR_PATH_ESCAPE;
		case '%':
			v = escape_value(rest);
			if (v <= 0 || v == '/' || v == '\\')
				return H1_ERR_PATH_ESCAPE;
			break;
		}
	}
	return OK;
}

/* Cuts path and query out of origin-form: absolute-path [ "?" query ]. */
static int parse_origin_form(struct str s, struct h1_head *h)
{
	ptrdiff_t q = str_find(s, '?');

	h->path = q < 0 ? s : str_first(s, (size_t)q);
	if (q >= 0)
		h->query = str_make(s.p + q + 1, s.len - (size_t)q - 1);
	if (likely(h1_path_is_plain(h->path.p, h->path.p + h->path.len)))
		return OK;
	return check_path(h);
}

/* uri-host [ ":" port ]: fills *ret_name and *ret_port (as text, may be empty). */
int h1_authority_parse(struct str s, struct str *ret_name, struct str *ret_port)
{
	const char *p = s.p, *end;

	/* RFC 9110 4.2.1: an http URI with an empty host must be rejected */
	if (s.len == 0)
		return H1_ERR_HOST_INVALID;
	end = p + s.len;
	if (s.p[0] == '[') {
		do
			p++;
		while (p < end && (ascii_hex(*p) >= 0 || *p == ':' || *p == '.'));
		if (p == end || *p != ']' || p - s.p < 3)
			return H1_ERR_HOST_INVALID;
		p++;
	} else {
		p = h1_scan_after(s.p, p, end, &h1_host, false);
	}
	*ret_name = str_make(s.p, (size_t)(p - s.p));
	*ret_port = (struct str){NULL, 0};
	if (ret_name->len == 0)
		return H1_ERR_HOST_INVALID;
	if (p == end)
		return OK;
	*ret_port = str_make(p + 1, (size_t)(end - p - 1));
	if (*p != ':' || ret_port->len > PORT_DIGITS_MAX)
		return H1_ERR_HOST_INVALID;
	for (size_t i = 0; i < ret_port->len; i++)
		if (!H1_IS_DIGIT(ret_port->p[i]))
			return H1_ERR_HOST_INVALID;
	return OK;
}

/* scheme "://" authority path-abempty [ "?" query ], scheme http or https. */
static int parse_absolute_form(struct h1_head *h)
{
	static const struct str schemes[] = {{"http://", 7}, {"https://", 8}};
	struct str s = h->target, port;
	size_t n = 0;
	int rc;

	for (unsigned i = 0; i < 2 && n == 0; i++)
		if (str_ieq(str_first(s, schemes[i].len), schemes[i]))
			n = schemes[i].len;
	if (n == 0)
		return H1_ERR_TARGET;
	s = str_from(s, n);
	for (n = 0; n < s.len && s.p[n] != '/' && s.p[n] != '?';)
		n++;
	h->host = str_first(s, n);
	rc = h1_authority_parse(h->host, &h->host_name, &port);
	if (rc != OK)
		return rc;
	s = str_from(s, n);
	if (s.len > 0 && s.p[0] == '/')
		return parse_origin_form(s, h);
	/* RFC 9112 3.2.4: OPTIONS of an absolute target without path and query is "*" */
	h->path = s.len == 0 && h->method_id == H1_OPTIONS ? STR("*") : STR("/");
	if (s.len > 0)
		h->query = str_make(s.p + 1, s.len - 1);
	return OK;
}

int h1_target_parse(struct h1_head *h)
{
	/* RFC 9112 3.2.1 to 3.2.4; authority-form belongs to CONNECT alone */
	if (h->target.p[0] == '/')
		return parse_origin_form(h->target, h);
	if (h->target.len == 1 && h->target.p[0] == '*' && h->method_id == H1_OPTIONS) {
		h->path = h->target;
		return OK;
	}
	return parse_absolute_form(h);
}

bool h1_merge_slashes(struct h1_head *h, char *buf, size_t size)
{
	size_t n = 0;

	if (size < h->path.len + h->query.len + 1)
		return false;
	for (size_t i = 0; i < h->path.len; i++)
		if (n == 0 || h->path.p[i] != '/' || buf[n - 1] != '/')
			buf[n++] = h->path.p[i];
	h->path = str_make(buf, n);
	if (h->query.len > 0)
		memcpy(buf + n, h->query.p, h->query.len);
	if (h->query.p != NULL)
		h->query.p = buf + n;
	h->slashes = false;
	return true;
}
