// SPDX-License-Identifier: Apache-2.0
/*
 * view.c: shapes that several handlers share.
 */
#include "control/api/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/base/bug.h"
#include "dataplane/route/traffic.h"

json_t *view_str(struct str s)
{
	json_t *j = json_stringn(s.len ? s.p : "", s.len);
	char *copy;

	if (j != NULL)
		return j;
	copy = malloc(s.len);
	if (copy == NULL)
		return NULL;
	for (size_t i = 0; i < s.len; i++)
		copy[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
	j = json_stringn(copy, s.len);
	free(copy);
	return j;
}

json_t *view_str_or_null(struct str s)
{
	return s.p != NULL ? view_str(s) : json_null();
}

void view_id_format(uint64_t id, char buf[VIEW_ID_STRLEN])
{
	snprintf(buf, VIEW_ID_STRLEN, "%016" PRIx64, id);
}

json_t *view_id(uint64_t id)
{
	char buf[VIEW_ID_STRLEN];

	view_id_format(id, buf);
	return json_string(buf);
}

json_t *view_addr(const struct ip_addr *a)
{
	char buf[IP_ADDR_STRLEN];

	return json_string(ip_format(a, buf));
}

json_t *view_net(const struct ip_net *n)
{
	char buf[IP_ADDR_STRLEN];
	unsigned len = ip_is_v4(&n->addr) ? n->len - 96u : n->len;

	return json_sprintf("%s/%u", ip_format(&n->addr, buf), len);
}

json_t *view_time(int64_t seconds)
{
	time_t t = (time_t)seconds;
	struct tm tm;
	char buf[32];

	gmtime_r(&t, &tm);
	strftime(buf, sizeof(buf), "%Y-%m-%dT%H:%M:%SZ", &tm);
	return json_string(buf);
}

double view_percent(uint64_t part, uint64_t whole)
{
	return whole > 0 ? 100.0 * (double)part / (double)whole : 0.0;
}

static struct traffic_policy traffic_policy_of(const struct build_config *c, uint64_t id)
{
	struct build_policy p;

	build_policy_default(&p);
	for (uint32_t i = 0; id != 0 && i < c->policy_count; i++)
		if (c->policies[i].id == id)
			p = c->policies[i];
	return (struct traffic_policy){p.overprovisioning_percent, p.panic_percent, false};
}

/* The cluster as a member of the formula, all of its ready endpoints well. */
static struct traffic_member member_of(const struct build_service *s, uint32_t cluster)
{
	const struct build_service_cluster *k = &s->clusters[cluster];
	struct traffic_member m = {.tier = k->priority,
		.total = k->unready,
		.held = k->withheld * (TRAFFIC_WHOLE / BUILD_PERMILLE)};

	for (uint32_t i = 0; i < s->endpoint_count; i++) {
		const struct build_endpoint *e = &s->endpoints[i];

		if (e->draining || e->weight == 0 || !str_eq(e->cluster, k->name))
			continue;
		m.weight += e->weight;
		m.ready++;
	}
	if (m.ready == 0 && k->unready != 0 && k->withheld < BUILD_PERMILLE)
		m.weight =
			1; /* nobody gets anything there, but it should be able to take its part */
	m.avail = m.ready;
	m.total += m.ready;
	return m;
}

/* Percent of the service that goes to the ready endpoints of cluster <name>, which has some. */
static double cluster_percent(const struct build_config *c, const struct build_service *s,
	struct str name)
{
	struct traffic_policy p = traffic_policy_of(c, s->policy_id);
	struct traffic_member m[TRAFFIC_MEMBERS_MAX];
	struct traffic t;
	uint32_t at = 0;

	for (uint32_t i = 0; i < s->cluster_count; i++) {
		m[i] = member_of(s, i);
		if (str_eq(s->clusters[i].name, name))
			at = i;
	}
	traffic_shares(m, s->cluster_count, &p, &t);
	return view_percent(t.share[at], t.total);
}

/* Draining endpoints carry traffic only when there is nothing else (build.h). */
double view_endpoint_percent(const struct build_config *c, const struct build_service *s,
	uint32_t endpoint)
{
	uint64_t ready = 0, draining = 0, own = 0;
	const struct build_endpoint *e = &s->endpoints[endpoint];

	for (uint32_t i = 0; i < s->endpoint_count; i++) {
		const struct build_endpoint *x = &s->endpoints[i];

		*(x->draining ? &draining : &ready) += x->weight;
		own += !x->draining && str_eq(x->cluster, e->cluster) ? x->weight : 0;
	}
	if (e->draining)
		return ready > 0 ? 0.0 : view_percent(e->weight, draining);
	if (s->cluster_count < 2 || s->cluster_count > TRAFFIC_MEMBERS_MAX)
		return view_percent(e->weight, ready);
	return own == 0 ? 0.0 : cluster_percent(c, s, e->cluster) * e->weight / (double)own;
}

const char *view_backend_status(enum build_backend_status s)
{
	switch (s) {
	case BUILD_BACKEND_OK:
		return "OK";
	case BUILD_BACKEND_INVALID_KIND:
		return "InvalidKind";
	case BUILD_BACKEND_NOT_FOUND:
		return "BackendNotFound";
	case BUILD_BACKEND_REF_NOT_PERMITTED:
		return "RefNotPermitted";
	case BUILD_BACKEND_UNSUPPORTED:
		return "UnsupportedProtocol";
	}
	bug_on(true);
	return "";
}

const struct build_service *view_service_lookup(const struct build_config *c, uint64_t id)
{
	for (uint32_t i = 0; i < c->service_count; i++)
		if (c->services[i].id == id)
			return &c->services[i];
	return NULL;
}

bool view_need_config(struct api_request *r)
{
	if (r->source->compiled != NULL)
		return true;
	api_reply_problem(r, PROBLEM_NOT_READY, "the manifests have not been read yet");
	return false;
}

json_t *view_body(struct api_request *r)
{
	struct str type = r->in.content_type;
	json_error_t je;
	json_t *j;

	type = str_trim(str_cut(&type, ';'));
	if (!str_ieq(type, STR("application/json")) &&
		!str_ieq(type, STR("application/merge-patch+json"))) {
		api_reply_problem(r, PROBLEM_UNSUPPORTED_MEDIA_TYPE, "send application/json");
		return NULL;
	}
	j = json_loadb(r->in.body.len ? r->in.body.p : "", r->in.body.len, JSON_REJECT_DUPLICATES,
		&je);
	if (!json_is_object(j)) {
		api_reply_problem(r, PROBLEM_BAD_REQUEST, "the body is no JSON object: line %d: %s",
			je.line, j == NULL ? je.text : "another type");
		json_decref(j);
		return NULL;
	}
	return j;
}
