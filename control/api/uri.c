// SPDX-License-Identifier: Apache-2.0
/*
 * uri.c: split first, decode the parts then, so that an encoded delimiter stays data.
 */
#include "control/api/uri.h"

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = ascii_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* NUL and what is no escape are refused; '+' is a blank in a query only. */
static bool decode(struct str s, bool is_query, struct arena *a, struct str *ret)
{
	char *out = arena_alloc(a, s.len + 1);
	size_t n = 0;

	if (out == NULL)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '%') {
			int hi = i + 2 < s.len ? hex_digit(s.p[i + 1]) : -1;
			int lo = hi >= 0 ? hex_digit(s.p[i + 2]) : -1;

			if (lo < 0 || (hi == 0 && lo == 0))
				return false;
			c = (char)(hi * 16 + lo);
			i += 2;
		} else if (c == '+' && is_query) {
			c = ' ';
		}
		out[n++] = c;
	}
	*ret = str_make(out, n);
	return true;
}

static bool path_parse(struct str path, struct arena *a, struct uri *u)
{
	if (path.len == 0 || path.p[0] != '/')
		return false;
	path = str_from(path, 1);
	while (path.p != NULL) {
		struct str seg = str_cut(&path, '/');

		if (u->segment_count == URI_SEGMENTS_MAX ||
			!decode(seg, false, a, &u->segments[u->segment_count++]))
			return false;
	}
	return true;
}

static bool query_parse(struct str query, struct arena *a, struct uri *u)
{
	while (query.p != NULL) {
		struct str value = str_cut(&query, '&');
		struct uri_param *p = &u->params[u->param_count];
		struct str name;

		if (value.len == 0)
			continue;
		name = str_cut(&value, '=');
		if (u->param_count++ == URI_PARAMS_MAX || !decode(name, true, a, &p->name) ||
			!decode(value, true, a, &p->value))
			return false;
	}
	return true;
}

bool uri_parse(struct str target, struct arena *a, struct uri *ret)
{
	struct uri u = {0};
	struct str path = str_cut(&target, '?');

	if (!path_parse(path, a, &u) || !query_parse(target, a, &u))
		return false;
	*ret = u;
	return true;
}
