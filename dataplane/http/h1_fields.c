// SPDX-License-Identifier: Apache-2.0
/*
 * h1_fields.c: field lines, and which of them decide about the message.
 *
 * A line whose name the table has is mostly judged at one look (h1_line.h); any other is read from
 * left to right, name, colon, value, line end. Both accept the same lines, and what is wrong with
 * one is always told by the second way.
 * Standards: RFC 9112 5, RFC 9110 5.
 */
#include <assert.h>

#include "dataplane/http/h1_line.h"
#include "dataplane/http/h1_parse.h"

/* Why a name was not followed by its colon. */
static int name_error(const char *name, const char *at)
{
	if (at > name && (*at == ' ' || *at == '\t'))
		return H1_ERR_FIELD_SPACE;
	return H1_ERR_FIELD_NAME;
}

static int parse_name(const struct cursor *c, const char *p, struct h1_header *f)
{
	const char *colon = scan(c, p, &h1_token, false);
	bool underscore = false;
	const struct h1_row *row;

	f->name = str_make(p, (size_t)(colon - p));
	if (colon == c->end)
		return MORE;
	if (*colon != ':' || f->name.len == 0)
		return name_error(p, colon);
	row = h1_row_lookup(f->name, &underscore);
	f->id = row->id;
	f->flags = row->header_flags;
	/* told when its line is whole, as all that is wrong with a line before it */
	return underscore ? H1_ERR_FIELD_UNDERSCORE : OK;
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* OWS field-value OWS CRLF at c->p; before <from> nothing ends it. */
static int parse_value(struct cursor *c, const char *from, struct h1_header *f)
{
	const char *p = c->p, *last = scan(c, from, &h1_control, true);
	int rc = line_end_at(last, c->end, H1_ERR_FIELD_VALUE);

	c->p = last + 2;
	while (p < last && is_blank(*p))
		p++;
	while (last > p && is_blank(last[-1]))
		last--;
	f->value = str_make(p, (size_t)(last - p));
	return rc;
}

/* RFC 9112 5: field-name ":" OWS field-value OWS CRLF */
static int parse_field(struct cursor *c, struct h1_header *f)
{
	int rc = parse_name(c, c->p, f), rc_value;

	if (rc != OK && rc != H1_ERR_FIELD_UNDERSCORE)
		return rc;
	c->p += f->name.len + 1;
	rc_value = parse_value(c, c->p, f);
	return rc_value != OK ? rc_value : rc;
}

/* The same for a line whose name is known; <s> is the line, or a copy of it. */
static inline int parse_known_field(struct cursor *c, const char *s, const struct h1_line *line,
	struct h1_header *f)
{
	size_t n = line->row->len, from = n + 1, to = line->stop;

	f->name = str_make(c->p, n);
	f->id = line->row->id;
	f->flags = line->row->header_flags;
	if (likely(s[from] == ' '))
		from++;
	/* One blank in front and none behind is what everybody sends; before <to> nothing else is
	 * as small. */
	if (unlikely(memcmp(s + to, "\r\n", 2) != 0 || (uint8_t)s[from] <= ' ' ||
		    (uint8_t)s[to - 1] <= ' ')) {
		const char *stop = c->p + to;

		c->p += n + 1;
		return parse_value(c, stop, f);
	}
	f->value = str_make(c->p + from, to - from);
	c->p += to + 2;
	return OK;
}

/* No field behind this one in header.def is for note_field(). */
#define NOTED_LAST H1_HDR_EXPECT
static_assert((unsigned)H1_HDR_HOST <= NOTED_LAST &&
		(unsigned)H1_HDR_CONTENT_LENGTH <= NOTED_LAST &&
		(unsigned)H1_HDR_TRANSFER_ENCODING <= NOTED_LAST &&
		(unsigned)H1_HDR_CONNECTION <= NOTED_LAST && (unsigned)H1_HDR_UPGRADE <= NOTED_LAST,
	"those that decide come first");

/* Remembers the fields that decide about the message; doubles are errors at once. */
static int note_field(struct h1_header *f, struct h1_framing *fr)
{
	switch (f->id) {
	case H1_HDR_OTHER:
		if (unlikely(h1_is_forwarded_family(f->name)))
			f->flags |= H1_HEADER_ORIGIN;
		return OK;
	case H1_HDR_HOST:
		/* RFC 9112 3.2: 400 to any request with more than one Host field line */
		if (fr->host != NULL)
			return H1_ERR_HOST_TWICE;
		fr->host = f;
		return OK;
	case H1_HDR_CONTENT_LENGTH:
		if (fr->length != NULL)
			return H1_ERR_LENGTH_TWICE;
		fr->length = f;
		return OK;
	case H1_HDR_TRANSFER_ENCODING:
		if (fr->coding != NULL)
			return H1_ERR_CODING_TWICE;
		fr->coding = f;
		return OK;
	case H1_HDR_EXPECT:
		if (fr->expect != NULL)
			return H1_ERR_EXPECT;
		fr->expect = f;
		return OK;
	case H1_HDR_CONNECTION:
		fr->connection = true;
		return OK;
	case H1_HDR_UPGRADE:
		fr->upgrade = true;
		return OK;
	}
	return OK;
}

/* What stands where a field should begin and is none, or one too many. */
static int fields_end(struct cursor *c, struct h1_head *h)
{
	h->fields.len = (size_t)(c->p - h->fields.p);
	if (likely(is_line_end(c->p, c->end))) {
		c->p += 2;
		return OK;
	}
	if (*c->p > ' ' && h->header_count == H1_HEADERS_MAX)
		return H1_ERR_FIELDS_MANY;
	/* RFC 9112 5.2: reject obs-fold; 2.2: and blanks before the first field */
	if (is_blank(*c->p))
		return H1_ERR_OBS_FOLD;
	if (*c->p != '\r' && *c->p != '\n')
		return H1_ERR_FIELD_NAME;
	return line_end(c, H1_ERR_FIELD_NAME);
}

/* The last bytes of the input, with NULs behind them. */
static const char *tail_copy(char tail[static H1_LINE_BEFORE + 2 * H1_LINE_BEHIND], const char *p,
	const char *end)
{
	memset(tail, 0, H1_LINE_BEFORE + 2 * H1_LINE_BEHIND);
	memcpy(tail + H1_LINE_BEFORE, p, (size_t)(end - p));
	return tail + H1_LINE_BEFORE;
}

/*
 * Fields up to the empty line. The lines at the end of the input are looked at in a copy, behind
 * which there is something readable: NULs, which end a line and are no line end.
 */
int h1_fields_parse(struct cursor *in, struct h1_head *h, struct h1_framing *fr)
{
	char tail[H1_LINE_BEFORE + 2 * H1_LINE_BEHIND];
	struct cursor c = *in; /* in registers: fields are stored in between */
	struct h1_header *f = h->headers, *last = f + H1_HEADERS_MAX;
	const char *direct = c.end - c.p < H1_LINE_BEHIND ? c.p : c.end - H1_LINE_BEHIND + 1;
	ptrdiff_t shift = 0;
	struct h1_line line;
	uint8_t flags = 0;
	int rc = OK;

	h->fields.p = c.p;
	for (; f < last; f++) {
		if (unlikely(c.p >= direct)) {
			shift = tail_copy(tail, c.p, c.end) - c.p;
			direct = c.end;
		}
		if (likely(h1_line_look(c.p + shift, &line)))
			rc = parse_known_field(&c, c.p + shift, &line, f);
		else if (c.p == c.end || *c.p <= ' ')
			break;
		else
			rc = parse_field(&c, f);
		if (rc == OK && f->id <= NOTED_LAST)
			rc = note_field(f, fr);
		if (unlikely(rc != OK))
			return rc;
		flags |= f->flags;
	}
	h->header_count = (uint32_t)(f - h->headers);
	h->hop = (flags & H1_HEADER_HOP) != 0;
	in->p = c.p;
	return c.p == c.end ? MORE : fields_end(in, h);
}
