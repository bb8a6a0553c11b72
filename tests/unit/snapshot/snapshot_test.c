// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_test.c: what goes in comes out; neighbouring versions read each other; nothing that an
 * image holds can hurt its reader.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/base/rng.h"
#include "dataplane/snapshot/snapshot.h"
#include "tests/unit/snapshot/sample.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct opened {
	uint8_t *image; /* owned */
	size_t len;
	struct snapshot s;
};

static void build(const struct build_config *c, struct opened *o)
{
	struct err err = {0};
	void *image;

	if (snapshot_build(c, &image, &o->len, &err) < 0)
		fail_msg("%s", err.msg);
	o->image = image;
	if (snapshot_open(o->image, o->len, &o->s, &err) < 0)
		fail_msg("%s", err.msg);
}

/* The caller frees. */
static char *dump(const struct snapshot *s)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	snapshot_dump(s, f);
	fclose(f);
	return text;
}

/* <want> is malloc'ed, zero behind its end, as long as the file. */
static void *read_file(const char *path, size_t *ret_len)
{
	FILE *f = fopen(path, "rb");
	char *want = calloc(1, 65536);

	assert_non_null(f);
	*ret_len = fread(want, 1, 65535, f);
	fclose(f);
	return want;
}

static void a_configuration_reads_as_its_text(void **state)
{
	struct opened o;
	char *got, *want;
	size_t len;

	want = read_file(SAMPLE "sample.txt", &len);
	build(sample_config(), &o);
	got = dump(&o.s);
	assert_string_equal(got, want);
	free(want);
	free(got);
	free(o.image);
}

static void what_goes_in_comes_out(void **state)
{
	struct opened o;
	struct snapshot_listener l;
	struct snapshot_rule r;
	struct snapshot_backend b;
	struct snapshot_service v;
	struct snapshot_endpoint e;

	build(sample_config(), &o);
	assert_true(o.s.generation == 7);
	assert_int_equal(snapshot_settings(&o.s).exchange_bytes_max, 262144);
	l = snapshot_listener(&o.s, snapshot_find_listener(&o.s, 51));
	assert_true(str_eq(snapshot_str(&o.s, l.name), STR("infra/gw/http")));
	assert_true(str_eq(snapshot_str(&o.s, l.hostname), STR("*.demo.lab")));
	assert_int_equal(l.addr_count, 2);
	assert_int_equal(l.port, 80);
	r = snapshot_rule(&o.s, snapshot_find_rule(&o.s, 31));
	assert_int_equal(r.request_timeout_ms, 10000);
	assert_int_equal(r.backend_count, 2);
	b = snapshot_backend(&o.s, r.backend_first + 1);
	assert_true(b.id == 22 && b.weight == 20 && b.status == BUILD_BACKEND_OK);
	assert_int_equal(snapshot_find_backend(&o.s, 22), r.backend_first + 1);
	assert_int_equal(b.service, snapshot_find_service(&o.s, 12));
	v = snapshot_service(&o.s, b.service);
	assert_int_equal(v.endpoint_count, 1);
	e = snapshot_endpoint(&o.s, v.endpoint_first);
	assert_true(e.id == 201 && e.port == 8080 && e.weight == 3 && e.draining == 1);
	assert_true(str_eq(snapshot_str(&o.s, e.cluster), STR("us-west")));
	assert_int_equal(snapshot_find_rule(&o.s, 99), SLOT_NONE);
	assert_int_equal(snapshot_find_rule(&o.s, 51), SLOT_NONE);
	free(o.image);
}

static void binds_are_found_by_address_and_port(void **state)
{
	struct opened o;
	struct ip_addr v4, v6, trusted;

	build(sample_config(), &o);
	ip_parse(STR("192.0.2.10"), &v4);
	ip_parse(STR("2001:db8::10"), &v6);
	assert_int_equal(snapshot_count(&o.s, SNAPSHOT_BIND), 3);
	for (uint32_t i = 0; i < 3; i++) {
		struct snapshot_bind b = snapshot_bind(&o.s, i);

		assert_int_equal(snapshot_find_bind(&o.s, &b.addr, b.port), i);
	}
	assert_int_not_equal(snapshot_find_bind(&o.s, &v4, 80), SLOT_NONE);
	assert_int_equal(snapshot_find_bind(&o.s, &v4, 8080), SLOT_NONE);
	assert_int_not_equal(snapshot_find_bind(&o.s, &v6, 8080), SLOT_NONE);
	assert_int_equal(snapshot_find_bind(&o.s, &v6, 81), SLOT_NONE);
	ip_parse(STR("10.200.0.1"), &trusted);
	assert_true(snapshot_is_trusted(&o.s, &trusted));
	assert_true(snapshot_is_trusted(&o.s, &v6));
	assert_false(snapshot_is_trusted(&o.s, &v4));
	free(o.image);
}

