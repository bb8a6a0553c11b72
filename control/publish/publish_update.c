// SPDX-License-Identifier: Apache-2.0
/*
 * publish_update.c: from the wanted configuration to what has to be said.
 *
 * The structure is everything but weights, endpoints and their clusters, so its name is the digest of the image
 * that is built without them: whatever build.h learns belongs to it by itself. While it stays, each
 * rule's weights and each service's endpoints are compared by digest, and only what differs gets a
 * new revision. Every changed object has a revision of its own, in the order in which dataplanes
 * are told, so "applied up to revision r" says all.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/publish/publish_state.h"
#include "dataplane/base/arena.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/file.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/log.h"
#include "dataplane/snapshot/snapshot.h"

static struct pub_object **chain_of(const struct publish *p, uint8_t type, uint64_t id)
{
	return &p->heads[hash_mix(id, type) & p->mask];
}

static struct pub_object *object_lookup(const struct publish *p, uint8_t type, uint64_t id)
{
	struct pub_object *o = p->heads == NULL ? NULL : *chain_of(p, type, id);

	while (o != NULL && (o->id != id || o->type != type))
		o = o->next;
	return o;
}

const struct pub_object *pub_objects_above(const struct publish *p, uint64_t revision)
{
	struct list *l = p->objects.prev;

	while (l != &p->objects && list_entry(l, struct pub_object, link)->revision > revision)
		l = l->prev;
	return l->next == &p->objects ? NULL : list_entry(l->next, struct pub_object, link);
}

void pub_object_message(const struct pub_object *o, uint64_t generation, struct message *ret)
{
	*ret = (struct message){.type = o->type, .stamp_us = o->published_us};
	if (o->type == MESSAGE_WEIGHTS) {
		ret->weights.rule_id = o->id;
		ret->weights.generation = generation;
		ret->weights.revision = o->revision;
		ret->weights.count = o->count;
		ret->weights.w = o->items;
	} else {
		ret->endpoints.service_id = o->id;
		ret->endpoints.generation = generation;
		ret->endpoints.revision = o->revision;
		ret->endpoints.count = o->count;
		ret->endpoints.e = o->items;
		ret->endpoints.cluster_count = o->cluster_count;
		ret->endpoints.clusters = o->clusters;
	}
}

static void object_clear(struct pub_object *o)
{
	free(o->items);
	free(o->text);
	free(o->clusters);
	o->items = NULL;
	o->text = NULL;
	o->clusters = NULL;
	o->count = o->cluster_count = 0;
}

void pub_objects_free(struct publish *p)
{
	struct list *l;

	while ((l = list_pop(&p->objects)) != NULL) {
		struct pub_object *o = list_entry(l, struct pub_object, link);

		object_clear(o);
		free(o);
	}
	free(p->heads);
	p->heads = NULL;
	p->object_count = 0;
}

static void object_set_weights(struct pub_object *o, const struct message_weight *w, uint32_t n)
{
	object_clear(o);
	o->items = calloc(n + 1, sizeof(*w));
	bug_on(o->items == NULL);
	if (n > 0)
		memcpy(o->items, w, n * sizeof(*w));
	o->count = n;
	o->digest = message_weights_digest(o->id, w, n);
}

/* What an ENDPOINTS message of a service says. */
struct content {
	const struct message_endpoint *e;
	const struct message_cluster *clusters;
	uint32_t count, cluster_count;
};

static uint64_t content_digest(uint64_t id, const struct content *c)
{
	return message_endpoints_digest(id, c->e, c->count, c->clusters, c->cluster_count);
}

static struct str put_text(char **at, struct str s)
{
	char *p = *at;

	if (s.len > 0)
		memcpy(p, s.p, s.len);
	*at += s.len;
	return str_make(p, s.len);
}

