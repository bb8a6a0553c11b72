// SPDX-License-Identifier: Apache-2.0
/*
 * h1_chunk.c: the chunked transfer coding, byte by byte where it matters, in one step over data.
 *
 * A state per place in the grammar of RFC 9112 7.1; what is not in the grammar is an error, and of
 * what is in it the following is refused too: blanks around size and extensions ("BWS", which
 * some read and some do not), sizes beyond 63 bits, extensions longer than a line's limit or, over
 * the message, larger than the data they come with by 16 KiB (one-byte chunks with long extensions
 * cost a server far more than their sender), trailer fields that steer framing, routing or
 * authentication and would arrive when that is decided already.
 * Standards: RFC 9112 7.1, RFC 9110 5.6.4 (quoted-string), 6.5 (trailers).
 */
#include "dataplane/http/h1_parse.h"

#define SIZE_DIGITS_MAX 16

enum state {
	SIZE = 0,      /* chunk-size: 1*HEXDIG */
	EXT_NAME,      /* behind ';' */
	EXT_NAME_MORE, /* in the name; '=', ';' or the line's end may follow */
	EXT_VALUE,     /* behind '=' */
	EXT_TOKEN,
	EXT_QUOTED,
	EXT_PAIR, /* behind '\' in a quoted string */
	EXT_END,  /* behind the closing quote */
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER, /* at the start of a line behind the last chunk */
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
	DONE,
};

void h1_chunk_init(struct h1_chunk *c)
{
	*c = (struct h1_chunk){.state = SIZE};
}

static int on_size(struct h1_chunk *c, char ch)
{
	int v = ascii_hex(ch);

	if (v >= 0) {
		if (++c->digits > SIZE_DIGITS_MAX || c->left > (uint64_t)INT64_MAX >> 4)
			return H1_ERR_CHUNK_LARGE;
		c->left = c->left << 4 | (unsigned)v;
		return OK;
	}
	if (c->digits == 0)
		return H1_ERR_CHUNK_SIZE;
	if (ch == '\n')
		return H1_ERR_CHUNK_LINE_END;
	if (ch != '\r' && ch != ';')
		return H1_ERR_CHUNK_SIZE;
	c->state = ch == '\r' ? SIZE_LF : EXT_NAME;
	return OK;
}

/* What may follow a complete extension name or value. */
static int on_extension_end(struct h1_chunk *c, char ch)
{
	if (ch == '\n')
		return H1_ERR_CHUNK_LINE_END;
	if (ch != '\r' && ch != ';')
		return H1_ERR_CHUNK_EXTENSION;
	c->state = ch == '\r' ? SIZE_LF : EXT_NAME;
	return OK;
}

/* RFC 9112 7.1.1: *( ";" chunk-ext-name [ "=" ( token / quoted-string ) ] ) */
static int on_extension(struct h1_chunk *c, char ch)
{
	switch (c->state) {
	case EXT_NAME:
		c->state = EXT_NAME_MORE;
		return h1_is(&h1_token, ch) ? OK : H1_ERR_CHUNK_EXTENSION;
	case EXT_NAME_MORE:
		if (h1_is(&h1_token, ch))
			return OK;
		if (ch != '=')
			return on_extension_end(c, ch);
		c->state = EXT_VALUE;
		return OK;
	case EXT_VALUE:
		c->state = ch == '"' ? EXT_QUOTED : EXT_TOKEN;
		return ch == '"' || h1_is(&h1_token, ch) ? OK : H1_ERR_CHUNK_EXTENSION;
	case EXT_TOKEN:
		return h1_is(&h1_token, ch) ? OK : on_extension_end(c, ch);
	case EXT_QUOTED:
		if (ch == '"')
			c->state = EXT_END;
		else if (ch == '\\')
			c->state = EXT_PAIR;
		return h1_is(&h1_control, ch) ? H1_ERR_CHUNK_EXTENSION : OK;
	case EXT_PAIR:
		c->state = EXT_QUOTED;
		return h1_is(&h1_control, ch) ? H1_ERR_CHUNK_EXTENSION : OK;
	}
	return on_extension_end(c, ch); /* EXT_END */
}