/* The hash is part of the format: other versions must find what this one has filed. */
static void the_hash_of_names_is_what_the_format_says(void **state)
{
	char text[] = "\xffxample-of-a-host\x80name-0123456789";

	for (size_t at = 0; at < 8; at++)
		for (size_t len = 0; len <= 24; len++) {
			uint64_t h = 7, w = 0;
			size_t i = 0;

			for (; i + 8 <= len; i += 8) {
				memcpy(&w, text + at + i, 8);
				h = hash_mix(h, w);
			}
			w = 0;
			for (size_t k = 0; i + k < len; k++)
				w |= (uint64_t)(uint8_t)text[at + i + k] << (8 * k);
			h = hash_mix(h, w ^ ((uint64_t)len << 56));
			assert_true(snapshot_hash(7, str_make(text + at, len)) == h);
		}
}

static void an_empty_configuration_is_an_image(void **state)
{
	static const struct build_config none = {.generation = 1};
	struct opened o;
	struct ip_addr a;

	build(&none, &o);
	ip_parse(STR("192.0.2.10"), &a);
	assert_int_equal(snapshot_find_bind(&o.s, &a, 80), SLOT_NONE);
	assert_int_equal(snapshot_find_service(&o.s, 1), SLOT_NONE);
	assert_int_equal(snapshot_count(&o.s, SNAPSHOT_RULE), 0);
	free(o.image);
}

static void equal_content_has_an_equal_digest(void **state)
{
	struct build_config c = *sample_config();
	struct opened a, b;

	build(&c, &a);
	c.generation++;
	build(&c, &b);
	assert_true(a.s.digest == b.s.digest && a.s.generation != b.s.generation);
	free(b.image);
	c.settings.idle_timeout_ms = 1;
	build(&c, &b);
	assert_true(a.s.digest != b.s.digest);
	free(a.image);
	free(b.image);
}

static void object_ids_tell_parts_apart(void **state)
{
	static const struct str ab_c[] = {STR("ab"), STR("c")}, a_bc[] = {STR("a"), STR("bc")};
	static const struct str abc[] = {STR("abc")}, empty[] = {STR("abc"), STR("")};
	uint64_t ids[] = {object_id(ab_c, 2), object_id(a_bc, 2), object_id(abc, 1),
		object_id(empty, 2), object_id(NULL, 0)};

	for (size_t i = 0; i < COUNT(ids); i++) {
		assert_true(ids[i] != 0);
		for (size_t k = 0; k < i; k++)
			assert_true(ids[i] != ids[k]);
	}
	assert_true(object_id(ab_c, 2) == ids[0]);
	/* journals and counters outlive programs: the function must never change */
	assert_true(ids[0] == 0x71c9aa8c53c64085ull);
}

/* Bad input, one change of the sample each. */
struct bad {
	const char *claim, *part;
	int rc;
	void (*change)(struct build_config *c);
};

static struct build_listener bad_listener;
static struct build_route bad_route;
static struct build_rule bad_rule;
static struct build_match bad_match;
static struct build_backend bad_backends[65];
static struct build_service bad_service[2];
static struct build_endpoint bad_endpoints[2];
static struct build_attachment bad_attachment;
static struct build_predicate bad_predicate;
static struct build_policy bad_policies[2];
static struct build_service_cluster bad_clusters[BUILD_CLUSTERS_MAX + 1];

/* A configuration of one listener, route, rule, match, backend and service, to be spoiled. */
static struct build_config good(void)
{
	static struct ip_addr addr;

