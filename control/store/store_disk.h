// SPDX-License-Identifier: Apache-2.0
/*
 * store_disk.h: the objects of one kind of one API server as a file, for the time after a restart.
 *
 *	sluice-objects 1 us-west HTTPRoute
 *	<object as JSON> TAB <its status, or nothing>	(one line each; JSON has no bare TAB or LF)
 *	end <count> <CRC-32C of all before this line, 8 hexadecimal digits>
 *
 * A file is taken whole or not at all; an object in it that is not valid (rules may have become
 * stricter with a new version of this program) costs itself only. Pure but for store_disk_load().
 */
#pragma once

#include "control/store/store_api.h"
#include "dataplane/base/err.h"

#define STORE_DISK_BYTES_MAX (256u << 20)
#define STORE_DISK_OBJECTS_MAX 100000u /* of one kind: the client's bound */

enum store_disk_fault {
	STORE_DISK_OK = 0,
#define STORE_DISK_FAULT(NAME, name, help) STORE_DISK_##NAME,
#include "control/store/store_disk.def"
#undef STORE_DISK_FAULT
	STORE_DISK_FAULT_COUNT
};

struct store_disk_fault_info {
	const char *name, *sentence;
};
extern const struct store_disk_fault_info store_disk_fault_info[STORE_DISK_FAULT_COUNT];

struct store_disk_result {
	uint32_t objects, invalid;
	uint32_t changes; /* of those since; the caller's */
};

/* Any thread. -EFBIG: it would be larger than is ever read again. *ret is for free(). */
int store_disk_text(const struct store_shot *s, char **ret, size_t *ret_len, struct err *err);
/* Fills <k>; nothing is touched unless the answer is STORE_DISK_OK. */
enum store_disk_fault store_disk_parse(struct store_kind *k, struct str text,
	struct store_disk_result *ret);
/* One record, which takes the place of what there is of the same name. False: it is not valid. */
bool store_disk_replace(struct store_kind *k, struct str line);
/* The same from a file. -ENOENT: there is none. Else 0, with *ret_fault; <err> says more of a fault. */
int store_disk_load(struct store_kind *k, const char *path, enum store_disk_fault *ret_fault,
	struct store_disk_result *ret, struct err *err);
