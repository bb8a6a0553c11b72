// SPDX-License-Identifier: Apache-2.0
/*
 * http_reply.c: answers of the gateway itself.
 *
 * Short, plain, and the same for everybody: the status and the request's id; the reason stands in
 * the access log. No Date field: a worker has no wall clock (RFC 9110 6.6.1).
 */
#include "dataplane/http/http_flow.h"

bool reply_send(struct http *h, struct http_down *d, unsigned status, enum h1_method method,
	bool keep)
{
	struct h1_error_out out = {.status = status, .close = !keep, .head = method == H1_HEAD};
	const struct exchange *x = d->c.x;
	uint32_t own = 0;
	struct mbufq q;
	size_t n;

	if (x != NULL)
		out.request_id = str_make(x->rec.id, x->rec.id_len);
	n = h1_emit_error(&out, h->emit, sizeof(h->emit));
	bug_on(n == 0);
	mbufq_init(&q);
	if (!h1_own_append(h, &q, h->emit, (uint32_t)n, &own)) {
		mbufq_free(&q);
		return false;
	}
	h1_conn_write(h, &d->c, &q, own);
	return true;
}

void reply_refuse(struct http *h, struct http_down *d, enum outcome why, int h1_error)
{
	unsigned status = h1_error != 0 ? h1_error_status(h1_error) : outcome_status(why);

	if (!d->c.dead && !reply_send(h, d, status, H1_METHOD_OTHER, false))
		status = 0;
	log_refused(h, d, why, h1_error, status);
	d->c.in.done = false; /* more may be coming: linger */
	down_close(h, d);
}
