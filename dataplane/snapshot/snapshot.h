// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot.h: the configuration as one flat, read-only image, and its checked reader.
 *
 * An image is a header, a table of sections and the sections: arrays of records that refer to
 * each other by index and to text by (offset, length). No pointers, so the file is the memory.
 * snapshot_build() (build.h) writes it in control, snapshot_open() checks every offset, count and
 * index once in the dataplane; after that the accessors below trust it. Nothing outside is
 * trusted: an image may come from a disk that somebody else wrote to.
 *
 * Neighbouring versions read each other: a record may grow at its end. A reader takes strides
 * larger than its own records (fields it does not know are skipped) and smaller ones down to the
 * first version's (fields that are missing read as zero), and skips sections it does not know.
 *
 * Matching is compiled: a bind (address, port) and a hostname give a listener, a listener and a
 * hostname give a host, a host and a path give candidates, best first. Hosts and paths are found in
 * one hash table each, keyed by what encloses them, so their number costs nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "dataplane/base/err.h"
#include "dataplane/base/hash.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"
#include "dataplane/snapshot/build.h"
#include "dataplane/snapshot/config.h"

#define SNAPSHOT_MAGIC 0x31504e5343554c53ull /* "SLUCSNP1" in memory order */
#define SNAPSHOT_VERSION 1u
#define SNAPSHOT_BYTES_MAX (256u << 20)
#define SNAPSHOT_SECTIONS_MAX 64u
#define SNAPSHOT_SECTIONS_FIRST 17u /* ids that every image has */

/* Limits that snapshot_build() refuses to pass; control checks objects against them first. */
#define SNAPSHOT_NAME_MAX 1024u	       /* names for people */
#define SNAPSHOT_HOSTNAME_MAX 253u     /* RFC 1035 2.3.4 */
#define SNAPSHOT_PATH_MAX 1024u	       /* HTTPPathMatch.value */
#define SNAPSHOT_VALUE_MAX 4096u       /* HTTPHeaderMatch.value */
#define SNAPSHOT_PREDICATES_MAX 64u    /* header or query matches of one HTTPRouteMatch */
#define SNAPSHOT_RULE_BACKENDS_MAX 64u /* backendRefs of a rule; the API allows 16 */
#define SNAPSHOT_WEIGHT_MAX 1000000u   /* HTTPBackendRef.weight */
#define SNAPSHOT_PROBES_MAX 32u	       /* slots looked at for one key of a hash table */
#define SNAPSHOT_PATH_TEXT 36u	       /* bytes of a path that are kept in its record */
#define SNAPSHOT_DEPTH_MAX (SNAPSHOT_PATH_MAX / 2) /* elements of a path that is matched */

/* The start of the file. All numbers are little endian. */
struct snapshot_header {
	uint64_t magic;
	uint32_t version;
	uint32_t section_count;
	uint64_t image_len; /* header, table and sections */
	uint64_t generation;
	uint64_t digest; /* of everything behind this header; equal content, equal digest */
	uint32_t reserved;
	uint32_t crc; /* CRC-32C of the bytes of this header in front of it */
};

struct snapshot_entry { /* of the section table, right behind the header */
	uint32_t id;
	uint32_t stride; /* bytes from record to record, a multiple of 8; STRINGS: 1 */
	uint64_t off;	 /* from the start of the image, a multiple of 8 */
	uint32_t count;
	uint32_t reserved;
};

/* Text: bytes of the STRINGS section. */
struct snapshot_ref {
	uint32_t off, len;
};

struct snapshot_settings {
	uint32_t header_timeout_ms, idle_timeout_ms; /* 0: the dataplane's default */
	uint32_t connect_timeout_ms, response_timeout_ms;
	uint32_t exchange_bytes_max;
	uint32_t hash_seed; /* of the matching tables; not 0 only if 0 gave bad ones */
};

struct snapshot_net {
	struct ip_addr addr;
	uint8_t len; /* of the 128-bit form */
	uint8_t reserved[7];
};

