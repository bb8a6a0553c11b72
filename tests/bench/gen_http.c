// SPDX-License-Identifier: Apache-2.0
/*
 * gen_http.c: makes requests and responses.
 */
#include "tests/bench/gen_http.h"

#include <stdio.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

static const char digits[] = "0123456789abcdef";

static void text_set(struct http_text *t, int len)
{
	t->len = (uint16_t)len;
	t->sum = sum_of(t->text, t->len);
}

void http_init(struct http *h, struct body *body, const char *host, const uint32_t *bytes,
	unsigned classes, struct head_buffer *buffers, unsigned buffer_count)
{
	static const char *const close_line[2] = {"", "Connection: close\r\n"};

	memset(h, 0, sizeof(*h));
	h->body = body;
	h->classes = classes;
	for (unsigned close = 0; close < 2; close++) {
		text_set(&h->request[close],
			snprintf(h->request[close].text, HTTP_TEXT_MAX,
				"GET /r0000?b=0000000&id=00000000 HTTP/1.1\r\nHost: %s\r\n%s\r\n",
				host, close_line[close]));
		for (unsigned i = 0; i < classes; i++) {
			struct http_text *t = &h->response[i][close];

			h->bytes[i] = bytes[i];
			text_set(t,
				snprintf(t->text, HTTP_TEXT_MAX,
					"HTTP/1.1 200 OK\r\nServer: bench\r\n"
					"Content-Type: text/plain\r\nContent-Length: %u\r\n%s\r\n",
					bytes[i], close_line[close]));
		}
	}
	text_set(&h->not_found,
		snprintf(h->not_found.text, HTTP_TEXT_MAX,
			"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"));
	for (unsigned i = 0; i < buffer_count; i++) {
		struct head_buffer *b = &buffers[i];

		http_buffer_put(h, &b);
	}
}

struct head_buffer *http_buffer_take(struct http *h)
{
	struct head_buffer *b = h->free;

	if (b == NULL)
		return NULL;
	h->free = b->next;
	b->len = 0;
	return b;
}

void http_buffer_put(struct http *h, struct head_buffer **b)
{
	if (*b == NULL)
		return;
	(*b)->next = h->free;
	h->free = *b;
	*b = NULL;
}

static uint32_t head_end_plain(const uint8_t *p, uint32_t from, uint32_t len)
{
	for (uint32_t i = from; i + 4 <= len; i++)
		if (memcmp(p + i, "\r\n\r\n", 4) == 0)
			return i + 4;
	return 0;
}

uint32_t http_head_end(const uint8_t *p, uint32_t len)
{
	uint32_t i = 0;
#if defined(__SSE2__)
	const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');

	for (; i + 19 <= len; i += 16) {
		__m128i a = _mm_loadu_si128((const void *)(p + i));
		__m128i b = _mm_loadu_si128((const void *)(p + i + 1));
		__m128i c = _mm_loadu_si128((const void *)(p + i + 2));
		__m128i d = _mm_loadu_si128((const void *)(p + i + 3));
		__m128i x = _mm_and_si128(_mm_cmpeq_epi8(a, cr), _mm_cmpeq_epi8(b, lf));
		__m128i y = _mm_and_si128(_mm_cmpeq_epi8(c, cr), _mm_cmpeq_epi8(d, lf));
		unsigned found = (unsigned)_mm_movemask_epi8(_mm_and_si128(x, y));

		if (found != 0)
			return i + (unsigned)__builtin_ctz(found) + 4;
	}
#endif
	return head_end_plain(p, i, len);
}

static void decimal_put(uint8_t *p, unsigned n, uint32_t v)
{
	while (n > 0) {
		p[--n] = (uint8_t)digits[v % 10];
		v /= 10;
	}
}

static void id_put(uint8_t *p, uint32_t id)
{
	for (int i = 0; i < 8; i++)
		p[i] = (uint8_t)digits[(id >> (28 - 4 * i)) & 15];
}

uint32_t ask_write(const struct http *h, const struct ask *a, uint8_t *dst)
{
	const struct http_text *t = &h->request[a->close];

	memcpy(dst, t->text, t->len);
	decimal_put(dst + HTTP_ROUTE_AT, 4, a->route);
	decimal_put(dst + HTTP_BYTES_AT, 7, h->bytes[a->class]);
	id_put(dst + HTTP_ID_AT, a->id);
	return t->len;
}

/* <n> digits of <base>; -1 when one is none. */
static int64_t number_get(const uint8_t *p, unsigned n, unsigned base)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < n; i++) {
		unsigned d = (unsigned)p[i] - '0';

		if (d > 9) {
			d = (unsigned)p[i] - 'a' + 10;
			if (d < 10 || d >= base)
				return -1;
		}
		v = v * base + d;
	}
	return v;
}

bool ask_read(const struct http *h, const uint8_t *p, uint32_t len, struct ask *ret)
{
	int64_t route, bytes, id;

	if (len < HTTP_ID_AT + 8 + 11 || memcmp(p, "GET /r", 6) != 0 ||
		memcmp(p + HTTP_BYTES_AT - 3, "?b=", 3) != 0 ||
		memcmp(p + HTTP_ID_AT - 4, "&id=", 4) != 0 ||
		memcmp(p + HTTP_ID_AT + 8, " HTTP/1.1\r\n", 11) != 0)
		return false;
	route = number_get(p + HTTP_ROUTE_AT, 4, 10);
	bytes = number_get(p + HTTP_BYTES_AT, 7, 10);
	id = number_get(p + HTTP_ID_AT, 8, 16);
	if (route < 0 || bytes < 0 || id < 0)
		return false;
	for (unsigned i = 0; i < h->classes; i++) {
		if (h->bytes[i] != bytes)
			continue;
		*ret = (struct ask){.id = (uint32_t)id,
			.route = (uint16_t)route,
			.class = (uint8_t)i};
		return true;
	}
	return false;
}

/* The part of [off, off + len) within the body's number. */
static uint32_t write_id(const struct answer *a, uint32_t off, uint32_t len, uint8_t *dst)
{
	uint8_t id[BODY_ID_LEN];
	uint32_t n = BODY_ID_LEN - off < len ? BODY_ID_LEN - off : len;

	id_put(id, a->id);
	memcpy(dst, id + off, n);
	return n;
}

uint64_t answer_write(const struct http *h, const struct answer *a, uint32_t off, uint32_t len,
	uint8_t *dst)
{
	const struct http_text *t = answer_head(h, a);
	uint32_t done = 0, n;
	uint64_t sum = 0;

	if (off < t->len) {
		done = t->len - off < len ? t->len - off : len;
		memcpy(dst, t->text + off, done);
		sum = done == t->len ? t->sum : sum_of(dst, done);
	}
	off = off + done - t->len; /* of the body; without meaning when len is used up */
	if (done < len && off < BODY_ID_LEN) {
		n = write_id(a, off, len - done, dst + done);
		sum = sum_join(sum, done, sum_short(dst + done, n));
		done += n, off += n;
	}
	if (done < len) {
		memcpy(dst + done, body_at(h->body, off), len - done);
		sum = sum_join(sum, done, body_sum(h->body, off, len - done));
	}
	return sum;
}
