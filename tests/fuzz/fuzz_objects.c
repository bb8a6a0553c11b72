// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_objects.c: any bytes as a file of an API server's objects, as they are and with a checksum
 * that is right, so that what is behind it is reached.
 *
 * A file that is refused leaves nothing; what was taken is written and read again as the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/store/store_disk.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/hash.h"
#include "tests/fuzz/fuzz.h"

#define WEST STR("us-west")

static const enum kind kinds[] = {KIND_HTTP_ROUTE, KIND_SERVICE, KIND_NAMESPACE, KIND_CONFIG_MAP,
	KIND_SECRET};

static void read_again(struct store_kind *k, enum kind kind)
{
	struct store *s = store_new();
	struct store_disk_result r;
	struct store_shot shot;
	autofree char *text = NULL;
	struct err err;
	size_t len;

	store_shot_take(k, &shot);
	bug_on(store_disk_text(&shot, &text, &len, &err) < 0);
	store_shot_fini(&shot);
	bug_on(store_disk_parse(store_api_kind(s, WEST, kind), str_make(text, len), &r) !=
		STORE_DISK_OK);
	bug_on(r.invalid != 0 || r.objects != store_api_count(k));
	store_free(s);
}

static void parse(struct str text, enum kind kind)
{
	struct store *s = store_new();
	struct store_kind *k = store_api_kind(s, WEST, kind);
	struct store_disk_result r;

	if (store_disk_parse(k, text, &r) == STORE_DISK_OK)
		read_again(k, kind);
	else
		bug_on(store_api_count(k) != 0);
	store_free(s);
}

/* The bytes as records, with a head and an end. */
static void parse_sealed(struct str records, enum kind kind)
{
	autofree char *text = malloc(records.len + 256);
	uint32_t lines = 0;
	size_t n;

	bug_on(text == NULL);
	n = (size_t)sprintf(text, "sluice-objects 1 us-west %.*s\n", STR_FMT(kind_info[kind].name));
	if (records.len != 0)
		memcpy(text + n, records.p, records.len);
	n += records.len;
	if (text[n - 1] != '\n')
		text[n++] = '\n';
	for (size_t i = 0; i < n; i++)
		lines += text[i] == '\n';
	n += (size_t)sprintf(text + n, "end %u %08x\n", lines - 1, crc32c(0, text, n));
	parse(str_make(text, n), kind);
}

void fuzz_one(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		parse(str_make(data, len), kinds[i]);
		parse_sealed(str_make(data, len), kinds[i]);
	}
}
