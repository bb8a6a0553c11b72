// SPDX-License-Identifier: Apache-2.0
/*
 * privs_check.h: looks whether root is really gone.
 */
#pragma once

#include <stdint.h>

#include "dataplane/base/err.h"
#include "dataplane/base/privs.h"

/*
 * Reads what the kernel says about every thread of this process: the user must be <u> everywhere,
 * no thread may hold a capability outside <keep>, and none may gain privileges by execve(2). Logs
 * one line; an error names the thread that differs.
 */
int privs_check(const struct privs_user *u, uint64_t keep, struct err *err);
