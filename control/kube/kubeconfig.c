// SPDX-License-Identifier: Apache-2.0
/*
 * kubeconfig.c: the tables of a context, a cluster and a user, and the way from one to the others.
 */
#include "control/kube/kubeconfig.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>

#include "control/kube/kubeconfig_json.h"
#include "control/kube/pem.h"
#include "dataplane/base/base64.h"
#include "dataplane/yaml/yaml_decode.h"

#define EXEC_V1 "client.authentication.k8s.io/v1"
#define EXEC_V1BETA1 "client.authentication.k8s.io/v1beta1"
#define EXEC_EXTENSION "client.authentication.k8s.io/exec"

/* What the callbacks of one decode need. */
struct parsing {
	struct kubeconfig *k;
	struct err *err;
	bool failed;
};

static void on_report(struct yaml_decoder *d, bool fatal, uint32_t line, const char *path,
	const char *what)
{
	struct parsing *p = d->ctx;

	if (!p->failed)
		err_set(p->err, EINVAL, "%s:%u: %s: %s", p->k->name, line, path, what);
	p->failed = true;
}

static struct kubeconfig *config_of(const struct yaml_decoder *d)
{
	return ((struct parsing *)d->ctx)->k;
}

static const struct yaml_node *node_of(const struct yaml_node *n, const char *key)
{
	const struct yaml_node *v = yaml_get(n, key);

	return v != NULL ? v : n;
}

/* A path as it is meant: from the folder of the file. */
static const char *resolve(struct yaml_decoder *d, const struct yaml_node *n, const char *key,
	const char *path)
{
	const struct kubeconfig *k = config_of(d);

	if (path != NULL && k->untrusted)
		yaml_report(d, node_of(n, key), key,
			"names a file, which is refused in a kubeconfig from a cluster: put the "
			"data itself there");
	return path == NULL || path[0] == '/' ? path
					      : arena_printf(d->arena, "%s%s", k->folder, path);
}

/* PEM in base64 under <key>; empty when it is absent. */
static struct str pem_data(struct yaml_decoder *d, const struct yaml_node *n, const char *key,
	const char *text)
{
	struct str pem = {NULL, 0};
	size_t len = text != NULL ? strlen(text) : 0;
	char *p;

	if (len == 0)
		return pem;
	p = arena_alloc(d->arena, len / 4 * 3 + 4);
	if (!base64_decode(str_of(text), p, &pem.len))
		yaml_report(d, node_of(n, key), key, "is not base64");
	pem.p = p;
	return pem;
}

/* Texts that become part of a header. */
static void check_header(struct yaml_decoder *d, const struct yaml_node *n, const char *key,
	const char *text)
{
	for (const char *c = text; c != NULL && *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f) {
			yaml_report(d, node_of(n, key), key, "holds a control character");
			return;
		}
}

/* --- cluster --- */

static char *url_part(struct yaml_decoder *d, CURLU *url, CURLUPart part)
{
	char *value = NULL, *copy = NULL;

	if (curl_url_get(url, part, &value, part == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0) ==
		CURLUE_OK)
		copy = arena_printf(d->arena, "%s", value);
	curl_free(value);
	return copy;
}

static bool has_part(CURLU *url, CURLUPart part)
{
	char *value = NULL;
	bool has = curl_url_get(url, part, &value, 0) == CURLUE_OK && value != NULL;

	curl_free(value);
	return has;
}

static void server_parts(struct yaml_decoder *d, const struct yaml_node *n,
	struct kubeconfig_cluster *c, CURLU *url)
{
	char *port, *prefix;
	size_t len;

	c->scheme = url_part(d, url, CURLUPART_SCHEME);
	c->host = url_part(d, url, CURLUPART_HOST);
	port = url_part(d, url, CURLUPART_PORT);
	prefix = url_part(d, url, CURLUPART_PATH);
	c->port = port != NULL ? (unsigned)strtoul(port, NULL, 10) : 0;
	len = prefix != NULL ? strlen(prefix) : 0;
	while (len > 0 && prefix[len - 1] == '/')
		prefix[--len] = '\0';
	c->prefix = prefix != NULL ? prefix : "";
	if (c->scheme == NULL ||
		(strcmp(c->scheme, "https") != 0 && strcmp(c->scheme, "http") != 0))
		yaml_report(d, node_of(n, "server"), "server", "must begin with https://");
	else if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_QUERY) ||
		has_part(url, CURLUPART_FRAGMENT))
		yaml_report(d, node_of(n, "server"), "server",
			"must be scheme, host, port and path only");
	else if (config_of(d)->untrusted && strcmp(c->scheme, "https") != 0)
		yaml_report(d, node_of(n, "server"), "server", "must be https");
}

