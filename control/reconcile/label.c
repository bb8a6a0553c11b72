// SPDX-License-Identifier: Apache-2.0
/*
 * label.c: see label.h.
 */
#include "control/reconcile/label.h"

#include "control/model/check.h"

enum label_op { LABEL_IN = 0, LABEL_NOT_IN, LABEL_EXISTS, LABEL_DOES_NOT_EXIST, LABEL_UNKNOWN };

static enum label_op op_of(struct str word)
{
	static const char *const words[] = {"In", "NotIn", "Exists", "DoesNotExist"};
	unsigned i = 0;

	while (i < LABEL_UNKNOWN && !str_eq(word, str_of(words[i])))
		i++;
	return (enum label_op)i;
}

/* Of one expression: field and fault, NULL when there is none. */
static const char *expression_fault(const struct label_requirement *r, const char **ret_field)
{
	enum label_op op = op_of(r->op);
	bool wants = op == LABEL_IN || op == LABEL_NOT_IN;
	const char *how = check_label_key(r->key);

	*ret_field = "key";
	if (how != NULL)
		return how;
	*ret_field = "operator";
	if (op == LABEL_UNKNOWN)
		return "must be In, NotIn, Exists or DoesNotExist";
	*ret_field = "values";
	if (wants && r->values_count == 0)
		return "must not be empty when operator is In or NotIn";
	if (!wants && r->values_count != 0)
		return "must be empty when operator is Exists or DoesNotExist";
	for (uint32_t i = 0; i < r->values_count && how == NULL; i++)
		how = check_label_value(r->values[i]);
	return how;
}

const char *label_selector_fault(struct arena *a, const struct label_selector *s)
{
	for (uint32_t i = 0; i < s->match_labels.count; i++) {
		const struct kv *want = &s->match_labels.items[i];
		const char *how = check_label_key(want->key) ?: check_label_value(want->value);

		if (how != NULL)
			return arena_printf(a, "matchLabels[%.*s]: %s",
				STR_FMT(str_first(want->key, 100)), how);
	}
	for (uint32_t i = 0; i < s->expressions_count; i++) {
		const char *field, *how = expression_fault(&s->expressions[i], &field);

		if (how != NULL)
			return arena_printf(a, "matchExpressions[%u].%s: %s", i, field, how);
	}
	return NULL;
}

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
	const char *field;

	if (expression_fault(r, &field) != NULL)
		return false;
	switch (op_of(r->op)) {
	case LABEL_IN:
		return v.p != NULL && one_of(v, r);
	case LABEL_NOT_IN:
		return v.p == NULL || !one_of(v, r);
	case LABEL_EXISTS:
		return v.p != NULL;
	case LABEL_DOES_NOT_EXIST:
		return v.p == NULL;
	case LABEL_UNKNOWN:
		break;
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
