// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_packet.c: any frames from the wire, through Ethernet, ARP, ND, IP, ICMP and TCP.
 *
 * An input is a list of frames, each behind its length in eleven bits; the five above say how large
 * the buffers are that it comes in, 0: one. Every frame comes in twice: as it is, and with its
 * checksums repaired, or nothing would ever get past them. TCP listens on
 * port 80 of both VIPs; what it is told, it reads and echoes. Whatever comes, every packet buffer
 * is given back in the end. The pool is poisoned: one byte read too far is a report.
 */
#include "dataplane/tcp/tcp.h"
#include "tests/fuzz/fuzz.h"
#include "tests/unit/net/net_bench.h"

#define FRAME_MAX 2000

struct stack {
	struct bench b;
	struct tcp *tcp;
	struct rng rng;
	struct {
		struct tcp_listeners l;
		struct tcp_listener e[2];
	} listen;
};

static void stack_start(struct stack *s)
{
	struct tcp_config cfg;
	struct net_note router = {bench_ip("192.0.2.1"), {{2, 0, 0, 0, 0, 1}}, 0,
		NET_NOTE_ASKED | NET_NOTE_OVERRIDE};

	bench_start(&s->b);
	net_note_apply(s->b.net, &router);
	router.addr = bench_ip("fe80::1");
	net_note_apply(s->b.net, &router);
	tcp_config_default(&cfg);
	cfg.conns_max = 64;
	cfg.timewait_max = 64;
	cfg.syn_backlog = 16;
	rng_seed(&s->rng, 1);
	s->tcp = tcp_new(&cfg, s->b.net, s->b.pool, &s->rng, s->b.now_us);
	s->listen.l.count = 2;
	s->listen.l.e[0] = (struct tcp_listener){bench_ip("192.0.2.100"), 80, 0};
	s->listen.l.e[1] = (struct tcp_listener){bench_ip("2001:db8::100"), 80, 1};
	tcp_set_listeners(s->tcp, &s->listen.l);
}

static void stack_stop(struct stack *s)
{
	tcp_free(s->tcp);
	port_tx_flush(&s->b.queue);
	bug_on(bench_stop(&s->b) != 0);
}

/* Echoes what was said, closes when the other side has. */
static void connections_serve(struct stack *s)
{
	struct tcp_conn *c;
	uint32_t events;

	while ((c = tcp_ready_pop(s->tcp, &events)) != NULL) {
		struct mbufq q = {0};

		tcp_read(s->tcp, c, &q, UINT32_MAX);
		tcp_write(s->tcp, c, &q);
		tcp_credit(s->tcp, c, tcp_released_take(c));
		if (events & (TCP_EV_EOF | TCP_EV_CLOSED))
			tcp_close(s->tcp, c, s->b.now_us);
	}
}

static void frame_run(struct stack *s, const uint8_t *frame, size_t len)
{
	const struct net_icmp_error *errors;
	unsigned count;

	bench_in(&s->b, frame, len);
	errors = net_icmp_errors(s->b.net, &count);
	for (unsigned i = 0; i < count; i++) {
		const struct net_icmp_error *e = &errors[i];
		struct tcp_icmp_error t = {{e->local, e->remote, e->local_port, e->remote_port},
			e->seq, e->mtu, e->too_big, e->hard};

		tcp_icmp_input(s->tcp, &t, s->b.now_us);
	}
	tcp_input(s->tcp, net_tcp_in(s->b.net), s->b.now_us);
	connections_serve(s);
	tcp_output(s->tcp, s->b.now_us);
	bench_wait(&s->b, 10000);
	tcp_timers_run(s->tcp, s->b.now_us, 64);
	tcp_output(s->tcp, s->b.now_us);
	port_tx_flush(&s->b.queue);
	for (struct rte_mbuf *m; (m = bench_out(&s->b)) != NULL;)
		rte_pktmbuf_free(m);
}

static void sum_put(uint8_t *at, uint64_t sum)
{
	uint16_t v = csum_fold(sum);

	memcpy(at, &v, 2);
}

static void l4_repair(uint8_t *l4, size_t len, uint8_t proto, uint64_t pseudo)
{
	size_t at = proto == PROTO_TCP ? 16 : 2;

	if (len < at + 2 || (proto != PROTO_TCP && proto != PROTO_ICMP && proto != PROTO_ICMP6))
		return;
	memset(l4 + at, 0, 2);
	sum_put(l4 + at, csum_add(proto == PROTO_ICMP ? 0 : pseudo, l4, (uint32_t)len));
}

static void repair4(uint8_t *h, size_t room)
{
	size_t ihl = (h[0] & 15) * 4u, total = be16_get(h + 2);
	struct ip_addr src = ip_from_v4(h + 12), dst = ip_from_v4(h + 16);

	if (ihl < IP4_HDR || total > room || total < ihl)
		return;
	memset(h + 10, 0, 2);
	sum_put(h + 10, csum_add(0, h, (uint32_t)ihl));
	l4_repair(h + ihl, total - ihl, h[9],
		csum_pseudo(&src, &dst, h[9], (uint32_t)(total - ihl)));
}

static void repair6(uint8_t *h, size_t room)
{
	size_t len = be16_get(h + 4);
	struct ip_addr src = ip_from_v6(h + 8), dst = ip_from_v6(h + 24);

	if (IP6_HDR + len > room)
		return;
	l4_repair(h + IP6_HDR, len, h[6], csum_pseudo(&src, &dst, h[6], (uint32_t)len));
}

static void repair(uint8_t *frame, size_t len)
{
	if (len >= RTE_ETHER_HDR_LEN + IP4_HDR && be16_get(frame + 12) == ETH_TYPE_IP4)
		repair4(frame + RTE_ETHER_HDR_LEN, len - RTE_ETHER_HDR_LEN);
	if (len >= RTE_ETHER_HDR_LEN + IP6_HDR && be16_get(frame + 12) == ETH_TYPE_IP6)
		repair6(frame + RTE_ETHER_HDR_LEN, len - RTE_ETHER_HDR_LEN);
}

void fuzz_one(const uint8_t *data, size_t len)
{
	static bool started;
	struct stack s;

	if (!started)
		bench_eal();
	started = true;
	stack_start(&s);
	while (len > 2) {
		uint8_t frame[FRAME_MAX];
		size_t want = be16_get(data) & 0x7ffu, cut = be16_get(data) >> 11;
		size_t take = RTE_MIN(RTE_MIN(want, len - 2), (size_t)FRAME_MAX);

		s.b.cut = (uint16_t)(cut > 0 ? 40 + 8 * cut : 0);
		memcpy(frame, data + 2, take);
		frame_run(&s, frame, take);
		repair(frame, take);
		frame_run(&s, frame, take);
		data += 2 + take;
		len -= 2 + take;
	}
	stack_stop(&s);
}
