// SPDX-License-Identifier: Apache-2.0
/*
 * gen_tcp_out.c: segments on their way out.
 *
 * Headers are patched into a template of the run; the payload is written by the application and
 * comes with its sum, which for bodies is a look-up. With the port's checksum offload only the
 * pseudo-header is summed.
 */
#include "tests/bench/gen_tcp.h"

#define OPT_TS_LEN 12
#define PROTO_TCP 6

static bool is_backend(const struct conn *c)
{
	return c->flags & CONN_BACKEND;
}

/* Bytes [off, off + len) of the message; their sum. */
static uint64_t payload_write(struct gen *g, struct conn *c, uint32_t off, uint32_t len,
	uint8_t *dst)
{
	uint8_t text[HTTP_TEXT_MAX];

	if (is_backend(c))
		return answer_write(&g->http, &c->answer, off, len, dst);
	if (off == 0 && len == c->msg_len) {
		ask_write(&g->http, &c->ask, dst);
		return sum_of(dst, len);
	}
	ask_write(&g->http, &c->ask, text);
	memcpy(dst, text + off, len);
	return sum_of(dst, len);
}

/* Ethernet and IP in front of <l4_len> bytes; <key> is of the peer's segments. */
static void l3_write(const struct gen *g, const uint8_t *key, uint32_t l4_len, uint8_t *p)
{
	uint64_t sum;
	uint16_t field;

	memcpy(p, g->l3, 14u + 20u);
	if (g->v6) {
		memcpy(p + 34, g->l3 + 34, 20);
		be16_put(p + 14 + 4, (uint16_t)l4_len);
		memcpy(p + 14 + 8, key + 16, 16);
		memcpy(p + 14 + 24, key, 16);
		return;
	}
	be16_put(p + 14 + 2, (uint16_t)(l4_len + 20));
	memcpy(p + 14 + 12, key + 4, 4);
	memcpy(p + 14 + 16, key, 4);
	sum = (uint64_t)g->l3_sum + sum_short(p + 14 + 2, 2) + sum_short(key, 8);
	field = (uint16_t)~sum_fold(sum);
	memcpy(p + 14 + 10, &field, 2);
}

static uint64_t pseudo_sum(const struct gen *g, const uint8_t *key, uint32_t l4_len)
{
	uint8_t tail[4];

	be16_put(tail, PROTO_TCP);
	be16_put(tail + 2, (uint16_t)l4_len);
	return sum_short(key, g->key_len - 4u) + sum_short(tail, 4);
}

/* The checksum of a segment whose header is written, or what the port needs to make it. */
static void sum_write(const struct gen *g, const struct conn *c, struct rte_mbuf *m, uint8_t *tcp,
	uint32_t header_len, uint32_t len, uint64_t payload)
{
	uint32_t l4_len = header_len + len;
	uint16_t field;

	if (!g->link.tx_sum) {
		field = (uint16_t)~sum_fold(
			pseudo_sum(g, c->key, l4_len) + sum_short(tcp, header_len) + payload);
		memcpy(tcp + 16, &field, 2);
		return;
	}
	m->l2_len = 14;
	m->l3_len = g->l3_len;
	m->l4_len = header_len;
	m->ol_flags = RTE_MBUF_F_TX_TCP_CKSUM | (g->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4);
	if (g->link.tso && len > c->mss) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		m->tso_segsz = c->mss;
		l4_len = 0; /* each piece has its own length */
	}
	field = sum_fold(pseudo_sum(g, c->key, l4_len));
	memcpy(tcp + 16, &field, 2);
}

static uint8_t *put_ts(struct gen *g, const struct conn *c, uint8_t *p)
{
	static const uint8_t head[4] = {1, 1, 8, 10}; /* RFC 7323 appendix A */

	memcpy(p, head, 4);
	be32_put(p + 4, g->now_ms);
	be32_put(p + 8, c->ts_recent);
	return p + OPT_TS_LEN;
}

static uint8_t *put_sack(const struct conn *c, uint8_t *p)
{
	struct reasm_block b[REASM_BLOCKS];
	unsigned n = reasm_blocks(&c->later, b);

	if (n == 0)
		return p;
	p[0] = p[1] = 1;
	p[2] = 5;
	p[3] = (uint8_t)(2 + 8 * n);
	p += 4;
	for (unsigned i = 0; i < n; i++, p += 8) {
		be32_put(p, b[i].start);
		be32_put(p + 4, b[i].end);
	}
	return p;
}

/* Options of a SYN in Linux' order: MSS, SACK permitted, timestamps, NOP, window scale. */
static uint8_t *put_syn_options(struct gen *g, const struct conn *c, uint8_t *p)
{
	bool active = c->state == CONN_SYN_SENT;
	static const uint8_t nops[2] = {1, 1}, sack[2] = {4, 2};

	p[0] = 2, p[1] = 4;
	be16_put(p + 2, g->mss);
	memcpy(p + 4, active || (c->flags & CONN_SACK) ? sack : nops, 2);
	p += 6;
	if (active || (c->flags & CONN_TS)) {
		p[0] = 8, p[1] = 10;
		be32_put(p + 2, g->now_ms);
		be32_put(p + 6, c->ts_recent);
		p += 10;
	} else {
		memcpy(p, nops, 2);
		p += 2;
	}
	if (active || c->snd_scale != 0xff) {
		p[0] = 1, p[1] = 3, p[2] = 3, p[3] = g->window_scale;
		p += 4;
	}
	return p;
}

