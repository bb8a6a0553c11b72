// SPDX-License-Identifier: Apache-2.0
/*
 * addresses.h: which VIPs a Gateway has.
 *
 * Addresses of the spec are taken as they are when they are usable; else they come from the pools
 * of control.yaml. What was assigned once stays: the address book remembers it by Gateway, in the
 * plan's inputs and, across restarts, in a file of the state directory.
 */
#pragma once

#include "dataplane/base/err.h"
#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"

struct plan;
struct address_book;

/* A missing file is an empty book. */
int address_book_load(const char *path, struct address_book **ret, struct err *err);
/* Takes over what <plan> assigned; saves (write, fsync, rename) when that changed anything. */
int address_book_update(struct address_book *b, const struct plan *plan, const char *path,
	struct err *err);
void address_book_free(struct address_book *b); /* NULL is fine */
