// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_decode.h: from tree to struct by table.
 *
 * A schema is a table of fields: key, type, place in the struct, limits, default. Decoding fills
 * the struct, applies defaults, and reports everything that is wrong, each with its line and its
 * path ("spec.rules[0].backendRefs[1].port"), so that a user sees all of his mistakes at once.
 * What one field cannot say (two fields that exclude each other, defaults of lists) is said by the
 * schema's finish function.
 *
 *	static const struct yaml_field port_fields[] = {
 *		YAML_U16(struct port, "port", port, .required = true, .min = 1, .max = 65535),
 *		YAML_STR(struct port, "name", name, .max = 63, .check = is_dns_label),
 *	};
 */
#pragma once

#include "dataplane/yaml/yaml_tree.h"

struct kv {
	struct str key, value;
};

struct kv_list {
	const struct kv *items; /* sorted by key */
	uint32_t count;
};

/* The value of <key>, or {NULL, 0} when it is absent. */
struct str kv_find(const struct kv_list *l, struct str key);

enum tristate { TRI_ABSENT = 0, TRI_FALSE, TRI_TRUE };

enum yaml_field_type {
	YAML_TYPE_STR = 0,  /* struct str; p == NULL: absent */
	YAML_TYPE_CSTR,	    /* const char *; NULL: absent */
	YAML_TYPE_BOOL,	    /* bool */
	YAML_TYPE_TRISTATE, /* enum tristate */
	YAML_TYPE_U16,
	YAML_TYPE_U32,
	YAML_TYPE_ENUM,	    /* int: index in words */
	YAML_TYPE_DURATION, /* uint32_t, milliseconds: "1h30m", "250ms" (GEP-2257) */
	YAML_TYPE_SIZE,	    /* uint32_t, bytes: 4096, "256Ki", "64Mi" */
	YAML_TYPE_IP_NET,   /* struct ip_net */
	YAML_TYPE_MAP,	    /* struct kv_list, string to string */
	YAML_TYPE_OBJECT,   /* a struct in place */
	YAML_TYPE_POINTER,  /* a struct of its own; NULL: absent */
	YAML_TYPE_LIST,	    /* pointer to the first element, and a uint32_t count */
	YAML_TYPE_PRESENT,  /* bool: the key is there, whatever it holds */
	YAML_TYPE_IGNORED,  /* known, and not read */
};

struct yaml_schema;

struct yaml_field {
	const char *key;
	enum yaml_field_type type;
	bool required;
	size_t offset, count_offset; /* count_offset: of a list's count */
	int64_t min, max;	     /* of number, string length, list items; max 0: any */
	/* NULL when the string is fine, else how it must be: "must be ..." */
	const char *(*check)(struct str s);
	const char *const *words;	  /* the only strings allowed, ends with NULL */
	const struct yaml_schema *schema; /* of the struct, or of a list's elements */
	const char *def;		  /* the default of a scalar, as text */
};

struct yaml_decoder;

struct yaml_schema {
	size_t size;
	const struct yaml_field *fields; /* NULL: elements are scalars, described by <scalar> */
	uint32_t fields_count;
	const struct yaml_field *scalar;
	/* Rules across fields, after all of them were read well; reports with yaml_report(). */
	void (*finish)(struct yaml_decoder *d, const struct yaml_node *n, void *obj);
};

struct yaml_decoder {
	struct arena *arena; /* strings and lists are copied into it */
	bool strict;	     /* an unknown key is an error, else a warning */
	void (*report)(struct yaml_decoder *d, bool fatal, uint32_t line, const char *path,
		const char *what);
	void *ctx;		   /* the reporter's own */
	unsigned errors, warnings; /* zero before the first decode */
	size_t path_len;
	char path[512];
};

#define YAML_REPORTS_MAX 32u /* of one decode; what comes after is not looked at */

/* 0, or -EINVAL after at least one fatal report. <n> NULL counts as an empty map. */
int yaml_decode(struct yaml_decoder *d, const struct yaml_node *n, const struct yaml_schema *s,
	void *ret);
/* A fatal report at <n>, below the present path: <field> may be NULL. */
void yaml_report(struct yaml_decoder *d, const struct yaml_node *n, const char *field,
	const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* "1h30m" and the like into milliseconds; false on anything else or above UINT32_MAX. */
bool yaml_duration_ms(struct str s, uint32_t *ret);

#define YAML_FIELD_(T, t, k, m, ...) \
	{ \
		.key = (k), .type = YAML_TYPE_##T, .offset = offsetof(t, m), __VA_ARGS__ \
	}
#define YAML_STR(t, k, m, ...) YAML_FIELD_(STR, t, k, m, __VA_ARGS__)
#define YAML_CSTR(t, k, m, ...) YAML_FIELD_(CSTR, t, k, m, __VA_ARGS__)
#define YAML_BOOL(t, k, m, ...) YAML_FIELD_(BOOL, t, k, m, __VA_ARGS__)
#define YAML_TRISTATE(t, k, m, ...) YAML_FIELD_(TRISTATE, t, k, m, __VA_ARGS__)
#define YAML_U16(t, k, m, ...) YAML_FIELD_(U16, t, k, m, __VA_ARGS__)
#define YAML_U32(t, k, m, ...) YAML_FIELD_(U32, t, k, m, __VA_ARGS__)
#define YAML_ENUM(t, k, m, w, ...) YAML_FIELD_(ENUM, t, k, m, .words = (w), __VA_ARGS__)
#define YAML_DURATION(t, k, m, ...) YAML_FIELD_(DURATION, t, k, m, __VA_ARGS__)
#define YAML_SIZE(t, k, m, ...) YAML_FIELD_(SIZE, t, k, m, __VA_ARGS__)
#define YAML_MAP(t, k, m, ...) YAML_FIELD_(MAP, t, k, m, __VA_ARGS__)
#define YAML_OBJECT(t, k, m, s, ...) YAML_FIELD_(OBJECT, t, k, m, .schema = (s), __VA_ARGS__)
#define YAML_POINTER(t, k, m, s, ...) YAML_FIELD_(POINTER, t, k, m, .schema = (s), __VA_ARGS__)
/* The count of list <m> is member <m>_count. */
#define YAML_LIST(t, k, m, s, ...) \
	YAML_FIELD_(LIST, t, k, m, .count_offset = offsetof(t, m##_count), .schema = (s), \
		__VA_ARGS__)
#define YAML_PRESENT(t, k, m, ...) YAML_FIELD_(PRESENT, t, k, m, __VA_ARGS__)
#define YAML_IGNORED(k) \
	{ \
		.key = (k), .type = YAML_TYPE_IGNORED \
	}
#define YAML_SCHEMA(t, f, ...) \
	{ \
		.size = sizeof(t), .fields = (f), .fields_count = sizeof(f) / sizeof((f)[0]), \
		__VA_ARGS__ \
	}
#define YAML_SCALARS(t, f) \
	{ \
		.size = sizeof(t), .scalar = (f) \
	}
