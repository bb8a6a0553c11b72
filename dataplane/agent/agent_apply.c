// SPDX-License-Identifier: Apache-2.0
/*
 * agent_apply.c: a change, from message to acknowledgement.
 *
 * Order: publish to the workers at once, post to the disk's thread, then wait both until every
 * worker has passed a quiescent point and until the disk has it, then ACK. So traffic follows a
 * change, and the next one, without waiting for the disk, and what has been acknowledged survives a
 * crash. A disk that refuses must not keep a broken canary in service: the change stays applied and
 * the ACK says that it is not durable.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/agent/agent_state.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/file.h"
#include "dataplane/base/log.h"
#include "dataplane/worker/worker.h"

static void ack_send(struct agent *a, const struct agent_ack *ack, enum message_result result,
	struct str text)
{
	struct message m = {.type = MESSAGE_ACK,
		.ack = {.seq = ack->seq,
			.generation = ack->generation,
			.revision = ack->revision,
			.result = (uint16_t)result,
			.text = str_first(text, MESSAGE_TEXT_MAX)}};

	if (ack->session == a->session.id && a->session.id != 0)
		agent_session_send(a, &m);
}

static void measure(struct agent *a, const struct agent_ack *ack)
{
	uint64_t us = clock_mono_us() - ack->stamp_us;

	if (ack->stamp_us == 0 || us > INT64_MAX)
		return;
	a->counters[AGENT_C_APPLY_US] = us;
	if (us > a->counters[AGENT_C_APPLY_US_MAX])
		a->counters[AGENT_C_APPLY_US_MAX] = us;
}

/* Both of its ways are over: the last word. */
static void ack_finish(struct agent *a, struct agent_ack *ack)
{
	if (ack->in_line || ack->on_disk)
		return;
	ack_send(a, ack, ack->result, str_of(ack->err.msg));
	free(ack);
}

/* The workers have it, or one of them hangs (<late>) and there will be a second call. */
static void ack_arrived(void *ctx, void *obj, bool late)
{
	struct agent_ack *ack = obj;
	struct agent *a = ack->agent;

	if (late) {
		agent_count(a, AGENT_C_QUIESCE_LATE);
		ack_send(a, ack, MESSAGE_RESULT_QUIESCE,
			str_of(message_result_help(MESSAGE_RESULT_QUIESCE)));
		return;
	}
	measure(a, ack);
	ack->in_line = false;
	ack_finish(a, ack);
}

/* Queues the acknowledgement of a change that was just published. */
static struct agent_ack *ack_new(struct agent *a, const struct message *m, uint64_t generation,
	uint64_t revision, uint64_t now_us)
{
	struct agent_ack *ack = calloc(1, sizeof(*ack));

	bug_on(ack == NULL);
	*ack = (struct agent_ack){.agent = a,
		.session = m->session,
		.seq = m->seq,
		.generation = generation,
		.revision = revision,
		.stamp_us = m->stamp_us,
		.in_line = true};
	reclaim_add(&a->ctx.reclaim, ack_arrived, ack, false, true, now_us);
	return ack;
}

/* The disk has it, or refused it. */
static void on_disk_done(struct agent *a, const struct disk_job *j)
{
	struct agent_ack *ack = j->ctx;

	if (j->rv != 0) {
		ack->result = MESSAGE_RESULT_NOT_DURABLE;
		ack->err = j->err;
		a->durable = false;
	} else if (j->snapshot) {
		a->durable = true;
		a->trouble[0] = '\0';
	}
	if (j->failed_first) {
		agent_count(a, AGENT_C_NOT_DURABLE);
		snprintf(a->trouble, sizeof(a->trouble), "not on disk: %.200s", j->err.msg);
		log_error("agent", "msg=\"change applied but not written to disk: %s\"",
			j->err.msg);
	}
	ack->on_disk = false;
	ack_finish(a, ack);
}

