// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_policy.c: policies and the clusters of services: their defaults, what is impossible
 * about them, and their way into an image and out of it.
 *
 * The defaults are those of Envoy Gateway's BackendTrafficPolicy (healthCheck.passive,
 * panicThreshold) and of Envoy's load balancer (overprovisioning 1.4). What a probe says goes out as
 * a request of ours, so its parts are checked as such: no blanks, no control characters.
 */
#include <errno.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/snapshot/snapshot_build.h"
#include "dataplane/snapshot/snapshot_check.h"

#define INTERVAL_MS_MIN 10u
#define INTERVAL_MS_MAX 3600000u
#define EJECTION_MS_MAX 86400000u
#define OVERPROVISIONING_MAX 10000u
#define METHOD_MAX 32u
#define HOST_MAX (SNAPSHOT_HOSTNAME_MAX + 6u) /* with a port */

void build_policy_default(struct build_policy *ret)
{
	*ret = (struct build_policy){
		.interval_ms = 3000,
		.timeout_ms = 1000,
		.fall = 3,
		.rise = 1,
		.path = STR("/"),
		.method = STR("GET"),
		.status = {{200, 200}},
		.status_count = 1,
		.consecutive_5xx = 5,
		.consecutive_local_failures = 5,
		.base_ejection_ms = 30000,
		.max_ejection_ms = 300000,
		.max_ejection_percent = 10,
		.panic_percent = 50,
		.overprovisioning_percent = 140,
		.ramp_points_per_s = 10,
	};
}

static bool is_visible(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f)
			return false;
	return true;
}

static const char *http_fault(const struct build_policy *p)
{
	if (p->path.len == 0 || p->path.len > SNAPSHOT_PATH_MAX || p->path.p[0] != '/' ||
		!is_visible(p->path))
		return "the path of the probe is no absolute path";
	if (p->host.len > HOST_MAX || !is_visible(p->host))
		return "the host of the probe is no hostname";
	if (p->method.len == 0 || p->method.len > METHOD_MAX)
		return "the method of the probe is none";
	for (size_t i = 0; i < p->method.len; i++)
		if (p->method.p[i] < 'A' || p->method.p[i] > 'Z')
			return "the method of the probe is none";
	if (p->status_count == 0 || p->status_count > BUILD_STATUS_RANGES_MAX)
		return "the probe expects no status, or too many ranges of them";
	for (unsigned i = 0; i < p->status_count; i++)
		if (p->status[i].first < 100 || p->status[i].last > 599 ||
			p->status[i].first > p->status[i].last)
			return "a status that the probe expects is outside 100 to 599";
	return NULL;
}

static const char *probe_fault(const struct build_policy *p)
{
	if (p->probe == BUILD_PROBE_NONE)
		return NULL;
	if (p->probe > BUILD_PROBE_TCP)
		return "the kind of the probe is unknown";
	if (p->interval_ms < INTERVAL_MS_MIN || p->interval_ms > INTERVAL_MS_MAX)
		return "the interval of the probe is outside 10 ms to 1 h";
	if (p->timeout_ms == 0 || p->timeout_ms > INTERVAL_MS_MAX)
		return "the time-out of the probe is outside 1 ms to 1 h";
	if (p->fall == 0 || p->rise == 0)
		return "a threshold of the probe is 0";
	return p->probe == BUILD_PROBE_HTTP ? http_fault(p) : NULL;
}

const char *build_policy_fault(const struct build_policy *p)
{
	if (p->base_ejection_ms > EJECTION_MS_MAX || p->max_ejection_ms > EJECTION_MS_MAX)
		return "an ejection is longer than a day";
	if (p->max_ejection_percent > 100 || p->panic_percent > 100)
		return "a percentage is above 100";
	if (p->overprovisioning_percent < 100 || p->overprovisioning_percent > OVERPROVISIONING_MAX)
		return "overprovisioning is outside 100 to 10000 percent";
	if (p->slow_start_ms > INTERVAL_MS_MAX)
		return "the slow start is longer than an hour";
	return probe_fault(p);
}

