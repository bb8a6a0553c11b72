// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_recovery.c: what an ACK says about loss, and what follows for cwnd.
 *
 *	        loss found                     timer
 *	OPEN ───────────────> RECOVERY ─────────────────┐
 *	  ^ <─────────────────────┘                     v
 *	  └──────────────────────────────────────────  LOSS
 *	     SND.UNA reaches <recover>, or it was all a mistake
 *
 * With SACK losses are found by RACK (tcp_rack.c), without it by duplicate ACKs (NewReno). In
 * RECOVERY cwnd follows Proportional Rate Reduction, in LOSS slow start. Mistakes are undone: when
 * the timestamp echo is older than the first retransmission (Eifel), when DSACKs cover all that was
 * retransmitted, or when after a timeout something arrives that was sent before it and only once
 * (F-RTO; without SACK only Eifel can tell).
 *
 * Standards: RFC 5681, 6582, 6675, 6937, 8985, 3522, 4015, 5682, 3042, 2883.
 */
#include "dataplane/tcp/tcp_stack.h"

#define DUPTHRESH_MAX 10u

void tcp_recovery_init(struct tcp_conn *c)
{
	c->rec = (struct tcp_recovery){.dupthresh = TCP_DUPTHRESH, .recover = c->iss};
}

void tcp_recovery_on_rtx(struct tcp *t, struct tcp_conn *c, uint32_t seq, uint32_t len)
{
	struct tcp_recovery *r = &c->rec;

	r->rtx_log[r->rtx_count++ % TCP_RTX_LOG] = (struct tcp_sack_block){seq, seq + len};
	if (r->phase == TCP_PHASE_OPEN)
		return; /* a tail loss probe */
	r->prr_out += len;
	if (!r->has_rtx_ts) {
		r->has_rtx_ts = true;
		r->rtx_ts = tcp_ts_now(t, c->ts_offset);
	}
}

/*
 * Phases.
 */

static void remember(struct tcp_conn *c)
{
	struct tcp_recovery *r = &c->rec;

	r->can_undo = true;
	r->undo_una = c->sack.una;
	r->undo_cwnd = c->cc.cwnd;
	r->undo_ssthresh = c->cc.ssthresh;
	r->rtx_count = r->rtx_needless = 0;
	memset(r->rtx_log, 0, sizeof(r->rtx_log));
	r->has_rtx_ts = false;
}

static void enter_recovery(struct tcp *t, struct tcp_conn *c)
{
	struct tcp_recovery *r = &c->rec;

	remember(c);
	r->phase = TCP_PHASE_RECOVERY;
	r->recover = c->sack.nxt;
	r->go_back = false;
	r->tlp_out = false;
	r->prr_delivered = r->prr_out = 0;
	r->prr_flight = RTE_MAX(tcp_sack_outstanding(&c->sack), (uint32_t)c->mss);
	r->force = true; /* RFC 6675 5 (4.3): the first retransmission is not held back */
	tcp_cc_on_loss(&c->cc);
	tcp_count(t, TCP_N_FAST_RECOVERY);
}

static void leave(struct tcp_conn *c)
{
	struct tcp_recovery *r = &c->rec;

	if (r->phase == TCP_PHASE_RECOVERY)
		c->cc.cwnd = RTE_MAX(c->cc.ssthresh, (uint32_t)c->mss);
	r->phase = TCP_PHASE_OPEN;
	r->force = false;
	r->frto = false;
	r->dupacks = 0;
	r->reno_sacked = 0;
	tcp_rack_on_recovered(&c->rack);
}

/* RFC 4015 3.2: as if nothing had happened. */
static void undo(struct tcp *t, struct tcp_conn *c)
{
	struct tcp_recovery *r = &c->rec;

	tcp_count(t, TCP_N_UNDO);
	if (r->phase == TCP_PHASE_LOSS)
		c->rtt.backoff = 0;
	leave(c);
	tcp_sack_unlose(&c->sack);
	c->cc.cwnd = RTE_MAX(c->cc.cwnd, r->undo_cwnd);
	c->cc.ssthresh = RTE_MAX(c->cc.ssthresh, r->undo_ssthresh);
	r->can_undo = false;
	if (!c->sack_on && r->dupthresh < DUPTHRESH_MAX)
		r->dupthresh++;
}

