// SPDX-License-Identifier: Apache-2.0
/*
 * raw.c: see raw.h.
 */
#include "tests/unit/agent/raw.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "dataplane/base/clock.h"

#define WAIT_US 15000000u

void raw_open(struct raw *r, const char *url, bool listen)
{
	const struct link_config cfg = {.url = url,
		.listen = listen,
		.mode = 0600,
		.recv_bytes_max = MESSAGE_RECV_BYTES_MAX,
		.peer_uids = {geteuid()},
		.peer_uid_count = 1};
	struct err err;

	memset(r, 0, sizeof(*r));
	if (link_open(&cfg, &r->l, &err) != 0)
		fail_msg("%s", err.msg);
}

void raw_close(struct raw *r)
{
	link_close(r->l);
	r->l = NULL;
}

/* As control: heartbeats, so that it is no silence when a slow machine takes its time. */
static void stay_alive(struct raw *r)
{
	struct message m = {.type = MESSAGE_HEARTBEAT,
		.session = r->beat.session,
		.epoch = r->beat.epoch};
	uint64_t now = clock_mono_us();

	if (r->beat.us == 0 || now - r->beat.us < MESSAGE_HEARTBEAT_US)
		return;
	r->beat.us = now;
	m.seq = ++r->seq[message_type_stream(m.type)];
	link_send(r->l, r->buf, message_encode(&m, r->buf, sizeof(r->buf)));
}

/* False: nothing came in that time. */
static bool next_within(struct raw *r, uint64_t us, enum link_event_type *type, struct message *ret)
{
	struct link_event ev;
	uint64_t waited = 0; /* at least: who stood still has not waited */

	do {
		for (; !link_next(r->l, &ev); waited += 200) {
			if (waited > us)
				return false;
			stay_alive(r);
			usleep(200);
		}
		*type = ev.type;
		if (ev.type == LINK_DOWN)
			r->beat.us = 0;
		if (ev.type != LINK_MESSAGE)
			return true;
		memcpy(r->in, ev.data, ev.len);
		assert_int_equal(message_decode(r->in, ev.len, &r->scratch, ret), 0);
	} while (ret->type == MESSAGE_HEARTBEAT);
	return true;
}

enum link_event_type raw_next(struct raw *r, struct message *ret)
{
	enum link_event_type type;

	if (!next_within(r, WAIT_US, &type, ret))
		fail_msg("nothing came");
	return type;
}

struct message raw_expect(struct raw *r, enum message_type type)
{
	enum link_event_type ev;
	struct message m;

	stay_alive(r);
	while ((ev = raw_next(r, &m)) == LINK_UP)
		;
	assert_int_equal(ev, LINK_MESSAGE);
	if (m.type != type)
		fail_msg("%s, wanted %s", message_type_str(m.type), message_type_str(type));
	return m;
}

void raw_expect_down(struct raw *r)
{
	struct message m;

	r->beat.us = 0;
	while (raw_next(r, &m) != LINK_DOWN)
		;
}

bool raw_is_quiet(struct raw *r, unsigned ms)
{
	enum link_event_type ev;
	struct message m;

	return !next_within(r, ms * 1000, &ev, &m);
}

void raw_send_bytes(struct raw *r, const void *data, size_t len)
{
	r->said_us = clock_mono_us();
	assert_true(link_send(r->l, data, len));
}

void raw_send_head(struct raw *r, struct message m)
{
	size_t n = message_encode(&m, r->buf, sizeof(r->buf));

	assert_true(n > 0);
	raw_send_bytes(r, r->buf, n);
}

void raw_send(struct raw *r, struct message m)
{
	m.session = r->session;
	m.epoch = r->epoch;
	m.seq = ++r->seq[message_type_stream(m.type)];
	raw_send_head(r, m);
}

void raw_be_control(struct raw *r, uint64_t epoch)
{
	r->hello = raw_expect(r, MESSAGE_HELLO);
	snprintf(r->name, sizeof(r->name), "%.*s", STR_FMT(r->hello.hello.name));
	r->session = r->hello.session;
	r->epoch = epoch;
	memset(r->seq, 0, sizeof(r->seq));
	raw_send(r,
		(struct message){.type = MESSAGE_WELCOME,
			.welcome = {.name = STR("raw"), .version = STR("1")}});
	r->beat.session = r->session;
	r->beat.epoch = epoch;
	r->beat.us = clock_mono_us();
}

int64_t raw_counter(struct raw *r, const char *name)
{
	struct message m;
	json_t *j, *row;
	int64_t value = -1;
	size_t i;

	raw_send(r,
		(struct message){.type = MESSAGE_QUERY,
			.query = {.id = 77, .verb = STR("config")}});
	m = raw_expect(r, MESSAGE_REPLY);
	assert_int_equal(m.reply.status, MESSAGE_RESULT_OK);
	j = json_loadb(m.reply.chunk.p, m.reply.chunk.len, 0, NULL);
	json_array_foreach (json_object_get(j, "counters"), i, row)
		if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0)
			value = json_integer_value(json_object_get(row, "value"));
	json_decref(j);
	if (value < 0)
		fail_msg("no counter %s", name);
	return value;
}
