// SPDX-License-Identifier: Apache-2.0
/*
 * federate_private.h: what the files of this folder share.
 */
#pragma once

#include <inttypes.h>
#include <jansson.h>

#include "control/federate/federate.h"
#include "federation/carrier_nng.h"
#include "federation/edits.h"
#include "federation/hlc.h"
#include "federation/signing.h"

/* What one dataplane said last. */
struct load_part {
	struct federate *f;
	uint64_t query_id; /* 0: not asked */
	json_t *answer;	   /* owned; NULL: none */
};

/* Requests counted at a moment. */
struct load_mark {
	uint64_t requests, at_us;
};

struct cluster_mark {
	uint64_t cluster; /* its name's hash */
	struct load_mark mark;
};

struct federate {
	struct federate_config cfg;
	struct loop *loop; /* borrowed */
	char *name;	   /* owned */
	int64_t skew_ms;   /* of the wall clock: tests only */
	struct signing_key *key;
	struct edits_file *journal;
	struct carrier_nng *nng; /* NULL: nobody to speak to */
	struct loop_fd nng_fd;
	struct federation *federation;
	struct loop_timer tick_timer, orders_timer, load_timer;
	struct load_part load[PUBLISH_DATAPLANES_MAX];
	struct load_mark all; /* of all dataplanes, when last seen */
	struct cluster_mark marks[CLUSTERS_MAX];
	uint32_t mark_count;
	struct ip_addr vips[RECORD_VIPS_MAX];
	uint32_t vip_count;
};

/* orders.c: what holds by now becomes the registry's orders. A timer's function. */
void orders_apply(void *arg);

/* load.c */
void load_ask(void *arg); /* a timer's function */
void load_cancel(struct federate *f);
