// SPDX-License-Identifier: Apache-2.0
/*
 * client_conn.h: what client.c (the run) and client_conn.c (connections and answers) share: one run
 * of one process, so it stands in one global.
 */
#pragma once

#include "tests/bench/client.h"

#define READ_BYTES (256 * 1024)

#define TICK_US 10000 /* between looks at connections that wait or hang */
#define SIZES 3

enum state {
	CLOSED = 0, /* may be opened */
	FAILED,	    /* refused or reset; opened again at the next tick */
	CONNECTING,
	IDLE,
	HEAD, /* a request is out */
	BODY,
	ENDING, /* the answer is complete, the other side has to close */
};

struct conn {
	int fd;
	uint8_t state; /* enum state */
	bool closing;  /* a connection per request */
	bool ready;    /* in the ring of those that may send */
	const struct request *req;
	uint64_t due_us; /* when its request should have been sent */
	uint64_t body_have;
	uint32_t head_have;
	char head[CLIENT_HEAD_MAX];
};

struct request {
	char *text;
	uint32_t len;
	uint64_t body; /* what the answer has to hold */
};

struct client_run {
	const struct client_config *cfg;
	struct client_result *res;
	struct conn *conns;
	struct conn **ready; /* ring of connections that may send, the longest idle first */
	uint64_t ready_head, ready_tail;
	struct request *requests[2]; /* [closing][route * SIZES + size] */
	uint32_t *hist;
	char *buf, *pattern;
	uint64_t seed, now_us, start_us, tick_us, sent, good;
	bool measuring, over;
	int ep;
};
extern struct client_run me;

/* Requests for every route, size and kind of connection, made before the start. */
void requests_make(void);
void requests_free(void);

/* The time of request i in an open loop. */
uint64_t due_us(uint64_t i);
void conn_open(struct conn *c);
/* The connection may send. */
void conn_ready(struct conn *c);
/* Sends what is due, as far as connections are free. */
void ready_run(void);
void conn_event(struct conn *c, uint32_t events);
/* Opens again what failed, and gives up on what hangs; call it every turn. */
void conns_tick(void);
