// SPDX-License-Identifier: Apache-2.0
/*
 * decode.c: the parts that all kinds share: apiVersion and kind, metadata, Lists, the digests.
 */
#include "control/model/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/model/check.h"
#include "control/model/gateway.h"
#include "control/model/json_tree.h"
#include "control/model/remember.h"
#include "control/model/schema.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/hash.h"

struct metadata {
	struct str name, ns, created, uid, resource_version, deleted;
	struct kv_list labels, annotations;
	const struct str *finalizers;
	uint32_t finalizers_count;
};

static const struct yaml_field finalizer_field = {.type = YAML_TYPE_STR};
static const struct yaml_schema finalizers_schema = YAML_SCALARS(struct str, &finalizer_field);

static const struct yaml_field metadata_fields[] = {
	YAML_STR(struct metadata, "name", name, .required = true, .min = 1, .max = 253,
		.check = check_dns_name),
	YAML_STR(struct metadata, "namespace", ns, .max = 63, .check = check_dns_label),
	YAML_STR(struct metadata, "creationTimestamp", created),
	YAML_MAP(struct metadata, "labels", labels, .check = check_label_value),
	YAML_MAP(struct metadata, "annotations", annotations),
	/* Of an API server; of a file they are somebody's copy and mean nothing (server_take). */
	YAML_STR(struct metadata, "uid", uid, .max = 253),
	YAML_STR(struct metadata, "resourceVersion", resource_version, .max = 253),
	YAML_STR(struct metadata, "deletionTimestamp", deleted),
	YAML_IGNORED("generation"), /* the same, but 64 bits wide */
	YAML_IGNORED("selfLink"),
	YAML_IGNORED("generateName"),
	YAML_IGNORED("ownerReferences"),
	YAML_LIST(struct metadata, "finalizers", finalizers, &finalizers_schema),
	YAML_IGNORED("managedFields"),
	YAML_IGNORED("deletionGracePeriodSeconds"),
};
static const struct yaml_schema metadata_schema = YAML_SCHEMA(struct metadata, metadata_fields);

/* One document on its way to an object. */
struct decoding {
	const char *file; /* NULL: an API server's */
	const struct decode_handler *handler;
	struct str cluster;
	enum kind kind;
	struct str ns, name; /* empty while unknown */
	struct str kind_text;
	char fault[512]; /* the first that is fatal: "field: what"; "": none */
};

/* Bytes from the manifest may be anything: only printable ones reach logs and terminals. */
static void make_printable(char *text)
{
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
}

static void say(struct decoding *d, bool fatal, uint32_t line, const char *path, const char *what)
{
	char text[1024];

	char place[OBJECT_PLACE_MAX];

	if (d->file != NULL)
		snprintf(place, sizeof(place), "%s:%u", d->file, line);
	else
		snprintf(place, sizeof(place), "cluster %.*s", STR_FMT(d->cluster));
	snprintf(text, sizeof(text), "%s: %.*s%s%.*s%s%.*s: %s%s%s", place,
		STR_FMT(str_first(d->kind_text, 64)), d->name.len ? " " : "", STR_FMT(d->ns),
		d->ns.len ? "/" : "", STR_FMT(d->name), path, path[0] ? ": " : "", what);
	make_printable(text);
	if (fatal && d->fault[0] == '\0')
		snprintf(d->fault, sizeof(d->fault), "%s%s%s", path, path[0] ? ": " : "", what);
	make_printable(d->fault);
	d->handler->on_problem(d->handler->ctx, fatal, text);
}

static void on_report(struct yaml_decoder *dec, bool fatal, uint32_t line, const char *path,
	const char *what)
{
	say(dec->ctx, fatal, line, path, what);
}

static uint64_t digest(const struct yaml_node *n);

static const struct hash_key digest_key = {{0x736c756963652d73ull, 0x7065632d68617368ull}};

