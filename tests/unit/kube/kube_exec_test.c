// SPDX-License-Identifier: Apache-2.0
/*
 * kube_exec_test.c: programs that print credentials, and those that do not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/kube/credential.h"
#include "dataplane/base/clock.h"

#define V1 "client.authentication.k8s.io/v1"
#define ANSWER(status) \
	"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1 "\",\"status\":" status "}"

static void answers_are_checked(void **state)
{
	static const struct {
		const char *text, *why; /* NULL: fine */
	} rows[] = {
		{ANSWER("{\"token\":\"t\"}"), NULL},
		{ANSWER("{\"token\":\"t\",\"expirationTimestamp\":\"2026-11-21T09:00:00Z\"}"),
			NULL},
		{"", "printed no JSON: '[' or '{' expected near end of file"},
		{"[]", "printed no JSON: not an object"},
		{"{}", "printed no ExecCredential"},
		{"{\"kind\":\"ExecCredential\",\"apiVersion\":\"v9\"}",
			"printed apiVersion v9, but " V1 " is configured"},
		{ANSWER("null"), "printed neither status.token nor a certificate"},
		{ANSWER("{\"token\":7}"), "printed neither status.token nor a certificate"},
		{ANSWER("{\"token\":\"a\\r\\nX: y\"}"), "status.token holds a byte it must not"},
		{ANSWER("{\"clientCertificateData\":\"x\"}"),
			"clientCertificateData and clientKeyData belong together"},
		{ANSWER("{\"clientCertificateData\":\"x\",\"clientKeyData\":\"y\"}"),
			"clientKeyData: the certificate is not in PEM"},
		{ANSWER("{\"token\":\"t\",\"expirationTimestamp\":\"soon\"}"),
			"status.expirationTimestamp is no time"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct exec_result r;
		struct err err = {""};
		int rc = exec_parse(str_of(rows[i].text), V1, &r, &err);

		if (rc == 0)
			exec_result_fini(&r);
		if (rc == 0 ? rows[i].why != NULL
			    : rows[i].why == NULL || strcmp(err.msg, rows[i].why) != 0)
			fail_msg("%s: \"%s\"", rows[i].text, err.msg);
	}
}

static void times_are_rfc_3339(void **state)
{
	int64_t t;

	assert_true(exec_time("1970-01-02T00:00:00Z", &t) && t == 86400);
	assert_true(exec_time("1970-01-02T01:30:00.123+01:30", &t) && t == 86400);
	assert_true(exec_time("1970-01-01T23:00:00-01:00", &t) && t == 86400);
	assert_false(exec_time("1970-01-02", &t));
	assert_false(exec_time("1970-01-02T00:00:00", &t));
	assert_false(exec_time("1970-01-02T00:00:00.Z", &t));
	assert_false(exec_time("1970-01-02T00:00:00Zx", &t));
}

/* --- on the loop --- */

struct bench {
	struct loop *loop;
	struct kubeconfig k;
	struct credential c;
	unsigned settled;
};

static void on_settled(void *arg)
{
	struct bench *b = arg;

	b->settled++;
	loop_stop(b->loop);
}

