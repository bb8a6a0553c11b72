// SPDX-License-Identifier: Apache-2.0
/*
 * edits.h: the journal of operators' weights: entries in a row, and a file that holds them.
 *
 *	magic "SLUCFED1"
 *	entry	length of the payload 32, checksum of type and payload 32, type 8, payload
 *
 * An entry that is cut off or damaged ends the journal: what stands before it holds. The file is then
 * kept under the name FILE.damaged.
 */
#pragma once

#include "federation/federation.h"

#define EDITS_MAGIC "SLUCFED1"
#define EDITS_MAGIC_BYTES 8u
#define EDITS_ENTRY_BYTES 9u
#define EDITS_FILE_MAX (32u << 20)

enum edits_type {
	EDITS_RECORD = 1, /* a weight as it is sent, signature and all */
	EDITS_LOST,	  /* one that lost, for the log */
	EDITS_EPOCH,	  /* 64 bits: a start of this site */
};

/* Bytes written; <to> has room for EDITS_ENTRY_BYTES and the payload. */
size_t edits_put(uint8_t *to, enum edits_type type, const void *payload, size_t len);
/* False at the end and at damage; then <rest> is what is left. */
bool edits_next(struct str *rest, enum edits_type *ret_type, struct str *ret_payload);

struct edits_file;

/* <path> need not exist; its folder must. */
struct edits_file *edits_file_new(const char *path);
void edits_file_free(struct edits_file *f); /* NULL is fine */
struct federation_store edits_file_store(struct edits_file *f);