/* A key and its value; nulls count as absent. Sums of these do not know the order of keys. */
static uint64_t pair_digest(const struct yaml_node *c)
{
	if (c->kind == YAML_KIND_NULL)
		return 0;
	return hash_mix(siphash(&digest_key, c->key.p, c->key.len), digest(c));
}

/* Equal specs have equal digests. A string is one with and without quotes; JSON has them always. */
static uint64_t digest(const struct yaml_node *n)
{
	uint64_t h = n->kind;

	if (n->kind == YAML_KIND_SCALAR)
		return siphash(&digest_key, n->text.p, n->text.len) ^ yaml_is_string(n);
	yaml_for_each(c, n)
	{
		if (n->kind == YAML_KIND_SEQ)
			h = hash_mix(h, digest(c));
		else
			h += pair_digest(c);
	}
	return h;
}

/* Of the map's members but these two, which may be NULL. */
static uint64_t digest_without(const struct yaml_node *n, const char *a, const char *b)
{
	const struct yaml_node *x = yaml_get(n, a), *y = yaml_get(n, b);
	uint64_t h = 0;

	yaml_for_each(c, n) if (c != x && c != y) h += pair_digest(c);
	return h;
}

/* Of the spec; of kinds without one: of everything but the metadata. */
static uint64_t object_digest(const struct yaml_node *doc)
{
	const struct yaml_node *spec = yaml_get(doc, "spec");

	return spec != NULL ? digest(spec) : digest_without(doc, "metadata", "status");
}

/* Of all but what writes of status change. */
static uint64_t content_digest(const struct yaml_node *doc)
{
	return hash_mix(digest_without(doc, "metadata", "status"),
		digest_without(yaml_get(doc, "metadata"), "resourceVersion", "managedFields"));
}

static bool two_digits(struct str s, size_t at, int *ret)
{
	uint64_t v;

	if (s.len < at + 2 || !str_to_u64(str_first(str_from(s, at), 2), &v))
		return false;
	*ret = (int)v;
	return true;
}

/* RFC 3339 as API servers write it: 2026-11-21T09:00:00Z. */
bool decode_time(struct str s, int64_t *ret)
{
	struct tm tm = {.tm_isdst = 0}, was;
	uint64_t year;

	if (s.len != 20 || s.p[4] != '-' || s.p[7] != '-' || s.p[10] != 'T' || s.p[13] != ':' ||
		s.p[16] != ':' || s.p[19] != 'Z')
		return false;
	if (!str_to_u64(str_first(s, 4), &year) || !two_digits(s, 5, &tm.tm_mon) ||
		!two_digits(s, 8, &tm.tm_mday) || !two_digits(s, 11, &tm.tm_hour) ||
		!two_digits(s, 14, &tm.tm_min) || !two_digits(s, 17, &tm.tm_sec))
		return false;
	tm.tm_year = (int)year - 1900;
	tm.tm_mon--;
	was = tm;
	*ret = timegm(&tm); /* moves what no calendar has to the next day or month */
	return tm.tm_mon == was.tm_mon && tm.tm_mday == was.tm_mday && tm.tm_hour == was.tm_hour &&
		tm.tm_min == was.tm_min;
}

/* As an API server does: each namespace carries its own name as a label, to be selected by. */
static void namespace_label(struct object *o)
{
	struct str key = STR("kubernetes.io/metadata.name");
	struct kv *items;
	uint32_t i = 0, n = o->labels.count;

	if (o->kind != KIND_NAMESPACE || kv_find(&o->labels, key).p != NULL)
		return;
	items = arena_array(&o->arena, struct kv, n + 1);
	for (; i < n && str_cmp(o->labels.items[i].key, key) < 0; i++)
		items[i] = o->labels.items[i];
	items[i] = (struct kv){key, o->name};
	for (; i < n; i++)
		items[i + 1] = o->labels.items[i];
	o->labels = (struct kv_list){items, n + 1};
}

