// SPDX-License-Identifier: Apache-2.0
/*
 * hostname.h: what a listener's and a route's hostname have in common.
 *
 * Gateway API, Listener.hostname and HTTPRouteSpec.hostnames: a wildcard "*.example.com" stands for
 * every name that has one or more labels before ".example.com", not for example.com itself. Both
 * sides are lower case already (the CRDs' patterns).
 */
#pragma once

#include "dataplane/base/str.h"

/*
 * The names that match both, as one hostname: the more specific of the two. Empty means any name.
 * False when no name matches both; *ret is then untouched.
 */
bool hostname_intersect(struct str a, struct str b, struct str *ret);
/* True when <name>, which is no wildcard, is one of those that <pattern> stands for. */
bool hostname_matches(struct str pattern, struct str name);
