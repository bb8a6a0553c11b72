// SPDX-License-Identifier: Apache-2.0
/*
 * kubeconfig.h: one context of a kubeconfig, checked: where the server is, and who we are there.
 *
 * Only the context in use is read strictly (an unknown field is an error with its line); other
 * contexts, clusters and users of the file may hold whatever they like. Files are named, not read;
 * kubeconfig_files() tries them.
 * Reference: client-go tools/clientcmd/api/v1/types.go.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "dataplane/base/arena.h"
#include "dataplane/base/err.h"
#include "dataplane/base/str.h"

#define KUBECONFIG_PEM_MAX (1u << 20)
#define KUBECONFIG_TOKEN_MAX (64u << 10)

struct kubeconfig_pair {
	const char *name, *value;
};

/* A program that prints a credential (client.authentication.k8s.io). */
struct kubeconfig_exec {
	const char *api_version, *command, *install_hint;
	const char *path; /* to be run: absolute, or a bare name for $PATH */
	const char *const *args;
	const struct kubeconfig_pair *env;
	uint32_t args_count, env_count;
	bool provide_cluster_info;
	int interactive_mode;
	uint32_t line;
};

struct kubeconfig_cluster {
	const char *server; /* as written */
	const char *scheme, *host,
		*prefix; /* host: with brackets when IPv6; prefix: "" or "/..." */
	const char *tls_server_name;
	const char *ca_file, *proxy_url;
	struct str ca; /* PEM; from the data */
	const char *ca_data;
	bool insecure, no_compression;
	unsigned port;
	uint32_t line;
};

struct kubeconfig_user {
	const char *cert_file, *key_file, *cert_data, *key_data, *token, *token_file;
	struct str cert, key; /* PEM; from the data */
	const char *username, *password;
	const char *as, *as_uid;
	const char *const *as_groups;
	uint32_t as_groups_count;
	const struct kubeconfig_pair *as_extra;
	uint32_t as_extra_count;
	const struct kubeconfig_exec *exec;
	bool auth_provider;
	uint32_t line;
};

struct kubeconfig {
	struct arena arena; /* owns everything below */
	const char *name;   /* of the file, as errors show it */
	const char *folder; /* relative paths start here; with a slash, or "" */
	bool untrusted;
	const char *cluster_name, *user_name;
	struct kubeconfig_cluster cluster;
	struct kubeconfig_user user;
	json_t *exec_config; /* owned; of the cluster's extension for the program, or NULL */
};

/*
 * <name>: the file's, for errors and for what is relative to it. <context> NULL: current-context.
 * <untrusted>: no file, program, proxy or clear text. *ret is valid on success only and ends with
 * kubeconfig_fini().
 */
int kubeconfig_parse(struct str text, const char *name, const char *context, bool untrusted,
	struct kubeconfig *ret, struct err *err);
/* From $KUBERNETES_SERVICE_HOST, ..._PORT and the mounted service account. */
int kubeconfig_in_cluster(struct kubeconfig *ret, struct err *err);
/* The files that are named can be read and hold what they should. */
int kubeconfig_files(const struct kubeconfig *k, struct err *err);
void kubeconfig_fini(struct kubeconfig *k);

/* Called by kubeconfig_parse(): the data in it is what it should be. */
int kubeconfig_check(const struct kubeconfig *k, struct err *err);
/* A file's bytes, for free((char *)ret->p). */
int kubeconfig_read(const char *path, size_t max, struct str *ret, struct err *err);
/* A token without the blanks around it, for free(). */
int kubeconfig_read_token(const char *path, char **ret, struct err *err);
