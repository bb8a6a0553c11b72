// SPDX-License-Identifier: Apache-2.0
/*
 * store_disk_test.c: objects of API servers as files: what is written is read again as it was, and
 * nothing else is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/store/store_disk.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/hash.h"
#include "manifest_json.h"

#define EAST STR("us-east")
#define GOLDEN STR("golden")
#define GOLDEN_DIR SOURCE_ROOT "/tests/golden"

static void feed(void *arg, struct str cluster, json_t *object)
{
	const char *version = json_string_value(json_object_get(object, "apiVersion"));
	enum kind kind = kind_of(str_of(version),
		str_of(json_string_value(json_object_get(object, "kind"))));

	store_api_upsert(store_api_kind(arg, cluster, kind), object);
}

static void put(struct store *s, struct str cluster, const char *text)
{
	json_t *j = manifest_json_text(text);

	assert_non_null(j);
	feed(s, cluster, j);
	json_decref(j);
}

/* One Service, one that is on its way out, and status with what JSON must escape. */
static struct store *small(void)
{
	struct store *s = store_new();

	put(s, EAST,
		"{apiVersion: v1, kind: Service, metadata: {name: a, namespace: demo}, spec: "
		"{ports: [{port: 80}]}, status: "
		"{loadBalancer: {ingress: [{ip: 192.0.2.1, hostname: \"tab\\tline\\nend 1\"}]}}}");
	put(s, EAST,
		"{apiVersion: v1, kind: Service, metadata: {name: b, namespace: demo, "
		"finalizers: [x.io/y], deletionTimestamp: "
		"'2026-11-21T09:00:00Z', annotations: {k: \"\\u00fc\\ttab\"}}, spec: {ports: "
		"[{port: 81}]}}");
	return s;
}

static char *text_of(struct store *s, struct str cluster, enum kind kind, size_t *ret_len)
{
	struct store_shot shot;
	struct err err;
	char *text;

	store_shot_take(store_api_kind(s, cluster, kind), &shot);
	assert_int_equal(store_disk_text(&shot, &text, ret_len, &err), 0);
	store_shot_fini(&shot);
	return text;
}

static enum store_disk_fault parse(const char *text, size_t len, struct str cluster, enum kind kind,
	uint32_t *ret_objects)
{
	/* exactly as long: the sanitizer sees the first byte too far */
	autofree char *copy = malloc(len ? len : 1);
	struct store *s = store_new();
	struct store_kind *k = store_api_kind(s, cluster, kind);
	struct store_disk_result r;
	enum store_disk_fault fault;

	memcpy(copy, text, len);
	fault = store_disk_parse(k, str_make(copy, len), &r);
	*ret_objects = store_api_count(k);
	assert_int_equal(r.objects, *ret_objects);
	if (fault != STORE_DISK_OK)
		assert_int_equal(*ret_objects, 0);
	store_free(s);
	return fault;
}

static void assert_same(const struct object *a, const struct object *b)
{
	assert_true(str_eq(a->ns, b->ns) && str_eq(a->name, b->name));
	assert_true(str_eq(a->uid, b->uid));
	assert_true(str_eq(a->resource_version, b->resource_version));
	assert_true(str_eq(a->status, b->status));
	assert_true(str_eq(a->text, b->text));
	assert_int_equal(a->generation, b->generation);
	assert_int_equal(a->created, b->created);
	assert_int_equal(a->deleted, b->deleted);
	assert_int_equal(a->finalizers_count, b->finalizers_count);
	assert_int_equal(a->labels.count, b->labels.count);
	assert_int_equal(a->annotations.count, b->annotations.count);
	if (a->kind != KIND_CONFIG_MAP)
		assert_int_equal(a->spec_digest, b->spec_digest);
	if (a->kind != KIND_CONFIG_MAP && kind_info[a->kind].schema != NULL)
		assert_int_equal(a->content_digest, b->content_digest);
}

struct collected {
	const struct object *objects[512];
	uint32_t count;
};

