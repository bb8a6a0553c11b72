// SPDX-License-Identifier: Apache-2.0
/*
 * pkt_run.c: finds pages, makes two test rows of each (IPv4, IPv6), runs them.
 *
 *	pkt_run [--list] [--only NAME] [--park | --chain] [--red] FILE|DIR...
 *
 * With --park every connection at rest is parked and brought back after every turn, and no page may
 * notice, but one that says "// not parked: " and why. With --chain every segment with text comes in
 * several mbufs; what counts memory says "// not chained: ".
 *
 * NAME is any part of a row's name. With --red every page must fail, with the words that its first
 * line gives behind "// red: ".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <ftw.h>
#include <rte_eal.h>
#include <rte_mempool.h>

#include "dataplane/port/port.h"
#include "tests/tools/pkt/pkt.h"

#define PAGES_MAX 1000
#define MBUFS 4095

struct row {
	char file[512], name[256];
	bool v4;
};

static char *files[PAGES_MAX];
static size_t file_count;
static struct rte_mempool *pool;
static struct page page;
static bool park, chain;

static int file_found(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	size_t len = strlen(path);

	if (type != FTW_F || len < 4 || strcmp(path + len - 4, ".pkt") != 0)
		return 0;
	if (file_count == PAGES_MAX)
		return -1;
	files[file_count++] = strdup(path);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static char *file_read(const char *path)
{
	char *text = calloc(1, 1 << 16);
	FILE *f = fopen(path, "r");

	if (f == NULL || text == NULL || fread(text, 1, (1 << 16) - 1, f) == 0)
		fail_msg("cannot read %s", path);
	fclose(f);
	return text;
}

static void page_fails(void **state)
{
	const struct row *r = *state;
	char *text = file_read(r->file), want[128] = "?";
	bool ok = page_run(&page, r->file, text, r->v4, park, chain, pool);

	sscanf(text, "// red: %127[^\n]", want);
	free(text);
	if (ok || strstr(page.msg, want) == NULL)
		fail_msg("%s: expected to fail with \"%s\", got: %s", r->file, want, page.msg);
}

static void page_holds(void **state)
{
	const struct row *r = *state;
	char *text = file_read(r->file);
	/* a page may say that it sees the difference, and why */
	bool ok = page_run(&page, r->file, text, r->v4,
		park && strstr(text, "// not parked: ") == NULL,
		chain && strstr(text, "// not chained: ") == NULL, pool);

	free(text);
	if (!ok)
		fail_msg("%s", page.msg);
}

/* "<rfc-cell>/<claim> v4" */
static void row_init(struct row *r, const char *file, bool v4)
{
	const char *base = strrchr(file, '/');

	while (base != NULL && base > file && base[-1] != '/')
		base--;
	base = base == NULL ? file : base;
	snprintf(r->file, sizeof(r->file), "%s", file);
	snprintf(r->name, sizeof(r->name), "%.*s v%d", (int)(strlen(base) - 4), base, v4 ? 4 : 6);
	r->v4 = v4;
}

static void eal_start(char *self)
{
	char *argv[] = {self, "--no-huge", "-m", "256", "--no-pci", "--no-telemetry", "--no-shconf",
		"--log-level=error", "--iova-mode=va", "--lcores=0", NULL};

	if (rte_eal_init((int)RTE_DIM(argv) - 1, argv) < 0)
		exit(1);
	pool = port_pool_new("pages", MBUFS, 1500, NULL);
	if (pool == NULL)
		exit(1);
}

static int rows_run(const char *only, bool list, CMUnitTestFunction fn, char *self)
{
	struct CMUnitTest *tests = calloc(2 * file_count, sizeof(*tests));
	struct row *rows = calloc(2 * file_count, sizeof(*rows));
	size_t n = 0;
	int failed = 0;

	for (size_t i = 0; i < 2 * file_count; i++) {
		row_init(&rows[n], files[i / 2], i % 2 == 0);
		if (only != NULL && strstr(rows[n].name, only) == NULL)
			continue;
		if (list)
			puts(rows[n].name);
		tests[n] = (struct CMUnitTest){rows[n].name, fn, NULL, NULL, &rows[n]};
		n++;
	}
	if (n == 0) {
		fprintf(stderr, "no page matches\n");
		failed = 1;
	} else if (!list) {
		eal_start(self);
		failed = _cmocka_run_group_tests("tcp-pages", tests, n, NULL, NULL);
		port_pool_free(pool);
		rte_eal_cleanup();
	}
	free(tests);
	free(rows);
	return failed != 0;
}

int main(int argc, char **argv)
{
	CMUnitTestFunction fn = page_holds;
	const char *only = NULL;
	bool list = false;
	int rc;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--list") == 0)
			list = true;
		else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
			only = argv[++i];
		else if (strcmp(argv[i], "--park") == 0)
			park = true;
		else if (strcmp(argv[i], "--chain") == 0)
			chain = true;
		else if (strcmp(argv[i], "--red") == 0)
			fn = page_fails;
		else if (nftw(argv[i], file_found, 8, FTW_PHYS) != 0) {
			fprintf(stderr, "%s: cannot read\n", argv[i]);
			return 2;
		}
	}
#ifdef PKT_PAGES
	if (argc == 1)
		nftw(PKT_PAGES, file_found, 8, FTW_PHYS);
#endif
	if (file_count == 0) {
		fprintf(stderr,
			"usage: pkt_run [--list] [--only NAME] [--park | --chain] [--red] "
			"FILE|DIR...\n");
		return 2;
	}
	qsort(files, file_count, sizeof(files[0]), by_name);
	rc = rows_run(only, list, fn, argv[0]);
	while (file_count > 0)
		free(files[--file_count]);
	return rc;
}
