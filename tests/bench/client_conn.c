// SPDX-License-Identifier: Apache-2.0
/*
 * client_conn.c: the client's requests and connections, and the check of every answer: status, length
 * and content. An answer that is wrong is counted as the error it is and its connection is given up.
 */
#include "tests/bench/client_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* -- requests -------------------------------------------------------------------------------- */

static const uint64_t size_bytes[SIZES] = {100, 10000, 1 << 20};
static const char *const size_path[SIZES] = {"/100", "/10k", "/1m"};

static void request_make(struct request *r, unsigned route, unsigned size, bool closing)
{
	const struct client_config *c = me.cfg;
	int n = asprintf(&r->text, "GET /r%04u%s HTTP/1.1\r\nHost: %s\r\n%s\r\n", route,
		c->mixed ? size_path[size] : "", c->host, closing ? "Connection: close\r\n" : "");

	if (n < 0)
		abort();
	r->len = (uint32_t)n;
	r->body = c->mixed ? size_bytes[size] : c->body;
}

void requests_make(void)
{
	unsigned n = me.cfg->routes * SIZES;

	for (int closing = 0; closing < 2; closing++) {
		me.requests[closing] = calloc(n, sizeof(struct request));
		if (me.requests[closing] == NULL)
			abort();
		for (unsigned i = 0; i < n; i++)
			request_make(&me.requests[closing][i], i / SIZES, i % SIZES, closing);
	}
}

void requests_free(void)
{
	for (int closing = 0; closing < 2; closing++) {
		for (unsigned i = 0; i < me.cfg->routes * SIZES; i++)
			free(me.requests[closing][i].text);
		free(me.requests[closing]);
	}
}

static uint32_t random_below(uint32_t n)
{
	me.seed ^= me.seed << 13;
	me.seed ^= me.seed >> 7;
	me.seed ^= me.seed << 17;
	return (uint32_t)(((me.seed >> 32) * n) >> 32);
}

static const struct request *request_pick(const struct conn *c)
{
	uint32_t route = random_below(me.cfg->routes), k = random_below(100);
	unsigned size = k < 80 ? 0 : k < 95 ? 1 : 2;

	return &me.requests[c->closing][route * SIZES + size];
}

/* -- connections ----------------------------------------------------------------------------- */

void conn_ready(struct conn *c)
{
	if (c->ready)
		return;
	c->ready = true;
	me.ready[me.ready_tail++ % CLIENT_CONNS_MAX] = c;
}

void conn_open(struct conn *c)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		.data.ptr = c};
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || epoll_ctl(me.ep, EPOLL_CTL_ADD, c->fd, &ev) != 0) {
		perror("bench_client: socket");
		exit(3);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->state = CONNECTING;
	me.res->connects += me.measuring;
	if (connect(c->fd, (const struct sockaddr *)&me.cfg->addr, sizeof(me.cfg->addr)) != 0 &&
		errno != EINPROGRESS) {
		me.res->failed_connect++;
		close(c->fd);
		c->state = FAILED;
	}
}

/* An answer that will not come; <count> names why. */
static void conn_fail(struct conn *c, uint64_t *count)
{
	(*count)++;
	close(c->fd);
	c->state = FAILED;
}

static void request_send(struct conn *c)
{
	c->state = HEAD;
	c->head_have = 0;
	c->body_have = 0;
	if (send(c->fd, c->req->text, c->req->len, MSG_NOSIGNAL) != (ssize_t)c->req->len)
		conn_fail(c, &me.res->failed_reset);
}

static void request_begin(struct conn *c, uint64_t due_us)
{
	c->req = request_pick(c);
	c->due_us = due_us;
	me.sent++;
	if (c->state == IDLE)
		request_send(c);
	else
		conn_open(c); /* sends as soon as it is connected */
}

uint64_t due_us(uint64_t i)
{
	return me.start_us + (uint64_t)((double)i * 1e6 / me.cfg->rate);
}

void ready_run(void)
{
	while (me.ready_head != me.ready_tail && !me.over) {
		struct conn *c = me.ready[me.ready_head % CLIENT_CONNS_MAX];
		uint64_t due = me.cfg->rate > 0 ? due_us(me.sent) : me.now_us;

		if (due > me.now_us)
			return;
		me.ready_head++;
		c->ready = false;
		if (c->state == IDLE || c->state == CLOSED)
			request_begin(c, due);
	}
}

/* -- answers --------------------------------------------------------------------------------- */

