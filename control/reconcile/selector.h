// SPDX-License-Identifier: Apache-2.0
/*
 * selector.h: Calico's selector expressions, as federated Services use them.
 *
 *	expr := or ; or := and ("||" and)* ; and := not ("&&" not)* ; not := "!"* atom
 *	atom := "(" or ")" | "all()" | "global()" | "has(" label ")" | label op
 *	op   := "==" str | "!=" str | "in" set | "not in" set | "contains" str
 *		| "starts with" str | "ends with" str
 *	set  := "{" [str ("," str)* [","]] "}"
 *
 * A string stands in single or double quotes and knows no escapes; a label is one to 512 of
 * [A-Za-z0-9_./-]; blanks (SP, HTAB) may stand between all tokens, and those inside an operator may
 * be left out ("notin"). "!=" and "not in" hold also where the label is absent; an empty expression
 * selects everything.
 * Standard: Calico Enterprise documentation, "Federated services"; libcalico-go lib/selector.
 */
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/err.h"
#include "dataplane/yaml/yaml_decode.h"

struct selector; /* lives in its arena; NULL selects everything */

/* Returns 0, or -EINVAL with the place and what was expected there. */
int selector_parse(struct str text, struct arena *arena, const struct selector **ret,
	struct err *err);
bool selector_matches(const struct selector *s, const struct kv_list *labels);
