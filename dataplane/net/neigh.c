// SPDX-License-Identifier: Apache-2.0
/*
 * neigh.c: neighbours and whether they can hear us.
 *
 * One table per worker, for IPv4 and IPv6 alike: the state machine of Neighbour Discovery serves
 * ARP as well. Only next hops are resolved. A packet to an unknown neighbour waits in a short queue
 * behind the question, in a longer one while few others wait; a neighbour that never answers loses
 * its packets and its entry. Handles
 * (slot and version) are kept by connections in their net_dst, so the usual packet costs one
 * comparison here. Upper layers confirm reachability (neigh_confirm), so a busy neighbour is never
 * probed.
 *
 * The table is bounded (RFC 6583): when it is full, the oldest entry that nobody has heard from
 * lately goes. A few entries are looked at per newcomer, and live ones found on the way join the
 * end of the line; where none can go, the newcomer's packets are dropped.
 * Standards: RFC 4861 7.2, 7.3, 10; RFC 1122 2.3.2.
 */
#include "dataplane/base/hash.h"
#include "dataplane/net/net_impl.h"

#define RETRANS_US 1000000     /* RFC 4861 10: RETRANS_TIMER */
#define SOLICITS_MAX 3	       /* MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT */
#define REACHABLE_US 30000000  /* REACHABLE_TIME, times 0.5 to 1.5 */
#define DELAY_PROBE_US 5000000 /* DELAY_FIRST_PROBE_TIME */
#define EVICT_SCAN 16	       /* entries looked at for one to give up */

void neigh_init(struct neigh_table *t, uint64_t key)
{
	t->key = key;
	list_init(&t->used);
	list_init(&t->free);
	for (unsigned i = 0; i < NEIGH_MAX; i++) {
		struct neigh *e = &t->e[i];

		t->bucket[i] = NEIGH_NONE;
		list_init(&e->lru);
		timer_init(&e->timer);
		mbufq_init(&e->queue);
		list_add_tail(&t->free, &e->lru);
	}
}

void neigh_fini(struct net *n)
{
	for (unsigned i = 0; i < NEIGH_MAX; i++)
		mbufq_free(&n->neigh->e[i].queue);
}

static uint32_t *bucket_of(const struct net *n, unsigned port, const struct ip_addr *a)
{
	uint64_t h = hash_mix(be64_get(a->b) ^ n->neigh->key, be64_get(a->b + 8) + port);

	return &n->neigh->bucket[h % NEIGH_MAX];
}

static uint32_t index_of(const struct net *n, const struct neigh *e)
{
	return (uint32_t)(e - n->neigh->e);
}

struct neigh *neigh_lookup(const struct net *n, unsigned port, const struct ip_addr *addr)
{
	uint32_t i = *bucket_of(n, port, addr);

	for (; i != NEIGH_NONE; i = n->neigh->e[i].hash_next)
		if (n->neigh->e[i].port == port && ip_eq(&n->neigh->e[i].addr, addr))
			return &n->neigh->e[i];
	return NULL;
}

static void neigh_unhash(struct net *n, const struct neigh *e)
{
	uint32_t *at = bucket_of(n, e->port, &e->addr), self = index_of(n, e);

	while (*at != self)
		at = &n->neigh->e[*at].hash_next;
	*at = e->hash_next;
}

/* All that waits, and the room it took. */
static struct mbufq neigh_take_queue(struct net *n, struct neigh *e)
{
	struct mbufq q = e->queue;

	if (q.count > NEIGH_QUEUE_MAX)
		n->neigh->extra -= q.count - NEIGH_QUEUE_MAX;
	mbufq_init(&e->queue);
	return q;
}

/* Forgets the neighbour; packets still waiting are dropped as <why>. */
static void neigh_release(struct net *n, struct neigh *e, enum net_counter why)
{
	struct mbufq q = neigh_take_queue(n, e);
	struct rte_mbuf *m;

	while ((m = mbufq_pop(&q)) != NULL)
		net_drop(n, m, why);
	neigh_unhash(n, e);
	timer_cancel(&n->wheel, &e->timer);
	e->state = NEIGH_FREE;
	e->version++;
	list_del(&e->lru);
	list_add_tail(&n->neigh->free, &e->lru);
}

/* The oldest entry without a recent sign of life. */
static bool neigh_evict(struct net *n)
{
	struct list *used = &n->neigh->used;

	for (unsigned left = EVICT_SCAN; left > 0 && !list_is_empty(used); left--) {
		struct neigh *e = list_entry(used->next, struct neigh, lru);

		if (e->state == NEIGH_REACHABLE || e->state == NEIGH_DELAY) {
			list_del(&e->lru);
			list_add_tail(used, &e->lru);
			continue;
		}
		net_count(n, NET_C_NEIGH_EVICTED);
		neigh_release(n, e, NET_C_NEIGH_FAILED);
		return true;
	}
	return false;
}

