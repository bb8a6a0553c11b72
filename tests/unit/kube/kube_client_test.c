// SPDX-License-Identifier: Apache-2.0
/*
 * kube_client_test.c: the life of clusters, watches and calls when nobody answers: closed, ended and
 * cancelled at awkward moments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/kube/kube.h"
#include "dataplane/base/clock.h"

#define SILENCE_S 3

/* Stands before libc's: a resolver whose servers do not answer. */
__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
	const struct addrinfo *hints, struct addrinfo **res)
{
	sleep(SILENCE_S);
	return EAI_AGAIN;
}

/* Port 9 of the loopback is closed, or discards: neither is an API server. */
#define CONFIG \
	"{current-context: c, contexts: [{name: c, context: {cluster: k}}], " \
	"clusters: [{name: k, cluster: {server: 'https://127.0.0.1:9'}}]}"

struct bench {
	struct loop *loop;
	struct kube_cluster *c;
	struct kube_watch *w;
	struct kube_call *call;
	struct loop_timer end;
	unsigned states, done, closed;
	int status;
};

static const char *const v1[] = {"v1", NULL};
static const struct kube_resource configmaps = {.group = "",
	.versions = v1,
	.plural = "configmaps"};

static void on_end(void *arg)
{
	struct bench *b = arg;

	loop_stop(b->loop);
}

static int setup(void **state)
{
	struct kube_source s = {.name = "t", .text = STR(CONFIG)};
	struct bench *b = calloc(1, sizeof(*b));
	struct err err;

	assert_int_equal(loop_new(&b->loop, NULL), 0);
	assert_int_equal(kube_open(b->loop, &s, &b->c, &err), 0);
	loop_timer_init(&b->end, on_end, b);
	*state = b;
	return 0;
}

static int teardown(void **state)
{
	struct bench *b = *state;

	kube_close(b->c);
	loop_free(b->loop);
	free(b);
	return 0;
}

static void run(struct bench *b, uint64_t ms)
{
	loop_timer_set(b->loop, &b->end, ms * 1000);
	loop_run(b->loop);
}

/* That something comes takes as long as it takes; that nothing more comes is seen in a while. */
static void run_until(struct bench *b, const unsigned *count, unsigned value)
{
	uint64_t end = clock_mono_us() + 20000000;

	while (*count < value) {
		assert_true(clock_mono_us() < end);
		run(b, 20);
	}
	run(b, 200);
}

static void on_replace(void *arg, struct kube_items *items, bool whole)
{
	fail_msg("nobody gave a list");
}

static void on_object(void *arg, json_t *o)
{
	fail_msg("nobody gave an object");
}

static void note_state(void *arg, enum kube_watch_phase phase, const char *why)
{
	struct bench *b = arg;

	assert_int_equal(phase, KUBE_WATCH_LISTING);
	assert_true(why[0] != '\0');
	assert_int_equal(b->closed, 0);
	b->states++;
}

static void close_on_state(void *arg, enum kube_watch_phase phase, const char *why)
{
	struct bench *b = arg;

	note_state(arg, phase, why);
	kube_close(b->c);
	b->c = NULL;
	b->closed++;
}

static void unwatch_on_state(void *arg, enum kube_watch_phase phase, const char *why)
{
	struct bench *b = arg;

	note_state(arg, phase, why);
	kube_unwatch(b->w);
	b->closed++;
}

static void watch_with(struct bench *b,
	void (*on_state)(void *arg, enum kube_watch_phase phase, const char *why))
{
	const struct kube_watch_events e = {on_replace, on_object, on_object, on_state};

	assert_int_equal(kube_watch(b->c, &configmaps, &e, b, &b->w, NULL), 0);
}

static void on_done(void *arg, int status, json_t *body, const char *why)
{
	struct bench *b = arg;

	assert_null(body);
	assert_true(why[0] != '\0');
	b->status = status;
	b->done++;
}

static int ask(struct bench *b, const char *path, bool urgent, struct err *err)
{
	struct kube_request r = {.method = "GET",
		.path = path,
		.done = on_done,
		.arg = b,
		.urgent = urgent};

	return kube_request(b->c, &r, &b->call, err);
}

static void a_server_that_is_not_there_is_said_so(void **state)
{
	struct bench *b = *state;
	struct kube_cluster_state s;
	struct kube_watch_state w;

	watch_with(b, note_state);
	run_until(b, &b->states, 1);
	kube_cluster_state(b->c, &s);
	kube_watch_state(kube_watch_next(b->c, NULL), &w);
	assert_false(s.connected);
	assert_int_equal(s.watches, 1);
	assert_int_equal(s.synced, 0);
	assert_true(s.counters[KUBE_COUNTER_CONNECT_FAILED] >= 1);
	assert_string_equal(w.version, "");
	assert_false(w.ever_synced);
	assert_null(kube_watch_next(b->c, kube_watch_next(b->c, NULL)));
}

static void a_cluster_may_be_closed_in_its_own_callback(void **state)
{
	struct bench *b = *state;

	watch_with(b, close_on_state);
	watch_with(b, close_on_state);
	run_until(b, &b->closed, 1);
	assert_int_equal(b->states, 1);
}

