// SPDX-License-Identifier: Apache-2.0
/*
 * etag.h: strong validators (RFC 9110 8.8.3): the hash of the bytes that are sent.
 */
#pragma once

#include "dataplane/base/str.h"

#define ETAG_STRLEN 19 /* two quotes, 16 hex digits, NUL */

void etag_of(struct str body, char ret[ETAG_STRLEN]);
/* RFC 9110 13.1.2: true when <if_none_match> names <etag> (weak comparison) or is "*". */
bool etag_matches(struct str if_none_match, const char *etag);
/* The field If-Match, where a weak tag matches nothing: RFC 9110 13.1.1. */
bool etag_matches_strongly(struct str if_match, const char *etag);
