// SPDX-License-Identifier: Apache-2.0
/*
 * registry.c: three layers of definitions, and the list that follows from them.
 */
#include "control/clusters/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/clusters/registry_private.h"
#include "dataplane/base/bug.h"

#define CONTEXT_MAX 253 /* as the journal takes it */

struct orders {
	struct arena arena;
	struct cluster_order *items;
	uint32_t count;
};

struct registry {
	char *journal; /* owned; NULL: none */
	struct layer file, rest, remote;
	struct orders orders;
	struct cluster_entry entries[CLUSTERS_MAX]; /* what holds; points into the layers */
	uint32_t count;
	struct clusters *clusters; /* held */
};

/* --- layers --- */

void layer_init(struct layer *l)
{
	*l = (struct layer){.count = 0};
	arena_init(&l->arena, 0);
	l->defs = arena_array(&l->arena, struct cluster_def, CLUSTERS_MAX);
}

void layer_fini(struct layer *l)
{
	arena_fini(&l->arena);
}

static const char *copy_cstr(struct arena *a, const char *s)
{
	return s != NULL ? arena_str(a, str_of(s)).p : NULL;
}

bool layer_add(struct layer *l, const struct cluster_def *def)
{
	struct cluster_def *d = &l->defs[l->count];

	if (l->count == CLUSTERS_MAX)
		return false;
	*d = *def;
	d->name = arena_str(&l->arena, def->name);
	d->directory = copy_cstr(&l->arena, def->directory);
	d->kubeconfig = copy_cstr(&l->arena, def->kubeconfig);
	d->context = copy_cstr(&l->arena, def->context);
	d->text = def->text.len ? arena_str(&l->arena, def->text) : STR("");
	d->owner = arena_str(&l->arena, def->owner);
	d->site = arena_str(&l->arena, def->site);
	l->count++;
	return true;
}

const struct cluster_def *layer_find(const struct layer *l, struct str name)
{
	for (uint32_t i = 0; i < l->count; i++)
		if (str_eq(l->defs[i].name, name))
			return &l->defs[i];
	return NULL;
}

static bool has_source(const struct cluster_def *d)
{
	return d->directory != NULL || d->kubeconfig != NULL || d->in_cluster || d->text.len != 0 ||
		d->awaited;
}

/* --- what holds --- */

static const struct cluster_order *order_find(const struct registry *r, struct str cluster)
{
	for (uint32_t i = 0; i < r->orders.count; i++)
		if (str_eq(r->orders.items[i].cluster, cluster))
			return &r->orders.items[i];
	return NULL;
}

static void entry_make(const struct registry *r, const struct cluster_def *source,
	enum cluster_origin origin, struct cluster_entry *e)
{
	const struct cluster_def *said = layer_find(&r->rest, source->name);

	*e = (struct cluster_entry){.def = *source, .origin = origin};
	if (e->def.roles == 0)
		e->def.roles =
			origin == CLUSTER_BY_REMOTE ? CLUSTER_ROLE_WORKLOAD : CLUSTER_ROLES_ALL;
	if (!source->has_weight)
		e->def.weight =
			said != NULL && said->has_weight ? said->weight : CLUSTER_WEIGHT_DEFAULT;
	if (!source->has_admin)
		e->def.admin = said != NULL && said->has_admin ? said->admin : CLUSTER_ACTIVE;
	e->def.has_weight = e->def.has_weight && origin == CLUSTER_BY_FILE;
	e->def.has_admin = e->def.has_admin && origin == CLUSTER_BY_FILE;
	e->order = order_find(r, source->name);
	if (e->order == NULL)
		return;
	if (e->order->has_weight)
		e->def.weight = e->order->weight;
	if (e->order->drain && e->def.admin == CLUSTER_ACTIVE)
		e->def.admin = CLUSTER_DRAIN;
}

