// SPDX-License-Identifier: Apache-2.0
/*
 * agent_session.c: one connection with control.
 *
 * On connect the dataplane draws a session number and says HELLO with all that control needs to
 * find out what is missing. Control answers WELCOME with its epoch; an epoch below the highest one
 * ever welcomed is refused (fencing: a control process that was replaced must not come back). Then
 * every message must carry the session, the epoch and the next number of its stream; a gap ends
 * the connection, because the next HELLO heals whatever was lost. What is wrong is counted under
 * its own name and changes nothing.
 */
#include <stdio.h>
#include <string.h>

#include "dataplane/agent/agent_state.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"
#include "dataplane/base/rng.h"
#include "dataplane/worker/worker.h"

bool agent_session_send(struct agent *a, struct message *m)
{
	struct session *s = &a->session;
	size_t n;

	if (s->id == 0)
		return false;
	m->session = s->id;
	m->epoch = a->store.boot;
	m->seq = ++s->seq_out[message_type_stream(m->type)];
	m->stamp_us = clock_mono_us();
	n = message_encode(m, a->buf, MESSAGE_BYTES_MAX);
	bug_on(n == 0);
	if (link_send(a->link, a->buf, n))
		return true;
	agent_count(a, AGENT_C_SEND_FULL);
	link_drop(a->link);
	return false;
}

static void say_hello(struct agent *a)
{
	const struct live *l = a->ctx.live;
	struct message m = {.type = MESSAGE_HELLO,
		.hello = {.name = str_first(str_of(a->cfg.name), MESSAGE_NAME_MAX),
			.version = STR(SLUICE_VERSION),
			.text = str_of(a->trouble),
			.fence = a->fence,
			.draining = atomic_load(&a->group->draining)}};

	if (l != NULL) {
		m.hello.generation = l->cfg.generation;
		m.hello.revision = l->revision;
		m.hello.revision_epoch = l->epoch;
		m.hello.structure = l->structure;
		m.hello.state = l->state;
		m.hello.image = l->snap.digest;
	}
	agent_session_send(a, &m);
}

static void say_heartbeat(struct agent *a)
{
	const struct live *l = a->ctx.live;
	struct message m = {.type = MESSAGE_HEARTBEAT,
		.heartbeat = {.seq_high = a->session.seq_in[MESSAGE_STREAM_CONFIG],
			.draining = atomic_load(&a->group->draining)}};

	if (l != NULL) {
		m.heartbeat.generation = l->cfg.generation;
		m.heartbeat.revision = l->epoch == a->session.epoch ? l->revision : 0;
		m.heartbeat.state = l->state;
	}
	agent_session_send(a, &m);
}

static void session_up(struct agent *a, uint64_t now_us)
{
	a->session = (struct session){.up_us = now_us, .heard_us = now_us};
	do
		rng_secret(&a->session.id, sizeof(a->session.id));
	while (a->session.id == 0);
	say_hello(a);
}

static void session_down(struct agent *a)
{
	if (a->session.welcomed)
		log_info("agent", "control=%s msg=\"disconnected, serving on\"",
			a->session.control);
	agent_query_drop_all(a);
	a->session = (struct session){0};
}

static void refuse_fenced(struct agent *a, const struct message *m)
{
	char text[96];
	struct message ack = {.type = MESSAGE_ACK,
		.ack = {.seq = m->seq, .result = MESSAGE_RESULT_FENCED}};

	snprintf(text, sizeof(text), "control epoch %llu, welcomed before was %llu",
		(unsigned long long)m->epoch, (unsigned long long)a->fence);
	agent_count(a, AGENT_C_FENCED);
	a->refusals[MESSAGE_RESULT_FENCED]++;
	log_warn("agent", "result=fenced msg=\"%s\"", text);
	ack.ack.text = str_of(text);
	agent_session_send(a, &ack); /* the connection ends when its time for a welcome is over */
}

