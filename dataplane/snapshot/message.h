// SPDX-License-Identifier: Apache-2.0
/*
 * message.h: the small messages between control and a dataplane. Pure: bytes <-> struct.
 *
 * An envelope of 48 bytes, big-endian, then a body of fields (tag, length, value). Unknown tags
 * are skipped, so a newer minor version can add fields; another major version is refused. The
 * same bytes are the records of the dataplane's journal. The tables are in message.def.
 *
 *	 0 magic "SL"   2 major  3 minor  4 type  5 flags  6 header length
 *	 8 epoch        of the sender: control's persistent epoch, the dataplane's boot number
 *	16 seq          +1 per message of this sender, session and stream; starts at 1
 *	24 stream      26 zero   28 session: a number that the dataplane draws for each connection
 *	32 body length 36 CRC-32C of everything with this field zero
 *	40 stamp_us     the sender's CLOCK_MONOTONIC (same host), to measure how long things take
 *
 * Session: dataplane HELLO -> control WELCOME; before both have been seen nothing else counts.
 * Config stream: SNAPSHOT replaces everything, ENDPOINTS and WEIGHTS replace one object as a
 * whole; each is answered by one ACK (QUIESCE may be followed by a second, final one). Generation
 * is the number of a structure, revision the number of a published change within a control epoch.
 * Digests: <structure> is control's name for all that only a snapshot can change; <state> is the
 * sum of message_weights_digest() and message_endpoints_digest() over every rule and service.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"

#define MESSAGE_MAGIC 0x534cu
#define MESSAGE_MAJOR 1
#define MESSAGE_MINOR 1 /* 1: ENDPOINTS says what is known of clusters */
#define MESSAGE_HEADER_BYTES 48u
#define MESSAGE_BYTES_MAX (1u << 20)	  /* envelope and body; what is larger goes by file */
#define MESSAGE_RECV_BYTES_MAX (2u << 20) /* the carrier closes the connection beyond this */
#define MESSAGE_NAME_MAX 63u
#define MESSAGE_TEXT_MAX 480u
#define MESSAGE_PATH_MAX 1023u
#define MESSAGE_ARGS_MAX (16u << 10)
#define MESSAGE_CHUNK_MAX (256u << 10) /* one piece of a long answer */
#define MESSAGE_REPLY_MAX (16u << 20)  /* all pieces of one answer */
#define MESSAGE_WEIGHTS_MAX 4096u
#define MESSAGE_ENDPOINTS_MAX 4096u
#define MESSAGE_CLUSTERS_MAX 64u
#define MESSAGE_ENDPOINT_NAME_MAX 255u
#define MESSAGE_HEARTBEAT_US 1000000u
#define MESSAGE_DEAD_US 3000000u    /* three heartbeats missed */
#define MESSAGE_WELCOME_US 3000000u /* time for HELLO and WELCOME after a connection */

enum message_type {
#define MESSAGE_TYPE(name, number, text, stream, sender) MESSAGE_##name = number,
#include "dataplane/snapshot/message.def"
	MESSAGE_TYPE_MAX /* one past the last */
};

enum message_stream {
	MESSAGE_STREAM_LINK = 0,
	MESSAGE_STREAM_CONFIG,
	MESSAGE_STREAM_QUERY,
	MESSAGE_STREAM_COUNT
};

enum message_sender { MESSAGE_BY_CONTROL = 1, MESSAGE_BY_DATAPLANE = 2, MESSAGE_BY_BOTH = 3 };

enum message_error {
	MESSAGE_ERR_NONE = 0,
#define MESSAGE_ERROR(name, text, help) MESSAGE_ERR_##name,
#include "dataplane/snapshot/message.def"
	MESSAGE_ERR_COUNT
};

enum message_result {
#define MESSAGE_RESULT(name, number, text, help) MESSAGE_RESULT_##name = number,
#include "dataplane/snapshot/message.def"
	MESSAGE_RESULT_COUNT
};

enum { MESSAGE_FLAG_MORE = 1 << 0 }; /* REPLY: another chunk follows */

