// SPDX-License-Identifier: Apache-2.0
/*
 * addresses.h: which VIPs a Gateway has had.
 *
 * Addresses of the spec are taken as they are when they are usable; else they come from the pools
 * of control.yaml. What was assigned once stays, also when another Gateway asks for it by value: the address book remembers it by Gateway, in the
 * plan's inputs and, across restarts, in a file of the state directory.
 */
#pragma once

#include "dataplane/base/arena.h"
#include "dataplane/base/err.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"

struct object;
struct plan;

struct address_entry {
	struct str cluster, ns, name; /* of the Gateway */
	const struct str *addresses;  /* as text, from the pools only */
	uint32_t addresses_count;
};

struct address_book {
	const struct address_entry *entries; /* by cluster, namespace, name */
	uint32_t entries_count;
	bool unsaved; /* the file does not say so yet: the last time it could not be written */
	struct arena arena;
};

/* A missing file is an empty book. *ret is for address_book_free(). */
int address_book_load(const char *path, struct address_book **ret, struct err *err);
/*
 * Takes over what <plan> assigned from pools, and saves it (write, fsync, rename) when that
 * changed anything, or the last time failed. Gateways that the plan does not have, or has without
 * any address, keep what nobody else got meanwhile: they may be away only because their API server
 * is. On an error the book in memory is up to date all the same.
 */
int address_book_update(struct address_book *b, const struct plan *plan, const char *path,
	struct err *err);
void address_book_free(struct address_book *b); /* NULL is fine */
/*
 * For a Gateway without an entry: the IP addresses that its status in the API server names; none
 * when it has no status.
 */
void address_book_adopt(const struct object *gateway, struct arena *arena, const struct str **ret,
	uint32_t *ret_count);
/* NULL when the Gateway has no entry; <b> may be NULL. */
const struct address_entry *address_book_find(const struct address_book *b, struct str cluster,
	struct str ns, struct str name);
