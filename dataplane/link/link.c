// SPDX-License-Identifier: Apache-2.0
/*
 * link.c: nng's callbacks on one side of a mutex, the owner's thread on the other.
 *
 * One receive and one send operation are in flight at most. The receive is not renewed while the
 * inbox is full, which stops the peer by PAIR1's own back-pressure. No nng function is called with
 * the mutex held, because nng may run a callback from inside it.
 *
 * Messages carry the number of the connection they came by. nng tells about a connection's end
 * (REM_POST) before the last message of that connection has been handed out, and may deliver the
 * first message before it tells about the connection (ADD_POST): the order of events is made here.
 */
#include "dataplane/link/link.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/protocol/pair1/pair.h>
#include <nng/transport/ipc/ipc.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/log.h"
#include "dataplane/link/link_watch.h"

#define EVENTS_MAX 256u /* ring: messages, and the ups and downs between them */

/* pipe_up() keeps half of the ring free for what comes before the next connection. */
static_assert(LINK_INBOX_MAX + 4 <= EVENTS_MAX / 2, "messages never fill the ring of events");

#define DEAD_MAX 8u /* ended connections remembered; nng is late by one or two */

struct event {
	enum link_event_type type;
	nng_msg *msg; /* owned */
};

struct link {
	struct link_config cfg;
	nng_socket socket;
	nng_listener listener;
	nng_aio *recv_aio, *send_aio; /* owned */
	int event_fd;
	nng_msg *current; /* owner: what link_next() handed out last */
	struct link_watch watch;

	pthread_mutex_t lock; /* protects all below */
	uint32_t pipe;	      /* connection in use, 0: none */
	uint32_t dead[DEAD_MAX]; /* the last ones that ended */
	unsigned dead_next;
	struct event events[EVENTS_MAX];
	unsigned event_first, event_count, message_count;
	nng_msg *outbox[LINK_OUTBOX_MAX]; /* owned */
	unsigned out_first, out_count;
	size_t out_bytes;
	bool receiving, sending, closing;
	struct link_stats stats;
};

static void link_wake(struct link *l)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then the descriptor is readable anyhow. */
	if (write(l->event_fd, &one, sizeof(one)) < 0)
		return;
}

/* Under the lock. */
static void event_push(struct link *l, enum link_event_type type, nng_msg *msg)
{
	unsigned at = (l->event_first + l->event_count) % EVENTS_MAX;

	bug_on(l->event_count == EVENTS_MAX);
	l->events[at] = (struct event){type, msg};
	l->event_count++;
	l->message_count += msg != NULL;
}

/* Under the lock: forgets everything, for an owner who was away while connections came and went. */
static void events_clear(struct link *l)
{
	for (; l->event_count > 0; l->event_count--) {
		nng_msg *msg = l->events[l->event_first].msg;

		if (msg != NULL)
			nng_msg_free(msg);
		l->event_first = (l->event_first + 1) % EVENTS_MAX;
	}
	l->message_count = 0;
}

/* Under the lock. */
static void outbox_clear(struct link *l)
{
	for (; l->out_count > 0; l->out_count--) {
		nng_msg_free(l->outbox[l->out_first]);
		l->out_first = (l->out_first + 1) % LINK_OUTBOX_MAX;
		l->stats.lost++;
	}
	l->out_bytes = 0;
}

static bool pipe_is_dead(const struct link *l, uint32_t pipe)
{
	for (unsigned i = 0; i < DEAD_MAX; i++)
		if (l->dead[i] == pipe)
			return true;
	return false;
}

/* Under the lock: <pipe> is the connection from now on. */
static void pipe_up(struct link *l, uint32_t pipe)
{
	if (pipe == l->pipe || pipe_is_dead(l, pipe) || l->closing)
		return;
	if (l->pipe != 0)
		event_push(l, LINK_DOWN, NULL);
	if (l->event_count > EVENTS_MAX / 2) {
		events_clear(l);
		event_push(l, LINK_DOWN, NULL);
	}
	l->pipe = pipe;
	l->stats.connects++;
	event_push(l, LINK_UP, NULL);
}