struct snapshot_listener { /* sorted by name, then id */
	uint64_t id;
	struct snapshot_ref name;
	struct snapshot_ref hostname; /* empty: any; "*.example.com" */
	uint32_t addr_first, addr_count;
	uint16_t port;
	uint16_t wild_labels; /* most labels behind the '*' of its routes' hostnames */
	uint8_t protocol;     /* enum build_protocol */
	uint8_t reserved[3];
};

struct snapshot_bind { /* sorted by address, then port; unique */
	struct ip_addr addr;
	uint16_t port;
	uint16_t wild_labels; /* most labels behind the '*' of its listeners' hostnames */
	uint32_t listener_count;
};

/*
 * A hostname under a bind (its value is a listener) or under a listener (its routes' own hostname;
 * what hangs below it are paths).
 */
enum snapshot_level { SNAPSHOT_LEVEL_BIND = 0, SNAPSHOT_LEVEL_LISTENER };
enum snapshot_host_kind {
	SNAPSHOT_HOST_EXACT = 0,
	SNAPSHOT_HOST_WILD, /* name is what follows the '*', with its dot: ".example.com" */
	SNAPSHOT_HOST_ANY,  /* name is empty */
};

struct snapshot_host {
	struct snapshot_ref name;
	uint32_t scope; /* bind or listener */
	uint32_t value; /* LEVEL_BIND: listener */
	uint8_t level, kind;
	uint16_t labels;       /* in the name */
	uint16_t exact_len;    /* length of the longest exact path below; 0: none */
	uint16_t prefix_depth; /* elements of the longest prefix below */
	uint8_t has_prefix;
	uint8_t reserved[7];
};

/* Open addressing: the key's slot is hash & (count - 1) or one of the next PROBES_MAX - 1. */
struct snapshot_slot {
	uint32_t tag;  /* upper half of the hash */
	uint32_t node; /* record + 1; 0: free */
};

enum snapshot_path_kind { SNAPSHOT_PATH_EXACT = 0, SNAPSHOT_PATH_PREFIX };

struct snapshot_path {
	struct snapshot_ref path; /* a prefix is stored without trailing slashes, "/" as "" */
	uint32_t host;
	uint32_t candidate_first, candidate_count; /* at least one, best first */
	uint8_t kind;
	uint8_t reserved[3];
	/* Optional tail: with it most requests find their rule in this one cache line. */
	uint32_t rule; /* + 1: that of the only candidate, which asks for nothing more; 0: look */
	char text[SNAPSHOT_PATH_TEXT]; /* the path, if it fits */
};
_Static_assert(sizeof(struct snapshot_path) == 64, "a cache line");

struct snapshot_candidate { /* one HTTPRouteMatch */
	uint32_t rule;
	struct snapshot_ref method;	    /* empty: any */
	uint32_t header_first, query_first; /* predicates */
	uint16_t header_count, query_count;
};

struct snapshot_predicate {
	struct snapshot_ref name, value;
	uint8_t type; /* enum build_match_type */
	uint8_t reserved[7];
};

struct snapshot_rule {
	uint64_t id;
	struct snapshot_ref name;
	uint32_t backend_first, backend_count;
	/* Optional tail: */
	uint32_t request_timeout_ms, backend_timeout_ms; /* 0: none */
	uint32_t policy;				 /* + 1; 0: the defaults */
	uint8_t failover;
	uint8_t reserved[3];
};

struct snapshot_backend {
	uint64_t id;
	struct snapshot_ref name;
	uint32_t weight;
	uint32_t service; /* SLOT_NONE unless status is BUILD_BACKEND_OK */
	uint8_t status;	  /* enum build_backend_status */
	uint8_t reserved[7];
};

struct snapshot_service { /* sorted by name, then id */
	uint64_t id;
	struct snapshot_ref name;
	uint32_t endpoint_first, endpoint_count;
	/* Optional tail: */
	uint32_t cluster_first, cluster_count;
	uint32_t policy; /* + 1; 0: the defaults */
	uint32_t reserved;
};

struct snapshot_service_cluster { /* in a service sorted by name, unique */
	struct snapshot_ref name;
	uint32_t unready;
	uint16_t withheld; /* permille */
	uint8_t priority, remote;
	uint8_t reserved[8];
};