void agent_apply_refuse(struct agent *a, const struct message *head, enum message_result result,
	const char *text)
{
	struct agent_ack ack = {.session = head->session, .seq = head->seq};

	a->refusals[result]++;
	log_warn("agent", "message=%s seq=%llu result=%s msg=\"%s\"", message_type_str(head->type),
		(unsigned long long)head->seq, message_result_str((uint16_t)result), text);
	ack_send(a, &ack, result, str_of(text));
}

/* Reads and checks the file that control announced; *ret is malloc'ed memory. */
static enum message_result image_read(const struct message *m, void **ret, struct err *err)
{
	autofree char *path = strndup(m->snapshot.path.p, m->snapshot.path.len);
	size_t len;

	bug_on(path == NULL);
	if (path[0] != '/' || m->snapshot.bytes > SNAPSHOT_BYTES_MAX) {
		err_set(err, EINVAL, "the path is not absolute or the file too large");
		return MESSAGE_RESULT_SNAPSHOT_READ;
	}
	if (file_read(path, m->snapshot.bytes, ret, &len, err) != 0)
		return MESSAGE_RESULT_SNAPSHOT_READ;
	if (len == m->snapshot.bytes)
		return MESSAGE_RESULT_OK;
	free(*ret);
	err_set(err, EINVAL, "%s: %zu bytes, announced were %llu", path, len,
		(unsigned long long)m->snapshot.bytes);
	return MESSAGE_RESULT_SNAPSHOT_DIGEST;
}

static enum message_result snapshot_load(struct agent *a, const struct message *m, uint64_t now_us,
	struct live **ret, struct err *err)
{
	const struct journal_head head = {.image = m->snapshot.image,
		.structure = m->snapshot.structure,
		.epoch = m->epoch,
		.revision = m->snapshot.revision,
		.generation = m->snapshot.generation};
	enum message_result res;
	struct live *l = NULL;
	void *image;

	if (!reclaim_has_room(&a->ctx.reclaim, 2, true)) {
		err_set(err, EBUSY, "older configurations are still in use by a worker");
		return MESSAGE_RESULT_BUSY;
	}
	if (!disk_has_room(&a->disk, 0, true)) {
		err_set(err, EBUSY, "older configurations still wait for the disk");
		return MESSAGE_RESULT_BUSY;
	}
	if (a->ctx.live != NULL && m->epoch == a->ctx.live->epoch &&
		m->snapshot.revision < a->ctx.live->revision) {
		err_set(err, EINVAL, "revision %llu is older than %llu",
			(unsigned long long)m->snapshot.revision,
			(unsigned long long)a->ctx.live->revision);
		return MESSAGE_RESULT_STALE;
	}
	res = image_read(m, &image, err);
	if (res != MESSAGE_RESULT_OK)
		return res;
	res = swap_open(&a->ctx, image, m->snapshot.bytes, &head, now_us, &l, err);
	if (res != MESSAGE_RESULT_OK) {
		free(image);
		return res;
	}
	if (l->snap.digest != m->snapshot.image || l->snap.generation != m->snapshot.generation) {
		swap_discard(&a->ctx, l);
		err_set(err, EINVAL, "the file holds another image than the one announced");
		return MESSAGE_RESULT_SNAPSHOT_DIGEST;
	}
	*ret = l;
	return MESSAGE_RESULT_OK;
}

static void apply_snapshot(struct agent *a, const struct message *m, uint64_t now_us)
{
	struct err err = {0};
	struct live *l;
	enum message_result res = snapshot_load(a, m, now_us, &l, &err);
	struct journal_head head;
	struct agent_ack *ack;

	if (res != MESSAGE_RESULT_OK) {
		agent_apply_refuse(a, m, res, err.msg);
		return;
	}
	swap_publish(&a->ctx, l, now_us);
	agent_count(a, AGENT_C_SNAPSHOTS);
	ack = ack_new(a, m, m->snapshot.generation, m->snapshot.revision, now_us);
	head = (struct journal_head){.image = l->snap.digest,
		.structure = l->structure,
		.epoch = l->epoch,
		.revision = l->revision,
		.generation = l->snap.generation};
	ack->on_disk = true;
	disk_post_snapshot(&a->disk, ack, l->image, l->snap.len, &head);
	log_info("agent", "generation=%llu revision=%llu listeners=%u rules=%u services=%u",
		(unsigned long long)l->cfg.generation, (unsigned long long)l->revision,
		l->cfg.listener_count, l->cfg.rule_count, l->cfg.service_count);
}

