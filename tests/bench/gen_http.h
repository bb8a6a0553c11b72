// SPDX-License-Identifier: Apache-2.0
/*
 * gen_http.h: the two texts of the benchmark and how each side checks the other's.
 *
 *	GET /r0042?b=0000100&id=0000beef HTTP/1.1     route, body's length, the request's number
 *	HTTP/1.1 200 OK ... Content-Length: 100       and the body of gen_body.h, made for that number
 *
 * All fields of a request stand at fixed places, so it is made by patching a template; a response's
 * head is one of a few texts made at start. The checker takes a response in pieces of any size: the
 * head must say 200 and the right length, every byte of the body is compared. A head that was seen
 * before is recognised by comparing it, not by parsing it again.
 *
 * Pure: no DPDK, no clock. Standards: RFC 9112 2-6 as far as a benchmark needs them; a response
 * must have a Content-Length, chunks are not expected from a backend that sends none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "tests/bench/gen_body.h"

#define HTTP_TEXT_MAX 384  /* request or response head of ours, 253 bytes of host name included */
#define HTTP_HEAD_MAX 2048 /* a head that arrives in pieces */
#define HTTP_CLASSES_MAX 4 /* body lengths in one run */
#define HTTP_ROUTES_MAX 10000
#define HTTP_ROUTE_AT 6 /* places in the request's text */
#define HTTP_BYTES_AT 13
#define HTTP_ID_AT 24

/* Why a response is wrong; negative results of check_feed(). */
enum check_error {
	CHECK_BAD_STATUS = -1,
	CHECK_BAD_HEAD = -2,   /* not HTTP/1.1, no end within HTTP_HEAD_MAX, chunked */
	CHECK_BAD_LENGTH = -3, /* Content-Length is missing or not what was asked for */
	CHECK_BAD_CONTENT = -4,
	CHECK_NO_BUFFER = -5, /* too many heads in pieces at once */
};

struct http_text {
	uint16_t len;
	uint64_t sum; /* of the text, from an even place */
	char text[HTTP_TEXT_MAX];
};

struct seen_head {
	uint32_t len; /* 0: none yet */
	uint32_t misses;
	char text[512];
};

struct head_buffer {
	uint32_t len;
	struct head_buffer *next; /* free list */
	uint8_t text[HTTP_HEAD_MAX];
};

struct http {
	struct body *body;	     /* borrowed */
	struct http_text request[2]; /* [1]: Connection: close */
	struct http_text response[HTTP_CLASSES_MAX][2];
	struct http_text not_found;
	struct seen_head seen[HTTP_CLASSES_MAX][2];
	uint32_t bytes[HTTP_CLASSES_MAX]; /* length of a body by class */
	char bytes_text[HTTP_CLASSES_MAX]
		       [8]; /* the same as a request has it, with the '&' behind */
	unsigned classes;
	int last_status; /* of the last response that was not 200 */
	struct head_buffer *free;
};

/* <buffers> must live as long as <h>. */
void http_init(struct http *h, struct body *body, const char *host, const uint32_t *bytes,
	unsigned classes, struct head_buffer *buffers, unsigned buffer_count);
struct head_buffer *http_buffer_take(struct http *h);
void http_buffer_put(struct http *h, struct head_buffer **b);

/* Length of the head at <p> with its empty line, or 0: not complete. */
uint32_t http_head_end(const uint8_t *p, uint32_t len);

/* What the client asks, what the backend reads. */
struct ask {
	uint64_t id; /* eight hexadecimal digits as they stand in memory */
	uint16_t route;
	uint8_t class;
	bool close;
};

/* A number as ask.id has it. */
uint64_t http_id(uint32_t number);
/* The request's text to <dst> (HTTP_TEXT_MAX); its length. */
uint32_t ask_write(const struct http *h, const struct ask *a, uint8_t *dst);
/* Reads a complete head; false: not a request of ours (the answer is 404). <close> is not set. */
bool ask_read(const struct http *h, const uint8_t *p, uint32_t len, struct ask *ret);

/* What a backend sends: head, then <id>, then pattern. Offsets count from the head's first byte. */
struct answer {
	uint64_t id;
	uint8_t class;
	bool close, not_found;
};

static inline const struct http_text *answer_head(const struct http *h, const struct answer *a)
{
	return a->not_found ? &h->not_found : &h->response[a->class][a->close];
}

static inline uint32_t answer_len(const struct http *h, const struct answer *a)
{
	return answer_head(h, a)->len + (a->not_found ? 0 : h->bytes[a->class]);
}

/* Bytes [off, off + len) to <dst>; their sum. len <= BODY_SLICE_MAX. */
uint64_t answer_write(const struct http *h, const struct answer *a, uint32_t off, uint32_t len,
	uint8_t *dst);

struct check {
	struct head_buffer *head; /* owned: pieces of a head; NULL in the common case */
	uint64_t id;
	uint32_t body_off;
	uint8_t class;
	bool close; /* which head is expected first: the one for Connection: close */
	bool in_body, done;
};

static inline void check_start(struct check *c, const struct ask *a)
{
	c->id = a->id;
	c->class = a->class;
	c->close = a->close;
	c->body_off = 0;
	c->in_body = c->done = false;
}

/* Takes bytes of the response; how many were taken (less than <len> only when done), or an error. */
int check_feed(struct http *h, struct check *c, const uint8_t *p, uint32_t len);
void check_end(struct http *h, struct check *c);