static void collect(void *arg, const struct object *o)
{
	struct collected *c = arg;

	assert_in_range(c->count, 0, 511);
	c->objects[c->count++] = o;
}

/* Returns how many there were. */
static uint32_t round_trip(struct store *s, struct str cluster, enum kind kind)
{
	struct collected was = {.count = 0}, now = {.count = 0};
	struct store *fresh = store_new();
	struct store_disk_result r;
	size_t len;
	autofree char *text = text_of(s, cluster, kind, &len);

	assert_int_equal(store_disk_parse(store_api_kind(fresh, cluster, kind), str_make(text, len),
				 &r),
		STORE_DISK_OK);
	assert_int_equal(r.invalid, 0);
	store_api_each(store_api_kind(s, cluster, kind), collect, &was);
	store_api_each(store_api_kind(fresh, cluster, kind), collect, &now);
	assert_int_equal(was.count, now.count);
	for (uint32_t i = 0; i < was.count; i++)
		assert_same(was.objects[i], now.objects[i]);
	store_free(fresh);
	return was.count;
}

static void what_is_written_is_read_as_it_was(void **state)
{
	struct store *s = small();

	assert_int_equal(round_trip(s, EAST, KIND_SERVICE), 2);
	assert_int_equal(round_trip(s, EAST, KIND_HTTP_ROUTE), 0);
	store_free(s);
}

static void every_golden_manifest_survives(void **state)
{
	struct store *s = store_new();
	uint32_t n = 0;

	manifest_json_dir(GOLDEN, GOLDEN_DIR, feed, s);
	for (unsigned kind = 0; kind < KIND_COUNT; kind++)
		if (kind != KIND_SECRET)
			n += round_trip(s, GOLDEN, (enum kind)kind);
	assert_true(n > 50);
	store_free(s);
}

static void a_file_that_was_cut_anywhere_is_refused(void **state)
{
	struct store *s = small();
	uint32_t objects;
	size_t len;
	autofree char *text = text_of(s, EAST, KIND_SERVICE, &len);

	for (size_t n = 0; n < len; n++)
		assert_int_not_equal(parse(text, n, EAST, KIND_SERVICE, &objects), STORE_DISK_OK);
	assert_int_equal(parse(text, len - 1, EAST, KIND_SERVICE, &objects), STORE_DISK_TRUNCATED);
	assert_int_equal(parse(text, len / 2, EAST, KIND_SERVICE, &objects), STORE_DISK_TRUNCATED);
	assert_int_equal(parse(text, 0, EAST, KIND_SERVICE, &objects), STORE_DISK_FOREIGN);
	assert_int_equal(parse(text, len, EAST, KIND_SERVICE, &objects), STORE_DISK_OK);
	assert_int_equal(objects, 2);
	store_free(s);
}

static void a_file_with_any_other_bit_is_refused(void **state)
{
	struct store *s = small();
	uint32_t objects;
	size_t len;
	autofree char *text = text_of(s, EAST, KIND_SERVICE, &len);

	for (size_t i = 0; i < len * 8; i++) {
		text[i / 8] ^= (char)(1 << i % 8);
		assert_int_not_equal(parse(text, len, EAST, KIND_SERVICE, &objects), STORE_DISK_OK);
		text[i / 8] ^= (char)(1 << i % 8);
	}
	text[len / 2] ^= 1;
	assert_int_equal(parse(text, len, EAST, KIND_SERVICE, &objects), STORE_DISK_CORRUPT);
	store_free(s);
}

/* With a checksum that is right. */
static enum store_disk_fault parse_sealed(const char *body, uint32_t count, uint32_t *ret_objects)
{
	char text[2048];
	int n = snprintf(text, sizeof(text), "%send %u %08x\n", body, count,
		crc32c(0, body, strlen(body)));

	return parse(text, (size_t)n, EAST, KIND_SERVICE, ret_objects);
}

