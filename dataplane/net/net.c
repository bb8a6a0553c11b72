// SPDX-License-Identifier: Apache-2.0
/*
 * net.c: the layer's life, its turn, its timers and its counters.
 */
#include "dataplane/net/net.h"

#include <stdlib.h>

#include "dataplane/net/net_impl.h"

/* What strangers can make us send, per second and worker; RFC 4443 2.4 (f) wants a bound. */
#define ECHO_PER_S 4000
#define UNREACHABLE_PER_S 200
#define ANSWERS_PER_S 4000 /* to ARP requests and neighbour solicitations */

struct net *net_new(const struct net_config *cfg, uint64_t now_us)
{
	struct net *n = calloc(1, sizeof(*n));

	bug_on(n == NULL || cfg->queue_count > PORTS_MAX);
	n->now_us = now_us;
	n->generation = 1;
	n->queues = cfg->queues;
	n->queue_count = cfg->queue_count;
	n->pool = cfg->pool;
	n->announces = cfg->announces;
	n->announce_us = TIMER_NEVER;
	n->ip4_vip = n->ip4_source = IP4_NONE;
	n->addrs = calloc(1, sizeof(*n->addrs));
	n->addrs_spare = calloc(1, sizeof(*n->addrs_spare));
	n->neigh = calloc(1, sizeof(*n->neigh));
	bug_on(n->addrs == NULL || n->addrs_spare == NULL || n->neigh == NULL);
	rng_seed(&n->rng, cfg->seed);
	neigh_init(n->neigh, rng_u64(&n->rng));
	timer_wheel_init(&n->wheel, now_us);
	rate_init(&n->echo_rate, ECHO_PER_S, ECHO_PER_S / 10);
	rate_init(&n->unreach_rate, UNREACHABLE_PER_S, UNREACHABLE_PER_S / 10);
	rate_init(&n->answer_rate, ANSWERS_PER_S, ANSWERS_PER_S / 10);
	return n;
}

void net_free(struct net *n)
{
	if (n == NULL)
		return;
	neigh_fini(n);
	mbufq_free(&n->arp);
	mbufq_free(&n->ip4);
	mbufq_free(&n->ip6);
	mbufq_free(&n->icmp4);
	mbufq_free(&n->icmp6);
	mbufq_free(&n->tcp);
	free(n->neigh);
	free(n->addrs);
	free(n->addrs_spare);
	free(n);
}

void net_set_fib(struct net *n, const struct fib *fib)
{
	bool came_up = false;

	for (unsigned port = 0; port < n->queue_count; port++) {
		bool up = fib != NULL && fib_iface(fib, port)->up;

		came_up |= up && !n->link_up[port];
		n->link_up[port] = up;
	}
	n->fib = fib;
	n->generation++;
	if (n->generation == 0) /* never current */
		n->generation = 1;
	if (came_up)
		addr_announce_all(n);
}

void net_turn(struct net *n, uint64_t now_us)
{
	n->now_us = now_us;
	n->icmp_error_count = 0;
	n->note_count = 0;
}

struct mbufq *net_tcp_in(struct net *n)
{
	return &n->tcp;
}

const struct net_note *net_notes(const struct net *n, unsigned *ret_count)
{
	*ret_count = n->note_count;
	return n->notes;
}

void net_note_apply(struct net *n, const struct net_note *note)
{
	neigh_learn(n, note);
}

void net_timers_run(struct net *n, unsigned budget)
{
	timer_wheel_run(&n->wheel, n->now_us, budget, neigh_timer, n);
	addr_announce_run(n, budget);
}

uint64_t net_next_us(const struct net *n)
{
	return RTE_MIN(timer_wheel_next_us(&n->wheel), n->announce_us);
}

struct rte_mbuf *net_packet_new(struct net *n, unsigned port, uint16_t len, uint8_t **ret_data)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(n->pool);

	if (m == NULL) {
		net_count(n, NET_C_OUT_NO_MBUF);
		return NULL;
	}
	*pkt_of(m) = (struct pkt){.port = (uint8_t)port};
	*ret_data = (uint8_t *)rte_pktmbuf_append(m, len);
	bug_on(*ret_data == NULL);
	return m;
}

static void trace_frame(struct rte_mbuf *m)
{
	const uint8_t *h = pkt_at(m, 0);

	trace_emit("eth_input",
		RTE_ETHER_ADDR_PRT_FMT " > " RTE_ETHER_ADDR_PRT_FMT " port=%u len=%u", h[6], h[7],
		h[8], h[9], h[10], h[11], h[0], h[1], h[2], h[3], h[4], h[5], pkt_of(m)->port,
		m->pkt_len);
}

void net_trace_in(struct rte_mbuf *m, const char *stage)
{
	char src[IP_ADDR_STRLEN], dst[IP_ADDR_STRLEN];
	struct pkt *p = pkt_of(m);
	const uint8_t *tcp;

	if (!trace_is_on() || p->l4_len < 4)
		return;
	tcp = pkt_at(m, m->l2_len + m->l3_len);
	if (!trace_match(&p->src, be16_get(tcp), &p->dst, be16_get(tcp + 2)))
		return;
	p->flags |= PKT_TRACED;
	trace_frame(m);
	trace_emit(stage, "%s:%u > %s:%u ttl=%u l4_len=%u", ip_format(&p->src, src), be16_get(tcp),
		ip_format(&p->dst, dst), be16_get(tcp + 2), p->ttl, p->l4_len);
}

static const char *const counter_names[] = {
#define NET_COUNTER(NAME, name, help) name,
#include "dataplane/net/net.def"
#undef NET_COUNTER
};

static const char *const counter_helps[] = {
#define NET_COUNTER(NAME, name, help) help,
#include "dataplane/net/net.def"
#undef NET_COUNTER
};

const uint64_t *net_counters(const struct net *n, unsigned *ret_count)
{
	*ret_count = NET_C_COUNT;
	return n->counters;
}

const char *net_counter_name(unsigned i)
{
	return counter_names[i];
}

const char *net_counter_help(unsigned i)
{
	return counter_helps[i];
}
