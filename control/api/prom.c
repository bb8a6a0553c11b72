// SPDX-License-Identifier: Apache-2.0
/*
 * prom.c: families and series in jansson's ordered tables, then text.
 *
 *	families: {"sluice_drops_total": {"type", "help", "series": {"{reason=\"x\"}": value}}}
 *
 * References: prometheus.io "Exposition formats", OpenMetrics 1.0.0.
 */
#include "control/api/prom.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"

#define PROM_NAME_BYTES_MAX 200

struct prom {
	json_t *families; /* owned */
	unsigned series_count, series_refused;
};

struct prom *prom_new(void)
{
	struct prom *p = calloc(1, sizeof(*p));

	if (p != NULL && (p->families = json_object()) == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

void prom_free(struct prom *p)
{
	if (p == NULL)
		return;
	json_decref(p->families);
	free(p);
}

/* --- collecting --- */

static void name_clean(const char *name, char buf[PROM_NAME_BYTES_MAX])
{
	size_t n = 0;

	for (; *name != '\0' && n < PROM_NAME_BYTES_MAX - 1; name++) {
		char c = *name, l = ascii_lower(c);

		buf[n++] = (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '_' ? c : '_';
	}
	buf[n] = '\0';
}

/*
 * Backslash, line end and, where it delimits, the double quote are escaped. The formats are UTF-8;
 * names of ours are ASCII, so any other byte is an accident and becomes '?'.
 */
static void put_escaped(FILE *f, struct str s, bool quote)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.p[i];

		if (c == '\\' || (c == '"' && quote))
			fputc('\\', f);
		if (c == '\n')
			fputs("\\n", f);
		else
			fputc(c >= 0x20 && c < 0x7f ? c : '?', f);
	}
}

/* "" or "{a=\"b\",c=\"d\"}"; the caller frees. */
static char *labels_format(struct prom_labels labels)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	bug_on(labels.count > PROM_LABELS_MAX);
	if (f == NULL)
		return NULL;
	for (unsigned i = 0; i < labels.count; i++) {
		fprintf(f, "%c%s=\"", i == 0 ? '{' : ',', labels.l[i].name);
		put_escaped(f, str_first(labels.l[i].value, PROM_LABEL_BYTES_MAX), true);
		fputc('"', f);
	}
	if (labels.count > 0)
		fputc('}', f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static json_t *family_series(struct prom *p, enum prom_type type, const char *name,
	const char *help)
{
	char clean[PROM_NAME_BYTES_MAX];
	json_t *family;

	name_clean(name, clean);
	bug_on(type == PROM_COUNTER && !str_ends(str_of(clean), STR("_total")));
	family = json_object_get(p->families, clean);
	if (family == NULL) {
		family = json_pack("{s:i, s:o, s:{}}", "type", (int)type, "help", json_string(help),
			"series");
		json_object_set_new(p->families, clean, family);
	}
	return json_object_get(family, "series");
}

/* Takes <value> over. */
static void series_add(struct prom *p, json_t *series, struct prom_labels labels, json_t *value)
{
	char *key = labels_format(labels);
	json_t *old = key != NULL ? json_object_get(series, key) : NULL;

	if (key == NULL || (old == NULL && p->series_count >= PROM_SERIES_MAX)) {
		p->series_refused++;
		json_decref(value);
	} else if (old == NULL) {
		p->series_count++;
		json_object_set_new(series, key, value);
	} else {
		if (json_is_integer(old) && json_is_integer(value))
			json_integer_set(old, json_integer_value(old) + json_integer_value(value));
		else
			json_object_set_new(series, key,
				json_real(json_number_value(old) + json_number_value(value)));
		json_decref(value);
	}
	free(key);
}

void prom_add(struct prom *p, enum prom_type type, const char *name, const char *help,
	struct prom_labels labels, uint64_t value)
{
	json_int_t v = value <= INT64_MAX ? (json_int_t)value : INT64_MAX;

	series_add(p, family_series(p, type, name, help), labels, json_integer(v));
}

void prom_add_f(struct prom *p, enum prom_type type, const char *name, const char *help,
	struct prom_labels labels, double value)
{
	/* jansson holds no infinity and no NaN, and we have nothing that could be one */
	series_add(p, family_series(p, type, name, help), labels,
		json_real(isfinite(value) ? value : 0.0));
}

/* --- writing --- */

static void write_series(FILE *f, const char *name, json_t *series)
{
	const char *labels;
	json_t *v;

	json_object_foreach (series, labels, v) {
		if (json_is_integer(v))
			fprintf(f, "%s%s %" JSON_INTEGER_FORMAT "\n", name, labels,
				json_integer_value(v));
		else
			fprintf(f, "%s%s %.15g\n", name, labels, json_real_value(v));
	}
}

static void write_family(FILE *f, const char *name, json_t *family, bool openmetrics)
{
	bool counter = json_integer_value(json_object_get(family, "type")) == PROM_COUNTER;
	struct str base = str_of(name);

	if (openmetrics && counter)
		base.len -= sizeof("_total") - 1;
	fprintf(f, "# HELP %.*s ", STR_FMT(base));
	put_escaped(f, str_of(json_string_value(json_object_get(family, "help"))), openmetrics);
	fprintf(f, "\n# TYPE %.*s %s\n", STR_FMT(base), counter ? "counter" : "gauge");
	write_series(f, name, json_object_get(family, "series"));
}

char *prom_write(const struct prom *p, bool openmetrics, size_t *ret_len)
{
	char *text = NULL;
	const char *name;
	json_t *family;
	FILE *f = open_memstream(&text, ret_len);

	if (f == NULL)
		return NULL;
	json_object_foreach (p->families, name, family)
		write_family(f, name, family, openmetrics);
	if (p->series_refused > 0)
		fprintf(f, "# %u series more than a page may have were left out\n",
			p->series_refused);
	if (openmetrics)
		fputs("# EOF\n", f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
