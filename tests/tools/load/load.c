// SPDX-License-Identifier: Apache-2.0
/*
 * load.c: a paced HTTP/1.1 client that forgives nothing.
 *
 *	load ADDR PORT [--conns N] [--rate R] [--requests N] [--seconds S] [--host H]
 *	     [--path P] [--record FILE]
 *
 * Holds N keep-alive connections and sends GETs over them, R per second in all (0: as fast as
 * answers come). Every answer must be complete, with a status and a Content-Length or chunks. It
 * reports one JSON object: answers by status and by first line of the body, failed requests (sent
 * and not answered), connections that the other side closed, latency percentiles. --record writes
 * a line per answer: send time and receive time (us, CLOCK_MONOTONIC), status, first line.
 * Idle closes are not failures but are counted; the connection is opened again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "dataplane/base/clock.h"

#define CONNS_MAX 8192
#define BUF 65536
#define BODIES_MAX 32
#define BODY_KEY 48

struct conn {
	int fd;
	bool connected, busy;
	uint64_t sent_us;
	size_t have, need; /* bytes in buf; total of the answer, 0 while the head is incomplete */
	char *buf;
};

struct tally {
	char key[BODY_KEY];
	uint64_t n;
};

static struct {
	struct sockaddr_storage addr;
	socklen_t addr_len;
	unsigned conns;
	double rate;
	uint64_t requests_max, seconds;
	const char *host, *path;
	FILE *record;
} cfg = {.conns = 64, .seconds = 10, .host = "app.demo.lab", .path = "/"};

static struct conn conns[CONNS_MAX];
static struct conn *idle[CONNS_MAX];
static unsigned idle_count;
static int ep;
static char request[2048];
static size_t request_len;
static uint64_t started, answered, failed, closed_idle, connect_failed, malformed, reopened;
static uint64_t late; /* sends that found no idle connection at their time */
static uint64_t status_count[600];
static struct tally bodies[BODIES_MAX];
static unsigned body_count;
static uint32_t hist[200000]; /* latency, 10 us per bucket, the last one open */
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

static void conn_open(struct conn *c)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP,
		.data.ptr = c};
	int one = 1;

	c->fd = socket(cfg.addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		perror("load: socket");
		exit(1);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	c->connected = c->busy = false;
	c->have = c->need = 0;
	if (connect(c->fd, (struct sockaddr *)&cfg.addr, cfg.addr_len) != 0 &&
		errno != EINPROGRESS) {
		perror("load: connect");
		exit(1);
	}
	epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
}

static void idle_remove(struct conn *c)
{
	for (unsigned i = 0; i < idle_count; i++)
		if (idle[i] == c) {
			idle[i] = idle[--idle_count];
			return;
		}
}

/* The other side ended the connection. */
static void conn_lost(struct conn *c)
{
	if (!c->connected)
		connect_failed++;
	else if (c->busy)
		failed++;
	else
		closed_idle++;
	idle_remove(c);
	close(c->fd);
	reopened++;
	if (!c->connected)
		usleep(1000); /* do not spin on a refusing port */
	conn_open(c);
}

static void conn_send(struct conn *c)
{
	c->sent_us = clock_mono_us();
	c->busy = true;
	c->have = c->need = 0;
	started++;
	if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
		conn_lost(c);
}

static void body_note(const char *line, size_t len)
{
	len = len < BODY_KEY - 1 ? len : BODY_KEY - 1;
	for (unsigned i = 0; i < body_count; i++)
		if (strlen(bodies[i].key) == len && memcmp(bodies[i].key, line, len) == 0) {
			bodies[i].n++;
			return;
		}
	if (body_count == BODIES_MAX)
		return;
	memcpy(bodies[body_count].key, line, len);
	for (size_t i = 0; i < len; i++)
		if (line[i] == '"' || line[i] == '\\' || (unsigned char)line[i] < 0x20)
			bodies[body_count].key[i] = '\'';
	bodies[body_count++].n = 1;
}

