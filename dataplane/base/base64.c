// SPDX-License-Identifier: Apache-2.0
/*
 * base64.c: four characters in, three bytes out.
 */
#include "dataplane/base/base64.h"

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

bool base64_decode(struct str text, char *to, size_t *ret_len)
{
	unsigned bits = 0, count = 0, pad = 0;
	size_t n = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (c == '\n' || c == '\r')
			continue;
		if (pad > 0 && count % 4 == 0)
			return false; /* behind the end */
		if (c == '=' ? count % 4 < 2 : digit(c) < 0 || pad > 0)
			return false;
		pad += c == '=';
		bits = bits << 6 | (c == '=' ? 0 : (unsigned)digit(c));
		if (++count % 4 != 0)
			continue;
		for (unsigned k = 0; k < 3 - pad; k++)
			to[n++] = (char)(bits >> (16 - 8 * k));
	}
	*ret_len = n;
	return count % 4 == 0;
}