void snapshot_policy_read(const struct snapshot *s, uint32_t number, struct build_policy *ret)
{
	struct snapshot_policy p;

	build_policy_default(ret);
	if (number == 0)
		return;
	p = snapshot_policy(s, number - 1);
	*ret = (struct build_policy){
		.id = p.id,
		.name = snapshot_str(s, p.name),
		.probe = p.probe,
		.interval_ms = p.interval_ms,
		.timeout_ms = p.timeout_ms,
		.fall = p.fall,
		.rise = p.rise,
		.path = snapshot_str(s, p.path),
		.host = snapshot_str(s, p.host),
		.method = snapshot_str(s, p.method),
		.status_count = p.status_count,
		.consecutive_5xx = p.consecutive_5xx,
		.consecutive_local_failures = p.consecutive_local_failures,
		.base_ejection_ms = p.base_ejection_ms,
		.max_ejection_ms = p.max_ejection_ms,
		.max_ejection_percent = p.max_ejection_percent,
		.panic_percent = p.panic_percent,
		.overprovisioning_percent = p.overprovisioning_percent,
		.slow_start_ms = p.slow_start_ms,
		.ramp_points_per_s = p.ramp_points_per_s,
	};
	memcpy(ret->status, p.status, sizeof(ret->status));
}

static int cmp_policy(const void *a, const void *b)
{
	const struct build_policy *x = *(const struct build_policy *const *)a;
	const struct build_policy *y = *(const struct build_policy *const *)b;
	int d = str_cmp(x->name, y->name);

	return d != 0 ? d : (x->id > y->id) - (x->id < y->id);
}

static int cmp_key(const void *a, const void *b)
{
	const struct build_key *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static int add_policy(struct build *b, const struct build_policy *in, struct err *err)
{
	const char *fault = build_policy_fault(in);
	struct snapshot_policy rec = {
		.id = in->id,
		.name = image_text(&b->im, in->name),
		.path = image_text(&b->im, in->path),
		.host = image_text(&b->im, in->host),
		.method = image_text(&b->im, in->method),
		.interval_ms = in->interval_ms,
		.timeout_ms = in->timeout_ms,
		.base_ejection_ms = in->base_ejection_ms,
		.max_ejection_ms = in->max_ejection_ms,
		.slow_start_ms = in->slow_start_ms,
		.fall = in->fall,
		.rise = in->rise,
		.consecutive_5xx = in->consecutive_5xx,
		.consecutive_local_failures = in->consecutive_local_failures,
		.overprovisioning_percent = in->overprovisioning_percent,
		.ramp_points_per_s = in->ramp_points_per_s,
		.probe = in->probe,
		.status_count = in->status_count,
		.max_ejection_percent = in->max_ejection_percent,
		.panic_percent = in->panic_percent,
	};
	int rc = build_name_check(in->name, "policy", err);

	if (rc < 0)
		return rc;
	if (in->id == 0 || fault != NULL)
		return err_set(err, EINVAL, "policy %.*s: %s", STR_FMT(in->name),
			fault != NULL ? fault : "it has no id");
	memcpy(rec.status, in->status, in->status_count * sizeof(rec.status[0]));
	image_add(&b->im, SNAPSHOT_POLICY, &rec);
	return 0;
}

int build_policies(struct build *b, struct err *err)
{
	uint32_t n = b->in->policy_count;
	const struct build_policy **order = calloc(n + 1ul, sizeof(*order));
	int rc = 0;

	b->policies = calloc(n + 1ul, sizeof(*b->policies));
	bug_on(order == NULL || b->policies == NULL);
	for (uint32_t i = 0; i < n; i++)
		order[i] = &b->in->policies[i];
	qsort(order, n, sizeof(*order), cmp_policy);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		rc = add_policy(b, order[i], err);
		b->policies[i] = (struct build_key){order[i]->id, i + 1};
	}
	free(order);
	b->policy_count = n;
	qsort(b->policies, n, sizeof(*b->policies), cmp_key);
	for (uint32_t i = 1; i < n && rc == 0; i++)
		if (b->policies[i - 1].id == b->policies[i].id)
			rc = err_set(err, EINVAL, "two policies have the id %016llx",
				(unsigned long long)b->policies[i].id);
	return rc;
}

int build_policy_number(const struct build *b, uint64_t id, uint32_t *ret, struct err *err)
{
	const struct build_key *k;

	*ret = 0;
	if (id == 0)
		return 0;
	k = bsearch(&(struct build_key){.id = id}, b->policies, b->policy_count,
		sizeof(*b->policies), cmp_key);
	if (k == NULL)
		return err_set(err, EINVAL, "a policy is not there: id %016llx",
			(unsigned long long)id);
	*ret = k->index;
	return 0;
}

