// SPDX-License-Identifier: Apache-2.0
/*
 * questions.c: what this site says of itself, and what can be asked of it.
 */
#include <errno.h>

#include "federation/state.h"

/* As <r>, which has a key, but with the stamp and fields of what stands there: is it the same? */
static bool is_unchanged(const struct federation *f, const struct record *r)
{
	uint8_t a[RECORD_BYTES_MAX], b[RECORD_BYTES_MAX];
	uint32_t slot = table_find(f->table, r);
	struct record same = *r;
	size_t n;

	if (slot == TABLE_NONE)
		return false;
	same.stamp = f->table->slots[slot]->record.stamp;
	n = record_encode(&same, a, sizeof(a));
	return n != 0 && n == record_encode(&f->table->slots[slot]->record, b, sizeof(b)) &&
		memcmp(a, b, n) == 0;
}

/* Before anything looks for it: the key of a record is made of short names. */
static int check_names(const struct record *r, struct err *err)
{
	if (r->kind != RECORD_SITE && !record_name_is_valid(r->cluster))
		return err_set(err, EINVAL, "cluster \"%.*s\": not a name", STR_FMT(r->cluster));
	if (r->scope.len > 0 && !record_name_is_valid(r->scope))
		return err_set(err, EINVAL, "scope \"%.*s\": not the name of a site",
			STR_FMT(r->scope));
	return 0;
}

static int put(struct federation *f, struct record *r, struct err *err)
{
	int rc = check_names(r, err);

	if (rc < 0)
		return rc;
	r->site = f->name;
	return is_unchanged(f, r) ? 0 : merge_own(f, r, err);
}

int federation_put_site(struct federation *f, const struct record_site *s, struct err *err)
{
	struct record r = {.kind = RECORD_SITE, .of_site = *s};

	return put(f, &r, err);
}

int federation_put_health(struct federation *f, struct str cluster, const struct record_health *h,
	struct err *err)
{
	struct record r = {.kind = RECORD_HEALTH, .cluster = cluster, .health = *h};

	return put(f, &r, err);
}

/* The newest edit of another site that led to what stands there. */
static uint64_t seen_of(const struct federation *f, const struct record *r)
{
	uint32_t slot = table_find(f->table, r);
	const struct record *old;

	if (slot == TABLE_NONE)
		return 0;
	old = &f->table->slots[slot]->record;
	return str_eq(old->site, f->name) ? old->weight.seen : old->stamp;
}

int federation_set_weight(struct federation *f, struct str cluster, struct str scope,
	const struct record_weight *w, struct err *err)
{
	struct record r = {.kind = RECORD_WEIGHT, .cluster = cluster, .scope = scope, .weight = *w};
	int rc = check_names(&r, err);

	if (rc < 0)
		return rc;
	if (scope.len > 0 && !str_eq(scope, f->name))
		return err_set(err, EINVAL, "what holds at site %.*s alone is written there",
			STR_FMT(scope));
	r.weight.seen = seen_of(f, &r);
	return merge_own(f, &r, err);
}

const struct record *federation_weight_at(const struct federation *f, struct str cluster,
	struct str scope)
{
	struct record key = {.kind = RECORD_WEIGHT, .cluster = cluster, .scope = scope};
	uint32_t slot;

	if (cluster.len > SITE_NAME_MAX)
		return NULL;
	slot = table_find(f->table, &key);
	if (slot == TABLE_NONE ||
		record_is_dead(&f->table->slots[slot]->record, federation_time_ms(f)))
		return NULL;
	return &f->table->slots[slot]->record;
}

const struct record *federation_weight(const struct federation *f, struct str cluster)
{
	const struct record *local = federation_weight_at(f, cluster, f->name);

	return local != NULL ? local : federation_weight_at(f, cluster, STR(""));
}

const struct record *federation_next_record(const struct federation *f, uint32_t *pos)
{
	while (*pos < f->table->used) {
		const struct entry *e = f->table->slots[(*pos)++];

		if (e != NULL)
			return &e->record;
	}
	return NULL;
}

const struct record *federation_lost_edit(const struct federation *f, uint32_t i)
{
	if (i >= f->lost_count || i >= LOST_MAX)
		return NULL;
	return &f->lost[(f->lost_count - 1 - i) % LOST_MAX].record;
}

uint64_t federation_time_ms(const struct federation *f)
{
	return hlc_time_ms(&f->clock, federation_wall_ms(f));
}

uint64_t federation_digest(const struct federation *f)
{
	return table_root(f->table);
}

uint32_t federation_peer_count(const struct federation *f)
{
	return f->remote_count;
}

void federation_peer(const struct federation *f, uint32_t i, struct federation_peer_state *ret)
{
	const struct remote *r = &f->remotes[i];
	const struct peer *p = r->proved != NULL ? r->proved : &r->dialer;

	*ret = (struct federation_peer_state){.name = r->name,
		.url = r->url,
		.state = p->state,
		.is_connected = r->proved != NULL,
		.is_in_step = r->proved != NULL && p->is_in_step,
		.epoch = r->epoch,
		.since_ms = p->since_ms,
		.heard_ms = r->heard_ms,
		.clock_ms = r->clock_ms,
		.unsent = r->outbox->dirty_count + r->outbox->flight_count,
		.last_refusal = r->last_refusal,
		.connects = r->connects,
		.records_sent = r->records_sent,
		.records_taken = r->records_taken,
		.records_refused = r->records_refused,
		.messages_sent = r->messages_sent,
		.messages_received = r->messages_received};
}

uint64_t federation_refusals(const struct federation *f, enum refusal why)
{
	return f->refusals[why].count;
}
