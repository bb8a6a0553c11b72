// SPDX-License-Identifier: Apache-2.0
/*
 * federate.h: this site among others: the only bridge between control and federation/.
 *
 *	operators' weights (REST, sluicectl) → records, journalled → other sites
 *	records that hold here → orders of the registry → plans
 *	dataplanes' load and health → records about this site and the clusters as it sees them
 *	silence of a peer → the dataplanes, who may then suspect this site itself
 *
 * Without `site:` in control.yaml there are no peers, and everything else is the same: weights have
 * an owner, a reason and an end, and survive restarts.
 */
#pragma once

#include "control/clusters/registry.h"
#include "control/config/config.h"
#include "control/loop/loop.h"
#include "control/publish/publish.h"
#include "dataplane/base/err.h"
#include "dataplane/base/ip.h"
#include "federation/federation.h"

#define FEDERATE_LOCAL STR("local") /* the name of a site that has none */
#define FEDERATE_LOAD_US 1000000u   /* how often dataplanes are asked */

struct federate;

struct federate_config {
	struct loop *loop;
	const struct control_config *config; /* read by open and reload only */
	struct registry *registry;
	struct publish *publish;
	void (*on_clusters)(void *arg); /* the registry's list has changed */
	/* Something that people look at has changed; <e> as federation.h says it. */
	void (*on_event)(void *arg, const struct federation_event *e);
	void *arg;
};

/* Weights of the journal hold when it returns. */
int federate_open(const struct federate_config *cfg, struct federate **ret, struct err *err);
void federate_close(struct federate *f); /* NULL is fine */
/* Other files and peers of the same site: SIGHUP. */
int federate_reload(struct federate *f, const struct control_config *config, struct err *err);
/* The addresses that this site serves now. */
void federate_set_vips(struct federate *f, const struct ip_addr *vips, uint32_t count);

/* For questions. */
uint64_t federate_now_ms(void); /* the clock of struct federation_peer_state */
struct federation *federate_federation(struct federate *f);
struct str federate_name(const struct federate *f);
/* True: this name is ours or a configured peer's. */
bool federate_knows(const struct federate *f, struct str site);

/*
 * An operator's change of <cluster>; <local>: at this site alone. Durable, holding here and sent
 * when it returns 0. Errors: federation_set_weight().
 */
int federate_set_weight(struct federate *f, struct str cluster, bool local,
	const struct record_weight *w, struct err *err);