/* Under the lock; false: it was not the one in use (nng turned it away). */
static bool pipe_down(struct link *l, uint32_t pipe)
{
	l->dead[l->dead_next] = pipe;
	l->dead_next = (l->dead_next + 1) % DEAD_MAX;
	if (pipe != l->pipe)
		return false;
	l->pipe = 0;
	l->stats.disconnects++;
	outbox_clear(l);
	event_push(l, LINK_DOWN, NULL);
	return true;
}

static bool peer_is_allowed(const struct link *l, nng_pipe pipe)
{
	uint64_t uid;

	if (nng_pipe_get_uint64(pipe, NNG_OPT_IPC_PEER_UID, &uid) != 0)
		return false;
	for (unsigned i = 0; i < l->cfg.peer_uid_count; i++)
		if (uid == l->cfg.peer_uids[i])
			return true;
	return false;
}

static void on_pipe(nng_pipe pipe, nng_pipe_ev ev, void *arg)
{
	struct link *l = arg;
	uint32_t id = (uint32_t)nng_pipe_id(pipe);
	bool ended = false;

	if (ev == NNG_PIPE_EV_ADD_PRE) {
		if (peer_is_allowed(l, pipe))
			return;
		nng_pipe_close(pipe);
		pthread_mutex_lock(&l->lock);
		l->stats.rejected_peers++;
		pthread_mutex_unlock(&l->lock);
		return;
	}
	pthread_mutex_lock(&l->lock);
	if (ev == NNG_PIPE_EV_ADD_POST)
		pipe_up(l, id);
	else
		ended = pipe_down(l, id);
	pthread_mutex_unlock(&l->lock);
	/* A send that still waits would go to the next connection, which cannot exist yet. */
	if (ended)
		nng_aio_cancel(l->send_aio);
	link_wake(l);
}

static void on_received(void *arg)
{
	struct link *l = arg;
	nng_msg *msg;
	uint32_t id;
	bool again;

	pthread_mutex_lock(&l->lock);
	if (nng_aio_result(l->recv_aio) != 0) {
		/* Only closing ends a receive of PAIR1: lost connections leave it waiting. */
		l->receiving = false;
		pthread_mutex_unlock(&l->lock);
		return;
	}
	msg = nng_aio_get_msg(l->recv_aio);
	id = (uint32_t)nng_pipe_id(nng_msg_get_pipe(msg));
	if (pipe_is_dead(l, id) || l->closing) {
		nng_msg_free(msg);
	} else {
		pipe_up(l, id);
		event_push(l, LINK_MESSAGE, msg);
		l->stats.received++;
	}
	again = l->receiving = !l->closing && l->message_count < LINK_INBOX_MAX;
	pthread_mutex_unlock(&l->lock);
	if (again)
		nng_recv_aio(l->socket, l->recv_aio);
	link_wake(l);
}

/* Sends the oldest waiting message unless one is on its way. Without the lock. */
static void send_next(struct link *l)
{
	nng_msg *msg = NULL;

	pthread_mutex_lock(&l->lock);
	if (!l->sending && !l->closing && l->out_count > 0) {
		msg = l->outbox[l->out_first];
		l->out_first = (l->out_first + 1) % LINK_OUTBOX_MAX;
		l->out_count--;
		l->out_bytes -= nng_msg_len(msg);
		l->sending = true;
	}
	pthread_mutex_unlock(&l->lock);
	if (msg == NULL)
		return;
	nng_aio_set_msg(l->send_aio, msg);
	nng_send_aio(l->socket, l->send_aio);
}

static void on_sent(void *arg)
{
	struct link *l = arg;
	bool failed = nng_aio_result(l->send_aio) != 0;

	if (failed) {
		nng_msg_free(nng_aio_get_msg(l->send_aio));
		nng_aio_set_msg(l->send_aio, NULL);
	}
	pthread_mutex_lock(&l->lock);
	l->sending = false;
	if (failed)
		l->stats.lost++;
	else
		l->stats.sent++;
	pthread_mutex_unlock(&l->lock);
	send_next(l);
}

