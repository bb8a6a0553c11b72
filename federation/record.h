// SPDX-License-Identifier: Apache-2.0
/*
 * record.h: what sites tell each other. Pure: bytes <-> struct, and which of two wins.
 *
 *	SITE	a site about itself: state, load, VIPs
 *	HEALTH	a cluster as one site sees it; key (site, cluster): views are kept side by side,
 *		never merged, because whether A reaches a cluster says nothing about B
 *	WEIGHT	what an operator wants of a cluster, at all sites or at his own alone; key
 *		(cluster, scope), whoever wrote last wins
 *
 * On the wire: length of the fields (16 bits), the fields (tag 8, length 16, value), and the
 * Ed25519 signature of the site that made it. So a record may come by way of any peer and is worth
 * no less: a peer can only speak for itself. Unknown tags are kept with the bytes, so an older
 * site hands on what a newer one said, signature intact.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"

#define SITE_NAME_MAX 63u /* RFC 1123 label, as names of clusters */
#define RECORD_ACTOR_MAX 63u
#define RECORD_REASON_MAX 255u
#define RECORD_VIPS_MAX 32u
#define RECORD_WEIGHT_MAX 1000000u
#define RECORD_WEIGHT_DEFAULT 100u
#define RECORD_SIGNATURE_BYTES 64u
#define RECORD_BYTES_MAX 1536u /* length, fields and signature */
#define RECORD_DEAD_KEPT_MS (24ull * 3600 * 1000)

enum record_kind { RECORD_SITE = 1, RECORD_HEALTH, RECORD_WEIGHT, RECORD_KIND_COUNT };

enum site_state { SITE_SERVING = 0, SITE_DRAINING, SITE_SUSPECT, SITE_STATE_COUNT };
/* As the observing site sees the cluster; GONE: it does not look any more, a tombstone. */
enum health_state { HEALTH_OK = 0, HEALTH_STALE, HEALTH_SILENT, HEALTH_GONE, HEALTH_STATE_COUNT };

extern const char *const record_kind_names[RECORD_KIND_COUNT];
extern const char *const site_state_names[SITE_STATE_COUNT];	 /* "serving", ... */
extern const char *const health_state_names[HEALTH_STATE_COUNT]; /* "ok", ... */

struct record_site {
	uint8_t state;		 /* enum site_state */
	uint32_t requests_per_s; /* now */
	uint32_t capacity_per_s; /* 0: not known */
	uint16_t load_permille;	 /* busiest worker */
	uint16_t vip_count;
	struct ip_addr vips[RECORD_VIPS_MAX];
};

struct record_health {
	uint8_t state;		       /* enum health_state */
	uint32_t total, ready, usable; /* endpoints: known, by the API, and by our verdicts too */
	uint32_t requests_per_s;
};

struct record_weight {
	uint32_t weight;     /* 0..RECORD_WEIGHT_MAX */
	bool drain;	     /* administrative drain, whatever the weight */
	bool weightless;     /* <weight> is not said: it is for releases that do not know this */
	bool removed;	     /* a tombstone: nobody wants anything any more */
	uint64_t expires_ms; /* Unix time; 0: never */
	/* Newest edit by another site that its author's site had seen here, for the log; 0: none. */
	uint64_t seen;
	struct str actor, reason;
};

struct record {
	uint8_t kind;	    /* enum record_kind */
	struct str site;    /* who made and signed it */
	uint64_t stamp;	    /* hybrid logical clock, hlc.h */
	struct str cluster; /* HEALTH, WEIGHT */
	struct str scope;   /* WEIGHT: empty for all sites, or <site> for it alone */
	union {
		struct record_site of_site;
		struct record_health health;
		struct record_weight weight;
	};
};

/* The fields alone, which the signature covers; 0: does not fit or is not valid. */
size_t record_encode(const struct record *r, uint8_t *to, size_t room);
/* False on anything but a valid record. Strings of <ret> point into <p>. */
bool record_decode(const uint8_t *p, size_t len, struct record *ret);

/* Of what is kept and sent: length, fields, signature. False: they do not fit each other. */
struct record_bytes {
	const uint8_t *fields, *signature;
	size_t fields_len;
};
bool record_split(const uint8_t *p, size_t len, struct record_bytes *ret);

/* What is meant for one site alone comes before that for all: only that site itself may say it. */
bool record_is_its_makers(const struct record *r);

bool record_name_is_valid(struct str name); /* an RFC 1123 label */
bool record_same_key(const struct record *a, const struct record *b);
uint64_t record_key_hash(const struct record *r); /* the same at every site */
/* > 0: <a> is the newer one, by stamp, then name of the site; 0 only for one and the same. */
int record_compare(const struct record *a, const struct record *b);

/* A tombstone, or a weight whose time is over: kept, so that it wins over older ones, but void. */
bool record_is_dead(const struct record *r, uint64_t now_ms);
/* Dead for RECORD_DEAD_KEPT_MS: forgotten everywhere. */
bool record_is_gone(const struct record *r, uint64_t now_ms);
