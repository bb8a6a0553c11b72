// SPDX-License-Identifier: Apache-2.0
/*
 * outcome.h: the ways a request ends (table: outcome.def).
 */
#pragma once

enum outcome {
#define OUTCOME(NAME, name, status, help) OUTCOME_##NAME,
#include "dataplane/http/outcome.def"
#undef OUTCOME
	OUTCOME_COUNT
};

/* "no_route": what the log's reason= and the counters' names say. */
const char *outcome_name(enum outcome o);
const char *outcome_help(enum outcome o);
/* What the client is answered when the gateway answers by itself; 0: it does not. */
unsigned outcome_status(enum outcome o);
