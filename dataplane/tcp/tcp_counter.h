// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_counter.h: tcp.def as an enum.
 */
#pragma once

enum tcp_counter {
#define TCP_COUNTER(name, text, help) TCP_N_##name,
#include "dataplane/tcp/tcp.def"
#undef TCP_COUNTER
	TCP_N_COUNT,
	TCP_N_NONE = TCP_N_COUNT /* "no drop" */
};