static void entries_add(struct registry *r, const struct layer *l, enum cluster_origin origin)
{
	for (uint32_t i = 0; i < l->count; i++) {
		const struct cluster_def *d = &l->defs[i];

		if (has_source(d) && registry_find(r, d->name) == NULL && r->count < CLUSTERS_MAX)
			entry_make(r, d, origin, &r->entries[r->count++]);
	}
}

static int cmp_entry(const void *a, const void *b)
{
	const struct cluster_entry *x = a, *y = b;

	return str_cmp(x->def.name, y->def.name);
}

bool cluster_def_same_source(const struct cluster_def *a, const struct cluster_def *b)
{
	return str_eq(str_of(a->directory), str_of(b->directory)) &&
		str_eq(str_of(a->kubeconfig), str_of(b->kubeconfig)) &&
		str_eq(str_of(a->context), str_of(b->context)) && a->in_cluster == b->in_cluster &&
		a->awaited == b->awaited && str_eq(a->text, b->text);
}

static bool same_entries(const struct cluster_entry *a, const struct cluster_entry *b,
	uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		if (a[i].origin != b[i].origin || !cluster_def_same_source(&a[i].def, &b[i].def))
			return false;
	return true;
}

/* Makes the list from the layers; the old one's strings must still be there. */
static bool refresh(struct registry *r)
{
	struct cluster_entry old[CLUSTERS_MAX];
	struct cluster items[CLUSTERS_MAX];
	struct clusters *fresh;
	uint32_t old_count = r->count;
	bool same;

	memcpy(old, r->entries, sizeof(old));
	r->count = 0;
	entries_add(r, &r->file, CLUSTER_BY_FILE);
	entries_add(r, &r->rest, CLUSTER_BY_REST);
	entries_add(r, &r->remote, CLUSTER_BY_REMOTE);
	qsort(r->entries, r->count, sizeof(r->entries[0]), cmp_entry);
	for (uint32_t i = 0; i < r->count; i++) {
		const struct cluster_def *d = &r->entries[i].def;

		items[i] = (struct cluster){.name = d->name,
			.roles = d->roles,
			.admin = d->admin,
			.weight = d->weight,
			.withheld = d->admin == CLUSTER_DRAIN ? CLUSTER_WHOLE : 0,
			.site = d->site};
	}
	fresh = clusters_new(items, r->count);
	same = clusters_equal(fresh, r->clusters) && old_count == r->count &&
		same_entries(old, r->entries, r->count);
	if (same) {
		clusters_put(fresh);
		return false;
	}
	clusters_put(r->clusters);
	r->clusters = fresh;
	return true;
}

/* <fresh> takes the place of *<l>. */
static bool layer_swap(struct registry *r, struct layer *l, struct layer *fresh)
{
	struct layer old = *l;
	bool changed;

	*l = *fresh;
	changed = refresh(r);
	layer_fini(&old);
	return changed;
}

/* --- the file, and remote clusters --- */

static struct str site_of(const struct control_config *config, const struct config_cluster *k)
{
	return config->site != NULL && !str_eq(k->site, config->site->name) ? k->site : STR("");
}

bool registry_set_file(struct registry *r, const struct control_config *config)
{
	struct layer fresh;

	layer_init(&fresh);
	for (uint32_t i = 0; i < config->clusters_count; i++) {
		const struct config_cluster *k = &config->clusters[i];

		layer_add(&fresh,
			&(struct cluster_def){.name = k->name,
				.directory = k->directory,
				.kubeconfig = k->kubeconfig,
				.context = k->context,
				.in_cluster = k->in_cluster,
				.roles = k->roles,
				.has_weight = k->has_weight,
				.has_admin = k->has_admin,
				.weight = k->weight,
				.admin = (enum cluster_admin)k->admin,
				.site = site_of(config, k)});
	}
	return layer_swap(r, &r->file, &fresh);
}

