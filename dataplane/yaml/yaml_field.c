// SPDX-License-Identifier: Apache-2.0
/*
 * yaml_field.c: one scalar into one member of a struct, within the field's limits.
 */
#include "dataplane/yaml/yaml_field.h"

#include <errno.h>
#include <stdio.h>

#include "dataplane/base/ip.h"

static bool one_of(struct str s, const char *const *words, int *ret_index)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (str_eq(s, str_of(words[i]))) {
			*ret_index = i;
			return true;
		}
	}
	return false;
}

static int word_error(const struct yaml_field *f, struct str s, struct err *err)
{
	char list[256] = "";
	size_t n = 0;

	for (int i = 0; f->words[i] != NULL && n < sizeof(list); i++)
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s",
			i == 0				  ? ""
				: f->words[i + 1] != NULL ? ", "
							  : " or ",
			f->words[i]);
	return err_set(err, EINVAL, "must be %s, but is \"%.*s\"", list, STR_FMT(str_first(s, 60)));
}

static int check_text(const struct yaml_field *f, struct str s, struct err *err)
{
	const char *how = f->check != NULL ? f->check(s) : NULL;

	if (how != NULL)
		return err_set(err, EINVAL, "%s, but is \"%.*s\"", how, STR_FMT(str_first(s, 100)));
	return 0;
}

int yaml_field_check(const struct yaml_field *f, struct str s, struct err *err)
{
	int i;

	if (f->type == YAML_TYPE_MAP)
		return check_text(f, s, err);
	if ((int64_t)s.len < f->min)
		return err_set(err, EINVAL, "must not be %s", s.len ? "so short" : "empty");
	if (f->max != 0 && (int64_t)s.len > f->max)
		return err_set(err, EINVAL, "must have at most %lld bytes, but has %zu",
			(long long)f->max, s.len);
	if (f->words != NULL && !one_of(s, f->words, &i))
		return word_error(f, s, err);
	return check_text(f, s, err);
}

static bool unit_ms(struct str *s, uint64_t *ret)
{
	static const struct {
		struct str name;
		uint64_t ms;
	} units[] = {{{"ms", 2}, 1}, {{"h", 1}, 3600000}, {{"m", 1}, 60000}, {{"s", 1}, 1000}};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (str_starts(*s, units[i].name)) {
			*s = str_from(*s, units[i].name.len);
			*ret = units[i].ms;
			return true;
		}
	}
	return false;
}

/* GEP-2257: ^([0-9]{1,5}(h|m|s|ms)){1,4}$ */
bool yaml_duration_ms(struct str s, uint32_t *ret)
{
	uint64_t total = 0, v, unit;

	for (int part = 0; part == 0 || s.len != 0; part++) {
		size_t n = 0;

		while (n < s.len && s.p[n] >= '0' && s.p[n] <= '9')
			n++;
		if (part == 4 || n > 5 || !str_to_u64(str_first(s, n), &v))
			return false;
		s = str_from(s, n);
		if (!unit_ms(&s, &unit))
			return false;
		total += v * unit;
	}
	if (total > UINT32_MAX)
		return false;
	*ret = (uint32_t)total;
	return true;
}

static bool size_bytes(struct str s, int64_t *ret)
{
	unsigned shift = str_ends(s, STR("Ki")) ? 10
		: str_ends(s, STR("Mi"))	? 20
		: str_ends(s, STR("Gi"))	? 30
						: 0;
	uint64_t v;

	if (!str_to_u64(str_first(s, s.len - (shift ? 2 : 0)), &v) ||
		v > ((uint64_t)INT64_MAX >> shift))
		return false;
	*ret = (int64_t)(v << shift);
	return true;
}

static int check_range(const struct yaml_field *f, int64_t v, struct err *err)
{
	if (v < f->min || (f->max != 0 && v > f->max))
		return err_set(err, EINVAL, "must be between %lld and %lld, but is %lld",
			(long long)f->min, (long long)f->max, (long long)v);
	return 0;
}

