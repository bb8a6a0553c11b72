// SPDX-License-Identifier: Apache-2.0
/*
 * watch_test.c: each way in which files below a root change, as rows: a shell command that makes
 * the change, and whether it must be reported.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/loop/watch.h"

#define SETTLE_US 60000u

struct row {
	const char *name, *before, *change;
	bool reported;
};

static const struct row rows[] = {
	{"a file renamed into place", "", "echo x >n.tmp && mv n.tmp root/a.yaml", true},
	{"a file written in place", "echo x >root/a.yaml", "echo y >root/a.yaml", true},
	{"an editor that renames the old file away",
		"echo x >root/a.yaml", "mv root/a.yaml root/a.yaml~ && echo y >root/a.yaml", true},
	{"a file removed", "echo x >root/a.yaml", "rm root/a.yaml", true},
	{"a file hard-linked into place", "echo x >out", "ln out root/a.yaml", true},
	{"a file that becomes readable", "echo x >root/a.yaml", "chmod 600 root/a.yaml", true},
	{"a symbolic link swapped as a ConfigMap does",
		"mkdir root/d1 root/d2 && ln -s d1 root/..data",
		"ln -s d2 root/..tmp && mv -T root/..tmp root/..data", true},
	{"a file in a directory made later", "",
		"mkdir -p root/x/y && echo x >root/x/y/a.yaml", true},
	{"a tree moved in", "mkdir -p t/u && echo x >t/u/a.yaml", "mv t root/t", true},
	{"a tree moved out", "mkdir root/t && echo x >root/t/a.yaml", "mv root/t .", true},
	{"a change in a tree that was moved in",
		"mkdir -p root/t", "mv root/t root/u && echo x >root/u/a.yaml", true},
	{"the root removed", "", "rmdir root", true},
	{"the root replaced", "mkdir new && echo x >new/a.yaml",
		"mv root old && mv new root", true},
	{"the root's parent is busy with other things", "", "echo x >other", false},
	{"a file is only read", "echo x >root/a.yaml", "cat root/a.yaml >/dev/null", false},
};

struct world {
	char dir[64];
	struct loop *loop;
	struct watch *watch;
	struct loop_timer end;
	int reports;
};

static void on_report(void *arg, int root)
{
	struct world *w = arg;

	w->reports++;
}

static void on_end(void *arg)
{
	loop_stop(((struct world *)arg)->loop);
}

static void shell(const char *cmd)
{
	if (cmd[0] != '\0')
		assert_int_equal(system(cmd), 0);
}

static void turn(struct world *w, uint64_t us)
{
	w->reports = 0;
	loop_timer_set(w->loop, &w->end, us);
	assert_int_equal(loop_run(w->loop), 0);
}

static void world_open(struct world *w, const char *before)
{
	*w = (struct world){.dir = "/tmp/sluice-watch-XXXXXX"};
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(chdir(w->dir), 0);
	shell("mkdir root");
	shell(before);
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	loop_timer_init(&w->end, on_end, w);
	assert_int_equal(watch_new(w->loop, on_report, w, &w->watch, NULL), 0);
	assert_int_equal(watch_add_root(w->watch, "root/", NULL), 0);
}

static void world_close(struct world *w)
{
	char cmd[128];

	watch_free(w->watch);
	loop_free(w->loop);
	assert_int_equal(chdir("/"), 0);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", w->dir);
	shell(cmd);
}

static void row_holds(void **state)
{
	const struct row *r = *state;
	struct world w;

	world_open(&w, r->before);
	turn(&w, 1000);
	assert_int_equal(w.reports, 0);
	shell(r->change);
	turn(&w, SETTLE_US);
	assert_int_equal(w.reports > 0, r->reported);
	/* whatever happened, the watch still stands */
	if (access("root", F_OK) == 0) {
		shell("mkdir -p root/later && echo z >root/later/z.yaml");
		turn(&w, SETTLE_US);
		assert_true(w.reports > 0);
		shell("echo y >root/later/z.yaml");
		turn(&w, SETTLE_US);
		assert_true(w.reports > 0);
	}
	world_close(&w);
}

static void a_file_being_written_is_not_settled_until_it_is_closed(void **state)
{
	struct world w;
	int fd;

	world_open(&w, "echo x >root/a.yaml");
	fd = open("root/a.yaml", O_WRONLY | O_TRUNC);
	turn(&w, SETTLE_US);
	assert_int_equal(w.reports, 0);
	assert_false(watch_is_settled(w.watch, "root/a.yaml"));
	assert_true(watch_is_settled(w.watch, "root/b.yaml"));
	assert_int_equal(write(fd, "y\n", 2), 2);
	close(fd);
	turn(&w, SETTLE_US);
	assert_true(w.reports > 0);
	assert_true(watch_is_settled(w.watch, "root/a.yaml"));
	world_close(&w);
}

static void a_drain_does_not_lose_the_report(void **state)
{
	struct world w;

	world_open(&w, "");
	shell("echo x >root/a.yaml");
	watch_drain(w.watch);
	turn(&w, SETTLE_US);
	assert_true(w.reports > 0);
	world_close(&w);
}

static void a_root_that_comes_back_is_seen_at_once(void **state)
{
	struct world w;

	world_open(&w, "");
	shell("rmdir root");
	turn(&w, SETTLE_US);
	shell("mkdir root && echo x >root/a.yaml");
	turn(&w, SETTLE_US);
	assert_true(w.reports > 0);
	world_close(&w);
}

int main(void)
{
	enum { N = sizeof(rows) / sizeof(rows[0]) };
	struct CMUnitTest tests[N + 3] = {
		cmocka_unit_test(a_file_being_written_is_not_settled_until_it_is_closed),
		cmocka_unit_test(a_drain_does_not_lose_the_report),
		cmocka_unit_test(a_root_that_comes_back_is_seen_at_once),
	};

	for (int i = 0; i < N; i++)
		tests[3 + i] = (struct CMUnitTest){
			.name = rows[i].name,
			.test_func = row_holds,
			.initial_state = (void *)&rows[i],
		};
	return _cmocka_run_group_tests("watch", tests, N + 3, NULL, NULL);
}
