// SPDX-License-Identifier: Apache-2.0
/*
 * turn.c: store → plan → compile → publish, and what comes back.
 *
 * Order within a turn: dataplanes are told first, then the address book is written and the state
 * for the API is exchanged, because the edit's way to the workers is what people wait for.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "control/control.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"
#include "dataplane/base/sd_notify.h"

#define PROBLEMS_LOGGED_MAX 64

struct compiled *compiled_new(struct plan *p)
{
	struct compiled *k = calloc(1, sizeof(*k));

	bug_on(k == NULL);
	k->plan = plan_get(p);
	arena_init(&k->arena, 0);
	compile_plan(p, 0, &k->arena, &k->build);
	return k;
}

void compiled_free(struct compiled *k)
{
	if (k == NULL)
		return;
	arena_fini(&k->arena);
	plan_put(k->plan);
	free(k);
}

static struct plan *plan_of(const struct control *c, struct view *view, struct clusters *clusters,
	const struct plan *acked)
{
	const struct plan_input in = {
		.view = view,
		.clusters = clusters,
		.config = c->config,
		.acked = acked,
		.previous = c->plan,
		.book = c->book,
		.now_s = (int64_t)time(NULL),
	};

	return plan_build(&in);
}

static bool was_there(const struct problem *list, uint32_t count, const struct problem *p)
{
	for (uint32_t i = 0; i < count; i++)
		if (str_eq(list[i].text, p->text))
			return true;
	return false;
}

static void log_problem(const struct problem *p)
{
	log_warn("store", "severity=%s stale=%s msg=\"%.*s\"", p->fatal ? "error" : "warning",
		p->stale ? "yes" : "no", STR_FMT(p->text));
}

/* Each new sentence once; the whole lists are in /api/v1/status. */
static void log_problems(const struct plan *old, const struct plan *p)
{
	const struct view *before = old != NULL ? old->view : NULL, *v = p->view;

	for (uint32_t i = 0; i < v->problem_count && i < PROBLEMS_LOGGED_MAX; i++)
		if (before == NULL ||
			!was_there(before->problems, before->problem_count, &v->problems[i]))
			log_problem(&v->problems[i]);
	for (uint32_t i = 0, n = 0; i < p->notes_count && n < PROBLEMS_LOGGED_MAX; i++) {
		if (!p->notes[i].fatal)
			continue;
		n++;
		if (old == NULL || !was_there(old->notes, old->notes_count, &p->notes[i]))
			log_problem(&p->notes[i]);
	}
}

/* Tells the dataplanes. What cannot be built (a limit is passed) leaves them what they have. */
static void publish_plan(struct control *c, struct plan *p, struct publish_outcome *ret_outcome)
{
	struct compiled *k = compiled_new(p);
	struct err err = {""};

	*ret_outcome = (struct publish_outcome){0};
	if (publish_update(c->publish, &k->build, ret_outcome, &err) < 0) {
		log_error("publish", "msg=\"%s\"", err.msg);
		snprintf(c->compile_error, sizeof(c->compile_error), "%s", err.msg);
		c->source.publish_errors++;
		compiled_free(k);
		return;
	}
	c->compile_error[0] = '\0';
	c->source.publishes[ret_outcome->kind]++;
	compiled_free(c->compiled);
	c->compiled = k;
	c->source.compiled = &k->build;
}

/* What the site serves, for other sites to see. */
static void tell_vips(struct control *c)
{
	struct ip_addr vips[RECORD_VIPS_MAX];
	uint32_t count = 0;

	for (uint32_t i = 0; c->compiled != NULL && i < c->compiled->build.listener_count; i++) {
		const struct build_listener *l = &c->compiled->build.listeners[i];

		for (uint32_t a = 0; a < l->addr_count && count < RECORD_VIPS_MAX; a++) {
			uint32_t k = 0;

			while (k < count && !ip_eq(&vips[k], &l->addrs[a]))
				k++;
			if (k == count)
				vips[count++] = l->addrs[a];
		}
	}
	federate_set_vips(c->federate, vips, count);
}

static void remember_addresses(struct control *c, const struct plan *p)
{
	struct err err;

	if (address_book_update(c->book, p, c->book_path, &err) < 0)
		log_error("addresses", "msg=\"%s\"", err.msg);
}

static void plan_take(struct control *c, struct plan *p)
{
	plan_put(c->plan);
	c->plan = p;
	c->source.plan = p;
}

/* Configurations that were replaced go when the last plan that knows them is gone. */
static void retired_sweep(struct control *c)
{
	for (int i = 0; i < CONTROL_RETIRED_MAX; i++) {
		struct control_config *old = c->retired[i];

		if (old == NULL || c->plan->config == old || status_uses(c->status, old) ||
			(c->acked != NULL && c->acked->config == old) ||
			(c->compiled != NULL && c->compiled->plan->config == old))
			continue;
		control_config_fini(old);
		free(old);
		c->retired[i] = NULL;
	}
}

/* The first step at once, the others by the timer. */
static struct clusters *clusters_now(struct control *c)
{
	const struct clusters *target = registry_clusters(c->registry);
	struct clusters *clusters;
	bool moving;

	clusters = drains_take(&c->drains, target, &moving);
	if (moving && !loop_timer_is_set(&c->drain_timer)) {
		clusters = drains_step(&c->drains, target, c->config->ramp_points, &moving);
		if (moving)
			loop_timer_set(c->loop, &c->drain_timer, DRAIN_STEP_US);
	}
	drains_save(&c->drains);
	return clusters;
}

/* NULL: there is nothing new, or too little is known yet for any plan. */
static struct plan *plan_next(struct control *c)
{
	struct clusters *clusters;
	struct plan *p = NULL;
	struct view *view;

