// SPDX-License-Identifier: Apache-2.0
/*
 * frame.h: cuts an answer into objects as it arrives, before anything is parsed.
 *
 * A watch is a row of JSON objects with anything or nothing between them that JSON calls blank; a
 * list is one object whose "items" hold the objects. Both are cut the same way, by braces and
 * strings, so that never more than one object is held, and each byte is looked at once, however
 * the bytes are split. What an object is made of is the parser's affair: a frame with wrong insides
 * is still a frame, and costs itself only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/str.h"

enum frame_mode { FRAME_STREAM = 0, FRAME_LIST };

enum frame_result {
	FRAME_MORE = 0,	 /* all bytes taken, nothing complete */
	FRAME_ITEM,	 /* one object */
	FRAME_TOO_LARGE, /* one object that was not kept: <ret_item> is how it begins */
	FRAME_END,	 /* a list is complete: <ret_item> is what stood around the items */
	FRAME_BAD,	 /* this is no stream or list of objects; nothing more may be fed */
};

#define FRAME_SKIP_TIMES 16u	       /* an item so many times too large is no item but a flood */
#define FRAME_ENVELOPE_MAX (64u << 10) /* of a list: kind, version, continue */
#define FRAME_BETWEEN_MAX (64u << 10) /* blanks and commas in a row: gzip makes gigabytes of them */

struct frame_buf {
	char *p; /* owned */
	size_t len, room, max;
	bool over; /* something was not kept */
};

struct frame {
	enum frame_mode mode;
	struct frame_buf item, envelope;
	uint32_t depth;
	uint32_t base;	     /* depth at which an item begins */
	uint64_t item_bytes; /* of this item, kept or not */
	uint32_t between;    /* bytes since the last item that belong to nothing */
	bool in_item, in_string, escaped, scalar;
	bool in_items; /* list: inside of the items' brackets */
	bool done, bad;
	uint8_t key_len; /* list: of the last string at depth 1, as far as it may be "items" */
	char key[8];
	bool key_wanted, items_next;
};

void frame_init(struct frame *f, enum frame_mode mode, size_t item_bytes_max);
void frame_fini(struct frame *f);
/*
 * Takes bytes up to the end of one item at most and returns how many; feed the rest again. The
 * text in <ret_item> is valid until the next call.
 */
size_t frame_feed(struct frame *f, const char *p, size_t len, enum frame_result *ret_result,
	struct str *ret_item);
/* The bytes may end here: between two objects of a stream, or after the end of a list. */
bool frame_is_whole(const struct frame *f);
