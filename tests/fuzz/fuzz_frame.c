// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_frame.c: any bytes as a watch and as a list: the same objects whole and byte by byte, and
 * each is looked at as the client would.
 */
#include "control/kube/frame.h"
#include "control/kube/object.h"
#include "dataplane/base/bug.h"
#include "tests/fuzz/fuzz.h"

#define ITEM_MAX 4096u

struct sum {
	uint64_t value, counts[FRAME_BAD + 1];
};

static void look_at(struct str text)
{
	static const struct object_type type = {"v1", "ConfigMap", true};
	struct object_meta meta;
	json_t *j = object_parse(text, NULL);
	const json_t *object = json_object_get(j, "object");

	if (object != NULL && object_check(object, &type, &meta, NULL) == 0) {
		bug_on(meta.name[0] == '\0' || meta.uid[0] == '\0' || meta.rv[0] == '\0');
		object_trim(json_object_get(j, "object"), &type);
		object_check(object, &type, &meta, NULL);
	}
	json_decref(j);
}

static void note(struct sum *s, enum frame_result r, struct str item)
{
	s->counts[r]++;
	if (r == FRAME_TOO_LARGE)
		return; /* how much of it is kept depends on the split */
	for (size_t i = 0; i < item.len; i++)
		s->value = s->value * 31 + (unsigned char)item.p[i];
	s->value = s->value * 37 + r;
}

static struct sum run(enum frame_mode mode, const char *p, size_t len, size_t step)
{
	struct sum s = {0};
	struct frame f;
	bool bad = false;

	frame_init(&f, mode, ITEM_MAX);
	while (len > 0 && !bad) {
		enum frame_result r;
		struct str item;
		size_t give = step < len ? step : len, n = frame_feed(&f, p, give, &r, &item);

		bug_on(n > give || (n == 0 && r == FRAME_MORE));
		bug_on(f.item.room > 2 * ITEM_MAX || f.envelope.room > 2 * FRAME_ENVELOPE_MAX);
		p += n;
		len -= n;
		if (r != FRAME_MORE)
			note(&s, r, item);
		if (r == FRAME_ITEM && step > 1)
			look_at(item);
		bad = r == FRAME_BAD;
	}
	s.value = s.value * 41 + frame_is_whole(&f);
	frame_fini(&f);
	return s;
}

void fuzz_one(const uint8_t *data, size_t len)
{
	for (enum frame_mode mode = FRAME_STREAM; mode <= FRAME_LIST; mode++) {
		struct sum whole = run(mode, (const char *)data, len, len ? len : 1),
			   bytes = run(mode, (const char *)data, len, 1);

		bug_on(memcmp(&whole, &bytes, sizeof(whole)) != 0);
	}
}
