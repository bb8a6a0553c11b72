// SPDX-License-Identifier: Apache-2.0
/*
 * h1_parse.h: what the parser's files share: h1_parse.c (start lines), h1_target.c (request target
 * and authority), h1_fields.c (field lines), h1_framing.c (what the fields mean together).
 *
 * Functions return OK, MORE or an enum h1_error. Behind a call that returned OK cursor.p stands
 * after what was accepted.
 */
#pragma once

#include "dataplane/base/bug.h"
#include "dataplane/http/h1.h"
#include "dataplane/http/h1_header.h"
#include "dataplane/http/h1_scan.h"

#define OK 0
#define MORE (-1)

struct cursor {
	const char *p, *end;
	const char *begin; /* of the head: readable from here on */
};

static inline const char *scan(const struct cursor *c, const char *p, const struct h1_class *cl,
	bool stop)
{
	return h1_scan_after(c->begin, p, c->end, cl, stop);
}

/* CRLF at <p>, or the name of what is wrong with it; <other> when it is no line end at all. */
static inline int line_end_at(const char *p, const char *end, enum h1_error other)
{
	if (p == end)
		return MORE;
	if (*p == '\n')
		return H1_ERR_BARE_LF;
	if (*p != '\r')
		return other;
	if (p + 1 == end)
		return MORE;
	/* RFC 9112 2.2: a recipient of a bare CR must consider the element invalid or replace it */
	return p[1] == '\n' ? OK : H1_ERR_BARE_CR;
}

static inline bool is_line_end(const char *p, const char *end)
{
	return end - p >= 2 && memcmp(p, "\r\n", 2) == 0;
}

static inline int line_end(struct cursor *c, enum h1_error other)
{
	int rc = line_end_at(c->p, c->end, other);

	if (rc == OK)
		c->p += 2;
	return rc;
}

/* The fields that decide about a message, as found, and the options of Connection. */
struct h1_framing {
	struct h1_header *host, *length, *coding, *expect;
	bool connection, upgrade; /* there is such a field */
	bool opt_close, opt_keep_alive, opt_upgrade;
};

/* Field lines up to the empty line and with it; <fr> gets those that decide. */
int h1_fields_parse(struct cursor *c, struct h1_head *h, struct h1_framing *fr);
/* Fills path, query, and for an absolute target host, from h->target. */
int h1_target_parse(struct h1_head *h);
/* uri-host [ ":" port ]; *ret_port is text and may be empty. */
int h1_authority_parse(struct str s, struct str *ret_name, struct str *ret_port);

/* All fields are here: Host, body, Expect, Connection. */
int h1_framing_request(struct h1_head *h, struct h1_framing *fr);
int h1_framing_response(struct h1_head *h, enum h1_method request_method, struct h1_framing *fr);
