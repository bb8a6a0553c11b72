// SPDX-License-Identifier: Apache-2.0
/*
 * lease.h: who of several control processes writes status: one Lease per cluster and controllerName.
 *
 * A state machine without I/O: it says which request is due and is told the answer. As client-go's
 * leaderelection does, it trusts nobody's clock: another's Lease is over when its record has not
 * changed for its duration as *we* saw it. Two may write for a moment all the same (a process that
 * was stopped and goes on); statuses are written with resourceVersion and traffic depends on none of
 * it, so that costs a conflict and no more.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/base/str.h"

#define LEASE_DURATION_S 15u
#define LEASE_RENEW_US 10000000u  /* not renewed for so long: we give up before others take it */
#define LEASE_RETRY_US 2000000u	  /* between two looks, and between two renewals */
#define LEASE_DENIED_US 30000000u /* while we may not: RBAC */
#define LEASE_DENIED_TRIES 5u	  /* before that; a server that starts knows no roles yet */
#define LEASE_HOLDER_MAX 256u

enum lease_step { LEASE_WAIT = 0, LEASE_GET, LEASE_CREATE, LEASE_PUT };

/* What the server has; spec of coordination.k8s.io/v1 Lease. */
struct lease_record {
	char holder[LEASE_HOLDER_MAX]; /* "": nobody */
	char version[64];	       /* resourceVersion */
	uint32_t duration_s;
	uint32_t transitions;
};

struct lease {
	char identity[LEASE_HOLDER_MAX];
	struct lease_record seen;
	bool known;	     /* <seen> is something */
	bool absent;	     /* the server has none */
	bool held;	     /* we write */
	bool denied;	     /* the last answer was 403 */
	bool under_way;	     /* a request */
	bool look;	     /* what we know of it is doubtful: GET first */
	uint64_t changed_us; /* when <seen> was another one last */
	uint64_t renewed_us; /* when the renewal was sent that succeeded last */
	uint64_t sent_us, due_us;
	uint32_t taken, lost; /* how often */
	uint32_t denials;     /* in a row */
};

void lease_init(struct lease *l, const char *identity);

/*
 * What to do now. Anything but LEASE_WAIT counts as sent; exactly one lease_on_..() must follow.
 * Also gives up a Lease that could not be renewed in time.
 */
enum lease_step lease_due(struct lease *l, uint64_t now_us);
/* When to ask again. */
uint64_t lease_next_us(const struct lease *l);
/* The record to write: holder, transitions. <fresh>: acquireTime is now. */
struct lease_record lease_wanted(const struct lease *l, bool *ret_fresh);

void lease_on_record(struct lease *l, const struct lease_record *r, uint64_t now_us); /* of a GET */
/* The server has taken what we wrote; <r> is its answer. */
void lease_on_written(struct lease *l, const struct lease_record *r, uint64_t now_us);
void lease_on_absent(struct lease *l, uint64_t now_us);	  /* 404 to a GET */
void lease_on_conflict(struct lease *l, uint64_t now_us); /* 409: another was quicker */
void lease_on_denied(struct lease *l, uint64_t now_us);	  /* 403 */
void lease_on_failure(struct lease *l, uint64_t now_us);  /* no answer, or one without sense */