bool registry_set_remote(struct registry *r, struct str owner, const struct cluster_def *defs,
	uint32_t count)
{
	struct layer fresh;

	layer_init(&fresh);
	for (uint32_t i = 0; i < r->remote.count; i++)
		if (!str_eq(r->remote.defs[i].owner, owner))
			layer_add(&fresh, &r->remote.defs[i]);
	for (uint32_t i = 0; i < count; i++) {
		struct cluster_def d = defs[i];

		d.owner = owner;
		if (layer_find(&fresh, d.name) == NULL)
			layer_add(&fresh, &d);
	}
	return layer_swap(r, &r->remote, &fresh);
}

/* --- operators' orders --- */

static void orders_init(struct orders *o, uint32_t room)
{
	*o = (struct orders){.count = 0};
	arena_init(&o->arena, 0);
	o->items = arena_array(&o->arena, struct cluster_order, room);
}

bool registry_set_orders(struct registry *r, const struct cluster_order *orders, uint32_t count)
{
	struct orders old = r->orders;
	bool changed;

	orders_init(&r->orders, count);
	for (uint32_t i = 0; i < count; i++) {
		struct cluster_order *o = &r->orders.items[r->orders.count++];

		*o = orders[i];
		o->cluster = arena_str(&r->orders.arena, orders[i].cluster);
		o->site = arena_str(&r->orders.arena, orders[i].site);
		o->actor = arena_str(&r->orders.arena, orders[i].actor);
		o->reason = arena_str(&r->orders.arena, orders[i].reason);
	}
	changed = refresh(r);
	arena_fini(&old.arena);
	return changed;
}

/* --- REST --- */

