// SPDX-License-Identifier: Apache-2.0
/*
 * frame.c: the scanner behind frame.h.
 *
 * Only braces, brackets and strings are told apart. In a list the text around the items is kept
 * too, with "[]" in their place, for the parser: it finds the version and the continue token
 * there, and a second "items".
 */
#include "control/kube/frame.h"

#include <stdlib.h>

#include "dataplane/base/bug.h"

#define FRAME_KEEP_MAX (256u << 10) /* a larger buffer is given back after its item */

static void buf_put(struct frame_buf *b, const char *p, size_t len)
{
	size_t need = b->len + len, room = b->room ? b->room : 4096;

	if (b->over || need > b->max) {
		b->over = true;
		return;
	}
	if (need > b->room) {
		while (room < need)
			room *= 2;
		b->p = realloc(b->p, room);
		bug_on(b->p == NULL);
		b->room = room;
	}
	memcpy(b->p + b->len, p, len);
	b->len = need;
}

static void buf_reset(struct frame_buf *b)
{
	if (b->room > FRAME_KEEP_MAX) {
		free(b->p);
		b->p = NULL;
		b->room = 0;
	}
	b->len = 0;
	b->over = false;
}

void frame_init(struct frame *f, enum frame_mode mode, size_t item_bytes_max)
{
	*f = (struct frame){.mode = mode,
		.base = mode == FRAME_LIST ? 2 : 0,
		.item = {.max = item_bytes_max},
		.envelope = {.max = FRAME_ENVELOPE_MAX}};
}

void frame_fini(struct frame *f)
{
	free(f->item.p);
	free(f->envelope.p);
	f->item.p = f->envelope.p = NULL;
}

