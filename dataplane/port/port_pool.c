// SPDX-License-Identifier: Apache-2.0
/*
 * port_pool.c: a worker's packets.
 *
 * Buffers hold a whole frame of the largest MTU, because everything above wants a packet in one
 * piece. AF_PACKET's ring frames are as large as the buffers (port.c), so one rule serves both.
 */
#include "dataplane/port/port_frame.h"

#include <rte_errno.h>
#include <rte_mbuf_pool_ops.h>

#ifdef SLUICE_POISON
#define POOL_OPS POISON_OPS
#define POOL_CACHE 0
#else
#define POOL_OPS rte_mbuf_best_mempool_ops()
#define POOL_CACHE 256 /* mbufs per lcore that come and go without touching the shared ring */
#endif

uint16_t port_frame_size(uint16_t mtu)
{
	unsigned need = mtu + PORT_FRAME_OVERHEAD;

	if (need <= 2048)
		return 2048;
	return (uint16_t)RTE_ALIGN_CEIL(need, 4096u); /* whole pages: AF_PACKET's blocks */
}

/* rte_pktmbuf_pool_create(), with flags. */
static struct rte_mempool *pool_make(const char *name, unsigned count, uint16_t room,
	unsigned flags)
{
	struct rte_pktmbuf_pool_private priv = {.mbuf_data_room_size = room,
		.mbuf_priv_size = PKT_PRIV_SIZE};
	unsigned size = (unsigned)(sizeof(struct rte_mbuf) + PKT_PRIV_SIZE + room);
	struct rte_mempool *mp = rte_mempool_create_empty(name, count, size, POOL_CACHE,
		sizeof(priv), SOCKET_ID_ANY, flags);

	if (mp == NULL)
		return NULL;
	if (rte_mempool_set_ops_byname(mp, POOL_OPS, NULL) == 0) {
		rte_pktmbuf_pool_init(mp, &priv);
		if (rte_mempool_populate_default(mp) == (int)count) {
			rte_mempool_obj_iter(mp, rte_pktmbuf_init, NULL);
			return mp;
		}
		rte_errno = ENOMEM;
	}
	rte_mempool_free(mp);
	return NULL;
}

static struct rte_mempool *pool_new(const char *name, unsigned count, uint16_t mtu, unsigned flags,
	struct err *err)
{
	uint16_t room = (uint16_t)(port_frame_size(mtu) + RTE_PKTMBUF_HEADROOM);
	struct rte_mempool *mp = pool_make(name, count, room, flags);

	if (mp == NULL) {
		err_set(err, rte_errno, "%u packet buffers of %u bytes: %s", count, room,
			rte_strerror(rte_errno));
		return NULL;
	}
#ifdef SLUICE_POISON
	poison_pool_start(mp);
#endif
	return mp;
}

struct rte_mempool *port_pool_new(const char *name, unsigned count, uint16_t mtu, struct err *err)
{
	return pool_new(name, count, mtu, 0, err);
}

/*
 * A buffer that shall be contiguous for a device never crosses a page, which leaves gaps. The
 * AF_XDP driver shows the kernel <count> buffers' worth of bytes: what lay behind because of the
 * gaps would be no memory of the socket's, and the kernel drops such frames without a word.
 */
struct rte_mempool *port_pool_new_flat(const char *name, unsigned count, uint16_t mtu,
	struct err *err)
{
	return pool_new(name, count, mtu, RTE_MEMPOOL_F_NO_IOVA_CONTIG, err);
}

void port_pool_free(struct rte_mempool *pool)
{
#ifdef SLUICE_POISON
	if (pool != NULL)
		poison_pool_stop(pool);
#endif
	rte_mempool_free(pool);
}
