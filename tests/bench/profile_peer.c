// SPDX-License-Identifier: Apache-2.0
/*
 * profile_peer.c: the clients and the servers at the other end of the wire.
 *
 * Closed loop: each client sends its next request when the last response is complete. Nothing here
 * is counted, so nothing here is fast; every response's status and length is checked.
 */
#include <stdio.h>
#include <stdlib.h>

#include "dataplane/net/net.h"
#include "tests/bench/profile.h"

#define STATUS_OK "HTTP/1.1 200 "

static void response_make(struct profile_peer *p)
{
	char head[256];
	int n = snprintf(head, sizeof(head),
		"HTTP/1.1 200 OK\r\nServer: backend\r\nDate: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
		"Content-Type: text/plain\r\nContent-Length: %u\r\n\r\n",
		p->pc.body);

	p->response_len = (uint32_t)n + p->pc.body;
	p->response = malloc(p->response_len);
	bug_on(p->response == NULL);
	memcpy(p->response, head, (size_t)n);
	memset(p->response + n, 'x', p->pc.body);
}

/* The servers' addresses, the router's and the clients' are all this one station's. */
static void addrs_set(struct profile_peer *p)
{
	struct ip_addr vips[PROFILE_SERVERS + 1], client = profile_ip("198.51.100.7");

	for (unsigned i = 0; i < PROFILE_SERVERS; i++)
		vips[i] = profile_server(i);
	vips[PROFILE_SERVERS] = profile_ip("192.0.2.1");
	bug_on(!net_set_addrs(p->net, vips, PROFILE_SERVERS + 1, &client, 1));
	tcp_set_sources(p->tcp, &client, 1);
	tcp_set_ports(p->tcp, &(struct tcp_port_slice){.first = 1024, .count = 64512});
}

static void listen_all(struct profile_peer *p)
{
	struct tcp_listeners *l = calloc(1, sizeof(*l) + PROFILE_SERVERS * sizeof(l->e[0]));

	bug_on(l == NULL);
	for (unsigned i = 0; i < PROFILE_SERVERS; i++)
		l->e[l->count++] =
			(struct tcp_listener){.addr = profile_server(i), .port = 8080, .bind = i};
	p->listeners = l;
	tcp_set_listeners(p->tcp, l);
}

void profile_peer_init(struct profile_peer *p, const struct profile_case *pc,
	const struct port *port, struct rte_mempool *pool, uint64_t now_us)
{
	struct net_config net = {.queues = &p->queue, .queue_count = 1, .pool = pool, .seed = 7};
	struct fib_iface ifaces[PORTS_MAX] = {{.up = true, .mtu = 1500, .addr_count = 1}};
	struct fib_route on_link = {.prefix = {profile_ip("0.0.0.0"), 96}, .path_count = 1};
	struct tcp_config tcp;

	*p = (struct profile_peer){.pc = *pc, .pool = pool};
	response_make(p);
	rng_seed(&p->rng, 7);
	port_queue_init(&p->queue, port, 0, pool);
	p->net = net_new(&net, now_us);
	tcp_config_default(&tcp);
	tcp.conns_max = 4 * PROFILE_CONNS_MAX;
	tcp.conns_per_source_max = 0;
	p->tcp = tcp_new(&tcp, p->net, pool, &p->rng, now_us);
	bug_on(p->tcp == NULL);
	ifaces[0].addrs[0] = (struct ip_net){profile_ip("192.0.2.1"), 120};
	p->fib = fib_build(ifaces, &on_link, 1);
	net_set_fib(p->net, p->fib);
	addrs_set(p);
	listen_all(p);
}

void profile_peer_fini(struct profile_peer *p)
{
	tcp_free(p->tcp);
	port_tx_flush(&p->queue);
	net_free(p->net);
	fib_free(p->fib);
	free(p->listeners);
	free(p->response);
}

static void send_bytes(struct profile_peer *p, struct profile_conn *c, const void *data,
	uint32_t len)
{
	struct mbufq q;

	mbufq_init(&q);
	bug_on(!mbufq_append(&q, data, len, p->pool));
	tcp_write(p->tcp, c->tc, &q);
}

