// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_parked.c: connections between two requests, small.
 *
 * A full connection has a scoreboard, timers, queues and congestion state for bytes on the move.
 * On most connections of a gateway nothing moves most of the time. When its owner says so, such a
 * connection becomes a record of some 200 bytes, as it was one before its handshake was complete
 * (tcp_listen.c) and will be one after its end (tcp_timewait.c). Its first segment, or the end of
 * the time that the owner gave it, makes it whole again, and the owner finds it on the ready list
 * with TCP_EV_UNPARKED and the note it left.
 *
 * What is lost is what RFC 5681 4.1 and RFC 7661 want forgotten after a rest anyway: the
 * congestion window beyond the initial one, the growth of CUBIC, RACK's reordering window.
 * Keepalive (RFC 9293 3.8.4) rests too: the owner's time is to be shorter.
 */
#include "dataplane/tcp/tcp_parked.h"

#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/pages.h"
#include "dataplane/port/trace.h"
#include "dataplane/tcp/tcp_stack.h"

#define LATE_MS 2000u /* the most that an end in the queue may be late */

/*
 * The store.
 */

bool tcp_parked_init(struct tcp_parked *p, uint32_t max)
{
	*p = (struct tcp_parked){
		.max = max,
		.head = TCP_PARKED_NONE,
		.tail = TCP_PARKED_NONE,
		.free = TCP_PARKED_NONE,
	};
	/* written when first used, so memory that is never needed stays unmapped */
	p->r = malloc((size_t)(max > 0 ? max : 1) * sizeof(*p->r));
	pages_wish_large(p->r, max * sizeof(*p->r));
	return p->r != NULL;
}

void tcp_parked_fini(struct tcp_parked *p)
{
	free(p->r);
	p->r = NULL;
}

uint32_t tcp_parked_alloc(struct tcp_parked *p)
{
	uint32_t i = p->free;

	if (i != TCP_PARKED_NONE)
		p->free = p->r[i].next;
	else if (p->touched < p->max)
		i = p->touched++;
	else
		return TCP_PARKED_NONE;
	p->r[i] = (struct tcp_parked_record){.in_use = true,
		.prev = p->tail,
		.next = TCP_PARKED_NONE};
	if (p->tail != TCP_PARKED_NONE)
		p->r[p->tail].next = i;
	else
		p->head = i;
	p->tail = i;
	p->used++;
	return i;
}

void tcp_parked_release(struct tcp_parked *p, uint32_t i)
{
	struct tcp_parked_record *r = &p->r[i];

	bug_on_hot(!r->in_use);
	if (r->prev != TCP_PARKED_NONE)
		p->r[r->prev].next = r->next;
	else
		p->head = r->next;
	if (r->next != TCP_PARKED_NONE)
		p->r[r->next].prev = r->prev;
	else
		p->tail = r->prev;
	r->in_use = false;
	r->next = p->free;
	p->free = i;
	p->used--;
}

/*
 * Into it.
 */

/* Nothing unread, unsent, unacknowledged, owed or suspected. */
static bool is_at_rest(const struct tcp_conn *c)
{
	return c->state == TCP_ESTABLISHED && !c->orphan && !c->active && c->events == 0 &&
		c->charged == 0 && c->released == 0 && mbufq_is_empty(&c->sndq) &&
		tcp_sack_outstanding(&c->sack) == 0 && c->sack.nxt == tcp_snd_limit(c) &&
		!c->has_fin && !c->ack_now && c->ack_pending == 0 && !c->persist &&
		c->probes == 0 && c->rec.phase == TCP_PHASE_OPEN && !c->rec.tlp_out &&
		mbufq_is_empty(&c->reasm.q);
}

static void remember(struct tcp_parked_record *r, const struct tcp_conn *c)
{
	r->flow = c->flow;
	r->hash = c->hash;
	r->ts_recent_us = c->ts_recent_us;
	r->bytes_in = c->bytes_in;
	r->bytes_out = c->bytes_out;
	r->rcv_nxt = c->rcv_nxt;
	r->rcv_adv = c->rcv_adv;
	r->last_ack_sent = c->last_ack_sent;
	r->ts_recent = c->ts_recent;
	r->snd_nxt = c->sack.nxt;
	r->snd_wnd = c->snd_wnd;
	r->snd_wnd_max = c->snd_wnd_max;
	r->snd_wl1 = c->snd_wl1;
	r->snd_wl2 = c->snd_wl2;
	r->cwnd = c->cc.cwnd;
	r->ssthresh = c->cc.ssthresh;
	r->bind = c->bind;
	r->retransmits = c->retransmits;
	r->retransmits_spurious = c->retransmits_spurious;
	r->rtt = c->rtt;
	r->mss_peer = c->mss_peer;
	r->mtu = c->mtu;
	r->rcv_mss = c->rcv_mss;
	r->rcv_wscale = c->rcv_wscale;
	r->snd_wscale = c->snd_wscale;
	r->quick_acks = c->quick_acks;
	r->dupthresh = c->rec.dupthresh;
	r->ts_on = c->ts_on;
	r->sack_on = c->sack_on;
	r->counted = c->counted;
}

