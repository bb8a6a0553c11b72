// SPDX-License-Identifier: Apache-2.0
/*
 * scenario.h: pages of text about what a client and a server see of the gateway (README.md).
 */
#pragma once

#include "dataplane/base/arena.h"
#include "tests/scenario/gateway/world.h"

#define SCENARIO_ARGS 24

struct scenario {
	const char *file;
	const char *claim;
	int line;   /* of the first line of the page */
	char *text; /* the page's lines, borrowed from the file's text */
	size_t len;
};

struct scenarios {
	struct scenario *s; /* owned */
	size_t count;
	char **texts; /* owned: the files */
	size_t text_count;
};

/* Reads all *.scn of a folder in the order of their names; ends the process on a malformed one. */
void scenarios_load(struct scenarios *ret, const char *dir);
void scenarios_free(struct scenarios *s);

/* How a page is played. */
struct scenario_way {
	const char *name;
	bool v4;
	unsigned pieces; /* see struct world */
};

/* NULL: the page holds; else where and why not (static storage). */
const char *scenario_run(const struct scenario *s, const struct scenario_way *way,
	struct rte_mempool *gw, struct rte_mempool *peer);

/* A running page. */
struct run {
	const struct scenario *s;
	struct world w;
	bool started;		  /* the world exists */
	uint16_t ports;		  /* source ports of the gateway; 0: plenty */
	struct world_config *cfg; /* being described, not applied yet */
	struct http_config http_cfg;
	struct arena arena;
	int line;
	bool failed;
	char msg[4096];
	char log[ACCESS_LINE_MAX]; /* last access-log line taken */
};
void run_fail(struct run *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* scenario_config.c: words that describe a configuration; false: not such a word. */
bool config_word(struct run *r, int argc, char **argv);
/* Takes what was described into force, if anything was. */
void config_apply(struct run *r);

/* scenario_text.c: text blocks. */
/* Escapes and $variables; stars of expected text become wildcards when <star>. */
enum {
	PATTERN_BYTE = 0,
	PATTERN_IN_LINE,      /* any run of bytes without CR and LF */
	PATTERN_REST_OF_HEAD, /* everything up to the empty line, and that */
};
struct pattern {
	char *p;      /* bytes */
	uint8_t *any; /* [len]: PATTERN_* */
	size_t len;
};
struct pattern text_decode(struct run *r, struct arena *a, const char *line, size_t len, bool star);
/* Bytes matched (>= 0); -1: differs; -2: could match with more bytes. */
ptrdiff_t pattern_match(const struct pattern *p, const char *buf, size_t len);

/* scenario_verbs.c */
struct verb {
	const char *name;
	int argc_min;
	bool sends, expects; /* takes a text block */
	void (*fn)(struct run *r, int argc, char **argv, const struct pattern *t);
};
const struct verb *verb_of(const char *name);
/* "e1" to "e9"; anything else fails the page. */
unsigned endpoint_of(struct run *r, const char *s);
/* scenario_world.c: those that are not about a connection. */
const struct verb *verb_of_world(const char *name);
/* scenario_probe.c */
const struct verb *verb_of_probe(const char *name);