struct message_weight {
	uint64_t backend_id;
	uint32_t weight;
};

struct message_endpoint {
	uint64_t id;
	struct ip_addr addr;
	uint16_t port, weight;
	bool draining;
	struct str name, cluster; /* at most MESSAGE_ENDPOINT_NAME_MAX bytes each */
};

/* What is known of a cluster of a service (build_service_cluster). */
struct message_cluster {
	struct str name;  /* at most MESSAGE_ENDPOINT_NAME_MAX bytes */
	uint8_t priority; /* at most 15 */
	bool remote;
	uint16_t withheld; /* permille */
	uint32_t unready;
};

struct message {
	uint8_t type, flags;
	uint32_t session;
	uint64_t epoch, seq, stamp_us;
	union {
		struct {
			struct str name, version, text;	   /* text: what is wrong, or empty */
			uint64_t fence;			   /* highest control epoch ever welcomed */
			uint64_t generation;		   /* in use; 0: none */
			uint64_t revision, revision_epoch; /* newest applied change, by whom */
			uint64_t structure, state, image;  /* digests of what is in use */
			bool draining;
		} hello;
		struct {
			struct str name, version;
		} welcome;
		struct {
			uint64_t seq_high; /* control: sent, dataplane: seen (config stream) */
			uint64_t generation, revision,
				state; /* control: wanted, dataplane: in use */
			bool draining;
		} heartbeat;
		struct {
			uint64_t generation, revision, structure;
			uint64_t image, bytes; /* message_digest() and length of the file */
			struct str path;       /* absolute */
		} snapshot;
		struct {
			uint64_t service_id, generation, revision;
			uint32_t count;
			const struct message_endpoint *e;
			uint32_t cluster_count;
			const struct message_cluster *clusters;
		} endpoints;
		struct {
			uint64_t rule_id, generation, revision;
			uint32_t count;
			const struct message_weight *w;
		} weights;
		struct {
			bool on;
		} drain;
		struct {
			uint64_t seq, generation, revision;
			uint16_t result; /* enum message_result */
			struct str text;
		} ack;
		struct {
			uint64_t id;
			struct str verb, args; /* args: JSON object or empty */
		} query;
		struct {
			uint64_t id;
			uint16_t status;  /* enum message_result */
			struct str chunk; /* JSON, cut anywhere */
		} reply;
	};
};

/* Room for the lists of one decoded message; too large for a stack. */
struct message_scratch {
	struct message_weight weights[MESSAGE_WEIGHTS_MAX];
	struct message_endpoint endpoints[MESSAGE_ENDPOINTS_MAX];
	struct message_cluster clusters[MESSAGE_CLUSTERS_MAX];
};

/*
 * Decodes exactly <len> bytes. Slices of *ret point into <buf>, lists into <scratch>. On an error
 * *ret is untouched, but for errors behind the envelope (TYPE and later) its head is filled in, so
 * that the sender can be told: ret->type is then the unchecked byte.
 */
enum message_error message_decode(const void *buf, size_t len, struct message_scratch *scratch,
	struct message *ret);
/* Returns the length, or 0 when <m> breaks a limit or does not fit into <cap>. */
size_t message_encode(const struct message *m, void *buf, size_t cap);

/* SipHash under a fixed key: names contents, does not protect them. */
uint64_t message_digest(const void *data, size_t len);
/*
 * Order of the entries does not matter; revision and generation do not enter. Without clusters it
 * is the digest that version 1.0 knew.
 */
uint64_t message_weights_digest(uint64_t rule_id, const struct message_weight *w, uint32_t count);
uint64_t message_endpoints_digest(uint64_t service_id, const struct message_endpoint *e,
	uint32_t count, const struct message_cluster *clusters, uint32_t cluster_count);

const char *message_type_str(uint8_t type);
enum message_stream message_type_stream(uint8_t type); /* of a valid type */
enum message_sender message_type_sender(uint8_t type);
const char *message_error_name(enum message_error e); /* the counter's name */
const char *message_error_help(enum message_error e);
const char *message_result_str(uint16_t result);
const char *message_result_help(uint16_t result);
