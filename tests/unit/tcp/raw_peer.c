// SPDX-License-Identifier: Apache-2.0
/*
 * raw_peer.c: the hand-written peer.
 */
#include "tests/unit/tcp/raw_peer.h"

#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/tcp/tcp_csum.h"

void ip_output(struct net *n, struct rte_mbuf *m, const struct ip_addr *src,
	const struct ip_addr *dst, uint8_t proto, uint8_t ecn, struct net_dst *cache)
{
	struct raw_segment *s = &n->out[(n->head + n->count) % RAW_OUT_MAX];
	bool left = (m->ol_flags & RTE_MBUF_F_TX_TCP_CKSUM) != 0;
	uint8_t buf[65536];
	uint32_t len = m->pkt_len, hlen;
	const uint8_t *h;

	bug_on(n->count == RAW_OUT_MAX || len > sizeof(buf));
	bug_on(!left && csum_fold(csum_pseudo(src, dst, len) + csum_chain(m, len)) != 0xffff);
	h = rte_pktmbuf_read(m, 0, len, buf);
	if (h != buf)
		memcpy(buf, h, len);
	memset(s, 0, sizeof(*s));
	hlen = (uint32_t)(buf[12] >> 4) * 4;
	s->src_port = be16_get(buf);
	s->dst_port = be16_get(buf + 2);
	s->seq = be32_get(buf + 4);
	s->ack = be32_get(buf + 8);
	s->flags = buf[13];
	s->wnd = be16_get(buf + 14);
	s->len = len - hlen;
	s->dst = *dst;
	s->mbufs = m->nb_segs;
	memcpy(s->data, buf + hlen, RTE_MIN(s->len, (uint32_t)sizeof(s->data)));
	bug_on(!tcp_options_parse(buf + 20, hlen - 20, &s->opt));
	n->count++;
	rte_pktmbuf_free(m);
}

uint16_t ip_route_mtu(struct net *n, const struct ip_addr *dst, struct net_dst *cache)
{
	return n->mtu;
}

void ip_confirm(struct net *n, const struct net_dst *cache)
{
}

void raw_init(struct raw *r, const struct tcp_config *cfg, struct rte_mempool *pool)
{
	struct tcp_port_slice slice = {.first = 20000, .count = 1000};

	memset(r, 0, sizeof(*r));
	r->net.mtu = 1500;
	r->cfg = *cfg;
	r->pool = pool;
	r->now_us = 5000000;
	rng_seed(&r->rng, 42);
	ip_parse(STR("192.0.2.1"), &r->ours);
	ip_parse(STR("198.51.100.7"), &r->peer);
	r->peer_port = 40000;
	r->our_port = 80;
	r->tcp = tcp_new(cfg, &r->net, pool, &r->rng, r->now_us);
	bug_on(r->tcp == NULL);
	r->listeners = calloc(1, sizeof(*r->listeners) + sizeof(r->listeners->e[0]));
	r->listeners->count = 1;
	r->listeners->e[0] = (struct tcp_listener){r->ours, 80, 3};
	tcp_set_listeners(r->tcp, r->listeners);
	tcp_set_sources(r->tcp, &r->ours, 1);
	tcp_set_ports(r->tcp, &slice);
}

bool raw_fini(struct raw *r)
{
	struct tcp_usage u;
	bool clean;

	tcp_usage(r->tcp, &u);
	clean = u.conns == 0 && u.half_open == 0 && u.timewait == 0 && u.charged_bytes == 0;
	tcp_free(r->tcp);
	free(r->listeners);
	return clean && rte_mempool_in_use_count(r->pool) == 0;
}

void raw_turn(struct raw *r)
{
	tcp_timers_run(r->tcp, r->now_us, 1000);
	tcp_output(r->tcp, r->now_us);
}

static struct rte_mbuf *make(struct raw *r, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
	const struct tcp_options *opt, const void *data, uint32_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(r->pool);
	uint8_t *h, o[TCP_OPTIONS_MAX];
	uint32_t olen = opt ? (uint32_t)tcp_options_emit(opt, o) : 0;
	uint16_t sum;

	bug_on(m == NULL);
	h = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(20 + olen + len));
	memset(h, 0, 20);
	be16_put(h, r->peer_port);
	be16_put(h + 2, r->our_port);
	be32_put(h + 4, seq);
	be32_put(h + 8, ack);
	h[12] = (uint8_t)((20 + olen) / 4 << 4);
	h[13] = flags;
	be16_put(h + 14, wnd);
	memcpy(h + 20, o, olen);
	if (data != NULL)
		memcpy(h + 20 + olen, data, len);
	else
		memset(h + 20 + olen, 'x', len);
	*pkt_of(m) = (struct pkt){.src = r->peer,
		.dst = r->ours,
		.proto = IPPROTO_TCP,
		.l4_len = (uint16_t)m->pkt_len};
	sum = (uint16_t)~csum_fold(
		csum_pseudo(&r->peer, &r->ours, m->pkt_len) + csum_chain(m, m->pkt_len));
	memcpy(h + 16, &sum, 2);
	if (r->flip > 0)
		h[(r->flip - 1) / 8] ^= (uint8_t)(1u << (r->flip - 1) % 8);
	return m;
}

