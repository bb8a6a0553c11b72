// SPDX-License-Identifier: Apache-2.0
/*
 * carrier_nng.h: the carrier between sites: nng's byte streams over tls+tcp, mutual TLS.
 *
 * One port for all peers and one connection per message queue; frames are those of the link
 * between control and dataplane (dataplane/link/link_conn.h), for the same reason: nng 1.5.2's
 * sockets can hang for good on a connection that ends within a message (nng issue 1543). TLS is
 * nng's engine (mbedTLS in Debian 12: TLS 1.2). Both sides need a certificate of the federation's
 * own CA. Who dials asks for the name of the site that he means (a dNSName, else the common name);
 * who listens cannot know it of the other, nng 1.5.2 does not say it: that is proved by the signed
 * hello (actions.c).
 *
 * nng's callbacks run on its threads and only move bytes, note what happened and write an eventfd;
 * the sink is called by carrier_nng_dispatch() alone, on the owner's thread.
 */
#pragma once

#include "dataplane/base/err.h"
#include "federation/carrier.h"

#define CARRIER_NNG_CONNECT_MS 2000  /* an attempt, name and TCP; ours, not the kernel's back-off */
#define CARRIER_NNG_GREETING_MS 3000 /* TLS and the first bytes of both sides */
#define CARRIER_NNG_CONNS_MAX 128u   /* all at a time; each of 31 peers may have two, twice */
#define CARRIER_NNG_STRANGERS_MAX 32u /* incoming ones before TLS is agreed, of unknown addresses */
#define CARRIER_NNG_STRANGERS_EACH 4u /* of them from one address */
#define CARRIER_NNG_KNOWN_MAX 32u   /* addresses that are known: by peers' URLs, by a certificate */
#define CARRIER_NNG_KNOWN_EACH 8u   /* incoming ones before TLS is agreed, of such an address */
#define CARRIER_NNG_OUTBOX_MAX 256u /* messages of a connection that wait */
#define CARRIER_NNG_OUTBOX_BYTES_MAX (4u << 20)
#define CARRIER_NNG_INBOX_MAX 16u /* messages of a connection that wait; then it is slowed down */

struct carrier_nng;

struct carrier_nng_config {
	const char *listen;	  /* tls+tcp://address:port; NULL: only dial */
	const char *ca;		  /* PEM file of the federation's CA, perhaps with its CRL */
	const char *certificate;  /* PEM file: our certificate, perhaps with its chain */
	const char *key;	  /* PEM file of its key, or NULL: stands in the same file */
	const char *const *peers; /* URLs: their addresses always get in (carrier_door.c) */
	unsigned peer_count;
};

/* -EINVAL: the files or the URL are not good; -EADDRINUSE and others: the port. */
int carrier_nng_open(const struct carrier_nng_config *cfg, struct carrier_nng **ret,
	struct err *err);
void carrier_nng_close(struct carrier_nng *n); /* NULL is fine; tells the sink nothing */
/* Readable while there is something to dispatch. */
int carrier_nng_fd(const struct carrier_nng *n);
void carrier_nng_dispatch(struct carrier_nng *n);
/*
 * New files for connections to come, and a new listener; those that are up stay. When it fails all
 * goes on as before, but for a port that somebody else has taken meanwhile: that is tried again.
 * <cfg>.ca NULL: a site that speaks to nobody any more; its port is closed.
 */
int carrier_nng_reload(struct carrier_nng *n, const struct carrier_nng_config *cfg,
	struct err *err);
/* What federation_open() is given. */
struct carrier carrier_nng_carrier(struct carrier_nng *n);
