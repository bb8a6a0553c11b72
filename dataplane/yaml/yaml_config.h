// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_config.h: how both programs read their own configuration: one document, unknown keys are
 * errors, and the first complaint is the sentence that the operator gets, with file and line.
 */
#pragma once

#include "dataplane/yaml/yaml_decode.h"

/* On success <ret> is whole and its texts lie in <ret_arena>; else nothing is left behind. */
int yaml_config_load(const char *path, const struct yaml_schema *schema, void *ret,
	struct arena *ret_arena, struct err *err);
/* In a finish function: a path that does not begin with '/' is meant from the file's folder. */
const char *yaml_config_resolve(const struct yaml_decoder *d, const char *path);

/* Checks: NULL, or how it must be. */
const char *yaml_config_check_url(struct str s);  /* ipc:///... */
const char *yaml_config_check_mode(struct str s); /* "0660" */

extern const char *const yaml_config_log_levels[]; /* as enum log_level */
