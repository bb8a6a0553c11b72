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

static bool matches(struct str list, const char *etag, bool weakly)
{
	struct str want = str_of(etag);

	/* our tags hold no comma, so a comma inside a foreign tag only breaks what cannot match */
	while (list.p != NULL) {
		struct str tag = str_trim(str_cut(&list, ','));

		if (weakly && str_starts(tag, STR("W/")))
			tag = str_from(tag, 2);
		if (str_eq(tag, want) || str_eq(tag, STR("*")))
			return true;
	}
	return false;
}

bool etag_matches(struct str if_none_match, const char *etag)
{
	return matches(if_none_match, etag, true);
}

bool etag_matches_strongly(struct str if_match, const char *etag)
{
	return matches(if_match, etag, false);
}
