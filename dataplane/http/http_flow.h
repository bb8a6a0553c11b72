// SPDX-License-Identifier: Apache-2.0
/*
 * http_flow.h: who calls whom along a request, file by file (objects: http_core.h).
 *
 * A function that may end an exchange or a connection says so; its caller touches neither after.
 */
#pragma once

#include "dataplane/http/http_core.h"

/* http_down.c: the client connection. */
/* NULL: refused. <unparked>: it comes back from where down_park() put it. */
struct h1_conn *down_open(struct http *h, struct tcp_conn *tc, bool unparked);
void down_on_news(struct http *h, struct http_down *d, uint32_t news); /* may end it */
void down_on_timer(struct http *h, struct http_down *d);	       /* may end it */
/* The exchange has left. May end the connection. */
enum down_fate { DOWN_KEEP, DOWN_CLOSE, DOWN_RESET };
void down_next(struct http *h, struct http_down *d, enum down_fate fate);
void down_close(struct http *h, struct http_down *d); /* FIN after what was written; ends it */
void down_abort(struct http *h, struct http_down *d); /* RST; ends it */
/* Waits for a request since <since_us>. */
void down_wait(struct http *h, struct http_down *d, uint64_t since_us);
void down_release(struct http *h, struct http_down *d); /* our part of it; ends it */
/* Looks <d>'s listener up in the current configuration; false: it has none (any more). */
bool down_find_bind(struct http *h, struct http_down *d);
/* Can the rest of a request body be read and thrown away at a bearable price? */
bool down_may_discard(const struct http_down *d);

/* http_park.c */
bool down_park(struct http *h, struct http_down *d); /* true: it has ended here */
void down_unpark(struct http *h, struct http_down *d);
/* Brings back a number of those that have to be closed; true: there are no more. */
bool http_sweep_parked(struct http *h);

/* http_exchange.c. Every exchange ends by exchange_complete() or exchange_fail(). */
void exchange_start(struct http *h, struct http_down *d, uint32_t head_len); /* may end */
/* The response was handed to TCP whole. Ends the exchange. */
void exchange_complete(struct http *h, struct exchange *x);
/* Answers for <why> if the response has not begun, else cuts it off. Ends the exchange. */
void exchange_fail(struct http *h, struct exchange *x, enum outcome why, int h1_error);
/* Moves the timer to the next deadline. */
void exchange_arm(struct http *h, struct exchange *x);
void exchange_on_timer(struct http *h, struct exchange *x); /* may end it */
/* Client leg: bytes of the request body, its end, the end of the connection. May end. */
void exchange_on_down(struct http *h, struct exchange *x);

/* http_route.c: the listener of <x> and the rule for the request in h->head: its index. */
enum outcome route_request(struct http *h, struct exchange *x, uint32_t *ret_rule);
/* Fills rule, backend and endpoint of <x>. */
enum outcome route_choose(struct http *h, struct exchange *x, uint32_t rule_index);
/*
 * Another endpoint of the same backend than <exclude_id> (0: any): address and port. Where the rule
 * may fail over, of another backend, if the same one has nobody left who is not known to be bad.
 */
enum outcome route_endpoint(struct http *h, struct exchange *x, uint64_t exclude_id);
/* False: the endpoints of <x>'s backend all drain by now, or there is none. */
bool route_has_ready(struct http *h, const struct exchange *x);

/* The endpoints of <x>'s backend as they are configured now, or NULL. */
const struct endpoint_set *route_set(struct http *h, const struct exchange *x);

/* Slot of the listener that a request without a readable Host belongs to, or SLOT_NONE. */
uint32_t route_listener(struct http *h, struct http_down *d);

/* http_up.c: the upstream connection. */
/* Sends the request on a pooled connection, or opens one (<fresh>: always). May end <x>. */
void up_attach(struct http *h, struct exchange *x, bool fresh);
void up_on_news(struct http *h, struct http_up *up, uint32_t news); /* may end its exchange */
void up_connect_timed_out(struct http *h, struct exchange *x);	    /* may end <x> */
/* The connection ended before the response head: repeats the request or ends <x>. */
void up_lost(struct http *h, struct exchange *x);
/* Passive health: the endpoint of <x> failed. */
void up_note_failure(struct http *h, const struct exchange *x, enum upstream_failure why);
/* The endpoint of <x> answered with a 5xx status. */
void up_note_error(struct http *h, const struct exchange *x);
/* Parts <x> from its upstream connection, which goes into the pool when all of it is done. */
void up_detach(struct http *h, struct exchange *x);
/* Closes a connection that has no exchange; pooled ones leave the pool. */
void up_discard(struct http *h, struct http_up *up);

/* http_request.c: towards the endpoint. */
/* Builds x->head from h->head. */
enum outcome request_emit(struct http *h, struct exchange *x);
/* Consumes the request's head of <len> bytes, or keeps it for a retry. */
void request_head_done(struct http *h, struct exchange *x, uint32_t len);
/* The request will not be sent (again). */
void request_forget(struct http *h, struct exchange *x);
/* Writes the head, then what there is of the body. May end <x>. */
void request_send(struct http *h, struct exchange *x);
void request_pump(struct http *h, struct exchange *x); /* may end <x> */

/* http_response.c: towards the client. */
void response_pump(struct http *h, struct exchange *x); /* may end <x> */

/* http_reply.c: an answer of our own, whole. False: no buffer, nothing was sent. */
bool reply_send(struct http *h, struct http_down *d, unsigned status, enum h1_method method,
	bool keep);
/* Refuses what has not become an exchange: answers, logs and closes. Ends the connection. */
void reply_refuse(struct http *h, struct http_down *d, enum outcome why, int h1_error);

/* http_log.c: counters of the objects and the access-log record. */
void log_exchange(struct http *h, struct exchange *x);
void log_refused(struct http *h, struct http_down *d, enum outcome why, int h1_error,
	unsigned status);

/* http_probe.c: active health checks. */
struct probes *probes_new(uint32_t worker, uint64_t now_us); /* NULL: out of memory */
void probes_join(struct http *h, const struct health_board *board);
void probes_free(struct http *h);
/* Before anything of this turn: which list holds. */
void probes_turn(struct http *h);
/* After the news of this turn: what is due. */
void probes_run(struct http *h);
uint64_t probes_next_us(const struct http *h);
uint32_t probes_in_flight(const struct http *h);
void probe_on_news(struct http *h, struct h1_conn *c, uint32_t news); /* may end it */

/* http_housekeeping.c: pools, sweeps, pressure; re-arms its timer. */
void http_housekeeping(struct http *h);