/* It becomes the host of a URL. */
static void check_server_name(struct yaml_decoder *d, const struct yaml_node *n, const char *name)
{
	for (const char *c = name; c != NULL && *c != '\0'; c++)
		if (!isalnum((unsigned char)*c) && strchr("-._", *c) == NULL) {
			yaml_report(d, node_of(n, "tls-server-name"), "tls-server-name",
				"must be a host name");
			return;
		}
}

static void check_proxy(struct yaml_decoder *d, const struct yaml_node *n, const char *proxy)
{
	static const char *const schemes[] = {"http://", "https://", "socks5://", "socks5h://"};
	bool ok = false;

	if (proxy == NULL)
		return;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
		ok |= strncmp(proxy, schemes[i], strlen(schemes[i])) == 0;
	if (!ok)
		yaml_report(d, node_of(n, "proxy-url"), "proxy-url",
			"must begin with http://, https:// or socks5://");
	else if (config_of(d)->untrusted)
		yaml_report(d, node_of(n, "proxy-url"), "proxy-url",
			"is refused in a kubeconfig from a cluster");
}

static void read_extension(struct yaml_decoder *d, const struct yaml_node *n)
{
	yaml_for_each(e, yaml_get(n, "extensions"))
	{
		const struct yaml_node *name = yaml_get(e, "name"), *x = yaml_get(e, "extension");

		if (name != NULL && x != NULL && str_eq(name->text, STR(EXEC_EXTENSION)) &&
			config_of(d)->exec_config == NULL)
			config_of(d)->exec_config = kubeconfig_json(x);
	}
}

static void cluster_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct kubeconfig_cluster *c = obj;
	CURLU *url = curl_url();

	c->line = n->line;
	if (url == NULL || curl_url_set(url, CURLUPART_URL, c->server, 0) != CURLUE_OK)
		yaml_report(d, node_of(n, "server"), "server", "is not a URL");
	else
		server_parts(d, n, c, url);
	curl_url_cleanup(url);
	c->ca = pem_data(d, n, "certificate-authority-data", c->ca_data);
	c->ca_file = resolve(d, n, "certificate-authority", c->ca.len ? NULL : c->ca_file);
	if (c->insecure && (c->ca.len || c->ca_file != NULL))
		yaml_report(d, node_of(n, "insecure-skip-tls-verify"), "insecure-skip-tls-verify",
			"excludes a certificate authority");
	check_proxy(d, n, c->proxy_url);
	check_server_name(d, n, c->tls_server_name);
	read_extension(d, n);
}

static const struct yaml_field cluster_fields[] = {
	YAML_CSTR(struct kubeconfig_cluster, "server", server, .required = true, .min = 1,
		.max = 2048),
	YAML_CSTR(struct kubeconfig_cluster, "tls-server-name", tls_server_name, .min = 1,
		.max = 253),
	YAML_BOOL(struct kubeconfig_cluster, "insecure-skip-tls-verify", insecure),
	YAML_CSTR(struct kubeconfig_cluster, "certificate-authority", ca_file, .min = 1,
		.max = 4000),
	YAML_CSTR(struct kubeconfig_cluster, "certificate-authority-data", ca_data,
		.max = KUBECONFIG_PEM_MAX),
	YAML_CSTR(struct kubeconfig_cluster, "proxy-url", proxy_url, .min = 1, .max = 2048),
	YAML_BOOL(struct kubeconfig_cluster, "disable-compression", no_compression),
	YAML_IGNORED("extensions"),
};
static const struct yaml_schema cluster_schema =
	YAML_SCHEMA(struct kubeconfig_cluster, cluster_fields, .finish = cluster_finish);

/* --- user --- */

static const char *const interactive_words[] = {"Never", "IfAvailable", "Always", NULL};

