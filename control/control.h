// SPDX-License-Identifier: Apache-2.0
/*
 * control.h: the process as a whole. Included by main.c and its neighbours only.
 *
 *	registry → sources → store → plan → compile → publish → dataplanes
 *	                               ↑                   ↓
 *	                             acked ←────────── acknowledged
 *
 * A turn is this line from left to right: whatever has changed, the whole plan is made again from
 * the store. An acknowledgement makes one more plan, which differs only in what conditions say.
 */
#pragma once

#include "control/api/server.h"
#include "control/api/source.h"
#include "control/clusters/drain.h"
#include "control/compile/compile.h"
#include "control/config/config.h"
#include "control/federate/federate.h"
#include "control/loop/debounce.h"
#include "control/loop/loop.h"
#include "control/publish/publish.h"
#include "control/reconcile/addresses.h"
#include "control/reconcile/plan.h"
#include "control/sources/sources.h"
#include "control/status/status.h"
#include "control/store/store.h"

#define CONTROL_DEBOUNCE_US 10000u /* followers of a change wait no longer */
#define CONTROL_RETIRED_MAX 8	   /* configurations that a plan may still point into */

/* A plan as the dataplanes were told it. */
struct compiled {
	struct plan *plan; /* held */
	struct arena arena;
	struct build_config build; /* points into both */
};

struct control {
	const char *config_path;			     /* borrowed, of the command line */
	struct control_config *config;			     /* owned */
	struct control_config *retired[CONTROL_RETIRED_MAX]; /* owned; NULL: free */
	char *book_path;				     /* owned */
	struct loop *loop;
	struct store *store;
	struct registry *registry;
	struct drains drains; /* what plans see of the registry */
	struct sources *sources;
	struct status *status;
	struct publish *publish;
	struct federate *federate;
	struct server *server;
	struct address_book *book;

	struct plan *plan;	   /* held; the newest */
	struct plan *acked;	   /* held; the newest that every dataplane has; NULL: none yet */
	struct compiled *compiled; /* owned; of <plan>, or of an older one after an error */
	char compile_error[512];
	struct api_source source;

	struct debounce debounce;
	struct loop_timer turn_timer, clusters_timer, alive_timer, drain_timer;
	struct loop_fd publish_fd;
	bool links_changed;
};

/* Everything up to the first plan; gives up root on the way. */
int control_open(struct control *c, const char *config_path, struct err *err);
void control_close(struct control *c);

/* turn.c */
struct compiled *compiled_new(struct plan *p);
void compiled_free(struct compiled *k); /* NULL is fine */
/* Makes a new plan if the store or the configuration has changed. */
void control_turn(struct control *c);
/* After an acknowledgement: what it changes in conditions. */
void control_on_acked(struct control *c);
/* SIGHUP: reads control.yaml again; keeps what is there when it is wrong or needs a restart. */
void control_reload(struct control *c);

/* check.c: --check and --dump; the exit status of the program. <path>: control.yaml or a folder. */
int check_run(const char *path, bool dump);
/* start.c: folders, socket and identity; root is given up when it returns 0. */
int control_enter(struct control *c, struct err *err);
