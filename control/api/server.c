// SPDX-License-Identifier: Apache-2.0
/*
 * server.c: carries struct api_request over libmicrohttpd.
 *
 * Life of a request: uri_log (target known) → access handler, once per piece of the body →
 * dispatch → reply queued, or the connection is suspended until the handler replies →
 * completed. Limits: connections, idle time, header bytes (libmicrohttpd answers those itself),
 * target and body (request.c answers).
 */
#include "control/api/server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/api/request.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/log.h"

#define SERVER_CONNECTIONS_MAX 64u
#define SERVER_IDLE_S 15u
#define SERVER_HEADER_BYTES_MAX (32u << 10) /* of request line and fields, per connection */
#define SERVER_BACKLOG 64
/* A body too long is read to its end up to here: who is answered while he sends may not look. */
#define SERVER_DISCARD_BYTES_MAX (16u << 20)

#define STREAMS_MAX 16u
#define STREAM_BYTES_MAX (256u << 10)
#define STREAM_PIECE_BYTES 4096u
#define STREAM_ALIVE_US 10000000u /* a comment, so that both sides know that the other is there */

struct server {
	struct loop *loop;
	const struct api_source *source;
	struct MHD_Daemon *mhd;
	struct loop_fd fd;
	struct loop_timer timer, alive_timer;
	char *path; /* owned; of the socket */
	unsigned streams;
	struct list transfers; /* requests in flight */
};

/* What a listener to events has not been sent yet. */
struct stream {
	bool on, lost;
	char *text; /* owned, STREAM_BYTES_MAX */
	size_t len;
};

struct transfer {
	struct api_request req;
	struct server *server;
	struct MHD_Connection *conn;
	struct list link;
	char *target; /* owned */
	char *body;   /* owned */
	size_t body_len;
	bool started, dispatched, suspended;
	struct stream stream;
};

/* --- one request --- */

static void transfer_free(struct transfer *c)
{
	list_del(&c->link);
	api_request_fini(&c->req);
	c->server->streams -= c->stream.on;
	free(c->stream.text);
	free(c->target);
	free(c->body);
	free(c);
}

static void on_reply(struct api_request *r)
{
	struct transfer *c = r->carrier;

	if (!c->suspended)
		return;
	c->suspended = false;
	MHD_resume_connection(c->conn);
	loop_timer_set(c->server->loop, &c->server->timer, 0);
}

static void *on_target(void *cls, const char *target, struct MHD_Connection *conn)
{
	struct server *s = cls;
	struct transfer *c = calloc(1, sizeof(*c));

	if (c == NULL || (c->target = strdup(target)) == NULL) {
		free(c);
		return NULL;
	}
	c->server = s;
	c->conn = conn;
	api_request_init(&c->req, s->source, s->loop);
	c->req.on_reply = on_reply;
	c->req.carrier = c;
	list_add_tail(&s->transfers, &c->link);
	return c;
}

static void on_completed(void *cls, struct MHD_Connection *conn, void **con_cls,
	enum MHD_RequestTerminationCode why)
{
	struct transfer *c = *con_cls;

	if (c != NULL)
		transfer_free(c);
	*con_cls = NULL;
}

static struct str field(struct MHD_Connection *conn, const char *name)
{
	return str_of(MHD_lookup_connection_value(conn, MHD_HEADER_KIND, name));
}

/* --- events as they come --- */

/* libmicrohttpd asks for the next piece; without one the connection rests. */
static ssize_t stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
	struct transfer *c = cls;
	struct stream *st = &c->stream;
	size_t n = st->len < max ? st->len : max;

	if (n == 0) {
		c->suspended = true;
		MHD_suspend_connection(c->conn);
		return 0;
	}
	memcpy(buf, st->text, n);
	memmove(st->text, st->text + n, st->len - n);
	st->len -= n;
	return (ssize_t)n;
}

static void stream_add(struct transfer *c, struct str text)
{
	struct stream *st = &c->stream;
	struct str lost = STR("event: lost\ndata: {}\n\n");

	if (!st->on)
		return;
	if (st->lost && st->len == 0) {
		memcpy(st->text, lost.p, lost.len);
		st->len = lost.len;
		st->lost = false;
	}
	if (st->lost || text.len > STREAM_BYTES_MAX - st->len) {
		st->lost = true;
	} else {
		memcpy(st->text + st->len, text.p, text.len);
		st->len += text.len;
	}
	on_reply(&c->req); /* it goes on */
}

