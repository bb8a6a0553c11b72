// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_source.h: how many passive connections each remote address has. Pure.
 */
#pragma once

#include "dataplane/base/ip.h"
#include "dataplane/base/rng.h"

struct tcp_source {
	struct ip_addr addr; /* IPv6: the /64 */
	uint32_t count;	     /* 0: free */
};

struct tcp_source_table {
	struct tcp_source *e; /* owned; NULL: counting is off */
	uint32_t mask;
	uint64_t key[2];
};

/* At most <capacity> connections will be counted at a time. False: no memory. */
bool tcp_source_init(struct tcp_source_table *t, uint32_t capacity, struct rng *rng);
void tcp_source_fini(struct tcp_source_table *t);
uint32_t tcp_source_count(const struct tcp_source_table *t, const struct ip_addr *remote);
void tcp_source_add(struct tcp_source_table *t, const struct ip_addr *remote);
void tcp_source_remove(struct tcp_source_table *t, const struct ip_addr *remote);
