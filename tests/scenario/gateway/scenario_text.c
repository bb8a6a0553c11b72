// SPDX-License-Identifier: Apache-2.0
/*
 * scenario_text.c: text of pages: escapes, variables, wildcards.
 */
#include "tests/scenario/gateway/scenario.h"

#include <stdlib.h>

struct builder {
	struct pattern t;
	struct arena *a;
	size_t cap;
};

static void put(struct builder *b, char c, uint8_t any)
{
	if (b->t.len == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 256;
		char *p = arena_alloc(b->a, cap);
		uint8_t *m = arena_alloc(b->a, cap);

		if (b->t.len > 0) {
			memcpy(p, b->t.p, b->t.len);
			memcpy(m, b->t.any, b->t.len);
		}
		b->t.p = p;
		b->t.any = m;
		b->cap = cap;
	}
	b->t.p[b->t.len] = c;
	b->t.any[b->t.len++] = any;
}

/* The simple escape behind a backslash; *used: its characters. */
static char simple_escape(struct run *r, const char *p, size_t len, size_t *used)
{
	char hex[3] = {0};

	*used = 1;
	switch (len > 0 ? p[0] : 0) {
	case 'r':
		return '\r';
	case 'n':
		return '\n';
	case 't':
		return '\t';
	case '0':
		return '\0';
	case '\\':
	case '*':
	case '$':
		return p[0];
	case 'x':
		if (len < 3)
			break;
		memcpy(hex, p + 1, 2);
		*used = 3;
		return (char)strtoul(hex, NULL, 16);
	}
	run_fail(r, "unknown escape");
	return 0;
}

/* \{N:text}: N copies; returns the characters behind the backslash. */
static size_t repeat(struct run *r, struct builder *b, const char *p, size_t len)
{
	char *colon;
	unsigned long n = strtoul(p + 1, &colon, 10);
	const char *end = memchr(p, '}', len);

	if (end == NULL || *colon != ':') {
		run_fail(r, "\\{N:text} is not closed");
		return len;
	}
	for (unsigned long i = 0; i < n; i++) {
		for (const char *q = colon + 1; q < end; q++) {
			size_t used = 0;
			char c = *q;

			if (c == '\\')
				c = simple_escape(r, q + 1, (size_t)(end - q - 1), &used);
			q += used;
			put(b, c, PATTERN_BYTE);
		}
	}
	return (size_t)(end - p) + 1;
}

static size_t variable(struct run *r, struct builder *b, const char *p, size_t len)
{
	static const char *const names[] = {"client", "vip"};
	char ip[IP_ADDR_STRLEN];

	for (unsigned i = 0; i < 2; i++) {
		size_t n = strlen(names[i]);
		struct ip_addr a;

		if (len < n || strncmp(p, names[i], n) != 0)
			continue;
		a = i == 0 ? world_client(&r->w) : world_vip(&r->w);
		ip_format(&a, ip);
		for (char *q = ip; *q; q++)
			put(b, *q, PATTERN_BYTE);
		return n;
	}
	run_fail(r, "unknown variable");
	return 0;
}

struct pattern text_decode(struct run *r, struct arena *a, const char *line, size_t len, bool star)
{
	struct builder b = {.a = a};

	if (star && str_eq(str_make(line, len), STR("..."))) {
		put(&b, 0, PATTERN_REST_OF_HEAD);
		return b.t;
	}
	for (size_t i = 0; i < len && !r->failed; i++) {
		size_t used;

		if (line[i] == '\\' && i + 1 < len && line[i + 1] == '{') {
			i += repeat(r, &b, line + i + 1, len - i - 1);
		} else if (line[i] == '\\') {
			char c = simple_escape(r, line + i + 1, len - i - 1, &used);

			put(&b, c, PATTERN_BYTE);
			i += used;
		} else if (line[i] == '$') {
			i += variable(r, &b, line + i + 1, len - i - 1);
		} else {
			put(&b, line[i], star && line[i] == '*' ? PATTERN_IN_LINE : PATTERN_BYTE);
		}
	}
	return b.t;
}

/* Length of a head's rest, with its empty line; 0: it is not there yet. */
static size_t rest_of_head(const char *buf, size_t len)
{
	if (len >= 2 && memcmp(buf, "\r\n", 2) == 0)
		return 2; /* no field is left */
	for (size_t i = 0; i + 4 <= len; i++)
		if (memcmp(buf + i, "\r\n\r\n", 4) == 0)
			return i + 4;
	return 0;
}

static size_t run_in_line(const struct pattern *p, size_t i, const char *buf, size_t len)
{
	size_t n = 0;

	while (n < len && buf[n] != '\r' && buf[n] != '\n' &&
		!(i + 1 < p->len && buf[n] == p->p[i + 1]))
		n++;
	return n;
}

ptrdiff_t pattern_match(const struct pattern *p, const char *buf, size_t len)
{
	size_t at = 0, n;

	for (size_t i = 0; i < p->len; i++) {
		switch (p->any[i]) {
		case PATTERN_IN_LINE:
			at += run_in_line(p, i, buf + at, len - at);
			continue;
		case PATTERN_REST_OF_HEAD:
			n = rest_of_head(buf + at, len - at);
			if (n == 0)
				return -2;
			at += n;
			continue;
		}
		if (at == len)
			return -2;
		if (buf[at++] != p->p[i])
			return -1;
	}
	return (ptrdiff_t)at;
}
