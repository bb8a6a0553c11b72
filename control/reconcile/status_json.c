// SPDX-License-Identifier: Apache-2.0
/*
 * status_json.c: the status of every object as the API writes it.
 */
#include <time.h>

#include "control/reconcile/reconcile.h"
#include "dataplane/base/bug.h"

/* Names are ASCII by their patterns. */
static json_t *text(struct str s)
{
	json_t *j = json_stringn(s.len ? s.p : "", s.len);

	bug_on(j == NULL);
	return j;
}

/* Messages quote manifests, and a quote may be cut inside a UTF-8 sequence. */
static json_t *message(const char *m)
{
	json_t *j = json_string(m);
	char copy[1024];

	if (j != NULL)
		return j;
	snprintf(copy, sizeof(copy), "%s", m);
	for (char *p = copy; *p != '\0'; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	return json_string(copy);
}

static json_t *time_text(int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	char buf[32];

	gmtime_r(&t, &tm);
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(buf);
}

static const char *status_name(enum condition_status s)
{
	static const char *const names[] = {"False", "True", "Unknown"};

	return names[s];
}

static json_t *conditions_json(const struct conditions *c)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < c->count; i++) {
		const struct condition *k = &c->c[i];
		json_t *o = json_object();

		json_object_set_new(o, "type", json_string(k->type));
		json_object_set_new(o, "status", json_string(status_name(k->status)));
		json_object_set_new(o, "reason", json_string(k->reason));
		json_object_set_new(o, "message", message(k->message));
		json_object_set_new(o, "observedGeneration", json_integer(k->observed_generation));
		json_object_set_new(o, "lastTransitionTime", time_text(k->since));
		json_array_append_new(list, o);
	}
	return list;
}

/* The envelope of one object; <status> is taken over. */
static void add_object(json_t *list, const struct object *o, json_t *status)
{
	json_t *j = json_object(), *meta = json_object();
	char source[OBJECT_PLACE_MAX];

	if (o->ns.len)
		json_object_set_new(meta, "namespace", text(o->ns));
	json_object_set_new(meta, "name", text(o->name));
	json_object_set_new(meta, "generation", json_integer(o->generation));
	json_object_set_new(j, "cluster", text(o->cluster));
	json_object_set_new(j, "apiVersion", json_string(kind_info[o->kind].api_version));
	json_object_set_new(j, "kind", text(kind_info[o->kind].name));
	json_object_set_new(j, "metadata", meta);
	json_object_set_new(j, "source", message(object_place(o, source, sizeof(source))));
	json_object_set_new(j, "status", status);
	json_array_append_new(list, j);
}

static json_t *kinds_json(const struct plan_listener *l)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < l->supported_kinds_count; i++) {
		json_t *k = json_object();

		json_object_set_new(k, "group", text(l->supported_kinds[i].group));
		json_object_set_new(k, "kind", text(l->supported_kinds[i].kind));
		json_array_append_new(list, k);
	}
	return list;
}

static json_t *listener_json(const struct plan_listener *l)
{
	json_t *j = json_object();

	json_object_set_new(j, "name", text(l->spec->name));
	json_object_set_new(j, "supportedKinds", kinds_json(l));
	json_object_set_new(j, "attachedRoutes", json_integer(l->attached_routes));
	json_object_set_new(j, "conditions", conditions_json(&l->conditions));
	return j;
}

static json_t *listeners_json(const struct plan_listener *l, uint32_t count)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < count; i++)
		json_array_append_new(list, listener_json(&l[i]));
	return list;
}

static json_t *class_json(const struct plan_class *c)
{
	json_t *j = json_object(), *features = json_array();

	for (uint32_t i = 0; i < c->features_count; i++) {
		json_t *name = json_object();

		json_object_set_new(name, "name", json_string(c->features[i]));
		json_array_append_new(features, name);
	}
	json_object_set_new(j, "conditions", conditions_json(&c->conditions));
	json_object_set_new(j, "supportedFeatures", features);
	return j;
}

static json_t *gateway_json(const struct plan_gateway *gw)
{
	json_t *j = json_object(), *addresses = json_array();
	char buf[IP_ADDR_STRLEN];

	for (uint32_t i = 0; gw->serves && i < gw->addresses_count; i++) {
		json_t *a = json_object();

		json_object_set_new(a, "type", json_string("IPAddress"));
		json_object_set_new(a, "value", json_string(ip_format(&gw->addresses[i], buf)));
		json_array_append_new(addresses, a);
	}
	json_object_set_new(j, "addresses", addresses);
	json_object_set_new(j, "attachedListenerSets", json_integer(gw->attached_sets));
	json_object_set_new(j, "conditions", conditions_json(&gw->conditions));
	json_object_set_new(j, "listeners", listeners_json(gw->listeners, gw->own_count));
	return j;
}

