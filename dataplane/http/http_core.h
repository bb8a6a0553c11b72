// SPDX-License-Identifier: Apache-2.0
/*
 * http_core.h: the objects of one worker's HTTP, for the files of this folder and their tests.
 *
 *	http_down  client connection         h1_conn  what both have in common: TCP connection,
 *	http_up    upstream connection                unread bytes, framing, bytes on their way out
 *	exchange   one request, from its head to the end of its response
 *
 *	client ═ http_down ── exchange ── http_up ═ endpoint
 *
 * A down connection has at most one exchange, an exchange at most one up connection; an up
 * connection without exchange is in the pool (upstream.h). The files, in the order of a request:
 *
 *	http.c           lifecycle, the turn, news and timers
 *	http_down.c      client connection: idle, head, discard, close
 *	h1_conn.c        bytes in: filling, gathering heads; bytes out: writing, charge and credit
 *	http_park.c      client connection that waits long
 *	http_exchange.c  begin, end, failure, time-outs of an exchange
 *	http_route.c     request -> rule -> backend -> endpoint
 *	http_up.c        upstream connection: pool, connect, retry
 *	http_request.c   request head and body towards the endpoint
 *	http_response.c  response head and body towards the client
 *	http_body.c      framing of bodies, both ways
 *	http_probe.c     active health checks, beside all of this
 *	http_reply.c     answers of our own
 *	http_log.c       counters of objects and the access-log record
 *
 * Charge. Body mbufs carry the charge of the connection they came from. Written to the other leg
 * they are <held> there; when that peer acknowledges them, TCP frees them and tells their charge,
 * which is credited back to the source and opens its window. Mbufs of our own making (heads, chunk
 * lines) carry charge too, so that <held> is all the memory of a send queue, but it is credited to
 * nobody (<held_own>). When an exchange leaves a connection that lives on, what is held there
 * becomes our own: the source is credited at once and is free for the next exchange.
 */
#pragma once

#include "dataplane/base/list.h"
#include "dataplane/base/timer_wheel.h"
#include "dataplane/http/access_log.h"
#include "dataplane/http/h1.h"
#include "dataplane/http/http.h"
#include "dataplane/http/outcome.h"
#include "dataplane/http/slots.h"
#include "dataplane/port/mbufq.h"
#include "dataplane/snapshot/snapshot.h"
#include "dataplane/tcp/tcp.h"
#include "dataplane/upstream/probe.h"
#include "dataplane/upstream/upstream.h"

/* Bounds. */
#define HTTP_NEWS_PER_TURN 1024u /* connections looked at per turn; the rest waits one turn */
#define HTTP_TIMERS_PER_TURN 256u
#define HTTP_SWEEP_PER_STEP 256u     /* client connections per housekeeping step */
#define HTTP_HOUSEKEEPING_US 100000u /* idle pool, sweeps */
#define HTTP_SWEEP_STEP_US 1000u     /* while a sweep is under way */
#define HTTP_SWEEP_US 1000000u	     /* endpoints against the configuration */
#define HTTP_PARK_US 2000000u	     /* without a request, then it costs less memory */
#define HTTP_PARK_SOON_US 200000u    /* the same when there are HTTP_PARK_MANY of them */
#define HTTP_PARK_MANY 32768u
#define HTTP_DOWN_BUDGET 65536u	       /* receive budget of a client without a request body */
#define HTTP_EXCHANGE_BYTES_MIN 65536u /* below, a few packets fill it and nothing flows */
#define HTTP_DISCARD_MAX 65536u	       /* of a request body after an early response */
#define HTTP_INTERIM_MAX 16u	       /* 1xx responses per request */
#define HTTP_CONNECTS_MAX 16u	       /* attempts of a request; only refusals come that fast */
#define HTTP_UNSAFE_IDLE_US 1000000u   /* http_up.c: pooled connections for unrepeatable requests */
#define HTTP_EMIT_MAX (H1_HEAD_BYTES_MAX + 2048u)  /* a head with our fields added */
#define HTTP_HEAD_BUFFER (H1_HEAD_BYTES_MAX + 64u) /* so that a head beyond the limit shows */

enum {
#define HTTP_COUNTER(NAME, name, help) HTTP_##NAME,
#include "dataplane/http/http.def"
#undef HTTP_COUNTER
	HTTP_COUNTER_COUNT
};

enum h1_leg { H1_DOWN = 0, H1_UP, H1_PROBE };

enum {				 /* h1_conn.news, besides TCP_EV_* */
	HTTP_NEWS_WORK = 1 << 8, /* look again: bytes may be waiting */
};

/* Reading state of the message body that is coming in. */
struct body_in {
	uint64_t left;	/* H1_BODY_LENGTH: bytes still to come */
	uint64_t bytes; /* data bytes so far */
	struct h1_chunk chunk;
	uint8_t kind; /* enum h1_body */
	bool done;
};

struct exchange;

