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
#define H1_HEAD_BYTES_MAX 16384 /* start line and fields together; more: 431 (line alone: 414) */

/* Negative returns; -error names a row of h1_error.def (name, status, sentence). */
enum h1_error {
#define H1_ERROR(NAME, status, help) H1_ERR_##NAME,
	H1_ERR_FIRST_ = 0, /* so that the first real error is 1 */
#include "dataplane/http/h1_error.def"
#undef H1_ERROR
	H1_ERR_COUNT
};
const char *h1_error_name(int error); /* error > 0 */
unsigned h1_error_status(int error);  /* status to answer a client with */
const char *h1_error_help(int error);

/* Field names we act upon, so that the code compares small numbers (table: header.def). */
enum h1_header_id {
	H1_HDR_OTHER = 0,
#define HEADER(ID, name, first, last_but_one, flags) H1_HDR_##ID,
#include "dataplane/http/header.def"
#undef HEADER
	H1_HDR_COUNT
};

struct h1_header {
	struct str name, value; /* into the input; value without OWS */
	uint8_t id;		/* enum h1_header_id */
	uint8_t flags;		/* H1_HEADER_* */
};
#define H1_HEADER_HOP 0x01    /* hop-by-hop, or named by Connection: not forwarded */
#define H1_HEADER_ORIGIN 0x02 /* X-Forwarded-*, Forwarded, ...: kept for trusted peers only */
#define H1_HEADER_OURS 0x20   /* Host, Expect, X-Forwarded-For: a request's emitter decides */
#define H1_HEADER_FLAGS (H1_HEADER_HOP | H1_HEADER_ORIGIN | H1_HEADER_OURS)

/* Case-insensitive; H1_HDR_OTHER for names that header.def does not have. */
enum h1_header_id h1_header_lookup(struct str name);
struct str h1_header_name(enum h1_header_id id); /* lower case */

enum h1_method {
	H1_METHOD_OTHER = 0,
	H1_GET,
	H1_HEAD,
	H1_POST,
	H1_PUT,
	H1_DELETE,
	H1_CONNECT,
	H1_OPTIONS,
	H1_TRACE,
	H1_PATCH
};

enum h1_body { /* RFC 9112 6.3 */
	H1_BODY_NONE = 0,
	H1_BODY_LENGTH, /* content_length bytes */
	H1_BODY_CHUNKED,
	H1_BODY_CLOSE, /* responses only: until the connection closes */
};

/* A parsed head. Slices point into the input (an absent path is a static "/"). */
struct h1_head {
	struct str method, target, reason;
	struct str path, query; /* query without '?', p NULL without one; path "*" for OPTIONS * */
	struct str fields;	/* all field lines, each with its CRLF */
	struct str host;	/* authority: of an absolute target, else Host */
	struct str host_name;	/* host without the port, as sent */
	enum h1_method method_id;
	uint16_t status; /* responses */
	uint8_t minor;	 /* HTTP/1.minor, 0 or 1 */
	bool keep_alive; /* the peer wants the connection kept after this message */
	bool expect_continue;
	bool upgrade; /* Connection: upgrade with an Upgrade field */
	bool slashes; /* the path holds "//": see h1_merge_slashes() */
	bool hop;     /* some field is H1_HEADER_HOP */
	enum h1_body body;
	uint64_t content_length;
	uint32_t header_count;
	struct h1_header headers[H1_HEADERS_MAX];
};

/*
 * Request head at buf[0]. A single empty line before the request line is skipped (RFC 9112 2.2).
 *
 * What is matched is what is forwarded: the path is taken as received, and paths that servers are
 * known to read in different ways are errors: '.' and '..' segments (%2e included), %2F, %5C, '\\',
 * %00, escapes without two digits.
 */
ssize_t h1_parse_request(const char *buf, size_t len, struct h1_head *ret);
/*
 * Response head; <request_method> decides about the body (HEAD, CONNECT: RFC 9112 6.3).
 */
ssize_t h1_parse_response(const char *buf, size_t len, enum h1_method request_method,
	struct h1_head *ret);
/*
 * True when the bytes hold the end of a head, or enough to be refused: a cheap question for a
 * caller that gets a head in many small pieces. The first <seen> bytes were asked about before.
 */
bool h1_head_is_complete(const char *buf, size_t len, size_t seen);
/*
 * Rewrites path and query with runs of '/' in the path made one, into <buf>; matching and
 * h1_emit_request() then use that. False when <size> is below path + query + 1.
 */
bool h1_merge_slashes(struct h1_head *h, char *buf, size_t size);
/* Value of the first field with this id, or {NULL, 0}. */
struct str h1_header_get(const struct h1_head *h, enum h1_header_id id);