/* Copies the names too. */
static void object_set_endpoints(struct pub_object *o, const struct content *c)
{
	struct message_endpoint *items = calloc(c->count + 1, sizeof(*items));
	struct message_cluster *clusters = calloc(c->cluster_count + 1, sizeof(*clusters));
	size_t bytes = 1;
	char *at;

	object_clear(o);
	for (uint32_t i = 0; i < c->count; i++)
		bytes += c->e[i].name.len + c->e[i].cluster.len;
	for (uint32_t i = 0; i < c->cluster_count; i++)
		bytes += c->clusters[i].name.len;
	o->text = at = malloc(bytes);
	bug_on(items == NULL || clusters == NULL || at == NULL);
	for (uint32_t i = 0; i < c->count; i++) {
		items[i] = c->e[i];
		items[i].name = put_text(&at, c->e[i].name);
		items[i].cluster = put_text(&at, c->e[i].cluster);
	}
	for (uint32_t i = 0; i < c->cluster_count; i++) {
		clusters[i] = c->clusters[i];
		clusters[i].name = put_text(&at, c->clusters[i].name);
	}
	o->items = items;
	o->count = c->count;
	o->clusters = clusters;
	o->cluster_count = c->cluster_count;
	o->digest = content_digest(o->id, c);
}

static struct pub_object *object_add(struct publish *p, uint8_t type, uint64_t id,
	uint64_t revision, uint64_t now_us)
{
	struct pub_object **head = chain_of(p, type, id), *o = calloc(1, sizeof(*o));

	bug_on(o == NULL);
	*o = (struct pub_object){.id = id,
		.type = type,
		.revision = revision,
		.published_us = now_us,
		.next = *head};
	*head = o;
	list_add_tail(&p->objects, &o->link);
	p->object_count++;
	return o;
}

/* The objects are those of the image: what no listener reaches may not be in it. */
static void objects_from_image(struct publish *p, const struct snapshot *s, uint64_t revision,
	uint64_t now_us)
{
	uint32_t rules = snapshot_count(s, SNAPSHOT_RULE);
	uint32_t services = snapshot_count(s, SNAPSHOT_SERVICE);
	struct message_weight w[SNAPSHOT_RULE_BACKENDS_MAX];
	autofree struct message_endpoint *e =
		calloc(snapshot_count(s, SNAPSHOT_ENDPOINT) + 1, sizeof(*e));

	pub_objects_free(p);
	for (p->mask = 1; p->mask < 2 * (rules + services); p->mask *= 2)
		;
	p->heads = calloc(p->mask--, sizeof(p->heads[0]));
	bug_on(p->heads == NULL || e == NULL);
	p->state = 0;
	for (uint32_t i = 0; i < rules; i++) {
		struct snapshot_rule r = snapshot_rule(s, i);
		struct pub_object *o = object_add(p, MESSAGE_WEIGHTS, r.id, revision, now_us);

		for (uint32_t k = 0; k < r.backend_count; k++) {
			struct snapshot_backend b = snapshot_backend(s, r.backend_first + k);

			w[k] = (struct message_weight){b.id, b.weight};
		}
		object_set_weights(o, w, r.backend_count);
		p->state += o->digest;
	}
	for (uint32_t i = 0; i < services; i++) {
		struct snapshot_service r = snapshot_service(s, i);
		struct pub_object *o = object_add(p, MESSAGE_ENDPOINTS, r.id, revision, now_us);
		struct message_cluster clusters[BUILD_CLUSTERS_MAX];

		for (uint32_t k = 0; k < r.cluster_count; k++) {
			struct snapshot_service_cluster x =
				snapshot_service_cluster(s, r.cluster_first + k);

			clusters[k] = (struct message_cluster){snapshot_str(s, x.name), x.priority,
				x.remote != 0, x.withheld, x.unready};
		}
		for (uint32_t k = 0; k < r.endpoint_count; k++) {
			struct snapshot_endpoint x = snapshot_endpoint(s, r.endpoint_first + k);

			e[k] = (struct message_endpoint){x.id, x.addr, x.port, x.weight,
				x.draining != 0, snapshot_str(s, x.name),
				snapshot_str(s, x.cluster)};
		}
		object_set_endpoints(o,
			&(struct content){e, clusters, r.endpoint_count, r.cluster_count});
		p->state += o->digest;
	}
}

