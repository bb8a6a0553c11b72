// SPDX-License-Identifier: Apache-2.0
/*
 * mirror.h: the kernel's links, addresses and routes as the dataplane sees them.
 *
 * Level-triggered: a notification only says that something changed; mirror_read() then reads all of
 * it anew. So a lost notification costs nothing but the next one, and there is no second path for
 * incremental changes that could differ from the first.
 */
#pragma once

#include <stdbool.h>

#include "dataplane/base/err.h"
#include "dataplane/net/fib.h"

struct mirror;

int mirror_open(const struct port *ports, unsigned port_count, struct mirror **ret,
	struct err *err);
void mirror_close(struct mirror *m);
/* For poll(2): readable when something may have changed. */
int mirror_fd(const struct mirror *m);
/* Empties the notifications; true: there were some, or some were lost. */
bool mirror_drain(struct mirror *m);
/* Everything as it is now; NULL in *ret when it is as it was at the last call. */
int mirror_read(struct mirror *m, const struct fib **ret, struct err *err);
/* True: the kernel has more than FIB_ROUTES_MAX routes, the last table lacks some. */
bool mirror_is_cut(const struct mirror *m);
