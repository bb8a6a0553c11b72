// SPDX-License-Identifier: Apache-2.0
/*
 * poison.c: mempool operations and mbuf functions that keep the sanitizer's shadow in step.
 *
 * The operations "sluice_poison" pass everything on to the default ring and poison what goes in,
 * open what comes out. Pools that use them have no per-lcore cache, because a cache would hide
 * releases from the ring. A pool is hooked from poison_pool_start() on: before that DPDK itself
 * writes to objects that are already in the ring.
 */
#define POISON_NO_HOOKS
#include "dataplane/port/poison.h"

#ifdef SLUICE_POISON

#include <sanitizer/asan_interface.h>

#include <rte_mempool.h>

#include "dataplane/base/bug.h"
#include "dataplane/port/mbufq.h"

static char hooked; /* its address in pool_config says: this pool is poisoned */

static bool is_hooked(const struct rte_mempool *mp)
{
	return mp->pool_config == &hooked;
}

static const struct rte_mempool_ops *inner_ops(void)
{
	static const struct rte_mempool_ops *inner;

	for (unsigned i = 0; inner == NULL && i < rte_mempool_ops_table.num_ops; i++)
		if (strcmp(rte_mempool_ops_table.ops[i].name, "ring_mp_mc") == 0)
			inner = &rte_mempool_ops_table.ops[i];
	bug_on(inner == NULL);
	return inner;
}

static int ops_alloc(struct rte_mempool *mp)
{
	return inner_ops()->alloc(mp);
}

static void ops_free(struct rte_mempool *mp)
{
	inner_ops()->free(mp);
}

static unsigned ops_count(const struct rte_mempool *mp)
{
	return inner_ops()->get_count(mp);
}

static int ops_enqueue(struct rte_mempool *mp, void *const *objs, unsigned n)
{
	for (unsigned i = 0; is_hooked(mp) && i < n; i++)
		__asan_poison_memory_region(objs[i], mp->elt_size);
	return inner_ops()->enqueue(mp, objs, n);
}

static int ops_dequeue(struct rte_mempool *mp, void **objs, unsigned n)
{
	int rc = inner_ops()->dequeue(mp, objs, n);

	for (unsigned i = 0; rc == 0 && is_hooked(mp) && i < n; i++)
		__asan_unpoison_memory_region(objs[i], mp->elt_size);
	return rc;
}

static const struct rte_mempool_ops poison_ops = {
	.name = POISON_OPS,
	.alloc = ops_alloc,
	.free = ops_free,
	.get_count = ops_count,
	.enqueue = ops_enqueue,
	.dequeue = ops_dequeue,
};

RTE_MEMPOOL_REGISTER_OPS(poison_ops)

static void poison_object(struct rte_mempool *mp, void *ctx, void *obj, unsigned i)
{
	__asan_poison_memory_region(obj, mp->elt_size);
}

static void open_object(struct rte_mempool *mp, void *ctx, void *obj, unsigned i)
{
	__asan_unpoison_memory_region(obj, mp->elt_size);
}

void poison_pool_start(struct rte_mempool *mp)
{
	bug_on(rte_mempool_in_use_count(mp) != 0);
	mp->pool_config = &hooked;
	rte_mempool_obj_iter(mp, poison_object, NULL);
}

void poison_pool_stop(struct rte_mempool *mp)
{
	if (!is_hooked(mp))
		return;
	mp->pool_config = NULL;
	rte_mempool_obj_iter(mp, open_object, NULL);
}

/* Only the sole holder of a buffer decides what of it may be touched. */
static bool is_sole_owner(const struct rte_mbuf *m)
{
	return RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1 && is_hooked(m->pool);
}

static char *data_end(const struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, char *) + m->data_len;
}

static void close_rooms(struct rte_mbuf *m)
{
	char *buf = m->buf_addr;

	__asan_poison_memory_region(buf, m->buf_len);
	__asan_unpoison_memory_region(buf + m->data_off, m->data_len);
}

void poison_received(struct rte_mbuf *m)
{
	for (; m != NULL; m = m->next)
		if (is_sole_owner(m))
			close_rooms(m);
}

struct rte_mbuf *poison_alloc(struct rte_mempool *mp)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(mp);

	if (m != NULL && is_hooked(mp))
		close_rooms(m);
	return m;
}

char *poison_append(struct rte_mbuf *m, uint16_t len)
{
	struct rte_mbuf *last = rte_pktmbuf_lastseg(m);
	char *p = rte_pktmbuf_append(m, len);

	if (p != NULL && is_sole_owner(last))
		__asan_unpoison_memory_region(p, len);
	return p;
}

char *poison_prepend(struct rte_mbuf *m, uint16_t len)
{
	char *p = rte_pktmbuf_prepend(m, len);

	if (p != NULL && is_sole_owner(m))
		__asan_unpoison_memory_region(p, len);
	return p;
}

char *poison_adj(struct rte_mbuf *m, uint16_t len)
{
	char *old = rte_pktmbuf_mtod(m, char *);
	char *p = rte_pktmbuf_adj(m, len);

	if (p != NULL && is_sole_owner(m))
		__asan_poison_memory_region(old, len);
	return p;
}

int poison_trim(struct rte_mbuf *m, uint16_t len)
{
	struct rte_mbuf *last = rte_pktmbuf_lastseg(m);
	int rc = rte_pktmbuf_trim(m, len);

	if (rc == 0 && is_sole_owner(last))
		__asan_poison_memory_region(data_end(last), len);
	return rc;
}

#endif