static void bench_open(struct bench *b, const char *script, const char *more)
{
	struct err err = {""};
	char text[2048];

	*b = (struct bench){.settled = 0};
	snprintf(text, sizeof(text),
		"{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], "
		"clusters: [{name: k, cluster: {server: 'https://h'}}], users: [{name: u, user: "
		"{exec: {apiVersion: " V1 ", interactiveMode: Never, command: sh, "
		"args: [-c, '%s'], env: [{name: MINE, value: yes1}]%s}}}]}",
		script, more);
	assert_int_equal(loop_new(&b->loop, &err), 0);
	if (kubeconfig_parse(str_of(text), "kc", NULL, false, &b->k, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(credential_init(&b->c, b->loop, &b->k, on_settled, b, &err), 0);
}

static void bench_close(struct bench *b)
{
	credential_fini(&b->c);
	kubeconfig_fini(&b->k);
	loop_free(b->loop);
}

static enum credential_state get(struct bench *b)
{
	enum credential_state s = credential_get(&b->c);

	if (s != CREDENTIAL_PENDING)
		return s;
	loop_run(b->loop);
	return credential_get(&b->c);
}

#define PRINT_HEAD \
	"echo {\\\"kind\\\":\\\"ExecCredential\\\",\\\"apiVersion\\\":\\\"" V1 \
	"\\\",\\\"status\\\":{"

static void a_program_gives_a_token_and_is_told_about_us(void **state)
{
	struct bench b;

	bench_open(&b,
		PRINT_HEAD "\\\"token\\\":\\\"$MINE-$(echo $KUBERNETES_EXEC_INFO | cksum | cut -c1)"
			   "\\\"}}",
		", provideClusterInfo: true");
	assert_int_equal(get(&b), CREDENTIAL_READY);
	assert_int_equal(strncmp(b.c.token, "yes1-", 5), 0);
	/* it stays until it is refused, and is then asked for once */
	assert_int_equal(credential_get(&b.c), CREDENTIAL_READY);
	credential_refused(&b.c, b.c.generation - 1);
	assert_int_equal(credential_get(&b.c), CREDENTIAL_READY);
	credential_refused(&b.c, b.c.generation);
	assert_int_equal(credential_get(&b.c), CREDENTIAL_PENDING);
	loop_run(b.loop);
	assert_int_equal(b.settled, 2);
	bench_close(&b);
}

static void what_it_is_told_is_an_exec_credential(void **state)
{
	char file[] = "/tmp/kube-exec-XXXXXX", *info;
	struct bench b;
	int fd;

	bench_open(&b, "true", ", provideClusterInfo: true");
	info = exec_info(&b.k);
	assert_string_equal(info,
		"{\"kind\":\"ExecCredential\",\"apiVersion\":\"" V1
		"\",\"spec\":{\"interactive\":false,\"cluster\":{\"server\":"
		"\"https://h\"}}}");
	free(info);
	b.k.cluster.ca_file = file;
	fd = mkstemp(file);
	assert_int_equal(write(fd, "PEM", 3), 3);
	close(fd);
	info = exec_info(&b.k);
	assert_non_null(strstr(info, "\"certificate-authority-data\":\"UEVN\""));
	free(info);
	unlink(file);
	bench_close(&b);
}

static void failures_are_said_with_what_it_said(void **state)
{
	static const struct {
		const char *script, *why;
	} rows[] = {
		{"echo log in first >&2; exit 3", "sh: exit code 3: log in first"},
		{"kill -9 $$", "sh: signal 9"},
		{"true", "sh: printed no JSON: '[' or '{' expected near end of file"},
		{"head -c 2000000 /dev/zero", "sh: printed more than 1 MiB"},
		{PRINT_HEAD "\\\"token\\\":\\\"t\\\",\\\"expirationTimestamp\\\":"
			    "\\\"2001-01-01T00:00:00Z\\\"}}",
			"sh: gave a credential that has expired"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct bench b;

		bench_open(&b, rows[i].script, "");
		assert_int_equal(get(&b), CREDENTIAL_FAILED);
		assert_string_equal(b.c.why.msg, rows[i].why);
		bench_close(&b);
	}
}

/* Programs keep what they got, and give it away until its last second. */
static void what_ends_soon_is_used_until_it_does(void **state)
{
	struct bench b;

	bench_open(&b,
		PRINT_HEAD "\\\"token\\\":\\\"t\\\",\\\"expirationTimestamp\\\":\\\""
			   "$(date -u -d +8sec +%Y-%m-%dT%H:%M:%SZ)\\\"}}",
		"");
	assert_int_equal(get(&b), CREDENTIAL_READY);
	assert_int_equal(credential_get(&b.c), CREDENTIAL_READY);
	bench_close(&b);
}

static void a_child_left_behind_holds_nothing_up(void **state)
{
	uint64_t began = clock_mono_us();
	struct bench b;

	bench_open(&b, "sleep 60 & " PRINT_HEAD "\\\"token\\\":\\\"t\\\"}}", "");
	assert_int_equal(get(&b), CREDENTIAL_READY);
	assert_true(clock_mono_us() - began < 20000000);
	bench_close(&b);
}

static void a_program_that_is_not_there_is_said_so(void **state)
{
	struct bench b;

	bench_open(&b, "true", "");
	((struct kubeconfig_exec *)b.k.user.exec)->path = "/no/such/program";
	assert_int_equal(credential_get(&b.c), CREDENTIAL_FAILED);
	assert_string_equal(b.c.why.msg, "sh: No such file or directory");
	bench_close(&b);
}

static void what_runs_at_the_end_is_ended(void **state)
{
	uint64_t began = clock_mono_us();
	struct bench b;

	bench_open(&b, "sleep 60", "");
	assert_int_equal(credential_get(&b.c), CREDENTIAL_PENDING);
	bench_close(&b);
	assert_true(clock_mono_us() - began < 20000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_checked),
		cmocka_unit_test(times_are_rfc_3339),
		cmocka_unit_test(a_program_gives_a_token_and_is_told_about_us),
		cmocka_unit_test(what_it_is_told_is_an_exec_credential),
		cmocka_unit_test(failures_are_said_with_what_it_said),
		cmocka_unit_test(what_ends_soon_is_used_until_it_does),
		cmocka_unit_test(a_child_left_behind_holds_nothing_up),
		cmocka_unit_test(a_program_that_is_not_there_is_said_so),
		cmocka_unit_test(what_runs_at_the_end_is_ended),
	};

	return cmocka_run_group_tests_name("kube_exec", tests, NULL, NULL);
}
