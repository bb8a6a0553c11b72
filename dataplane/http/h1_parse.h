// SPDX-License-Identifier: Apache-2.0
/*
 * h1_parse.h: what the parser's files share: h1_parse.c (lines), h1_target.c (request target and
 * authority), h1_framing.c (what the fields mean together).
 *
 * Functions return OK, MORE or an enum h1_error.
 */
#pragma once

#include "dataplane/base/bug.h"
#include "dataplane/http/h1.h"
#include "dataplane/http/h1_header.h"
#include "dataplane/http/h1_scan.h"

#define OK 0
#define MORE (-1)

/* The fields that decide about a message, as found, and the options of Connection. */
struct h1_framing {
	struct h1_header *host, *length, *coding, *expect;
	bool connection, upgrade; /* there is such a field */
	bool opt_close, opt_keep_alive, opt_upgrade;
};

/* Fills path, query, and for an absolute target host, from h->target. */
int h1_target_parse(struct h1_head *h);
/* uri-host [ ":" port ]; *ret_port is text and may be empty. */
int h1_authority_parse(struct str s, struct str *ret_name, struct str *ret_port);

/* All fields are here: Host, body, Expect, Connection. */
int h1_framing_request(struct h1_head *h, struct h1_framing *fr);
int h1_framing_response(struct h1_head *h, enum h1_method request_method, struct h1_framing *fr);