void tcp_recovery_on_rto(struct tcp *t, struct tcp_conn *c)
{
	struct tcp_recovery *r = &c->rec;
	bool again = r->phase == TCP_PHASE_LOSS && c->retries > 0;

	if (!again) {
		if (r->phase != TCP_PHASE_RECOVERY)
			remember(c);
		tcp_cc_on_loss(&c->cc);
	}
	r->frto = c->sack_on && !again;
	r->rto_us = (uint32_t)t->now_us;
	r->phase = TCP_PHASE_LOSS;
	r->recover = c->sack.nxt;
	r->go_back = true;
	r->tlp_out = false;
	r->force = false;
	r->dupacks = 0;
	r->reno_sacked = 0;
	/* RFC 5681 3.1: LW, one full segment */
	c->cc.cwnd = c->mss;
	/* RFC 2018 8: the receiver has reneged when it SACKed what it does not acknowledge */
	if (tcp_sack_head_is_sacked(&c->sack)) {
		tcp_count(t, TCP_N_SACK_RENEGE);
		tcp_sack_renege(&c->sack);
	}
	tcp_sack_lose_all(&c->sack);
}

/*
 * Finding losses.
 */

static bool detect_by_rack(struct tcp *t, struct tcp_conn *c)
{
	struct tcp_rack_path path = {
		.srtt_us = c->rtt.srtt_us,
		.min_rtt_us = tcp_rtt_min(&c->rtt),
		.mss = c->mss,
		.recovering = c->rec.phase != TCP_PHASE_OPEN,
	};
	uint32_t wait_us, lost;

	lost = tcp_rack_detect(&c->rack, &c->sack, &path, (uint32_t)t->now_us, &wait_us);
	tcp_due(c, TCP_DUE_REORDER, wait_us > 0 ? t->now_us + wait_us : TIMER_NEVER);
	return lost > 0;
}

/* RFC 5827 3.1: with little in flight and nothing more to send three duplicates cannot come. */
static unsigned reno_threshold(const struct tcp_conn *c)
{
	uint32_t segments = (tcp_sack_outstanding(&c->sack) + c->mss - 1) / c->mss;

	if (c->rec.dupthresh == TCP_DUPTHRESH && segments < 4 && segments > 1 &&
		c->sack.nxt == tcp_snd_limit(c))
		return segments - 1;
	return c->rec.dupthresh;
}

static bool detect_by_dupacks(struct tcp_conn *c, const struct tcp_ack_event *e)
{
	struct tcp_recovery *r = &c->rec;

	if (r->phase == TCP_PHASE_RECOVERY) /* RFC 6582 3.2 (3): a partial ACK */
		return e->acked > 0 && tcp_sack_lose(&c->sack, c->sack.una, c->mss) > 0;
	if (r->phase != TCP_PHASE_OPEN || r->dupacks < reno_threshold(c))
		return false;
	/* RFC 6582 3.2 (2): not again for what the timeout has sent again */
	if (r->go_back && !seq_gt(c->sack.una, r->recover))
		return false;
	return tcp_sack_lose(&c->sack, c->sack.una, c->mss) > 0;
}