struct h1_conn {
	struct list ready;    /* on http.ready while it has news */
	struct tcp_conn *tcp; /* NULL: already given back to TCP */
	struct exchange *x;   /* its exchange, or NULL */
	struct mbufq rx;      /* owned: read from TCP, not understood yet */
	struct mbufq trailer; /* owned: trailer fields that came in, as received */
	char *head_buf;	      /* owned: head buffer, or NULL */
	uint32_t head_len;    /* bytes in it */
	uint32_t head_dup;    /* the last so many of them are still at the front of rx */
	uint32_t head_tried;  /* bytes known to be too few: not looked at again */
	uint32_t news;	      /* TCP_EV_*, HTTP_NEWS_* */
	uint32_t budget;      /* last tcp_set_budget() */
	uint32_t held;	      /* charge of unacknowledged mbufs in TCP's send queue */
	uint32_t held_own;    /* part of it that is credited to nobody */
	uint64_t rx_us;	      /* last bytes from the peer */
	uint64_t acked_us;    /* last acknowledgement, or write to an empty queue */
	struct body_in in;
	uint8_t leg;
	bool head_line; /* the parser has seen the end of a first line */
	bool eof;	/* the peer has closed its side; nothing follows rx */
	bool dead;	/* TCP_EV_CLOSED was seen: nothing can be written */
};

enum down_state {
	DOWN_IDLE = 0, /* no byte of a request */
	DOWN_HEAD,     /* part of a head */
	DOWN_BUSY,     /* an exchange */
	DOWN_DISCARD,  /* reading the rest of a request body that nobody wants */
};

struct http_down {
	struct h1_conn c;
	struct timer timer; /* of the state; BUSY: of the exchange */
	uint64_t since_us;  /* of the state; HEAD: first byte of the head */
	uint64_t serial;    /* of the configuration that <bind> belongs to; 0: none */
	uint32_t bind;	    /* index in it; SLOT_NONE: the listener was removed */
	uint32_t requests;
	uint32_t discard_left;
	uint8_t state; /* enum down_state */
	uint8_t ip_len;
	char ip[IP_ADDR_STRLEN]; /* the client's address as text, for X-Forwarded-For */
};

enum up_state { UP_CONNECTING = 0, UP_BUSY, UP_POOLED };

struct http_up {
	struct h1_conn c;
	struct pool_conn pool;
	uint64_t connect_us; /* start of the connection attempt */
	uint32_t requests;   /* sent on it, the current one included */
	uint8_t state;	     /* enum up_state */
};

enum exchange_request { REQUEST_WAITING = 0, REQUEST_BODY, REQUEST_DONE };
enum exchange_response { RESPONSE_HEAD = 0, RESPONSE_BODY, RESPONSE_DONE };

struct exchange {
	struct http_down *down;
	struct http_up *up;	/* NULL while it has none */
	struct mbufq head;	/* owned: emitted request head, until it is sent */
	struct mbufq raw;	/* owned: the head as it came, kept for as long as a retry may be */
	struct upstream_ref ep; /* endpoint that the request is sent to; slot SLOT_NONE: none */
	uint64_t rule_id, service_id;
	uint64_t connect_us;	     /* start of the current attempt */
	uint64_t sent_us;	     /* request head written; 0: not yet */
	uint64_t request_us;	     /* request written whole; 0: not yet */
	uint64_t window_us;	     /* start of the current window of body_timeout_us */
	uint64_t window_bytes;	     /* request body bytes at its start */
	uint64_t deadline_us;	     /* request time-out of the rule, TIMER_NEVER */
	uint64_t backend_timeout_us; /* per attempt; 0: none */
	uint8_t request;	     /* enum exchange_request */
	uint8_t response;	     /* enum exchange_response */
	uint8_t method;		     /* enum h1_method */
	uint8_t out_kind;	     /* enum h1_body: framing of the response towards the client */
	uint8_t interim;	     /* 1xx responses seen */
	bool expects;		     /* Expect: 100-continue, and no 100 was passed on yet */
	bool repeatable;	     /* idempotent and without content: may be sent twice */
	bool retried_reused;
	uint8_t connects_failed; /* attempts for this request that carried nothing */
	bool blocked;		 /* in this window the endpoint held the request body up */
	bool down_keep;		 /* the client connection may live on after this response */
	bool up_keep;		 /* the upstream connection may, as far as the response head said */
	bool trusted;		 /* the client's forwarding fields are believed */
	struct access_record rec;
};

/* Time-outs and sizes in force: http_config with the configuration's settings over it. */
struct http_limits {
	uint64_t header_us, idle_us, connect_us, response_us;
	uint32_t exchange_bytes;
};

