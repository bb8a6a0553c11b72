// SPDX-License-Identifier: Apache-2.0
/*
 * http_reply.c: answers of the gateway itself.
 *
 * Short, plain, and the same for everybody: the status and the request's id; the reason stands in
 * the access log. The Date field's text (RFC 9110 6.6.1) is made once a second, when the loop says
 * what time it is.
 */
#include <stdio.h>
#include <time.h>

#include "dataplane/http/http_flow.h"

/* RFC 9110 5.6.7, IMF-fixdate: the names are English in any locale. */
void http_set_date(struct http *h, uint64_t wall_s)
{
	static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec"};
	time_t t = (time_t)wall_s;
	struct tm tm;
	int n;

	if (gmtime_r(&t, &tm) == NULL || tm.tm_year + 1900 > 9999)
		return;
	n = snprintf(h->date, sizeof(h->date), "%s, %02d %s %04d %02d:%02d:%02d GMT",
		days[tm.tm_wday], tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour,
		tm.tm_min, tm.tm_sec);
	h->date_len = (uint8_t)n;
}

bool reply_send(struct http *h, struct http_down *d, unsigned status, enum h1_method method,
	bool keep)
{
	struct h1_error_out out = {.status = status, .close = !keep, .head = method == H1_HEAD};
	const struct exchange *x = d->c.x;
	uint32_t own = 0;
	struct mbufq q;
	size_t n;

	out.date = str_make(h->date, h->date_len);
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
	enum h1_method method = H1_METHOD_OTHER;

	/* just parsed, as far as the error; RFC 9110 9.3.2: no content in an answer to HEAD */
	if (h1_error != 0)
		method = h->head.method_id;
	if (!d->c.dead && !reply_send(h, d, status, method, false))
		status = 0;
	log_refused(h, d, why, h1_error, status);
	d->c.in.done = false; /* more may be coming: linger */
	down_close(h, d);
}
