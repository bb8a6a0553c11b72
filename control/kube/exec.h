// SPDX-License-Identifier: Apache-2.0
/*
 * exec.h: a program that prints a credential (client.authentication.k8s.io v1, v1beta1).
 *
 * It is started without a shell, without our signals and without our descriptors, in a process
 * group of its own; it has half a minute and one mebibyte. The loop goes on meanwhile.
 */
#pragma once

#include "control/kube/kubeconfig.h"
#include "control/loop/loop.h"

#define EXEC_LIMIT_US 30000000u
#define EXEC_OUTPUT_MAX (1u << 20)
#define EXEC_COMPLAINT_MAX 256u

struct exec_result {
	char *token;	  /* owned; NULL: none */
	char *cert, *key; /* owned; PEM; NULL: none */
	int64_t expires;  /* seconds since 1970; 0: never */
};

struct exec;

/* <r> is NULL when there is no credential: <why> says it. The exec is gone when this is called. */
typedef void (*exec_done_fn)(void *arg, struct exec_result *r, const char *why);

int exec_start(struct loop *loop, const struct kubeconfig *k, exec_done_fn done, void *arg,
	struct exec **ret, struct err *err);
/* Ends the program; <done> is not called. NULL is fine. */
void exec_cancel(struct exec *x);

/* Pure: what the program printed. */
int exec_parse(struct str output, const char *api_version, struct exec_result *ret,
	struct err *err);
void exec_result_fini(struct exec_result *r);
/* "2026-11-21T09:00:00Z" (RFC 3339 5.6) in seconds since 1970; false for what is none. */
bool exec_time(const char *text, int64_t *ret);
/* $KUBERNETES_EXEC_INFO, for free(). */
char *exec_info(const struct kubeconfig *k);