static const struct yaml_field env_fields[] = {
	YAML_CSTR(struct kubeconfig_pair, "name", name, .required = true, .min = 1, .max = 256),
	YAML_CSTR(struct kubeconfig_pair, "value", value, .required = true, .max = 32768),
};
static const struct yaml_schema env_schema = YAML_SCHEMA(struct kubeconfig_pair, env_fields);

static const struct yaml_field text_field = {.type = YAML_TYPE_CSTR, .max = 32768};
static const struct yaml_schema text_schema = YAML_SCALARS(const char *, &text_field);

static void exec_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct kubeconfig_exec *e = obj;
	bool v1 = strcmp(e->api_version, EXEC_V1) == 0;

	e->line = n->line;
	if (!v1 && strcmp(e->api_version, EXEC_V1BETA1) != 0)
		yaml_report(d, node_of(n, "apiVersion"), "apiVersion",
			"must be " EXEC_V1 " or " EXEC_V1BETA1);
	if (v1 && yaml_get(n, "interactiveMode") == NULL)
		yaml_report(d, n, "interactiveMode", "is required with " EXEC_V1);
	if (e->interactive_mode == 2)
		yaml_report(d, node_of(n, "interactiveMode"), "interactiveMode",
			"Always cannot work: nobody is there to answer");
	if (config_of(d)->untrusted)
		yaml_report(d, n, "command",
			"names a program, which is refused in a kubeconfig from a cluster");
	/* with a slash from the folder of the file, else by $PATH (loader.go) */
	e->path =
		strchr(e->command, '/') == NULL ? e->command : resolve(d, n, "command", e->command);
}

static const struct yaml_field exec_fields[] = {
	YAML_CSTR(struct kubeconfig_exec, "apiVersion", api_version, .required = true),
	YAML_CSTR(struct kubeconfig_exec, "command", command, .required = true, .min = 1,
		.max = 4000),
	YAML_LIST(struct kubeconfig_exec, "args", args, &text_schema, .max = 256),
	YAML_LIST(struct kubeconfig_exec, "env", env, &env_schema, .max = 256),
	YAML_CSTR(struct kubeconfig_exec, "installHint", install_hint, .max = 4096),
	YAML_BOOL(struct kubeconfig_exec, "provideClusterInfo", provide_cluster_info),
	YAML_ENUM(struct kubeconfig_exec, "interactiveMode", interactive_mode, interactive_words,
		.def = "IfAvailable"),
};
static const struct yaml_schema exec_schema =
	YAML_SCHEMA(struct kubeconfig_exec, exec_fields, .finish = exec_finish);

static uint32_t count_extra(const struct yaml_node *extra)
{
	uint32_t n = 0;

	yaml_for_each(e, extra) n += e->count;
	return n;
}

/* as-user-extra: {key: [value, ...]} */
static void read_extra(struct yaml_decoder *d, const struct yaml_node *n, struct kubeconfig_user *u)
{
	const struct yaml_node *extra = yaml_get(n, "as-user-extra");
	struct kubeconfig_pair *pairs =
		arena_array(d->arena, struct kubeconfig_pair, count_extra(extra));
	uint32_t count = 0;

	yaml_for_each(e, extra)
	{
		if (e->kind != YAML_KIND_SEQ) {
			yaml_report(d, e, "as-user-extra", "must be lists of strings");
			return;
		}
		yaml_for_each(v, e)
		{
			struct kubeconfig_pair p = {arena_str(d->arena, e->key).p,
				arena_str(d->arena, v->text).p};

			if (!yaml_is_string(v) || strlen(p.value) != v->text.len)
				yaml_report(d, v, "as-user-extra", "must be lists of strings");
			check_header(d, v, "as-user-extra", p.name);
			check_header(d, v, "as-user-extra", p.value);
			pairs[count++] = p;
		}
	}
	u->as_extra = pairs;
	u->as_extra_count = count;
}

static void check_impersonation(struct yaml_decoder *d, const struct yaml_node *n,
	const struct kubeconfig_user *u)
{
	check_header(d, n, "as", u->as);
	check_header(d, n, "as-uid", u->as_uid);
	for (uint32_t i = 0; i < u->as_groups_count; i++)
		check_header(d, n, "as-groups", u->as_groups[i]);
	if (u->as == NULL && (u->as_uid != NULL || u->as_groups_count || u->as_extra_count))
		yaml_report(d, n, "as", "is required with as-uid, as-groups and as-user-extra");
}

