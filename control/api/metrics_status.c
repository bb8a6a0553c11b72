// SPDX-License-Identifier: Apache-2.0
/*
 * metrics_status.c: the writer of status: who writes to which cluster, and how it goes.
 */
#include <stdio.h>

#include "control/api/metrics.h"

void metrics_status(struct prom *p, const struct api_source *s)
{
	struct status_state st;

	for (uint32_t i = 0; status_state(s->status, i, &st); i++) {
		const struct prom_labels l = PROM_LABELS({"cluster", st.cluster});

		prom_add(p, PROM_GAUGE, "sluice_status_leader",
			"1 while this process holds the Lease and writes status.", l, st.leader);
		prom_add(p, PROM_GAUGE, "sluice_status_lease_holder",
			"1 for the holder of the Lease, as it was seen last.",
			PROM_LABELS({"cluster", st.cluster}, {"holder", str_of(st.holder)}), 1);
		prom_add(p, PROM_GAUGE, "sluice_status_waiting",
			"Objects that wait for a look at their status.", l, st.waiting);
		prom_add(p, PROM_GAUGE, "sluice_status_under_way", "Writes under way.", l,
			st.under_way);
		prom_add(p, PROM_GAUGE, "sluice_status_events_waiting", "Events that wait.", l,
			st.events_waiting);
		for (unsigned k = STATUS_WHY_SAID + 1; k < STATUS_WHY_COUNT; k++)
			prom_add(p, PROM_GAUGE, "sluice_status_not_said",
				"Objects that do not say yet what they shall, by what they wait "
				"for.",
				PROM_LABELS({"cluster", st.cluster},
					{"why", str_of(status_why_info[k].name)}),
				st.whys[k]);
		for (unsigned k = 0; k < STATUS_COUNTER_COUNT; k++) {
			char name[64];

			snprintf(name, sizeof(name), "sluice_status_%s_total",
				status_counter_info[k].name);
			prom_add(p, PROM_COUNTER, name, status_counter_info[k].help, l,
				st.counters[k]);
		}
	}
}
