// SPDX-License-Identifier: Apache-2.0
/*
 * port_pool.c: a worker's packets.
 *
 * Buffers hold a whole frame of the largest MTU, because everything above wants a packet in one
 * piece. AF_PACKET's ring frames are as large as the buffers (port.c), so one rule serves both.
 */
#include "dataplane/port/port_frame.h"

#include <rte_errno.h>

#define POOL_CACHE 256 /* mbufs per lcore that come and go without touching the shared ring */

uint16_t port_frame_size(uint16_t mtu)
{
	unsigned need = mtu + PORT_FRAME_OVERHEAD;

	if (need <= 2048)
		return 2048;
	return (uint16_t)RTE_ALIGN_CEIL(need, 4096u); /* whole pages: AF_PACKET's blocks */
}

struct rte_mempool *port_pool_new(const char *name, unsigned count, uint16_t mtu, struct err *err)
{
	uint16_t room = (uint16_t)(port_frame_size(mtu) + RTE_PKTMBUF_HEADROOM);
	struct rte_mempool *mp;

#ifdef SLUICE_POISON
	mp = rte_pktmbuf_pool_create_by_ops(name, count, 0, PKT_PRIV_SIZE, room, SOCKET_ID_ANY,
		POISON_OPS);
#else
	mp = rte_pktmbuf_pool_create(name, count, POOL_CACHE, PKT_PRIV_SIZE, room, SOCKET_ID_ANY);
#endif
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

void port_pool_free(struct rte_mempool *pool)
{
#ifdef SLUICE_POISON
	if (pool != NULL)
		poison_pool_stop(pool);
#endif
	rte_mempool_free(pool);
}
