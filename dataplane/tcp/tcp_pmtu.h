// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_pmtu.h: path MTUs below the interface's, remembered by destination. Pure.
 */
#pragma once

#include "dataplane/base/hash.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/rng.h"

#define TCP_PMTU_SLOTS 256

struct tcp_pmtu {
	uint64_t key[2];
	struct {
		struct ip_addr dst;
		uint16_t mtu; /* 0: free */
		uint64_t until_us;
	} e[TCP_PMTU_SLOTS];
};

void tcp_pmtu_init(struct tcp_pmtu *p, struct rng *rng);
/* 0: nothing known. */
uint16_t tcp_pmtu_lookup(const struct tcp_pmtu *p, const struct ip_addr *dst, uint64_t now_us);
/* A newer destination takes the slot of an older one. */
void tcp_pmtu_learn(struct tcp_pmtu *p, const struct ip_addr *dst, uint16_t mtu, uint64_t now_us);
