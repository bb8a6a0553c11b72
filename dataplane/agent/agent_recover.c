// SPDX-License-Identifier: Apache-2.0
/*
 * agent_recover.c: traffic is served from the state directory alone.
 *
 * The newest snapshot that passes its checks, with its journal on top. What is damaged is counted,
 * logged and left out: a snapshot falls back to the one before, a journal ends where it is torn
 * (what was acknowledged lies before that). Control, once it connects, sends what is missing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/agent/agent_state.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

struct replay {
	struct agent *agent;
	struct live *live;
};

/* A record that cannot be applied ends the replay: what follows was meant to come after it. */
static bool replay_record(void *ctx, const void *message, size_t len)
{
	struct replay *r = ctx;
	struct agent *a = r->agent;
	struct message m;
	enum message_result res = MESSAGE_RESULT_BAD_MESSAGE;
	enum message_error e = message_decode(message, len, a->scratch, &m);
	struct err err = {0};

	if (e != MESSAGE_ERR_NONE)
		a->errors[e]++;
	else if (m.type == MESSAGE_WEIGHTS)
		res = live_apply_weights(&a->ctx, r->live, &m, len, clock_mono_us(), &err);
	else if (m.type == MESSAGE_ENDPOINTS)
		res = live_apply_endpoints(&a->ctx, r->live, &m, len, clock_mono_us(), &err);
	if (res != MESSAGE_RESULT_OK) {
		log_warn("agent", "msg=\"journal record not applied: %s %s\"",
			message_result_str((uint16_t)res), err.msg);
		return false;
	}
	agent_count(a, m.type == MESSAGE_WEIGHTS ? AGENT_C_WEIGHTS : AGENT_C_ENDPOINTS);
	agent_count(a, AGENT_C_JOURNAL_REPLAYED);
	return true;
}

static void replay_journal(struct agent *a, uint64_t number, struct live *l)
{
	struct replay r = {.agent = a, .live = l};
	bool damaged = false;
	struct err err;

	if (store_resume(&a->store, number, l->snap.digest, replay_record, &r, &damaged, &err) !=
		0) {
		agent_count(a, AGENT_C_JOURNAL_LOST);
		snprintf(a->trouble, sizeof(a->trouble), "journal lost: %.200s", err.msg);
		log_error("agent", "msg=\"serving the snapshot without its journal: %s\"", err.msg);
		return;
	}
	a->durable = true;
	l->structure = a->store.journal.head.structure;
	l->snapshot_epoch = a->store.journal.head.epoch;
	l->snapshot_revision = a->store.journal.head.revision;
	if (l->epoch == 0) { /* no record was newer */
		l->epoch = l->snapshot_epoch;
		l->revision = l->snapshot_revision;
	}
	if (damaged) {
		agent_count(a, AGENT_C_JOURNAL_DAMAGED);
		snprintf(a->trouble, sizeof(a->trouble), "the journal's tail was damaged");
		log_error("agent", "msg=\"journal damaged behind record %u, cut off there\"",
			a->store.journal.records);
	}
}

/* Who brought it and when is in its journal's header only, which is read later. */
static struct live *open_snapshot(struct agent *a, uint64_t number)
{
	const struct journal_head unknown = {0};
	struct live *l = NULL;
	struct err err = {0};
	void *image;
	size_t len;

	if (store_read(&a->store, number, SNAPSHOT_BYTES_MAX, &image, &len, &err) == 0) {
		if (swap_open(&a->ctx, image, len, &unknown, clock_mono_us(), &l, &err) ==
			MESSAGE_RESULT_OK)
			return l;
		free(image);
	}
	agent_count(a, AGENT_C_SNAPSHOT_DAMAGED);
	log_error("agent", "snapshot=%llu msg=\"cannot be used: %s\"", (unsigned long long)number,
		err.msg);
	store_set_aside(&a->store, number);
	return NULL;
}

void agent_recover(struct agent *a)
{
	uint64_t numbers[STORE_SNAPSHOTS_MAX];
	unsigned n = store_list(&a->store, numbers);
	struct live *l = NULL;
	unsigned i = 0;

	while (i < n && (l = open_snapshot(a, numbers[i])) == NULL)
		i++;
	if (l == NULL) {
		log_info("agent", "msg=\"no configuration on disk, waiting for control\"");
		return;
	}
	if (i > 0)
		snprintf(a->trouble, sizeof(a->trouble), "the newest snapshot was damaged");
	replay_journal(a, numbers[i], l);
	if (l->epoch > a->store.fence)
		a->store.fence = l->epoch;
	swap_publish(&a->ctx, l, clock_mono_us());
	log_info("agent",
		"generation=%llu revision=%llu epoch=%llu replayed=%llu "
		"msg=\"serving the last known good configuration\"",
		(unsigned long long)l->cfg.generation, (unsigned long long)l->revision,
		(unsigned long long)l->epoch,
		(unsigned long long)a->counters[AGENT_C_JOURNAL_REPLAYED]);
}
