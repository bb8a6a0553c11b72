// SPDX-License-Identifier: Apache-2.0
/*
 * decode.c: the parts that all kinds share: apiVersion and kind, metadata, Lists, the digest.
 */
#include "control/model/decode.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/model/check.h"
#include "control/model/schema.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/hash.h"

struct metadata {
	struct str name, ns, created;
	struct kv_list labels, annotations;
};

static const struct yaml_field metadata_fields[] = {
	YAML_STR(struct metadata, "name", name, .required = true, .min = 1, .max = 253,
		.check = check_dns_name),
	YAML_STR(struct metadata, "namespace", ns, .max = 63, .check = check_dns_label),
	YAML_STR(struct metadata, "creationTimestamp", created),
	YAML_MAP(struct metadata, "labels", labels, .check = check_label_value),
	YAML_MAP(struct metadata, "annotations", annotations),
	YAML_IGNORED("generation"), /* the store counts its own, as an API server does */
	YAML_IGNORED("uid"),
	YAML_IGNORED("resourceVersion"),
	YAML_IGNORED("selfLink"),
	YAML_IGNORED("generateName"),
	YAML_IGNORED("ownerReferences"),
	YAML_IGNORED("finalizers"),
	YAML_IGNORED("managedFields"),
	YAML_IGNORED("deletionTimestamp"),
	YAML_IGNORED("deletionGracePeriodSeconds"),
};
static const struct yaml_schema metadata_schema = YAML_SCHEMA(struct metadata, metadata_fields);

/* One document on its way to an object. */
struct decoding {
	const struct yaml_file *file;
	const struct decode_handler *handler;
	struct str cluster;
	enum kind kind;
	struct str ns, name; /* empty while unknown */
	struct str kind_text;
};

/* Bytes from the manifest may be anything: only printable ones reach logs and terminals. */
static void say(const struct decoding *d, bool fatal, uint32_t line, const char *path,
	const char *what)
{
	char text[1024];

	snprintf(text, sizeof(text), "%s:%u: %.*s%s%.*s%s%.*s: %s%s%s", d->file->name, line,
		STR_FMT(str_first(d->kind_text, 64)), d->name.len ? " " : "", STR_FMT(d->ns),
		d->ns.len ? "/" : "", STR_FMT(d->name), path, path[0] ? ": " : "", what);
	for (char *p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	d->handler->on_problem(d->handler->ctx, fatal, text);
}

static void on_report(struct yaml_decoder *dec, bool fatal, uint32_t line, const char *path,
	const char *what)
{
	say(dec->ctx, fatal, line, path, what);
}

/* Order of keys does not matter, nulls count as absent: equal specs have equal digests. */
static uint64_t digest(const struct yaml_node *n)
{
	static const struct hash_key key = {{0x736c756963652d73ull, 0x7065632d68617368ull}};
	uint64_t h = n->kind;

	if (n->kind == YAML_KIND_SCALAR)
		return siphash(&key, n->text.p, n->text.len) ^ n->quoted;
	yaml_for_each(c, n)
	{
		if (n->kind == YAML_KIND_SEQ)
			h = hash_mix(h, digest(c));
		else if (c->kind != YAML_KIND_NULL)
			h += hash_mix(siphash(&key, c->key.p, c->key.len), digest(c));
	}
	return h;
}

/* Of the spec; of kinds without one: of everything but the metadata. */
static uint64_t object_digest(const struct yaml_node *doc)
{
	const struct yaml_node *spec = yaml_get(doc, "spec");
	uint64_t h = 0;

	if (spec != NULL)
		return digest(spec);
	yaml_for_each(c, doc) if (!str_eq(c->key, STR("metadata")) &&
		!str_eq(c->key, STR("status"))) h += hash_mix(c->key.len, digest(c));
	return h;
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
static bool time_parse(struct str s, int64_t *ret)
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

static bool metadata_take(struct decoding *d, struct yaml_decoder *dec, const struct yaml_node *doc,
	struct object *o)
{
	const struct yaml_node none = {.kind = YAML_KIND_MAP, .line = doc->line};
	const struct yaml_node *n = yaml_get(doc, "metadata") ?: &none;
	bool namespaced = kind_info[o->kind].namespaced;
	struct metadata m;
	int rc;

	dec->path_len = (size_t)snprintf(dec->path, sizeof(dec->path), "metadata");
	rc = yaml_decode(dec, n, &metadata_schema, &m);
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
	if (m.created.len && !time_parse(m.created, &o->created)) {
		yaml_report(dec, n, "creationTimestamp",
			"must be a time like 2026-11-21T09:00:00Z");
		rc = -1;
	}
	dec->path[0] = '\0';
	dec->path_len = 0;
	return rc == 0;
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

static void decode_known(struct decoding *d, const struct yaml_node *doc)
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
	o->file = arena_str(&o->arena, str_of(d->file->name)).p;
	o->line = doc->line;
	good = metadata_take(d, &dec, doc, o);
	good = spec_take(&dec, doc, o) && good;
	if (good) {
		d->handler->on_object(d->handler->ctx, o);
		return;
	}
	d->handler->on_broken(d->handler->ctx, d->kind, o->ns, o->name);
	object_put(o);
}

static void decode_list(const struct decoding *d, const struct yaml_node *doc)
{
	const struct yaml_node *items = yaml_get(doc, "items");

	yaml_for_each(item, items) object_decode(d->file, item, d->cluster, d->handler);
}

/* The name that an unused object has, for the note about it; whatever is there. */
static void name_guess(struct decoding *d, const struct yaml_node *doc)
{
	const struct yaml_node *m = yaml_get(doc, "metadata");
	const struct yaml_node *ns = yaml_get(m, "namespace"), *name = yaml_get(m, "name");

	d->ns = ns != NULL ? str_first(ns->text, 63) : STR("");
	d->name = name != NULL ? str_first(name->text, 253) : STR("");
}

void object_decode(const struct yaml_file *f, const struct yaml_node *doc, struct str cluster,
	const struct decode_handler *h)
{
	const struct yaml_node *version = yaml_get(doc, "apiVersion"),
			       *kind = yaml_get(doc, "kind");
	struct decoding d = {.file = f,
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
	if (d.kind != KIND_COUNT) {
		decode_known(&d, doc);
	} else if (str_ends(kind->text, STR("List")) && yaml_get(doc, "items") != NULL) {
		decode_list(&d, doc);
	} else {
		name_guess(&d, doc);
		say(&d, false, kind->line, "", "kinds of this name and version are not used here");
	}
}