/* Without SACK every duplicate ACK is a segment that has arrived, which one is not known. */
static void reno_count(struct tcp_conn *c, struct tcp_ack_event *e)
{
	struct tcp_recovery *r = &c->rec;
	uint32_t outstanding = tcp_sack_outstanding(&c->sack);

	if (e->acked > 0) {
		/* a partial ACK: one segment filled the hole, the others had been counted */
		uint32_t known = e->acked > c->mss ? e->acked - c->mss : 0;

		if (r->phase == TCP_PHASE_OPEN || known > r->reno_sacked)
			known = r->reno_sacked;
		r->reno_sacked -= known;
		e->d.bytes -= RTE_MIN(known, e->d.bytes);
		r->dupacks = 0;
	} else if (e->is_dup) {
		if (r->dupacks < UINT8_MAX)
			r->dupacks++;
		r->reno_sacked += c->mss;
		e->d.bytes += c->mss;
	}
	/* the first outstanding segment is the one that is missing */
	outstanding = outstanding > c->mss ? outstanding - c->mss : 0;
	r->reno_sacked = RTE_MIN(r->reno_sacked, outstanding);
}

/*
 * Mistakes.
 */

/*
 * Without SACK there is one retransmission at a time. What acknowledges the first one sooner than
 * any round trip was, acknowledges the original: it had only been overtaken.
 */
static bool came_too_soon(const struct tcp *t, const struct tcp_conn *c,
	const struct tcp_ack_event *e)
{
	uint32_t since = (uint32_t)t->now_us - e->d.newest[1].sent_us;

	return !c->sack_on && c->rec.phase == TCP_PHASE_RECOVERY && c->rec.rtx_count == 1 &&
		e->d.newest[1].valid && since < tcp_rtt_min(&c->rtt) / 8 * 7;
}

static bool was_spurious(const struct tcp *t, const struct tcp_conn *c,
	const struct tcp_ack_event *e)
{
	const struct tcp_recovery *r = &c->rec;

	if (!r->can_undo)
		return false;
	/* RFC 3522 3.2: the ACK that should be of a retransmission echoes an earlier time */
	if (r->phase != TCP_PHASE_OPEN && e->echo_old && e->acked > 0 && e->d.rtx_acked)
		return true;
	if (came_too_soon(t, c, e))
		return true;
	/* RFC 5682 3: after the timeout an original arrives that was on its way before it */
	if (r->phase == TCP_PHASE_LOSS && r->frto && e->d.newest[0].valid &&
		seq_lt(e->d.newest[0].sent_us, r->rto_us))
		return true;
	/* RFC 2883: each of the retransmissions was reported as a duplicate */
	return e->dsack && r->has_rtx_ts && r->rtx_needless == r->rtx_count &&
		r->rtx_count <= TCP_RTX_LOG;
}

bool tcp_recovery_is_ours(struct tcp_conn *c, const struct tcp_sack_block *b)
{
	struct tcp_recovery *r = &c->rec;

	for (unsigned i = 0; i < TCP_RTX_LOG; i++) {
		struct tcp_sack_block *x = &r->rtx_log[i];

		if (x->start == x->end || seq_lt(b->start, x->start) || seq_gt(b->end, x->end))
			continue;
		x->end = x->start; /* once */
		r->rtx_needless++;
		return true;
	}
	return false;
}

static void note_dsack(struct tcp *t, struct tcp_conn *c, struct tcp_ack_event *e)
{
	if (!e->dsack)
		return;
	c->retransmits_spurious++;
	tcp_count(t, TCP_N_RTX_SPURIOUS);
	tcp_rack_on_dsack(&c->rack, c->sack.nxt, c->sack.una);
}

/* RFC 8985 7.4: what became of the tail loss probe. */
static void tail_probe_answered(struct tcp *t, struct tcp_conn *c, const struct tcp_ack_event *e)
{
	struct tcp_recovery *r = &c->rec;

	if (!r->tlp_out || seq_lt(c->sack.una, r->tlp_end))
		return;
	if (!r->tlp_rtx || e->dsack || (e->is_dup && e->d.bytes == 0)) {
		r->tlp_out = false; /* new data, or needless: no harm was done */
	} else if (seq_gt(c->sack.una, r->tlp_end)) {
		/* the probe repaired a loss that nobody else noticed: congestion control must */
		r->tlp_out = false;
		tcp_count(t, TCP_N_TAIL_PROBE_REPAIRED);
		if (r->phase == TCP_PHASE_OPEN) {
			tcp_cc_on_loss(&c->cc);
			c->cc.cwnd = RTE_MIN(c->cc.cwnd, c->cc.ssthresh);
		}
	}
}