/* The same configuration without weights, endpoints and generation. */
static void strip(const struct build_config *cfg, struct arena *a, struct build_config *ret)
{
	struct build_route *routes = arena_array(a, struct build_route, cfg->route_count + 1);
	struct build_service *services =
		arena_array(a, struct build_service, cfg->service_count + 1);

	*ret = *cfg;
	ret->generation = 0;
	for (uint32_t i = 0; i < cfg->route_count; i++) {
		const struct build_route *r = &cfg->routes[i];
		struct build_rule *rules = arena_array(a, struct build_rule, r->rule_count + 1);

		for (uint32_t k = 0; k < r->rule_count; k++) {
			uint32_t n = r->rules[k].backend_count;
			struct build_backend *b = arena_array(a, struct build_backend, n + 1);

			for (uint32_t j = 0; j < n; j++) {
				b[j] = r->rules[k].backends[j];
				b[j].weight = 0;
			}
			rules[k] = r->rules[k];
			rules[k].backends = b;
		}
		routes[i] = *r;
		routes[i].rules = rules;
	}
	for (uint32_t i = 0; i < cfg->service_count; i++) {
		services[i] = cfg->services[i];
		services[i].endpoints = NULL;
		services[i].endpoint_count = 0;
		services[i].clusters = NULL;
		services[i].cluster_count = 0;
	}
	ret->routes = routes;
	ret->services = services;
}

/* An image is built and read back: what we cannot open is not sent to anybody. */
static int build(const struct build_config *cfg, void **ret_image, size_t *ret_len,
	struct snapshot *ret, struct err *err)
{
	void *image;
	size_t len;
	int rv = snapshot_build(cfg, &image, &len, err);

	if (rv != 0)
		return rv;
	rv = snapshot_open(image, len, ret, err);
	if (rv != 0) {
		err_wrap(err, "the image that was just built");
		free(image);
		return rv;
	}
	*ret_image = image;
	*ret_len = len;
	return 0;
}

static int structure_of(const struct build_config *cfg, uint64_t *ret, struct err *err)
{
	struct build_config stripped;
	struct snapshot s;
	struct arena a;
	void *image;
	size_t len;
	int rv;

	arena_init(&a, 0);
	strip(cfg, &a, &stripped);
	rv = build(&stripped, &image, &len, &s, err);
	arena_fini(&a);
	if (rv != 0)
		return rv;
	*ret = s.digest != 0 ? s.digest : 1; /* 0 means unknown */
	free(image);
	return 0;
}

/* The file of the image before is kept a while: somebody may be reading it. */
static void image_forget_path(struct publish *p)
{
	char **old = &p->old_paths[p->old_next];

	if (p->image_path == NULL)
		return;
	if (*old != NULL) {
		unlink(*old);
		free(*old);
	}
	*old = p->image_path;
	p->image_path = NULL;
	p->old_next = (p->old_next + 1) % PUBLISH_IMAGES_KEPT;
}

static void image_take(struct publish *p, void *image, size_t len, const struct snapshot *s)
{
	free(p->image);
	p->image = image;
	p->image_len = len;
	p->image_digest = s->digest;
	p->image_generation = p->generation;
	p->image_revision = p->revision;
	image_forget_path(p);
}