bool frame_is_whole(const struct frame *f)
{
	return !f->bad && (f->mode == FRAME_LIST ? f->done : f->depth == 0 && !f->in_item);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Up to the end of the string, or of what is there. */
static size_t skip_string(struct frame *f, const char *p, size_t len)
{
	size_t i = 0;

	for (; i < len && f->in_string; i++) {
		if (f->escaped)
			f->escaped = false;
		else if (p[i] == '\\')
			f->escaped = true;
		else if (p[i] == '"')
			f->in_string = false;
	}
	return i;
}

static enum frame_result item_end(struct frame *f, struct str *ret)
{
	f->in_item = f->scalar = false;
	*ret = str_make(f->item.p, f->item.len);
	return f->item.over ? FRAME_TOO_LARGE : FRAME_ITEM;
}

/* A number, true and the like: up to what cannot belong to it. */
static bool scalar_scan(struct frame *f, const char *p, size_t len, size_t *ret_used)
{
	size_t i = 0;

	while (i < len && p[i] != ',' && p[i] != ']' && !is_blank(p[i]) && !f->bad)
		f->bad = memchr("{}[\":", p[i++], 5) != NULL;
	*ret_used = i;
	return i < len && !f->bad;
}

/* Inside of an item: how many bytes belong to it; true when it ended with the last of them. */
static bool item_scan(struct frame *f, const char *p, size_t len, size_t *ret_used)
{
	bool end = false;
	size_t i = 0;

	while (i < len && !end) {
		char c = p[i];

		if (f->in_string) {
			i += skip_string(f, p + i, len - i);
			end = !f->in_string && f->depth == f->base; /* the item was a string */
			continue;
		}
		i++;
		if (c == '"')
			f->in_string = true;
		else if (c == '{' || c == '[')
			f->depth++;
		else if (c == '}' || c == ']')
			end = --f->depth == f->base;
	}
	*ret_used = i;
	return end;
}

static void item_begin(struct frame *f, char c)
{
	buf_reset(&f->item);
	f->item_bytes = f->between = 0;
	f->in_item = true;
	f->scalar = c != '{' && c != '[' && c != '"';
}

/* The key at depth 1 is remembered as long as it may still be "items". */
static void key_note(struct frame *f, const char *p, size_t len)
{
	for (size_t i = 0; i < len && f->key_len < sizeof(f->key); i++)
		f->key[f->key_len++] = p[i];
}

/* One byte around the items, outside of strings. */
static enum frame_result envelope_byte(struct frame *f, char c, struct str *ret)
{
	bool blank = is_blank(c);

	if (f->depth == 0 && (f->done || c != '{'))
		return blank ? FRAME_MORE : FRAME_BAD;
	buf_put(&f->envelope, &c, 1);
	if (f->envelope.over)
		return FRAME_BAD;
	if (c == '[' && f->items_next && f->depth == 1)
		f->in_items = true;
	if (c == '"') {
		f->in_string = true;
		if (f->depth == 1 && f->key_wanted)
			f->key_len = 0;
	} else if (c == '{' || c == '[') {
		f->depth++;
	} else if (c == '}' || c == ']') {
		f->depth--; /* not below zero: depth 0 lets nothing but '{' in */
	}
	if (f->depth == 1 && (c == '{' || c == ','))
		f->key_wanted = true;
	if (!blank)
		f->items_next = false;
	if (f->depth == 1 && c == ':') {
		f->key_wanted = false;
		f->items_next = f->key_len == 6 && memcmp(f->key, "items\"", 6) == 0;
	}
	if (f->depth > 0)
		return FRAME_MORE;
	f->done = true;
	*ret = str_make(f->envelope.p, f->envelope.len);
	return FRAME_END;
}

static size_t envelope_string(struct frame *f, const char *p, size_t len)
{
	size_t n = skip_string(f, p, len);

	buf_put(&f->envelope, p, n);
	f->bad = f->envelope.over;
	if (f->depth == 1 && f->key_wanted)
		key_note(f, p, n);
	return n;
}

/* Between two items: true when an item begins at this byte. */
static bool between_items(struct frame *f, char c)
{
	if (is_blank(c) || c == ',')
		return false;
	if (c == '}' || c == ':') {
		f->bad = true;
	} else if (c == ']') {
		buf_put(&f->envelope, &c, 1);
		f->in_items = false;
		f->depth--;
	} else {
		return true;
	}
	return false;
}

static size_t skip_one(struct frame *f)
{
	f->bad |= ++f->between > FRAME_BETWEEN_MAX;
	return 1;
}

/* Up to the next item, or to the end of the list. */
static size_t skip_to_item(struct frame *f, const char *p, size_t len, enum frame_result *result,
	struct str *ret_item)
{
	size_t i = 0;

	while (i < len && !f->in_item && !f->bad && *result == FRAME_MORE) {
		if (f->mode == FRAME_STREAM || f->in_items) {
			bool starts =
				f->mode == FRAME_STREAM ? p[i] == '{' : between_items(f, p[i]);

			if (f->mode == FRAME_STREAM && !starts && !is_blank(p[i]))
				f->bad = true;
			if (starts)
				item_begin(f, p[i]);
			else
				i += skip_one(f);
		} else if (f->in_string) {
			i += envelope_string(f, p + i, len - i);
		} else {
			if (f->depth == 0)
				skip_one(f);
			*result = envelope_byte(f, p[i++], ret_item);
			f->bad |= *result == FRAME_BAD;
		}
	}
	return i;
}

size_t frame_feed(struct frame *f, const char *p, size_t len, enum frame_result *ret_result,
	struct str *ret_item)
{
	size_t used, n;

	bug_on(f->bad);
	*ret_result = FRAME_MORE;
	*ret_item = (struct str){NULL, 0};
	used = skip_to_item(f, p, len, ret_result, ret_item);
	if (f->bad) {
		*ret_result = FRAME_BAD;
	} else if (f->in_item) {
		bool end = f->scalar ? scalar_scan(f, p + used, len - used, &n)
				     : item_scan(f, p + used, len - used, &n);

		buf_put(&f->item, p + used, n);
		used += n;
		f->item_bytes += n;
		f->bad |= f->item_bytes > f->item.max * (uint64_t)FRAME_SKIP_TIMES;
		if (f->bad)
			*ret_result = FRAME_BAD;
		else if (end)
			*ret_result = item_end(f, ret_item);
	}
	return used;
}
