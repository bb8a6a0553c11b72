// SPDX-License-Identifier: Apache-2.0
/*
 * link.c: who is connected, and the two queues.
 *
 * New streams are left in <next> by the callback of accept or dial; the owner's thread, woken by
 * the eventfd, ends the old connection and begins the new one, so connections never overlap and
 * LINK_DOWN always comes between two LINK_UP. The lock is held for moments and never across a call
 * into nng.
 */
#include "dataplane/link/link.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nng/nng.h>
#include <nng/transport/ipc/ipc.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/log.h"
#include "dataplane/link/link_conn.h"

/* Messages of two connections at most, see link_next(), and their ups and downs. */
#define EVENTS_MAX (LINK_INBOX_MAX + 4)

struct event {
	enum link_event_type type;
	struct conn_frame *frame; /* owned */
};

struct link {
	struct link_config cfg;
	nng_stream_listener *listener; /* owned; of the two one; on_timer() may replace it */
	nng_stream_dialer *dialer;
	nng_aio *find_aio;  /* owned: accept or dial; then the next, or the timer */
	nng_aio *timer_aio; /* owned: the pause before the next try */
	int event_fd;
	struct conn *conn;	    /* owned; owner: rw */
	struct conn_frame *current; /* owned: what link_next() handed out last */
	bool drop;		    /* owner: the connection shall end */
	uint64_t checked_us;

	pthread_mutex_t lock; /* protects all below */
	dev_t dev;	      /* of our socket file */
	ino_t ino;
	nng_stream *next; /* owned: the connection to come */
	bool busy;	  /* there is a connection that has not failed */
	bool relisten;	  /* the listener is closed and shall be made anew */
	bool closing;
	struct event events[EVENTS_MAX];
	unsigned event_first, event_count, message_count;
	struct conn_frame *outbox[LINK_OUTBOX_MAX]; /* owned */
	unsigned out_first, out_count;
	size_t out_bytes;
	struct link_stats stats;
};

static void wake(struct link *l)
{
	uint64_t one = 1;

	/* Fails only when the counter is full, and then the descriptor is readable anyhow. */
	if (write(l->event_fd, &one, sizeof(one)) < 0)
		return;
}

static void wake_clear(struct link *l)
{
	uint64_t n;

	if (read(l->event_fd, &n, sizeof(n)) < 0)
		return; /* it was empty */
}

static void lock(struct link *l)
{
	pthread_mutex_lock(&l->lock);
}

static void unlock(struct link *l)
{
	pthread_mutex_unlock(&l->lock);
}

/* Under the lock. */
static void event_push(struct link *l, enum link_event_type type, struct conn_frame *f)
{
	unsigned at = (l->event_first + l->event_count) % EVENTS_MAX;

	bug_on(l->event_count == EVENTS_MAX);
	l->events[at] = (struct event){type, f};
	l->event_count++;
	l->message_count += f != NULL;
}

/* Under the lock. */
static void outbox_clear(struct link *l)
{
	for (; l->out_count > 0; l->out_count--) {
		free(l->outbox[l->out_first]);
		l->out_first = (l->out_first + 1) % LINK_OUTBOX_MAX;
		l->stats.lost++;
	}
	l->out_bytes = 0;
}

/* Under the lock. */
static struct conn_frame *outbox_pop(struct link *l)
{
	struct conn_frame *f = l->outbox[l->out_first];

	if (l->out_count == 0)
		return NULL;
	l->out_first = (l->out_first + 1) % LINK_OUTBOX_MAX;
	l->out_count--;
	l->out_bytes -= f->len;
	return f;
}

static bool link_take(struct conn *c, struct conn_frame *f)
{
	struct link *l = c->owner;
	bool more;

	lock(l);
	event_push(l, LINK_MESSAGE, f);
	l->stats.received++;
	more = c->receiving = l->message_count < LINK_INBOX_MAX;
	unlock(l);
	wake(l);
	return more;
}

/* Under the lock: both greetings are over. */
static void conn_up_if_greeted(struct link *l, struct conn *c)
{
	if (!c->greeted_in || !c->greeted_out || c->up || c->failed)
		return;
	c->up = true;
	l->stats.connects++;
	event_push(l, LINK_UP, NULL);
}