/*
 * The window.
 */

/* RFC 6937 3.1, with the slow-start reduction bound. */
static void prr(struct tcp_conn *c, const struct tcp_ack_event *e, bool new_loss)
{
	struct tcp_recovery *r = &c->rec;
	uint32_t pipe = tcp_pipe(c), ssthresh = c->cc.ssthresh, send, owed;

	r->prr_delivered += e->d.bytes;
	owed = r->prr_delivered > r->prr_out ? r->prr_delivered - r->prr_out : 0;
	if (pipe > ssthresh) {
		uint64_t share = (uint64_t)r->prr_delivered * ssthresh + r->prr_flight - 1;

		share /= r->prr_flight;
		send = share > r->prr_out ? (uint32_t)(share - r->prr_out) : 0;
	} else {
		send = RTE_MAX(owed, e->d.bytes);
		if (e->acked > 0 && !new_loss)
			send += c->mss; /* the path is delivering: one more than conservation */
		send = RTE_MIN(send, ssthresh - pipe);
	}
	if (r->force)
		send = RTE_MAX(send, (uint32_t)c->mss);
	c->cc.cwnd = RTE_MAX(pipe + send, (uint32_t)c->mss);
}

static void grow(struct tcp *t, struct tcp_conn *c, const struct tcp_ack_event *e)
{
	struct tcp_cc_ack a;

	/* RFC 7661's concern: a window that was not used has not been tested */
	if (e->acked == 0 || (!c->rec.cwnd_limited && c->rec.phase != TCP_PHASE_LOSS))
		return;
	a = (struct tcp_cc_ack){
		.now_us = t->now_us,
		.bytes = e->acked,
		.una = c->sack.una,
		.nxt = c->sack.nxt,
		.rtt_us = e->rtt_us,
		.srtt_us = c->rtt.srtt_us,
	};
	tcp_cc_on_ack(&c->cc, &a);
}

void tcp_recovery_on_ack(struct tcp *t, struct tcp_conn *c, struct tcp_ack_event *e)
{
	struct tcp_recovery *r = &c->rec;
	bool new_loss;

	note_dsack(t, c, e);
	tail_probe_answered(t, c, e);
	if (!c->sack_on)
		reno_count(c, e);
	else
		tcp_rack_on_delivery(&c->rack, &e->d, (uint32_t)t->now_us, tcp_rtt_min(&c->rtt),
			e->echo_old);
	if (was_spurious(t, c, e))
		undo(t, c);
	if (r->phase != TCP_PHASE_OPEN && seq_ge(c->sack.una, r->recover))
		leave(c);
	new_loss = c->sack_on ? detect_by_rack(t, c) : detect_by_dupacks(c, e);
	if (r->phase == TCP_PHASE_OPEN && c->sack.bytes[TCP_RANGE_LOST] > 0)
		enter_recovery(t, c);
	if (r->phase == TCP_PHASE_RECOVERY)
		prr(c, e, new_loss);
	else
		grow(t, c, e);
}

void tcp_recovery_on_plain_ack(struct tcp *t, struct tcp_conn *c, const struct tcp_ack_event *e)
{
	if (c->sack_on)
		tcp_rack_on_delivery(&c->rack, &e->d, (uint32_t)t->now_us, 0, false);
	c->rec.dupacks = 0;
	grow(t, c, e);
}

void tcp_recovery_on_reorder_timer(struct tcp *t, struct tcp_conn *c)
{
	struct tcp_ack_event e = {0};

	if (!detect_by_rack(t, c))
		return;
	if (c->rec.phase == TCP_PHASE_OPEN)
		enter_recovery(t, c);
	if (c->rec.phase == TCP_PHASE_RECOVERY)
		prr(c, &e, true);
}