static void a_watch_may_be_ended_in_its_own_callback(void **state)
{
	struct bench *b = *state;

	watch_with(b, unwatch_on_state);
	run_until(b, &b->closed, 1);
	assert_int_equal(b->states, 1);
	assert_null(kube_watch_next(b->c, NULL));
}

static void an_urgent_call_fails_at_once_and_once(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ask(b, "/api", true, NULL), 0);
	assert_int_equal(b->done, 0); /* never from within */
	run_until(b, &b->done, 1);
	assert_int_equal(b->done, 1);
	assert_int_equal(b->status, 0);
}

static void other_calls_are_tried_again_before_they_fail(void **state)
{
	struct bench *b = *state;
	struct kube_cluster_state s;

	assert_int_equal(ask(b, "/api", false, NULL), 0);
	run(b, 500);
	assert_int_equal(b->done, 0);
	run_until(b, &b->done, 1);
	assert_int_equal(b->done, 1);
	kube_cluster_state(b->c, &s);
	assert_int_equal(s.counters[KUBE_COUNTER_CALLS_AGAIN], 2);
	assert_int_equal(s.counters[KUBE_COUNTER_CALLS_FAILED], 1);
	assert_int_equal(s.calls_waiting + s.calls_sent, 0);
}

static void a_cancelled_call_says_nothing(void **state)
{
	struct bench *b = *state;

	assert_int_equal(ask(b, "/api", true, NULL), 0);
	kube_call_cancel(b->call);
	assert_int_equal(ask(b, "/api", false, NULL), 0);
	run(b, 1); /* it may be under way */
	kube_call_cancel(b->call);
	run(b, 300);
	assert_int_equal(b->done, 0);
}

static void calls_are_bounded_and_paths_are_checked(void **state)
{
	static const char *const bad[] = {"", "api", "/a b", "/a\r\nX: y", "/a#b", "/\xc3\xa4"};
	struct bench *b = *state;
	struct err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(ask(b, bad[i], false, &err) < 0);
	for (unsigned i = 0; i < KUBE_CALLS_MAX; i++)
		assert_int_equal(ask(b, "/api", false, &err), 0);
	assert_true(ask(b, "/api", false, &err) < 0);
	assert_string_equal(err.msg, "cluster t: too many requests wait");
	kube_close(b->c);
	b->c = NULL;
	assert_int_equal(b->done, 0);
}

static unsigned threads(void)
{
	DIR *d = opendir("/proc/self/task");
	unsigned n = 0;

	assert_non_null(d);
	for (const struct dirent *e; (e = readdir(d)) != NULL;)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* libcurl asks in a thread of its own; the loop, with all other clusters, must not wait for it. */
static void a_name_that_nobody_resolves_holds_nobody_up(void **state)
{
	struct kube_source s = {.name = "t",
		.text = STR("{current-context: c, contexts: [{name: c, context: {cluster: k}}], "
			    "clusters: [{name: k, cluster: {server: 'https://far.invalid'}}]}")};
	struct bench *b = *state;
	unsigned before = threads();
	uint64_t began;

	kube_close(b->c);
	assert_int_equal(kube_open(b->loop, &s, &b->c, NULL), 0);
	assert_int_equal(ask(b, "/api", true, NULL), 0);
	run(b, 200);
	assert_int_equal(b->done, 0);
	began = clock_mono_us();
	kube_close(b->c);
	b->c = NULL;
	assert_true(clock_mono_us() - began < SILENCE_S * 1000000u / 2);
	for (unsigned i = 0; i < 200 && threads() > before; i++)
		usleep(100000); /* libcurl's thread ends by itself, and then nothing of it is left */
	assert_int_equal(threads(), before);
}

static void names_of_resources_are_checked(void **state)
{
	static const struct kube_resource bad[] = {
		{.group = "a/b", .versions = v1, .plural = "x"},
		{.group = "", .versions = v1, .plural = "../secrets"},
		{.group = "", .versions = v1, .plural = "x", .namespace_ = "a/../b"},
	};
	const struct kube_watch_events e = {on_replace, on_object, on_object, note_state};
	struct bench *b = *state;
	struct err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(kube_watch(b->c, &bad[i], &e, b, NULL, &err) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_server_that_is_not_there_is_said_so, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_cluster_may_be_closed_in_its_own_callback, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_watch_may_be_ended_in_its_own_callback, setup,
			teardown),
		cmocka_unit_test_setup_teardown(an_urgent_call_fails_at_once_and_once, setup,
			teardown),
		cmocka_unit_test_setup_teardown(other_calls_are_tried_again_before_they_fail, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_cancelled_call_says_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(calls_are_bounded_and_paths_are_checked, setup,
			teardown),
		cmocka_unit_test_setup_teardown(a_name_that_nobody_resolves_holds_nobody_up, setup,
			teardown),
		cmocka_unit_test_setup_teardown(names_of_resources_are_checked, setup, teardown),
	};

	return cmocka_run_group_tests_name("kube_client", tests, NULL, NULL);
}
