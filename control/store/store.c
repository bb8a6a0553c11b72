// SPDX-License-Identifier: Apache-2.0
/*
 * store.c: files in, objects kept; the rules of store.h line by line.
 *
 * A file's new objects are collected first (struct intake); then what must stay of the old ones is
 * carried over; then the lists are exchanged. Nothing is visible before the next view.
 */
#include "control/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/model/decode.h"
#include "control/store/store_api.h"
#include "control/store/store_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"

/* An object of the previous reading; kept when its new version is not valid. */
struct former {
	struct object *o; /* borrowed from the file */
	bool keep;
};

/* What one reading of a file yields. */
struct intake {
	struct store_file *file; /* what was known before */
	struct object **objects;
	uint32_t objects_count, objects_room;
	struct problem *problems;
	uint32_t problems_count, problems_room;
	uint32_t first_problem; /* of the object that is being read */
	struct former *former;	/* sorted by identity, as many as the file has objects */
	bool anonymous;		/* an object whose name could not be read */
	struct arena arena;	/* of texts; becomes the file's problems_arena */
};

static void *grow(void *items, uint32_t count, uint32_t *room, size_t size)
{
	if (count < *room)
		return items;
	*room = *room ? *room * 2 : 16;
	items = reallocarray(items, *room, size);
	bug_on(items == NULL);
	return items;
}

static int cmp_identity(const struct object *o, enum kind kind, struct str ns, struct str name)
{
	int c;

	if (o->kind != kind)
		return o->kind < kind ? -1 : 1;
	c = str_cmp(o->ns, ns);
	return c != 0 ? c : str_cmp(o->name, name);
}

static int cmp_former(const void *a, const void *b)
{
	const struct object *x = ((const struct former *)a)->o, *y = ((const struct former *)b)->o;

	return cmp_identity(x, y->kind, y->ns, y->name);
}

static struct former *former_find(const struct intake *in, enum kind kind, struct str ns,
	struct str name)
{
	uint32_t lo = 0, hi = in->file->objects_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = cmp_identity(in->former[mid].o, kind, ns, name);

