// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_snapshot.c: images. The seal is repaired first, or nothing would get past it; an image that
 * opens is then printed, asked for every id, and matched against requests on every bind.
 */
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/http/h1.h"
#include "dataplane/route/route.h"
#include "dataplane/snapshot/snapshot.h"
#include "tests/fuzz/fuzz.h"

static void match(const struct snapshot *s, uint32_t bind, const char *host, const char *path)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nX-Beta: yes\r\n\r\n";
	struct h1_head head;
	struct route_request req = {str_of(host), str_of(path), STR("v=2"), &head};
	struct route_result got;

	bug_on(h1_parse_request(text, sizeof(text) - 1, &head) <= 0);
	route_match(s, bind, &req, &got);
	bug_on(got.listener != SLOT_NONE && got.listener >= snapshot_count(s, SNAPSHOT_LISTENER));
	bug_on(got.rule != SLOT_NONE && got.rule >= snapshot_count(s, SNAPSHOT_RULE));
}

static void use(const struct snapshot *s)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	snapshot_dump(s, f);
	fclose(f);
	free(text);
	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_RULE); i++)
		bug_on(snapshot_find_rule(s, snapshot_rule(s, i).id) != i);
	for (uint32_t i = 0; i < snapshot_count(s, SNAPSHOT_BIND); i++) {
		struct snapshot_bind b = snapshot_bind(s, i);

		bug_on(snapshot_find_bind(s, &b.addr, b.port) != i);
		match(s, i, "app.demo.lab", "/api/x");
		match(s, i, "a.b.c.demo.lab", "/");
		match(s, i, "", "*");
	}
}

void fuzz_one(const uint8_t *data, size_t len)
{
	uint64_t *copy = malloc(len + 8); /* aligned as the agent's memory is */
	struct snapshot_header h;
	struct snapshot s;

	memcpy(copy, data, len);
	if (len >= sizeof(h)) {
		memcpy(&h, copy, sizeof(h));
		h.image_len = len;
		memcpy(copy, &h, sizeof(h));
		snapshot_seal(copy, len);
	}
	if (snapshot_open(copy, len, &s, NULL) == 0)
		use(&s);
	free(copy);
}
