// SPDX-License-Identifier: Apache-2.0
/*
 * h1_header.c: the tables made from header.def and h1_error.def.
 */
#include "dataplane/http/h1_header.h"

#include <assert.h>

#include "dataplane/base/bug.h"

#define H H1_ROW_HOP
#define F H1_ROW_ORIGIN
#define T H1_ROW_NO_TRAILER
#define S H1_ROW_NO_UNDERSCORE
#define N H1_ROW_NAMED
#define O H1_ROW_OURS

const struct h1_row h1_rows[H1_HDR_COUNT] = {
#define HEADER(ID, name, first, last_but_one, flags) \
	[H1_HDR_##ID] = {name ":", sizeof(name) - 1, flags, H1_HDR_##ID, (flags)&H1_HEADER_FLAGS},
#include "dataplane/http/header.def"
#undef HEADER
};

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Woverride-init" /* two names on one slot: choose another hash */
const uint8_t h1_row_slots[256] = {
#define HEADER(ID, name, first, last_but_one, flags) \
	[H1_ROW_HASH(sizeof(name) - 1, first, last_but_one)] = H1_HDR_##ID,
#include "dataplane/http/header.def"
#undef HEADER
};
#pragma GCC diagnostic pop

/* Names are compared in words of 8, with their colon, and buffered whole by the chunk decoder. */
#define HEADER(ID, name, first, last_but_one, flags) \
	static_assert(sizeof(name) <= H1_CHUNK_NAME_MAX && sizeof(name) > 2, name);
#include "dataplane/http/header.def"
#undef HEADER
static_assert(H1_ROW_HOP == H1_HEADER_HOP && H1_ROW_ORIGIN == H1_HEADER_ORIGIN &&
		H1_ROW_OURS == H1_HEADER_OURS,
	"same bits");
static_assert(H1_HDR_COUNT <= 256, "ids fit a byte");

const struct h1_row *h1_row_lookup_slow(const struct h1_row *candidate, struct str name,
	bool *ret_underscore)
{
	char dashed[H1_CHUNK_NAME_MAX];

	if (!(candidate->flags & H1_ROW_NO_UNDERSCORE))
		return &h1_rows[0];
	for (size_t i = 0; i < name.len; i++)
		dashed[i] = name.p[i] == '_' ? '-' : name.p[i];
	if (h1_row_is(candidate, str_make(dashed, name.len)))
		*ret_underscore = true;
	return &h1_rows[0];
}

bool h1_is_forwarded_family(struct str name)
{
	static const char family[] = "x-forwarded-";

	if (name.len < sizeof(family) || (name.p[0] | 0x20) != 'x')
		return false;
	for (size_t i = 0; i < sizeof(family) - 1; i++)
		if ((family[i] == '-' ? name.p[i] != '-' && name.p[i] != '_'
				      : (name.p[i] | 0x20) != family[i]))
			return false;
	return true;
}

enum h1_header_id h1_header_lookup(struct str name)
{
	bool underscore;

	return h1_row_lookup(name, &underscore)->id;
}

struct str h1_header_name(enum h1_header_id id)
{
	return str_make(h1_rows[id].name, h1_rows[id].len);
}

struct str h1_header_get(const struct h1_head *h, enum h1_header_id id)
{
	for (uint32_t i = 0; i < h->header_count; i++)
		if (h->headers[i].id == id)
			return h->headers[i].value;
	return (struct str){NULL, 0};
}

static const struct {
	const char *name, *help;
	uint16_t status;
} errors[H1_ERR_COUNT] = {
#define H1_ERROR(NAME, status, help) [H1_ERR_##NAME] = {#NAME, help, status},
#include "dataplane/http/h1_error.def"
#undef H1_ERROR
};

const char *h1_error_name(int error)
{
	bug_on(error <= 0 || error >= H1_ERR_COUNT);
	return errors[error].name;
}

unsigned h1_error_status(int error)
{
	bug_on(error <= 0 || error >= H1_ERR_COUNT);
	return errors[error].status;
}

const char *h1_error_help(int error)
{
	bug_on(error <= 0 || error >= H1_ERR_COUNT);
	return errors[error].help;
}