/* A byte of the line "chunk-size [ chunk-ext ] CRLF". */
static int on_size_line(struct h1_chunk *c, char ch)
{
	uint64_t overhead;

	if (++c->line_bytes > H1_CHUNK_LINE_MAX)
		return H1_ERR_CHUNK_OVERHEAD;
	if (c->state != SIZE_LF)
		return c->state == SIZE ? on_size(c, ch) : on_extension(c, ch);
	if (ch != '\n')
		return H1_ERR_CHUNK_LINE_END;
	/* what is not digits and CRLF has to be paid for by data */
	overhead = c->overhead_bytes + (c->line_bytes - c->digits - 2u);
	overhead -= overhead < c->left ? overhead : c->left;
	if (overhead > H1_CHUNK_OVERHEAD_MAX)
		return H1_ERR_CHUNK_OVERHEAD;
	c->overhead_bytes = (uint32_t)overhead;
	c->line_bytes = 0;
	c->digits = 0;
	c->state = c->left > 0 ? DATA : TRAILER;
	return OK;
}

/* RFC 9112 7.1: chunk-data CRLF */
static int on_data_end(struct h1_chunk *c, char ch)
{
	if (ch != (c->state == DATA_CR ? '\r' : '\n'))
		return H1_ERR_CHUNK_DATA_END;
	c->state = c->state == DATA_CR ? DATA_LF : SIZE;
	return OK;
}

/* The name is complete. */
static int check_trailer_name(const struct h1_chunk *c)
{
	size_t kept = c->name_len < H1_CHUNK_NAME_MAX ? c->name_len : H1_CHUNK_NAME_MAX;
	bool underscore = false;
	const struct h1_row *row = &h1_rows[0];

	if (c->name_len == 0)
		return H1_ERR_TRAILER_FIELD;
	if (c->name_len <= H1_CHUNK_NAME_MAX)
		row = h1_row_lookup(str_make(c->name, c->name_len), &underscore);
	/* the family shows in the bytes that are kept of a longer name */
	if (underscore || (row->flags & H1_ROW_NO_TRAILER) ||
		h1_is_forwarded_family(str_make(c->name, kept)))
		return H1_ERR_TRAILER_FORBIDDEN;
	return OK;
}

static int on_trailer_name(struct h1_chunk *c, char ch)
{
	if (ch == ':') {
		c->state = TRAILER_VALUE;
		return check_trailer_name(c);
	}
	if (!h1_is(&h1_token, ch))
		return H1_ERR_TRAILER_FIELD;
	if (c->name_len < H1_CHUNK_NAME_MAX)
		c->name[c->name_len] = ch;
	if (c->name_len <= H1_CHUNK_NAME_MAX) /* longer than any name of the table */
		c->name_len++;
	return OK;
}

/* RFC 9112 7.1.2: trailer-section = *( field-line CRLF ), then the last CRLF */
static int on_trailer(struct h1_chunk *c, char ch)
{
	if (++c->trailer_bytes > H1_TRAILER_BYTES_MAX)
		return H1_ERR_TRAILER_LARGE;
	switch (c->state) {
	case TRAILER:
		if (ch == '\r') {
			c->state = END_LF;
			return OK;
		}
		if (++c->trailer_count > H1_TRAILERS_MAX)
			return H1_ERR_TRAILER_LARGE;
		c->name_len = 0;
		c->state = TRAILER_NAME;
		return on_trailer_name(c, ch);
	case TRAILER_NAME:
		return on_trailer_name(c, ch);
	case TRAILER_VALUE:
		if (ch == '\r')
			c->state = TRAILER_LF;
		else if (h1_is(&h1_control, ch))
			return H1_ERR_TRAILER_FIELD;
		return OK;
	}
	if (ch != '\n') /* TRAILER_LF, END_LF */
		return H1_ERR_TRAILER_FIELD;
	c->state = c->state == TRAILER_LF ? TRAILER : DONE;
	return OK;
}

/* The data that lies at <off>, as far as it is here; returns the offset behind it. */
static size_t take_data(struct h1_chunk *c, size_t off, size_t len, struct h1_piece *ret)
{
	uint64_t n = len - off < c->left ? len - off : c->left;

	*ret = (struct h1_piece){off, (size_t)n, false};
	c->left -= n;
	if (c->left == 0)
		c->state = DATA_CR;
	return off + (size_t)n;
}

ssize_t h1_chunk_parse(struct h1_chunk *c, const char *buf, size_t len, struct h1_piece *ret)
{
	size_t off = 0;
	int rc = OK;

	*ret = (struct h1_piece){0};
	while (off < len && c->state != DONE && rc == OK) {
		if (c->state == DATA) {
			if (ret->len > 0) /* one piece per call */
				return (ssize_t)off;
			off = take_data(c, off, len, ret);
			continue;
		}
		if (c->state <= SIZE_LF)
			rc = on_size_line(c, buf[off++]);
		else if (c->state <= DATA_LF)
			rc = on_data_end(c, buf[off++]);
		else
			rc = on_trailer(c, buf[off++]);
	}
	ret->last = c->state == DONE;
	return rc == OK ? (ssize_t)off : -rc;
}