static void what_belongs_to_others_is_refused(void **state)
{
	static const struct {
		const char *body;
		enum store_disk_fault fault;
	} rows[] = {
		{"sluice-objects 1 us-east Service\n", STORE_DISK_OK},
		{"sluice-objects 1 us-west Service\n", STORE_DISK_FOREIGN},
		{"sluice-objects 1 us-east Gateway\n", STORE_DISK_FOREIGN},
		{"sluice-objects 2 us-east Service\n", STORE_DISK_FOREIGN},
		{"sluice-objects 1 us-east Service \n", STORE_DISK_FOREIGN},
		{"apiVersion: v1\n", STORE_DISK_FOREIGN},
		{"", STORE_DISK_FOREIGN},
	};
	uint32_t objects;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(parse_sealed(rows[i].body, 0, &objects), rows[i].fault);
	assert_int_equal(parse_sealed("sluice-objects 1 us-east Service\n", 1, &objects),
		STORE_DISK_CORRUPT);
}

static void an_object_that_is_not_valid_costs_itself_only(void **state)
{
	uint32_t objects;

	assert_int_equal(
		parse_sealed("sluice-objects 1 us-east Service\n"
			     "{\"metadata\":{\"name\":\"a\",\"namespace\":\"d\",\"uid\":\"1\"},"
			     "\"spec\":{\"ports\":[{\"port\":80}]}}\t\n"
			     "{\"metadata\":{\"name\":\"b\",\"namespace\":\"d\",\"uid\":\"1\"},"
			     "\"spec\":{\"ports\":\"many\"}}\t\n"
			     "{\"metadata\":{\"name\":\"c\",\"namespace\":\"d\"}}\t\n"
			     "[]\t\n"
			     "\n"
			     "{\"metadata\":{\"name\":\"e\",\"namespace\":\"d\",\"uid\":\"1\"},"
			     "\"spec\":{\"ports\":[{\"port\":80}]}}\tno JSON\n"
			     "{\"metadata\":{\"name\":\"f\",\"namespace\":\"d\",\"uid\":\"1\"},"
			     "\"spec\":{\"ports\":[{\"port\":80}]}}\n",
			7, &objects),
		STORE_DISK_OK);
	assert_int_equal(objects, 2);
}

static enum store_disk_fault load(const char *path)
{
	struct store *s = store_new();
	enum store_disk_fault fault = STORE_DISK_OK;
	struct store_disk_result r;
	struct err err;
	int rc = store_disk_load(store_api_kind(s, EAST, KIND_SERVICE), path, &fault, &r, &err);

	store_free(s);
	if (rc == 0 && fault != STORE_DISK_OK)
		assert_non_null(strstr(err.msg, path));
	return rc == -ENOENT ? STORE_DISK_FAULT_COUNT : fault;
}

static void what_is_no_file_of_ours_is_not_read(void **state)
{
	char dir[] = "/tmp/store_disk_test.XXXXXX", path[64], other[64];
	FILE *f;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/services", dir);
	snprintf(other, sizeof(other), "%s/link", dir);
	assert_int_equal(load(path), STORE_DISK_FAULT_COUNT);
	assert_int_equal(load(dir), STORE_DISK_UNREADABLE);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("sluice-objects 1 us-east Service\n", f);
	assert_int_equal(ftruncate(fileno(f), (off_t)STORE_DISK_BYTES_MAX + 1), 0);
	fclose(f);
	assert_int_equal(load(path), STORE_DISK_TOO_LARGE);
	assert_int_equal(symlink(path, other), 0);
	assert_int_equal(load(other), STORE_DISK_UNREADABLE);
	unlink(other);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(load(path), STORE_DISK_UNREADABLE);
	unlink(path);
	rmdir(dir);
}

