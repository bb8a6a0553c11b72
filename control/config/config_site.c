// SPDX-License-Identifier: Apache-2.0
/*
 * config_site.c: the part of control.yaml that makes this a site among others.
 *
 * Without it there is one site, and nobody is spoken to. Files are named here and read by those who
 * use them; only names and addresses are checked.
 */
#include "control/config/config_private.h"
#include "dataplane/yaml/yaml_config.h"

#define PORT_DIGITS_MAX 5u

static bool is_port(struct str s)
{
	uint64_t v;

	return s.len > 0 && s.len <= PORT_DIGITS_MAX && str_to_u64(s, &v) && v > 0 && v <= 65535;
}

/* tls+tcp://host:port, the host a name, an IPv4 address, or an IPv6 address in brackets */
static const char *check_url(struct str s)
{
	static const char how[] = "must be tls+tcp://HOST:PORT";
	struct str rest = s, scheme = STR("tls+tcp://");
	ptrdiff_t colon = -1;

	if (!str_starts(s, scheme))
		return how;
	rest = str_from(s, scheme.len);
	for (size_t i = 0; i < rest.len; i++) {
		char c = rest.p[i];

		if (c <= ' ' || c >= 0x7f || str_find(STR("/?#@"), c) >= 0)
			return how;
		colon = c == ':' ? (ptrdiff_t)i : colon;
	}
	return colon > 0 && is_port(str_from(rest, (size_t)colon + 1)) ? NULL : how;
}

static void peer_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct config_peer *p = obj;

	p->line = n->line;
	p->signing_key = yaml_config_resolve(d, p->signing_key);
}

static const char *const distances[] = {"near", "far", NULL};

static const struct yaml_field peer_fields[] = {
	YAML_STR(struct config_peer, "name", name, .required = true, .min = 1, .max = 63,
		.check = config_check_label),
	YAML_CSTR(struct config_peer, "url", url, .required = true, .max = 127, .check = check_url),
	YAML_CSTR(struct config_peer, "certificateName", certificate_name, .min = 1, .max = 253),
	YAML_CSTR(struct config_peer, "signingKey", signing_key, .required = true, .min = 1,
		.max = 4000),
	YAML_ENUM(struct config_peer, "distance", distance, distances, .def = "near"),
};
static const struct yaml_schema peer_schema =
	YAML_SCHEMA(struct config_peer, peer_fields, .finish = peer_finish);

/* Alone a name is enough; whoever speaks to others needs all of it. */
static void site_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct config_site *s = obj;
	const char **files[] = {&s->certificate, &s->key, &s->ca, &s->signing_key};
	static const char *const keys[] = {"certificate", "key", "ca", "signingKey"};
	bool speaks = s->listen != NULL || s->peers_count != 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (speaks && *files[i] == NULL)
			yaml_report(d, n, keys[i], "is required of a site that has peers");
		*files[i] = yaml_config_resolve(d, *files[i]);
	}
	for (uint32_t i = 0; i < s->peers_count; i++) {
		if (str_eq(s->peers[i].name, s->name))
			yaml_report(d, n, "peers", "%.*s is this site itself", STR_FMT(s->name));
		for (uint32_t k = 0; k < i; k++)
			if (str_eq(s->peers[i].name, s->peers[k].name))
				yaml_report(d, n, "peers", "the name %.*s stands twice",
					STR_FMT(s->peers[i].name));
	}
}

static const struct yaml_field site_fields[] = {
	YAML_STR(struct config_site, "name", name, .required = true, .min = 1, .max = 63,
		.check = config_check_label),
	YAML_CSTR(struct config_site, "listen", listen, .max = 127, .check = check_url),
	YAML_CSTR(struct config_site, "certificate", certificate, .min = 1, .max = 4000),
	YAML_CSTR(struct config_site, "key", key, .min = 1, .max = 4000),
	YAML_CSTR(struct config_site, "ca", ca, .min = 1, .max = 4000),
	YAML_CSTR(struct config_site, "signingKey", signing_key, .min = 1, .max = 4000),
	YAML_LIST(struct config_site, "peers", peers, &peer_schema, .max = CONFIG_PEERS_MAX),
};
const struct yaml_schema config_site_schema =
	YAML_SCHEMA(struct config_site, site_fields, .finish = site_finish);
