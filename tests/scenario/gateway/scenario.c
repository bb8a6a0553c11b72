// SPDX-License-Identifier: Apache-2.0
/*
 * scenario.c: reads pages and plays them line by line. The language: README.md beside this file.
 */
#include "tests/scenario/gateway/scenario.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

void run_fail(struct run *r, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (r->failed)
		return;
	r->failed = true;
	n = snprintf(r->msg, sizeof(r->msg), "%s:%d: ", r->s->file, r->line);
	va_start(ap, fmt);
	vsnprintf(r->msg + n, sizeof(r->msg) - (size_t)n, fmt, ap);
	va_end(ap);
}

/* Playing ------------------------------------------------------------------------------------ */

static void start(struct run *r, const struct scenario_way *way, struct rte_mempool *gw,
	struct rte_mempool *peer, bool configured)
{
	char backend[] = "backend", e1[] = "e1", *argv[] = {backend, e1};
	struct world_config *c = r->cfg;

	if (configured && (c == NULL || c->in.route_count == 0))
		config_word(r, 2, argv);
	world_init(&r->w, way->v4, r->ports, gw, peer, &r->http_cfg);
	r->w.pieces = way->pieces;
	r->started = true;
	config_apply(r);
}

/* The lines of a text block at <p>, decoded; *p moves behind them. */
static struct pattern text_block(struct run *r, const char **p, const char *end, bool star)
{
	struct pattern all = {0};

	while (*p < end && (**p == '|' || **p == '>')) {
		const char *nl = memchr(*p, '\n', (size_t)(end - *p));
		size_t len = (size_t)((nl ? nl : end) - *p),
		       skip = len > 1 && (*p)[1] == ' ' ? 2 : 1;
		struct pattern t = text_decode(r, &r->arena, *p + skip, len - skip, star);
		bool rest = t.len > 0 && t.any[0] == PATTERN_REST_OF_HEAD;
		size_t crlf = **p == '|' && !rest ? 2 : 0;
		struct pattern both = {.len = all.len + t.len + crlf};

		both.p = arena_alloc(&r->arena, both.len + 1);
		both.any = arena_alloc(&r->arena, both.len + 1);
		if (all.len > 0) {
			memcpy(both.p, all.p, all.len);
			memcpy(both.any, all.any, all.len);
		}
		if (t.len > 0) {
			memcpy(both.p + all.len, t.p, t.len);
			memcpy(both.any + all.len, t.any, t.len);
		}
		memcpy(both.p + all.len + t.len, "\r\n", crlf);
		all = both;
		*p = nl ? nl + 1 : end;
		r->line++;
	}
	return all;
}

static int split(char *line, char **argv)
{
	int argc = 0;
	char *save = NULL;

	for (char *w = strtok_r(line, " \t", &save); w != NULL && argc < SCENARIO_ARGS;
		w = strtok_r(NULL, " \t", &save))
		argv[argc++] = w;
	return argc;
}

struct player {
	struct run *r;
	const struct scenario_way *way;
	struct rte_mempool *gw, *peer;
	bool configured; /* false after "noconfig" */
};

static void play_line(struct player *pl, char *line, const char **next, const char *end)
{
	struct run *r = pl->r;
	char *argv[SCENARIO_ARGS];
	int argc = split(line, argv);
	const struct verb *v;
	struct pattern t = {0};

	if (argc == 0 || argv[0][0] == '#')
		return;
	if (strcmp(argv[0], "noconfig") == 0) {
		pl->configured = false;
		return;
	}
	if (config_word(r, argc, argv))
		return;
	v = verb_of(argv[0]);
	if (v == NULL || argc < v->argc_min) {
		run_fail(r, "%s: unknown, or words are missing", argv[0]);
		return;
	}
	if (!r->started)
		start(r, pl->way, pl->gw, pl->peer, pl->configured);
	if (v->sends || v->expects) {
		int line_of_verb = r->line;

		t = text_block(r, next, end, v->expects);
		r->line = line_of_verb;
	}
	if (!r->failed)
		v->fn(r, argc, argv, &t);
}

