// SPDX-License-Identifier: Apache-2.0
/*
 * clock.h: the control path's monotonic clock. Workers read the TSC once per burst instead and
 * hand the time down as an argument; pure code never asks for the time.
 */
#pragma once

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_mono_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}