	ip_parse(STR("192.0.2.1"), &addr);
	bad_endpoints[0] = bad_endpoints[1] =
		(struct build_endpoint){.id = 1, .addr = addr, .port = 80, .weight = 1};
	bad_endpoints[1].id = 2;
	bad_service[0] = bad_service[1] = (struct build_service){.id = 1,
		.name = STR("svc"),
		.endpoints = bad_endpoints,
		.endpoint_count = 2};
	build_policy_default(&bad_policies[0]);
	bad_policies[0].id = 1;
	bad_policies[0].name = STR("p");
	bad_policies[0].probe = BUILD_PROBE_HTTP;
	bad_policies[1] = bad_policies[0];
	bad_clusters[0] = (struct build_service_cluster){.name = STR("a")};
	bad_clusters[1] = (struct build_service_cluster){.name = STR("b")};
	bad_service[0].policy_id = 1;
	bad_service[0].clusters = bad_clusters;
	bad_service[0].cluster_count = 2;
	for (unsigned i = 0; i < COUNT(bad_backends); i++)
		bad_backends[i] = (struct build_backend){.id = i + 1,
			.name = STR("b"),
			.weight = 1,
			.service_id = 1};
	bad_predicate = (struct build_predicate){.name = STR("n"), .value = STR("v")};
	bad_match = (struct build_match){.path_type = BUILD_MATCH_PREFIX,
		.path = STR("/"),
		.headers = &bad_predicate,
		.header_count = 1};
	bad_rule = (struct build_rule){.id = 1,
		.name = STR("ns/r rule 0"),
		.matches = &bad_match,
		.match_count = 1,
		.backends = bad_backends,
		.backend_count = 1};
	bad_route = (struct build_route){.id = 1,
		.name = STR("ns/r"),
		.rules = &bad_rule,
		.rule_count = 1};
	bad_attachment = (struct build_attachment){.route = 0};
	bad_listener = (struct build_listener){.id = 1,
		.name = STR("l"),
		.addrs = &addr,
		.addr_count = 1,
		.port = 80,
		.attachments = &bad_attachment,
		.attachment_count = 1};
	return (struct build_config){.generation = 1,
		.listeners = &bad_listener,
		.listener_count = 1,
		.routes = &bad_route,
		.route_count = 1,
		.services = bad_service,
		.service_count = 1,
		.policies = bad_policies,
		.policy_count = 1};
}

#define BAD(name, code) \
	static void name(struct build_config *c) \
	{ \
		code; \
	}
BAD(nothing, (void)c)
BAD(regex_path, bad_match.path_type = BUILD_MATCH_REGEX)
BAD(regex_header, bad_predicate.type = BUILD_MATCH_REGEX)
BAD(relative_path, bad_match.path = STR("a"))
BAD(double_slash, bad_match.path = STR("/a//b"))
BAD(no_match, bad_rule.match_count = 0)
BAD(many_backends, bad_rule.backend_count = 65)
BAD(heavy_backend, bad_backends[0].weight = SNAPSHOT_WEIGHT_MAX + 1)
BAD(lost_service, bad_backends[0].service_id = 9)
BAD(twin_service, c->service_count = 2)
BAD(twin_endpoint, bad_endpoints[1].id = 1)
BAD(twin_backend, bad_rule.backend_count = 2; bad_backends[1].id = 1)
BAD(endpoint_port, bad_endpoints[0].port = 0)
BAD(listener_port, bad_listener.port = 0)
BAD(upper_hostname, bad_listener.hostname = STR("A.example"))
BAD(inner_wildcard, bad_listener.hostname = STR("a.*.example"))
BAD(lost_route, bad_attachment.route = 1)
BAD(false_intersection, bad_attachment.original = STR("a.example"))
BAD(no_intersection, bad_listener.hostname = STR("b.example");
	bad_attachment.original = STR("a.example"); bad_attachment.hostname = STR("a.example"))
BAD(trusted_len, static const struct ip_net n = {.len = 129}; c->settings.trusted = &n;
	c->settings.trusted_count = 1)
