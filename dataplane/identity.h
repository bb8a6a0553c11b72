// SPDX-License-Identifier: Apache-2.0
/*
 * identity.h: who the process is while it serves.
 */
#pragma once

#include "dataplane/base/err.h"

struct gateway_config;

/*
 * Makes folders that are missing (state, control's socket, access log), gives the state folder to
 * the configured user, becomes that user, and keeps only the capabilities that the ports' profiles
 * need from now on. Then every thread is looked at: a different user, one capability more or a way
 * to gain privileges is an error, as is a folder that cannot be written to. Call it when all that
 * needs root is open; threads that need the capabilities are started afterwards. Started without
 * root, only the folders are made and looked at.
 */
int identity_take(const struct gateway_config *c, struct err *err);
