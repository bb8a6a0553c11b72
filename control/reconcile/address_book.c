// SPDX-License-Identifier: Apache-2.0
/*
 * address_book.c: the assignments of the past as a small YAML file, and from the status of Gateways.
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
#define ADOPTED_MAX 16 /* the API's own limit of addresses in a status */

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

static struct address_entry *entry_add(struct address_book *b, struct address_entry *list,
	struct str cluster, struct str ns, struct str name, uint32_t addresses)
{
	struct address_entry *e = &list[b->entries_count++];

	*e = (struct address_entry){arena_str(&b->arena, cluster), arena_str(&b->arena, ns),
		arena_str(&b->arena, name), arena_array(&b->arena, struct str, addresses), 0};
	return e;
}

static void entry_put(struct address_book *b, struct address_entry *e, struct str text)
{
	((struct str *)e->addresses)[e->addresses_count++] = arena_str(&b->arena, text);
}

/* What a Gateway of the plan got from pools. */
static void take_gateway(struct address_book *b, struct address_entry *list,
	const struct plan_gateway *g)
{
	struct address_entry *e;
	char buf[IP_ADDR_STRLEN];

	if (g->addresses_count == g->static_count)
		return;
	e = entry_add(b, list, g->obj->cluster, g->obj->ns, g->obj->name, g->addresses_count);
	for (uint32_t k = g->static_count; k < g->addresses_count; k++)
		entry_put(b, e, str_of(ip_format(&g->addresses[k], buf)));
}

static bool plan_has_address(const struct plan *p, struct str text)
{
	struct ip_addr a;

	if (!ip_parse(text, &a))
		return true;
	for (uint32_t i = 0; i < p->gateways_count; i++)
		for (uint32_t k = 0; k < p->gateways[i].addresses_count; k++)
			if (ip_eq(&p->gateways[i].addresses[k], &a))
				return true;
	return false;
}

/* What a Gateway had that the plan does not know. */
static void take_absent(struct address_book *b, struct address_entry *list,
	const struct address_entry *old, const struct plan *p)
{
	struct address_entry *e = NULL;

	for (uint32_t k = 0; k < old->addresses_count; k++) {
		if (plan_has_address(p, old->addresses[k]))
			continue;
		if (e == NULL)
			e = entry_add(b, list, old->cluster, old->ns, old->name,
				old->addresses_count);
		entry_put(b, e, old->addresses[k]);
	}
}

/* Both are sorted alike; when there are too many it is the absent ones that go. */
static void book_from_plan(struct address_book *b, const struct address_book *old,
	const struct plan *p)
{
	struct address_entry *list = arena_array(&b->arena, struct address_entry,
		p->gateways_count + old->entries_count);
	uint32_t i = 0, k = 0;

	while (i < p->gateways_count || k < old->entries_count) {
		const struct object *o = i < p->gateways_count ? p->gateways[i].obj : NULL;
		int c = o == NULL ? 1
			: k == old->entries_count
			? -1
			: -cmp_key(&old->entries[k], o->cluster, o->ns, o->name);

		if (c > 0 && p->gateways_count + b->entries_count - i < BOOK_ENTRIES_MAX)
			take_absent(b, list, &old->entries[k], p);
		/* one that has none now may get its own back: its pool is away, or there is no room */
		if (c == 0 && p->gateways[i].addresses_count == 0)
			take_absent(b, list, &old->entries[k], p);
		k += c >= 0;
		if (c <= 0)
			take_gateway(b, list, &p->gateways[i++]);
	}
	b->entries = list;
}

void address_book_adopt(const struct object *gateway, struct arena *arena, const struct str **ret,
	uint32_t *ret_count)
{
	json_t *status = gateway->status.len == 0
		? NULL
		: json_loadb(gateway->status.p, gateway->status.len, 0, NULL);
	json_t *addresses = json_object_get(status, "addresses"), *a;
	struct str *list = arena_array(arena, struct str, ADOPTED_MAX);
	uint32_t n = 0;
	size_t i;

	json_array_foreach (addresses, i, a) {
		const char *value = json_string_value(json_object_get(a, "value"));

		if (value != NULL && n < ADOPTED_MAX)
			list[n++] = arena_str(arena, str_of(value));
	}
	json_decref(status);
	*ret = list;
	*ret_count = n;
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
	int rc;

	arena_init(&fresh.arena, 0);
	book_from_plan(&fresh, b, plan);
	if (same_book(b, &fresh) && !b->unsaved) {
		arena_fini(&fresh.arena);
		return 0;
	}
	arena_fini(&b->arena);
	*b = fresh;
	rc = book_save(b, path, err);
	b->unsaved = rc < 0;
	return rc;
}
