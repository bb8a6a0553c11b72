// SPDX-License-Identifier: Apache-2.0
/*
 * class.c: which GatewayClasses are ours, and what they are told.
 *
 * The release of the API that a cluster has is written on its CustomResourceDefinitions
 * (gateway.networking.k8s.io/bundle-version). Another release than ours is served as well as it
 * goes ("best effort"): SupportedVersion says so, Accepted stays true. Names of features change
 * between releases, so supportedFeatures has those of the oldest release that the cluster has.
 * Manifests in a directory have no such definitions: they are read as release 1.7.
 * Standard: Gateway API v1.7, GatewayClassStatus.
 */
#include "control/reconcile/reconcile.h"

#define BUNDLE_VERSION STR("gateway.networking.k8s.io/bundle-version")
#define MINOR_FIRST 6
#define MINOR_LAST 7

#define FEATURE(name_, first_, last_, proof) {name_, first_, last_},
static const struct {
	const char *name;
	unsigned first, last;
} features[] = {
#include "control/reconcile/features.def"
};
#undef FEATURE

/* The minor number of "v1.7.0"; 0 when it is no release of version 1. */
static unsigned minor_of(struct str version)
{
	struct str rest = str_from(version, version.len < 3 ? version.len : 3);
	ptrdiff_t dot = str_find(rest, '.');
	uint64_t minor;

	if (!str_starts(version, STR("v1.")) || dot < 0 ||
		!str_to_u64(str_first(rest, (size_t)dot), &minor) || minor > 1000)
		return 0;
	return (unsigned)minor;
}

struct release {
	unsigned minor;		  /* the oldest of those that are ours; 0: none was found */
	const struct object *odd; /* a definition of another release, or NULL */
};

static struct release release_of(const struct reconcile *r, struct str cluster)
{
	const struct view_kind *vk = &r->view->kinds[KIND_CRD];
	struct release rel = {0, NULL};

	for (uint32_t i = 0; i < vk->count; i++) {
		const struct object *o = vk->objects[i];
		unsigned minor;

		if (!str_eq(o->cluster, cluster) ||
			!str_ends(o->name, STR(".gateway.networking.k8s.io")))
			continue;
		minor = minor_of(kv_find(&o->annotations, BUNDLE_VERSION));
		if (minor < MINOR_FIRST || minor > MINOR_LAST)
			rel.odd = rel.odd ?: o;
		else if (rel.minor == 0 || minor < rel.minor)
			rel.minor = minor;
	}
	return rel;
}

static void say_version(struct reconcile *r, struct plan_class *c, const struct release *rel)
{
	const struct object *odd = rel->odd;
	struct str version;

	if (odd != NULL) {
		version = kv_find(&odd->annotations, BUNDLE_VERSION);
		condition_set(&c->conditions, c->obj, "SupportedVersion", false,
			"UnsupportedVersion",
			arena_printf(r->arena,
				"CustomResourceDefinition %.*s is of release %.*s: what it shares "
				"with "
				"releases 1.%u to 1.%u is served, install one of these for the "
				"rest",
				STR_FMT(odd->name),
				STR_FMT(version.len ? str_first(version, 60) : STR("(none)")),
				MINOR_FIRST, MINOR_LAST));
	} else if (rel->minor == 0 && c->obj->file == NULL) {
		condition_set(&c->conditions, c->obj, "SupportedVersion", CONDITION_UNKNOWN,
			"Pending",
			"The cluster's CustomResourceDefinitions cannot be seen: allow this "
			"controller to get, list and watch them");
	} else {
		condition_set(&c->conditions, c->obj, "SupportedVersion", true, "SupportedVersion",
			"The release of the Gateway API is one that is served");
	}
}

static void take_features(struct reconcile *r, struct plan_class *c, unsigned minor)
{
	const size_t all = sizeof(features) / sizeof(features[0]);

	c->features = arena_array(r->arena, const char *, all);
	for (size_t i = 0; i < all; i++)
		if (minor >= features[i].first && minor <= features[i].last)
			c->features[c->features_count++] = features[i].name;
}

static void say_accepted(struct reconcile *r, struct plan_class *c)
{
	const struct object_ref *ref = c->obj->gateway_class->parameters;

	c->accepted = ref == NULL;
	if (c->accepted)
		condition_set(&c->conditions, c->obj, "Accepted", true, "Accepted",
			"Gateways of this class are served");
	else
		condition_set(&c->conditions, c->obj, "Accepted", false, "InvalidParameters",
			arena_printf(r->arena,
				"spec.parametersRef: %.*s %.*s cannot be used, parameters are not "
				"supported: remove the field",
				STR_FMT(ref->kind), STR_FMT(ref->name)));
}

void classes_build(struct reconcile *r)
{
	const struct view_kind *vk = &r->view->kinds[KIND_GATEWAY_CLASS];
	struct plan *p = r->plan;

	p->classes = arena_array(r->arena, struct plan_class, vk->count);
	for (uint32_t i = 0; i < vk->count; i++) {
		struct plan_class *c = &p->classes[p->classes_count];
		struct release rel;

		if (!plan_may_serve(r, vk->objects[i]) ||
			!str_eq(vk->objects[i]->gateway_class->controller_name,
				r->in->config->controller_name))
			continue;
		*c = (struct plan_class){.obj = vk->objects[i]};
		rel = release_of(r, c->obj->cluster);
		say_accepted(r, c);
		say_version(r, c, &rel);
		take_features(r, c, rel.minor ?: MINOR_LAST);
		p->classes_count++;
	}
}
