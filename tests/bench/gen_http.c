// SPDX-License-Identifier: Apache-2.0
/*
 * gen_http.c: makes requests and responses.
 */
#include "tests/bench/gen_http.h"

#include <endian.h>
#include <stdio.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

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
			char text[16];

			h->bytes[i] = bytes[i];
			snprintf(text, sizeof(text), "%07u&", bytes[i]);
			memcpy(h->bytes_text[i], text, 8);
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

static uint32_t head_end_plain(const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i + 4 <= len; i++)
		if (memcmp(p + i, "\r\n\r\n", 4) == 0)
			return i + 4;
	return 0;
}

#if defined(__SSE2__)
/* Which of 16 places are the start of an empty line's four bytes; reads 19. */
static unsigned ends_at(const uint8_t *p)
{
	const __m128i cr = _mm_set1_epi8('\r'), lf = _mm_set1_epi8('\n');
	__m128i a = _mm_cmpeq_epi8(_mm_loadu_si128((const void *)p), cr);
	__m128i b = _mm_cmpeq_epi8(_mm_loadu_si128((const void *)(p + 1)), lf);
	__m128i c = _mm_cmpeq_epi8(_mm_loadu_si128((const void *)(p + 2)), cr);
	__m128i d = _mm_cmpeq_epi8(_mm_loadu_si128((const void *)(p + 3)), lf);

	return (unsigned)_mm_movemask_epi8(_mm_and_si128(_mm_and_si128(a, b), _mm_and_si128(c, d)));
}

uint32_t http_head_end(const uint8_t *p, uint32_t len)
{
	uint32_t i = 0;

	if (len < 19)
		return head_end_plain(p, len);
	while (i + 4 <= len) {
		unsigned found;

		if (i > len - 19)
			i = len - 19; /* the last places once more */
		found = ends_at(p + i);
		if (found != 0)
			return i + (unsigned)__builtin_ctz(found) + 4;
		i += 16;
	}
	return 0;
}
#else
uint32_t http_head_end(const uint8_t *p, uint32_t len)
{
	return head_end_plain(p, len);
}
#endif

/* All nibbles at once: spread over eight bytes, the first one lowest, then turned into digits. */
uint64_t http_id(uint32_t number)
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t v = __builtin_bswap32(number), letters;

	v = (v | v << 16) & 0x0000ffff0000ffff;
	v = (v | v << 8) & 0x00ff00ff00ff00ff;
	v = ((v >> 4) & 0x000f000f000f000f) | ((v & 0x000f000f000f000f) << 8);
	letters = ((v + 6 * ones) >> 4) & ones;
	return htole64(v + '0' * ones + letters * ('a' - '0' - 10));
}

static void two_digits(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)('0' + v / 10);
	p[1] = (uint8_t)('0' + v % 10);
}

uint32_t ask_write(const struct http *h, const struct ask *a, uint8_t *dst)
{
	const struct http_text *t = &h->request[a->close];

	memcpy(dst, t->text, t->len);
	two_digits(dst + HTTP_ROUTE_AT, a->route / 100u);
	two_digits(dst + HTTP_ROUTE_AT + 2, a->route % 100u);
	memcpy(dst + HTTP_BYTES_AT, h->bytes_text[a->class], 8);
	memcpy(dst + HTTP_ID_AT, &a->id, 8);
	return t->len;
}

static bool are_digits(const uint8_t *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (p[i] < '0' || p[i] > '9')
			return false;
	return true;
}

bool ask_read(const struct http *h, const uint8_t *p, uint32_t len, struct ask *ret)
{
	if (len < HTTP_ID_AT + 8 + 11 || memcmp(p, "GET /r", 6) != 0 ||
		!are_digits(p + HTTP_ROUTE_AT, 4) || memcmp(p + HTTP_BYTES_AT - 3, "?b=", 3) != 0 ||
		memcmp(p + HTTP_ID_AT - 4, "&id=", 4) != 0 ||
		memcmp(p + HTTP_ID_AT + 8, " HTTP/1.1\r\n", 11) != 0)
		return false;
	for (unsigned i = 0; i < h->classes; i++) {
		if (memcmp(p + HTTP_BYTES_AT, h->bytes_text[i], 8) != 0)
			continue;
		*ret = (struct ask){.class = (uint8_t)i};
		ret->route = (uint16_t)((p[6] - '0') * 1000 + (p[7] - '0') * 100 +
			(p[8] - '0') * 10 + (p[9] - '0'));
		memcpy(&ret->id, p + HTTP_ID_AT, 8);
		return true;
	}
	return false;
}

/* The part of [off, off + len) within the body's number. */
static uint32_t write_id(const struct answer *a, uint32_t off, uint32_t len, uint8_t *dst)
{
	uint32_t n = BODY_ID_LEN - off < len ? BODY_ID_LEN - off : len;

	memcpy(dst, (const uint8_t *)&a->id + off, n);
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
