// SPDX-License-Identifier: Apache-2.0
/*
 * rv.h: resource versions, which say how new an object or a list is.
 *
 * Since Kubernetes 1.35 (KEP-5504) those of one resource are decimal integers of up to 128 bits
 * that can be ordered; older or aggregated servers may use any text, which is only compared for
 * being equal.
 */
#pragma once

#include <stdbool.h>
#include <string.h>

#define RV_MAX 64u /* with its NUL; longer ones are nonsense */

static inline bool rv_is_ordered(const char *rv)
{
	size_t n = strspn(rv, "0123456789");

	return n > 0 && n <= 39 && rv[n] == '\0' && rv[0] != '0';
}

/* True when <a> is certainly older than <b>. */
static inline bool rv_is_older(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);

	if (!rv_is_ordered(a) || !rv_is_ordered(b))
		return false;
	return na != nb ? na < nb : strcmp(a, b) < 0;
}
