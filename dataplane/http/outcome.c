// SPDX-License-Identifier: Apache-2.0
/*
 * outcome.c: names and texts of outcome.def.
 */
#include "dataplane/http/outcome.h"

#include <stddef.h>

#include "dataplane/base/bug.h"

static const struct {
	const char *name, *help;
	unsigned status;
} outcomes[] = {
#define OUTCOME(NAME, name, status, help) {name, help, status},
#include "dataplane/http/outcome.def"
#undef OUTCOME
};

const char *outcome_name(enum outcome o)
{
	return (unsigned)o < OUTCOME_COUNT ? outcomes[o].name : "unknown";
}

const char *outcome_help(enum outcome o)
{
	return (unsigned)o < OUTCOME_COUNT ? outcomes[o].help : "";
}

unsigned outcome_status(enum outcome o)
{
	bug_on((unsigned)o >= OUTCOME_COUNT);
	return outcomes[o].status;
}