static int link_listen(struct link *l)
{
	int rv = nng_listener_create(&l->listener, l->socket, l->cfg.url);

	if (rv == 0)
		rv = nng_listener_set_int(l->listener, NNG_OPT_IPC_PERMISSIONS, (int)l->cfg.mode);
	if (rv == 0)
		rv = nng_listener_start(l->listener, 0);
	if (rv != 0 && nng_listener_id(l->listener) > 0)
		nng_listener_close(l->listener);
	return rv;
}

/* Options that endpoints inherit are set before there is one. */
static int link_connect(struct link *l)
{
	static const nng_pipe_ev events[] = {
		NNG_PIPE_EV_ADD_PRE, NNG_PIPE_EV_ADD_POST, NNG_PIPE_EV_REM_POST};
	int rv = nng_socket_set_size(l->socket, NNG_OPT_RECVMAXSZ, l->cfg.recv_bytes_max);

	if (rv == 0)
		rv = nng_socket_set_ms(l->socket, NNG_OPT_RECONNMINT, LINK_REDIAL_MS);
	if (rv == 0)
		rv = nng_socket_set_ms(l->socket, NNG_OPT_RECONNMAXT, LINK_REDIAL_MS);
	for (unsigned i = 0; i < sizeof(events) / sizeof(events[0]) && rv == 0; i++)
		rv = nng_pipe_notify(l->socket, events[i], on_pipe, l);
	if (rv == 0)
		rv = nng_aio_alloc(&l->recv_aio, on_received, l);
	if (rv == 0)
		rv = nng_aio_alloc(&l->send_aio, on_sent, l);
	if (rv != 0)
		return rv;
	l->receiving = true;
	nng_recv_aio(l->socket, l->recv_aio);
	if (l->cfg.listen)
		return link_listen(l);
	return nng_dial(l->socket, l->cfg.url, NULL, NNG_FLAG_NONBLOCK);
}

int link_open(const struct link_config *cfg, struct link **ret, struct err *err)
{
	struct link *l;
	int rv;

	if (strncmp(cfg->url, "ipc:///", 7) != 0)
		return err_set(err, EINVAL, "url %s: ipc:/// and an absolute path is needed", cfg->url);
	l = calloc(1, sizeof(*l));
	bug_on(l == NULL);
	l->cfg = *cfg;
	l->cfg.url = strdup(cfg->url);
	bug_on(l->cfg.url == NULL);
	pthread_mutex_init(&l->lock, NULL);
	link_watch_init(&l->watch);
	l->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->event_fd < 0) {
		rv = errno;
		err_set(err, rv, "eventfd: %s", strerror(rv));
		goto err_free;
	}
	rv = nng_pair1_open(&l->socket);
	if (rv == 0)
		rv = link_connect(l);
	if (rv != 0) {
		err_set(err, EIO, "%s %s: %s", cfg->listen ? "listen on" : "dial", cfg->url,
			nng_strerror(rv));
		rv = rv == NNG_EADDRINUSE ? EADDRINUSE : EIO;
		link_close(l);
		return -rv;
	}
	link_watch_listening(&l->watch, l->cfg.url);
	*ret = l;
	return 0;
err_free:
	pthread_mutex_destroy(&l->lock);
	free((void *)l->cfg.url);
	free(l);
	return -rv;
}

void link_close(struct link *l)
{
	if (l == NULL)
		return;
	pthread_mutex_lock(&l->lock);
	l->closing = true;
	pthread_mutex_unlock(&l->lock);
	if (nng_socket_id(l->socket) > 0)
		nng_close(l->socket);
	if (l->recv_aio != NULL)
		nng_aio_free(l->recv_aio);
	if (l->send_aio != NULL)
		nng_aio_free(l->send_aio);
	events_clear(l);
	outbox_clear(l);
	if (l->current != NULL)
		nng_msg_free(l->current);
	link_watch_fini(&l->watch);
	close(l->event_fd);
	pthread_mutex_destroy(&l->lock);
	free((void *)l->cfg.url);
	free(l);
}

