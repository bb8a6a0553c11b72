// SPDX-License-Identifier: Apache-2.0
/*
 * openapi.h: configs/api/openapi.json, part of the program.
 */
#pragma once

#include "dataplane/base/str.h"

struct str openapi_document(void);