void raw_send(struct raw *r, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t wnd,
	const struct tcp_options *opt, const void *data, uint32_t len)
{
	struct mbufq q;

	mbufq_init(&q);
	mbufq_push(&q, make(r, flags, seq, ack, wnd, opt, data, len));
	tcp_input(r->tcp, &q, r->now_us);
	raw_turn(r);
}

void raw_send_burst(struct raw *r, uint32_t seq, uint32_t ack, unsigned n, uint32_t len)
{
	struct mbufq q;

	mbufq_init(&q);
	for (; n > 0; n--, seq += len)
		mbufq_push(&q, make(r, TCP_ACK, seq, ack, 65535, NULL, NULL, len));
	tcp_input(r->tcp, &q, r->now_us);
	raw_turn(r);
}

void raw_advance(struct raw *r, uint64_t us)
{
	uint64_t end = r->now_us + us;

	while (r->now_us < end) {
		uint64_t next = RTE_MIN(tcp_next_us(r->tcp), end);

		r->now_us = RTE_MAX(next, r->now_us + 1);
		raw_turn(r);
	}
}

bool raw_take(struct raw *r, struct raw_segment *ret)
{
	struct net *n = &r->net;

	if (n->count == 0)
		return false;
	*ret = n->out[n->head];
	n->head = (n->head + 1) % RAW_OUT_MAX;
	n->count--;
	return true;
}

void raw_drop_output(struct raw *r)
{
	r->net.count = 0;
}

static struct tcp_conn *finish(struct raw *r, const struct tcp_options *syn, uint16_t wnd,
	uint32_t *ret_iss, uint32_t *ret_ts)
{
	struct tcp_options ack = {0};
	struct raw_segment s;
	struct tcp_conn *c;
	uint32_t ev;

	raw_send(r, TCP_SYN, 1000, 0, wnd, syn, NULL, 0);
	bug_on(!raw_take(r, &s) || s.flags != (TCP_SYN | TCP_ACK) || s.ack != 1001);
	*ret_iss = s.seq;
	if (ret_ts != NULL)
		*ret_ts = s.opt.tsval;
	ack.has_ts = s.opt.has_ts;
	ack.tsval = 100;
	ack.tsecr = s.opt.tsval;
	raw_send(r, TCP_ACK, 1001, s.seq + 1, wnd, &ack, NULL, 0);
	c = raw_ready(r, &ev);
	bug_on(c == NULL || !(ev & TCP_EV_CONNECTED));
	return c;
}

struct tcp_conn *raw_accept(struct raw *r, uint16_t wnd, uint32_t *ret_iss)
{
	struct tcp_options syn = {.has_mss = true, .mss = 1460};

	return finish(r, &syn, wnd, ret_iss, NULL);
}

struct tcp_conn *raw_accept_full(struct raw *r, uint32_t *ret_iss, uint32_t *ret_ts)
{
	struct tcp_options syn = {.has_mss = true,
		.mss = 1460,
		.sack_permitted = true,
		.has_ts = true,
		.tsval = 100,
		.has_wscale = true,
		.wscale = 7};

	return finish(r, &syn, 5000, ret_iss, ret_ts);
}

struct tcp_conn *raw_ready(struct raw *r, uint32_t *ret_events)
{
	return tcp_ready_pop(r->tcp, ret_events);
}

void raw_write(struct raw *r, struct tcp_conn *c, uint32_t len)
{
	struct mbufq q;

	mbufq_init(&q);
	while (len > 0) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(r->pool);
		uint32_t n = RTE_MIN(len, 1400u);

		bug_on(m == NULL);
		*pkt_of(m) = (struct pkt){0};
		memset(rte_pktmbuf_append(m, (uint16_t)n), 'd', n);
		mbufq_push(&q, m);
		len -= n;
	}
	tcp_write(r->tcp, c, &q);
	raw_turn(r);
}

uint64_t raw_counter(const struct raw *r, const char *name)
{
	unsigned n;
	const uint64_t *v = tcp_counters(r->tcp, &n);

	for (unsigned i = 0; i < n; i++)
		if (strcmp(tcp_counter_name(i), name) == 0)
			return v[i];
	bug_on(true);
	return 0;
}

struct tcp_config raw_config_small(void)
{
	struct tcp_config cfg;

	tcp_config_default(&cfg);
	cfg.conns_max = 8;
	cfg.timewait_max = 8;
	cfg.syn_backlog = 4;
	cfg.rcv_budget = 64 * 1024;
	return cfg;
}

struct tcp_conn *raw_open(struct raw *r, struct rte_mempool *pool, uint16_t wnd, uint32_t *ret_iss)
{
	struct tcp_config cfg = raw_config_small();

	raw_init(r, &cfg, pool);
	return raw_accept(r, wnd, ret_iss);
}

bool raw_end(struct raw *r, struct tcp_conn *c)
{
	if (c != NULL)
		tcp_abort(r->tcp, c, r->now_us);
	raw_advance(r, 400 * 1000000ull);
	raw_drop_output(r);
	return raw_fini(r);
}
