// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_tree.h: a YAML file as a tree that remembers its lines.
 *
 * Both programs and every manifest come through here. A file is read whole or not at all: one
 * syntax error and the caller keeps what it had. The subset is what `kubectl apply` sees in
 * practice: several documents, block and flow style, all scalar styles. Refused with a sentence:
 * anchors and aliases (they make small files large), tags other than !!str, keys that are not
 * scalars, the same key twice in one map, and everything beyond the limits below.
 *
 * Scalars are not converted, because only the reader knows the type it wants: a plain 80 is a
 * number and "80" is a string, and the typed readers insist on the right one as an API server does.
 * Plain null, ~ and nothing at all mean "absent".
 * Standards: YAML 1.1 as read by libyaml; plain scalars are typed as sigs.k8s.io/yaml does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/arena.h"
#include "dataplane/base/err.h"
#include "dataplane/base/str.h"

#define YAML_BYTES_MAX (16u << 20) /* of one file */
#define YAML_DEPTH_MAX 64u
#define YAML_NODES_MAX (1u << 20) /* of one file */
#define YAML_KEYS_MAX 1024u	  /* of one map; bounds the search for duplicates */

enum yaml_kind { YAML_KIND_NULL = 0, YAML_KIND_SCALAR, YAML_KIND_SEQ, YAML_KIND_MAP };

struct yaml_node {
	enum yaml_kind kind;
	bool quoted;			      /* a scalar in quotes or a block: always a string */
	uint32_t line, key_line;	      /* of the value and of its key, from 1 */
	uint32_t count;			      /* children of a map or sequence */
	struct str key;			      /* in a map: the key of this value */
	struct str text;		      /* of a scalar */
	const struct yaml_node *first, *next; /* first child, next sibling */
};

struct yaml_file {
	struct arena arena;	      /* owns every node and string */
	const char *name;	      /* as errors show it; owned by the arena */
	const struct yaml_node *docs; /* roots, linked by next; empty documents are left out */
	uint32_t doc_count;
};

#define yaml_for_each(it, parent) \
	for (const struct yaml_node *it = (parent) ? (parent)->first : NULL; it != NULL; \
		it = it->next)

/* *ret is only valid on success and ends with yaml_file_fini(). -EINVAL or the errno of reading. */
int yaml_parse(struct str text, const char *name, struct yaml_file *ret, struct err *err);
int yaml_load(const char *path, struct yaml_file *ret, struct err *err);
void yaml_file_fini(struct yaml_file *f);
/* The bytes of a regular file of at most YAML_BYTES_MAX; *ret_text is for free(). */
int yaml_read_file(const char *path, char **ret_text, size_t *ret_len, struct err *err);

/* The value of <key>; NULL when it is absent or null, or <map> is NULL or no map. */
const struct yaml_node *yaml_get(const struct yaml_node *map, const char *key);

/* "a map", "the number 80", ...: what stands there, for the sentences of errors. */
const char *yaml_describe(const struct yaml_node *n, char *buf, size_t size);
bool yaml_is_string(const struct yaml_node *n);

/* "<file>:<line>: <field>: <sentence>", returns -EINVAL. */
int yaml_fail(const struct yaml_file *f, const struct yaml_node *n, const char *field,
	struct err *err, const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Typed readers: 0, or -EINVAL with a sentence about the value alone; *ret is then untouched. */
int yaml_to_str(const struct yaml_node *n, struct str *ret, struct err *err);
int yaml_to_bool(const struct yaml_node *n, bool *ret, struct err *err);
int yaml_to_int(const struct yaml_node *n, int64_t min, int64_t max, int64_t *ret, struct err *err);

/*
 * The same with the place: 0, or -EINVAL with "<file>:<line>: <field>: ...". <field>
 * is what the user knows the place by ("listeners[0].port"). <n> is not NULL.
 */
int yaml_read_str(const struct yaml_file *f, const struct yaml_node *n, const char *field,
	struct str *ret, struct err *err);
int yaml_read_bool(const struct yaml_file *f, const struct yaml_node *n, const char *field,
	bool *ret, struct err *err);
int yaml_read_int(const struct yaml_file *f, const struct yaml_node *n, const char *field,
	int64_t min, int64_t max, int64_t *ret, struct err *err);