static void link_greeted(struct conn *c)
{
	struct link *l = c->owner;

	lock(l);
	c->greeted_in = true;
	conn_up_if_greeted(l, c);
	unlock(l);
	wake(l);
}

static struct conn_frame *link_give(struct conn *c, bool was_message)
{
	struct link *l = c->owner;
	struct conn_frame *f = NULL;

	lock(l);
	if (was_message) {
		l->stats.sent++;
	} else {
		c->greeted_out = true;
		conn_up_if_greeted(l, c);
	}
	if (!c->failed)
		f = outbox_pop(l);
	c->sending = f != NULL;
	unlock(l);
	wake(l);
	return f;
}

static void link_failed(struct conn *c, enum conn_fault why)
{
	struct link *l = c->owner;

	lock(l);
	c->failed = true;
	l->busy = false;
	l->stats.rejected_bytes += why == CONN_BYTES || why == CONN_LONG;
	unlock(l);
	wake(l);
}

static const struct conn_ops conn_ops = {
	.take = link_take,
	.give = link_give,
	.greeted = link_greeted,
	.failed = link_failed,
};

static const char *path_of(const struct link *l)
{
	return l->cfg.url + strlen("ipc://");
}

static bool peer_is_allowed(const struct link *l, nng_stream *s)
{
	uint64_t uid;

	if (nng_stream_get_uint64(s, NNG_OPT_IPC_PEER_UID, &uid) != 0)
		return false;
	for (unsigned i = 0; i < l->cfg.peer_uid_count; i++)
		if (uid == l->cfg.peer_uids[i])
			return true;
	return false;
}

static void find(struct link *l)
{
	if (l->cfg.listen)
		nng_stream_listener_accept(l->listener, l->find_aio);
	else
		nng_stream_dialer_dial(l->dialer, l->find_aio);
}

/* True: it will be the next connection. */
static bool stream_found(struct link *l, nng_stream *s)
{
	bool allowed = peer_is_allowed(l, s), keep;

	lock(l);
	keep = allowed && !l->busy && l->next == NULL && !l->closing;
	if (keep)
		l->next = s;
	else if (!allowed)
		l->stats.rejected_peers++;
	else
		l->stats.rejected_busy++;
	unlock(l);
	if (keep)
		return true;
	nng_stream_close(s);
	nng_stream_free(s);
	return false;
}

static void pause_then_find(struct link *l)
{
	bool go;

	lock(l);
	go = !l->closing;
	unlock(l);
	if (go)
		nng_sleep_aio(LINK_REDIAL_MS, l->timer_aio);
}

static void on_found(void *arg)
{
	struct link *l = arg;
	bool keep;

	if (nng_aio_result(l->find_aio) != 0) {
		pause_then_find(l); /* nobody there yet; or out of descriptors */
		return;
	}
	keep = stream_found(l, nng_aio_get_output(l->find_aio, 0));
	if (keep)
		wake(l);
	if (l->cfg.listen)
		find(l);
	else if (!keep)
		pause_then_find(l);
}

/* A new listener; an nng error. */
static int listen_now(struct link *l)
{
	nng_stream_listener *new = NULL;
	struct stat st = {0};
	int rv = nng_stream_listener_alloc(&new, l->cfg.url);

	if (rv == 0)
		rv = nng_stream_listener_set_int(new, NNG_OPT_IPC_PERMISSIONS, (int)l->cfg.mode);
	if (rv == 0)
		rv = nng_stream_listener_listen(new);
	if (rv != 0) {
		if (new != NULL)
			nng_stream_listener_free(new);
		return rv;
	}
	l->listener = new;
	lstat(path_of(l), &st); /* no answer: the next check finds out */
	lock(l);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->relisten = false;
	unlock(l);
	return 0;
}

static void on_timer(void *arg)
{
	struct link *l = arg;
	bool again;

	if (nng_aio_result(l->timer_aio) != 0)
		return;
	lock(l);
	again = l->relisten;
	unlock(l);
	if (again) {
		if (l->listener != NULL)
			nng_stream_listener_free(l->listener);
		l->listener = NULL;
		if (listen_now(l) != 0) {
			pause_then_find(l);
			return;
		}
		lock(l);
		l->stats.relistens++;
		unlock(l);
	}
	find(l);
}

