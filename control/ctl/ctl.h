// SPDX-License-Identifier: Apache-2.0
/*
 * ctl.h: sluicectl asks control over its REST API and shows the answer.
 *
 * A command is a function and a row in commands.c. It returns the exit status of the program.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2, CTL_DEGRADED = 3 };

struct ctl {
	const char *socket;
	bool json; /* -o json: the answer as it came */
	const struct command *cmd;
	int argc; /* what is left of the command line */
	char **argv;
};

struct command {
	const char *name, *args, *summary;
	int (*run)(struct ctl *c);
	const char *help; /* more about it; "" */
};

extern const struct command commands[];
extern const unsigned command_count;

int cmd_status(struct ctl *c);
int cmd_get(struct ctl *c);
int cmd_describe(struct ctl *c);
int cmd_cluster(struct ctl *c);
int cmd_site(struct ctl *c);
int cmd_weight(struct ctl *c);
int cmd_routes(struct ctl *c);
int cmd_weights(struct ctl *c);
int cmd_explain(struct ctl *c);
int cmd_endpoints(struct ctl *c);
int cmd_counters(struct ctl *c);
int cmd_drops(struct ctl *c);
int cmd_conns(struct ctl *c);
int cmd_cycles(struct ctl *c);
int cmd_trace(struct ctl *c);
int cmd_dataplanes(struct ctl *c);
int cmd_version(struct ctl *c);

/* main.c: a sentence about the command line and where help is; returns CTL_USAGE. */
int ctl_usage(const struct ctl *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/*
 * Takes "--name VALUE" or "--name=VALUE" out of the arguments; NULL when it is not there. A flag
 * has no value and is "" when it is there.
 */
const char *ctl_option(struct ctl *c, const char *name);
bool ctl_flag(struct ctl *c, const char *name);
/* All arguments are taken and positional ones are between <min> and <max>; else says so. */
bool ctl_args_ok(struct ctl *c, int min, int max);

/* --- client.c --- */

/*
 * One request. The answer's JSON, which the caller releases, or NULL after it has said on standard
 * error what went wrong. <body> is taken over; NULL: none. *ret_status may be NULL; if it is not,
 * answers of 4xx and 5xx are returned like others.
 */
json_t *ctl_call(const struct ctl *c, const char *method, const char *path, json_t *body,
	long *ret_status);
json_t *ctl_get(const struct ctl *c, const char *path);
/* Appends "/<segment>" encoded. */
void ctl_segment_add(char *path, size_t size, const char *segment);
/* Appends "name=value" encoded to <path> (of <size> bytes), with '?' or '&'. */
void ctl_query_add(char *path, size_t size, const char *name, const char *value);

/* --- show.c --- */

void show_json(const json_t *j);
/* The tree as indented text, as kubectl describe has it. */
void show_tree(const json_t *j, int indent);

/* Columns as wide as their widest cell. Cells are copied; control characters become '?'. */
struct table;
struct table *table_new(const char *const *heads); /* NULL ends the list */
void table_add(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_add_json(struct table *t, const json_t *v); /* text, number, bool; null is "-" */
void table_print(struct table *t);		       /* and frees */

/* "" when the member is missing or no text. */
const char *text_of(const json_t *obj, const char *key);
int64_t number_of(const json_t *obj, const char *key);

/* "Accepted Programmed !ResolvedRefs:RefNotPermitted" into <buf>; false when one is bad news. */
bool show_conditions(const json_t *conditions, char *buf, size_t size);
