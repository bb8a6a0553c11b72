// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_decode.c: the one walk over tree and table together.
 *
 * Each field is read by the function of its type; keys of the map that no field claims are
 * reported last. Depth is bounded by the schemas, which are static and without cycles.
 */
#include "dataplane/yaml/yaml_decode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/yaml/yaml_field.h"

static void report(struct yaml_decoder *d, bool fatal, const struct yaml_node *n, uint32_t line,
	const char *what)
{
	unsigned *count = fatal ? &d->errors : &d->warnings;

	if ((*count)++ >= YAML_REPORTS_MAX)
		return;
	d->report(d, fatal, line ? line : n ? n->line : 0, d->path, what);
}

/* Appends ".key" or "[i]" to the path; returns the length to go back to. */
static size_t path_push(struct yaml_decoder *d, const char *key, int64_t index)
{
	size_t old = d->path_len, room = sizeof(d->path) - old;
	int n = key == NULL ? snprintf(d->path + old, room, "[%lld]", (long long)index)
			    : snprintf(d->path + old, room, "%s%s", old ? "." : "", key);

	d->path_len = (size_t)n < room ? old + (size_t)n : sizeof(d->path) - 1;
	return old;
}

static void path_pop(struct yaml_decoder *d, size_t old)
{
	d->path_len = old;
	d->path[old] = '\0';
}

void yaml_report(struct yaml_decoder *d, const struct yaml_node *n, const char *field,
	const char *fmt, ...)
{
	size_t old = field != NULL ? path_push(d, field, 0) : d->path_len;
	char what[384];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	report(d, true, n, 0, what);
	path_pop(d, old);
}

static int kv_cmp(const void *a, const void *b)
{
	return str_cmp(((const struct kv *)a)->key, ((const struct kv *)b)->key);
}

struct str kv_find(const struct kv_list *l, struct str key)
{
	uint32_t lo = 0, hi = l->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = str_cmp(key, l->items[mid].key);

		if (c == 0)
			return l->items[mid].value;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return (struct str){NULL, 0};
}

static void read_map(struct yaml_decoder *d, const struct yaml_field *f, const struct yaml_node *n,
	struct kv_list *ret)
{
	struct kv *items = arena_array(d->arena, struct kv, n->count);
	uint32_t count = 0;

	if (f->max != 0 && n->count > f->max)
		yaml_report(d, n, NULL, "must have at most %lld entries, but has %u",
			(long long)f->max, n->count);
	yaml_for_each(c, n)
	{
		struct err err;
		struct str v = STR("");

		/* As an API server does: a null value in a map of strings is "". */
		if (c->kind != YAML_KIND_NULL &&
			(yaml_to_str(c, &v, &err) < 0 ||
				(f->check != NULL && yaml_field_check(f, v, &err) < 0)))
			yaml_report(d, c, arena_str(d->arena, c->key).p, "%s", err.msg);
		items[count++] = (struct kv){arena_str(d->arena, c->key), arena_str(d->arena, v)};
	}
	qsort(items, count, sizeof(*items), kv_cmp);
	*ret = (struct kv_list){items, count};
}

static bool want_kind(struct yaml_decoder *d, const struct yaml_node *n, enum yaml_kind kind)
{
	char buf[128];

	if (n->kind == kind)
		return true;
	yaml_report(d, n, NULL, "must be %s, but is %s", kind == YAML_KIND_MAP ? "a map" : "a list",
		yaml_describe(n, buf, sizeof(buf)));
	return false;
}

static void decode_struct(struct yaml_decoder *d, const struct yaml_node *n,
	const struct yaml_schema *s, void *obj);

static void decode_element(struct yaml_decoder *d, const struct yaml_node *n,
	const struct yaml_schema *s, void *at)
{
	struct err err;

	if (s->fields != NULL) {
		if (want_kind(d, n, YAML_KIND_MAP))
			decode_struct(d, n, s, at);
	} else if (n->kind == YAML_KIND_NULL) {
		yaml_report(d, n, NULL, "must not be empty");
	} else if (yaml_field_read(d->arena, s->scalar, n, at, &err) < 0) {
		yaml_report(d, n, NULL, "%s", err.msg);
	}
}

static void read_list(struct yaml_decoder *d, const struct yaml_field *f, const struct yaml_node *n,
	char *obj)
{
	const struct yaml_schema *s = f->schema;
	char *items;
	uint32_t i = 0;

	if (n->count < f->min || (f->max != 0 && n->count > f->max)) {
		yaml_report(d, n, NULL, "must have %s %lld items, but has %u",
			n->count < f->min ? "at least" : "at most",
			(long long)(n->count < f->min ? f->min : f->max), n->count);
		return;
	}
	items = arena_alloc(d->arena, s->size * n->count);
	yaml_for_each(c, n)
	{
		size_t old = path_push(d, NULL, i);

		decode_element(d, c, s, items + s->size * i);
		path_pop(d, old);
		i++;
	}
	memcpy(obj + f->offset, &items, sizeof(items));
	*(uint32_t *)(obj + f->count_offset) = n->count;
}

