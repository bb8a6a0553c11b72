// SPDX-License-Identifier: Apache-2.0
/*
 * view.c: all objects at one revision, sorted, each once.
 */
#include <stdlib.h>

#include "control/store/store_private.h"
#include "dataplane/base/bug.h"

/* Files are sorted, so the place in them is an order: the first of two equal objects counts. */
struct placed {
	struct object *o;
	uint32_t place;
};

static int cmp_placed(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;
	int c;

	if (x->o->kind != y->o->kind)
		return x->o->kind < y->o->kind ? -1 : 1;
	c = object_cmp_key(x->o, y->o->cluster, y->o->ns, y->o->name);
	if (c != 0)
		return c;
	return x->place < y->place ? -1 : x->place > y->place;
}

static bool same_object(const struct object *a, const struct object *b)
{
	return a->kind == b->kind && object_cmp_key(a, b->cluster, b->ns, b->name) == 0;
}

/*
 * A reference to <o> under the generation that follows from the previous view: an equal spec keeps
 * it, another one takes the next, a new object starts at 1. An object that is already known to
 * older views under another generation (it was hidden by an equal one meanwhile) is not changed
 * under their eyes but copied.
 */
static struct object *with_generation(struct object *o, const struct view *previous)
{
	struct object *old = NULL;
	int64_t want = o->generation ? o->generation : 1;

	if (o->file == NULL)
		return object_get(o); /* an API server counts by itself */
	if (previous != NULL)
		old = (struct object *)view_find(previous, o->kind, o->cluster, o->ns, o->name);
	if (old != NULL && old != o)
		want = old->generation + (old->spec_digest != o->spec_digest);
	if (old != NULL && old->base == o)
		return object_get(old);
	if (o->generation != 0 && o->generation != want)
		return object_regenerate(o, want);
	o->generation = want;
	return object_get(o);
}

struct building {
	struct view *view;
	struct problem *problems;
	uint32_t count;
};

static void add_problem(struct building *b, struct problem p)
{
	p.text = arena_str(&b->view->arena, p.text);
	b->problems[b->count++] = p;
}

static void add_duplicate(struct building *b, const struct object *first, const struct object *o)
{
	char here[OBJECT_PLACE_MAX], there[OBJECT_PLACE_MAX];
	char *text = arena_printf(&b->view->arena,
		"%s: %.*s %.*s%s%.*s: stands already in %s, which is the one that counts",
		object_place(o, here, sizeof(here)), STR_FMT(kind_info[o->kind].name),
		STR_FMT(o->ns), o->ns.len ? "/" : "", STR_FMT(o->name),
		object_place(first, there, sizeof(there)));

	b->problems[b->count++] = (struct problem){true, false, str_of(text)};
}

typedef void (*kind_fn)(void *arg, const struct store_kind *k);

/* Those of API servers that take part. */
static void each_kind(const struct store *s, kind_fn fn, void *arg)
{
	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		for (uint32_t i = 0; i < s->clusters_count; i++)
			if (s->clusters[i]->open && s->clusters[i]->kinds[kind] != NULL &&
				!s->clusters[i]->kinds[kind]->hidden)
				fn(arg, s->clusters[i]->kinds[kind]);
}

struct collecting {
	struct placed *all;
	uint32_t n;
};

static void collect_kind(void *arg, const struct store_kind *k)
{
	struct collecting *c = arg;

	for (uint32_t i = 0; i < k->count; i++) {
		if (k->entries[i].object == NULL)
			continue;
		c->all[c->n] = (struct placed){k->entries[i].object, c->n};
		c->n++;
	}
}

static void collect(const struct store *s, struct placed *all)
{
	struct collecting c = {all, 0};
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->files_count; i++) {
		const struct store_file *f = s->files[i];

		for (uint32_t k = 0; k < f->objects_count; k++) {
			all[n] = (struct placed){f->objects[k], n};
			n++;
		}
	}
	c.n = n;
	each_kind(s, collect_kind, &c);
}

struct counting {
	uint32_t objects, problems;
};

static void count_kind(void *arg, const struct store_kind *k)
{
	struct counting *c = arg;

	c->objects += k->objects;
	c->problems += k->problems;
}

static struct counting count_all(const struct store *s)
{
	struct counting c = {0, 0};