static void answer_done(struct conn *c)
{
	me.good++;
	if (me.measuring) {
		uint64_t us = me.now_us > c->due_us ? me.now_us - c->due_us : 0;

		me.res->requests++;
		me.res->bytes += c->req->body;
		me.hist[us < CLIENT_HIST ? us : CLIENT_HIST - 1]++;
		me.res->max_us = us > me.res->max_us ? us : me.res->max_us;
	}
	c->state = c->closing ? ENDING : IDLE;
	if (!c->closing)
		conn_ready(c);
}

/* The value of Content-Length; -1 without one. */
static int64_t content_length(const char *p, const char *end)
{
	static const char name[] = "content-length:";

	while (p < end) {
		const char *nl = memchr(p, '\n', (size_t)(end - p));

		if ((*p | 0x20) == 'c' && (size_t)(end - p) > sizeof(name) &&
			strncasecmp(p, name, sizeof(name) - 1) == 0)
			return strtoll(p + sizeof(name) - 1, NULL, 10);
		if (nl == NULL)
			break;
		p = nl + 1;
	}
	return -1;
}

/* False: the answer is wrong and counted as such. */
static bool head_check(struct conn *c, const char *end)
{
	if (c->head_have < 13 || memcmp(c->head, "HTTP/1.1 200", 12) != 0) {
		conn_fail(c, &me.res->failed_status);
		return false;
	}
	if (content_length(c->head, end) != (int64_t)c->req->body) {
		conn_fail(c, &me.res->failed_length);
		return false;
	}
	return true;
}

static void body_take(struct conn *c, const char *p, size_t n)
{
	if (n > c->req->body - c->body_have) {
		conn_fail(c, &me.res->failed_length);
		return;
	}
	if (memcmp(me.pattern + c->body_have % CLIENT_PATTERN, p, n) != 0) {
		conn_fail(c, &me.res->failed_content);
		return;
	}
	c->body_have += n;
	if (c->body_have == c->req->body)
		answer_done(c);
}

static void head_take(struct conn *c, const char *p, size_t n)
{
	size_t room = CLIENT_HEAD_MAX - 1 - c->head_have, part = n < room ? n : room, before;
	char *end;

	before = c->head_have;
	memcpy(c->head + before, p, part);
	c->head_have += (uint32_t)part;
	end = memmem(c->head, c->head_have, "\r\n\r\n", 4);
	if (end == NULL) {
		if (part == room)
			conn_fail(c, &me.res->failed_length);
		return;
	}
	*end = 0;
	if (!head_check(c, end))
		return;
	part = (size_t)(end + 4 - c->head) - before; /* of these bytes belong to the head */
	c->state = BODY;
	body_take(c, p + part, n - part);
}

/* The other side has closed. */
static void conn_ended(struct conn *c)
{
	if (c->state != ENDING && c->state != IDLE) {
		conn_fail(c, &me.res->failed_reset);
		return;
	}
	close(c->fd);
	c->state = CLOSED; /* a proxy may also end an idle connection; the next request opens it */
	conn_ready(c);
}

/* <ended>: the event says that the other side has closed, so read on until that is seen. */
static void conn_read(struct conn *c, bool ended)
{
	while (c->state >= IDLE) {
		ssize_t n = recv(c->fd, me.buf, READ_BYTES, 0);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0)
			conn_ended(c);
		else if (c->state == HEAD)
			head_take(c, me.buf, (size_t)n);
		else if (c->state == BODY)
			body_take(c, me.buf, (size_t)n);
		else
			conn_fail(c, &me.res->failed_length); /* bytes nobody asked for */
		if (n < READ_BYTES && !ended)
			return; /* edge-triggered: what comes later is another event */
	}
}

void conn_event(struct conn *c, uint32_t events)
{
	if (c->state == CONNECTING) {
		if (events & (EPOLLERR | EPOLLHUP)) {
			conn_fail(c, &me.res->failed_connect);
			return;
		}
		if (!(events & EPOLLOUT))
			return;
		c->state = IDLE;
		if (c->req != NULL)
			request_send(c);
		else
			conn_ready(c);
	}
	if (c->state >= IDLE && (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)))
		conn_read(c, events & (EPOLLRDHUP | EPOLLERR | EPOLLHUP));
}

void conns_tick(void)
{
	uint64_t patience = CLIENT_PATIENCE_S * 1000000ull;

	if (me.now_us - me.tick_us < TICK_US)
		return;
	me.tick_us = me.now_us;
	for (unsigned i = 0; i < me.cfg->conns; i++) {
		struct conn *c = &me.conns[i];

		if (c->state == FAILED) {
			c->state = CLOSED;
			c->req = NULL;
			if (c->closing)
				conn_ready(c);
			else if (!me.over)
				conn_open(c);
		} else if ((c->state == CONNECTING || c->state > IDLE) && c->req != NULL &&
			me.now_us > c->due_us + patience) {
			conn_fail(c, &me.res->failed_timeout);
		}
	}
}
