// SPDX-License-Identifier: Apache-2.0
/*
 * agent_json.h: how the answers to queries write their values.
 */
#pragma once

#include <jansson.h>

#include "dataplane/agent/agent.h"
#include "dataplane/base/str.h"

json_t *agent_json_id(uint64_t id); /* 16 hex digits */
json_t *agent_json_str(struct str s);
void agent_json_counter(json_t *list, const char *name, const char *help, uint64_t value);
const char *agent_slot_kind_str(enum agent_slot_kind kind);
