// SPDX-License-Identifier: Apache-2.0
/*
 * probe.h: who is to be probed how, and what came of it: between the agent and the workers.
 *
 * The agent makes a list of all endpoints to be probed, each once, however many services it stands
 * in; a worker takes the part of it that is its own. Lists are immutable and swapped as
 * configurations are. Results go the other way over a ring per worker, with one writer and one
 * reader; nobody waits for anybody.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"
#include "dataplane/snapshot/build.h"

#define PROBE_WORKERS_MAX 32u
#define PROBE_RING 4096u     /* results; the agent takes them every few milliseconds */
#define PROBE_TEXT_MAX 1024u /* path; also host and method together */

enum probe_class { PROBE_GOOD = 0, PROBE_BAD, PROBE_MUTE, PROBE_SILENT, PROBE_OURS };

enum probe_result {
#define PROBE_RESULT(NAME, name, class, help) PROBE_##NAME,
#include "dataplane/upstream/probe.def"
	PROBE_RESULT_COUNT
};

enum probe_counter { /* behind those of the results */
	PROBE_COUNTER_BEFORE = PROBE_RESULT_COUNT - 1,
#define PROBE_COUNTER(NAME, name, help) PROBE_N_##NAME,
#include "dataplane/upstream/probe.def"
	PROBE_COUNTER_COUNT
};

const char *probe_result_str(enum probe_result r);
enum probe_class probe_result_class(enum probe_result r);
/* All counters, results first. */
const char *probe_counter_name(unsigned i);
const char *probe_counter_help(unsigned i);

/* How; shared by the endpoints of one policy. */
struct probe_check {
	struct str method, path, host; /* HTTP; in the list's memory; host empty: the address */
	uint64_t interval_us, timeout_us;
	struct build_status_range status[BUILD_STATUS_RANGES_MAX];
	uint8_t status_count;
	uint8_t kind; /* enum build_probe: HTTP or TCP */
};

struct probe_target {
	uint64_t id;
	struct ip_addr addr;
	uint32_t slot;
	uint16_t port;
	uint16_t check; /* index */
};

struct probe_list {
	uint64_t serial;		       /* never 0 */
	uint32_t first[PROBE_WORKERS_MAX + 1]; /* worker i's are [first[i], first[i + 1]) */
	const struct probe_check *checks;
	const struct probe_target *t;
};

/* The worker that probes endpoint <id>. */
unsigned probe_owner(uint64_t id, unsigned workers);
/* May these words stand in a request line and a Host field? */
bool probe_check_is_sane(const struct probe_check *c);
bool probe_status_is_expected(const struct probe_check *c, unsigned status);

struct probe_report {
	uint64_t id, sent_us, done_us;
	uint32_t slot;
	uint16_t status; /* HTTP, 0: there was none */
	uint8_t result;	 /* enum probe_result */
};

struct probe_ring {
	_Atomic uint32_t put, taken; /* worker: w put; agent: w taken; they wrap around */
	struct probe_report r[PROBE_RING];
};
/* False: it is full. */
bool probe_ring_put(struct probe_ring *r, const struct probe_report *p);
bool probe_ring_take(struct probe_ring *r, struct probe_report *ret);