bool tcp_park(struct tcp *t, struct tcp_conn *c, struct tcp_note note, uint64_t until_us)
{
	uint32_t i = t->parked.tail;

	if (!is_at_rest(c))
		return false;
	/* the list is a queue: what ends well before its tail stays whole, with its own timer */
	if (i != TCP_PARKED_NONE &&
		seq_lt((uint32_t)(until_us / 1000) + LATE_MS, t->parked.r[i].until_ms))
		return false;
	i = tcp_parked_alloc(&t->parked);
	if (i == TCP_PARKED_NONE)
		return false;
	remember(&t->parked.r[i], c);
	t->parked.r[i].note = note;
	t->parked.r[i].until_ms = (uint32_t)(until_us / 1000);
	c->counted = false; /* the record counts now */
	tcp_conn_give_way(t, c, TCP_REF_PARKED | i);
	return true;
}

/*
 * Out of it.
 */

static void recall(struct tcp *t, struct tcp_conn *c, const struct tcp_parked_record *r)
{
	c->rcv_nxt = r->rcv_nxt;
	c->rcv_adv = r->rcv_adv;
	c->last_ack_sent = r->last_ack_sent;
	c->ts_recent = r->ts_recent;
	c->ts_recent_us = r->ts_recent_us;
	c->bytes_in = r->bytes_in;
	c->bytes_out = r->bytes_out;
	c->iss = r->snd_nxt; /* RFC 6582 3.2 step 1: recover begins behind nothing in flight */
	c->snd_end = r->snd_nxt;
	c->ts_offset = tcp_flow_secrets(t, &r->flow).ts_offset;
	c->snd_wnd = r->snd_wnd;
	c->snd_wnd_max = r->snd_wnd_max;
	c->snd_wl1 = r->snd_wl1;
	c->snd_wl2 = r->snd_wl2;
	c->bind = r->bind;
	c->retransmits = r->retransmits;
	c->retransmits_spurious = r->retransmits_spurious;
	c->rtt = r->rtt;
	c->mss_peer = r->mss_peer;
	c->rcv_wscale = r->rcv_wscale;
	c->snd_wscale = r->snd_wscale;
	c->quick_acks = r->quick_acks;
	c->ts_on = r->ts_on;
	c->sack_on = r->sack_on;
	c->counted = r->counted;
	tcp_conn_set_mtu(t, c, r->mtu);
	c->rcv_mss = r->rcv_mss;
	tcp_sack_reset(&c->sack, r->snd_nxt);
	tcp_recovery_init(c);
	c->rec.dupthresh = r->dupthresh;
	/* RFC 5681 4.1: after a rest at most the restart window */
	c->cc.cwnd = RTE_MIN(r->cwnd, tcp_cc_initial_window(c->mss));
	c->cc.ssthresh = r->ssthresh;
}

struct tcp_conn *tcp_unpark(struct tcp *t, uint32_t i)
{
	const struct tcp_parked_record r = t->parked.r[i];
	struct tcp_conn *c;

	tcp_table_remove(&t->table, r.hash, TCP_REF_PARKED | i);
	tcp_parked_release(&t->parked, i);
	c = tcp_conn_alloc(t);
	bug_on(c == NULL); /* the record had kept a place for it */
	tcp_conn_init(t, c, &r.flow, r.hash);
	recall(t, c, &r);
	tcp_set_state(t, c, TCP_ESTABLISHED);
	c->note = r.note;
	tcp_idle_restart(t, c);
	tcp_timer_arm(t, c);
	tcp_event(t, c, TCP_EV_UNPARKED);
	t->unparked++;
	return c;
}

struct tcp_note tcp_note_of(const struct tcp_conn *c)
{
	return c->note;
}

unsigned tcp_parked_run(struct tcp *t, unsigned budget)
{
	uint32_t now_ms = (uint32_t)(t->now_us / 1000);
	unsigned n = 0;

	for (; n < budget && t->parked.used > 0; n++) {
		if (seq_gt(t->parked.r[t->parked.head].until_ms, now_ms))
			break;
		tcp_unpark(t, t->parked.head);
	}
	return n;
}

bool tcp_parked_sweep(struct tcp *t, uint32_t *cursor, uint32_t max, tcp_parked_fn fn, void *ctx)
{
	for (; max > 0 && *cursor < t->parked.touched; max--, (*cursor)++) {
		const struct tcp_parked_record *r = &t->parked.r[*cursor];

		if (r->in_use && fn(&r->flow, ctx))
			tcp_unpark(t, *cursor);
	}
	return *cursor >= t->parked.touched;
}

void tcp_parked_info(const struct tcp *t, uint32_t i, struct tcp_conn_info *ret)
{
	const struct tcp_parked_record *r = &t->parked.r[i];

	*ret = (struct tcp_conn_info){
		.flow = r->flow,
		.state = TCP_ESTABLISHED,
		.cwnd = r->cwnd,
		.ssthresh = r->ssthresh,
		.srtt_us = r->rtt.srtt_us,
		.rttvar_us = r->rtt.rttvar_us,
		.rto_us = r->rtt.rto_us,
		.snd_wnd = r->snd_wnd,
		.rcv_wnd = r->rcv_adv - r->rcv_nxt,
		.bytes_in = r->bytes_in,
		.bytes_out = r->bytes_out,
		.retransmits = r->retransmits,
		.retransmits_spurious = r->retransmits_spurious,
		.mss = r->mss_peer,
		.parked = true,
	};
}
