// SPDX-License-Identifier: Apache-2.0
/*
 * counters.c: names, texts and sizes of counters.def.
 */
#include "dataplane/upstream/counters.h"

#include "dataplane/base/bug.h"
#include "dataplane/snapshot/config.h"

struct row {
	const char *name, *help;
};

static const struct row listener_rows[] = {
#define LISTENER_COUNTER(NAME, name, help) {name, help},
#include "dataplane/upstream/counters.def"
};
static const struct row rule_rows[] = {
#define RULE_COUNTER(NAME, name, help) {name, help},
#include "dataplane/upstream/counters.def"
};
static const struct row backend_rows[] = {
#define BACKEND_COUNTER(NAME, name, help) {name, help},
#include "dataplane/upstream/counters.def"
};
static const struct row endpoint_rows[] = {
#define ENDPOINT_COUNTER(NAME, name, help) {name, help},
#include "dataplane/upstream/counters.def"
};

static const struct scope {
	const char *name;
	const struct row *rows;
	unsigned count;
	uint32_t slots;
} scopes[COUNTER_SCOPE_COUNT] = {
	[COUNTER_LISTENER] = {"listener", listener_rows, COUNTER_LISTENER_COUNT,
		SLOTS_LISTENER_MAX},
	[COUNTER_RULE] = {"rule", rule_rows, COUNTER_RULE_COUNT, SLOTS_RULE_MAX},
	[COUNTER_BACKEND] = {"backend", backend_rows, COUNTER_BACKEND_COUNT, SLOTS_BACKEND_MAX},
	[COUNTER_ENDPOINT] = {"endpoint", endpoint_rows, COUNTER_ENDPOINT_COUNT,
		SLOTS_ENDPOINT_MAX},
};

unsigned counter_count(enum counter_scope scope)
{
	bug_on(scope >= COUNTER_SCOPE_COUNT);
	return scopes[scope].count;
}

uint32_t counter_slots(enum counter_scope scope)
{
	bug_on(scope >= COUNTER_SCOPE_COUNT);
	return scopes[scope].slots;
}

const char *counter_scope_name(enum counter_scope scope)
{
	bug_on(scope >= COUNTER_SCOPE_COUNT);
	return scopes[scope].name;
}

const char *counter_name(enum counter_scope scope, unsigned i)
{
	bug_on(scope >= COUNTER_SCOPE_COUNT || i >= scopes[scope].count);
	return scopes[scope].rows[i].name;
}

const char *counter_help(enum counter_scope scope, unsigned i)
{
	bug_on(scope >= COUNTER_SCOPE_COUNT || i >= scopes[scope].count);
	return scopes[scope].rows[i].help;
}