static void check_pair(struct yaml_decoder *d, const struct yaml_node *n,
	const struct kubeconfig_user *u)
{
	bool cert = u->cert.len || u->cert_file != NULL, key = u->key.len || u->key_file != NULL;

	if (cert && !key)
		yaml_report(d, n, "client-key", "is required with client-certificate");
	if (key && !cert)
		yaml_report(d, n, "client-certificate", "is required with client-key");
}

static void user_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct kubeconfig_user *u = obj;

	u->line = n->line;
	if (u->auth_provider)
		yaml_report(d, node_of(n, "auth-provider"), "auth-provider",
			"is not supported: use exec or tokenFile");
	u->cert = pem_data(d, n, "client-certificate-data", u->cert_data);
	u->key = pem_data(d, n, "client-key-data", u->key_data);
	u->cert_file = resolve(d, n, "client-certificate", u->cert.len ? NULL : u->cert_file);
	u->key_file = resolve(d, n, "client-key", u->key.len ? NULL : u->key_file);
	u->token_file = resolve(d, n, "tokenFile", u->token_file);
	check_pair(d, n, u);
	check_header(d, n, "token", u->token);
	check_header(d, n, "username", u->username);
	check_header(d, n, "password", u->password);
	if (u->username != NULL && (u->token != NULL || u->token_file != NULL))
		yaml_report(d, n, "username", "excludes a token");
	if (u->exec != NULL && (u->token != NULL || u->token_file != NULL || u->username != NULL))
		yaml_report(d, n, "exec", "excludes a token and a user name");
	read_extra(d, n, u);
	check_impersonation(d, n, u);
}

static const struct yaml_field user_fields[] = {
	YAML_CSTR(struct kubeconfig_user, "client-certificate", cert_file, .min = 1, .max = 4000),
	YAML_CSTR(struct kubeconfig_user, "client-certificate-data", cert_data,
		.max = KUBECONFIG_PEM_MAX),
	YAML_CSTR(struct kubeconfig_user, "client-key", key_file, .min = 1, .max = 4000),
	YAML_CSTR(struct kubeconfig_user, "client-key-data", key_data, .max = KUBECONFIG_PEM_MAX),
	YAML_CSTR(struct kubeconfig_user, "token", token, .min = 1, .max = KUBECONFIG_TOKEN_MAX),
	YAML_CSTR(struct kubeconfig_user, "tokenFile", token_file, .min = 1, .max = 4000),
	YAML_CSTR(struct kubeconfig_user, "username", username, .min = 1, .max = 1024),
	YAML_CSTR(struct kubeconfig_user, "password", password, .max = 4096),
	YAML_CSTR(struct kubeconfig_user, "as", as, .min = 1, .max = 1024),
	YAML_CSTR(struct kubeconfig_user, "as-uid", as_uid, .min = 1, .max = 1024),
	YAML_LIST(struct kubeconfig_user, "as-groups", as_groups, &text_schema, .max = 256),
	YAML_IGNORED("as-user-extra"), /* read_extra() */
	YAML_POINTER(struct kubeconfig_user, "exec", exec, &exec_schema),
	YAML_PRESENT(struct kubeconfig_user, "auth-provider", auth_provider),
	YAML_IGNORED("extensions"),
};
static const struct yaml_schema user_schema =
	YAML_SCHEMA(struct kubeconfig_user, user_fields, .finish = user_finish);

/* --- context --- */

struct context {
	const char *cluster, *user, *namespace_;
};

static const struct yaml_field context_fields[] = {
	YAML_CSTR(struct context, "cluster", cluster, .required = true, .min = 1, .max = 1024),
	YAML_CSTR(struct context, "user", user, .min = 1, .max = 1024),
	YAML_CSTR(struct context, "namespace", namespace_),
	YAML_IGNORED("extensions"),
};
static const struct yaml_schema context_schema = YAML_SCHEMA(struct context, context_fields);

/* --- the file --- */

static int fail_at(struct yaml_decoder *d, const struct yaml_node *n, const char *field,
	const char *fmt, const char *arg)
{
	yaml_report(d, n, field, fmt, arg);
	return -EINVAL;
}

