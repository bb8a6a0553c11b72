// SPDX-License-Identifier: Apache-2.0
/*
 * rss.c: Toeplitz in software and the source ports that lead to a worker.
 */
#include "dataplane/port/rss.h"

#include <errno.h>
#include <stdlib.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"

#define PORT_COUNT 65536u
#define TUPLE_V4 12u
#define TUPLE_V6 36u

/* The ports of one family as cosets: every port with P[port] = e is rep[e] ^ some kernel[i]. */
struct cosets {
	uint16_t rep[RSS_RETA_MAX];
	uint16_t *kernel; /* owned; PORT_COUNT / reta_size ports with P[port] = 0 */
};

struct rss_ports {
	uint8_t key[RSS_KEY_MAX];
	uint32_t offset[2]; /* [is v4] */
	uint16_t port_first;
	unsigned reta_size, kernel_count, worker_count;
	struct cosets cosets[2]; /* [is v4] */
	uint8_t entry_worker[RSS_RETA_MAX];
	uint16_t entries[RSS_RETA_MAX]; /* grouped by worker */
	uint16_t entries_first[257];	/* worker w owns entries[entries_first[w] .. [w + 1]) */
};

uint32_t rss_toeplitz(const uint8_t *key, const uint8_t *in, size_t len)
{
	uint32_t hash = 0;

	for (size_t i = 0; i < len; i += 4) {
		uint64_t window = be64_get(key + i);

		/* Input bit 31-b of this word selects the 32 key bits that start at that bit. */
		for (uint32_t w = be32_get(in + i); w != 0; w &= w - 1)
			hash ^= (uint32_t)(window >> (1 + (unsigned)__builtin_ctz(w)));
	}
	return hash;
}

/* The input of the hash; returns its length. */
static size_t tuple_bytes(const struct rss_tuple *t, uint8_t b[TUPLE_V6])
{
	size_t skip = ip_is_v4(&t->src) ? 12 : 0, alen = 16 - skip;

	memcpy(b, t->src.b + skip, alen);
	memcpy(b + alen, t->dst.b + skip, alen);
	be16_put(b + 2 * alen, t->src_port);
	be16_put(b + 2 * alen + 2, t->dst_port);
	return 2 * alen + 4;
}

uint32_t rss_tuple_hash(const uint8_t *key, const struct rss_tuple *t)
{
	uint8_t b[TUPLE_V6];
	size_t len = tuple_bytes(t, b);

	return rss_toeplitz(key, b, len);
}

static bool samples_agree(const uint8_t *key, const struct rss_sample *s, unsigned count,
	uint32_t *ret_offset)
{
	uint32_t offset = s[0].hash ^ rss_tuple_hash(key, &s[0].tuple);

	for (unsigned i = 1; i < count; i++)
		if ((s[i].hash ^ rss_tuple_hash(key, &s[i].tuple)) != offset)
			return false;
	*ret_offset = offset;
	return true;
}

bool rss_calibrate(uint8_t *key, unsigned key_len, const struct rss_sample *s, unsigned count,
	uint32_t *ret_offset)
{
	uint8_t reversed[RSS_KEY_MAX];

	if (count < 2 || key_len < RSS_KEY_MIN || key_len > RSS_KEY_MAX)
		return false;
	if (samples_agree(key, s, count, ret_offset))
		return true;
	for (unsigned i = 0; i < key_len; i++)
		reversed[i] = key[key_len - 1 - i];
	if (!samples_agree(reversed, s, count, ret_offset))
		return false;
	memcpy(key, reversed, key_len);
	return true;
}

/* The term of our port: the last 16 bits of the tuple, all others zero. */
static uint32_t port_term(const struct rss_ports *p, bool v4, uint16_t port)
{
	uint8_t in[4];

	be32_put(in, port);
	return rss_toeplitz(p->key + (v4 ? TUPLE_V4 : TUPLE_V6) - 4, in, 4) & (p->reta_size - 1);
}

static int cosets_init(struct rss_ports *p, bool v4, struct err *err)
{
	struct cosets *c = &p->cosets[v4];
	unsigned kernel = 0, reached = 0;

	c->kernel = malloc(p->kernel_count * sizeof(c->kernel[0]));
	if (c->kernel == NULL)
		return err_set(err, ENOMEM, "out of memory");
	for (unsigned port = 0; port < PORT_COUNT; port++) {
		uint32_t e = port_term(p, v4, (uint16_t)port);

		if (e == 0 && kernel < p->kernel_count)
			c->kernel[kernel++] = (uint16_t)port;
		/* Port 0 is the first to give entry 0, so 0 means "none yet" for all others. */
		if (port == 0 || (e != 0 && c->rep[e] == 0)) {
			c->rep[e] = (uint16_t)port;
			reached++;
		}
	}
	if (reached != p->reta_size)
		return err_set(err, EINVAL,
			"RSS key: IPv%d source ports reach %u of %u indirection table entries",
			v4 ? 4 : 6, reached, p->reta_size);
	return 0;
}

