// SPDX-License-Identifier: Apache-2.0
/*
 * wire_flow.c: which TCP payload bytes have been delivered, to count retransmissions that nobody
 * needed. Both stacks are judged by the same eye, whatever they report of themselves.
 */
#include "tests/tools/wire/wire.h"

#include <string.h>

#include "dataplane/base/bytes.h"

static bool parse_ip4(const uint8_t *ip, uint16_t len, struct wire_segment *s, uint16_t *ret_l4)
{
	uint16_t ihl, total;

	if (len < 20 || ip[0] >> 4 != 4 || ip[9] != 6 || (be16_get(ip + 6) & 0x3fff) != 0)
		return false;
	ihl = (uint16_t)((ip[0] & 15) * 4);
	total = be16_get(ip + 2);
	if (ihl < 20 || total > len || total < ihl + 20)
		return false;
	memset(s->key, 0, sizeof(s->key));
	memcpy(s->key + 12, ip + 12, 4);
	memcpy(s->key + 28, ip + 16, 4);
	s->len = total - ihl;
	*ret_l4 = ihl;
	return true;
}

static bool parse_ip6(const uint8_t *ip, uint16_t len, struct wire_segment *s, uint16_t *ret_l4)
{
	uint16_t payload;

	if (len < 60 || ip[0] >> 4 != 6 || ip[6] != 6)
		return false;
	payload = be16_get(ip + 4);
	if (payload < 20 || payload + 40 > len)
		return false;
	memcpy(s->key, ip + 8, 32);
	s->len = payload;
	*ret_l4 = 40;
	return true;
}

bool wire_segment_parse(const uint8_t *frame, uint16_t len, struct wire_segment *ret)
{
	uint16_t type, l4, doff;
	const uint8_t *tcp;
	bool ok;

	if (len < 14 + 20)
		return false;
	type = be16_get(frame + 12);
	ok = (type == 0x0800 && parse_ip4(frame + 14, len - 14, ret, &l4)) ||
		(type == 0x86dd && parse_ip6(frame + 14, len - 14, ret, &l4));
	if (!ok)
		return false;
	ret->l4_off = (uint16_t)(14 + l4);
	tcp = frame + ret->l4_off;
	doff = (uint16_t)((tcp[12] >> 4) * 4);
	if (doff < 20 || doff > ret->len)
		return false;
	memcpy(ret->key + 32, tcp, 4);
	ret->seq = be32_get(tcp + 4);
	ret->syn = (tcp[13] & 2) != 0;
	ret->len -= doff;
	return true;
}

static struct wire_flow *flow_get(struct wire_flows *f, const struct wire_segment *s)
{
	struct wire_flow *w;

	for (unsigned i = 0; i < f->count; i++)
		if (memcmp(f->flow[i].key, s->key, sizeof(s->key)) == 0)
			return &f->flow[i];
	w = &f->flow[f->next++ % WIRE_FLOWS]; /* the oldest is forgotten */
	if (f->count < WIRE_FLOWS)
		f->count++;
	memcpy(w->key, s->key, sizeof(s->key));
	w->isn = s->seq;
	w->count = 0;
	return w;
}

static void range_add(struct wire_flow *w, uint32_t from, uint32_t to)
{
	unsigned i = 0, last;

	while (i < w->count && w->range[i].to < from)
		i++;
	for (last = i; last < w->count && w->range[last].from <= to; last++) {
		if (w->range[last].from < from)
			from = w->range[last].from;
		if (w->range[last].to > to)
			to = w->range[last].to;
	}
	if (last == i && w->count == WIRE_RANGES)
		return; /* forgetting a range only hides a retransmission */
	memmove(&w->range[i + 1], &w->range[last], (w->count - last) * sizeof(w->range[0]));
	w->count = w->count - (last - i) + 1;
	w->range[i].from = from;
	w->range[i].to = to;
}

bool wire_flows_note(struct wire_flows *f, const struct wire_segment *s, bool intact)
{
	struct wire_flow *w = flow_get(f, s);
	uint32_t from, to;
	bool again = false;

	if (s->syn) {
		w->isn = s->seq;
		w->count = 0;
	}
	if (s->len == 0)
		return false;
	from = s->seq - w->isn;
	to = from + s->len;
	for (unsigned i = 0; i < w->count; i++)
		again = again || (w->range[i].from <= from && to <= w->range[i].to);
	if (intact)
		range_add(w, from, to);
	return again;
}
