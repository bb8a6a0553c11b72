// SPDX-License-Identifier: Apache-2.0
/*
 * world_server.c: servers that answer by themselves, once a request has arrived whole.
 */
#include <stdio.h>
#include <string.h>

#include "tests/scenario/gateway/world.h"

/* Reads a request head; false: it is not there yet. A bad one is the gateway's fault: see <seen>. */
static bool read_head(struct world *w, struct world_conn *c)
{
	static struct h1_head head;
	ssize_t n = h1_parse_request(c->rx, c->rx_len, &head);

	if (n == H1_MORE)
		return false;
	if (n < 0) {
		snprintf(c->request, sizeof(c->request), "!%s", h1_error_name((int)-n));
		n = (ssize_t)c->rx_len;
		head.body = H1_BODY_NONE;
	} else {
		snprintf(c->request, sizeof(c->request), "%.*s %.*s", STR_FMT(head.method),
			STR_FMT(str_first(head.target, 64)));
	}
	c->in_body = true;
	c->body_bytes = 0;
	c->body_left = head.body == H1_BODY_LENGTH ? head.content_length : 0;
	c->chunk.state = UINT8_MAX;
	if (head.body == H1_BODY_CHUNKED)
		h1_chunk_init(&c->chunk);
	world_consume(c, (size_t)n);
	return true;
}

static bool read_chunks(struct world_conn *c)
{
	struct h1_piece p = {0};

	while (c->rx_len > 0 && !p.last) {
		ssize_t n = h1_chunk_parse(&c->chunk, c->rx, c->rx_len, &p);

		if (n < 0)
			return false; /* never complete: its request is not seen */
		c->body_bytes += p.len;
		world_consume(c, (size_t)n);
	}
	return p.last;
}

static bool read_body(struct world_conn *c)
{
	size_t n;

	if (c->chunk.state != UINT8_MAX)
		return read_chunks(c);
	n = c->rx_len < c->body_left ? c->rx_len : (size_t)c->body_left;
	world_consume(c, n);
	c->body_left -= n;
	c->body_bytes += n;
	return c->body_left == 0;
}

static void respond(struct world *w, struct world_conn *c)
{
	size_t used = strlen(w->seen);
	char head[96];

	snprintf(w->seen + used, sizeof(w->seen) - used, "%s +%lu\n", c->request, c->body_bytes);
	if (c->answers == 0) {
		world_queue(c, "HTTP/1.1 204 No Content\r\n\r\n", 27);
		return;
	}
	c->answers--;
	world_queue(c, head,
		(size_t)snprintf(head, sizeof(head),
			"HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", c->answer_bytes));
	for (uint32_t i = 0; i < c->answer_bytes; i++)
		world_queue(c, "x", 1);
}

void world_server_run(struct world *w, struct world_conn *c)
{
	while (c->answers > 0 || (w->servers_answer && !c->accepted)) {
		if (!c->in_body && !read_head(w, c))
			return;
		if (!read_body(c))
			return;
		c->in_body = false;
		respond(w, c);
	}
}
