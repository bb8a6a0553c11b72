// SPDX-License-Identifier: Apache-2.0
/*
 * hostname_test.c: intersections against the definition: a name is in the intersection exactly if
 * both patterns stand for it. The oracle compares labels, the code suffixes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "control/reconcile/hostname.h"

static const char *const patterns[] = {"", "com", "*.com", "a.com", "*.a.com", "b.com", "*.b.com",
	"a.a.com", "*.a.a.com", "b.a.com", "ba.com", "*.ba.com", "xcom", "*.xcom", "x.a.a.com",
	"a-b.com", "*.a-b.com"};
static const char *const names[] = {"com", "a.com", "b.com", "ba.com", "a.a.com", "b.a.com",
	"x.b.com", "a.a.a.com", "x.a.a.com", "y.x.a.a.com", "x.ba.com", "xcom", "a.xcom", "org",
	"a.org", "a-b.com", "c.a-b.com", ".a.com", ".com"};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Labels from the end, one by one; '*' stands for one or more. */
static bool stands_for(const char *pattern, const char *name)
{
	struct str p = str_of(pattern), n = str_of(name);

	if (p.len == 0)
		return true;
	for (;;) {
		ptrdiff_t dp = str_rfind(p, '.'), dn = str_rfind(n, '.');
		struct str lp = dp < 0 ? p : str_from(p, (size_t)dp + 1);
		struct str ln = dn < 0 ? n : str_from(n, (size_t)dn + 1);

		if (dp < 0 && str_eq(lp, STR("*")))
			return ln.len != 0;
		if (!str_eq(lp, ln))
			return false;
		if (dp < 0 || dn < 0)
			return dp < 0 && dn < 0;
		p = str_first(p, (size_t)dp);
		n = str_first(n, (size_t)dn);
	}
}

static void matching_is_what_labels_say(void **state)
{
	for (size_t i = 0; i < COUNT(patterns); i++)
		for (size_t k = 0; k < COUNT(names); k++)
			if (hostname_matches(str_of(patterns[i]), str_of(names[k])) !=
				stands_for(patterns[i], names[k]))
				fail_msg("%s / %s", patterns[i], names[k]);
}

static void an_intersection_holds_exactly_the_common_names(void **state)
{
	for (size_t i = 0; i < COUNT(patterns); i++) {
		for (size_t j = 0; j < COUNT(patterns); j++) {
			struct str both = {NULL, 0};
			bool any =
				hostname_intersect(str_of(patterns[i]), str_of(patterns[j]), &both);
			char text[64] = "";

			snprintf(text, sizeof(text), "%.*s", STR_FMT(both));
			for (size_t k = 0; k < COUNT(names); k++) {
				bool want = stands_for(patterns[i], names[k]) &&
					stands_for(patterns[j], names[k]);

				if ((any && stands_for(text, names[k])) != want)
					fail_msg("%s with %s: %s gives %s", patterns[i],
						patterns[j], names[k], text);
			}
		}
	}
}

static void intersecting_is_symmetric(void **state)
{
	for (size_t i = 0; i < COUNT(patterns); i++) {
		for (size_t j = 0; j < COUNT(patterns); j++) {
			struct str x = {NULL, 0}, y = {NULL, 0};
			bool a = hostname_intersect(str_of(patterns[i]), str_of(patterns[j]), &x);
			bool b = hostname_intersect(str_of(patterns[j]), str_of(patterns[i]), &y);

			assert_true(a == b && str_eq(x, y));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(matching_is_what_labels_say),
		cmocka_unit_test(an_intersection_holds_exactly_the_common_names),
		cmocka_unit_test(intersecting_is_symmetric),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