	for (uint32_t i = 0; i < s->files_count; i++) {
		c.objects += s->files[i]->objects_count;
		c.problems += s->files[i]->problems_count;
	}
	each_kind(s, count_kind, &c);
	return c;
}

static void kind_problems(void *arg, const struct store_kind *k)
{
	for (uint32_t i = 0; i < k->count; i++)
		if (k->entries[i].problem != NULL)
			add_problem(arg,
				(struct problem){true, k->entries[i].object != NULL,
					str_of(k->entries[i].problem)});
}

static void take_objects(struct building *b, const struct view *previous, struct placed *all,
	uint32_t n)
{
	struct object **out = arena_array(&b->view->arena, struct object *, n);
	struct object *last = NULL;
	uint32_t count = 0;

	for (uint32_t i = 0; i < n; i++) {
		struct object *o = all[i].o;
		struct view_kind *vk = &b->view->kinds[o->kind];

		if (last != NULL && same_object(last, o)) {
			add_duplicate(b, last, o);
			continue;
		}
		if (vk->count == 0)
			vk->objects = out + count;
		vk->count++;
		out[count++] = last = with_generation(o, previous);
	}
}

/* Fatal ones first; inside both halves the order of the files stays. */
static void sort_problems(struct building *b)
{
	struct problem *out = arena_array(&b->view->arena, struct problem, b->count);
	uint32_t n = 0;

	for (int fatal = 1; fatal >= 0; fatal--) {
		for (uint32_t i = 0; i < b->count; i++)
			if (b->problems[i].fatal == fatal)
				out[n++] = b->problems[i];
		if (fatal)
			b->view->fatal_count = n;
	}
	b->view->problems = out;
	b->view->problem_count = n;
}

static void take_unseen(void *arg, const struct store_kind *k)
{
	struct view *v = arg;
	struct view_kind *vk = &v->kinds[k->kind];

	if (!k->unseen)
		return;
	if (vk->unseen == NULL)
		vk->unseen = arena_array(&v->arena, struct str, k->store->clusters_count);
	vk->unseen[vk->unseen_count++] = arena_str(&v->arena, k->cluster->name);
}

struct view *view_build(const struct store *s, const struct view *previous)
{
	struct view *v = calloc(1, sizeof(*v));
	struct building b = {.view = v};
	const struct counting n = count_all(s);
	struct placed *all;

	bug_on(v == NULL);
	arena_init(&v->arena, 0);
	atomic_store(&v->refs, 1);
	v->revision = s->revision;
	all = calloc((size_t)n.objects + 1, sizeof(*all));
	b.problems = calloc((size_t)n.objects + n.problems + 1, sizeof(*b.problems));
	bug_on(all == NULL || b.problems == NULL);
	for (uint32_t i = 0; i < s->files_count; i++)
		for (uint32_t k = 0; k < s->files[i]->problems_count; k++)
			add_problem(&b, s->files[i]->problems[k]);
	each_kind(s, kind_problems, &b);
	each_kind(s, take_unseen, v);
	collect(s, all);
	qsort(all, n.objects, sizeof(*all), cmp_placed);
	take_objects(&b, previous, all, n.objects);
	sort_problems(&b);
	free(all);
	free(b.problems);
	return v;
}

struct view *view_get(struct view *v)
{
	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void view_put(struct view *v)
{
	if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (unsigned k = 0; k < KIND_COUNT; k++)
		for (uint32_t i = 0; i < v->kinds[k].count; i++)
			object_put(v->kinds[k].objects[i]);
	arena_fini(&v->arena);
	free(v);
}

bool view_is_unseen(const struct view *v, enum kind kind, struct str cluster)
{
	const struct view_kind *vk = &v->kinds[kind];

	for (uint32_t i = 0; i < vk->unseen_count; i++)
		if (str_eq(vk->unseen[i], cluster))
			return true;
	return false;
}

const struct object *view_find(const struct view *v, enum kind kind, struct str cluster,
	struct str ns, struct str name)
{
	const struct view_kind *vk = &v->kinds[kind];
	uint32_t lo = 0, hi = vk->count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = object_cmp_key(vk->objects[mid], cluster, ns, name);

		if (c == 0)
			return vk->objects[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}
