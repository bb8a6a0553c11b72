// SPDX-License-Identifier: Apache-2.0
/*
 * label.h: Kubernetes label selectors (metav1.LabelSelector) on the labels of namespaces.
 *
 * Their rules (names of operators, values where they belong, the form of labels) are those of
 * apimachinery's validation, which no CRD applies. A selector that breaks one selects nothing,
 * because one that selected by accident would let foreign routes in.
 */
#pragma once

#include "control/model/gateway.h"

/* What is wrong with it, as a clause that begins with the field; NULL: nothing. */
const char *label_selector_fault(struct arena *a, const struct label_selector *s);
/* All parts must hold; NotIn and DoesNotExist also hold where the label is absent. */
bool label_selector_matches(const struct label_selector *s, const struct kv_list *labels);