struct snapshot_policy { /* sorted by name, then id; fields as in build_policy */
	uint64_t id;
	struct snapshot_ref name, path, host, method;
	uint32_t interval_ms, timeout_ms;
	uint32_t base_ejection_ms, max_ejection_ms;
	uint32_t slow_start_ms;
	uint16_t fall, rise;
	uint16_t consecutive_5xx, consecutive_local_failures;
	uint16_t overprovisioning_percent, ramp_points_per_s;
	uint8_t probe, status_count, max_ejection_percent, panic_percent;
	struct build_status_range status[BUILD_STATUS_RANGES_MAX];
	uint8_t reserved[4];
};

struct snapshot_endpoint { /* in a service sorted by address, port, id */
	uint64_t id;
	struct ip_addr addr;
	uint16_t port, weight;
	uint8_t draining;
	uint8_t reserved[3];
	struct snapshot_ref name, cluster;
};

/* Ids to indexes, sorted by (kind, id); unique. */
struct snapshot_index {
	uint64_t id;
	uint32_t kind; /* enum snapshot_id */
	uint32_t index;
};

enum snapshot_section {
#define SECTION(NAME, id, record, stride_min, count_max) SNAPSHOT_##NAME,
#include "dataplane/snapshot/snapshot.def"
#undef SECTION
	SNAPSHOT_SECTION_COUNT
};

enum snapshot_id { /* in files */
#define SECTION(NAME, id, record, stride_min, count_max) SNAPSHOT_ID_##NAME = id,
#include "dataplane/snapshot/snapshot.def"
#undef SECTION
};

/* An opened image; the bytes are borrowed and must outlive it. */
struct snapshot {
	const uint8_t *image;
	size_t len;
	uint64_t generation, digest;
	uint32_t hash_seed;
	struct {
		const uint8_t *p;
		uint32_t stride, count;
	} sec[SNAPSHOT_SECTION_COUNT];
};

/*
 * Checks the whole image and fills *<ret>. <image> is aligned to 8 (malloc's memory is). -EINVAL
 * with a sentence; *<ret> is then untouched.
 */
int snapshot_open(const void *image, size_t len, struct snapshot *ret, struct err *err);
/* Writes digest and checksum of a finished image of <len> bytes (its builder, and tests). */
void snapshot_seal(void *image, size_t len);
/* Stable text for people, golden files and diffs: equal content, equal text. */
void snapshot_dump(const struct snapshot *s, FILE *out);

/* Indexes by stable id; SLOT_NONE when there is none. */
uint32_t snapshot_find_listener(const struct snapshot *s, uint64_t id);
uint32_t snapshot_find_rule(const struct snapshot *s, uint64_t id);
uint32_t snapshot_find_backend(const struct snapshot *s, uint64_t id);
uint32_t snapshot_find_service(const struct snapshot *s, uint64_t id);
/* Index of the bind, the <bind> of route_match(); SLOT_NONE when nobody listens there. */
uint32_t snapshot_find_bind(const struct snapshot *s, const struct ip_addr *addr, uint16_t port);
bool snapshot_is_trusted(const struct snapshot *s, const struct ip_addr *addr);

/* The policy <number> - 1 of the image; 0: the defaults. Text points into the image. */
void snapshot_policy_read(const struct snapshot *s, uint32_t number, struct build_policy *ret);

/* Do the paths of this image have their tail? Older ones have not. */
static inline bool snapshot_has_path_tail(const struct snapshot *s)
{
	return s->sec[SNAPSHOT_PATH].stride >= sizeof(struct snapshot_path);
}

/* Number of records of a section. */
static inline uint32_t snapshot_count(const struct snapshot *s, enum snapshot_section sec)
{
	return s->sec[sec].count;
}

static inline struct str snapshot_str(const struct snapshot *s, struct snapshot_ref r)
{
	return (struct str){(const char *)s->sec[SNAPSHOT_STRINGS].p + r.off, r.len};
}

/* The record in place; only for sections that are read so (snapshot.def). */
static inline const void *snapshot_at(const struct snapshot *s, enum snapshot_section sec,
	uint32_t i)
{
	return s->sec[sec].p + (size_t)i * s->sec[sec].stride;
}