/* The entry of <list> with this name, and in the decoder the path to its <what>. */
static int find_entry(struct yaml_decoder *d, const struct yaml_node *root, const char *list,
	const char *what, const char *name, const struct yaml_node **ret)
{
	const struct yaml_node *l = yaml_get(root, list);
	unsigned i = 0;

	if (l != NULL && l->kind != YAML_KIND_SEQ)
		return fail_at(d, l, list, "must be a list%s", "");
	yaml_for_each(e, l)
	{
		const struct yaml_node *n = yaml_get(e, "name"), *v = yaml_get(e, what);

		/* with a name twice the first counts, as in client-go */
		if (n != NULL && n->kind == YAML_KIND_SCALAR && str_eq(n->text, str_of(name))) {
			if (v == NULL)
				return fail_at(d, e, list, "the entry \"%s\" is empty", name);
			d->path_len = (size_t)snprintf(d->path, sizeof(d->path), "%s[%u].%s", list,
				i, what);
			*ret = v;
			return 0;
		}
		i++;
	}
	return fail_at(d, l ? l : root, list, "has no entry named \"%s\"", name);
}

static int decode_entry(struct yaml_decoder *d, const struct yaml_node *root, const char *list,
	const char *what, const char *name, const struct yaml_schema *schema, void *ret)
{
	const struct yaml_node *n;
	int rc = find_entry(d, root, list, what, name, &n);

	if (rc == 0)
		rc = yaml_decode(d, n, schema, ret);
	d->path_len = 0;
	d->path[0] = '\0';
	return rc;
}

static int check_root(struct yaml_decoder *d, const struct yaml_file *f)
{
	const struct yaml_node *root = f->docs, *kind = yaml_get(root, "kind"),
			       *version = yaml_get(root, "apiVersion");

	if (f->doc_count != 1 || root->kind != YAML_KIND_MAP)
		return err_set(((struct parsing *)d->ctx)->err, EINVAL,
			"%s: must be one document with a map", f->name);
	if (kind != NULL && !str_eq(kind->text, STR("Config")))
		return fail_at(d, kind, "kind", "must be Config%s", "");
	if (version != NULL && !str_eq(version->text, STR("v1")))
		return fail_at(d, version, "apiVersion", "must be v1%s", "");
	return 0;
}

static int parse_root(struct yaml_decoder *d, const struct yaml_node *root, const char *context,
	struct kubeconfig *k)
{
	const struct yaml_node *current = yaml_get(root, "current-context");
	struct context c;
	int rc;

	if (context == NULL && (current == NULL || !yaml_is_string(current) || !current->text.len))
		return fail_at(d, node_of(root, "current-context"), "current-context",
			"is required: it names the context to use%s", "");
	if (context == NULL)
		context = arena_str(d->arena, current->text).p;
	rc = decode_entry(d, root, "contexts", "context", context, &context_schema, &c);
	if (rc == 0)
		rc = decode_entry(d, root, "clusters", "cluster", c.cluster, &cluster_schema,
			&k->cluster);
	if (rc == 0 && c.user != NULL)
		rc = decode_entry(d, root, "users", "user", c.user, &user_schema, &k->user);
	k->cluster_name = c.cluster;
	k->user_name = c.user;
	return rc;
}

int kubeconfig_parse(struct str text, const char *name, const char *context, bool untrusted,
	struct kubeconfig *ret, struct err *err)
{
	struct kubeconfig k = {.untrusted = untrusted};
	struct parsing p = {.k = &k, .err = err};
	struct yaml_decoder d = {.strict = true, .report = on_report, .ctx = &p};
	const char *slash = strrchr(name, '/');
	struct yaml_file f;
	int rc = yaml_parse(text, name, &f, err);

	if (rc < 0)
		return rc;
	arena_init(&k.arena, 0);
	d.arena = &k.arena;
	k.name = arena_printf(&k.arena, "%s", name);
	k.folder = arena_printf(&k.arena, "%.*s", slash ? (int)(slash - name) + 1 : 0, name);
	rc = check_root(&d, &f);
	if (rc == 0)
		rc = parse_root(&d, f.docs, context, &k);
	yaml_file_fini(&f);
	if (rc == 0)
		rc = kubeconfig_check(&k, err);
	if (rc < 0)
		kubeconfig_fini(&k);
	else
		*ret = k;
	return rc;
}

void kubeconfig_fini(struct kubeconfig *k)
{
	json_decref(k->exec_config);
	arena_fini(&k->arena);
	*k = (struct kubeconfig){.name = NULL};
}
