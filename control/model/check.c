// SPDX-License-Identifier: Apache-2.0
/*
 * check.c: the patterns, written out as the loops that they are.
 */
#include "control/model/check.h"

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_alpha(char c)
{
	return is_lower(ascii_lower(c));
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_alpha(c) || is_digit(c);
}

static bool all_of(struct str s, const char *also)
{
	for (size_t i = 0; i < s.len; i++)
		if (!is_alnum(s.p[i]) && (s.p[i] == '\0' || strchr(also, s.p[i]) == NULL))
			return false;
	return true;
}

/* [a-z0-9]([-a-z0-9]*[a-z0-9])? */
static bool is_label(struct str s)
{
	if (s.len == 0 || s.p[0] == '-' || s.p[s.len - 1] == '-')
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (!is_lower(s.p[i]) && !is_digit(s.p[i]) && s.p[i] != '-')
			return false;
	return true;
}

static bool is_name(struct str s)
{
	do {
		if (!is_label(str_cut(&s, '.')))
			return false;
	} while (s.p != NULL);
	return true;
}

const char *check_dns_label(struct str s)
{
	return is_label(s) && s.len <= 63
		? NULL
		: "must be lower case letters, digits and '-', at most 63";
}

const char *check_dns_name(struct str s)
{
	return is_name(s) ? NULL : "must be lower case letters, digits, '-' and '.'";
}

const char *check_hostname(struct str s)
{
	struct str rest = str_starts(s, STR("*.")) ? str_from(s, 2) : s;

	return is_name(rest) ? NULL
			     : "must be a lower case DNS name, with at most a leading \"*.\"";
}

const char *check_group(struct str s)
{
	return s.len == 0 || is_name(s) ? NULL : "must be the name of an API group";
}

const char *check_kind(struct str s)
{
	bool ok = s.len && is_alpha(s.p[0]) && is_alnum(s.p[s.len - 1]) && all_of(s, "-");

	return ok ? NULL : "must be the name of a kind: letters, digits and '-'";
}

const char *check_header_name(struct str s)
{
	return s.len && all_of(s, "!#$%&'*+-.^_`|~") ? NULL : "must be an HTTP token";
}

static bool is_domain_path(struct str s, const char *also)
{
	ptrdiff_t slash = str_find(s, '/');
	struct str path = slash < 0 ? STR("") : str_from(s, (size_t)slash + 1);

	return slash > 0 && is_name(str_first(s, (size_t)slash)) && path.len && all_of(path, also);
}

const char *check_domain_path(struct str s)
{
	return is_domain_path(s, "/-._~%!$&'()*+,;=:")
		? NULL
		: "must be a domain and a path, like example.com/name";
}

const char *check_protocol(struct str s)
{
	bool word = s.len && is_alnum(s.p[0]) && is_alnum(s.p[s.len - 1]) && all_of(s, "-");

	return word || is_domain_path(s, "")
		? NULL
		: "must be a word like HTTP or a name like example.com/protocol";
}

const char *check_address_type(struct str s)
{
	if (str_eq(s, STR("IPAddress")) || str_eq(s, STR("Hostname")) ||
		str_eq(s, STR("NamedAddress")))
		return NULL;
	return check_domain_path(s) == NULL
		? NULL
		: "must be IPAddress, Hostname, NamedAddress or a name like example.com/type";
}

static bool contains(struct str s, struct str what)
{
	for (size_t i = 0; i + what.len <= s.len; i++)
		if (memcmp(s.p + i, what.p, what.len) == 0)
			return true;
	return false;
}

static bool is_hex(char c)
{
	return is_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'f');
}

/* ^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$ */
static bool has_path_bytes_only(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.p[i] == '%') {
			if (i + 2 >= s.len || !is_hex(s.p[i + 1]) || !is_hex(s.p[i + 2]))
				return false;
			i += 2;
		} else if (!all_of(str_make(s.p + i, 1), "-/._~!$&'()*+,;=:@")) {
			return false;
		}
	}
	return true;
}

const char *check_path(struct str s)
{
	static const struct str never[] = {{"//", 2}, {"/./", 3}, {"/../", 4}, {"%2f", 3},
		{"%2F", 3}};

	if (s.len == 0 || s.p[0] != '/')
		return "must start with '/'";
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (contains(s, never[i]))
			return "must not contain //, /./, /../ or an encoded slash";
	if (str_ends(s, STR("/..")) || str_ends(s, STR("/.")))
		return "must not end with /. or /..";
	return has_path_bytes_only(s)
		? NULL
		: "must hold only the characters of a URI path (RFC 3986 3.3)";
}

static bool is_label_name(struct str s)
{
	return s.len && s.len <= 63 && is_alnum(s.p[0]) && is_alnum(s.p[s.len - 1]) &&
		all_of(s, "-_.");
}

const char *check_label_key(struct str s)
{
	ptrdiff_t slash = str_find(s, '/');
	bool ok = slash < 0 || (slash <= 253 && is_name(str_first(s, (size_t)slash)));

	return ok && is_label_name(slash < 0 ? s : str_from(s, (size_t)slash + 1))
		? NULL
		: "must be a label key: name or example.com/name, the name at most 63 letters, "
		  "digits, '-', '_' and '.'";
}

const char *check_label_value(struct str s)
{
	return s.len == 0 || is_label_name(s)
		? NULL
		: "must be a label value: at most 63 letters, digits, '-', '_' and '.'";
}

bool check_is_special(const struct ip_addr *a)
{
	static const uint8_t zero[15];

	if (ip_is_v4(a)) /* 0/8, 127/8, 169.254/16, 224/3 */
		return a->b[12] == 0 || a->b[12] == 127 || (a->b[12] == 169 && a->b[13] == 254) ||
			a->b[12] >= 224;
	/* ::/127, fe80::/10, ff00::/8 */
	return (memcmp(a->b, zero, sizeof(zero)) == 0 && a->b[15] <= 1) ||
		(a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80) || a->b[0] == 0xff;
}
