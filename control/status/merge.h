// SPDX-License-Identifier: Apache-2.0
/*
 * merge.h: from the status that an object has to the one that it shall have.
 *
 * Others write into the same status. Kept as they are, byte for byte: entries of status.parents and
 * status.ancestors under other controllers' names, conditions of types that are not ours, fields
 * that we do not know. Pure: all times come with <desired>.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "dataplane/base/str.h"

/*
 * The members of status that change, as a merge patch wants them; NULL: nothing does, and nothing
 * shall be written. <present> may be NULL, and may have been written by anybody.
 *
 *	conditions		by type; lastTransitionTime moves only when status does
 *	listeners		by name; ours is the list, not every condition in it
 *	parents, ancestors	atomic lists: our entries replaced, the others kept in their places
 *	any other		replaced; one that is not in <desired> is left alone
 */
json_t *status_merge(const json_t *present, const json_t *desired, struct str controller);

/*
 * The patch changes nothing but how many routes are attached: such a change may wait for more of
 * its kind.
 */
bool status_patch_only_counts(const json_t *present, const json_t *patch);

/* status.conditions of a type, or NULL. */
const json_t *status_condition(const json_t *conditions, const char *type);
/* A member that is a string; else "". */
const char *status_text(const json_t *j, const char *key);
