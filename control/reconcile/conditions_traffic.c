// SPDX-License-Identifier: Apache-2.0
/*
 * conditions_traffic.c: what a ClusterTrafficPolicy is told, the same for each of its ancestors.
 */
#include "control/reconcile/reconcile.h"

void conditions_traffic(struct plan_policy *policy)
{
	for (uint32_t i = 0; i < policy->ancestors_count; i++)
		condition_set(&policy->ancestors[i].conditions, policy->obj, "Accepted",
			policy->holds, policy->reason, policy->message);
}
