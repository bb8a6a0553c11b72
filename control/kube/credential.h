// SPDX-License-Identifier: Apache-2.0
/*
 * credential.h: who we are at one API server, as of now.
 *
 * Files are read again every minute and after a 401; when one cannot be read or holds nothing that
 * could work, what was read last stays. A program is run again shortly before what it gave expires,
 * and once after a 401.
 */
#pragma once

#include "control/kube/exec.h"
#include "control/kube/kubeconfig.h"

#define CREDENTIAL_READ_US 60000000u
#define CREDENTIAL_LEEWAY_S 10
#define CREDENTIAL_RETRY_US 5000000u /* a program that failed is not asked again before this */

enum credential_state { CREDENTIAL_READY = 0, CREDENTIAL_PENDING, CREDENTIAL_FAILED };

struct credential {
	struct loop *loop;
	const struct kubeconfig *k; /* borrowed */
	void (*settled)(void *arg); /* what was pending is not any more */
	void *arg;
	struct str ca, cert, key; /* PEM; owned unless the kubeconfig's data */
	char *own_ca, *own_cert, *own_key;
	char *token; /* owned; NULL: none */
	uint64_t read_us, failed_us;
	struct exec *exec;	  /* while it runs */
	bool have_exec, stale;	  /* its answer is here; and was refused */
	uint32_t generation;	  /* counts what was read or given */
	int64_t exec_until;	  /* seconds since 1970: it is used till then; 0: for ever */
	uint64_t reads, failures; /* for the counters */
	struct err why;		  /* of the last failure; "" when it is over */
};

/* Reads what can be read now; programs are run when they are needed. */
int credential_init(struct credential *c, struct loop *loop, const struct kubeconfig *k,
	void (*settled)(void *arg), void *arg, struct err *err);
void credential_fini(struct credential *c);
/* Ask before each request; after PENDING wait for settled(). FAILED: <c->why>. */
enum credential_state credential_get(struct credential *c);
/* The server refused what we had at <generation>: get another, unless that was done already. */
void credential_refused(struct credential *c, uint32_t generation);