int link_fd(const struct link *l)
{
	return l->event_fd;
}

bool link_next(struct link *l, struct link_event *ret)
{
	struct event e = {0};
	bool any, receive = false;
	uint64_t n;

	if (l->current != NULL) {
		nng_msg_free(l->current);
		l->current = NULL;
	}
	pthread_mutex_lock(&l->lock);
	any = l->event_count > 0;
	if (any) {
		e = l->events[l->event_first];
		l->event_first = (l->event_first + 1) % EVENTS_MAX;
		l->event_count--;
		l->message_count -= e.msg != NULL;
		if (!l->receiving && l->message_count < LINK_INBOX_MAX / 2)
			receive = l->receiving = true;
	} else if (read(l->event_fd, &n, sizeof(n)) < 0) {
		n = 0; /* it was not readable; under the lock nothing can have come since */
	}
	pthread_mutex_unlock(&l->lock);
	if (receive)
		nng_recv_aio(l->socket, l->recv_aio);
	if (!any)
		return false;
	l->current = e.msg;
	*ret = (struct link_event){.type = e.type};
	if (e.msg != NULL) {
		ret->data = nng_msg_body(e.msg);
		ret->len = nng_msg_len(e.msg);
	}
	return true;
}

bool link_send(struct link *l, const void *data, size_t len)
{
	nng_msg *msg;
	bool queued;

	if (nng_msg_alloc(&msg, len) != 0)
		return false;
	memcpy(nng_msg_body(msg), data, len);
	pthread_mutex_lock(&l->lock);
	queued = l->pipe != 0 && l->out_count < LINK_OUTBOX_MAX &&
		l->out_bytes + len <= LINK_OUTBOX_BYTES_MAX;
	if (queued) {
		l->outbox[(l->out_first + l->out_count) % LINK_OUTBOX_MAX] = msg;
		l->out_count++;
		l->out_bytes += len;
	} else {
		l->stats.refused++;
	}
	pthread_mutex_unlock(&l->lock);
	if (!queued) {
		nng_msg_free(msg);
		return false;
	}
	send_next(l);
	return true;
}

void link_drop(struct link *l)
{
	nng_pipe pipe = NNG_PIPE_INITIALIZER;

	pthread_mutex_lock(&l->lock);
	pipe.id = l->pipe;
	pthread_mutex_unlock(&l->lock);
	if (pipe.id != 0)
		nng_pipe_close(pipe);
}

bool link_is_up(const struct link *l)
{
	bool up;

	pthread_mutex_lock((pthread_mutex_t *)&l->lock);
	up = l->pipe != 0;
	pthread_mutex_unlock((pthread_mutex_t *)&l->lock);
	return up;
}

void link_stats(const struct link *l, struct link_stats *ret)
{
	pthread_mutex_lock((pthread_mutex_t *)&l->lock);
	*ret = l->stats;
	pthread_mutex_unlock((pthread_mutex_t *)&l->lock);
}

void link_check(struct link *l, uint64_t now_us)
{
	int rv;

	if (!l->cfg.listen || link_is_up(l)) {
		link_watch_reset(&l->watch, now_us);
		return;
	}
	if (link_watch_is_reachable(&l->watch, l->cfg.url, now_us))
		return;
	nng_listener_close(l->listener);
	rv = link_listen(l);
	pthread_mutex_lock(&l->lock);
	l->stats.relistens++;
	pthread_mutex_unlock(&l->lock);
	log_warn("link", "url=%s msg=\"could not be reached, listening again: %s\"", l->cfg.url,
		rv == 0 ? "done" : nng_strerror(rv));
	if (rv == 0)
		link_watch_listening(&l->watch, l->cfg.url);
	link_watch_reset(&l->watch, now_us);
}
