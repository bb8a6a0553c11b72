// SPDX-License-Identifier: Apache-2.0
/*
 * hide_test.c: the rules that hide our addresses from the kernel, as nft gets them.
 *
 * That nft takes them and that they work is shown by tests/system/ping.py.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dataplane/base/cleanup.h"
#include "dataplane/host/hide.h"

static struct ip_addr addr_of(const char *text)
{
	struct ip_addr a;

	assert_true(ip_parse(str_of(text), &a));
	return a;
}

static void both_families_have_their_set(void **state)
{
	struct ip_addr a[] = {addr_of("192.0.2.1"), addr_of("2001:db8::1"), addr_of("192.0.2.2")};
	autofree char *s = hide_script("eth0", a, 3);

	assert_string_equal(s,
		"table netdev sluice_eth0\n"
		"delete table netdev sluice_eth0\n"
		"table netdev sluice_eth0 {\n"
		"\tset own4 {\n"
		"\t\ttype ipv4_addr;\n"
		"\t\telements = { 192.0.2.1, 192.0.2.2 }\n"
		"\t}\n"
		"\tset own6 {\n"
		"\t\ttype ipv6_addr;\n"
		"\t\telements = { 2001:db8::1 }\n"
		"\t}\n"
		"\tchain ingress {\n"
		"\t\ttype filter hook ingress device \"eth0\" priority -500; policy accept;\n"
		"\t\tip daddr @own4 counter drop\n"
		"\t\tip6 daddr @own6 counter drop\n"
		"\t\tarp daddr ip @own4 counter drop\n"
		"\t}\n"
		"}\n");
}

static void an_empty_set_has_no_elements(void **state)
{
	autofree char *s = hide_script("eth0", NULL, 0);

	assert_null(strstr(s, "elements"));
	assert_non_null(strstr(s, "set own4 {\n\t\ttype ipv4_addr;\n\t}\n"));
}

static void odd_interface_names_make_good_table_names(void **state)
{
	autofree char *s = hide_script("br-lan.5", NULL, 0);

	assert_non_null(strstr(s, "table netdev sluice_br_lan_5 {"));
	assert_non_null(strstr(s, "device \"br-lan.5\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_families_have_their_set),
		cmocka_unit_test(an_empty_set_has_no_elements),
		cmocka_unit_test(odd_interface_names_make_good_table_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