BAD(lost_policy, bad_service[0].policy_id = 2)
BAD(rule_policy, bad_rule.policy_id = 2)
BAD(twin_policy, c->policy_count = 2)
BAD(policy_id, bad_policies[0].id = 0; bad_service[0].policy_id = 0)
BAD(probe_path, bad_policies[0].path = STR("/a b"))
BAD(probe_host, bad_policies[0].host = STR("a\r\nb"))
BAD(probe_method, bad_policies[0].method = STR("GET /"))
BAD(probe_status, bad_policies[0].status[0].last = 600)
BAD(probe_statuses, bad_policies[0].status_count = BUILD_STATUS_RANGES_MAX + 1)
BAD(probe_kind, bad_policies[0].probe = 3)
BAD(probe_interval, bad_policies[0].interval_ms = 9)
BAD(probe_timeout, bad_policies[0].timeout_ms = 0)
BAD(probe_fall, bad_policies[0].fall = 0)
BAD(overprovisioning, bad_policies[0].overprovisioning_percent = 99)
BAD(panic, bad_policies[0].panic_percent = 101)
BAD(twin_cluster, bad_clusters[1].name = STR("a"))
BAD(many_clusters, bad_service[0].cluster_count = BUILD_CLUSTERS_MAX + 1)
BAD(cluster_priority, bad_clusters[0].priority = 16)
BAD(cluster_withheld, bad_clusters[0].withheld = 1001)

static const struct bad bad_rows[] = {
	{"nothing wrong", "", 0, nothing},
	{"a regular expression for a path is not supported", "ns/r rule 0: path match of type Reg",
		-ENOTSUP, regex_path},
	{"a regular expression for a header is not supported", "ns/r rule 0: header n", -ENOTSUP,
		regex_header},
	{"a relative path is refused", "path \"a\"", -EINVAL, relative_path},
	{"a path with an empty element is refused", "path \"/a//b\"", -EINVAL, double_slash},
	{"a rule without match is refused", "no match", -EINVAL, no_match},
	{"too many backends are refused", "65 backends", -EINVAL, many_backends},
	{"too heavy a backend is refused", "weight 1000001", -EINVAL, heavy_backend},
	{"a backend of no service is refused", "its service is not there", -EINVAL, lost_service},
	{"two services of one id are refused", "two services have the id", -EINVAL, twin_service},
	{"two backends of one id are refused", "two backends have the id", -EINVAL, twin_backend},
	{"an endpoint twice in a service is refused", "is there twice", -EINVAL, twin_endpoint},
	{"an endpoint without port is refused", "port 0", -EINVAL, endpoint_port},
	{"a listener without port is refused", "port 0", -EINVAL, listener_port},
	{"a hostname in upper case is refused", "hostname \"A.example\"", -EINVAL, upper_hostname},
	{"a wildcard inside is refused", "hostname", -EINVAL, inner_wildcard},
	{"an attachment of no route is refused", "route 1 of 1", -EINVAL, lost_route},
	{"a hostname that is no intersection is refused", "do not give", -EINVAL,
		false_intersection},
	{"hostnames without intersection are refused", "do not give", -EINVAL, no_intersection},
	{"a prefix of 129 bits is refused", "prefix length 129", -EINVAL, trusted_len},
	{"a service of no policy is refused", "a policy is not there", -EINVAL, lost_policy},
	{"a rule of no policy is refused", "a policy is not there", -EINVAL, rule_policy},
	{"two policies of one id are refused", "two policies have the id", -EINVAL, twin_policy},
	{"a policy without id is refused", "it has no id", -EINVAL, policy_id},
	{"a probe's path with a blank is refused", "no absolute path", -EINVAL, probe_path},
	{"a probe's host with a line break is refused", "no hostname", -EINVAL, probe_host},
	{"a probe's method that is no word is refused", "method", -EINVAL, probe_method},
	{"a status above 599 is refused", "outside 100 to 599", -EINVAL, probe_status},
	{"too many ranges of statuses are refused", "ranges", -EINVAL, probe_statuses},
	{"a probe of unknown kind is refused", "kind of the probe", -EINVAL, probe_kind},
	{"probes at less than 10 ms are refused", "interval", -EINVAL, probe_interval},
	{"probes without time-out are refused", "time-out", -EINVAL, probe_timeout},
	{"a threshold of 0 is refused", "threshold", -EINVAL, probe_fall},
	{"overprovisioning below 1 is refused", "overprovisioning", -EINVAL, overprovisioning},
	{"panic above 100 percent is refused", "above 100", -EINVAL, panic},
	{"a cluster twice in a service is refused", "is there twice", -EINVAL, twin_cluster},
	{"too many clusters are refused", "65 clusters", -EINVAL, many_clusters},
	{"a cluster's priority of 16 is refused", "priority 16", -EINVAL, cluster_priority},
	{"more than the whole withheld is refused", "withheld 1001", -EINVAL, cluster_withheld},
};