struct http {
	struct http_config cfg;
	struct http_limits lim;
	struct tcp *tcp;	     /* borrowed */
	struct rte_mempool *pool;    /* borrowed */
	struct rng *rng;	     /* borrowed */
	struct access_ring *log;     /* borrowed, or NULL */
	struct upstream *up;	     /* owned */
	struct probes *probes;	     /* owned */
	const struct config *config; /* borrowed for the current turn; NULL between turns */
	uint64_t serial;	     /* of the configuration that <lim> was taken from */
	uint64_t now_us;
	struct list ready; /* h1_conn.ready */
	struct timer_wheel wheel;
	struct timer housekeeping;
	struct slots downs, ups, xs, head_bufs;
	uint32_t sweep_down;   /* housekeeping: next client connection to look at */
	uint32_t sweep_parked; /* the same of parked ones */
	bool sweep_again;      /* some of them had to be left for later */
	uint64_t sweep_us;     /* when endpoints are looked over next */
	uint32_t log_skip;     /* good requests until the next that is logged */
	uint32_t held_bytes, held_high;
	char date[64]; /* text for Date fields, see http_set_date() */
	uint8_t date_len;
	bool more; /* TCP had more news than one turn takes */
	bool draining;
	bool scarce;	     /* the packet pool is nearly empty: smaller budgets */
	bool exhausted;	     /* no new requests */
	struct h1_head head; /* the head being looked at; slices point into its connection */
	char path[H1_HEAD_BYTES_MAX]; /* path and query of <head> after h1_merge_slashes() */
	char emit[HTTP_EMIT_MAX];     /* a head being built */
	uint64_t counters[HTTP_COUNTER_COUNT + OUTCOME_COUNT];
};

/*
 * Receive budget of a leg whose body is relayed. With what earlier responses may have left in the
 * other leg's send queue (an eighth, http_down.c) and our own chunk lines (an eighth) one exchange
 * stays below exchange_bytes_max.
 */
#define HTTP_BODY_BUDGET(h) ((h)->lim.exchange_bytes / 4 * 3)
#define HTTP_QUEUED_MAX(h) ((h)->lim.exchange_bytes / 8)

static inline void http_count(struct http *h, unsigned counter)
{
	counter_add(&h->counters[counter], 1);
}

/* h1_conn.c */
void h1_conn_init(struct http *h, struct h1_conn *c, enum h1_leg leg, struct tcp_conn *tcp);
/* Lets go of everything it owns but the TCP connection. */
void h1_conn_fini(struct http *h, struct h1_conn *c);
/* Puts it on the list of those who are looked at. */
void h1_conn_wake(struct http *h, struct h1_conn *c, uint32_t news);
/* Takes all unread bytes from TCP. */
void h1_conn_fill(struct http *h, struct h1_conn *c);
/* Frees <n> bytes of rx. */
void h1_conn_skip(struct http *h, struct h1_conn *c, uint32_t n);
void h1_conn_credit(struct http *h, struct h1_conn *c, uint32_t charge);
void h1_conn_set_budget(struct http *h, struct h1_conn *c, uint32_t bytes);
/*
 * Parses a head at the start of rx into h->head: its length, H1_MORE or a negative h1_error;
 * HTTP_NO_BUFFER when a buffer was needed and there is none. The slices stay valid until
 * h1_conn_head_done().
 */
#define HTTP_NO_BUFFER (-1000)
ssize_t h1_conn_parse_request(struct http *h, struct h1_conn *c);
ssize_t h1_conn_parse_response(struct http *h, struct h1_conn *c, enum h1_method request_method);
/* Reading starts over behind a head that was taken out of rx. */
static inline void h1_conn_head_taken(struct h1_conn *c)
{
	c->head_tried = 0;
	c->head_line = false;
}
/* Consumes the head of <len> bytes. */
void h1_conn_head_done(struct http *h, struct h1_conn *c, uint32_t len);
/*
 * Appends bytes of our own making; the charge of the mbufs they needed is added to *own. False: no
 * buffer; <q> may then hold a part of them.
 */
bool h1_own_append(struct http *h, struct mbufq *q, const void *data, uint32_t len, uint32_t *own);
/* Hands <q> to TCP; <own> of its charge is credited to nobody. */
void h1_conn_write(struct http *h, struct h1_conn *c, struct mbufq *q, uint32_t own);
/* Charge that is held here and belongs to the other leg. */
static inline uint32_t h1_foreign_held(const struct h1_conn *c)
{
	return c->held - c->held_own;
}
/* What is held becomes our own; returns how much of it was somebody's. */
uint32_t h1_conn_disown(struct h1_conn *c);
/* Takes acknowledged charge: what is to be credited to the source of the exchange. */
uint32_t h1_conn_released(struct http *h, struct h1_conn *c);

/* http_body.c */
void body_in_init(struct body_in *in, enum h1_body kind, uint64_t content_length);
/*
 * Moves body data from c->rx to <out>: 0, an h1_error (> 0), or -HTTP_NO_BUFFER. Sets in.done at
 * the end of the body; H1_BODY_CLOSE is done when c->eof.
 */
int body_read(struct http *h, struct h1_conn *c, struct mbufq *out);
/*
 * Frames the <data> read from <src> for <kind> and writes it to <dst>; the body's end and trailers
 * too when src->in.done. False: no buffer; nothing was written, <data> is freed and credited.
 */
bool body_write(struct http *h, struct h1_conn *src, struct h1_conn *dst, enum h1_body kind,
	struct mbufq *data);
