// SPDX-License-Identifier: Apache-2.0
/*
 * show.c: tables, trees and conditions for people.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/ctl.h"
#include "dataplane/base/bug.h"

#define TABLE_COLUMNS_MAX 16
#define TABLE_CELL_MAX 512

struct table {
	unsigned columns, used, max;
	int width[TABLE_COLUMNS_MAX];
	char **cells; /* owned, row by row, the heads first */
};

const char *text_of(const json_t *obj, const char *key)
{
	const char *s = json_string_value(json_object_get(obj, key));

	return s != NULL ? s : "";
}

int64_t number_of(const json_t *obj, const char *key)
{
	return json_integer_value(json_object_get(obj, key));
}

void show_json(const json_t *j)
{
	json_dumpf(j, stdout, JSON_INDENT(2));
	putchar('\n');
}

/* --- tables --- */

/* What came in from outside must not drive the terminal. */
static char *clean_copy(const char *s)
{
	char *copy = strdup(s);

	bug_on(copy == NULL);
	for (char *p = copy; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	return copy;
}

static void add_cell(struct table *t, const char *text)
{
	unsigned col = t->used % t->columns;
	int len;

	if (t->used == t->max) {
		t->max = t->max ? t->max * 2 : 64;
		t->cells = realloc(t->cells, t->max * sizeof(t->cells[0]));
		bug_on(t->cells == NULL);
	}
	t->cells[t->used] = clean_copy(text);
	len = (int)strlen(text);
	if (len > t->width[col])
		t->width[col] = len;
	t->used++;
}

struct table *table_new(const char *const *heads)
{
	struct table *t = calloc(1, sizeof(*t));

	bug_on(t == NULL);
	while (heads[t->columns] != NULL)
		t->columns++;
	bug_on(t->columns > TABLE_COLUMNS_MAX);
	for (unsigned i = 0; i < t->columns; i++)
		add_cell(t, heads[i]);
	return t;
}

void table_add(struct table *t, const char *fmt, ...)
{
	char cell[TABLE_CELL_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(cell, sizeof(cell), fmt, ap);
	va_end(ap);
	add_cell(t, *cell ? cell : "-");
}

void table_add_json(struct table *t, const json_t *v)
{
	if (json_is_string(v))
		table_add(t, "%s", json_string_value(v));
	else if (json_is_integer(v))
		table_add(t, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_real(v))
		table_add(t, "%.2f", json_real_value(v));
	else if (json_is_boolean(v))
		table_add(t, "%s", json_is_true(v) ? "yes" : "no");
	else
		table_add(t, "-");
}

void table_print(struct table *t)
{
	for (unsigned i = 0; i < t->used; i++) {
		unsigned col = i % t->columns;

		if (col + 1 == t->columns)
			printf("%s\n", t->cells[i]);
		else
			printf("%-*s  ", t->width[col], t->cells[i]);
		free(t->cells[i]);
	}
	free(t->cells);
	free(t);
}

/* --- trees --- */

static void show_scalar(const json_t *v)
{
	if (json_is_string(v)) {
		char *s = clean_copy(json_string_value(v));

		puts(s);
		free(s);
	} else {
		json_dumpf(v, stdout, JSON_ENCODE_ANY);
		putchar('\n');
	}
}

static bool is_leaf(const json_t *v)
{
	return !json_is_object(v) && !json_is_array(v);
}

/* <lead>: what stands before the first line, in place of its indent ("- " in a list). */
static void show_lead(int indent, const char *lead)
{
	int n = (int)strlen(lead);

	printf("%*s%s", indent > n ? indent - n : 0, "", lead);
}

static void show_object(const json_t *j, int indent, const char *lead)
{
	const char *key;
	json_t *v;

	json_object_foreach ((json_t *)j, key, v) {
		show_lead(indent, lead);
		lead = "";
		printf("%s:", key);
		if (is_leaf(v)) {
			putchar(' ');
			show_scalar(v);
		} else {
			putchar('\n');
			show_tree(v, indent + 2);
		}
	}
}

void show_tree(const json_t *j, int indent)
{
	json_t *v;
	size_t i;

	if (json_is_object(j)) {
		show_object(j, indent, "");
		return;
	}
	json_array_foreach ((json_t *)j, i, v) {
		if (json_is_object(v)) {
			show_object(v, indent + 2, "- ");
		} else {
			show_lead(indent + 2, "- ");
			show_scalar(v);
		}
	}
}

/* --- conditions --- */

/* Conditions whose True is the bad news (Gateway API). */
static bool is_negative(const char *type)
{
	return strcmp(type, "Conflicted") == 0 || strcmp(type, "PartiallyInvalid") == 0;
}

bool show_conditions(const json_t *conditions, char *buf, size_t size)
{
	bool good = true;
	size_t i, n = 0;
	json_t *c;

	buf[0] = '\0';
	json_array_foreach ((json_t *)conditions, i, c) {
		const char *type = text_of(c, "type");
		bool is_true = strcmp(text_of(c, "status"), "True") == 0;
		bool fine = is_true != is_negative(type);

		if (fine && is_negative(type))
			continue;
		good &= fine;
		if (n < size)
			n += (size_t)snprintf(buf + n, size - n, "%s%s%s%s%s", n ? " " : "",
				fine ? "" : "!", type, fine ? "" : ":",
				fine ? "" : text_of(c, "reason"));
	}
	return good;
}
