// SPDX-License-Identifier: Apache-2.0
/*
 * discovery.c: what an API server serves: one document per group and version, shared by the watches
 * of that group for a few seconds.
 *
 * An answer that makes no sense is a failure and not an absence: objects must not vanish because a
 * server, or something in front of it, talks nonsense.
 */
#include <errno.h>
#include <stdlib.h>

#include "control/kube/cluster.h"
#include "dataplane/base/bug.h"

#define DISCOVERY_FRESH_US 500000u /* how long an answer serves the other watches of its group */
#define DISCOVERY_TIMEOUT_MS 60000
#define DISCOVERY_BYTES_MAX (4u << 20)

static void done(struct discovery *d)
{
	struct kube_cluster *c = d->c;

	d->pending = false;
	d->at_us = clock_mono_us();
	kube_text_fini(&d->text);
	list_for_each_safe (l, &c->watches) {
		struct kube_watch *w = list_entry(l, struct kube_watch, link);

		if (!w->gone && !c->closing)
			watch_on_discovered(w);
	}
}

static void fail(struct discovery *d, const char *why)
{
	err_set(&d->why, EIO, "%s: %s", d->path, why);
	d->failed = true;
}

static void read_document(struct discovery *d)
{
	struct err err;
	json_t *j = object_parse(str_make(d->text.p, d->text.len), &err), *list;
	const char *kind = j != NULL ? object_text(j, "kind") : NULL;

	list = json_object_get(j, "resources");
	if (j == NULL || kind == NULL || strcmp(kind, "APIResourceList") != 0 ||
		!json_is_array(list)) {
		cluster_count(d->c, KUBE_COUNTER_BAD_DISCOVERY);
		fail(d, j == NULL ? err.msg : "no list of resources");
		cluster_complain(d->c, d->path, "msg=\"what is served makes no sense: %s\"",
			d->why.msg);
	} else {
		d->resources = json_incref(list);
	}
	json_decref(j);
}

static bool on_body(void *arg, int status, const char *p, size_t len)
{
	struct discovery *d = arg;

	return kube_text_add(&d->text, p, len, DISCOVERY_BYTES_MAX);
}

static void on_refused(struct discovery *d, int status)
{
	char text[64];

	if (status == 404) {
		d->absent = true;
		return;
	}
	snprintf(text, sizeof(text), "status %d", status);
	fail(d, text);
}

static void on_end(void *arg, const struct transfer_end *end)
{
	struct discovery *d = arg;

	d->transfer = NULL;
	cluster_on_end(d->c, end);
	if (end->outcome == TRANSFER_OK && end->status == 401 && !d->refreshed) {
		d->refreshed = true; /* settle sends it again */
		kube_text_fini(&d->text);
		credential_refused(&d->c->credential, end->generation);
		return;
	}
	if (end->outcome == TRANSFER_STOPPED) {
		cluster_count(d->c, KUBE_COUNTER_BAD_DISCOVERY);
		fail(d, "too large");
	} else if (end->outcome != TRANSFER_OK) {
		fail(d, end->why);
	} else if (end->status == 200) {
		read_document(d);
	} else {
		on_refused(d, end->status);
	}
	done(d);
}

static const struct transfer_ops ops = {.on_body = on_body, .on_end = on_end};

static void ask(struct discovery *d)
{
	struct transfer_request r = {.method = "GET",
		.path = d->path,
		.timeout_ms = DISCOVERY_TIMEOUT_MS,
		.gzip = true};

	switch (cluster_credential(d->c)) {
	case CREDENTIAL_PENDING:
		return;
	case CREDENTIAL_FAILED:
		fail(d, d->c->credential.why.msg);
		done(d);
		return;
	case CREDENTIAL_READY:
		cluster_count(d->c, KUBE_COUNTER_DISCOVERIES);
		cluster_count(d->c, KUBE_COUNTER_REQUESTS);
		d->transfer = transfer_start(&d->c->transfers, &r, &ops, d);
		bug_on(d->transfer == NULL);
	}
}

void discoveries_settle(struct kube_cluster *c)
{
	list_for_each_safe (l, &c->discoveries) {
		struct discovery *d = list_entry(l, struct discovery, link);

		if (d->pending && d->transfer == NULL)
			ask(d);
	}
}

static struct discovery *lookup(struct kube_cluster *c, const char *path)
{
	struct discovery *d;

	list_for_each (l, &c->discoveries) {
		d = list_entry(l, struct discovery, link);
		if (strcmp(d->path, path) == 0)
			return d;
	}
	d = calloc(1, sizeof(*d));
	bug_on(d == NULL);
	d->c = c;
	d->path = strdup(path);
	list_add_tail(&c->discoveries, &d->link);
	return d;
}

struct discovery *discovery_get(struct kube_cluster *c, const char *group, const char *version)
{
	struct discovery *d;
	char path[512];

	snprintf(path, sizeof(path), group[0] ? "/apis/%s/%s" : "/api%s/%s", group, version);
	d = lookup(c, path);
	if (d->pending || (d->at_us != 0 && clock_mono_us() - d->at_us < DISCOVERY_FRESH_US))
		return d;
	json_decref(d->resources);
	d->resources = NULL;
	d->failed = d->absent = d->refreshed = false;
	d->pending = true;
	cluster_soon(c);
	return d;
}

void discovery_forget(struct kube_cluster *c, const char *group)
{
	list_for_each (l, &c->discoveries) {
		struct discovery *d = list_entry(l, struct discovery, link);
		size_t n = group != NULL ? strlen(group) : 0;

		if (group == NULL ||
			(strncmp(d->path, "/apis/", 6) == 0 &&
				strncmp(d->path + 6, group, n) == 0 && d->path[6 + n] == '/'))
			d->at_us = 0;
	}
}

static bool can(const json_t *verbs, const char *verb)
{
	size_t i;
	json_t *v;

	json_array_foreach (verbs, i, v) {
		if (json_is_string(v) && strcmp(json_string_value(v), verb) == 0)
			return true;
	}
	return false;
}

const json_t *discovery_find(const struct discovery *d, const char *plural)
{
	size_t i;
	json_t *r;

	json_array_foreach (d->resources, i, r) {
		const char *name = object_text(r, "name"), *kind = object_text(r, "kind");
		const json_t *verbs = json_object_get(r, "verbs");

		if (name != NULL && kind != NULL && kind[0] != '\0' && strcmp(name, plural) == 0 &&
			can(verbs, "list") && can(verbs, "watch"))
			return r;
	}
	return NULL;
}

void discoveries_free(struct kube_cluster *c)
{
	list_for_each_safe (l, &c->discoveries) {
		struct discovery *d = list_entry(l, struct discovery, link);

		transfer_cancel(d->transfer);
		json_decref(d->resources);
		kube_text_fini(&d->text);
		list_del(&d->link);
		free(d->path);
		free(d);
	}
}
