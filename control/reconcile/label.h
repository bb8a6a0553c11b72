// SPDX-License-Identifier: Apache-2.0
/*
 * label.h: Kubernetes label selectors (metav1.LabelSelector) on the labels of namespaces.
 */
#pragma once

#include "control/model/gateway.h"

/* All parts must hold; NotIn and DoesNotExist also hold where the label is absent. */
bool label_selector_matches(const struct label_selector *s, const struct kv_list *labels);
