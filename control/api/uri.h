// SPDX-License-Identifier: Apache-2.0
/*
 * uri.h: the parts of a request target, decoded (RFC 3986 2.1, 3.3, 3.4).
 */
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/str.h"

#define URI_SEGMENTS_MAX 8
#define URI_PARAMS_MAX 16

struct uri_param {
	struct str name, value;
};

struct uri {
	struct str segments[URI_SEGMENTS_MAX]; /* "/a/b" has two, "/" none */
	struct uri_param params[URI_PARAMS_MAX];
	unsigned segment_count, param_count;
};

/* False when it is malformed or has too many parts. Everything in *ret lives in <a>. */
bool uri_parse(struct str target, struct arena *a, struct uri *ret);
