// SPDX-License-Identifier: Apache-2.0
/*
 * label.c: see label.h.
 */
#include "control/reconcile/label.h"

static bool one_of(struct str value, const struct label_requirement *r)
{
	for (uint32_t i = 0; i < r->values_count; i++)
		if (str_eq(value, r->values[i]))
			return true;
	return false;
}

static bool requirement_holds(const struct label_requirement *r, const struct kv_list *labels)
{
	struct str v = kv_find(labels, r->key);

	switch (r->op) {
	case LABEL_IN:
		return v.p != NULL && one_of(v, r);
	case LABEL_NOT_IN:
		return v.p == NULL || !one_of(v, r);
	case LABEL_EXISTS:
		return v.p != NULL;
	case LABEL_DOES_NOT_EXIST:
		return v.p == NULL;
	}
	return false;
}

bool label_selector_matches(const struct label_selector *s, const struct kv_list *labels)
{
	for (uint32_t i = 0; i < s->match_labels.count; i++) {
		const struct kv *want = &s->match_labels.items[i];
		struct str v = kv_find(labels, want->key);

		if (v.p == NULL || !str_eq(v, want->value))
			return false;
	}
	for (uint32_t i = 0; i < s->expressions_count; i++)
		if (!requirement_holds(&s->expressions[i], labels))
			return false;
	return true;
}
