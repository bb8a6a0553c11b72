// SPDX-License-Identifier: Apache-2.0
/*
 * watch_test.c: each way in which files below a root change, as rows: a shell command that makes
 * the change, and what must be reported of it.
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

#define SETTLE_US (WATCH_GONE_US + 50000u)

enum expect { NOTHING, FILE_A, TREE };

struct row {
	const char *name, *before, *change;
	enum expect expect; /* FILE_A: root/a.yaml and never the tree; TREE: that at least */
};

static const struct row rows[] = {
	{"a file renamed into place", "", "echo x >n.tmp && mv n.tmp root/a.yaml", FILE_A},
	{"a file written in place", "echo x >root/a.yaml", "echo y >root/a.yaml", FILE_A},
	{"an editor that renames the old file away", "echo x >root/a.yaml",
		"mv root/a.yaml root/a.yaml~ && echo y >root/a.yaml", FILE_A},
	{"a file removed", "echo x >root/a.yaml", "rm root/a.yaml", FILE_A},
	{"a file hard-linked into place", "echo x >out", "ln out root/a.yaml", FILE_A},
	{"a file that becomes readable", "echo x >root/a.yaml", "chmod 600 root/a.yaml", FILE_A},
	{"a symbolic link swapped as a ConfigMap does",
		"mkdir root/d1 root/d2 && ln -s d1 root/..data",
		"ln -s d2 root/..tmp && mv -T root/..tmp root/..data", TREE},
	{"a file in a directory made later", "", "mkdir -p root/x/y && echo x >root/x/y/a.yaml",
		TREE},
	{"a tree moved in", "mkdir -p t/u && echo x >t/u/a.yaml", "mv t root/t", TREE},
	{"a tree moved out", "mkdir root/t && echo x >root/t/a.yaml", "mv root/t .", TREE},
	{"a change in a tree that was moved in", "mkdir -p root/t",
		"mv root/t root/u && echo x >root/u/a.yaml", TREE},
	{"more files than fit the list", "",
		"mkdir t && cd t && touch $(seq -f %g.yaml 400) && mv * ../root", TREE},
	{"the root removed", "", "rmdir root", TREE},
	{"the root replaced", "mkdir new && echo x >new/a.yaml", "mv root old && mv new root",
		TREE},
	{"the root's parent is busy with other things", "", "echo x >other.yaml", NOTHING},
	{"a file is only read", "echo x >root/a.yaml", "cat root/a.yaml >/dev/null", NOTHING},
	{"an editor's own files", "",
		"echo x >root/.a.yaml.swp && mv root/.a.yaml.swp root/a.yaml~", NOTHING},
};

struct world {
	char dir[64];
	struct loop *loop;
	struct watch *watch;
	struct loop_timer end;
	int files, trees;
	char last[64]; /* file */
	bool last_was_there;
};

static void on_change(void *arg, int root, const char *path)
{
	struct world *w = arg;

	if (path == NULL) {
		w->trees++;
		return;
	}
	w->files++;
	snprintf(w->last, sizeof(w->last), "%s", path);
	w->last_was_there = access(path, F_OK) == 0;
}

static bool wants(const char *name)
{
	size_t n = strlen(name);

	return name[0] != '.' && n > 5 && strcmp(name + n - 5, ".yaml") == 0;
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
	w->files = w->trees = 0;
	loop_timer_set(w->loop, &w->end, us);
	assert_int_equal(loop_run(w->loop), 0);
}

static void world_open(struct world *w, const char *before)
{
	const struct watch_events ev = {.changed = on_change, .wants = wants, .arg = w};

	*w = (struct world){.dir = "/tmp/sluice-watch-XXXXXX"};
	assert_non_null(mkdtemp(w->dir));
	assert_int_equal(chdir(w->dir), 0);
	shell("mkdir root");
	shell(before);
	assert_int_equal(loop_new(&w->loop, NULL), 0);
	loop_timer_init(&w->end, on_end, w);
	assert_int_equal(watch_new(w->loop, &ev, &w->watch, NULL), 0);
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
	assert_int_equal(w.files + w.trees, 0);
	shell(r->change);
	turn(&w, SETTLE_US);
	assert_int_equal(w.trees > 0, r->expect == TREE);
	if (r->expect != TREE)
		assert_int_equal(w.files > 0, r->expect == FILE_A);
	if (r->expect == FILE_A)
		assert_string_equal(w.last, "root/a.yaml");
	/* whatever happened, the watch still stands */
	shell("mkdir -p root/later && echo z >root/later/z.yaml");
	turn(&w, SETTLE_US);
	assert_true(w.trees > 0);
	shell("echo y >root/later/z.yaml");
	turn(&w, SETTLE_US);
	assert_true(w.files > 0);
	assert_string_equal(w.last, "root/later/z.yaml");
	world_close(&w);
}

static void a_file_being_written_is_reported_when_it_is_closed(void **state)
{
	struct world w;
	int fd;

	world_open(&w, "echo x >root/a.yaml");
	fd = open("root/a.yaml", O_WRONLY | O_TRUNC);
	shell("mkdir root/d"); /* the tree waits with it */
	turn(&w, SETTLE_US);
	assert_int_equal(w.files + w.trees, 0);
	assert_true(watch_is_writing(w.watch));
	assert_int_equal(write(fd, "y\n", 2), 2);
	close(fd);
	turn(&w, SETTLE_US);
	assert_true(w.files > 0 && w.trees > 0);
	assert_false(watch_is_writing(w.watch));
	world_close(&w);
}

static void a_file_moved_away_and_written_again_never_looks_gone(void **state)
{
	struct world w;

	world_open(&w, "echo x >root/a.yaml");
	shell("mv root/a.yaml root/a.yaml~");
	turn(&w, WATCH_GONE_US / 4);
	assert_int_equal(w.files, 0);
	shell("echo y >root/a.yaml");
	turn(&w, 10000);
	assert_int_equal(w.files, 1);
	assert_true(w.last_was_there);
	turn(&w, SETTLE_US);
	assert_int_equal(w.files, 0);
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
	assert_true(w.trees > 0);
	world_close(&w);
}

int main(void)
{
	enum { N = sizeof(rows) / sizeof(rows[0]) };
	struct CMUnitTest tests[N + 3] = {
		cmocka_unit_test(a_file_being_written_is_reported_when_it_is_closed),
		cmocka_unit_test(a_file_moved_away_and_written_again_never_looks_gone),
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
