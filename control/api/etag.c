// SPDX-License-Identifier: Apache-2.0
/*
 * etag.c: SipHash under a fixed key: equal bodies have equal tags, also after a restart.
 */
#include "control/api/etag.h"

#include <inttypes.h>
#include <stdio.h>

#include "dataplane/base/hash.h"

void etag_of(struct str body, char ret[ETAG_STRLEN])
{
	static const struct hash_key key = {{0x736c75696365, 0x65746167}};

	snprintf(ret, ETAG_STRLEN, "\"%016" PRIx64 "\"", siphash(&key, body.p, body.len));
}

bool etag_matches(struct str if_none_match, const char *etag)
{
	struct str want = str_of(etag);

	/* our tags hold no comma, so a comma inside a foreign tag only breaks what cannot match */
	while (if_none_match.p != NULL) {
		struct str tag = str_trim(str_cut(&if_none_match, ','));

		if (str_starts(tag, STR("W/")))
			tag = str_from(tag, 2);
		if (str_eq(tag, want) || str_eq(tag, STR("*")))
			return true;
	}
	return false;
}