	if (c->plan == NULL && !sources_ready(c->sources))
		return NULL; /* drains wait as well: nobody would see their steps */
	clusters = clusters_now(c);
	view = store_view(c->store);
	if (c->plan == NULL || c->plan->view != view || c->plan->config != c->config ||
		c->plan->clusters != clusters)
		p = plan_of(c, view, clusters, c->acked);
	view_put(view);
	return p;
}

void control_turn(struct control *c)
{
	static const char *const kinds[] = {"nothing", "small", "snapshot"};
	uint64_t start = clock_mono_us();
	struct publish_outcome out;
	struct plan *p = plan_next(c);

	if (p == NULL) {
		if (c->plan != NULL && c->book->unsaved)
			remember_addresses(c, c->plan);
		debounce_on_nothing(&c->debounce);
		return;
	}
	publish_plan(c, p, &out);
	tell_vips(c);
	log_problems(c->plan, p);
	remember_addresses(c, p);
	plan_take(c, p);
	status_update(c->status, p, false);
	retired_sweep(c);
	c->source.turns++;
	c->source.turn_us += clock_mono_us() - start;
	debounce_on_acted(&c->debounce, clock_mono_us());
	sd_notify_send("STATUS=generation %" PRIu64 ", %u errors in manifests",
		publish_generation(c->publish), p->view->fatal_count);
	log_info("turn",
		"sent=%s generation=%" PRIu64 " revision=%" PRIu64 " weights=%u endpoints=%u "
		"errors=%u us=%" PRIu64,
		*c->compile_error ? "error" : kinds[out.kind], publish_generation(c->publish),
		publish_revision(c->publish), out.weights, out.endpoints, p->view->fatal_count,
		clock_mono_us() - start);
	if (out.kind == PUBLISH_NOTHING)
		control_on_acked(c); /* no acknowledgement follows: they have it already */
}

/*
 * The newest plan is in place everywhere: conditions may say so (design: Programmed). No other plan
 * is made when none of them waited for that.
 */
void control_on_acked(struct control *c)
{
	if (c->plan == NULL || c->acked == c->plan || *c->compile_error != '\0' ||
		!publish_is_programmed(c->publish, publish_generation(c->publish)) ||
		!publish_is_applied(c->publish, publish_revision(c->publish)))
		return;
	if (c->plan->pending)
		plan_take(c, plan_of(c, c->plan->view, c->plan->clusters, c->plan));
	plan_put(c->acked);
	c->acked = plan_get(c->plan);
	status_update(c->status, c->plan, true);
	retired_sweep(c);
	log_info("turn", "acknowledged generation=%" PRIu64 " revision=%" PRIu64,
		publish_generation(c->publish), publish_revision(c->publish));
}

/* --- SIGHUP --- */

static bool same_cstr(const char *a, const char *b)
{
	return (a == NULL) == (b == NULL) && (a == NULL || str_eq(str_of(a), str_of(b)));
}

static bool same_dataplanes(const struct control_config *a, const struct control_config *b)
{
	if (a->dataplanes_count != b->dataplanes_count)
		return false;
	for (uint32_t i = 0; i < a->dataplanes_count; i++)
		if (!str_eq(a->dataplanes[i].name, b->dataplanes[i].name) ||
			!same_cstr(a->dataplanes[i].url, b->dataplanes[i].url))
			return false;
	return true;
}

static bool same_sites(const struct config_site *a, const struct config_site *b)
{
	return (a == NULL) == (b == NULL) && (a == NULL || str_eq(a->name, b->name));
}

/* The key that cannot change while we run, or NULL. */
static const char *needs_restart(const struct control_config *a, const struct control_config *b)
{
	if (!same_dataplanes(a, b))
		return "dataplanes";
	if (!same_cstr(a->api_socket, b->api_socket) || !str_eq(a->api_mode, b->api_mode))
		return "api";
	if (!same_cstr(a->state_directory, b->state_directory))
		return "stateDirectory";
	if (!same_sites(a->site, b->site))
		return "site.name";
	return same_cstr(a->user, b->user) ? NULL : "user";
}

static int reload(struct control *c, struct err *err)
{
	struct control_config *new = calloc(1, sizeof(*new));
	const char *key;
	int rc, slot = 0;

	if (c->plan != NULL)
		retired_sweep(c);
	while (slot < CONTROL_RETIRED_MAX && c->retired[slot] != NULL)
		slot++;
	bug_on(new == NULL);
	rc = control_config_load(c->config_path, new, err);
	if (rc < 0) {
		free(new);
		return rc;
	}
	key = needs_restart(c->config, new);
	if (key != NULL || slot == CONTROL_RETIRED_MAX) {
		control_config_fini(new);
		free(new);
		return key != NULL ? err_set(err, EINVAL, "%s: %s: a change needs a restart",
					     c->config_path, key)
				   : err_set(err, EBUSY, "%s: older versions are still in use",
					     c->config_path);
	}
	c->retired[slot] = c->config;
	c->config = new;
	c->source.config = new;
	log_level_max = (enum log_level) new->log_level;
	return 0;
}

void control_reload(struct control *c)
{
	struct err err;

	if (reload(c, &err) < 0)
		log_error("config", "msg=\"%s\" kept=old", err.msg);
	else
		log_info("config", "file=%s msg=\"read again\"", c->config_path);
	if (federate_reload(c->federate, c->config, &err) < 0)
		log_error("site", "msg=\"%s\" kept=old", err.msg);
	registry_set_file(c->registry, c->config);
	sources_apply(c->sources);
	sources_reload(c->sources);
	control_turn(c);
}
