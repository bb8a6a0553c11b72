// SPDX-License-Identifier: Apache-2.0
/*
 * json_tree.c: jansson's values into nodes. Duplicate keys were refused when the text was parsed.
 */
#include "control/model/json_tree.h"

#include <string.h>

static bool is_key(const char *key, const char *want, uint32_t depth, uint32_t at)
{
	return depth == at && strcmp(key, want) == 0;
}

/* Keys are looked for at their depth only; no spec has them there. */
static bool left_out(const char *key, uint32_t depth)
{
	return is_key(key, "status", depth, 0) || is_key(key, "managedFields", depth, 1) ||
		is_key(key, "kubectl.kubernetes.io/last-applied-configuration", depth, 2);
}

static struct yaml_node *node_of(struct arena *arena, const json_t *v, uint32_t depth);

static bool add_child(struct arena *arena, struct yaml_node *parent, struct yaml_node **last,
	const char *key, const json_t *v, uint32_t depth)
{
	struct yaml_node *n = node_of(arena, v, depth + 1);

	if (n == NULL)
		return false;
	n->key = str_of(key);
	if (*last != NULL)
		(*last)->next = n;
	else
		parent->first = n;
	*last = n;
	parent->count++;
	return true;
}

static bool add_children(struct arena *arena, struct yaml_node *n, const json_t *v, uint32_t depth)
{
	struct yaml_node *last = NULL;
	const char *key;
	json_t *item;
	size_t i;

	n->kind = json_is_object(v) ? YAML_KIND_MAP : YAML_KIND_SEQ;
	if (depth >= YAML_DEPTH_MAX)
		return false;
	json_object_foreach ((json_t *)v, key, item)
		if (!left_out(key, depth) && !add_child(arena, n, &last, key, item, depth))
			return false;
	json_array_foreach (v, i, item)
		if (!add_child(arena, n, &last, NULL, item, depth))
			return false;
	return true;
}

/* Numbers and booleans are plain scalars, as they would stand in YAML. */
static void scalar_fill(struct arena *arena, struct yaml_node *n, const json_t *v)
{
	n->kind = YAML_KIND_SCALAR;
	n->quoted = json_is_string(v);
	if (json_is_string(v))
		n->text = str_make(json_string_value(v), json_string_length(v));
	else if (json_is_integer(v))
		n->text = str_of(arena_printf(arena, "%lld", (long long)json_integer_value(v)));
	else if (json_is_real(v))
		n->text = str_of(arena_printf(arena, "%.17g", json_real_value(v)));
	else
		n->text = json_is_true(v) ? STR("true") : STR("false");
}

static struct yaml_node *node_of(struct arena *arena, const json_t *v, uint32_t depth)
{
	struct yaml_node *n = arena_new(arena, struct yaml_node);

	if (json_is_object(v) || json_is_array(v))
		return add_children(arena, n, v, depth) ? n : NULL;
	if (!json_is_null(v))
		scalar_fill(arena, n, v);
	return n;
}

struct yaml_node *json_tree(struct arena *arena, const json_t *doc)
{
	return node_of(arena, doc, 0);
}