static struct neigh *neigh_new(struct net *n, unsigned port, const struct ip_addr *addr)
{
	struct neigh_table *t = n->neigh;
	uint32_t *bucket = bucket_of(n, port, addr);
	struct neigh *e;

	if (list_is_empty(&t->free) && !neigh_evict(n)) {
		net_count(n, NET_C_NEIGH_FULL);
		return NULL;
	}
	e = list_entry(list_pop(&t->free), struct neigh, lru);
	list_add_tail(&t->used, &e->lru);
	e->state = NEIGH_INCOMPLETE;
	e->port = (uint8_t)port;
	e->addr = *addr;
	e->tries = 0;
	e->hash_next = *bucket;
	*bucket = index_of(n, e);
	return e;
}

static void solicit(struct net *n, struct neigh *e)
{
	e->tries++;
	timer_set(&n->wheel, &e->timer, n->now_us + RETRANS_US);
	if (ip_is_v4(&e->addr))
		arp_solicit(n, e);
	else
		nd_solicit(n, e);
}

struct neigh *neigh_get(struct net *n, unsigned port, const struct ip_addr *addr,
	const struct ip_addr *asker)
{
	struct neigh *e = neigh_lookup(n, port, addr);

	if (e == NULL) {
		e = neigh_new(n, port, addr);
		if (e == NULL)
			return NULL;
		e->asker = *asker;
		solicit(n, e);
	}
	return e;
}

static void neigh_reachable(struct net *n, struct neigh *e)
{
	/* RFC 4861 6.3.2: uniformly between 0.5 and 1.5 times the base */
	uint64_t span = REACHABLE_US / 2 + rng_below(&n->rng, REACHABLE_US);

	e->state = NEIGH_REACHABLE;
	e->tries = 0;
	e->confirmed_us = n->now_us;
	timer_set(&n->wheel, &e->timer, n->now_us + span);
}

static void neigh_stale(struct net *n, struct neigh *e)
{
	e->state = NEIGH_STALE;
	e->tries = 0;
	timer_set(&n->wheel, &e->timer, TIMER_NEVER);
}

void neigh_confirm(struct net *n, struct neigh *e)
{
	/* RFC 4861 7.3.1: forward progress; without a MAC there is nothing to confirm */
	if (e->state == NEIGH_INCOMPLETE)
		return;
	if (e->state == NEIGH_REACHABLE && n->now_us - e->confirmed_us < RETRANS_US)
		return;
	neigh_reachable(n, e);
}

/*
 * RFC 4861 7.2.2: "it SHOULD hold ... the most recently received" packets. What is dropped here is
 * the first SYN to a backend, and costs its request a second.
 */
static void neigh_queue(struct net *n, struct neigh *e, struct rte_mbuf *m)
{
	if (e->queue.count >= NEIGH_QUEUE_MAX) {
		if (n->neigh->extra < NEIGH_EXTRA_MAX)
			n->neigh->extra++;
		else
			net_drop(n, mbufq_pop(&e->queue), NET_C_NEIGH_QUEUE);
	}
	trace_pkt(m, "neigh", "waits for the neighbour's answer");
	mbufq_push(&e->queue, m);
}

static void neigh_send(struct net *n, const struct neigh *e, struct rte_mbuf *m)
{
	uint8_t *h = (uint8_t *)rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);

	if (unlikely(h == NULL)) {
		net_drop(n, m, NET_C_OUT_HEADROOM);
		return;
	}
	memcpy(h, e->l2, sizeof(e->l2));
	/* by the packet's version: IPv4 may go over an IPv6 next hop (RFC 8950) */
	be16_put(h + 12, h[RTE_ETHER_HDR_LEN] >> 4 == 4 ? ETH_TYPE_IP4 : ETH_TYPE_IP6);
	port_tx(&n->queues[e->port], m);
}

void neigh_output(struct net *n, struct neigh *e, struct rte_mbuf *m)
{
	if (unlikely(e->state == NEIGH_INCOMPLETE)) {
		neigh_queue(n, e, m);
		return;
	}
	if (unlikely(e->state == NEIGH_STALE)) {
		/* 7.3.3: "the first time a node sends a packet" to it */
		e->state = NEIGH_DELAY;
		timer_set(&n->wheel, &e->timer, n->now_us + DELAY_PROBE_US);
	}
	neigh_send(n, e, m);
}

