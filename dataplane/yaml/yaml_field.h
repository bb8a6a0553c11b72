// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_field.h: scalars by field description; between yaml_decode.c and yaml_field.c.
 */
#pragma once

#include "dataplane/yaml/yaml_decode.h"

/* Reads <n> as the type of <f> into <at>: 0, or -EINVAL with a sentence and <at> untouched. */
int yaml_field_read(struct arena *arena, const struct yaml_field *f, const struct yaml_node *n,
	void *at, struct err *err);
/* The limits of <f> on a string; of a map's field: on one of its values. */
int yaml_field_check(const struct yaml_field *f, struct str s, struct err *err);