static void answer_done(struct conn *c, unsigned status, const char *body, size_t body_len)
{
	uint64_t now = clock_mono_us(), us = now - c->sent_us;
	const char *nl = memchr(body, '\n', body_len);
	size_t len = nl ? (size_t)(nl - body) : body_len;

	answered++;
	status_count[status]++;
	hist[us / 10 < 199999 ? us / 10 : 199999]++;
	body_note(body, len);
	if (cfg.record != NULL)
		fprintf(cfg.record, "%lu %lu %u %.*s\n", c->sent_us, now, status,
			(int)(len < BODY_KEY ? len : BODY_KEY), body);
}

/* 1: complete; 0: more; -1: not HTTP. Answers of the lab carry a Content-Length. */
static int answer_check(struct conn *c, bool *ret_close)
{
	char *end, *cl;
	unsigned status;

	if (c->have < BUF)
		c->buf[c->have] = 0;
	end = memmem(c->buf, c->have, "\r\n\r\n", 4);
	if (end == NULL)
		return c->have == BUF ? -1 : 0;
	if (sscanf(c->buf, "HTTP/1.%*d %u ", &status) != 1 || status < 200 || status > 599)
		return -1;
	*end = 0;
	cl = strcasestr(c->buf, "\r\ncontent-length:");
	*ret_close = strcasestr(c->buf, "\r\nconnection: close") != NULL;
	*end = '\r';
	if (cl == NULL)
		return -1;
	c->need = (size_t)(end - c->buf) + 4 + strtoul(cl + 17, NULL, 10);
	if (c->need > BUF)
		return -1;
	if (c->have < c->need)
		return 0;
	if (c->have > c->need)
		return -1;
	answer_done(c, status, end + 4, c->need - (size_t)(end + 4 - c->buf));
	return 1;
}

static bool more_wanted(void)
{
	return !stop && (cfg.requests_max == 0 || started < cfg.requests_max);
}

static void conn_idle(struct conn *c)
{
	c->busy = false;
	if (cfg.rate <= 0 && more_wanted())
		conn_send(c);
	else
		idle[idle_count++] = c;
}

static void conn_read(struct conn *c)
{
	for (;;) {
		ssize_t n = recv(c->fd, c->buf + c->have, BUF - c->have, 0);
		bool close_after = false;
		int r;

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0 || !c->busy) {
			malformed += n > 0; /* bytes that nobody asked for */
			conn_lost(c);
			return;
		}
		c->have += (size_t)n;
		r = answer_check(c, &close_after);
		if (r < 0) {
			malformed++;
			conn_lost(c);
			return;
		}
		if (r == 0)
			continue;
		c->busy = false;
		if (close_after) {
			conn_lost(c);
			return;
		}
		conn_idle(c);
	}
}

static void conn_event(struct conn *c, uint32_t events)
{
	if (!c->connected && (events & (EPOLLERR | EPOLLHUP))) {
		conn_lost(c);
		return;
	}
	if (!c->connected && (events & EPOLLOUT)) {
		c->connected = true;
		conn_idle(c);
	}
	if (c->connected && (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)))
		conn_read(c);
}

/* Sends what the pace owes by now. */
static void pace(uint64_t start_us)
{
	uint64_t due = (uint64_t)((double)(clock_mono_us() - start_us) * cfg.rate / 1e6);

	while (started + late < due && more_wanted()) {
		if (idle_count == 0) {
			late++;
			continue;
		}
		/* oldest first, so that every connection is used */
		struct conn *c = idle[0];
		memmove(&idle[0], &idle[1], --idle_count * sizeof(idle[0]));
		conn_send(c);
	}
}

static uint64_t percentile(double p)
{
	uint64_t want = (uint64_t)((double)answered * p), sum = 0;

	for (unsigned i = 0; i < 200000; i++)
		if ((sum += hist[i]) > want)
			return i * 10ull;
	return 0;
}

static void report(double seconds)
{
	uint64_t in_flight = 0;

	for (unsigned i = 0; i < cfg.conns; i++)
		in_flight += conns[i].busy;
	printf("{\"started\": %lu, \"answered\": %lu, \"failed\": %lu, \"in_flight\": %lu, "
	       "\"closed_idle\": %lu, \"connect_failed\": %lu, \"malformed\": %lu, "
	       "\"reopened\": %lu, \"late\": %lu, \"seconds\": %.3f, \"rate\": %.1f, "
	       "\"p50_us\": %lu, \"p99_us\": %lu, \"p999_us\": %lu, \"status\": {",
		started, answered, failed, in_flight, closed_idle, connect_failed, malformed,
		reopened, late, seconds, (double)answered / seconds, percentile(.5),
		percentile(.99), percentile(.999));
	for (unsigned s = 0, n = 0; s < 600; s++)
		if (status_count[s])
			printf("%s\"%u\": %lu", n++ ? ", " : "", s, status_count[s]);
	printf("}, \"bodies\": {");
	for (unsigned i = 0; i < body_count; i++)
		printf("%s\"%s\": %lu", i ? ", " : "", bodies[i].key, bodies[i].n);
	printf("}}\n");
}

