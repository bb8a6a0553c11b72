// SPDX-License-Identifier: Apache-2.0
/*
 * carrier.h: what federation needs of whatever carries its messages between sites. Six functions,
 * so that the protocol does not change when the carrier does (nng over TLS today).
 *
 * A connection carries whole messages in order, or ends. Federation calls the carrier and the
 * carrier calls the sink from one thread, that of control's loop; the carrier never calls the sink
 * from inside of one of these six. Listening is the carrier's own business and begins before
 * federation_open(): a connection that a peer made shows as on_up() with <dialed> false.
 *
 * Transport security is the carrier's: on_up() says that TLS has been agreed and that the other
 * side's certificate comes from the federation's CA, and, of a connection that we made, bears the
 * name that was asked for. Which site it is, it proves afterwards.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A longer message ends the connection, in the carrier, before it is read: CARRIER_TOO_LONG. */
#define CARRIER_MESSAGE_MAX (128u << 10)
#define CARRIER_PEER_ID_MAX 128u

enum carrier_end {
	CARRIER_CLOSED = 0,  /* by the other side, or the network */
	CARRIER_UNREACHABLE, /* it never came up: refused, no route, no such name */
	CARRIER_CERTIFICATE, /* TLS was not agreed: wrong, expired or no certificate */
	CARRIER_TOO_LONG,    /* a message beyond CARRIER_MESSAGE_MAX */
	CARRIER_CROWDED,     /* too many that have not agreed on TLS yet */
	CARRIER_END_COUNT
};

/* Whom the carrier tells. Connections are numbers that it draws; 0 is none and none comes twice. */
struct carrier_sink {
	void *arg;
	void (*on_up)(void *arg, uint64_t conn, bool dialed);
	/* <data> is the carrier's and valid during the call. */
	void (*on_message)(void *arg, uint64_t conn, const void *data, size_t len);
	/* Never after close(). <conn> 0: an incoming one that got no number, for the counter. */
	void (*on_down)(void *arg, uint64_t conn, enum carrier_end why);
};

struct carrier_stats {
	uint64_t messages_sent, messages_received, bytes_sent, bytes_received;
	uint64_t queued;   /* messages that wait to be written */
	uint64_t waits_ms; /* for so long the other side has taken none; 0: nothing waits */
};

struct carrier {
	void *ctx;
	/*
	 * Begins to connect; on_up() or on_down() follows. 0: not now (no memory, bad url). Who answers
	 * must show a certificate of <name>.
	 */
	uint64_t (*open)(void *ctx, const char *url, const char *name);
	/* Takes a copy. False: its queue is full; federation asks again with the next tick. */
	bool (*send)(void *ctx, uint64_t conn, const void *data, size_t len);
	/* Whom to call from now on; NULL: nobody, and nothing is kept for later. */
	void (*receive)(void *ctx, const struct carrier_sink *sink);
	/* Who it is as far as the carrier knows (address, certificate name), for log lines. */
	void (*peer_id)(void *ctx, uint64_t conn, char *buf, size_t size);
	/* At once; also ends an open() that is under way. Unknown numbers are fine. */
	void (*close)(void *ctx, uint64_t conn);
	void (*stats)(void *ctx, uint64_t conn, struct carrier_stats *ret);
};