/*
 * Chunked transfer coding (RFC 9112 7.1), incremental. Feed bytes; each call consumes some and
 * reports at most one piece of data lying inside the input. What is consumed without an error is a
 * well-formed chunked body, so it may also be relayed byte for byte.
 */
#define H1_CHUNK_LINE_MAX 256	    /* size and extensions of one chunk */
#define H1_CHUNK_OVERHEAD_MAX 16384 /* extension bytes that no data has paid for */
#define H1_TRAILERS_MAX 32
#define H1_TRAILER_BYTES_MAX 8192
#define H1_CHUNK_NAME_MAX 24 /* longest name in header.def */

struct h1_chunk {
	uint64_t left;		 /* bytes of the current chunk still to come */
	uint32_t line_bytes;	 /* length of the current line, bounded */
	uint32_t overhead_bytes; /* extensions so far, less the data since */
	uint32_t trailer_bytes, trailer_count;
	uint8_t state, digits, name_len;
	char name[H1_CHUNK_NAME_MAX]; /* of the current trailer field, as far as it fits */
};
struct h1_piece {
	size_t off, len; /* data inside this call's input; len 0: none */
	bool last;	 /* the message is complete: the final CRLF was consumed */
};
void h1_chunk_init(struct h1_chunk *c);
/* Bytes consumed (> 0 unless len is 0), or a negative h1_error. Trailer bytes are checked here. */
ssize_t h1_chunk_parse(struct h1_chunk *c, const char *buf, size_t len, struct h1_piece *ret);

/*
 * Emitting: a parsed head is edited, not rebuilt. Runs of field lines that stay are copied as they
 * came; hop-by-hop fields go, what the gateway has to say comes last. Each function returns the
 * bytes written, or 0 when <size> is too small (nothing useful is then in <buf>).
 */
enum h1_edit_op {
	H1_EDIT_SET = 0, /* replaces all fields of that name */
	H1_EDIT_ADD,	 /* one more field */
	H1_EDIT_REMOVE,
};
struct h1_edit { /* must not name framing fields, Host or Connection */
	enum h1_edit_op op;
	struct str name, value;
};

struct h1_request_out {
	struct str client;     /* address of the peer, for X-Forwarded-For */
	struct str proto;      /* X-Forwarded-Proto: "http" */
	uint16_t port;	       /* X-Forwarded-Port: where the peer connected to */
	struct str authority;  /* Host of a request that names none (HTTP/1.0): address[:port] */
	struct str request_id; /* X-Request-Id, unless a trusted peer sent one */
	bool trusted;	       /* the peer's H1_HEADER_ORIGIN fields stay, For is appended to */
	bool close;	       /* Connection: close */
	bool upgrade;	       /* forward Upgrade (only if head.upgrade) */
	bool expect;	       /* forward Expect (only if head.expect_continue) */
	const struct h1_edit *edits;
	uint32_t edit_count;
};
/* Request head for a backend, in origin-form, HTTP/1.1. */
size_t h1_emit_request(const struct h1_head *h, const struct h1_request_out *out, char *buf,
	size_t size);

struct h1_response_out {
	enum h1_body body; /* how the body goes to the client; NONE: fields stay as they are */
	bool close;	   /* Connection: close */
	bool keep_alive;   /* Connection: keep-alive, for HTTP/1.0 clients */
	bool upgrade;	   /* forward Upgrade of a 101 */
	struct str date;   /* Date, if the backend sent none (RFC 9110 6.6.1); may be empty */
	const struct h1_edit *edits;
	uint32_t edit_count;
};
/* Response head for a client, HTTP/1.1. */
size_t h1_emit_response(const struct h1_head *h, const struct h1_response_out *out, char *buf,
	size_t size);
/* True: h1_emit_response() would write what was parsed, byte for byte. */
bool h1_response_is_unchanged(const struct h1_head *h, const struct h1_response_out *out);

/* A whole response of our own: a line of text that names the status; no body for <head> (HEAD). */
struct h1_error_out {
	unsigned status;
	bool close, head;
	struct str date;       /* may be empty */
	struct str request_id; /* X-Request-Id, may be empty */
};
size_t h1_emit_error(const struct h1_error_out *out, char *buf, size_t size);
#define H1_ERROR_BYTES_MAX 512 /* always enough when date and request_id are at most 64 bytes */
/* "HTTP/1.1 100 Continue" with its empty line. */
extern const struct str h1_continue;
/* Reason phrase of RFC 9110 15 and the IANA registry; "Unknown" for others. */
struct str h1_status_reason(unsigned status);
/* "1a2b\r\n": the line in front of <len> bytes of chunk data. Returns its length. */
#define H1_CHUNK_HEAD_MAX 18
size_t h1_emit_chunk_head(uint64_t len, char buf[H1_CHUNK_HEAD_MAX]);
