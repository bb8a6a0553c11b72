// SPDX-License-Identifier: Apache-2.0
/*
 * address_book.c: the assignments of the past as a small YAML file.
 *
 *	gateways:
 *	- {cluster: "us-east", namespace: "infra", name: "gw", addresses: ["203.0.113.10"]}
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/reconcile/addresses.h"
#include "control/reconcile/plan.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "dataplane/yaml/yaml_decode.h"

#define BOOK_ENTRIES_MAX 4096

static const struct yaml_field address_field = {.type = YAML_TYPE_STR, .min = 1, .max = 45};
static const struct yaml_schema addresses_schema = YAML_SCALARS(struct str, &address_field);

static const struct yaml_field entry_fields[] = {
	YAML_STR(struct address_entry, "cluster", cluster, .required = true, .max = 63),
	YAML_STR(struct address_entry, "namespace", ns, .required = true, .max = 63),
	YAML_STR(struct address_entry, "name", name, .required = true, .max = 253),
	YAML_LIST(struct address_entry, "addresses", addresses, &addresses_schema, .max = 32),
};
static const struct yaml_schema entry_schema = YAML_SCHEMA(struct address_entry, entry_fields);

static const struct yaml_field book_fields[] = {
	YAML_LIST(struct address_book, "gateways", entries, &entry_schema, .max = BOOK_ENTRIES_MAX),
};
static const struct yaml_schema book_schema = YAML_SCHEMA(struct address_book, book_fields);

static int cmp_key(const struct address_entry *e, struct str cluster, struct str ns,
	struct str name)
{
	int c = str_cmp(e->cluster, cluster);

	if (c == 0)
		c = str_cmp(e->ns, ns);
	return c != 0 ? c : str_cmp(e->name, name);
}

static int cmp_entries(const void *a, const void *b)
{
	const struct address_entry *x = a, *y = b;

	return cmp_key(x, y->cluster, y->ns, y->name);
}

static void on_report(struct yaml_decoder *d, bool fatal, uint32_t line, const char *path,
	const char *what)
{
	if (d->errors == 1)
		err_set(d->ctx, EINVAL, "line %u: %s: %s", line, path, what);
}

int address_book_load(const char *path, struct address_book **ret, struct err *err)
{
	struct address_book *b = calloc(1, sizeof(*b));
	struct err why = {""};
	struct yaml_decoder d = {.strict = true, .report = on_report, .ctx = &why};
	struct yaml_file f;
	struct arena arena;
	int rc = yaml_load(path, &f, err);

	bug_on(b == NULL);
	if (rc == -ENOENT) {
		arena_init(&b->arena, 0);
		*ret = b;
		return 0;
	}
	if (rc < 0) {
		free(b);
		return rc;
	}
	arena_init(&arena, 0);
	d.arena = &arena;
	rc = yaml_decode(&d, f.docs, &book_schema, b);
	yaml_file_fini(&f);
	b->arena = arena;
	if (rc < 0) {
		address_book_free(b);
		return err_set(err, EINVAL, "%s: %s", path, why.msg);
	}
	qsort((void *)b->entries, b->entries_count, sizeof(*b->entries), cmp_entries);
	*ret = b;
	return 0;
}

void address_book_free(struct address_book *b)
{
	if (b == NULL)
		return;
	arena_fini(&b->arena);
	free(b);
}

const struct address_entry *address_book_find(const struct address_book *b, struct str cluster,
	struct str ns, struct str name)
{
	uint32_t lo = 0, hi = b != NULL ? b->entries_count : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = cmp_key(&b->entries[mid], cluster, ns, name);

		if (c == 0)
			return &b->entries[mid];
		if (c > 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

/* What the plan's Gateways, which have the book's order, got from pools. */
static void book_from_plan(struct address_book *b, const struct plan *p)
{
	struct address_entry *entries =
		arena_array(&b->arena, struct address_entry, p->gateways_count);

	for (uint32_t i = 0; i < p->gateways_count; i++) {
		const struct plan_gateway *g = &p->gateways[i];
		struct address_entry *e = &entries[b->entries_count];
		struct str *texts = arena_array(&b->arena, struct str, g->addresses_count);
		char buf[IP_ADDR_STRLEN];

		*e = (struct address_entry){arena_str(&b->arena, g->obj->cluster),
			arena_str(&b->arena, g->obj->ns), arena_str(&b->arena, g->obj->name), texts,
			0};
		for (uint32_t k = g->static_count; k < g->addresses_count; k++)
			texts[e->addresses_count++] =
				arena_str(&b->arena, str_of(ip_format(&g->addresses[k], buf)));
		if (e->addresses_count != 0)
			b->entries_count++;
	}
	b->entries = entries;
}

static bool same_entry(const struct address_entry *a, const struct address_entry *b)
{
	if (cmp_entries(a, b) != 0 || a->addresses_count != b->addresses_count)
		return false;
	for (uint32_t i = 0; i < a->addresses_count; i++)
		if (!str_eq(a->addresses[i], b->addresses[i]))
			return false;
	return true;
}

static bool same_book(const struct address_book *a, const struct address_book *b)
{
	if (a->entries_count != b->entries_count)
		return false;
	for (uint32_t i = 0; i < a->entries_count; i++)
		if (!same_entry(&a->entries[i], &b->entries[i]))
			return false;
	return true;
}

static void book_write(const struct address_book *b, FILE *f)
{
	fprintf(f, "# VIPs assigned from the pools of control.yaml.\ngateways:\n");
	for (uint32_t i = 0; i < b->entries_count; i++) {
		const struct address_entry *e = &b->entries[i];

		fprintf(f,
			"- {cluster: \"%.*s\", namespace: \"%.*s\", name: \"%.*s\", addresses: [",
			STR_FMT(e->cluster), STR_FMT(e->ns), STR_FMT(e->name));
		for (uint32_t k = 0; k < e->addresses_count; k++)
			fprintf(f, "%s\"%.*s\"", k ? ", " : "", STR_FMT(e->addresses[k]));
		fprintf(f, "]}\n");
	}
}

static int book_save(const struct address_book *b, const char *path, struct err *err)
{
	autofree char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	bug_on(f == NULL);
	book_write(b, f);
	bug_on(fclose(f) != 0);
	return file_replace(path, text, len, 0644, err);
}

int address_book_update(struct address_book *b, const struct plan *plan, const char *path,
	struct err *err)
{
	struct address_book fresh = {.entries_count = 0};

	arena_init(&fresh.arena, 0);
	book_from_plan(&fresh, plan);
	if (same_book(b, &fresh)) {
		arena_fini(&fresh.arena);
		return 0;
	}
	arena_fini(&b->arena);
	*b = fresh;
	return book_save(b, path, err);
}