/* The header behind L3; its end. */
static uint8_t *tcp_write(struct gen *g, const struct conn *c, uint8_t flags, uint32_t seq,
	uint8_t *p)
{
	uint8_t *end = p + 20;
	unsigned ports = g->key_len - 4u;

	memcpy(p, c->key + ports + 2, 2);
	memcpy(p + 2, c->key + ports, 2);
	be32_put(p + 4, seq);
	be32_put(p + 8, (flags & TCP_ACK) ? c->rcv_nxt : 0);
	if (flags & TCP_SYN) {
		end = put_syn_options(g, c, end);
	} else {
		if (c->flags & CONN_TS)
			end = put_ts(g, c, end);
		if (unlikely(c->later.head != NULL) && (c->flags & CONN_SACK))
			end = put_sack(c, end);
	}
	p[12] = (uint8_t)((end - p) << 2);
	p[13] = flags;
	/* RFC 7323 2.2: a SYN's window is never scaled; nor any other's when the peer does not */
	be16_put(p + 14, (flags & TCP_SYN) || c->snd_scale == 0xff ? 65535 : g->window);
	memset(p + 16, 0, 4);
	return end;
}

/* One segment with <len> bytes of the message from <off>. False: no buffer; a timer tries again. */
static bool seg_send(struct gen *g, struct conn *c, uint8_t flags, uint32_t seq, uint32_t off,
	uint32_t len)
{
	struct rte_mbuf *m = link_alloc(g);
	uint8_t *p, *tcp, *end;
	uint64_t sum = 0;

	if (m == NULL)
		return false;
	p = rte_pktmbuf_mtod(m, uint8_t *);
	tcp = p + 14 + g->l3_len;
	end = tcp_write(g, c, flags, seq, tcp);
	if (len > 0)
		sum = payload_write(g, c, off, len, end);
	l3_write(g, c->key, (uint32_t)(end - tcp) + len, p);
	sum_write(g, c, m, tcp, (uint32_t)(end - tcp), len, sum);
	m->data_len = (uint16_t)(end - p + len);
	m->pkt_len = m->data_len;
	link_send(g, m);
	c->ack_sent = c->rcv_nxt;
	c->ack_at = TIMER_NEVER;
	c->flags &= (uint8_t)~CONN_ACK_NOW;
	return true;
}

void tcp_send_ack(struct gen *g, struct conn *c)
{
	seg_send(g, c, TCP_ACK, c->snd_nxt, 0, 0);
	if (c->quick > 0)
		c->quick--;
}

void tcp_send_syn(struct gen *g, struct conn *c)
{
	seg_send(g, c, c->state == CONN_SYN_SENT ? TCP_SYN : TCP_SYN | TCP_ACK, c->snd_una, 0, 0);
	tcp_rto_arm(g, c);
}

/* RFC 9293 3.8.6.1, in Linux' form: an old sequence number asks for an ACK and carries nothing. */
void tcp_send_probe(struct gen *g, struct conn *c)
{
	gen_count(g, GEN_PROBE);
	seg_send(g, c, TCP_ACK, c->snd_una - 1, 0, 0);
}

void tcp_send_rst_for(struct gen *g, const struct seg *s)
{
	struct conn c = {.snd_scale = 0xff};
	struct rte_mbuf *m;
	uint8_t *p, *tcp;
	uint8_t flags = TCP_RST;
	uint32_t seq = s->ack;

	if (s->flags & TCP_RST || (m = link_alloc(g)) == NULL)
		return;
	if (!(s->flags & TCP_ACK)) {
		c.rcv_nxt = s->seq + s->len + !!(s->flags & TCP_SYN) + !!(s->flags & TCP_FIN);
		flags = TCP_RST | TCP_ACK;
		seq = 0;
	}
	memcpy(c.key, s->key, g->key_len);
	p = rte_pktmbuf_mtod(m, uint8_t *);
	tcp = p + 14 + g->l3_len;
	tcp_write(g, &c, flags, seq, tcp);
	l3_write(g, c.key, 20, p);
	sum_write(g, &c, m, tcp, 20, 0, 0);
	m->data_len = (uint16_t)(tcp + 20 - p);
	m->pkt_len = m->data_len;
	link_send(g, m);
}

struct conn *tcp_connect(struct gen *g, const uint8_t *key, uint32_t hash)
{
	struct conn *c = conn_new(g, key, hash);