static int parse_address(const char *addr, const char *port)
{
	struct sockaddr_in6 *a6 = (void *)&cfg.addr;
	struct sockaddr_in *a4 = (void *)&cfg.addr;
	uint16_t p = htons((uint16_t)atoi(port));

	if (inet_pton(AF_INET, addr, &a4->sin_addr) == 1) {
		a4->sin_family = AF_INET, a4->sin_port = p, cfg.addr_len = sizeof(*a4);
		return 0;
	}
	if (inet_pton(AF_INET6, addr, &a6->sin6_addr) == 1) {
		a6->sin6_family = AF_INET6, a6->sin6_port = p, cfg.addr_len = sizeof(*a6);
		return 0;
	}
	return -1;
}

static int parse_args(int argc, char **argv)
{
	static const struct option opts[] = {
		{"conns", 1, 0, 'c'},
		{"rate", 1, 0, 'r'},
		{"requests", 1, 0, 'n'},
		{"seconds", 1, 0, 's'},
		{"host", 1, 0, 'h'},
		{"path", 1, 0, 'p'},
		{"record", 1, 0, 'o'},
		{0, 0, 0, 0},
	};
	int o;

	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (o) {
		case 'c':
			cfg.conns = (unsigned)atoi(optarg);
			break;
		case 'r':
			cfg.rate = atof(optarg);
			break;
		case 'n':
			cfg.requests_max = strtoull(optarg, NULL, 10);
			break;
		case 's':
			cfg.seconds = strtoull(optarg, NULL, 10);
			break;
		case 'h':
			cfg.host = optarg;
			break;
		case 'p':
			cfg.path = optarg;
			break;
		case 'o':
			cfg.record = fopen(optarg, "w");
			break;
		default:
			return -1;
		}
	}
	if (argc - optind != 2 || cfg.conns == 0 || cfg.conns > CONNS_MAX)
		return -1;
	return parse_address(argv[optind], argv[optind + 1]);
}

static bool all_idle(void)
{
	for (unsigned i = 0; i < cfg.conns; i++)
		if (conns[i].busy)
			return false;
	return true;
}

static void loop(uint64_t start_us)
{
	uint64_t end = start_us + cfg.seconds * 1000000, grace = 0;
	struct epoll_event ev[256];

	for (;;) {
		uint64_t now = clock_mono_us();
		bool over = now >= end || !more_wanted();
		int n;

		if (over) {
			stop = 1;
			if (grace == 0)
				grace = now + 5000000;
			if (all_idle() || now > grace)
				return;
		} else if (cfg.rate > 0) {
			pace(start_us);
		}
		n = epoll_wait(ep, ev, 256, cfg.rate > 0 ? 1 : 10);
		for (int i = 0; i < n; i++)
			conn_event(ev[i].data.ptr, ev[i].events);
	}
}

int main(int argc, char **argv)
{
	uint64_t start;

	if (parse_args(argc, argv) != 0) {
		fprintf(stderr,
			"usage: load ADDR PORT [--conns N] [--rate R] [--requests N]\n"
			"            [--seconds S] [--host H] [--path P] [--record FILE]\n");
		return 2;
	}
	request_len = (size_t)snprintf(request, sizeof(request),
		"GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: load\r\n\r\n", cfg.path, cfg.host);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	prctl(PR_SET_TIMERSLACK, 1);
	ep = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < cfg.conns; i++) {
		conns[i].buf = malloc(BUF + 1);
		conn_open(&conns[i]);
	}
	start = clock_mono_us();
	loop(start);
	report((double)(clock_mono_us() - start) / 1e6);
	if (cfg.record != NULL)
		fclose(cfg.record);
	return failed || malformed || connect_failed;
}
