// SPDX-License-Identifier: Apache-2.0
/*
 * request.h: one API request from its target to its reply, independent of the server that carries
 * it, so that every handler runs in a unit test without a socket.
 *
 * A handler either replies, or starts to wait (api_wait) and replies later, on the same thread;
 * the carrier is told by <on_reply>. The request lives until the carrier calls
 * api_request_fini(), which also ends a wait.
 */
#pragma once

#include <jansson.h>

#include "control/api/etag.h"
#include "control/api/problem.h"
#include "control/api/source.h"
#include "control/api/uri.h"
#include "control/loop/loop.h"
#include "dataplane/base/arena.h"

#define API_TARGET_BYTES_MAX 2048u
#define API_BODY_BYTES_MAX (1u << 20)
#define API_ARENA_BYTES_MAX (64u << 10)

struct api_request;
struct api_route;

struct api_input { /* borrowed until api_request_fini() */
	struct str method, target;
	struct str accept, if_none_match, content_type;
	struct str body;
	struct str if_match;
};

struct api_reply {
	unsigned status; /* 0: none yet */
	const char *content_type;
	char *body; /* owned, malloc'ed; NULL when empty */
	size_t body_len;
	char etag[ETAG_STRLEN]; /* "" : none */
	const char *allow;	/* 405: the methods; in the arena */
	bool vary;		/* the representation depends on Accept */
	bool stream;		/* what comes is sent as it comes (server_tell()); no body */
};

struct api_request {
	const struct api_source *source;
	struct loop *loop;
	struct arena arena;
	struct api_input in;
	struct str path; /* of the target, still encoded */
	struct uri uri;
	const struct api_route *route;
	int produces; /* index into the route's representations */
	struct api_reply reply;
	void (*on_reply)(struct api_request *r); /* after a wait only */
	void *carrier;				 /* of whoever set on_reply */
	void *wait;				 /* of the handler that waits; NULL: none */
	void (*wait_cancel)(struct api_request *r);
};

void api_request_init(struct api_request *r, const struct api_source *source, struct loop *loop);
void api_request_fini(struct api_request *r);

/* Routes, checks and runs the handler. Afterwards r->reply.status is set, or r->wait is. */
void api_dispatch(struct api_request *r, const struct api_input *in);

/* --- for handlers --- */

/* The value of a "{...}" of the route's path: the first is number 0. Never empty. */
struct str api_path_param(const struct api_request *r, unsigned number);
/* {NULL, 0} when the query does not have it. */
struct str api_query_param(const struct api_request *r, const char *name);

void api_wait(struct api_request *r, void *wait, void (*cancel)(struct api_request *r));

/* Each of these replies; <j> and <text> are taken over, NULL means memory was out. */
void api_reply_json(struct api_request *r, unsigned status, json_t *j);
/*
 * A 200 whose tag is that of <tagged>: for what moves by itself while what is edited stands still.
 * The tag only serves If-Match then; no GET is answered 304. Both are taken over.
 */
void api_reply_json_tagged(struct api_request *r, json_t *j, json_t *tagged);
/* The tag that a GET replying <j> (taken over) would have. */
void api_etag_json(json_t *j, char ret[ETAG_STRLEN]);
/* Server-sent events, until the client goes. */
void api_reply_stream(struct api_request *r);
void api_reply_text(struct api_request *r, const char *content_type, char *text, size_t len);
void api_reply_problem(struct api_request *r, enum problem_type type, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
