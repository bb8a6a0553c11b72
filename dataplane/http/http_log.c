// SPDX-License-Identifier: Apache-2.0
/*
 * http_log.c: what remains of a request: counts per object, one record in the access log's ring.
 */
#include "dataplane/http/http_flow.h"
#include "dataplane/port/trace.h"

static uint32_t cap_u32(uint64_t v)
{
	return v < UINT32_MAX ? (uint32_t)v : UINT32_MAX;
}

/* Errors always, of the rest one in log_sample. */
static bool is_logged(struct http *h, const struct access_record *rec)
{
	if (h->log == NULL)
		return false;
	if (rec->outcome != OUTCOME_OK || rec->status >= 500)
		return true;
	if (h->cfg.log_sample > 0 && h->log_skip == 0) {
		h->log_skip = h->cfg.log_sample - 1;
		return true;
	}
	if (h->log_skip > 0)
		h->log_skip--;
	http_count(h, HTTP_LOG_SAMPLED_OUT);
	return false;
}

static void push(struct http *h, const struct access_record *rec)
{
	struct access_record *slot;

	counter_add(&h->counters[HTTP_COUNTER_COUNT + rec->outcome], 1);
	if (!is_logged(h, rec))
		return;
	slot = access_ring_reserve(h->log);
	if (slot == NULL) {
		http_count(h, HTTP_LOG_DROPPED);
		return;
	}
	*slot = *rec;
	access_ring_commit(h->log);
}

/* Counters of the status' class by hundreds, and the others that every object has. */
#define NONE UINT32_MAX
struct columns {
	unsigned requests, aborted, time_us, by_class[6];
};
static const struct columns columns[COUNTER_SCOPE_COUNT] = {
	[COUNTER_LISTENER] = {COUNTER_LISTENER_REQUESTS, COUNTER_LISTENER_ABORTED,
		COUNTER_LISTENER_TIME_US,
		{NONE, NONE, COUNTER_LISTENER_STATUS_2XX, COUNTER_LISTENER_STATUS_3XX,
			COUNTER_LISTENER_STATUS_4XX, COUNTER_LISTENER_STATUS_5XX}},
	[COUNTER_RULE] = {COUNTER_RULE_REQUESTS, COUNTER_RULE_ABORTED, COUNTER_RULE_TIME_US,
		{NONE, NONE, COUNTER_RULE_STATUS_2XX, COUNTER_RULE_STATUS_3XX,
			COUNTER_RULE_STATUS_4XX, COUNTER_RULE_STATUS_5XX}},
	[COUNTER_BACKEND] = {COUNTER_BACKEND_REQUESTS, COUNTER_BACKEND_ABORTED,
		COUNTER_BACKEND_TIME_US,
		{NONE, NONE, COUNTER_BACKEND_STATUS_2XX, COUNTER_BACKEND_STATUS_3XX,
			COUNTER_BACKEND_STATUS_4XX, COUNTER_BACKEND_STATUS_5XX}},
	[COUNTER_ENDPOINT] = {COUNTER_ENDPOINT_REQUESTS, NONE, NONE,
		{NONE, NONE, NONE, NONE, NONE, COUNTER_ENDPOINT_STATUS_5XX}},
};

static inline void add(uint64_t *row, unsigned column, uint64_t n)
{
	if (column != NONE && n > 0)
		counter_add(&row[column], n);
}

static inline __attribute__((always_inline)) void count_object(struct http *h,
	const struct access_record *r, enum counter_scope scope, uint32_t slot)
{
	const struct columns *c = &columns[scope];
	uint64_t *row = upstream_cells(h->up, scope, slot);

	if (row == NULL)
		return;
	add(row, c->requests, 1);
	add(row, c->time_us, r->total_us);
	if (r->status < 600)
		add(row, c->by_class[r->status / 100u], 1);
	if (r->flags & ACCESS_TRUNCATED)
		add(row, c->aborted, 1);
}

