// SPDX-License-Identifier: Apache-2.0
/*
 * server.h: the REST API on a unix socket.
 *
 * libmicrohttpd in its "external epoll" mode: it starts no thread, its epoll descriptor is one
 * more descriptor of control's loop, and every handler runs on the loop's thread. Access is the
 * file mode of the socket.
 */
#pragma once

#include <jansson.h>
#include <sys/types.h>

#include "control/api/source.h"
#include "control/loop/loop.h"

struct server;

struct server_options {
	const char *socket;
	mode_t mode; /* of the socket file */
	uid_t uid;   /* and its owner; (uid_t)-1: ours */
	gid_t gid;
};

/* -EADDRINUSE when somebody answers on that socket; a dead one is replaced. */
int server_open(struct loop *loop, const struct server_options *opt,
	const struct api_source *source, struct server **ret_server, struct err *err);
/*
 * Tells everybody who listens to /api/v1/events; <data> is taken over. Who reads too slowly is told
 * once, by an event "lost", that he has missed some and should read everything again. <s> NULL: there
 * is nobody.
 */
void server_tell(struct server *s, const char *event, json_t *data);
/* Answers in flight are dropped. Removes the socket file. */
void server_close(struct server *s);
