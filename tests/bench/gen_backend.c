// SPDX-License-Identifier: Apache-2.0
/*
 * gen_backend.c: who answers: any number of servers that know one document by many names.
 *
 * A request is complete with its empty line; requests with bodies are none of ours. What no client
 * sent is answered 404 and counted, so that a gateway that rewrites or mixes up requests shows.
 */
#include "tests/bench/gen_tcp.h"

static void answer(struct gen *g, struct conn *c, const uint8_t *p, uint32_t len)
{
	struct answer *a = &c->answer;
	struct ask ask;

	if (!ask_read(&g->http, p, len, &ask)) {
		gen_count(g, GEN_BAD_REQUEST);
		*a = (struct answer){.not_found = true};
	} else {
		/* a gateway keeps Connection to itself; without one the client's own words arrive */
		bool asked = g->cfg.direct && len == g->http.request[1].len;

		*a = (struct answer){
			.id = ask.id,
			.class = ask.class,
			.close = asked || g->cfg.upstream_close,
		};
	}
	/* the FIN is queued behind the answer first, so that both leave in one segment */
	if (!tcp_message(g, c, answer_len(&g->http, a), a->close)) {
		gen_count(g, GEN_NOT_ACKED);
		tcp_abort(g, c);
	}
}

/* A request in pieces, or with more behind it. */
static void collect(struct gen *g, struct conn *c, const uint8_t *p, uint32_t len)
{
	struct head_buffer *b = c->head;
	uint32_t end;

	if (b == NULL)
		b = c->head = http_buffer_take(&g->http);
	if (b == NULL || len > HTTP_HEAD_MAX - b->len) {
		gen_count(g, b == NULL ? GEN_NO_HEAD_BUFFER : GEN_BAD_REQUEST);
		tcp_abort(g, c);
		return;
	}
	memcpy(b->text + b->len, p, len);
	b->len += len;
	end = http_head_end(b->text, b->len);
	if (end == 0)
		return;
	if (end != b->len) { /* pipelining towards a backend: no gateway does that */
		gen_count(g, GEN_BAD_REQUEST);
		tcp_abort(g, c);
		return;
	}
	answer(g, c, b->text, end);
	if (c->state != CONN_FREE)
		http_buffer_put(&g->http, &c->head);
}

void backend_data(struct gen *g, struct conn *c, const uint8_t *p, uint32_t len)
{
	if (c->flags & CONN_FIN_QUEUED)
		return;
	if (c->head == NULL && http_head_end(p, len) == len)
		answer(g, c, p, len);
	else
		collect(g, c, p, len);
}

void backend_fin(struct gen *g, struct conn *c)
{
	tcp_close(g, c);
}