	if (c == NULL)
		return NULL;
	c->state = CONN_SYN_SENT;
	/* RFC 6528 in spirit: a clock of 4 us and randomness; both grow over an old connection's */
	c->snd_una = (uint32_t)(g->now_us / 4 + (rng_u64(&g->rng) & 0xffff));
	c->snd_nxt = c->snd_max = c->msg_seq = c->snd_una + 1;
	c->snd_scale = 0xff;
	c->rto_us = TCP_SYN_RTO_US;
	c->timed_us = g->now_us;
	tcp_send_syn(g, c);
	return c;
}

static uint32_t msg_end(const struct conn *c)
{
	return c->msg_seq + c->msg_len;
}

bool tcp_message(struct gen *g, struct conn *c, uint32_t len, bool last)
{
	if (c->snd_una != msg_end(c) || (c->flags & CONN_FIN_QUEUED))
		return false;
	c->msg_seq = c->snd_una;
	c->msg_len = len;
	/* Linux: an answer within the ATO makes the connection an interactive one */
	if (c->rcv_ms != 0 && g->now_ms - c->rcv_ms < TCP_DELACK_US / 1000)
		c->flags |= CONN_PINGPONG;
	if (last)
		tcp_close(g, c); /* sends, too */
	else
		tcp_output(g, c);
	return true;
}

void tcp_close(struct gen *g, struct conn *c)
{
	if (c->flags & CONN_FIN_QUEUED)
		return;
	c->flags |= CONN_FIN_QUEUED;
	if (c->state == CONN_ESTABLISHED || c->state == CONN_SYN_RECEIVED)
		c->state = CONN_FIN_WAIT_1;
	else if (c->state == CONN_CLOSE_WAIT)
		c->state = CONN_LAST_ACK;
	tcp_output(g, c);
}

void tcp_abort(struct gen *g, struct conn *c)
{
	if (c->state != CONN_SYN_SENT && c->state != CONN_TIME_WAIT)
		seg_send(g, c, TCP_RST | TCP_ACK, c->snd_nxt, 0, 0);
	conn_free(g, c);
}

/* Bytes that may be sent now, behind what is on its way. */
static uint32_t window_left(const struct conn *c)
{
	uint32_t window = c->cwnd < c->snd_wnd ? c->cwnd : c->snd_wnd;
	uint32_t flight = c->snd_nxt - c->snd_una;

	return window > flight ? window - flight : 0;
}

/*
 * The length of the next segment, 0: none. RFC 9293 3.8.6.2.1: a part of a segment goes only when it
 * ends the message or is half of the largest window that the peer ever offered.
 */
static uint32_t next_len(const struct gen *g, const struct conn *c, uint32_t left)
{
	uint32_t most = g->link.tso ? (BODY_SLICE_MAX / 2 / c->mss) * c->mss : c->mss;
	uint32_t room = window_left(c), len = left < most ? left : most;

	if (len <= room)
		return len;
	if (room >= c->mss)
		return room - room % c->mss;
	return room >= c->snd_wnd_max / 2 ? room : 0;
}

static void sent(struct gen *g, struct conn *c, uint32_t end)
{
	if (seq_lt(c->snd_nxt, c->snd_max)) {
		gen_count(g, GEN_RETRANSMIT);
		c->flags &= (uint8_t)~CONN_TIMED; /* Karn */
	} else if (!(c->flags & CONN_TIMED)) {
		c->flags |= CONN_TIMED;
		c->timed_seq = end;
		c->timed_us = g->now_us;
	}
	c->snd_nxt = end;
	if (seq_lt(c->snd_max, end))
		c->snd_max = end;
}

void tcp_output(struct gen *g, struct conn *c)
{
	if (c->state < CONN_ESTABLISHED || c->state == CONN_TIME_WAIT)
		return;
	for (;;) {
		uint32_t off = c->snd_nxt - c->msg_seq;
		uint32_t left = off < c->msg_len ? c->msg_len - off : 0;
		uint32_t len = left > 0 ? next_len(g, c, left) : 0;
		bool fin = (c->flags & CONN_FIN_QUEUED) && len == left && off <= c->msg_len;
		uint8_t flags = TCP_ACK;

		if (len == 0 && !fin)
			break;
		if (len == left)
			flags |= TCP_PSH;
		if (fin)
			flags |= TCP_FIN;
		if (!seg_send(g, c, flags, c->snd_nxt, off, len))
			break;
		sent(g, c, c->snd_nxt + len + fin);
	}
	if (c->snd_una != msg_end(c) + !!(c->flags & CONN_FIN_QUEUED))
		tcp_rto_arm(g, c);
}

void tcp_resend(struct gen *g, struct conn *c)
{
	uint32_t off = c->snd_una - c->msg_seq;
	uint32_t left = off < c->msg_len ? c->msg_len - off : 0;
	uint32_t len = left < c->mss ? left : c->mss;
	bool fin = (c->flags & CONN_FIN_QUEUED) && len == left;

	if (len == 0 && !fin)
		return;
	gen_count(g, GEN_RETRANSMIT);
	c->flags &= (uint8_t)~CONN_TIMED;
	seg_send(g, c, (uint8_t)(TCP_ACK | (fin ? TCP_FIN : 0)), c->snd_una, off, len);
	c->rto_at = TIMER_NEVER;
	tcp_rto_arm(g, c);
}