static json_t *set_json(const struct plan_set *set)
{
	json_t *j = json_object();

	json_object_set_new(j, "conditions", conditions_json(&set->conditions));
	json_object_set_new(j, "listeners", listeners_json(set->listeners, set->listeners_count));
	return j;
}

/* As in the spec: what was not given does not appear. */
static json_t *parent_ref_json(const struct parent_ref *ref)
{
	json_t *j = json_object();

	json_object_set_new(j, "group", text(ref->group));
	json_object_set_new(j, "kind", text(ref->kind));
	if (ref->ns.p != NULL)
		json_object_set_new(j, "namespace", text(ref->ns));
	json_object_set_new(j, "name", text(ref->name));
	if (ref->section_name.p != NULL)
		json_object_set_new(j, "sectionName", text(ref->section_name));
	if (ref->port != 0)
		json_object_set_new(j, "port", json_integer(ref->port));
	return j;
}

static json_t *route_json(const struct plan *p, const struct plan_route *route)
{
	json_t *j = json_object(), *parents = json_array();

	for (uint32_t i = 0; i < route->parents_count; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "parentRef", parent_ref_json(route->parents[i].ref));
		json_object_set_new(o, "controllerName", text(p->config->controller_name));
		json_object_set_new(o, "conditions",
			conditions_json(&route->parents[i].conditions));
		json_array_append_new(parents, o);
	}
	json_object_set_new(j, "parents", parents);
	return j;
}

static json_t *ancestor_ref_json(const struct plan_policy *policy, const struct plan_ancestor *a)
{
	const struct object *gw = a->gateway != NULL ? a->gateway->obj : NULL;
	json_t *j = json_object();

	json_object_set_new(j, "group",
		text(gw != NULL ? kind_info[gw->kind].group : a->target->group));
	json_object_set_new(j, "kind",
		text(gw != NULL ? kind_info[gw->kind].name : a->target->kind));
	json_object_set_new(j, "namespace", text(gw != NULL ? gw->ns : policy->obj->ns));
	json_object_set_new(j, "name", text(gw != NULL ? gw->name : a->target->name));
	return j;
}

static json_t *policy_json(const struct plan *p, const struct plan_policy *policy)
{
	json_t *j = json_object(), *list = json_array();

	for (uint32_t i = 0; i < policy->ancestors_count; i++) {
		json_t *o = json_object();

		json_object_set_new(o, "ancestorRef",
			ancestor_ref_json(policy, &policy->ancestors[i]));
		json_object_set_new(o, "controllerName", text(p->config->controller_name));
		json_object_set_new(o, "conditions",
			conditions_json(&policy->ancestors[i].conditions));
		json_array_append_new(list, o);
	}
	json_object_set_new(j, "ancestors", list);
	return j;
}

/* Routes that have no parent of ours any more, but entries of ours left in their status. */
static void add_left_routes(const struct plan *p, json_t *list)
{
	for (uint32_t i = 0; i < p->left_count; i++) {
		json_t *j = json_object();

		json_object_set_new(j, "parents", json_array());
		add_object(list, p->left[i], j);
	}
}

json_t *plan_status_json(const struct plan *p)
{
	json_t *list = json_array();

	bug_on(list == NULL);
	for (uint32_t i = 0; i < p->classes_count; i++)
		add_object(list, p->classes[i].obj, class_json(&p->classes[i]));
	for (uint32_t i = 0; i < p->gateways_count; i++)
		add_object(list, p->gateways[i].obj, gateway_json(&p->gateways[i]));
	for (uint32_t i = 0; i < p->sets_count; i++)
		add_object(list, p->sets[i].obj, set_json(&p->sets[i]));
	for (uint32_t i = 0; i < p->routes_count; i++)
		add_object(list, p->routes[i].obj, route_json(p, &p->routes[i]));
	add_left_routes(p, list);
	for (uint32_t i = 0; i < p->policies_count; i++)
		if (p->policies[i].told)
			add_object(list, p->policies[i].obj, policy_json(p, &p->policies[i]));
	return list;
}
