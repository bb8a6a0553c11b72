// SPDX-License-Identifier: Apache-2.0
/*
 * accept.c: for each of our types the most specific media range decides its quality.
 */
#include "control/api/accept.h"

#include <stdint.h>

#define ACCEPT_RANGES_MAX 32 /* of one field; what comes after is not read */

struct media {
	struct str type, subtype;
};

static struct media media_parse(struct str s)
{
	struct str range = str_trim(str_cut(&s, ';'));
	struct media m = {.type = str_cut(&range, '/')};

	m.subtype = range;
	return m;
}

/* RFC 9110 12.4.2: ( "0" [ "." 0*3DIGIT ] ) / ( "1" [ "." 0*3("0") ] ), in thousandths. */
static unsigned qvalue_parse(struct str s)
{
	unsigned q, unit = 100;

	if (s.len == 0 || s.len > 5 || (s.p[0] != '0' && s.p[0] != '1') ||
		(s.len > 1 && s.p[1] != '.'))
		return 1000;
	q = s.p[0] == '1' ? 1000 : 0;
	for (size_t i = 2; i < s.len; i++, unit /= 10) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return 1000;
		q += (unsigned)(s.p[i] - '0') * unit;
	}
	return q > 1000 ? 1000 : q;
}

static unsigned range_q(struct str range)
{
	str_cut(&range, ';');
	while (range.p != NULL) {
		struct str param = str_trim(str_cut(&range, ';'));

		if (param.len >= 2 && ascii_lower(param.p[0]) == 'q' && param.p[1] == '=')
			return qvalue_parse(str_from(param, 2));
	}
	return 1000;
}

/* How exactly the range names the media type; 0: not at all. */
static int specificity(struct media range, struct media m)
{
	if (str_eq(range.type, STR("*")) && str_eq(range.subtype, STR("*")))
		return 1;
	if (!str_ieq(range.type, m.type))
		return 0;
	if (str_eq(range.subtype, STR("*")))
		return 2;
	return str_ieq(range.subtype, m.subtype) ? 3 : 0;
}

static unsigned quality_of(struct str accept, struct media m)
{
	unsigned q = 0;
	int best = 0;

	for (int i = 0; i < ACCEPT_RANGES_MAX && accept.p != NULL; i++) {
		struct str range = str_trim(str_cut(&accept, ','));
		int spec = specificity(media_parse(range), m);

		if (spec <= best)
			continue;
		best = spec;
		q = range_q(range);
	}
	return q;
}

int accept_pick(struct str accept, const char *const *types)
{
	unsigned best_q = 0;
	int best = -1;

	if (str_trim(accept).len == 0)
		return 0;
	for (int i = 0; types[i] != NULL; i++) {
		unsigned q = quality_of(accept, media_parse(str_of(types[i])));

		if (q > best_q) {
			best_q = q;
			best = i;
		}
	}
	return best;
}