static bool time_take(struct yaml_decoder *dec, const struct yaml_node *n, const char *key,
	struct str text, int64_t *ret)
{
	if (text.len == 0 || decode_time(text, ret))
		return true;
	yaml_report(dec, n, key, "must be a time like 2026-11-21T09:00:00Z");
	return false;
}

/* What only an API server knows. */
static bool server_take(struct yaml_decoder *dec, const struct yaml_node *n,
	const struct metadata *m, struct object *o)
{
	const struct yaml_node *generation = yaml_get(n, "generation");
	struct err err;

	o->uid = m->uid;
	o->resource_version = m->resource_version;
	o->finalizers = m->finalizers;
	o->finalizers_count = m->finalizers_count;
	if (m->uid.len == 0)
		yaml_report(dec, n, "uid", "is required of an API server");
	if (generation != NULL && yaml_to_int(generation, 0, INT64_MAX, &o->generation, &err) < 0)
		yaml_report(dec, generation, "generation", "%s", err.msg);
	return time_take(dec, n, "deletionTimestamp", m->deleted, &o->deleted) && dec->errors == 0;
}

static bool metadata_take(struct decoding *d, struct yaml_decoder *dec, const struct yaml_node *doc,
	struct object *o)
{
	const struct yaml_node none = {.kind = YAML_KIND_MAP, .line = doc->line};
	const struct yaml_node *n = yaml_get(doc, "metadata") ?: &none;
	bool namespaced = kind_info[o->kind].namespaced;
	struct metadata m;
	bool good;

	dec->path_len = (size_t)snprintf(dec->path, sizeof(dec->path), "metadata");
	good = yaml_decode(dec, n, &metadata_schema, &m) == 0;
	if (namespaced)
		o->ns = m.ns.len ? m.ns : STR("default");
	/* With a namespace that cannot be read it is unknown which object this is. */
	if (!namespaced || m.ns.len || yaml_get(n, "namespace") == NULL)
		o->name = m.name;
	d->name = o->name;
	d->ns = o->ns;
	o->labels = m.labels;
	o->annotations = m.annotations;
	namespace_label(o);
	good = time_take(dec, n, "creationTimestamp", m.created, &o->created) && good;
	if (d->file == NULL)
		good = server_take(dec, n, &m, o) && good;
	dec->path[0] = '\0';
	dec->path_len = 0;
	return good;
}

static bool spec_take(struct yaml_decoder *dec, const struct yaml_node *doc, struct object *o)
{
	const struct yaml_schema *schema = kind_info[o->kind].schema;
	void *spec;

	if (schema == NULL)
		return true;
	spec = arena_alloc(&o->arena, schema->size);
	o->spec = spec;
	o->spec_digest = object_digest(doc);
	return yaml_decode(dec, doc, schema, spec) == 0;
}

/* Known by its name, not valid, and yet of consequence: what it forbids stays forbidden. */
static bool is_salvaged(const struct decoding *d, const struct yaml_node *doc, struct object *o)
{
	return o->kind == KIND_BACKEND_TLS_POLICY && o->name.len != 0 &&
		backend_tls_policy_salvage(&o->arena, doc, d->fault, (void *)o->spec);
}

/* <status>, <text>: JSON, borrowed; of an API server's objects only. */
static void decode_known(struct decoding *d, const struct yaml_node *doc, struct str status,
	struct str text)
{
	struct object *o = calloc(1, sizeof(*o));
	struct yaml_decoder dec = {.report = on_report, .ctx = d};
	bool good;

	bug_on(o == NULL);
	arena_init(&o->arena, 0);
	dec.arena = &o->arena;
	atomic_store(&o->refs, 1);
	o->kind = d->kind;
	o->cluster = arena_str(&o->arena, d->cluster);
	if (d->file != NULL)
		o->file = arena_str(&o->arena, str_of(d->file)).p;
	o->line = doc->line;
	good = metadata_take(d, &dec, doc, o);
	good = spec_take(&dec, doc, o) && good;
	if (d->file == NULL) {
		o->status = arena_str(&o->arena, status);
		o->text = arena_str(&o->arena, text);
		o->content_digest = content_digest(doc);
	}
	if ((good && d->fault[0] == '\0') || is_salvaged(d, doc, o)) {
		d->handler->on_object(d->handler->ctx, o);
		return;
	}
	d->handler->on_broken(d->handler->ctx, d->kind, o->ns, o->name);
	object_put(o);
}