static enum message_result small_check(struct agent *a, size_t len, struct err *err)
{
	if (a->ctx.live == NULL) {
		err_set(err, EINVAL, "there is no configuration yet");
		return MESSAGE_RESULT_GENERATION;
	}
	if (!reclaim_has_room(&a->ctx.reclaim, 2, false)) {
		err_set(err, EBUSY, "%u changes wait for a worker", a->ctx.reclaim.count);
		return MESSAGE_RESULT_BUSY;
	}
	if (!disk_has_room(&a->disk, len, false)) {
		err_set(err, EBUSY, "too many changes wait for the disk");
		return MESSAGE_RESULT_BUSY;
	}
	/* A journal that failed is no reason to refuse; a full one is, a snapshot will empty it. */
	if (!live_journal_has_room(a->ctx.live, len)) {
		err_set(err, ENOSPC, "the objects changed since the snapshot fill the journal");
		return MESSAGE_RESULT_JOURNAL_FULL;
	}
	return MESSAGE_RESULT_OK;
}

static void apply_small(struct agent *a, const struct message *m, const void *raw, size_t len,
	uint64_t now_us)
{
	bool weights = m->type == MESSAGE_WEIGHTS;
	struct err err = {0};
	enum message_result res = small_check(a, len, &err);
	struct agent_ack *ack;

	if (res == MESSAGE_RESULT_OK)
		res = weights ? live_apply_weights(&a->ctx, a->ctx.live, m, len, now_us, &err)
			      : live_apply_endpoints(&a->ctx, a->ctx.live, m, len, now_us, &err);
	if (res != MESSAGE_RESULT_OK) {
		agent_apply_refuse(a, m, res, err.msg);
		return;
	}
	agent_count(a, weights ? AGENT_C_WEIGHTS : AGENT_C_ENDPOINTS);
	ack = ack_new(a, m, a->ctx.live->cfg.generation,
		weights ? m->weights.revision : m->endpoints.revision, now_us);
	ack->on_disk = true;
	disk_post_change(&a->disk, ack, live_key(m), raw, len);
}

static void apply_drain(struct agent *a, const struct message *m, uint64_t now_us)
{
	if (!reclaim_has_room(&a->ctx.reclaim, 1, false)) {
		agent_apply_refuse(a, m, MESSAGE_RESULT_BUSY, "too much waits for a worker");
		return;
	}
	atomic_store(&a->group->draining, m->drain.on);
	log_info("agent", "draining=%d", m->drain.on);
	ack_new(a, m, 0, 0, now_us);
}

void agent_apply_message(struct agent *a, const struct message *m, const void *raw, size_t len,
	uint64_t now_us)
{
	switch (m->type) {
	case MESSAGE_SNAPSHOT:
		apply_snapshot(a, m, now_us);
		break;
	case MESSAGE_WEIGHTS:
	case MESSAGE_ENDPOINTS:
		apply_small(a, m, raw, len, now_us);
		break;
	default:
		bug_on(m->type != MESSAGE_DRAIN);
		apply_drain(a, m, now_us);
	}
}

void agent_apply_collect(struct agent *a)
{
	struct disk_job *j;

	while ((j = disk_collect(&a->disk)) != NULL) {
		on_disk_done(a, j);
		disk_job_free(j);
	}
}

void agent_apply_commit(struct agent *a, uint64_t now_us)
{
	reclaim_commit(&a->ctx.reclaim);
	if (!reclaim_is_empty(&a->ctx.reclaim))
		worker_group_wake(a->group);
	agent_apply_collect(a);
	reclaim_run(&a->ctx.reclaim, now_us);
}
