// SPDX-License-Identifier: Apache-2.0
/*
 * predicate.h: does a field or a query parameter of a request have this value?
 */
#pragma once

#include "dataplane/base/str.h"

struct h1_head;

/*
 * Name without case, value exactly. A field that comes several times counts as one, its values
 * joined by ", " (RFC 9110 5.3). Fields with one of the <hidden> flags (H1_HEADER_*) are not there.
 */
bool predicate_header(const struct h1_head *head, uint8_t hidden, struct str name,
	struct str value);

/*
 * The first parameter called <name> decides (the API: a repeated one should). Names and values of
 * the request are compared after decoding %XX and '+'; an escape without digits stands for itself.
 */
bool predicate_query(struct str query, struct str name, struct str value);
