// SPDX-License-Identifier: Apache-2.0
/*
 * sample.h: a small configuration with one of everything, and its image's text (sample.txt).
 */
#pragma once

#include "dataplane/snapshot/build.h"

/* Static storage; the caller may change a copy of the top structs. */
const struct build_config *sample_config(void);
