// SPDX-License-Identifier: Apache-2.0
/*
 * gateway_port.h: one item of gateway.yaml's `ports`; private to gateway_config.c.
 */
#pragma once

#include "dataplane/yaml/yaml_decode.h"

extern const struct yaml_schema gateway_port_schema; /* of struct gateway_port */

/* What the names of dataplanes and ports are made of. */
const char *gateway_check_label(struct str s);
