// SPDX-License-Identifier: Apache-2.0
/*
 * remember.h: an API server's object as text from which object_decode_json() makes it again.
 *
 * Only what a schema reads is in it: of ConfigMaps the CA, of kinds without a schema the metadata.
 * Secrets are not remembered at all: keys and tokens have no business in such files.
 */
#pragma once

#include <jansson.h>

#include "control/model/object.h"

bool object_is_remembered(enum kind kind);
/* One line of JSON without its status, for free(); NULL: not remembered. */
char *object_remember(const json_t *doc, enum kind kind);
