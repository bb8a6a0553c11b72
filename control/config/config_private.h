// SPDX-License-Identifier: Apache-2.0
/*
 * config_private.h: what the files of this folder share.
 */
#pragma once

#include "control/config/config.h"

extern const struct yaml_schema config_site_schema;

const char *config_check_label(struct str s); /* as clusters, dataplanes and sites are named */
