// SPDX-License-Identifier: Apache-2.0
/*
 * access_log.h: one record per request, from a worker to the writer thread.
 *
 * The worker fills a fixed-size record in place and publishes it; the writer formats and writes.
 * A single-producer single-consumer ring without read-modify-write: each side owns one index and
 * reads the other's. A full ring drops the record, never the request, and the drop is counted.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"

#define ACCESS_METHOD_MAX 16
#define ACCESS_HOST_MAX 80
#define ACCESS_PATH_MAX 168
#define ACCESS_ID_MAX 40

enum {				   /* access_record.flags */
	ACCESS_REUSED = 1 << 0,	   /* on a pooled upstream connection */
	ACCESS_CLOSED = 1 << 1,	   /* the client connection ended with this request */
	ACCESS_TRUNCATED = 1 << 2, /* the response was not complete */
	ACCESS_DRAINING = 1 << 3,
	ACCESS_PANIC = 1 << 4, /* all endpoints were ejected */
	ACCESS_CUT = 1 << 5,   /* method, host, path or id were longer than the record */
};

struct access_record {
	uint64_t start_us;	      /* monotonic: first byte of the request */
	uint64_t bytes_in, bytes_out; /* body bytes from and to the client */
	uint32_t total_us;	      /* start to the end of the exchange */
	uint32_t connect_us;	      /* waiting for the upstream connection; 0: reused or none */
	uint32_t ttfb_us;	      /* start to the response head; 0: none came */
	uint32_t listener, rule, backend, endpoint; /* run-time slots, or SLOT_NONE */
	struct ip_addr client, upstream;	    /* upstream is zero when none was tried */
	uint16_t client_port, upstream_port;
	uint16_t status;  /* sent to the client; 0: nothing was sent */
	uint8_t outcome;  /* enum outcome */
	uint8_t h1_error; /* enum h1_error behind a BAD_... outcome, or 0 */
	uint8_t retries;
	uint8_t flags; /* ACCESS_* */
	uint8_t minor; /* of HTTP/1.x */
	uint8_t method_len, host_len, path_len, id_len;
	char method[ACCESS_METHOD_MAX], host[ACCESS_HOST_MAX], path[ACCESS_PATH_MAX];
	char id[ACCESS_ID_MAX]; /* X-Request-Id */
};

/* Names for the slots of a record, found by the writer; an empty one is left out. */
struct access_names {
	struct str listener, rule, backend, cluster, endpoint;
};

#define ACCESS_LINE_MAX 8192 /* no line is longer, newline included */

/* <records> is rounded up to a power of two. NULL when out of memory. */
struct access_ring *access_ring_new(uint32_t records);
void access_ring_free(struct access_ring *r);
/* Producer: a zeroed record to fill, or NULL when the ring is full; then publish it. */
struct access_record *access_ring_reserve(struct access_ring *r);
void access_ring_commit(struct access_ring *r);
/* Consumer: the oldest record, or NULL; then give it back. */
const struct access_record *access_ring_peek(struct access_ring *r);
void access_ring_pop(struct access_ring *r);

/* Copies <s> into a field of a record, cut to its size; true when it was cut. */
bool access_copy(char *field, size_t max, struct str s, uint8_t *ret_len);

/*
 * One JSON object and a newline. <wall_offset_us> added to start_us gives microseconds since 1970.
 * Bytes outside printable ASCII are written as \u00XX. Returns the length; <buf> holds at least
 * ACCESS_LINE_MAX bytes.
 */
size_t access_log_format(const struct access_record *rec, const struct access_names *names,
	uint64_t wall_offset_us, char *buf);
