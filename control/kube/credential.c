// SPDX-License-Identifier: Apache-2.0
/*
 * credential.c: see credential.h. Reference: client-go transport/token_source.go, exec.go.
 */
#include "control/kube/credential.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "control/kube/pem.h"
#include "dataplane/base/clock.h"

static void keep_why(struct credential *c, const struct err *err)
{
	c->failures++;
	c->why = *err;
}

/* A file's bytes into <ret>; without a file those that are in use. */
static bool fetch(struct credential *c, const char *path, struct str now, struct str *ret)
{
	struct err err;

	*ret = now;
	if (path == NULL || kubeconfig_read(path, KUBECONFIG_PEM_MAX, ret, &err) == 0)
		return true;
	keep_why(c, &err);
	return false;
}

static void take(struct credential *c, struct str *s, char **own, struct str fresh)
{
	if (fresh.p == s->p)
		return;
	free(*own);
	*own = (char *)fresh.p;
	*s = fresh;
	c->reads++;
}

static void drop(struct str fresh, struct str now)
{
	if (fresh.p != now.p)
		free((char *)fresh.p);
}

/* A file that is being written may be empty: without an authority libcurl trusts the machine's. */
static void read_ca(struct credential *c)
{
	const char *path = c->k->cluster.ca_file;
	struct str ca;
	struct err err;

	if (path == NULL || !fetch(c, path, c->ca, &ca))
		return;
	if (pem_check_certificates(ca, &err) < 0) {
		err_wrap(&err, "%s", path);
		keep_why(c, &err);
		drop(ca, c->ca);
	} else {
		take(c, &c->ca, &c->own_ca, ca);
	}
}

/* Whoever renews them writes one after the other: half of a pair is none. */
static void read_pair(struct credential *c)
{
	const struct kubeconfig_user *u = &c->k->user;
	struct str cert, key;
	struct err err;

	if ((u->cert_file == NULL && u->key_file == NULL) ||
		!fetch(c, u->cert_file, c->cert, &cert))
		return;
	if (!fetch(c, u->key_file, c->key, &key)) {
		drop(cert, c->cert);
	} else if (pem_check_pair(cert, key, &err) < 0) {
		err_wrap(&err, "%s", u->key_file != NULL ? u->key_file : u->cert_file);
		keep_why(c, &err);
		drop(cert, c->cert);
		drop(key, c->key);
	} else {
		take(c, &c->cert, &c->own_cert, cert);
		take(c, &c->key, &c->own_key, key);
	}
}

static void read_files(struct credential *c)
{
	const struct kubeconfig_user *u = &c->k->user;
	struct err err;
	char *token;

	c->read_us = clock_mono_us();
	read_ca(c);
	read_pair(c);
	if (u->token_file == NULL)
		return;
	if (kubeconfig_read_token(u->token_file, &token, &err) < 0) {
		keep_why(c, &err);
		return;
	}
	free(c->token);
	c->token = token;
	c->generation++;
	c->reads++;
}

int credential_init(struct credential *c, struct loop *loop, const struct kubeconfig *k,
	void (*settled)(void *arg), void *arg, struct err *err)
{
	*c = (struct credential){.loop = loop, .k = k, .settled = settled, .arg = arg};
	c->ca = k->cluster.ca;
	c->cert = k->user.cert;
	c->key = k->user.key;
	if (k->user.token != NULL && k->user.token_file == NULL)
		c->token = strdup(k->user.token);
	read_files(c);
	if (c->failures == 0)
		return 0;
	/* says it with its line; a file that is good again meanwhile was not read all the same */
	*err = c->why;
	return kubeconfig_files(k, err) < 0 ? -EINVAL : -EAGAIN;
}

void credential_fini(struct credential *c)
{
	exec_cancel(c->exec);
	free(c->own_ca);
	free(c->own_cert);
	free(c->own_key);
	free(c->token);
	*c = (struct credential){.k = NULL};
}

static void take_pem(struct str *s, char **own, char **from)
{
	free(*own);
	*own = *from;
	*from = NULL;
	*s = str_of(*own);
}

/* Some time before it expires, but not at once: what is left of a short life is used, too. */
static int64_t use_until(int64_t expires, int64_t now_s)
{
	int64_t half = (expires - now_s) / 2;

	return expires == 0 ? 0
			    : expires - (half < CREDENTIAL_LEEWAY_S ? half : CREDENTIAL_LEEWAY_S);
}

static void on_exec(void *arg, struct exec_result *r, const char *why)
{
	struct credential *c = arg;
	int64_t now_s = (int64_t)time(NULL);
	struct err err;

	c->exec = NULL;
	if (r != NULL && r->expires != 0 && r->expires <= now_s) {
		err_set(&err, 0, "%s: gave a credential that has expired",
			c->k->user.exec->command);
		r = NULL;
	} else if (r == NULL) {
		err_set(&err, 0, "%s", why);
	}
	if (r == NULL) {
		keep_why(c, &err);
		c->failed_us = clock_mono_us();
	} else {
		free(c->token);
		c->token = r->token;
		r->token = NULL;
		if (r->cert != NULL) {
			take_pem(&c->cert, &c->own_cert, &r->cert);
			take_pem(&c->key, &c->own_key, &r->key);
		}
		c->exec_until = use_until(r->expires, now_s);
		c->have_exec = true;
		c->generation++;
		c->stale = false;
		c->failed_us = 0;
		c->why.msg[0] = '\0';
		c->reads++;
	}
	c->settled(c->arg);
}

static enum credential_state get_exec(struct credential *c)
{
	int64_t now_s = (int64_t)time(NULL);
	struct err err;

	if (c->exec != NULL)
		return CREDENTIAL_PENDING;
	if (c->have_exec && !c->stale && (c->exec_until == 0 || now_s < c->exec_until))
		return CREDENTIAL_READY;
	if (c->failed_us != 0 && clock_mono_us() - c->failed_us < CREDENTIAL_RETRY_US)
		return CREDENTIAL_FAILED;
	if (exec_start(c->loop, c->k, on_exec, c, &c->exec, &err) == 0)
		return CREDENTIAL_PENDING;
	keep_why(c, &err);
	c->failed_us = clock_mono_us();
	return CREDENTIAL_FAILED;
}

enum credential_state credential_get(struct credential *c)
{
	if (clock_mono_us() - c->read_us >= CREDENTIAL_READ_US)
		read_files(c);
	return c->k->user.exec != NULL ? get_exec(c) : CREDENTIAL_READY;
}

void credential_refused(struct credential *c, uint32_t generation)
{
	if (generation != c->generation)
		return;
	if (c->k->user.exec != NULL)
		c->stale = true;
	else
		read_files(c);
}