static void bad_input_is_refused_by_name(void **state)
{
	for (size_t i = 0; i < COUNT(bad_rows); i++) {
		struct build_config c = good();
		struct err err = {0};
		void *image = NULL;
		size_t len;
		int rc;

		bad_rows[i].change(&c);
		rc = snapshot_build(&c, &image, &len, &err);
		if (rc != bad_rows[i].rc || strstr(err.msg, bad_rows[i].part) == NULL)
			fail_msg("%s: got %d \"%s\"", bad_rows[i].claim, rc, err.msg);
		assert_int_equal(image == NULL, rc < 0);
		free(image);
	}
}

static void listeners_that_cannot_be_told_apart_are_refused(void **state)
{
	struct build_config c = good();
	struct build_listener two[2] = {bad_listener, bad_listener};
	struct err err = {0};
	void *image = NULL;
	size_t len;

	two[1].id = 2;
	two[1].name = STR("m");
	c.listeners = two;
	c.listener_count = 2;
	assert_int_equal(snapshot_build(&c, &image, &len, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "listeners l and m"));
}

/*
 * The same image as another version would write it: every record <extra> bytes longer (garbage
 * behind what we know), rules and paths without their optional tails, and a section that we do not
 * know.
 */
static uint8_t *rewrite(const struct opened *o, uint32_t extra, bool no_tails, size_t *ret_len)
{
	struct snapshot_header h;
	size_t len = 8u << 20, table, off;
	uint8_t *out = calloc(1, len);

	memcpy(&h, o->image, sizeof(h));
	table = sizeof(h);
	off = table + (h.section_count + 1) * sizeof(struct snapshot_entry);
	for (uint32_t i = 0; i < h.section_count; i++) {
		struct snapshot_entry e, n;

		memcpy(&e, o->image + sizeof(h) + i * sizeof(e), sizeof(e));
		n = e;
		if (e.stride > 1)
			n.stride += extra;
		if (no_tails && (e.id == SNAPSHOT_ID_RULE || e.id == SNAPSHOT_ID_PATH))
			n.stride = 24;
		if (no_tails && e.id == SNAPSHOT_ID_SERVICE_CLUSTER)
			n.count = 0, e.count = 0;
		if (no_tails && e.id == SNAPSHOT_ID_SERVICE)
			n.stride = 24;
		n.off = off;
		for (uint32_t k = 0; k < e.count; k++) {
			memset(out + off, 0xa5, n.stride);
			memcpy(out + off, o->image + e.off + (size_t)k * e.stride,
				n.stride < e.stride ? n.stride : e.stride);
			off += n.stride;
		}
		off = (off + 7) & ~(size_t)7;
		memcpy(out + table, &n, sizeof(n));
		table += sizeof(n);
	}
	memcpy(out + table, &(struct snapshot_entry){.id = 999, .stride = 7, .off = 3, .count = 9},
		sizeof(struct snapshot_entry));
	h.section_count++;
	h.version = extra > 0 ? SNAPSHOT_VERSION + 1 : SNAPSHOT_VERSION;
	h.image_len = off;
	memcpy(out, &h, sizeof(h));
	snapshot_seal(out, off);
	*ret_len = off;
	return out;
}

static void a_newer_image_with_longer_records_is_read(void **state)
{
	for (uint32_t extra = 0; extra <= 64; extra += 8) {
		struct opened o, n;
		struct err err = {0};
		char *a, *b;

		build(sample_config(), &o);
		n.image = rewrite(&o, extra, false, &n.len);
		if (snapshot_open(n.image, n.len, &n.s, &err) < 0)
			fail_msg("%u: %s", extra, err.msg);
		a = dump(&o.s), b = dump(&n.s);
		assert_string_equal(a, b);
		assert_int_equal(snapshot_find_rule(&n.s, 33), snapshot_find_rule(&o.s, 33));
		free(a), free(b), free(o.image), free(n.image);
	}
}

