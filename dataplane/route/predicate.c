// SPDX-License-Identifier: Apache-2.0
/*
 * predicate.c: values are compared where they lie, piece by piece; nothing is joined, decoded or
 * copied.
 */
#include "dataplane/route/predicate.h"

#include "dataplane/http/h1.h"

/* Cuts <part> off the front of *<rest>; false when something else is there. */
static bool take(struct str *rest, struct str part)
{
	if (!str_starts(*rest, part))
		return false;
	*rest = str_from(*rest, part.len);
	return true;
}

bool predicate_header(const struct h1_head *head, uint8_t hidden, struct str name, struct str value)
{
	bool found = false;

	for (uint32_t i = 0; i < head->header_count; i++) {
		const struct h1_header *f = &head->headers[i];

		if ((f->flags & hidden) || !str_ieq(f->name, name))
			continue;
		if (found && !take(&value, STR(", ")))
			return false;
		if (!take(&value, f->value))
			return false;
		found = true;
	}
	return found && value.len == 0;
}

/* The next decoded byte of a query. */
static char next_decoded(struct str *s)
{
	char c = s->p[0];
	size_t n = 1;

	if (c == '+') {
		c = ' ';
	} else if (c == '%' && s->len >= 3 && ascii_hex(s->p[1]) >= 0 && ascii_hex(s->p[2]) >= 0) {
		c = (char)(ascii_hex(s->p[1]) << 4 | ascii_hex(s->p[2]));
		n = 3;
	}
	*s = str_from(*s, n);
	return c;
}

static bool decodes_to(struct str raw, struct str want)
{
	size_t i = 0;

	while (raw.len > 0) {
		if (i == want.len || next_decoded(&raw) != want.p[i])
			return false;
		i++;
	}
	return i == want.len;
}

bool predicate_query(struct str query, struct str name, struct str value)
{
	while (query.p != NULL) {
		struct str pair = str_cut(&query, '&');

		if (decodes_to(str_cut(&pair, '='), name))
			return decodes_to(pair, value);
	}
	return false;
}
