// SPDX-License-Identifier: Apache-2.0
/*
 * problem.h: the API's error answers, application/problem+json (RFC 9457).
 */
#pragma once

#include "dataplane/base/str.h"

#define PROBLEM_CONTENT_TYPE "application/problem+json"

enum problem_type {
#define PROBLEM(e, ...) PROBLEM_##e,
#include "control/api/problem.def"
#undef PROBLEM
	PROBLEM_COUNT,
};

unsigned problem_status(enum problem_type type);
/*
 * {"type", "title", "status", "detail", "instance"} as text that the caller frees. <instance> is
 * the path of the request; bytes that are no UTF-8 are replaced. NULL when memory is out.
 */
char *problem_json(enum problem_type type, const char *detail, struct str instance);
