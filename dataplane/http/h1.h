// SPDX-License-Identifier: Apache-2.0
/*
 * h1.h: HTTP/1.x bytes <-> structs, pure (no clock, no malloc, no log, no packets).
 *
 * Strict on purpose: whatever two parties could read in two ways is an error (RFC 9112 11.2), and
 * an error is 400 and close towards a client, 502 towards an upstream. A parser returns the bytes
 * consumed (> 0), H1_MORE (0) when the input ends too early, or a negative enum h1_error. It never
 * reads past <len>, and asking again with more bytes gives the same answer as asking once.
 * Standards: RFC 9110, RFC 9112; RFC 1945 for HTTP/1.0.
 */
#pragma once

#include <sys/types.h>

#include "dataplane/base/str.h"

#define H1_MORE 0
#define H1_HEADERS_MAX 100	/* more: 431 */
#define H1_HEAD_BYTES_MAX 16384	/* start line and fields together; more: 431 (line alone: 414) */

/* Negative returns; -error is an index into h1_error.def's rows (name, status, counter, sentence). */
enum h1_error {
#define H1_ERROR(NAME, status, help) H1_ERR_##NAME,
	H1_ERR_FIRST_ = 0, /* so that the first real error is 1 */
#include "dataplane/http/h1_error.def"
#undef H1_ERROR
	H1_ERR_COUNT
};
const char *h1_error_name(int error);	/* error > 0 */
unsigned h1_error_status(int error);	/* status to answer a client with */
const char *h1_error_help(int error);

/* Field names we act upon, so that the code compares small numbers (table: header.def). */
enum h1_header_id {
	H1_HDR_OTHER = 0,
#define HEADER(ID, name, flags) H1_HDR_##ID,
#include "dataplane/http/header.def"
#undef HEADER
	H1_HDR_COUNT
};

struct h1_header {
	struct str name, value;	/* into the input; value without OWS */
	uint8_t id;		/* enum h1_header_id */
	uint8_t flags;		/* H1_HEADER_* */
};
#define H1_HEADER_HOP 0x01	/* hop-by-hop, or named by Connection: not forwarded */

enum h1_method { H1_METHOD_OTHER = 0, H1_GET, H1_HEAD, H1_POST, H1_PUT, H1_DELETE, H1_CONNECT,
	H1_OPTIONS, H1_TRACE, H1_PATCH };

enum h1_body { /* RFC 9112 6.3 */
	H1_BODY_NONE = 0,
	H1_BODY_LENGTH,		/* content_length bytes */
	H1_BODY_CHUNKED,
	H1_BODY_CLOSE,		/* responses only: until the connection closes */
};

/* A parsed request or response head. All slices point into the input. */
struct h1_head {
	struct str method, target, reason;
	struct str path, query;	/* of the target: query without '?'; path "*" for OPTIONS * */
	struct str host;	/* authority: absolute-form target, else Host; without port: host_name */
	struct str host_name;	/* host without the port, as sent */
	enum h1_method method_id;
	uint16_t status;	/* responses */
	uint8_t minor;		/* HTTP/1.minor, 0 or 1 */
	bool keep_alive;	/* the peer wants the connection kept after this message */
	bool expect_continue;
	bool upgrade;		/* Connection: upgrade with an Upgrade field */
	enum h1_body body;
	uint64_t content_length;
	uint32_t header_count;
	struct h1_header headers[H1_HEADERS_MAX];
};

/*
 * Request head at buf[0]. A single empty line before the request line is skipped (RFC 9112 2.2).
 */
ssize_t h1_parse_request(const char *buf, size_t len, struct h1_head *ret);
/*
 * Response head; <request_method> decides about the body (HEAD, CONNECT: RFC 9112 6.3).
 */
ssize_t h1_parse_response(const char *buf, size_t len, enum h1_method request_method,
	struct h1_head *ret);
/* Value of the first field with this id, or {NULL, 0}. */
struct str h1_header_get(const struct h1_head *h, enum h1_header_id id);

/*
 * Chunked transfer coding (RFC 9112 7.1), incremental. Feed bytes; each call consumes some and
 * reports at most one piece of data lying inside the input.
 */
struct h1_chunk {
	uint64_t left;		/* bytes of the current chunk still to come */
	uint32_t line_bytes;	/* length of the current line, bounded */
	uint32_t trailer_bytes, trailer_count;
	uint8_t state;
};
struct h1_piece {
	size_t off, len;	/* data inside this call's input; len 0: none */
	bool last;		/* the message is complete: the final CRLF was consumed */
};
void h1_chunk_init(struct h1_chunk *c);
/* Bytes consumed (> 0 unless len is 0), or a negative h1_error. Trailer bytes are checked here. */
ssize_t h1_chunk_parse(struct h1_chunk *c, const char *buf, size_t len, struct h1_piece *ret);
