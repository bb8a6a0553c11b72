// SPDX-License-Identifier: Apache-2.0
/*
 * agent_state.h: struct agent and what its files call in each other. For agent/ and its tests.
 *
 *	agent.c		lifecycle, the loop, time
 *	agent_session.c	the connection: HELLO, WELCOME, heartbeats, what is let in
 *	agent_apply.c	changes: apply -> wait for the workers and for the disk -> ACK
 *	disk.c		the thread that writes journal and snapshots
 *	agent_recover.c	last known good at the start
 *	agent_query.c	questions, one step per turn
 */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "dataplane/agent/agent.h"
#include "dataplane/agent/disk.h"
#include "dataplane/agent/live.h"
#include "dataplane/agent/store.h"
#include "dataplane/link/link.h"

#define AGENT_QUERIES_MAX 16u /* waiting; more are refused */
#define AGENT_TICK_US 250000u
#define AGENT_PENDING_POLL_MS 1 /* how often the line is looked at while it is not empty */
#define AGENT_TROUBLE_MAX 256u

enum agent_counter {
#define AGENT_COUNTER(NAME, name, help) AGENT_C_##NAME,
#include "dataplane/agent/agent.def"
#undef AGENT_COUNTER
	AGENT_C_COUNT
};

struct session {
	uint32_t id; /* 0: no connection */
	bool welcomed;
	uint64_t up_us, heard_us, beat_us; /* connected, last good message, last heartbeat sent */
	uint64_t seq_out[MESSAGE_STREAM_COUNT], seq_in[MESSAGE_STREAM_COUNT];
	uint64_t epoch; /* control's, once welcomed */
	char control[MESSAGE_NAME_MAX + 1];
};

/* A change on its way to the workers and to the disk. */
struct agent_ack {
	struct agent *agent;
	bool in_line, on_disk; /* what it waits for */
	uint32_t session;
	uint64_t seq, generation, revision;
	uint64_t stamp_us; /* when control published it; 0: not measured */
	enum message_result result;
	struct err err;
};

struct agent {
	struct agent_config cfg; /* its strings are owned */
	cpu_set_t cpus;
	struct worker_group *group; /* borrowed */
	struct agent_ops ops;
	struct live_context ctx;
	struct store store; /* the disk thread's, but for <boot> */
	struct disk disk;
	uint64_t fence;	   /* highest epoch of control ever welcomed */
	struct link *link; /* owned by the thread */
	struct session session;
	bool durable;			 /* nothing applied was refused by the disk */
	char trouble[AGENT_TROUBLE_MAX]; /* what people should know; for HELLO and `config` */
	struct list queries;		 /* struct query_job */
	unsigned query_count;
	uint64_t tick_us;
	struct message_scratch *scratch;
	uint8_t *buf; /* MESSAGE_BYTES_MAX, for encoding */
	uint64_t counters[AGENT_C_COUNT];
	uint64_t errors[MESSAGE_ERR_COUNT], refusals[MESSAGE_RESULT_COUNT];

	pthread_t thread;
	int wake_fd;
	atomic_bool stop;
	sem_t started;
	int start_rv;
	struct err *start_err; /* of agent_start(), until <started> */
};

static inline void agent_count(struct agent *a, enum agent_counter c)
{
	a->counters[c]++;
}
const char *agent_counter_name(unsigned i);
const char *agent_counter_help(unsigned i);

/* agent_session.c */
void agent_session_event(struct agent *a, const struct link_event *ev, uint64_t now_us);
/* Deadlines and heartbeats. */
void agent_session_tick(struct agent *a, uint64_t now_us);
/* Fills in the head. False: not connected, or the outbox is full and the connection was ended. */
bool agent_session_send(struct agent *a, struct message *m);

/* agent_apply.c */
/* A message of the config stream; <raw> are its bytes, for the journal. */
void agent_apply_message(struct agent *a, const struct message *m, const void *raw, size_t len,
	uint64_t now_us);
/* The body of message <head> could not be decoded. */
void agent_apply_refuse(struct agent *a, const struct message *head, enum message_result result,
	const char *text);
/* What the disk has done. */
void agent_apply_collect(struct agent *a);
/* End of a batch: see what is durable and who has arrived. */
void agent_apply_commit(struct agent *a, uint64_t now_us);

/* agent_recover.c: publishes the last known good configuration, if there is one. */
void agent_recover(struct agent *a);

/* agent_query.c */
void agent_query_message(struct agent *a, const struct message *m);
/* One step of the oldest question; false: there is none. */
bool agent_query_run(struct agent *a);
void agent_query_drop_all(struct agent *a);
