// SPDX-License-Identifier: Apache-2.0
/*
 * plan_print.c: a plan for people, as `sluice-control --check` shows it.
 *
 * Problems of files first, then one row per condition: the bad ones on top, because a list of
 * thousands is read from there.
 */
#include <string.h>

#include "control/reconcile/reconcile.h"

#define PART_MAX 640 /* namespace, name, section */

struct row {
	const struct object *obj;
	struct str part; /* listener or parent, empty for the object itself */
	const struct condition *c;
};

typedef void (*row_fn)(const struct row *row, void *ctx);

/* Conditions whose True is the bad news. */
static bool is_negative(const char *type)
{
	return strcmp(type, "Conflicted") == 0 || strcmp(type, "PartiallyInvalid") == 0;
}

static bool is_error(const struct condition *c)
{
	if (is_negative(c->type))
		return c->status == CONDITION_TRUE;
	/* Nothing is programmed while nobody runs, and it is not the user's mistake. */
	return c->status != CONDITION_TRUE && strcmp(c->reason, "Pending") != 0;
}

static void each_condition(const struct object *obj, struct str part, const struct conditions *c,
	row_fn fn, void *ctx)
{
	for (uint32_t i = 0; i < c->count; i++)
		fn(&(struct row){obj, part, &c->c[i]}, ctx);
}

/* "namespace/name section :port", as much of it as the parentRef says. */
static struct str parent_text(const struct parent_ref *ref, char buf[PART_MAX])
{
	char port[8] = "";

	if (ref->port != 0)
		snprintf(port, sizeof(port), " :%u", ref->port);
	snprintf(buf, PART_MAX, "%.*s%s%.*s%s%.*s%s", STR_FMT(ref->ns), ref->ns.len ? "/" : "",
		STR_FMT(ref->name), ref->section_name.len ? " " : "", STR_FMT(ref->section_name),
		port);
	return str_of(buf);
}

static void each_listener(const struct object *obj, const struct plan_listener *l, uint32_t count,
	row_fn fn, void *ctx)
{
	for (uint32_t i = 0; i < count; i++)
		each_condition(obj, l[i].spec->name, &l[i].conditions, fn, ctx);
}

static void each_row(const struct plan *p, row_fn fn, void *ctx)
{
	for (uint32_t i = 0; i < p->classes_count; i++)
		each_condition(p->classes[i].obj, STR(""), &p->classes[i].conditions, fn, ctx);
	for (uint32_t i = 0; i < p->gateways_count; i++) {
		const struct plan_gateway *gw = &p->gateways[i];

		each_condition(gw->obj, STR(""), &gw->conditions, fn, ctx);
		each_listener(gw->obj, gw->listeners, gw->own_count, fn, ctx);
	}
	for (uint32_t i = 0; i < p->sets_count; i++) {
		const struct plan_set *set = &p->sets[i];

		each_condition(set->obj, STR(""), &set->conditions, fn, ctx);
		each_listener(set->obj, set->listeners, set->listeners_count, fn, ctx);
	}
	for (uint32_t i = 0; i < p->policies_count; i++) {
		const struct plan_policy *policy = &p->policies[i];

		for (uint32_t k = 0; k < policy->ancestors_count; k++) {
			const struct plan_ancestor *a = &policy->ancestors[k];

			each_condition(policy->obj,
				a->gateway != NULL ? a->gateway->obj->name : a->target->name,
				&a->conditions, fn, ctx);
		}
	}
	for (uint32_t i = 0; i < p->routes_count; i++) {
		const struct plan_route *route = &p->routes[i];

		for (uint32_t k = 0; k < route->parents_count; k++) {
			char part[PART_MAX];

			each_condition(route->obj, parent_text(route->parents[k].ref, part),
				&route->parents[k].conditions, fn, ctx);
		}
	}
}

struct printing {
	FILE *out;
	bool errors; /* which half is printed now */
	unsigned error_count;
	int width; /* of the name column */
};

static int name_width(const struct row *row)
{
	return (int)(row->obj->cluster.len + row->obj->ns.len + row->obj->name.len +
		       row->part.len) +
		4;
}

static void measure(const struct row *row, void *ctx)
{
	struct printing *pr = ctx;
	int w = name_width(row);

	if (w > pr->width && w <= 80)
		pr->width = w;
	pr->error_count += is_error(row->c);
}

static void print_row(const struct row *row, void *ctx)
{
	static const char *const status[] = {"False", "True", "Unknown"};
	const struct object *o = row->obj;
	struct printing *pr = ctx;
	char name[1024];

	if (is_error(row->c) != pr->errors)
		return;
	snprintf(name, sizeof(name), "%.*s/%.*s%s%.*s%s%.*s", STR_FMT(o->cluster), STR_FMT(o->ns),
		o->ns.len ? "/" : "", STR_FMT(o->name), row->part.len ? "  " : "",
		STR_FMT(row->part));
	fprintf(pr->out, "%-5s  %-12.*s  %-*s  %-16s  %-7s  %-26s  %s\n",
		pr->errors ? "ERROR" : "ok", STR_FMT(kind_info[o->kind].name), pr->width, name,
		row->c->type, status[row->c->status], row->c->reason, row->c->message);
}

/* Returns the number of errors. */
static unsigned print_problems(const struct problem *list, uint32_t count, FILE *out)
{
	unsigned errors = 0;

	for (uint32_t i = 0; i < count; i++) {
		fprintf(out, "%s: %.*s%s\n", list[i].fatal ? "error" : "warning",
			STR_FMT(list[i].text),
			list[i].stale ? " (what was read before stays in use)" : "");
		errors += list[i].fatal;
	}
	return errors;
}

unsigned plan_print(const struct plan *p, FILE *out)
{
	struct printing pr = {.out = out, .width = 29};

	pr.error_count = print_problems(p->view->problems, p->view->problem_count, out) +
		print_problems(p->notes, p->notes_count, out);
	each_row(p, measure, &pr);
	fprintf(out, "%-5s  %-12s  %-*s  %-16s  %-7s  %-26s  %s\n", "", "KIND", pr.width,
		"CLUSTER/NAMESPACE/NAME  PART", "CONDITION", "STATUS", "REASON", "MESSAGE");
	for (int errors = 1; errors >= 0; errors--) {
		pr.errors = errors;
		each_row(p, print_row, &pr);
	}
	return pr.error_count;
}