/*
 * Copies of records by index, i < snapshot_count(): snapshot_listener(s, i), snapshot_bind(),
 * snapshot_rule(), snapshot_backend(), snapshot_service(), snapshot_endpoint(), snapshot_policy(),
 * snapshot_service_cluster(), snapshot_net() of TRUSTED. What the image's version did not have yet is zero.
 */
#define SNAPSHOT_RECORD(record, SEC) \
	static inline struct record record(const struct snapshot *s, uint32_t i) \
	{ \
		struct record r = {0}; \
		size_t stride = s->sec[SEC].stride; \
\
		if (stride >= sizeof(r)) \
			memcpy(&r, snapshot_at(s, SEC, i), sizeof(r)); \
		else \
			memcpy(&r, snapshot_at(s, SEC, i), stride); \
		return r; \
	}
SNAPSHOT_RECORD(snapshot_listener, SNAPSHOT_LISTENER)
SNAPSHOT_RECORD(snapshot_bind, SNAPSHOT_BIND)
SNAPSHOT_RECORD(snapshot_rule, SNAPSHOT_RULE)
SNAPSHOT_RECORD(snapshot_backend, SNAPSHOT_BACKEND)
SNAPSHOT_RECORD(snapshot_service, SNAPSHOT_SERVICE)
SNAPSHOT_RECORD(snapshot_endpoint, SNAPSHOT_ENDPOINT)
SNAPSHOT_RECORD(snapshot_net, SNAPSHOT_TRUSTED)
SNAPSHOT_RECORD(snapshot_policy, SNAPSHOT_POLICY)
SNAPSHOT_RECORD(snapshot_service_cluster, SNAPSHOT_SERVICE_CLUSTER)
#undef SNAPSHOT_RECORD

static inline struct snapshot_settings snapshot_settings(const struct snapshot *s)
{
	struct snapshot_settings r = {0};
	size_t stride = s->sec[SNAPSHOT_SETTINGS].stride;

	memcpy(&r, s->sec[SNAPSHOT_SETTINGS].p, stride < sizeof(r) ? stride : sizeof(r));
	return r;
}

/* Address <i> of a listener. */
static inline struct ip_addr snapshot_listener_addr(const struct snapshot *s,
	const struct snapshot_listener *l, uint32_t i)
{
	struct ip_addr a;

	memcpy(&a, snapshot_at(s, SNAPSHOT_ADDR, l->addr_first + i), sizeof(a));
	return a;
}

/*
 * The hash of the matching tables, part of the format. A name is a chain of parts, h =
 * snapshot_hash(snapshot_hash(start, a), b): hostnames label by label from the right, paths element
 * by element from the left, so one pass gives the chains of all suffixes or prefixes. What
 * encloses the node is mixed in last (snapshot_node_hash). Of a part's last bytes, fewer than
 * eight, the lowest is the first.
 */
static inline uint64_t snapshot_tail(const char *p, size_t n)
{
	uint32_t lo, hi;

	if (n == 0)
		return 0;
	if (n < 4) /* one, two or three bytes: first, middle, last */
		return (uint64_t)(uint8_t)p[0] | (uint64_t)(uint8_t)p[n >> 1] << (8 * (n >> 1)) |
			(uint64_t)(uint8_t)p[n - 1] << (8 * (n - 1));
	memcpy(&lo, p, 4);
	memcpy(&hi, p + n - 4, 4);
	return lo | (uint64_t)hi << (8 * (n - 4)); /* where they overlap they agree */
}

static inline uint64_t snapshot_hash(uint64_t h, struct str part)
{
	const char *p = part.p;
	size_t n = part.len;
	uint64_t w;

	for (; n >= 8; p += 8, n -= 8) {
		memcpy(&w, p, 8);
		h = hash_mix(h, w);
	}
	return hash_mix(h, snapshot_tail(p, n) ^ ((uint64_t)part.len << 56));
}

static inline uint64_t snapshot_hash_start(const struct snapshot *s)
{
	return s->hash_seed;
}

static inline uint64_t snapshot_node_hash(uint64_t chain, uint32_t scope, uint8_t level,
	uint8_t kind)
{
	return hash_mix(chain, (uint64_t)scope << 16 | (uint64_t)level << 8 | kind);
}