static void neigh_mac_set(struct net *n, struct neigh *e, const struct rte_ether_addr *mac)
{
	memcpy(e->l2, mac->addr_bytes, RTE_ETHER_ADDR_LEN);
	memcpy(e->l2 + 6, net_port(n, e->port)->mac.addr_bytes, RTE_ETHER_ADDR_LEN);
	net_count(n, NET_C_NEIGH_LEARNED);
}

/* The first answer: what waited may go. */
static void neigh_complete(struct net *n, struct neigh *e, const struct net_note *note)
{
	struct mbufq q;
	struct rte_mbuf *m;

	neigh_mac_set(n, e, &note->mac);
	if (note->flags & NET_NOTE_SOLICITED)
		neigh_reachable(n, e);
	else
		neigh_stale(n, e);
	q = neigh_take_queue(n, e);
	while ((m = mbufq_pop(&q)) != NULL)
		neigh_output(n, e, m);
}

/* Somebody that asked for us will be answered: worth an entry if it is on this link. */
static struct neigh *neigh_from_asker(struct net *n, const struct net_note *note)
{
	const struct fib_route *r = n->fib ? fib_lookup(n->fib, &note->addr) : NULL;

	for (uint32_t i = 0; r != NULL && i < r->path_count; i++)
		if (r->paths[i].port == note->port && ip_is_any(&r->paths[i].via))
			return neigh_new(n, note->port, &note->addr);
	return NULL;
}

/* RFC 4861 7.2.3 (solicitations) and 7.2.5 (advertisements); ARP maps to the same facts. */
void neigh_learn(struct net *n, const struct net_note *note)
{
	struct neigh *e = neigh_lookup(n, note->port, &note->addr);
	bool changed;

	if (e == NULL && (note->flags & NET_NOTE_ASKED))
		e = neigh_from_asker(n, note);
	if (e == NULL)
		return;
	if (e->state == NEIGH_INCOMPLETE) {
		if (!(note->flags & NET_NOTE_NO_MAC))
			neigh_complete(n, e, note);
		return;
	}
	changed = !(note->flags & NET_NOTE_NO_MAC) &&
		memcmp(e->l2, note->mac.addr_bytes, RTE_ETHER_ADDR_LEN) != 0;
	if (changed && !(note->flags & NET_NOTE_OVERRIDE)) {
		if (e->state == NEIGH_REACHABLE) /* 7.2.5: doubt, but keep the address */
			neigh_stale(n, e);
		return;
	}
	if (changed)
		neigh_mac_set(n, e, &note->mac);
	if (note->flags & NET_NOTE_SOLICITED)
		neigh_reachable(n, e);
	else if (changed)
		neigh_stale(n, e);
}

void neigh_tell(struct net *n, const struct net_note *note)
{
	neigh_learn(n, note);
	if (n->note_count < NET_NOTES_MAX)
		n->notes[n->note_count++] = *note;
	else
		net_count(n, NET_C_NOTES_FULL);
}

static void neigh_retry(struct net *n, struct neigh *e)
{
	if (e->tries < SOLICITS_MAX) {
		solicit(n, e);
		return;
	}
	net_count(n, NET_C_NEIGH_LOST);
	neigh_release(n, e, NET_C_NEIGH_FAILED);
}

void neigh_timer(struct timer *t, uint64_t now_us, void *net)
{
	struct neigh *e = list_entry(t, struct neigh, timer);
	struct net *n = net;

	switch (e->state) {
	case NEIGH_REACHABLE:
		neigh_stale(n, e);
		break;
	case NEIGH_DELAY: /* 7.3.3: no confirmation came, ask */
		e->state = NEIGH_PROBE;
		e->tries = 0;
		solicit(n, e);
		break;
	case NEIGH_INCOMPLETE:
	case NEIGH_PROBE:
		neigh_retry(n, e);
		break;
	default:
		bug_on_hot(true); /* STALE and FREE have no timer */
	}
}

static const char *const state_names[NEIGH_STATE_COUNT] = {"FREE", "INCOMPLETE", "REACHABLE",
	"STALE", "DELAY", "PROBE"};

void net_neigh_foreach(const struct net *n, net_neigh_fn fn, void *ctx)
{
	list_for_each (l, &n->neigh->used) {
		const struct neigh *e = list_entry(l, struct neigh, lru);
		struct net_neigh_info info = {.addr = e->addr,
			.port = e->port,
			.state = state_names[e->state],
			.age_us = e->confirmed_us ? n->now_us - e->confirmed_us : 0};

		if (e->state != NEIGH_INCOMPLETE)
			memcpy(info.mac.addr_bytes, e->l2, RTE_ETHER_ADDR_LEN);
		fn(&info, ctx);
	}
}