static void request_send(struct profile_peer *p, struct profile_conn *c)
{
	uint32_t route = p->next_route++ % p->pc.routes;
	char text[256];
	int n = snprintf(text, sizeof(text),
		"GET /api/%05u/items?page=2 HTTP/1.1\r\nHost: h%05u.example.com\r\n"
		"User-Agent: profile/1.0\r\nAccept: */*\r\n%s\r\n",
		route, route, p->pc.close ? "Connection: close\r\n" : "");

	c->got = c->want = c->head_len = 0;
	send_bytes(p, c, text, (uint32_t)n);
}

void profile_peer_open(struct profile_peer *p, uint32_t i, uint64_t now_us)
{
	struct profile_conn *c = &p->conn[i];
	struct ip_addr vip = profile_vip();

	*c = (struct profile_conn){0};
	if (tcp_connect(p->tcp, &vip, PROFILE_VIP_PORT, c, now_us, &c->tc) != TCP_REASON_NONE)
		p->wrong++;
}

/* A connection that a server has accepted. */
static struct profile_conn *accepted(struct profile_peer *p, struct tcp_conn *tc)
{
	for (uint32_t i = PROFILE_CONNS_MAX; i < 2 * PROFILE_CONNS_MAX; i++) {
		struct profile_conn *c = &p->conn[i];

		if (c->tc != NULL)
			continue;
		*c = (struct profile_conn){.tc = tc, .server = true};
		tcp_set_user(tc, c);
		return c;
	}
	bug_on(true);
	return NULL;
}

/* Requests have no body and come one at a time: the end of the head is the end. */
static void serve(struct profile_peer *p, struct profile_conn *c, const char *data, uint32_t len)
{
	if (len >= 4 && memcmp(data + len - 4, "\r\n\r\n", 4) == 0)
		send_bytes(p, c, p->response, p->response_len);
	else
		p->wrong++;
}

static void response_take(struct profile_peer *p, struct profile_conn *c, const char *data,
	uint32_t len)
{
	uint32_t keep = RTE_MIN(len, (uint32_t)sizeof(c->head) - c->head_len);
	const char *end;

	memcpy(c->head + c->head_len, data, keep);
	c->head_len += keep;
	c->got += len;
	end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
	if (c->want == 0 && end != NULL)
		c->want = (uint32_t)(end - c->head) + 4 + p->pc.body;
	if (c->want == 0 || c->got < c->want)
		return;
	if (c->got == c->want && memcmp(c->head, STATUS_OK, strlen(STATUS_OK)) == 0)
		p->answered++;
	else
		p->wrong++;
	if (!p->pc.close)
		request_send(p, c);
}

static void receive(struct profile_peer *p, struct profile_conn *c)
{
	static char buf[1 << 16];
	struct mbufq q;
	uint32_t n;

	mbufq_init(&q);
	n = tcp_read(p->tcp, c->tc, &q, sizeof(buf));
	mbufq_copy(&q, 0, n, buf);
	tcp_credit(p->tcp, c->tc, mbufq_free(&q));
	if (n > 0 && c->server)
		serve(p, c, buf, n);
	else if (n > 0)
		response_take(p, c, buf, n);
}

static void on_event(struct profile_peer *p, struct tcp_conn *tc, uint32_t events, uint64_t now_us)
{
	struct profile_conn *c = tcp_user(tc);

	if (c == NULL)
		c = accepted(p, tc);
	tcp_released_take(tc);
	receive(p, c);
	if ((events & TCP_EV_CONNECTED) && !c->server) {
		p->opened++;
		if (!p->pc.open_only)
			request_send(p, c);
	}
	if (!(events & (TCP_EV_EOF | TCP_EV_CLOSED)))
		return;
	tcp_close(p->tcp, c->tc, now_us);
	c->tc = NULL;
	if (!c->server && p->pc.close)
		profile_peer_open(p, (uint32_t)(c - p->conn), now_us);
	else
		p->wrong++;
}

void profile_peer_turn(struct profile_peer *p, struct rte_mbuf **pkts, unsigned count,
	uint64_t now_us)
{
	struct tcp_conn *tc;
	uint32_t events;

	net_turn(p->net, now_us);
	eth_input(p->net, 0, pkts, count);
	arp_input(p->net);
	ip4_input(p->net);
	ip6_input(p->net);
	tcp_input(p->tcp, net_tcp_in(p->net), now_us);
	net_timers_run(p->net, 64);
	tcp_timers_run(p->tcp, now_us, 64);
	while ((tc = tcp_ready_pop(p->tcp, &events)) != NULL)
		on_event(p, tc, events, now_us);
	tcp_output(p->tcp, now_us);
	port_tx_flush(&p->queue);
}
