// SPDX-License-Identifier: Apache-2.0
/*
 * raw.h: one end of a link in the hands of a test: says what it likes, in any order.
 */
#pragma once

#include "dataplane/link/link.h"
#include "dataplane/snapshot/message.h"

struct raw {
	struct link *l;
	uint32_t session;
	uint64_t epoch;
	uint64_t seq[MESSAGE_STREAM_COUNT]; /* last sent */
	uint64_t said_us;		    /* when something was sent last, but for heartbeats */
	struct {
		uint64_t us, epoch; /* us 0: there are none */
		uint32_t session;
	} beat; /* control's heartbeats, sent while waiting for something */
	struct message_scratch scratch;
	uint8_t buf[MESSAGE_BYTES_MAX];
	uint8_t in[MESSAGE_RECV_BYTES_MAX]; /* the message that raw_expect() returned */
	struct message hello; /* of the last raw_be_control(); its texts are gone, but: */
	char name[MESSAGE_NAME_MAX + 1];
};

void raw_open(struct raw *r, const char *url, bool listen);
void raw_close(struct raw *r);
/* The next event, soon; heartbeats are skipped. */
enum link_event_type raw_next(struct raw *r, struct message *ret);
/* The next message must be of this type; it lives until the next call. */
struct message raw_expect(struct raw *r, enum message_type type);
/* Falls silent, until the connection ends. */
void raw_expect_down(struct raw *r);
/* True: nothing but heartbeats comes for so long. */
bool raw_is_quiet(struct raw *r, unsigned ms);
/* Fills in session, epoch and the next number of the stream. */
void raw_send(struct raw *r, struct message m);
/* As it is. */
void raw_send_head(struct raw *r, struct message m);
void raw_send_bytes(struct raw *r, const void *data, size_t len);
/* As control: waits for HELLO and welcomes; from now on heartbeats keep the session. */
void raw_be_control(struct raw *r, uint64_t epoch);
/* As control: a counter of the dataplane. */
int64_t raw_counter(struct raw *r, const char *name);