static void secrets_and_what_no_gateway_reads_stay_out(void **state)
{
	struct store *s = store_new();
	size_t len;
	char *text;

	put(s, EAST,
		"{apiVersion: v1, kind: Secret, metadata: {name: cert, namespace: demo}, type: "
		"kubernetes.io/tls, data: {tls.key: c2VjcmV0, tls.crt: c2VjcmV0}}");
	put(s, EAST,
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: ca, namespace: demo}, data: "
		"{ca.crt: PUBLIC, password: hidden}, binaryData: {more: aGlkZGVu}}");
	put(s, EAST,
		"{apiVersion: v1, kind: Namespace, metadata: {name: demo, managedFields: "
		"[{manager: "
		"hidden}], annotations: {kubectl.kubernetes.io/last-applied-configuration: "
		"hidden}},"
		" spec: {finalizers: [hidden]}}");
	text = text_of(s, EAST, KIND_SECRET, &len);
	assert_null(memmem(text, len, "c2VjcmV0", 8));
	assert_null(memmem(text, len, "secret", 6));
	free(text);
	text = text_of(s, EAST, KIND_CONFIG_MAP, &len);
	assert_non_null(memmem(text, len, "PUBLIC", 6));
	assert_null(memmem(text, len, "hidden", 6));
	assert_null(memmem(text, len, "aGlkZGVu", 8));
	free(text);
	text = text_of(s, EAST, KIND_NAMESPACE, &len);
	assert_null(memmem(text, len, "hidden", 6));
	free(text);
	store_free(s);
}

/* A server that was restored from a backup may give a version out twice. */
static void a_version_from_disk_proves_nothing(void **state)
{
	struct store *s = store_new(), *fresh = store_new();
	struct store_kind *k = store_api_kind(fresh, EAST, KIND_SERVICE);
	json_t *j = manifest_json_text("{apiVersion: v1, kind: Service, metadata: {name: a, "
				       "namespace: demo}, spec: {ports: [{port: 80}]}}");
	struct store_disk_result r;
	autofree char *text = NULL;
	size_t len;

	feed(s, EAST, j);
	text = text_of(s, EAST, KIND_SERVICE, &len);
	store_free(s);
	assert_int_equal(store_disk_parse(k, str_make(text, len), &r), STORE_DISK_OK);
	assert_int_equal(r.objects, 1);
	json_object_set_new(json_array_get(json_object_get(json_object_get(j, "spec"), "ports"), 0),
		"port", json_integer(8080));
	assert_int_equal(store_api_upsert(k, j), STORE_CHANGED);
	assert_int_equal(store_api_upsert(k, j), STORE_SAME);
	json_decref(j);
	store_free(fresh);
}

static void a_list_replaces_what_was_on_disk(void **state)
{
	struct store *s = small(), *fresh = store_new();
	struct store_kind *k = store_api_kind(fresh, EAST, KIND_SERVICE);
	struct store_disk_result r;
	size_t len;
	autofree char *text = text_of(s, EAST, KIND_SERVICE, &len);

	store_free(s);
	assert_int_equal(store_disk_parse(k, str_make(text, len), &r), STORE_DISK_OK);
	store_api_begin(k);
	put(fresh, EAST,
		"{apiVersion: v1, kind: Service, metadata: {name: c, namespace: demo}, spec: "
		"{ports: [{port: 82}]}}");
	store_api_end(k, true);
	assert_int_equal(store_api_count(k), 1);
	assert_int_equal(store_disk_parse(k, str_make(text, len), &r), STORE_DISK_OK);
	assert_int_equal(store_api_count(k), 3);
	store_free(fresh);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_as_it_was),
		cmocka_unit_test(every_golden_manifest_survives),
		cmocka_unit_test(a_file_that_was_cut_anywhere_is_refused),
		cmocka_unit_test(a_file_with_any_other_bit_is_refused),
		cmocka_unit_test(what_belongs_to_others_is_refused),
		cmocka_unit_test(an_object_that_is_not_valid_costs_itself_only),
		cmocka_unit_test(what_is_no_file_of_ours_is_not_read),
		cmocka_unit_test(secrets_and_what_no_gateway_reads_stay_out),
		cmocka_unit_test(a_version_from_disk_proves_nothing),
		cmocka_unit_test(a_list_replaces_what_was_on_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