static void an_older_image_without_optional_fields_is_read(void **state)
{
	struct opened o, n;
	struct err err = {0};
	struct snapshot_rule r;

	build(sample_config(), &o);
	n.image = rewrite(&o, 0, true, &n.len);
	if (snapshot_open(n.image, n.len, &n.s, &err) < 0)
		fail_msg("%s", err.msg);
	r = snapshot_rule(&n.s, snapshot_find_rule(&n.s, 31));
	assert_int_equal(r.request_timeout_ms, 0);
	assert_int_equal(r.backend_count, 2);
	assert_true(snapshot_has_path_tail(&o.s) && !snapshot_has_path_tail(&n.s));
	free(o.image);
	free(n.image);
}

/* Written by version 1: without policies, clusters and failover. */
static void the_image_of_the_version_before_is_read(void **state)
{
	struct opened o;
	struct err err = {0};
	struct build_policy p, standard;
	char *got, *want;
	size_t len;

	o.image = read_file(SAMPLE "sample-1.image", &o.len);
	want = read_file(SAMPLE "sample-1.txt", &len);
	if (snapshot_open(o.image, o.len, &o.s, &err) < 0)
		fail_msg("%s", err.msg);
	got = dump(&o.s);
	assert_string_equal(got, want);
	assert_int_equal(snapshot_service(&o.s, 0).cluster_count, 0);
	assert_int_equal(snapshot_rule(&o.s, 0).failover, 0);
	snapshot_policy_read(&o.s, snapshot_service(&o.s, 0).policy, &p);
	build_policy_default(&standard);
	assert_memory_equal(&p, &standard, sizeof(p));
	free(got);
	free(want);
	free(o.image);
}

static void policies_and_clusters_come_out_as_they_went_in(void **state)
{
	const struct build_config *c = sample_config();
	struct build_policy p;
	struct snapshot_service v;
	struct snapshot_service_cluster w;
	struct snapshot_rule r;
	struct opened o;

	build(c, &o);
	v = snapshot_service(&o.s, snapshot_find_service(&o.s, 12));
	snapshot_policy_read(&o.s, v.policy, &p);
	assert_true(p.id == 62 && str_eq(p.path, STR("/healthz?x=1")) && p.status_count == 2);
	assert_memory_equal(p.status, c->policies[0].status, sizeof(p.status));
	assert_int_equal(v.cluster_count, 2);
	w = snapshot_service_cluster(&o.s, v.cluster_first + 1);
	assert_true(str_eq(snapshot_str(&o.s, w.name), STR("us-west")) && w.remote == 1);
	assert_true(w.priority == 1 && w.withheld == 250 && w.unready == 2);
	r = snapshot_rule(&o.s, snapshot_find_rule(&o.s, 31));
	assert_int_equal(r.failover, 1);
	snapshot_policy_read(&o.s, r.policy, &p);
	assert_true(p.id == 61 && p.probe == BUILD_PROBE_TCP);
	free(o.image);
}

/* The tail of a path repeats what the image says elsewhere: it may not say something else. */
static void a_path_whose_tail_lies_is_refused(void **state)
{
	static const struct {
		size_t at;
		uint8_t flip;
	} lies[] = {{offsetof(struct snapshot_path, rule), 0x80},
		{offsetof(struct snapshot_path, text), 1},
		{offsetof(struct snapshot_path, text) + 3, 0x80}};
	struct err err = {0};
	struct snapshot s;
	struct opened o;

	build(sample_config(), &o);
	for (uint32_t i = 0; i < snapshot_count(&o.s, SNAPSHOT_PATH); i++) {
		uint8_t *p = (uint8_t *)(uintptr_t)snapshot_at(&o.s, SNAPSHOT_PATH, i);

		for (size_t k = 0; k < sizeof(lies) / sizeof(lies[0]); k++) {
			if (((const struct snapshot_path *)p)->path.len < 4)
				continue;
			p[lies[k].at] ^= lies[k].flip;
			snapshot_seal(o.image, o.len);
			assert_int_equal(snapshot_open(o.image, o.len, &s, &err), -EINVAL);
			assert_non_null(strstr(err.msg, "tail"));
			p[lies[k].at] ^= lies[k].flip;
		}
	}
	free(o.image);
}

