// SPDX-License-Identifier: Apache-2.0
/*
 * agent_test.h: what the agent_*test.c share: the real agent in a world of its own, and control's end of
 * the link in the hands of the test.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/base/cleanup.h"
#include "dataplane/base/file.h"
#include "dataplane/snapshot/snapshot.h"
#include "tests/unit/agent/contract_world.h"
#include "tests/unit/agent/raw.h"

static struct world w;
static struct raw r;

static inline int setup(void **state)
{
	world_open(&w);
	world_dataplane_start(&w);
	raw_open(&r, w.url, false);
	return 0;
}

static inline int teardown(void **state)
{
	raw_close(&r);
	world_close(&w);
	return 0;
}

/* Writes the image of <s>; the message that announces it. */
static inline struct message snapshot_of(const struct world_spec *s, uint64_t generation,
	uint64_t revision)
{
	static char path[128];
	autofree void *image = NULL;
	struct snapshot snap;
	size_t len;

	world_image(s, generation, &image, &len);
	assert_int_equal(snapshot_open(image, len, &snap, NULL), 0);
	snprintf(path, sizeof(path), "%s/image", w.dir);
	assert_int_equal(file_replace(path, image, len, 0600, NULL), 0);
	return (struct message){.type = MESSAGE_SNAPSHOT,
		.snapshot = {.generation = generation,
			.revision = revision,
			.structure = 4711,
			.image = snap.digest,
			.bytes = len,
			.path = str_of(path)}};
}

static inline uint16_t answer(struct message m)
{
	struct message ack;

	raw_send(&r, m);
	ack = raw_expect(&r, MESSAGE_ACK);
	assert_int_equal(ack.ack.seq, r.seq[MESSAGE_STREAM_CONFIG]);
	return ack.ack.result;
}

/* Control with epoch 5, and generation 1 at revision 1 in use. */
static inline void begin(struct world_spec *s)
{
	*s = world_spec(2);
	raw_be_control(&r, 5);
	assert_int_equal(answer(snapshot_of(s, 1, 1)), MESSAGE_RESULT_OK);
}

static inline struct message weights(uint64_t revision, const struct message_weight v[2])
{
	return (struct message){.type = MESSAGE_WEIGHTS,
		.weights = {.rule_id = world_rule_id(0),
			.generation = 1,
			.revision = revision,
			.count = 2,
			.w = v}};
}

static inline const struct message_weight *pair(uint32_t a, uint32_t b)
{
	static struct message_weight v[2];

	v[0] = (struct message_weight){world_backend_id(0, 0), a};
	v[1] = (struct message_weight){world_backend_id(0, 1), b};
	return v;
}

static inline bool worker_sees(uint32_t weight)
{
	for (unsigned i = 0; i < WORLD_WAIT_MS && atomic_load(&w.workers[0].seen_w[0]) != weight;
		i++)
		usleep(1000);
	return atomic_load(&w.workers[0].seen_w[0]) == weight;
}
