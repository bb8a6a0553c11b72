// SPDX-License-Identifier: Apache-2.0
/*
 * carrier_private.h: what the files of the nng carrier share. Only the owner's thread makes and
 * frees channels; nng's threads move them forward by flags under the one lock.
 */
#pragma once

#include <pthread.h>

#include <nng/nng.h>
#include <nng/supplemental/tls/tls.h>

#include "dataplane/base/ip.h"
#include "dataplane/base/list.h"
#include "dataplane/link/link_conn.h"
#include "federation/carrier_nng.h"

/* A connection. */
struct channel {
	struct carrier_nng *n;
	struct list link;
	uint64_t number;	      /* 0: incoming, not up yet */
	bool dialed, told_up, closed; /* owner: rw */
	nng_stream_dialer *dialer;    /* owned; NULL: accepted */
	nng_aio *dial;		      /* owned; NULL: accepted */
	struct conn *conn;	      /* owned; owner: rw */
	bool met;		      /* TCP knew the other side; written before <conn> begins */
	char address[CARRIER_PEER_ID_MAX];
	struct ip_addr from; /* of an incoming one, as carrier_door.c counts */
	uint64_t since_us;   /* it came */
	/* Under the lock: */
	nng_stream *stream; /* owned: to become <conn> */
	bool up, failed;
	enum carrier_end why;
	struct conn_frame *inbox[CARRIER_NNG_INBOX_MAX],
		*outbox[CARRIER_NNG_OUTBOX_MAX]; /* owned */
	unsigned in_first, in_count, out_first, out_count;
	size_t out_bytes;
	uint64_t write_us; /* the message that is being written was begun; 0: none is */
	struct carrier_stats stats;
};

/* Addresses that are no strangers'. */
struct door {
	struct ip_addr peers[CARRIER_NNG_KNOWN_MAX], seen[CARRIER_NNG_KNOWN_MAX];
	unsigned peer_count, seen_count, seen_next; /* <seen> is a ring */
};

/* Texts of the files; every site that is dialed has a configuration of its own, with its name. */
struct carrier_tls {
	char *ca, *certificate, *key; /* owned, PEM */
	nng_tls_config *server;	      /* owned: a reference */
};

struct carrier_nng {
	char *listen; /* owned */
	struct carrier_tls tls;
	nng_stream_listener *listener; /* owned; NULL: none now */
	nng_aio *accept, *pause;       /* owned */
	int event_fd;
	struct list channels; /* owner: rw */
	unsigned count;
	uint64_t last_number;
	struct carrier_sink sink;
	bool has_sink;
	bool listen_again; /* owner: the port could not be had */
	struct door door;  /* owner: rw */

	pthread_mutex_t lock;
	nng_stream *incoming[CARRIER_NNG_STRANGERS_MAX]; /* owned */
	unsigned incoming_count;
	bool listening;
	bool accept_waits; /* until the owner has taken what came */
	bool pausing;	   /* <pause> runs */
};

static inline void carrier_lock(struct carrier_nng *n)
{
	pthread_mutex_lock(&n->lock);
}

static inline void carrier_unlock(struct carrier_nng *n)
{
	pthread_mutex_unlock(&n->lock);
}

/* carrier_nng.c: there is something to dispatch. */
void carrier_wake(struct carrier_nng *n);

/* carrier_channel.c */
struct channel *channel_new(struct carrier_nng *n, bool dialed);
void channel_free(struct channel *ch);
/* One that is not closed, or NULL. */
struct channel *channel_find(struct carrier_nng *n, uint64_t number);
/* -1: there is no such URL. */
int channel_dial(struct channel *ch, const char *url, const char *name);
/* A stream that was found becomes the connection. */
void channel_begin(struct channel *ch, nng_stream *s);
/* The next message, or NULL; the caller frees it. */
struct conn_frame *channel_receive(struct channel *ch);
bool channel_send(struct channel *ch, const void *data, size_t len);
void stream_drop(nng_stream *s);
/* Where it comes from; false: no such thing. */
bool stream_address(nng_stream *s, struct ip_addr *ret, uint16_t *ret_port);

/* carrier_door.c, the owner's */
void door_set_peers(struct door *d, const char *const *urls, unsigned count);
/* A certificate of the federation was shown from there. */
void door_saw(struct door *d, const struct ip_addr *from);
/* False: it is refused, which was told. Another one may have had to give way. */
bool door_admits(struct carrier_nng *n, const struct ip_addr *from, struct ip_addr *ret_host);

/* carrier_listen.c */
void listen_init(struct carrier_nng *n); /* once, before all others */
/* An error of nng's. */
int listen_begin(struct carrier_nng *n);
/* Tries until the port can be had. */
void listen_again(struct carrier_nng *n);
void listen_end(struct carrier_nng *n);
/* Incoming streams become channels, as far as limits go. */
void listen_take(struct carrier_nng *n);
/* A listener that could not be had is tried again, when its pause is over. */
void listen_check(struct carrier_nng *n);

/* carrier_tls.c: <ret> is whole, or left as it was. */
int carrier_tls_load(const struct carrier_nng_config *cfg, struct carrier_tls *ret,
	struct err *err);
void carrier_tls_fini(struct carrier_tls *t);
/* For a site that must show a certificate of <name>; a reference that the caller drops. NULL: none. */
nng_tls_config *carrier_tls_client(const struct carrier_tls *t, const char *name);
