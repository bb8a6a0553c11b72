// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_read.c: scalars as the type that the reader wants.
 *
 * A plain scalar has the type that sigs.k8s.io/yaml gives it (YAML 1.1: yes and on are booleans),
 * so what is accepted here is what an API server would accept in the same place.
 */
#include "dataplane/yaml/yaml_tree.h"

#include <errno.h>
#include <stdio.h>

static bool is_one_of(struct str s, const char *const *words)
{
	for (; *words != NULL; words++)
		if (str_eq(s, str_of(*words)))
			return true;
	return false;
}

/* 1 true, 0 false, -1 no boolean. */
static int plain_bool(struct str s)
{
	static const char *const yes[] = {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE",
		"on", "On", "ON", NULL};
	static const char *const no[] = {"n", "N", "no", "No", "NO", "false", "False", "FALSE",
		"off", "Off", "OFF", NULL};

	return is_one_of(s, yes) ? 1 : is_one_of(s, no) ? 0 : -1;
}

static struct str skip_sign(struct str s)
{
	return s.len && (s.p[0] == '-' || s.p[0] == '+') ? str_from(s, 1) : s;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t digits(struct str s, size_t from)
{
	size_t i = from;

	while (i < s.len && (is_digit(s.p[i]) || (s.p[i] == '_' && i > from)))
		i++;
	return i;
}

/* 0x, 0o and 0b with nothing but their digits behind them: "0xyz" is a name. */
static bool prefixed_number(struct str s)
{
	static const char hex[] = "0123456789abcdefABCDEF_", octal[] = "01234567_",
			  binary[] = "01_";
	const char *set = s.len < 3 || s.p[0] != '0' ? NULL
		: s.p[1] == 'x'			     ? hex
		: s.p[1] == 'o'			     ? octal
		: s.p[1] == 'b'			     ? binary
						     : NULL;

	for (size_t i = 2; set != NULL && i < s.len; i++)
		if (s.p[i] == '\0' || strchr(set, s.p[i]) == NULL)
			return false;
	return set != NULL;
}

/* [-+]? (digits [. digits?] | . digits) ([eE] [-+]? digits)? */
static bool plain_number(struct str s)
{
	static const char *const odd[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};
	size_t i, whole;

	if (is_one_of(skip_sign(s), odd))
		return true;
	s = skip_sign(s);
	if (prefixed_number(s))
		return true;
	i = whole = digits(s, 0);
	if (i < s.len && s.p[i] == '.')
		i = digits(s, i + 1);
	if (i == 0 || (whole == 0 && i == 1))
		return false;
	if (i < s.len && (s.p[i] == 'e' || s.p[i] == 'E')) {
		size_t e = i + 1;

		if (e < s.len && (s.p[e] == '-' || s.p[e] == '+'))
			e++;
		i = digits(s, e);
		if (i == e)
			return false;
	}
	return i == s.len;
}

bool yaml_is_string(const struct yaml_node *n)
{
	if (n->kind != YAML_KIND_SCALAR)
		return false;
	return n->quoted || (plain_bool(n->text) < 0 && !plain_number(n->text));
}

const char *yaml_describe(const struct yaml_node *n, char *buf, size_t size)
{
	struct str s = str_first(n->text, 60);

	if (n->kind == YAML_KIND_NULL)
		snprintf(buf, size, "nothing");
	else if (n->kind == YAML_KIND_SEQ)
		snprintf(buf, size, "a list");
	else if (n->kind == YAML_KIND_MAP)
		snprintf(buf, size, "a map");
	else if (yaml_is_string(n))
		snprintf(buf, size, "the string \"%.*s\"", STR_FMT(s));
	else
		snprintf(buf, size, "the %s %.*s", plain_bool(s) < 0 ? "number" : "boolean",
			STR_FMT(s));
	return buf;
}

static int wrong_type(const struct yaml_node *n, const char *want, const char *hint,
	struct err *err)
{
	char buf[128];

	return err_set(err, EINVAL, "must be %s, but is %s%s", want,
		yaml_describe(n, buf, sizeof(buf)), hint);
}

int yaml_to_str(const struct yaml_node *n, struct str *ret, struct err *err)
{
	if (!yaml_is_string(n))
		return wrong_type(n, "a string",
			n->kind == YAML_KIND_SCALAR ? " (put it in quotes)" : "", err);
	*ret = n->text;
	return 0;
}

int yaml_to_bool(const struct yaml_node *n, bool *ret, struct err *err)
{
	int v = n->kind == YAML_KIND_SCALAR && !n->quoted ? plain_bool(n->text) : -1;

	if (v < 0)
		return wrong_type(n, "true or false", "", err);
	*ret = v == 1;
	return 0;
}

static bool plain_int(struct str s, int64_t *ret)
{
	bool neg = s.len && s.p[0] == '-';
	struct str d = skip_sign(s);
	uint64_t v;

	/* YAML 1.1 reads 010 as eight: nobody who writes it means that. */
	if ((d.len > 1 && d.p[0] == '0') || !str_to_u64(d, &v) || v > INT64_MAX)
		return false;
	*ret = neg ? -(int64_t)v : (int64_t)v;
	return true;
}

int yaml_to_int(const struct yaml_node *n, int64_t min, int64_t max, int64_t *ret, struct err *err)
{
	int64_t v;

	if (n->kind != YAML_KIND_SCALAR || yaml_is_string(n))
		return wrong_type(n, "a number", n->quoted ? " (remove the quotes)" : "", err);
	if (!plain_int(n->text, &v))
		return wrong_type(n, "a whole decimal number", "", err);
	if (v < min || v > max)
		return err_set(err, EINVAL, "must be between %lld and %lld, but is %lld",
			(long long)min, (long long)max, (long long)v);
	*ret = v;
	return 0;
}

int yaml_fail(const struct yaml_file *f, const struct yaml_node *n, const char *field,
	struct err *err, const char *fmt, ...)
{
	struct err what;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what.msg, sizeof(what.msg), fmt, ap);
	va_end(ap);
	return err_set(err, EINVAL, "%s:%u: %s: %s", f->name, n->line, field, what.msg);
}

static int at_place(int rc, const struct yaml_file *f, const struct yaml_node *n, const char *field,
	struct err *err)
{
	if (rc < 0)
		err_wrap(err, "%s:%u: %s", f->name, n->line, field);
	return rc;
}

int yaml_read_str(const struct yaml_file *f, const struct yaml_node *n, const char *field,
	struct str *ret, struct err *err)
{
	return at_place(yaml_to_str(n, ret, err), f, n, field, err);
}

int yaml_read_bool(const struct yaml_file *f, const struct yaml_node *n, const char *field,
	bool *ret, struct err *err)
{
	return at_place(yaml_to_bool(n, ret, err), f, n, field, err);
}

int yaml_read_int(const struct yaml_file *f, const struct yaml_node *n, const char *field,
	int64_t min, int64_t max, int64_t *ret, struct err *err)
{
	return at_place(yaml_to_int(n, min, max, ret, err), f, n, field, err);
}