/* Entries sorted by worker (counting sort), so a worker's entries are one range. */
static int entries_init(struct rss_ports *p, const struct rss_config *cfg, struct err *err)
{
	unsigned n = 0;

	for (unsigned e = 0; e < cfg->reta_size; e++) {
		unsigned q = cfg->reta[e];

		if (q >= cfg->queue_count || cfg->queue_worker[q] >= cfg->worker_count)
			return err_set(err, EINVAL,
				"RSS indirection table: entry %u: queue %u belongs to no worker", e,
				q);
		p->entry_worker[e] = cfg->queue_worker[q];
	}
	for (unsigned w = 0; w < cfg->worker_count; w++) {
		p->entries_first[w] = (uint16_t)n;
		for (unsigned e = 0; e < cfg->reta_size; e++)
			if (p->entry_worker[e] == w)
				p->entries[n++] = (uint16_t)e;
		if (n == p->entries_first[w])
			return err_set(err, EINVAL,
				"RSS indirection table: no entry leads to worker %u", w);
	}
	p->entries_first[cfg->worker_count] = (uint16_t)n;
	return 0;
}

static int config_check(const struct rss_config *cfg, struct err *err)
{
	if (cfg->key_len < RSS_KEY_MIN || cfg->key_len > RSS_KEY_MAX)
		return err_set(err, EINVAL, "RSS key: %u bytes, need %u to %u", cfg->key_len,
			RSS_KEY_MIN, RSS_KEY_MAX);
	if (cfg->reta_size == 0 || cfg->reta_size > RSS_RETA_MAX ||
		(cfg->reta_size & (cfg->reta_size - 1)) != 0)
		return err_set(err, EINVAL,
			"RSS indirection table: %u entries, need a power of two up to %u",
			cfg->reta_size, RSS_RETA_MAX);
	if (cfg->worker_count == 0 || cfg->worker_count > 256)
		return err_set(err, EINVAL, "RSS: %u workers, need 1 to 256", cfg->worker_count);
	return 0;
}

struct rss_ports *rss_ports_new(const struct rss_config *cfg, struct err *err)
{
	struct rss_ports *p;

	if (config_check(cfg, err) < 0)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (p == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	memcpy(p->key, cfg->key, cfg->key_len);
	p->offset[true] = cfg->offset_v4;
	p->offset[false] = cfg->offset_v6;
	p->port_first = cfg->port_first;
	p->worker_count = cfg->worker_count;
	p->reta_size = cfg->reta_size;
	p->kernel_count = PORT_COUNT / cfg->reta_size;
	if (entries_init(p, cfg, err) < 0 || cosets_init(p, true, err) < 0 ||
		cosets_init(p, false, err) < 0) {
		rss_ports_free(p);
		return NULL;
	}
	return p;
}

void rss_ports_free(struct rss_ports *p)
{
	if (p == NULL)
		return;
	free(p->cosets[0].kernel);
	free(p->cosets[1].kernel);
	free(p);
}

static uint16_t tuple_low(const struct rss_ports *p, const struct rss_tuple *t)
{
	uint32_t hash = rss_tuple_hash(p->key, t) ^ p->offset[ip_is_v4(&t->src)];

	return (uint16_t)(hash & (p->reta_size - 1));
}

unsigned rss_ports_worker(const struct rss_ports *p, const struct rss_tuple *t)
{
	return p->entry_worker[tuple_low(p, t)];
}

struct rss_base rss_ports_base(const struct rss_ports *p, const struct ip_addr *local,
	const struct ip_addr *remote, uint16_t remote_port)
{
	struct rss_tuple reply = {*remote, *local, remote_port, 0};

	return (struct rss_base){tuple_low(p, &reply), ip_is_v4(remote)};
}

static unsigned worker_entries(const struct rss_ports *p, unsigned worker)
{
	return p->entries_first[worker + 1] - p->entries_first[worker];
}

void rss_port_start(const struct rss_ports *p, const struct rss_base *base, unsigned worker,
	uint64_t random, struct rss_iter *ret)
{
	unsigned entries;

	bug_on(worker >= p->worker_count);
	entries = worker_entries(p, worker);
	*ret = (struct rss_iter){
		.left = entries * p->kernel_count,
		.entry = (uint32_t)((random & UINT32_MAX) * entries >> 32),
		.kernel = (uint32_t)(random >> 32) & (p->kernel_count - 1),
		.worker = (uint16_t)worker,
		.base = *base,
	};
}

bool rss_port_next(const struct rss_ports *p, struct rss_iter *it, uint16_t *ret_port)
{
	const uint16_t *entries = p->entries + p->entries_first[it->worker];
	const struct cosets *c = &p->cosets[it->base.v4];
	unsigned count = worker_entries(p, it->worker);

	while (it->left > 0) {
		uint16_t port = c->rep[entries[it->entry] ^ it->base.low] ^ c->kernel[it->kernel];

		it->left--;
		if (++it->entry == count) {
			it->entry = 0;
			it->kernel = (it->kernel + 1) & (p->kernel_count - 1);
		}
		if (port >= p->port_first && port != 0) {
			*ret_port = port;
			return true;
		}
	}
	return false;
}
