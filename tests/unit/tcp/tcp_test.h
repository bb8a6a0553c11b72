// SPDX-License-Identifier: Apache-2.0
/*
 * tcp_test.h: what the tests of this folder share: cmocka with its own includes, EAL without
 * hardware.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <rte_eal.h>

#include "dataplane/base/bug.h"

static inline void test_eal_init(void)
{
	static char *argv[] = {"test", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
		"--no-shconf", "--log-level=error", "--iova-mode=va", "--lcores=0"};

	bug_on(rte_eal_init(sizeof(argv) / sizeof(argv[0]), argv) < 0);
}