static void read_pointer(struct yaml_decoder *d, const struct yaml_field *f,
	const struct yaml_node *n, char *obj)
{
	void *p = arena_alloc(d->arena, f->schema->size);

	decode_struct(d, n, f->schema, p);
	memcpy(obj + f->offset, &p, sizeof(p));
}

/* Absent: the default, the complaint, or nothing. Structs in place still get their defaults. */
static void field_absent(struct yaml_decoder *d, const struct yaml_field *f,
	const struct yaml_node *parent, char *obj)
{
	struct yaml_node n = {.kind = YAML_KIND_SCALAR, .line = parent ? parent->line : 0};
	struct err err;

	if (f->required) {
		yaml_report(d, parent, NULL, "is required");
	} else if (f->def != NULL) {
		n.text = str_of(f->def);
		n.quoted = f->type == YAML_TYPE_STR || f->type == YAML_TYPE_CSTR ||
			f->type == YAML_TYPE_ENUM;
		bug_on(yaml_field_read(d->arena, f, &n, obj + f->offset, &err) < 0);
	} else if (f->type == YAML_TYPE_OBJECT) {
		decode_struct(d, NULL, f->schema, obj + f->offset);
	}
}

static void field_present(struct yaml_decoder *d, const struct yaml_field *f,
	const struct yaml_node *n, char *obj)
{
	struct err err;

	switch (f->type) {
	case YAML_TYPE_IGNORED:
		break;
	case YAML_TYPE_PRESENT:
		*(bool *)(obj + f->offset) = true;
		break;
	case YAML_TYPE_LIST:
		if (want_kind(d, n, YAML_KIND_SEQ))
			read_list(d, f, n, obj);
		break;
	case YAML_TYPE_MAP:
		if (want_kind(d, n, YAML_KIND_MAP))
			read_map(d, f, n, (struct kv_list *)(obj + f->offset));
		break;
	case YAML_TYPE_OBJECT:
		if (want_kind(d, n, YAML_KIND_MAP))
			decode_struct(d, n, f->schema, obj + f->offset);
		break;
	case YAML_TYPE_POINTER:
		if (want_kind(d, n, YAML_KIND_MAP))
			read_pointer(d, f, n, obj);
		break;
	default:
		if (yaml_field_read(d->arena, f, n, obj + f->offset, &err) < 0)
			yaml_report(d, n, NULL, "%s", err.msg);
	}
}

static const struct yaml_field *field_of(const struct yaml_schema *s, struct str key)
{
	for (uint32_t i = 0; i < s->fields_count; i++)
		if (str_eq(key, str_of(s->fields[i].key)))
			return &s->fields[i];
	return NULL;
}

static void report_unknown(struct yaml_decoder *d, const struct yaml_node *n,
	const struct yaml_schema *s)
{
	char key[64];

	yaml_for_each(c, n)
	{
		size_t old;

		if (field_of(s, c->key) != NULL)
			continue;
		snprintf(key, sizeof(key), "%.*s", STR_FMT(c->key));
		old = path_push(d, key, 0);
		report(d, d->strict, c, c->key_line, "unknown field");
		path_pop(d, old);
	}
}

static void decode_struct(struct yaml_decoder *d, const struct yaml_node *n,
	const struct yaml_schema *s, void *obj)
{
	unsigned before = d->errors;

	for (uint32_t i = 0; i < s->fields_count; i++) {
		const struct yaml_field *f = &s->fields[i];
		const struct yaml_node *v = yaml_get(n, f->key);
		size_t old = path_push(d, f->key, 0);

		if (v != NULL)
			field_present(d, f, v, obj);
		else
			field_absent(d, f, n, obj);
		path_pop(d, old);
	}
	report_unknown(d, n, s);
	if (d->errors == before && s->finish != NULL)
		s->finish(d, n, obj);
}

int yaml_decode(struct yaml_decoder *d, const struct yaml_node *n, const struct yaml_schema *s,
	void *ret)
{
	unsigned before = d->errors;

	memset(ret, 0, s->size);
	if (n == NULL || want_kind(d, n, YAML_KIND_MAP))
		decode_struct(d, n, s, ret);
	return d->errors == before ? 0 : -EINVAL;
}