/* Under the lock. True: the beginning of the connection was among them. */
static bool events_clear(struct link *l)
{
	bool up = false;

	for (; l->event_count > 0; l->event_count--) {
		up |= l->events[l->event_first].type == LINK_UP;
		free(l->events[l->event_first].frame);
		l->event_first = (l->event_first + 1) % EVENTS_MAX;
	}
	l->message_count = 0;
	return up;
}

/*
 * Owner: the connection failed or shall end; afterwards nothing of it runs any more. When the owner
 * wanted it, what it has not seen yet it will not see; an end without a beginning is not told.
 */
static void conn_end(struct link *l)
{
	struct conn *c = l->conn;
	bool up;

	lock(l);
	c->failed = true;
	up = c->up;
	unlock(l);
	l->conn = NULL;
	conn_free(c);
	lock(l);
	l->stats.disconnects += up;
	if (l->drop && events_clear(l))
		up = false;
	if (up)
		event_push(l, LINK_DOWN, NULL);
	outbox_clear(l);
	unlock(l);
	l->drop = false;
	if (!l->cfg.listen)
		pause_then_find(l);
}

/* Owner: a stream that waits becomes the connection. */
static void conn_begin(struct link *l)
{
	nng_stream *s;

	lock(l);
	s = l->next;
	l->next = NULL;
	l->busy = s != NULL;
	unlock(l);
	if (s == NULL)
		return;
	l->conn = conn_new(&conn_ops, l, l->cfg.recv_bytes_max, LINK_GREETING_MS, s);
	conn_send(l->conn, NULL);
	conn_receive(l->conn);
}

static void settle(struct link *l)
{
	bool over = false;

	if (l->conn != NULL) {
		lock(l);
		over = l->conn->failed || l->drop;
		unlock(l);
		if (!over)
			return;
		conn_end(l);
	}
	conn_begin(l);
}

static int open_endpoint(struct link *l)
{
	int rv = nng_aio_alloc(&l->find_aio, on_found, l);

	if (rv == 0)
		rv = nng_aio_alloc(&l->timer_aio, on_timer, l);
	if (rv == 0)
		rv = l->cfg.listen ? listen_now(l)
				   : nng_stream_dialer_alloc(&l->dialer, l->cfg.url);
	if (rv == 0)
		find(l);
	return rv;
}

int link_open(const struct link_config *cfg, struct link **ret, struct err *err)
{
	struct link *l;
	int rv;

	if (strncmp(cfg->url, "ipc:///", 7) != 0)
		return err_set(err, EINVAL, "url %s: ipc:/// and an absolute path is needed",
			cfg->url);
	l = calloc(1, sizeof(*l));
	bug_on(l == NULL);
	l->cfg = *cfg;
	l->cfg.url = strdup(cfg->url);
	bug_on(l->cfg.url == NULL);
	pthread_mutex_init(&l->lock, NULL);
	l->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (l->event_fd < 0) {
		rv = errno;
		link_close(l);
		return err_set(err, rv, "eventfd: %s", strerror(rv));
	}
	rv = open_endpoint(l);
	if (rv != 0) {
		link_close(l);
		return err_set(err, rv == NNG_EADDRINUSE ? EADDRINUSE : EIO, "%s %s: %s",
			cfg->listen ? "listen on" : "dial", cfg->url, nng_strerror(rv));
	}
	*ret = l;
	return 0;
}

static void endpoint_close(struct link *l)
{
	/* Each may start the other: both are stopped before one is freed. */
	if (l->find_aio != NULL)
		nng_aio_stop(l->find_aio);
	if (l->timer_aio != NULL)
		nng_aio_stop(l->timer_aio);
	if (l->find_aio != NULL)
		nng_aio_free(l->find_aio);
	if (l->timer_aio != NULL)
		nng_aio_free(l->timer_aio);
	if (l->listener != NULL)
		nng_stream_listener_free(l->listener);
	if (l->dialer != NULL)
		nng_stream_dialer_free(l->dialer);
}