static int read_duration(const struct yaml_field *f, const struct yaml_node *n, uint32_t *ret,
	struct err *err)
{
	if (n->kind != YAML_KIND_SCALAR || !yaml_duration_ms(n->text, ret))
		return err_set(err, EINVAL,
			"must be a duration like 500ms, 10s or 1h30m, but is "
			"\"%.*s\"",
			STR_FMT(str_first(n->text, 60)));
	return check_range(f, *ret, err);
}

static int read_size(const struct yaml_field *f, const struct yaml_node *n, uint32_t *ret,
	struct err *err)
{
	int64_t v;
	int rc;

	if (n->kind != YAML_KIND_SCALAR || !size_bytes(n->text, &v))
		return err_set(err, EINVAL,
			"must be a size like 4096, 256Ki or 64Mi, but is "
			"\"%.*s\"",
			STR_FMT(str_first(n->text, 60)));
	rc = check_range(f, v, err);
	if (rc == 0)
		*ret = (uint32_t)v;
	return rc;
}

static int read_str(struct arena *arena, const struct yaml_field *f, const struct yaml_node *n,
	struct str *ret, struct err *err)
{
	struct str s;
	int rc = yaml_to_str(n, &s, err);

	if (rc == 0)
		rc = yaml_field_check(f, s, err);
	if (rc == 0)
		*ret = arena_str(arena, s);
	return rc;
}

static int read_cstr(struct arena *arena, const struct yaml_field *f, const struct yaml_node *n,
	const char **ret, struct err *err)
{
	struct str s;
	int rc = read_str(arena, f, n, &s, err);

	if (rc == 0 && memchr(s.p, '\0', s.len) != NULL)
		rc = err_set(err, EINVAL, "must not hold a NUL byte");
	if (rc == 0)
		*ret = s.p;
	return rc;
}

static int read_enum(const struct yaml_field *f, const struct yaml_node *n, int *ret,
	struct err *err)
{
	struct str s;
	int rc = yaml_to_str(n, &s, err);

	if (rc == 0 && !one_of(s, f->words, ret))
		rc = word_error(f, s, err);
	return rc;
}

static int read_net(const struct yaml_node *n, struct ip_net *ret, struct err *err)
{
	struct str s;
	int rc = yaml_to_str(n, &s, err);

	if (rc == 0 && !ip_net_parse(s, ret))
		rc = err_set(err, EINVAL,
			"must be an address or a network like 192.0.2.0/24 "
			"with no bits set behind the prefix, but is \"%.*s\"",
			STR_FMT(str_first(s, 60)));
	return rc;
}

static int read_number(const struct yaml_field *f, const struct yaml_node *n, void *at,
	struct err *err)
{
	int64_t top = f->type == YAML_TYPE_U16 ? UINT16_MAX : UINT32_MAX, v;
	int rc = yaml_to_int(n, f->min, f->max ? f->max : top, &v, err);

	if (rc == 0 && f->type == YAML_TYPE_U16)
		*(uint16_t *)at = (uint16_t)v;
	else if (rc == 0)
		*(uint32_t *)at = (uint32_t)v;
	return rc;
}

int yaml_field_read(struct arena *arena, const struct yaml_field *f, const struct yaml_node *n,
	void *at, struct err *err)
{
	bool b = false;
	int rc;

	switch (f->type) {
	case YAML_TYPE_STR:
		return read_str(arena, f, n, at, err);
	case YAML_TYPE_CSTR:
		return read_cstr(arena, f, n, at, err);
	case YAML_TYPE_ENUM:
		return read_enum(f, n, at, err);
	case YAML_TYPE_BOOL:
		return yaml_to_bool(n, at, err);
	case YAML_TYPE_TRISTATE:
		rc = yaml_to_bool(n, &b, err);
		if (rc == 0)
			*(enum tristate *)at = b ? TRI_TRUE : TRI_FALSE;
		return rc;
	case YAML_TYPE_DURATION:
		return read_duration(f, n, at, err);
	case YAML_TYPE_SIZE:
		return read_size(f, n, at, err);
	case YAML_TYPE_IP_NET:
		return read_net(n, at, err);
	default:
		return read_number(f, n, at, err);
	}
}