static void decode_list(const struct yaml_file *f, const struct decoding *d,
	const struct yaml_node *doc)
{
	const struct yaml_node *items = yaml_get(doc, "items");

	yaml_for_each(item, items) object_decode(f, item, d->cluster, d->handler);
}

/* The name that an unused object has, for the note about it; whatever is there. */
static void name_guess(struct decoding *d, const struct yaml_node *doc)
{
	const struct yaml_node *m = yaml_get(doc, "metadata");
	const struct yaml_node *ns = yaml_get(m, "namespace"), *name = yaml_get(m, "name");

	d->ns = ns != NULL ? str_first(ns->text, 63) : STR("");
	d->name = name != NULL ? str_first(name->text, 253) : STR("");
}

/* It means to forbid plaintext, in whatever version. */
static bool is_guard_of_other_version(struct str version, struct str kind)
{
	struct str group = version;

	group = str_cut(&group, '/');
	return str_eq(kind, kind_info[KIND_BACKEND_TLS_POLICY].name) &&
		str_eq(group, GATEWAY_GROUP) && kind_of(version, kind) == KIND_COUNT;
}

void object_decode(const struct yaml_file *f, const struct yaml_node *doc, struct str cluster,
	const struct decode_handler *h)
{
	const struct yaml_node *version = yaml_get(doc, "apiVersion"),
			       *kind = yaml_get(doc, "kind");
	struct decoding d = {.file = f->name,
		.handler = h,
		.cluster = cluster,
		.kind = KIND_COUNT,
		.kind_text = STR("document")};

	if (version == NULL || kind == NULL || !yaml_is_string(version) || !yaml_is_string(kind)) {
		say(&d, true, doc->line, "",
			"is no Kubernetes object: apiVersion and kind must be "
			"there and be strings");
		h->on_broken(h->ctx, KIND_COUNT, STR(""), STR(""));
		return;
	}
	d.kind_text = kind->text;
	d.kind = kind_of(version->text, kind->text);
	if (is_guard_of_other_version(version->text, kind->text)) {
		d.kind = KIND_BACKEND_TLS_POLICY;
		name_guess(&d, doc);
		say(&d, true, version->line, "apiVersion", "this version is not known");
	}
	if (d.kind != KIND_COUNT) {
		decode_known(&d, doc, STR(""), STR(""));
	} else if (str_ends(kind->text, STR("List")) && yaml_get(doc, "items") != NULL) {
		decode_list(f, &d, doc);
	} else {
		name_guess(&d, doc);
		say(&d, false, kind->line, "", "kinds of this name and version are not used here");
	}
}

void object_decode_json(const json_t *doc, struct str cluster, enum kind kind,
	const struct decode_handler *h)
{
	struct decoding d = {.handler = h,
		.cluster = cluster,
		.kind = kind,
		.kind_text = kind_info[kind].name};
	const json_t *status = json_object_get(doc, "status");
	autofree char *status_text = NULL, *text = NULL;
	struct yaml_node *root;
	struct arena arena;

	arena_init(&arena, 0);
	root = json_tree(&arena, doc);
	if (root == NULL) {
		say(&d, true, 0, "", "is nested too deep");
		h->on_broken(h->ctx, kind, STR(""), STR(""));
	} else {
		name_guess(&d, root);
		if (kind_info[kind].keeps_status && json_is_object(status))
			status_text = json_dumps(status, JSON_COMPACT);
		text = object_remember(doc, kind);
		decode_known(&d, root, str_of(status_text), str_of(text));
	}
	arena_fini(&arena);
}
