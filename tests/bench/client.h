// SPDX-License-Identifier: Apache-2.0
/*
 * client.h: the benchmark's client over kernel sockets, for subjects behind a veth pair.
 *
 * One thread, epoll, no allocation after the start. It cannot be told apart from a browser's
 * connection by the proxy under test: whole requests in one write, answers checked byte by byte.
 * Standards: RFC 9112 as far as an origin with Content-Length uses it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <netinet/in.h>

#define CLIENT_CONNS_MAX 16384
#define CLIENT_ROUTES_MAX 10000
#define CLIENT_PATTERN 64    /* bytes of a body repeat after so many */
#define CLIENT_HIST 1000000  /* 1 us buckets, the last one open */
#define CLIENT_HEAD_MAX 2048 /* of an answer */
#define CLIENT_PATIENCE_S 10 /* an answer that takes longer is an error */

struct client_config {
	struct sockaddr_in addr;
	const char *host;
	unsigned conns, routes;
	double rate; /* per second over all connections; 0: closed loop */
	double warmup_s, duration_s;
	bool close;    /* a connection per request */
	bool mixed;    /* 80 % 100 B, 15 % 10 kB, 5 % 1 MiB; a tenth of the connections closing */
	uint64_t body; /* bytes of an answer, unless mixed */
};

/* What happened since the end of the warm-up; errors count from the start. */
struct client_result {
	uint64_t requests, bytes;
	uint64_t connects;
	uint64_t failed_connect, failed_status, failed_length, failed_content, failed_reset,
		failed_timeout;
	uint64_t unsent;      /* open loop: due and not sent at the end */
	double seconds, busy; /* wall clock; share of a core that the client itself took */
	uint64_t p50_us, p99_us, p999_us, max_us;
};

uint64_t client_errors(const struct client_result *r);
/*
 * Runs to its end; <mark> is told "begin" and "end" of the measured time. False: nobody ever
 * answered, or a SIGINT came; the result holds what was seen until then.
 */
bool client_run(const struct client_config *cfg, void (*mark)(const char *what),
	struct client_result *ret);
/* From a signal handler. */
void client_stop(void);