int pub_image_store(struct publish *p, struct err *err)
{
	char path[PATH_MAX];
	struct snapshot s;
	void *image;
	size_t len;
	int rv;

	if (p->image_revision != p->revision || p->image_generation != p->generation) {
		p->cfg.generation = p->generation;
		rv = build(&p->cfg, &image, &len, &s, err);
		if (rv != 0)
			return rv;
		image_take(p, image, len, &s);
	}
	if (p->image_path != NULL)
		return 0;
	snprintf(path, sizeof(path), "%s/snapshot-%" PRIu64 "-%" PRIu64 "-%" PRIu64, p->state_dir,
		p->epoch, p->generation, p->image_revision);
	/* Not secret (keys never enter an image), and a dataplane may run as another user. */
	rv = file_replace(path, p->image, p->image_len, 0644, err);
	if (rv != 0)
		return rv;
	p->image_path = strdup(path);
	bug_on(p->image_path == NULL);
	return 0;
}

/* A new image; every object in it has the same, new revision. */
static int update_image(struct publish *p, const struct build_config *cfg, uint64_t structure,
	uint64_t generation, uint64_t now_us, struct err *err)
{
	struct build_config in = *cfg;
	struct snapshot s;
	void *image;
	size_t len;
	int rv;

	in.generation = generation;
	rv = build(&in, &image, &len, &s, err);
	if (rv != 0)
		return rv;
	p->image_us = now_us;
	p->generation = generation;
	p->structure = structure;
	p->base_revision = ++p->revision;
	p->wanted = true;
	objects_from_image(p, &s, p->revision, now_us);
	image_take(p, image, len, &s);
	return 0;
}

static void keep(struct publish *p, const struct build_config *cfg)
{
	arena_fini(&p->cfg_arena);
	pub_config_copy(cfg, &p->cfg_arena, &p->cfg);
}

/* <o> has new content: it goes to the end of the line. */
static void object_changed(struct publish *p, struct pub_object *o, uint64_t old, uint64_t now_us)
{
	o->revision = ++p->revision;
	o->published_us = now_us;
	p->state += o->digest - old;
	list_del(&o->link);
	list_add_tail(&p->objects, &o->link);
}

/* What a walk over the configuration finds, and does when <commit> is set. */
struct walk {
	struct publish *p;
	uint64_t now_us;
	bool commit;
	uint32_t weights, endpoints; /* objects that differ */
	bool unfit;		     /* one of them cannot go by message */
};

static bool message_fits(struct publish *p, struct message *m)
{
	return message_encode(m, p->buf, MESSAGE_BYTES_MAX) != 0;
}

static void walk_rule(struct walk *w, const struct build_rule *r)
{
	struct pub_object *o = object_lookup(w->p, MESSAGE_WEIGHTS, r->id);
	struct message_weight v[SNAPSHOT_RULE_BACKENDS_MAX];
	uint64_t old;

	if (o == NULL)
		return;
	if (r->backend_count > SNAPSHOT_RULE_BACKENDS_MAX) {
		w->unfit = true;
		return;
	}
	for (uint32_t i = 0; i < r->backend_count; i++) {
		v[i] = (struct message_weight){r->backends[i].id, r->backends[i].weight};
		w->unfit |= v[i].weight > SNAPSHOT_WEIGHT_MAX;
	}
	old = o->digest;
	if (message_weights_digest(o->id, v, r->backend_count) == old)
		return;
	w->weights++;
	if (!w->commit)
		return;
	object_set_weights(o, v, r->backend_count);
	object_changed(w->p, o, old, w->now_us);
}