void server_tell(struct server *s, const char *event, json_t *data)
{
	char *text = s != NULL ? json_dumps(data, JSON_COMPACT) : NULL, *line = NULL;
	int n = text != NULL ? asprintf(&line, "event: %s\ndata: %s\n\n", event, text) : -1;

	if (s == NULL) {
		json_decref(data);
		return;
	}
	list_for_each (l, &s->transfers)
		if (n > 0)
			stream_add(list_entry(l, struct transfer, link), str_make(line, (size_t)n));
	if (n >= 0)
		free(line);
	free(text);
	json_decref(data);
}

static void on_alive(void *arg)
{
	struct server *s = arg;

	list_for_each (l, &s->transfers)
		stream_add(list_entry(l, struct transfer, link), STR(": alive\n\n"));
	loop_timer_set(s->loop, &s->alive_timer, STREAM_ALIVE_US);
}

static struct MHD_Response *stream_begin(struct transfer *c)
{
	struct stream *st = &c->stream;

	st->text = malloc(STREAM_BYTES_MAX);
	bug_on(st->text == NULL);
	st->on = true;
	c->server->streams++;
	stream_add(c, STR(": alive\n\n"));
	return MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_PIECE_BYTES, stream_read,
		c, NULL);
}

/* One listener too many is told so. */
static void stream_check(struct transfer *c)
{
	if (!c->req.reply.stream || c->server->streams < STREAMS_MAX)
		return;
	c->req.reply = (struct api_reply){.status = 0};
	api_reply_problem(&c->req, PROBLEM_BUSY, "%u listen to events already", STREAMS_MAX);
}

static enum MHD_Result queue_reply(struct transfer *c)
{
	struct api_reply *rep = &c->req.reply;
	struct MHD_Response *resp = rep->stream
		? stream_begin(c)
		: MHD_create_response_from_buffer(rep->body_len, rep->body,
			  rep->body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	enum MHD_Result ok;

	if (resp == NULL)
		return MHD_NO;
	rep->body = NULL; /* the response's now */
	if (rep->content_type != NULL && rep->status != 304)
		MHD_add_response_header(resp, MHD_HTTP_HEADER_CONTENT_TYPE, rep->content_type);
	if (rep->etag[0] != '\0')
		MHD_add_response_header(resp, MHD_HTTP_HEADER_ETAG, rep->etag);
	if (rep->allow != NULL)
		MHD_add_response_header(resp, MHD_HTTP_HEADER_ALLOW, rep->allow);
	if (rep->vary)
		MHD_add_response_header(resp, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ACCEPT);
	MHD_add_response_header(resp, MHD_HTTP_HEADER_CACHE_CONTROL, "no-cache");
	ok = MHD_queue_response(c->conn, rep->status, resp);
	MHD_destroy_response(resp);
	return ok;
}

static enum MHD_Result dispatch(struct transfer *c, const char *method)
{
	const struct api_input in = {
		.method = str_of(method),
		.target = str_of(c->target),
		.accept = field(c->conn, MHD_HTTP_HEADER_ACCEPT),
		.if_none_match = field(c->conn, MHD_HTTP_HEADER_IF_NONE_MATCH),
		.if_match = field(c->conn, MHD_HTTP_HEADER_IF_MATCH),
		.content_type = field(c->conn, MHD_HTTP_HEADER_CONTENT_TYPE),
		.body = str_make(c->body, c->body_len),
	};

	c->dispatched = true;
	api_dispatch(&c->req, &in);
	stream_check(c);
	if (c->req.reply.status != 0)
		return queue_reply(c);
	c->suspended = true;
	MHD_suspend_connection(c->conn);
	return MHD_YES;
}

/* Past the limit the length is still counted, so that dispatch sees it, the bytes are not kept. */
static enum MHD_Result take_body(struct transfer *c, const char *data, size_t len)
{
	size_t keep = c->body_len + len <= API_BODY_BYTES_MAX ? len : 0;
	char *p;