void link_close(struct link *l)
{
	if (l == NULL)
		return;
	lock(l);
	l->closing = true;
	unlock(l);
	endpoint_close(l);
	if (l->conn != NULL)
		conn_free(l->conn);
	if (l->next != NULL) {
		nng_stream_close(l->next);
		nng_stream_free(l->next);
	}
	events_clear(l);
	outbox_clear(l);
	free(l->current);
	if (l->event_fd >= 0)
		close(l->event_fd);
	pthread_mutex_destroy(&l->lock);
	free((void *)l->cfg.url);
	free(l);
}

int link_fd(const struct link *l)
{
	return l->event_fd;
}

/* Under the lock. True: the connection stopped receiving and shall go on. */
static bool receive_again(struct link *l)
{
	struct conn *c = l->conn;

	if (c == NULL || c->failed || c->receiving || !c->greeted_in ||
		l->message_count >= LINK_INBOX_MAX / 2)
		return false;
	return c->receiving = true;
}

static bool event_pop(struct link *l, struct event *ret)
{
	bool any, receive;

	lock(l);
	any = l->event_count > 0;
	if (any) {
		*ret = l->events[l->event_first];
		l->event_first = (l->event_first + 1) % EVENTS_MAX;
		l->event_count--;
		l->message_count -= ret->frame != NULL;
	}
	receive = receive_again(l);
	unlock(l);
	if (receive)
		conn_receive(l->conn);
	return any;
}

bool link_next(struct link *l, struct link_event *ret)
{
	struct event e;

	free(l->current);
	l->current = NULL;
	/*
	 * Connections are ended and begun only when everything before was seen, so the ring never
	 * holds more than the end of one, the beginning of the next, and one inbox. The eventfd is
	 * emptied before the last look, so that what comes later is not missed.
	 */
	if (l->drop || !event_pop(l, &e)) {
		wake_clear(l);
		settle(l);
		if (!event_pop(l, &e))
			return false;
	}
	l->current = e.frame;
	*ret = (struct link_event){.type = e.type};
	if (e.frame != NULL) {
		ret->data = e.frame->b + CONN_HEAD_BYTES;
		ret->len = e.frame->len;
	}
	return true;
}

bool link_send(struct link *l, const void *data, size_t len)
{
	struct conn_frame *f, *now = NULL;
	struct conn *c = l->conn;
	bool queued;

	f = conn_frame_new(data, len);
	lock(l);
	queued = c != NULL && c->up && !c->failed && l->out_count < LINK_OUTBOX_MAX &&
		l->out_bytes + len <= LINK_OUTBOX_BYTES_MAX;
	if (queued) {
		l->outbox[(l->out_first + l->out_count) % LINK_OUTBOX_MAX] = f;
		l->out_count++;
		l->out_bytes += len;
		if (!c->sending)
			now = outbox_pop(l);
		c->sending = true;
	} else {
		l->stats.refused++;
	}
	unlock(l);
	if (!queued)
		free(f);
	if (now != NULL)
		conn_send(c, now);
	return queued;
}

void link_drop(struct link *l)
{
	l->drop = l->conn != NULL;
	wake(l);
}

bool link_is_up(struct link *l)
{
	bool up;

	lock(l);
	up = l->conn != NULL && l->conn->up && !l->conn->failed;
	unlock(l);
	return up;
}

void link_stats(struct link *l, struct link_stats *ret)
{
	lock(l);
	*ret = l->stats;
	unlock(l);
}

void link_check(struct link *l, uint64_t now_us)
{
	struct stat st = {0};
	bool lost;

	if (!l->cfg.listen || l->conn != NULL || now_us - l->checked_us < LINK_CHECK_US)
		return;
	l->checked_us = now_us;
	lstat(path_of(l), &st);
	lock(l);
	lost = !l->relisten && (st.st_dev != l->dev || st.st_ino != l->ino);
	l->relisten |= lost;
	unlock(l);
	if (!lost)
		return;
	log_warn("link", "url=%s msg=\"the socket file is gone, listening again\"", l->cfg.url);
	nng_aio_cancel(l->find_aio); /* the accept; its timer does the rest */
}
