// SPDX-License-Identifier: Apache-2.0
/*
 * transfer_head.c: the header lines of a request: credential, impersonation, types. All texts were
 * checked for control characters when they were read. Proxies do not see these lines.
 * Standards: RFC 6750 2.1 (Bearer), RFC 7617 (Basic).
 */
#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/kube/transfer_private.h"
#include "dataplane/base/bug.h"

static void add(struct curl_slist **l, const char *name, const char *value)
{
	struct curl_slist *more;
	char *line;

	bug_on(asprintf(&line, "%s: %s", name, value) < 0);
	more = curl_slist_append(*l, line);
	bug_on(more == NULL);
	*l = more;
	free(line);
}

static void add_basic(struct curl_slist **l, const struct kubeconfig_user *u)
{
	char *plain, *value;
	size_t n;

	bug_on(asprintf(&plain, "%s:%s", u->username, u->password ? u->password : "") < 0);
	n = strlen(plain);
	value = calloc(1, 16 + n * 4 / 3 + 8);
	bug_on(value == NULL);
	strcpy(value, "Basic ");
	EVP_EncodeBlock((unsigned char *)value + 6, (const unsigned char *)plain, (int)n);
	add(l, "Authorization", value);
	free(plain);
	free(value);
}

/* Impersonate-Extra-<key>: the key percent-encoded, as it becomes a header's name. */
static void add_extra(struct curl_slist **l, const struct kubeconfig_pair *p)
{
	char name[1024] = "Impersonate-Extra-";
	size_t n = strlen(name);

	for (const char *c = p->name; *c != '\0' && n + 4 < sizeof(name); c++)
		n += (size_t)snprintf(name + n, sizeof(name) - n,
			isalnum((unsigned char)*c) || strchr("-._~", *c) ? "%c" : "%%%02X",
			(unsigned char)*c);
	add(l, name, p->value);
}

static void add_impersonation(struct curl_slist **l, const struct kubeconfig_user *u)
{
	if (u->as == NULL)
		return;
	add(l, "Impersonate-User", u->as);
	if (u->as_uid != NULL)
		add(l, "Impersonate-Uid", u->as_uid);
	for (uint32_t i = 0; i < u->as_groups_count; i++)
		add(l, "Impersonate-Group", u->as_groups[i]);
	for (uint32_t i = 0; i < u->as_extra_count; i++)
		add_extra(l, &u->as_extra[i]);
}

struct curl_slist *transfer_headers(const struct transfers *t, const char *accept,
	const char *content_type)
{
	const struct kubeconfig_user *u = &t->k->user;
	struct curl_slist *l = NULL;

	add(&l, "Accept", accept != NULL ? accept : "application/json");
	if (content_type != NULL)
		add(&l, "Content-Type", content_type);
	l = curl_slist_append(l, "Expect:"); /* no waiting for 100 */
	if (t->host_header != NULL)
		l = curl_slist_append(l, t->host_header);
	if (t->credential->token != NULL) {
		char *value;

		bug_on(asprintf(&value, "Bearer %s", t->credential->token) < 0);
		add(&l, "Authorization", value);
		free(value);
	} else if (u->username != NULL) {
		add_basic(&l, u);
	}
	add_impersonation(&l, u);
	return l;
}