/* Reasons that have a counter of their own at the object that is to blame. */
static void count_reason(struct http *h, const struct access_record *r)
{
	struct upstream *u = h->up;

	switch (r->outcome) {
	case OUTCOME_NO_ROUTE:
		upstream_count(u, COUNTER_LISTENER, r->listener, COUNTER_LISTENER_NO_ROUTE, 1);
		return;
	case OUTCOME_NO_BACKENDS:
	case OUTCOME_WEIGHTS_ZERO:
		upstream_count(u, COUNTER_RULE, r->rule, COUNTER_RULE_NO_PICK, 1);
		return;
	case OUTCOME_BACKEND_INVALID:
		upstream_count(u, COUNTER_BACKEND, r->backend, COUNTER_BACKEND_INVALID, 1);
		return;
	case OUTCOME_NO_ENDPOINT:
		upstream_count(u, COUNTER_BACKEND, r->backend, COUNTER_BACKEND_NO_ENDPOINT, 1);
		return;
	}
}

static void count_bytes(struct http *h, const struct access_record *r)
{
	uint64_t *l = upstream_cells(h->up, COUNTER_LISTENER, r->listener);
	uint64_t *e = upstream_cells(h->up, COUNTER_ENDPOINT, r->endpoint);

	if (l != NULL) {
		add(l, COUNTER_LISTENER_BYTES_IN, r->bytes_in);
		add(l, COUNTER_LISTENER_BYTES_OUT, r->bytes_out);
	}
	if (e != NULL) {
		add(e, COUNTER_ENDPOINT_BYTES_OUT, r->bytes_in);
		add(e, COUNTER_ENDPOINT_BYTES_IN, r->bytes_out);
		add(e, COUNTER_ENDPOINT_FIRST_BYTE_US, r->ttfb_us);
	}
}

static void count_all(struct http *h, const struct access_record *r)
{
	count_object(h, r, COUNTER_LISTENER, r->listener);
	count_object(h, r, COUNTER_RULE, r->rule);
	count_object(h, r, COUNTER_BACKEND, r->backend);
	if (r->ttfb_us > 0) /* an endpoint's own responses only */
		count_object(h, r, COUNTER_ENDPOINT, r->endpoint);
	count_bytes(h, r);
	if (r->outcome != OUTCOME_OK)
		count_reason(h, r);
}

void log_exchange(struct http *h, struct exchange *x)
{
	struct access_record *r = &x->rec;

	r->total_us = cap_u32(h->now_us - r->start_us);
	trace_flow(&r->client, r->client_port, &r->client, r->client_port, "http_done",
		"%s status=%u us=%u", outcome_name(r->outcome), r->status, r->total_us);
	count_all(h, r);
	push(h, r);
	upstream_unuse(h->up, COUNTER_LISTENER, r->listener);
	upstream_unuse(h->up, COUNTER_RULE, r->rule);
	upstream_unuse(h->up, COUNTER_BACKEND, r->backend);
}

void log_refused(struct http *h, struct http_down *d, enum outcome why, int h1_error,
	unsigned status)
{
	const struct tcp_flow *f = tcp_conn_flow(d->c.tcp);
	struct access_record r = {
		.start_us = d->since_us,
		.total_us = cap_u32(h->now_us - d->since_us),
		.listener = SLOT_NONE,
		.rule = SLOT_NONE,
		.backend = SLOT_NONE,
		.endpoint = SLOT_NONE,
		.client = f->remote,
		.client_port = f->remote_port,
		.status = (uint16_t)status,
		.outcome = (uint8_t)why,
		.h1_error = (uint8_t)h1_error,
		.flags = ACCESS_CLOSED,
	};

	if (d->state == DOWN_IDLE)
		r.start_us = h->now_us, r.total_us = 0;
	r.listener = route_listener(h, d);
	count_all(h, &r);
	push(h, &r);
}
