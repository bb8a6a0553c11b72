// SPDX-License-Identifier: Apache-2.0
/*
 * privs.h: giving up root after start.
 *
 * Call privs_drop() once everything that needs root is open. User and group ids change in every
 * thread; capabilities are kept in the calling thread and in those it starts later, so a program
 * that keeps some calls it before it starts the threads that need them.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "dataplane/base/err.h"

#define PRIVS_CAP(cap) (UINT64_C(1) << (cap)) /* cap: CAP_NET_RAW, ... of linux/capability.h */

struct privs_user {
	uid_t uid;
	gid_t gid;
};

/* "sluice", "sluice:adm", "990" or "990:990"; a missing group is the user's own. */
int privs_lookup(const char *user, struct privs_user *ret, struct err *err);
/*
 * Becomes <user> (NULL: the identity stays) with the capabilities of the bit mask <keep> and no
 * others, and sets no_new_privs. Without root only no_new_privs is set: what we do not have we
 * need not give up. Ends in an error when root could be had back.
 */
int privs_drop(const struct privs_user *user, uint64_t keep, struct err *err);
