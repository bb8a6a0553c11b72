// SPDX-License-Identifier: Apache-2.0
/*
 * slots.h: run-time slots of stable object ids.
 *
 * Workers keep counters, weighted sequences and pools in arrays by slot. An id that stays keeps its
 * slot through every snapshot; an id that left keeps it too until somebody else needs it, so that
 * one that comes back counts on. A slot is given to another id only when it has rested for
 * SLOTS_REST_US and nobody counts on it any more (<busy>).
 *
 * Written by the agent's thread alone. Names are also read by the log writer, under the lock.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/agent/agent.h"
#include "dataplane/base/list.h"
#include "dataplane/base/str.h"
#include "dataplane/snapshot/config.h"

#define SLOTS_REST_US 10000000u /* an exchange that began before has long shown up as in flight */
#define SLOTS_REUSE_TRIES 64u	/* resting slots looked at for one assignment */

struct slot {
	uint64_t id; /* 0: never used */
	uint64_t released_us;
	struct list rest;     /* on the resting list while refs is 0 */
	uint32_t refs;	      /* configurations and endpoint sets that hold it */
	uint32_t next;	      /* in its hash chain, or SLOT_NONE */
	char *name, *cluster; /* owned; cluster of endpoints only; protected by the lock */
};

struct slot_table {
	enum agent_slot_kind kind;
	uint32_t max, used; /* slots ever given out are [0, used) */
	uint32_t live;	    /* with refs */
	struct slot *slots; /* owned, [max] */
	uint32_t *heads;    /* owned, [mask + 1] */
	uint32_t mask;
	struct list resting; /* oldest first */
};

struct slots {
	struct slot_table t[AGENT_SLOT_KIND_COUNT];
	const struct agent_ops *ops; /* borrowed */
	pthread_mutex_t lock;	     /* protects the names */
};

void slots_init(struct slots *s, const struct agent_ops *ops);
void slots_fini(struct slots *s);
/* The slot of <id>, held once more; SLOT_NONE: all are taken. */
uint32_t slots_acquire(struct slots *s, enum agent_slot_kind kind, uint64_t id, struct str name,
	struct str cluster, uint64_t now_us);
void slots_release(struct slots *s, enum agent_slot_kind kind, uint32_t slot, uint64_t now_us);
/* The slot's record; <slot> was given out. */
const struct slot *slots_get(const struct slots *s, enum agent_slot_kind kind, uint32_t slot);
/* Any thread: copies the name (and the cluster) to <buf>; lengths are 0 where there is none. */
void slots_name(struct slots *s, enum agent_slot_kind kind, uint32_t slot, char *buf, size_t cap,
	struct str *ret_name, struct str *ret_cluster);