static void on_welcome(struct agent *a, const struct message *m, uint64_t now_us)
{
	struct session *s = &a->session;

	if (s->welcomed) {
		agent_count(a, AGENT_C_MESSAGE_TWICE);
		return;
	}
	if (m->epoch < a->fence) {
		refuse_fenced(a, m);
		return;
	}
	/*
	 * On disk before anything that this session will acknowledge. It holds here even when the disk
	 * refuses: an older control stays out until a restart.
	 */
	a->fence = m->epoch;
	disk_post_fence(&a->disk, m->epoch);
	s->welcomed = true;
	s->epoch = m->epoch;
	snprintf(s->control, sizeof(s->control), "%.*s", STR_FMT(m->welcome.name));
	agent_count(a, AGENT_C_SESSIONS);
	log_info("agent", "control=%s version=%.*s epoch=%llu msg=welcomed", s->control,
		STR_FMT(m->welcome.version), (unsigned long long)m->epoch);
	say_heartbeat(a);
	s->beat_us = now_us;
}

/* False: the message is not for this session's eyes; it was counted. */
static bool let_in(struct agent *a, const struct message *m)
{
	struct session *s = &a->session;
	enum message_stream stream = message_type_stream(m->type);

	if (m->session != s->id) {
		agent_count(a, AGENT_C_MESSAGE_SESSION);
		return false;
	}
	if (!(message_type_sender(m->type) & MESSAGE_BY_CONTROL)) {
		agent_count(a, AGENT_C_MESSAGE_DIRECTION);
		return false;
	}
	if (!s->welcomed && m->type != MESSAGE_WELCOME) {
		agent_count(a, AGENT_C_MESSAGE_EARLY);
		return false;
	}
	if (s->welcomed && m->epoch != s->epoch) {
		agent_count(a, AGENT_C_MESSAGE_EPOCH);
		link_drop(a->link);
		return false;
	}
	if (m->seq != s->seq_in[stream] + 1) {
		agent_count(a, AGENT_C_MESSAGE_GAP);
		link_drop(a->link);
		return false;
	}
	s->seq_in[stream]++;
	return true;
}

static void on_bad_bytes(struct agent *a, enum message_error e, const struct message *head)
{
	a->errors[e]++;
	log_warn("agent", "message=%s error=%s msg=\"%s\"", message_type_str(head->type),
		message_error_name(e), message_error_help(e));
	/* Its envelope was good, so the sender can be told, and its number is used up. */
	if (e <= MESSAGE_ERR_STREAM || !let_in(a, head))
		return;
	if (message_type_stream(head->type) == MESSAGE_STREAM_CONFIG)
		agent_apply_refuse(a, head, MESSAGE_RESULT_BAD_MESSAGE, message_error_help(e));
}

static void session_message(struct agent *a, const void *data, size_t len, uint64_t now_us)
{
	struct message m = {0};
	enum message_error e = message_decode(data, len, a->scratch, &m);

	if (e != MESSAGE_ERR_NONE) {
		on_bad_bytes(a, e, &m);
		return;
	}
	if (!let_in(a, &m))
		return;
	a->session.heard_us = now_us;
	switch (m.type) {
	case MESSAGE_WELCOME:
		on_welcome(a, &m, now_us);
		break;
	case MESSAGE_HEARTBEAT:
		break;
	case MESSAGE_QUERY:
		agent_query_message(a, &m);
		break;
	default:
		agent_apply_message(a, &m, data, len, now_us);
	}
}

void agent_session_event(struct agent *a, const struct link_event *ev, uint64_t now_us)
{
	switch (ev->type) {
	case LINK_UP:
		session_up(a, now_us);
		break;
	case LINK_DOWN:
		session_down(a);
		break;
	case LINK_MESSAGE:
		if (a->session.id != 0)
			session_message(a, ev->data, ev->len, now_us);
		break;
	}
}

void agent_session_tick(struct agent *a, uint64_t now_us)
{
	struct session *s = &a->session;

	link_check(a->link, now_us);
	if (s->id == 0)
		return;
	if (!s->welcomed) {
		if (now_us - s->up_us < MESSAGE_WELCOME_US)
			return;
		agent_count(a, AGENT_C_WELCOME_LATE);
		s->up_us = now_us;
		link_drop(a->link);
		return;
	}
	if (now_us - s->heard_us >= MESSAGE_DEAD_US) {
		agent_count(a, AGENT_C_PEER_SILENT);
		s->heard_us = now_us;
		link_drop(a->link);
		return;
	}
	if (now_us - s->beat_us >= MESSAGE_HEARTBEAT_US) {
		s->beat_us = now_us;
		say_heartbeat(a);
	}
}