		if (c == 0)
			return &in->former[mid];
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static void on_object(void *ctx, struct object *o)
{
	struct intake *in = ctx;

	in->objects = grow(in->objects, in->objects_count, &in->objects_room, sizeof(o));
	in->objects[in->objects_count++] = o;
	in->first_problem = in->problems_count;
}

static void on_broken(void *ctx, enum kind kind, struct str ns, struct str name)
{
	struct intake *in = ctx;
	bool nameless = kind == KIND_COUNT || name.len == 0;
	struct former *f = nameless ? NULL : former_find(in, kind, ns, name);
	bool stale = nameless ? in->file->objects_count != 0 : f != NULL;

	in->anonymous |= nameless;
	if (f != NULL)
		f->keep = true;
	for (uint32_t i = in->first_problem; i < in->problems_count; i++)
		in->problems[i].stale = in->problems[i].fatal && stale;
	in->first_problem = in->problems_count;
}

static void on_problem(void *ctx, bool fatal, const char *text)
{
	struct intake *in = ctx;

	in->problems =
		grow(in->problems, in->problems_count, &in->problems_room, sizeof(*in->problems));
	in->problems[in->problems_count++] =
		(struct problem){fatal, false, arena_str(&in->arena, str_of(text))};
}

static void former_sort(struct intake *in)
{
	uint32_t n = in->file->objects_count;

	in->former = calloc((size_t)n + 1, sizeof(*in->former));
	bug_on(in->former == NULL);
	for (uint32_t i = 0; i < n; i++)
		in->former[i].o = in->file->objects[i];
	qsort(in->former, n, sizeof(*in->former), cmp_former);
}

/* Old objects that are neither replaced nor gone on purpose stay. */
static void carry_over(struct intake *in)
{
	uint32_t fresh = in->objects_count;

	for (uint32_t i = 0; in->anonymous && i < in->file->objects_count; i++)
		in->former[i].keep = true;
	for (uint32_t i = 0; i < fresh; i++) {
		const struct object *o = in->objects[i];
		struct former *f = former_find(in, o->kind, o->ns, o->name);

		if (f != NULL)
			f->keep = false;
	}
	for (uint32_t i = 0; i < in->file->objects_count; i++)
		if (in->former[i].keep)
			on_object(in, object_get(in->former[i].o));
}

static void objects_free(struct store_file *f)
{
	for (uint32_t i = 0; i < f->objects_count; i++)
		object_put(f->objects[i]);
	free(f->objects);
	f->objects = NULL;
	f->objects_count = 0;
}

static void problems_free(struct store_file *f)
{
	free(f->problems);
	arena_fini(&f->problems_arena);
	f->problems = NULL;
	f->problems_count = 0;
}

static void file_free(struct store_file *f)
{
	objects_free(f);
	problems_free(f);
	free(f->cluster);
	free(f->path);
	free(f);
}

void store_file_problem(struct store *s, struct store_file *f, const char *text)
{
	problems_free(f);
	f->problems = calloc(1, sizeof(*f->problems));
	bug_on(f->problems == NULL);
	arena_init(&f->problems_arena, 0);
	f->problems[0] = (struct problem){true, f->objects_count != 0,
		arena_str(&f->problems_arena, str_of(text))};
	f->problems_count = 1;
	s->revision++;
}

static void intake_commit(struct store *s, struct intake *in)
{
	struct store_file *f = in->file;

	objects_free(f);
	problems_free(f);
	f->objects = in->objects;
	f->objects_count = in->objects_count;
	f->problems = in->problems;
	f->problems_count = in->problems_count;
	f->problems_arena = in->arena;
	s->revision++;
}

void store_file_text(struct store *s, struct store_file *f, struct str text)
{
	static const struct hash_key key = {{0x736c756963652d66ull, 0x696c652d68617368ull}};
	uint64_t hash = siphash(&key, text.p, text.len) | 1;
	struct intake in = {.file = f};
	const struct decode_handler handler = {on_object, on_broken, on_problem, &in};
	struct yaml_file yaml;
	struct err err;

	if (hash == f->text_hash)
		return;
	f->text_hash = hash;
	if (text.len == 0 && f->objects_count != 0) {
		err_set(&err, EINVAL, "%s: is empty; remove the file to remove its objects",
			f->path);
		store_file_problem(s, f, err.msg);
		return;
	}
	if (yaml_parse(text, f->path, &yaml, &err) < 0) {
		store_file_problem(s, f, err.msg);
		return;
	}
	arena_init(&in.arena, 0);
	former_sort(&in);
	for (const struct yaml_node *doc = yaml.docs; doc != NULL; doc = doc->next)
		object_decode(&yaml, doc, str_of(f->cluster), &handler);
	yaml_file_fini(&yaml);
	carry_over(&in);
	free(in.former);
	intake_commit(s, &in);
}

static int cmp_file(const struct store_file *f, struct str cluster, const char *path)
{
	int c = str_cmp(str_of(f->cluster), cluster);

	return c != 0 ? c : strcmp(f->path, path);
}

/* Index of the file, or of the first one behind its place. */
static uint32_t file_place(const struct store *s, struct str cluster, const char *path)
{
	uint32_t lo = 0, hi = s->files_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (cmp_file(s->files[mid], cluster, path) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct store_file *store_file_find(struct store *s, struct str cluster, const char *path)
{
	uint32_t i = file_place(s, cluster, path);

	if (i < s->files_count && cmp_file(s->files[i], cluster, path) == 0)
		return s->files[i];
	return NULL;
}

struct store_file *store_file_add(struct store *s, struct str cluster, const char *path)
{
	uint32_t i = file_place(s, cluster, path);
	struct store_file *f = calloc(1, sizeof(*f));

	bug_on(f == NULL);
	f->cluster = strndup(cluster.p, cluster.len);
	f->path = strdup(path);
	bug_on(f->cluster == NULL || f->path == NULL);
	s->files = grow(s->files, s->files_count, &s->files_room, sizeof(f));
	memmove(s->files + i + 1, s->files + i, (s->files_count - i) * sizeof(f));
	s->files[i] = f;
	s->files_count++;
	return f;
}

void store_put_text(struct store *s, struct str cluster, const char *path, struct str text)
{
	struct store_file *f = store_file_find(s, cluster, path);

	store_file_text(s, f != NULL ? f : store_file_add(s, cluster, path), text);
}

void store_remove_file(struct store *s, struct str cluster, const char *path)
{
	uint32_t i = file_place(s, cluster, path);

	if (i == s->files_count || cmp_file(s->files[i], cluster, path) != 0)
		return;
	file_free(s->files[i]);
	s->files_count--;
	memmove(s->files + i, s->files + i + 1, (s->files_count - i) * sizeof(*s->files));
	s->revision++;
}

void store_remove_cluster(struct store *s, struct str cluster)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->files_count; i++) {
		struct store_file *f = s->files[i];

		if (!str_eq(str_of(f->cluster), cluster))
			s->files[kept++] = f;
		else
			file_free(f);
	}
	s->revision += kept != s->files_count;
	s->files_count = kept;
	store_api_remove(s, cluster);
}

struct store *store_new(void)
{
	struct store *s = calloc(1, sizeof(*s));

	bug_on(s == NULL);
	s->cluster_bytes_max = STORE_CLUSTER_BYTES_MAX;
	return s;
}

void store_free(struct store *s)
{
	if (s == NULL)
		return;
	for (uint32_t i = 0; i < s->files_count; i++)
		file_free(s->files[i]);
	free(s->files);
	for (uint32_t i = 0; i < s->clusters_count; i++)
		store_cluster_free(s->clusters[i]);
	free(s->clusters);
	view_put(s->view);
	free(s);
}

uint64_t store_revision(const struct store *s)
{
	return s->revision;
}

struct view *store_view(struct store *s)
{
	struct view *v;

	if (s->view == NULL || s->view->revision != s->revision) {
		v = view_build(s, s->view);
		view_put(s->view);
		s->view = v;
	}
	return view_get(s->view);
}

const struct object *store_latest(struct store *s, enum kind kind, struct str cluster,
	struct str ns, struct str name)
{
	const struct object *o = store_api_latest(s, kind, cluster, ns, name);
	struct view *v;

	if (o != NULL)
		return o;
	v = store_view(s); /* the store holds it, too */
	o = view_find(v, kind, cluster, ns, name);
	view_put(v);
	return o;
}
