// SPDX-License-Identifier: Apache-2.0
/*
 * accept.h: which of our representations the client wants (RFC 9110 12.5.1).
 */
#pragma once

#include "dataplane/base/str.h"

/*
 * Index into <types> ("text/plain; version=0.0.4"; NULL ends the list) of the one the client likes
 * best, the first of equals; -1 when it accepts none. An empty or unreadable <accept> accepts all.
 * Parameters of a media range other than q are ignored.
 */
int accept_pick(struct str accept, const char *const *types);