static void every_changed_byte_is_noticed(void **state)
{
	struct opened o;
	struct snapshot s;

	build(sample_config(), &o);
	for (size_t i = 0; i < o.len; i++) {
		o.image[i] ^= 1 << (i % 8);
		assert_int_equal(snapshot_open(o.image, o.len, &s, NULL), -EINVAL);
		o.image[i] ^= 1 << (i % 8);
	}
	for (size_t len = 0; len < o.len; len += 13) {
		uint8_t *part = malloc(len ? len : 1);

		memcpy(part, o.image, len);
		assert_int_equal(snapshot_open(part, len, &s, NULL), -EINVAL);
		free(part);
	}
	free(o.image);
}

/* What passes the checks is walked whole: the sanitizer watches. */
static void use(const struct snapshot *s)
{
	char *text = dump(s);

	free(text);
	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_BIND); i++) {
		struct snapshot_bind b = snapshot_bind(s, i);

		assert_int_equal(snapshot_find_bind(s, &b.addr, b.port), i);
	}
}

static void an_image_made_to_hurt_is_refused_or_harmless(void **state)
{
	static const uint32_t nasty[] = {0, 1, 2, 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff8};
	struct opened o;
	unsigned passed = 0;
	struct rng r;

	rng_seed(&r, 1);
	build(sample_config(), &o);
	for (unsigned round = 0; round < 30000; round++) {
		uint8_t *evil = malloc(o.len);
		struct snapshot s;

		memcpy(evil, o.image, o.len);
		for (uint64_t n = 1 + rng_below(&r, 2); n > 0; n--) {
			size_t at = rng_below(&r, o.len / 4 - 1) * 4;
			uint32_t v = rng_below(&r, 2) ? nasty[rng_below(&r, COUNT(nasty))]
						      : evil[at] + (uint32_t)rng_below(&r, 9) - 4;

			if (at >= 8) /* keep the magic */
				memcpy(evil + at, &v, 4);
		}
		snapshot_seal(evil, o.len);
		if (snapshot_open(evil, o.len, &s, NULL) == 0) {
			passed++;
			use(&s);
		}
		free(evil);
	}
	assert_true(passed > 100); /* ids, weights, text: the test reaches behind the checks */
	free(o.image);
}

/* snapshot_test --image FILE writes the sample's image: a golden one for the versions to come. */
static int write_image(const char *path)
{
	struct opened o;
	FILE *f = fopen(path, "wb");
	int rv = 1;

	build(sample_config(), &o);
	if (f != NULL && fwrite(o.image, 1, o.len, f) == o.len)
		rv = 0;
	if (f != NULL)
		fclose(f);
	free(o.image);
	return rv;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_configuration_reads_as_its_text),
		cmocka_unit_test(what_goes_in_comes_out),
		cmocka_unit_test(binds_are_found_by_address_and_port),
		cmocka_unit_test(the_hash_of_names_is_what_the_format_says),
		cmocka_unit_test(an_empty_configuration_is_an_image),
		cmocka_unit_test(equal_content_has_an_equal_digest),
		cmocka_unit_test(object_ids_tell_parts_apart),
		cmocka_unit_test(bad_input_is_refused_by_name),
		cmocka_unit_test(listeners_that_cannot_be_told_apart_are_refused),
		cmocka_unit_test(a_newer_image_with_longer_records_is_read),
		cmocka_unit_test(an_older_image_without_optional_fields_is_read),
		cmocka_unit_test(the_image_of_the_version_before_is_read),
		cmocka_unit_test(policies_and_clusters_come_out_as_they_went_in),
		cmocka_unit_test(a_path_whose_tail_lies_is_refused),
		cmocka_unit_test(every_changed_byte_is_noticed),
		cmocka_unit_test(an_image_made_to_hurt_is_refused_or_harmless),
	};

	if (argc == 3 && strcmp(argv[1], "--image") == 0)
		return write_image(argv[2]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