	if (c->body_len + len > SERVER_DISCARD_BYTES_MAX)
		return MHD_NO;
	if (keep > 0) {
		p = realloc(c->body, c->body_len + keep);
		if (p == NULL)
			return MHD_NO;
		memcpy(p + c->body_len, data, keep);
		c->body = p;
	}
	c->body_len += len;
	return MHD_YES;
}

static enum MHD_Result on_access(void *cls, struct MHD_Connection *conn, const char *url,
	const char *method, const char *version, const char *data, size_t *data_len, void **con_cls)
{
	struct transfer *c = *con_cls;

	if (c == NULL)
		return MHD_NO; /* out of memory in on_target() */
	if (!c->started) {
		c->started = true; /* the body, if any, comes with the next calls */
		return MHD_YES;
	}
	if (*data_len > 0) {
		enum MHD_Result ok = take_body(c, data, *data_len);

		*data_len = 0;
		return ok;
	}
	return c->dispatched ? queue_reply(c) : dispatch(c, method);
}

/* --- the daemon on the loop --- */

static void run(struct server *s)
{
	MHD_UNSIGNED_LONG_LONG ms;

	MHD_run(s->mhd);
	if (MHD_get_timeout(s->mhd, &ms) == MHD_YES)
		loop_timer_set(s->loop, &s->timer, (uint64_t)ms * 1000);
	else
		loop_timer_stop(&s->timer);
}

static void on_timer(void *arg)
{
	run(arg);
}

static void on_event(void *arg, uint32_t events)
{
	run(arg);
}

static void on_log(void *cls, const char *fmt, va_list ap)
{
	char line[256];

	vsnprintf(line, sizeof(line), fmt, ap);
	log_debug("api", "msg=\"%s\"", line);
}

static int start(struct server *s, int listen_fd, struct err *err)
{
	const union MHD_DaemonInfo *info;

	s->mhd = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
		NULL, NULL, on_access, s, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL,
		MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_target, s,
		MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_CONNECTION_LIMIT,
		SERVER_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, SERVER_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)SERVER_HEADER_BYTES_MAX,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (s->mhd == NULL) {
		close(listen_fd);
		return err_set(err, ENOMEM, "HTTP server: did not start");
	}
	info = MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD);
	s->fd = (struct loop_fd){.fd = info->epoll_fd, .fn = on_event, .arg = s};
	return loop_fd_add(s->loop, &s->fd, EPOLLIN, err);
}

/* --- the socket --- */

static int sock_bind(int fd, const struct sockaddr_un *addr, const struct server_options *opt)
{
	mode_t old = umask(0777); /* nobody gets in before the mode is set */
	int rc = bind(fd, (const struct sockaddr *)addr, sizeof(*addr));

	umask(old);
	if (rc < 0)
		return -errno;
	if ((opt->uid != (uid_t)-1 || opt->gid != (gid_t)-1) &&
		lchown(opt->socket, opt->uid, opt->gid) < 0)
		return -errno;
	if (chmod(opt->socket, opt->mode) < 0 || listen(fd, SERVER_BACKLOG) < 0)
		return -errno;
	return 0;
}

/* True when there was a socket that nobody listens on any more, and it is gone now. */
static bool remove_dead(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) < 0 &&
		errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return dead && unlink(addr->sun_path) == 0;
}

static int sock_open(const struct server_options *opt, int *ret_fd, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd, rc;

	if (strlen(opt->socket) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG,
			"%s: longer than the %zu bytes of a socket's name", opt->socket,
			sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, opt->socket);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, errno, "%s: %s", opt->socket, strerror(errno));
	rc = sock_bind(fd, &addr, opt);
	if (rc == -EADDRINUSE && remove_dead(&addr))
		rc = sock_bind(fd, &addr, opt);
	if (rc < 0) {
		close(fd);
		return err_set(err, -rc, "%s: %s", opt->socket, strerror(-rc));
	}
	*ret_fd = fd;
	return 0;
}

/* --- lifecycle --- */

int server_open(struct loop *loop, const struct server_options *opt,
	const struct api_source *source, struct server **ret_server, struct err *err)
{
	struct server *s;
	int fd = -1, rc;

	rc = sock_open(opt, &fd, err);
	if (rc < 0)
		return rc;
	s = calloc(1, sizeof(*s));
	if (s == NULL || (s->path = strdup(opt->socket)) == NULL) {
		close(fd);
		free(s);
		return err_set(err, ENOMEM, "HTTP server: out of memory");
	}
	s->loop = loop;
	s->source = source;
	list_init(&s->transfers);
	loop_timer_init(&s->timer, on_timer, s);
	loop_timer_init(&s->alive_timer, on_alive, s);
	loop_timer_set(loop, &s->alive_timer, STREAM_ALIVE_US);
	rc = start(s, fd, err);
	if (rc < 0) {
		server_close(s);
		return rc;
	}
	*ret_server = s;
	return 0;
}

void server_close(struct server *s)
{
	if (s == NULL)
		return;
	loop_timer_stop(&s->alive_timer);
	loop_fd_remove(s->loop, &s->fd);
	/* libmicrohttpd wants no connection suspended when it stops */
	list_for_each (l, &s->transfers)
		on_reply(&list_entry(l, struct transfer, link)->req);
	if (s->mhd != NULL)
		MHD_stop_daemon(s->mhd);
	loop_timer_stop(&s->timer); /* not before: who is woken above sets it */
	if (unlink(s->path) < 0 && errno != ENOENT)
		log_info("api", "socket=%s msg=\"not removed: %s\"", s->path, strerror(errno));
	free(s->path);
	free(s);
}