static void walk_service(struct walk *w, const struct build_service *s)
{
	struct pub_object *o = object_lookup(w->p, MESSAGE_ENDPOINTS, s->id);
	autofree struct message_endpoint *e = calloc(s->endpoint_count + 1, sizeof(*e));
	struct message_cluster clusters[BUILD_CLUSTERS_MAX];
	struct content c = {e, clusters, s->endpoint_count, s->cluster_count};
	struct message m = {.type = MESSAGE_ENDPOINTS,
		.endpoints = {.service_id = s->id,
			.count = s->endpoint_count,
			.e = e,
			.cluster_count = s->cluster_count,
			.clusters = clusters}};
	uint64_t old;

	bug_on(e == NULL);
	if (o == NULL)
		return;
	if (s->cluster_count > BUILD_CLUSTERS_MAX) {
		w->unfit = true;
		return;
	}
	for (uint32_t i = 0; i < s->cluster_count; i++) {
		const struct build_service_cluster *b = &s->clusters[i];

		clusters[i] = (struct message_cluster){b->name, b->priority, b->remote, b->withheld,
			b->unready};
	}
	for (uint32_t i = 0; i < s->endpoint_count; i++) {
		const struct build_endpoint *b = &s->endpoints[i];

		e[i] = (struct message_endpoint){b->id, b->addr, b->port, b->weight, b->draining,
			b->name, b->cluster};
		w->unfit |= b->id == 0 || ip_is_any(&b->addr);
	}
	old = o->digest;
	if (content_digest(o->id, &c) == old)
		return;
	w->endpoints++;
	if (!w->commit) {
		w->unfit |= !message_fits(w->p, &m);
		return;
	}
	object_set_endpoints(o, &c);
	object_changed(w->p, o, old, w->now_us);
}

static void walk_all(struct walk *w, const struct build_config *cfg)
{
	w->weights = w->endpoints = 0;
	for (uint32_t i = 0; i < cfg->route_count; i++)
		for (uint32_t k = 0; k < cfg->routes[i].rule_count; k++)
			walk_rule(w, &cfg->routes[i].rules[k]);
	for (uint32_t i = 0; i < cfg->service_count; i++)
		walk_service(w, &cfg->services[i]);
}

/*
 * Only weights and endpoints can differ. What cannot go by message (a set too large, or a value
 * that the image's builder shall judge) goes by a new image of the same generation.
 */
static int update_small(struct publish *p, const struct build_config *cfg, uint64_t now_us,
	struct publish_outcome *out, struct err *err)
{
	struct walk w = {.p = p, .now_us = now_us};

	walk_all(&w, cfg);
	if (w.weights + w.endpoints == 0)
		return 0;
	if (w.unfit) {
		out->kind = PUBLISH_SNAPSHOT;
		return update_image(p, cfg, p->structure, p->generation, now_us, err);
	}
	w.commit = true;
	walk_all(&w, cfg);
	out->kind = PUBLISH_SMALL;
	out->weights = w.weights;
	out->endpoints = w.endpoints;
	return 0;
}

int publish_update(struct publish *p, const struct build_config *cfg, struct publish_outcome *ret,
	struct err *err)
{
	struct publish_outcome out = {.kind = PUBLISH_NOTHING};
	uint64_t now_us = clock_mono_us(), structure;
	struct err aside;
	int rv = structure_of(cfg, &structure, err);

	if (rv != 0)
		return rv;
	if (p->wanted && structure == p->structure) {
		rv = update_small(p, cfg, now_us, &out, err);
	} else {
		/* The first update of a process that finds its old structure goes on with its number. */
		bool known = p->generation != 0 && structure == p->structure;

		out.kind = PUBLISH_SNAPSHOT;
		rv = update_image(p, cfg, structure, p->generation + !known, now_us, err);
	}
	if (rv != 0)
		return rv;
	if (out.kind != PUBLISH_NOTHING)
		keep(p, cfg);
	for (uint32_t i = 0; i < p->dp_count && out.kind != PUBLISH_NOTHING; i++)
		pub_dataplane_published(&p->dps[i], out.kind == PUBLISH_SNAPSHOT, now_us);
	out.generation = p->generation;
	out.revision = p->revision;
	*ret = out;
	/* After the messages are on their way: what is lost here is learned again from a HELLO. */
	if (out.kind == PUBLISH_SNAPSHOT && pub_epoch_write(p, &aside) != 0)
		log_warn("publish", "msg=\"%s\"", aside.msg);
	return 0;
}
