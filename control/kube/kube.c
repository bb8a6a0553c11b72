// SPDX-License-Identifier: Apache-2.0
/*
 * kube.c: the names of phases and counters.
 */
#include "control/kube/kube.h"

#include "dataplane/base/bug.h"

const struct kube_counter_info kube_counter_info[KUBE_COUNTER_COUNT] = {
#define KUBE_COUNTER(NAME, metric, sentence) \
	[KUBE_COUNTER_##NAME] = {.name = metric, .help = sentence},
#include "control/kube/kube.def"
};

const char *kube_watch_phase_name(enum kube_watch_phase p)
{
	static const char *const names[] = {
#define KUBE_WATCH(NAME, name, help) name,
#include "control/kube/kube.def"
	};

	bug_on(p >= KUBE_WATCH_COUNT);
	return names[p];
}
