// SPDX-License-Identifier: Apache-2.0
/*
 * base64.h: the text form of bytes in Secrets and kubeconfigs (RFC 4648 4).
 */
#pragma once

#include <stdbool.h>

#include "dataplane/base/str.h"

/* With its padding; line ends are skipped. Into <to>, which has room for 3/4 of <text>. */
bool base64_decode(struct str text, char *to, size_t *ret_len);
