// SPDX-License-Identifier: Apache-2.0
/*
 * gen_check.c: the client's judgement of a response, in pieces as they arrive.
 */
#include "tests/bench/gen_http.h"

#include <strings.h>

#define SEEN_REFRESH 64 /* heads that differ before the remembered one is replaced */

/* Value of a field line named <name> (with its colon), or NULL. */
static const uint8_t *field_value(const uint8_t *line, const uint8_t *end, const char *name)
{
	size_t n = strlen(name);

	if ((size_t)(end - line) < n || strncasecmp((const char *)line, name, n) != 0)
		return NULL;
	for (line += n; line < end && (*line == ' ' || *line == '\t');)
		line++;
	return line;
}

/* Digits up to the line's end; -1 when there is anything else. */
static int64_t length_get(const uint8_t *p, const uint8_t *end)
{
	int64_t v = 0;

	if (p == end)
		return -1;
	for (; p < end; p++) {
		if (*p < '0' || *p > '9' || v > BODY_BYTES_MAX)
			return -1;
		v = v * 10 + (*p - '0');
	}
	return v;
}

/* A complete head: 0 or an error. */
static int head_judge(struct http *h, uint32_t want, const uint8_t *p, uint32_t len)
{
	const uint8_t *end = p + len - 2; /* the empty line */
	int64_t length = -1;

	if (len < 17 || memcmp(p, "HTTP/1.1 ", 9) != 0)
		return CHECK_BAD_HEAD;
	if (memcmp(p + 9, "200 ", 4) != 0) {
		h->last_status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0');
		return CHECK_BAD_STATUS;
	}
	while (p < end) {
		const uint8_t *eol = memchr(p, '\r', (size_t)(end - p)), *v;

		if (eol == NULL || eol[1] != '\n')
			return CHECK_BAD_HEAD;
		if ((v = field_value(p, eol, "Content-Length:")) != NULL) {
			if (length >= 0)
				return CHECK_BAD_LENGTH;
			length = length_get(v, eol);
		} else if (field_value(p, eol, "Transfer-Encoding:") != NULL) {
			return CHECK_BAD_HEAD;
		}
		p = eol + 2;
	}
	return length == want ? 0 : CHECK_BAD_LENGTH;
}

/* A head that starts at <p>: its length, 0 when it is not complete, or an error. */
static int head_take(struct http *h, const struct check *c, const uint8_t *p, uint32_t len)
{
	struct seen_head *s = &h->seen[c->class][c->close];
	uint32_t n;
	int rc;

	if (s->len != 0 && len >= s->len && memcmp(p, s->text, s->len) == 0)
		return (int)s->len;
	n = http_head_end(p, len);
	if (n == 0)
		return 0;
	rc = head_judge(h, h->bytes[c->class], p, n);
	if (rc < 0)
		return rc;
	if (n <= sizeof(s->text) && (s->len == 0 || ++s->misses >= SEEN_REFRESH)) {
		memcpy(s->text, p, n);
		s->len = n;
		s->misses = 0;
	}
	return (int)n;
}

/* A head in pieces: collects until it is complete. Bytes taken of <p>, or an error. */
static int head_collect(struct http *h, struct check *c, const uint8_t *p, uint32_t len)
{
	struct head_buffer *b = c->head;
	uint32_t room, before;
	int n;

	if (b == NULL)
		b = c->head = http_buffer_take(h);
	if (b == NULL)
		return CHECK_NO_BUFFER;
	before = b->len;
	room = HTTP_HEAD_MAX - b->len;
	if (len > room)
		len = room;
	memcpy(b->text + b->len, p, len);
	b->len += len;
	n = head_take(h, c, b->text, b->len);
	if (n == 0)
		return b->len < HTTP_HEAD_MAX ? (int)len : CHECK_BAD_HEAD;
	http_buffer_put(h, &c->head);
	if (n < 0)
		return n;
	c->in_body = true;
	return n - (int)before;
}

/* Bytes [body_off, + len) of the body are right. */
static bool body_right(const struct http *h, const struct check *c, const uint8_t *p, uint32_t len)
{
	uint32_t off = c->body_off;

	if (off < BODY_ID_LEN) {
		uint32_t n = BODY_ID_LEN - off < len ? BODY_ID_LEN - off : len;

		if (memcmp(p, (const uint8_t *)&c->id + off, n) != 0)
			return false;
		p += n, len -= n, off += n;
	}
	while (len > 0) {
		uint32_t n = len < BODY_SLICE_MAX ? len : BODY_SLICE_MAX;

		if (memcmp(p, body_at(h->body, off), n) != 0)
			return false;
		p += n, len -= n, off += n;
	}
	return true;
}

int check_feed(struct http *h, struct check *c, const uint8_t *p, uint32_t len)
{
	uint32_t taken = 0, left, n;
	int rc;

	if (c->done)
		return 0;
	if (!c->in_body) {
		rc = c->head == NULL ? head_take(h, c, p, len) : 0;
		if (rc == 0) {
			rc = head_collect(h, c, p, len);
			if (rc < 0 || !c->in_body)
				return rc;
		} else if (rc < 0) {
			return rc;
		}
		c->in_body = true;
		taken = (uint32_t)rc;
	}
	left = h->bytes[c->class] - c->body_off;
	n = len - taken < left ? len - taken : left;
	if (!body_right(h, c, p + taken, n))
		return CHECK_BAD_CONTENT;
	c->body_off += n;
	c->done = c->body_off == h->bytes[c->class];
	return (int)(taken + n);
}

void check_end(struct http *h, struct check *c)
{
	http_buffer_put(h, &c->head);
}
