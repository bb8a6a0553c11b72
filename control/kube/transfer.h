// SPDX-License-Identifier: Apache-2.0
/*
 * transfer.h: HTTP requests to one API server: libcurl's multi interface on our loop.
 *
 * One struct transfers per cluster is its pool of connections. HTTP/1.1: each watch has a
 * connection of its own, so one that dies takes no other with it. Callbacks of a transfer come from
 * within libcurl (on_head, on_body: nothing may be started or cancelled there) or after it
 * (on_end: anything may).
 */
#pragma once

#include <curl/curl.h>

#include "control/kube/credential.h"
#include "control/loop/loop.h"
#include "dataplane/base/list.h"

#define TRANSFER_CONNECT_MS 10000L
#define TRANSFER_HEAD_MAX (256u << 10) /* of all header lines of an answer */

enum transfer_outcome {
	TRANSFER_OK = 0,  /* a whole answer, of whatever status */
	TRANSFER_REFUSED, /* no connection */
	TRANSFER_TLS,	  /* no connection that may be trusted */
	TRANSFER_BROKEN,  /* the answer broke off */
	TRANSFER_TIMEOUT,
	TRANSFER_STOPPED, /* on_body() wanted no more */
};

struct transfer_end {
	enum transfer_outcome outcome;
	int status;		/* 0: none came */
	int64_t retry_after_us; /* -1: not said */
	uint32_t generation;	/* of the credential that it was sent with */
	const char *why;	/* a sentence; "" when all is well */
};

struct transfer_ops {
	void (*on_head)(void *arg, int status); /* NULL: not wanted */
	bool (*on_body)(void *arg, int status, const char *p, size_t len);
	void (*on_end)(void *arg, const struct transfer_end *end); /* the transfer is gone */
};

struct transfer_request {
	const char *method;
	const char *path, *query; /* query: NULL or "", without '?' */
	const char *accept;	  /* NULL: "application/json" */
	const char *content_type; /* NULL: no body */
	const char *body;	  /* copied */
	size_t body_len;
	long timeout_ms; /* 0: none */
	bool gzip;
};

struct transfers {
	struct loop *loop;
	CURLM *multi;
	const struct kubeconfig *k;
	struct credential *credential;
	const char *user_agent;
	struct curl_slist *connect_to; /* owned; for tls-server-name; NULL: none */
	char *base;		       /* owned; "https://host:port/prefix" */
	char *host_header;	       /* owned; NULL: libcurl's own */
	struct loop_timer timer;
	struct list sockets, running;
	/* around everything that may call back */
	void (*enter)(void *arg);
	void (*leave)(void *arg);
	void *arg;
};

struct transfer;

/* <t> with loop, k, credential, user_agent, enter, leave and arg set. */
int transfers_init(struct transfers *t, struct err *err);
/* Cancels what runs. */
void transfers_fini(struct transfers *t);
/* NULL when there is no memory for it. */
struct transfer *transfer_start(struct transfers *t, const struct transfer_request *r,
	const struct transfer_ops *ops, void *arg);
/* on_end() is not called. NULL is fine; never from within on_head() or on_body(). */
void transfer_cancel(struct transfer *x);