static int cmp_cluster(const void *a, const void *b)
{
	const struct build_service_cluster *x = *(const struct build_service_cluster *const *)a;
	const struct build_service_cluster *y = *(const struct build_service_cluster *const *)b;

	return str_cmp(x->name, y->name);
}

static int add_cluster(struct build *b, const struct build_service *svc,
	const struct build_service_cluster *in, struct err *err)
{
	struct snapshot_service_cluster rec = {
		.name = image_text(&b->im, in->name),
		.unready = in->unready,
		.withheld = in->withheld,
		.priority = in->priority,
		.remote = in->remote,
	};

	image_add(&b->im, SNAPSHOT_SERVICE_CLUSTER, &rec);
	if (in->priority > BUILD_SERVICE_CLUSTER_PRIORITY_MAX || in->withheld > BUILD_PERMILLE)
		return err_set(err, EINVAL, "service %.*s: cluster %.*s: priority %u, withheld %u",
			STR_FMT(svc->name), STR_FMT(in->name), in->priority, in->withheld);
	return build_name_check(in->name, "cluster", err);
}

int build_clusters(struct build *b, const struct build_service *svc, struct err *err)
{
	const struct build_service_cluster *order[BUILD_CLUSTERS_MAX];
	uint32_t n = svc->cluster_count;
	int rc = 0;

	if (n > BUILD_CLUSTERS_MAX)
		return err_set(err, EINVAL, "service %.*s: %u clusters, the limit is %u",
			STR_FMT(svc->name), n, BUILD_CLUSTERS_MAX);
	for (uint32_t i = 0; i < n; i++)
		order[i] = &svc->clusters[i];
	if (n > 1)
		qsort(order, n, sizeof(order[0]), cmp_cluster);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		rc = add_cluster(b, svc, order[i], err);
		if (rc == 0 && i > 0 && str_eq(order[i - 1]->name, order[i]->name))
			rc = err_set(err, EINVAL, "service %.*s: cluster %.*s is there twice",
				STR_FMT(svc->name), STR_FMT(order[i]->name));
	}
	return rc;
}

int snapshot_policies_check(const struct snapshot *s, struct err *err)
{
	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_POLICY); i++) {
		struct snapshot_policy p = snapshot_policy(s, i);
		struct build_policy read;

		if (!snapshot_is_text(s, p.name, SNAPSHOT_NAME_MAX) ||
			!snapshot_is_text(s, p.path, SNAPSHOT_PATH_MAX) ||
			!snapshot_is_text(s, p.host, SNAPSHOT_PATH_MAX) ||
			!snapshot_is_text(s, p.method, SNAPSHOT_PATH_MAX))
			return err_set(err, EINVAL, "snapshot: POLICY %u: text", i);
		snapshot_policy_read(s, i + 1, &read);
		if (p.id == 0 || p.status_count > BUILD_STATUS_RANGES_MAX ||
			build_policy_fault(&read) != NULL)
			return err_set(err, EINVAL, "snapshot: POLICY %u: an impossible value", i);
	}
	return 0;
}

int snapshot_clusters_check(const struct snapshot *s, const struct snapshot_service *v,
	struct err *err)
{
	for (uint32_t i = 0; i < v->cluster_count; i++) {
		uint32_t at = v->cluster_first + i;
		struct snapshot_service_cluster c = snapshot_service_cluster(s, at), before;

		if (!snapshot_is_text(s, c.name, SNAPSHOT_NAME_MAX) || c.remote > 1 ||
			c.priority > BUILD_SERVICE_CLUSTER_PRIORITY_MAX ||
			c.withheld > BUILD_PERMILLE)
			return err_set(err, EINVAL, "snapshot: SERVICE_CLUSTER %u: value", at);
		if (i == 0)
			continue;
		before = snapshot_service_cluster(s, at - 1);
		if (str_cmp(snapshot_str(s, before.name), snapshot_str(s, c.name)) >= 0)
			return err_set(err, EINVAL, "snapshot: SERVICE_CLUSTER %u: order", at);
	}
	return 0;
}