static void play(struct player *pl)
{
	struct run *r = pl->r;
	const char *p = r->s->text, *end = p + r->s->len;

	while (p < end && !r->failed) {
		const char *nl = memchr(p, '\n', (size_t)(end - p)), *before;
		char line[512];

		r->line++;
		snprintf(line, sizeof(line), "%.*s", (int)((nl ? nl : end) - p), p);
		before = p = nl ? nl + 1 : end;
		play_line(pl, line, &p, end);
		for (const char *q = before; q < p && !r->failed; q++)
			r->line += *q == '\n';
	}
}

const char *scenario_run(const struct scenario *s, const struct scenario_way *way,
	struct rte_mempool *gw, struct rte_mempool *peer)
{
	static struct run run;
	struct player pl = {.r = &run, .way = way, .gw = gw, .peer = peer, .configured = true};
	const char *left;

	run = (struct run){.s = s, .line = s->line - 1};
	run.w.v4 = way->v4;
	http_config_default(&run.http_cfg);
	run.http_cfg.down_max = run.http_cfg.up_max = run.http_cfg.exchanges_max = 64;
	run.http_cfg.head_buffers = 4;
	arena_init(&run.arena, 0);
	play(&pl);
	if (run.started) {
		world_starve(&run.w, UINT32_MAX);
		left = world_leftovers(&run.w);
		if (left[0] != 0)
			run_fail(&run, "at the end the gateway holds: %s", left);
		world_fini(&run.w);
	}
	arena_fini(&run.arena);
	return run.failed ? run.msg : NULL;
}

/* Reading ------------------------------------------------------------------------------------ */

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text;
	long n;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (n = ftell(f)) < 0) {
		perror(path);
		abort();
	}
	rewind(f);
	text = calloc(1, (size_t)n + 1);
	if (fread(text, 1, (size_t)n, f) != (size_t)n)
		abort();
	fclose(f);
	return text;
}

static void add_page(struct scenarios *ret, const char *file, int line, char *p, char *end)
{
	struct scenario *s;
	char *nl = memchr(p, '\n', (size_t)(end - p));

	ret->s = realloc(ret->s, (ret->count + 1) * sizeof(*ret->s));
	s = &ret->s[ret->count++];
	*nl = 0;
	*s = (struct scenario){.file = strdup(file),
		.claim = p + strlen("claim: "),
		.line = line + 1,
		.text = nl + 1,
		.len = (size_t)(end - nl - 1)};
}

/* A file is a list of pages, each from a line "claim: ..." to the next. */
static void load_file(struct scenarios *ret, const char *dir, const char *name)
{
	char path[1024], *text, *page = NULL;
	int line = 1, page_line = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	text = read_file(path);
	ret->texts = realloc(ret->texts, (ret->text_count + 1) * sizeof(*ret->texts));
	ret->texts[ret->text_count++] = text;
	for (char *p = text, *next; *p; p = next, line++) {
		next = strchr(p, '\n');
		next = next ? next + 1 : p + strlen(p);
		if (strncmp(p, "claim: ", 7) != 0)
			continue;
		if (page != NULL)
			add_page(ret, name, page_line, page, p);
		page = p;
		page_line = line;
	}
	if (page != NULL)
		add_page(ret, name, page_line, page, page + strlen(page));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_page(const struct dirent *d)
{
	return str_ends(str_of(d->d_name), STR(".scn"));
}

void scenarios_load(struct scenarios *ret, const char *dir)
{
	struct dirent **d;
	int n = scandir(dir, &d, is_page, by_name);

	*ret = (struct scenarios){0};
	if (n < 0) {
		perror(dir);
		abort();
	}
	for (int i = 0; i < n; i++) {
		load_file(ret, dir, d[i]->d_name);
		free(d[i]);
	}
	free(d);
}

void scenarios_free(struct scenarios *s)
{
	for (size_t i = 0; i < s->count; i++)
		free((void *)(uintptr_t)s->s[i].file);
	for (size_t i = 0; i < s->text_count; i++)
		free(s->texts[i]);
	free(s->s);
	free(s->texts);
}