static bool is_label(struct str s)
{
	bool ok = s.len != 0 && s.len <= 63 && s.p[0] != '-' && s.p[s.len - 1] != '-';

	for (size_t i = 0; i < s.len; i++)
		ok = ok &&
			((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
				s.p[i] == '-');
	return ok;
}

static int check_form(const struct cluster_def *d, struct err *err)
{
	int sources = (d->directory != NULL) + (d->kubeconfig != NULL) + d->in_cluster;

	if (!is_label(d->name))
		return err_set(err, EINVAL,
			"the name must be lower case letters, digits and '-', at most 63");
	if (sources > 1)
		return err_set(err, EINVAL,
			"directory, kubeconfig and inCluster exclude each other");
	if (d->context != NULL && d->kubeconfig == NULL)
		return err_set(err, EINVAL, "context belongs to a kubeconfig");
	if (d->context != NULL && strlen(d->context) > CONTEXT_MAX)
		return err_set(err, EINVAL, "context is longer than %d", CONTEXT_MAX);
	if ((d->directory != NULL && d->directory[0] != '/') ||
		(d->kubeconfig != NULL && d->kubeconfig[0] != '/'))
		return err_set(err, EINVAL, "paths must be absolute");
	if (d->has_weight && d->weight > CLUSTER_WEIGHT_MAX)
		return err_set(err, EINVAL, "weight must be between 0 and %u", CLUSTER_WEIGHT_MAX);
	return 0;
}

static int check_put(const struct registry *r, const struct cluster_def *d, struct err *err)
{
	const struct cluster_def *file = layer_find(&r->file, d->name);
	int rc = check_form(d, err);

	if (rc < 0)
		return rc;
	if (file == NULL && has_source(d))
		return 0;
	if (file == NULL && layer_find(&r->remote, d->name) == NULL)
		return err_set(err, ENOENT, "there is no such cluster");
	if (file == NULL)
		return d->roles == 0 || d->roles == CLUSTER_ROLE_WORKLOAD
			? 0
			: err_set(err, EEXIST,
				  "a cluster of a RemoteClusterConfiguration is a workload "
				  "cluster");
	if (has_source(d) && !cluster_def_same_source(d, file))
		return err_set(err, EEXIST, "control.yaml says where its objects come from");
	if (d->roles != 0 && d->roles != file->roles)
		return err_set(err, EEXIST, "control.yaml says its roles");
	if (d->has_weight && file->has_weight && d->weight != file->weight)
		return err_set(err, EEXIST, "control.yaml says its weight");
	if (d->has_admin && file->has_admin && d->admin != file->admin)
		return err_set(err, EEXIST, "control.yaml says its adminState");
	return 0;
}

/* <def> NULL: without it. */
static int rest_change(struct registry *r, struct str name, const struct cluster_def *def,
	struct err *err)
{
	struct layer fresh;
	bool room = true;
	int rc = 0;

	layer_init(&fresh);
	for (uint32_t i = 0; i < r->rest.count; i++)
		if (!str_eq(r->rest.defs[i].name, name))
			layer_add(&fresh, &r->rest.defs[i]);
	if (def != NULL)
		room = layer_add(&fresh, def) &&
			(r->count < CLUSTERS_MAX || registry_find(r, name) != NULL);
	if (!room)
		rc = err_set(err, ENOSPC, "there are %u clusters already", CLUSTERS_MAX);
	else if (r->journal != NULL)
		rc = journal_save(r->journal, &fresh, err);
	if (rc < 0)
		layer_fini(&fresh);
	else
		layer_swap(r, &r->rest, &fresh);
	return rc;
}

int registry_put(struct registry *r, const struct cluster_def *def, struct err *err)
{
	struct cluster_def d = *def;
	int rc = check_put(r, def, err);

	if (rc < 0)
		return rc;
	if (layer_find(&r->file, d.name) != NULL) { /* the file says it; so it goes with the file */
		d.directory = d.kubeconfig = d.context = NULL;
		d.in_cluster = false;
		d.roles = 0;
	}
	return rest_change(r, d.name, &d, err);
}

int registry_delete(struct registry *r, struct str name, struct err *err)
{
	const struct cluster_def *said = layer_find(&r->rest, name);
	bool there = registry_find(r, name) != NULL;

	if (said == NULL && !there)
		return err_set(err, ENOENT, "there is no such cluster");
	if (said == NULL || (!has_source(said) && there))
		return err_set(err, EEXIST, "%s",
			layer_find(&r->file, name) != NULL
				? "it is named in control.yaml: remove it there"
				: "a RemoteClusterConfiguration names it: remove that");
	return rest_change(r, name, NULL, err);
}

const struct cluster_def *registry_said(const struct registry *r, struct str name)
{
	return layer_find(&r->rest, name);
}

/* --- reading --- */

const struct cluster_entry *registry_entries(const struct registry *r, uint32_t *ret_count)
{
	*ret_count = r->count;
	return r->entries;
}

const struct cluster_entry *registry_find(const struct registry *r, struct str name)
{
	for (uint32_t i = 0; i < r->count; i++)
		if (str_eq(r->entries[i].def.name, name))
			return &r->entries[i];
	return NULL;
}

struct clusters *registry_clusters(const struct registry *r)
{
	return r->clusters;
}

/* --- life --- */

int registry_new(const char *journal, struct registry **ret, struct err *err)
{
	struct registry *r = calloc(1, sizeof(*r));
	int rc = 0;

	bug_on(r == NULL);
	layer_init(&r->file);
	layer_init(&r->rest);
	layer_init(&r->remote);
	orders_init(&r->orders, 0);
	if (journal != NULL) {
		r->journal = strdup(journal);
		bug_on(r->journal == NULL);
		rc = journal_load(journal, &r->rest, err);
	}
	if (rc < 0) {
		registry_free(r);
		return rc;
	}
	r->clusters = clusters_new(NULL, 0);
	refresh(r);
	*ret = r;
	return 0;
}

void registry_free(struct registry *r)
{
	if (r == NULL)
		return;
	layer_fini(&r->file);
	layer_fini(&r->rest);
	layer_fini(&r->remote);
	arena_fini(&r->orders.arena);
	clusters_put(r->clusters);
	free(r->journal);
	free(r);
}
