// SPDX-License-Identifier: Apache-2.0
/*
 * publish_link.c: one dataplane: its session, and what it still lacks.
 *
 * Level-triggered: after HELLO, after each update and after each acknowledgement the pump asks what
 * the dataplane lacks and sends that, in the order of revisions, newest content only. A snapshot is
 * wanted when its structure differs, when it does not say what it has in our terms, or when it
 * refused something; a refused snapshot is tried again later and later. While a snapshot is on its
 * way nothing else is, because what it will refuse cannot be built upon.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/publish/publish_state.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"

static void set_error(struct pub_dataplane *d, const char *what, struct str text)
{
	char before[sizeof(d->error)];

	memcpy(before, d->error, sizeof(before));
	snprintf(d->error, sizeof(d->error), "%s%s%.*s", what, text.len ? ": " : "", STR_FMT(text));
	if (strcmp(before, d->error) == 0)
		return;
	d->p->changed = true;
	log_warn("publish", "dataplane=%s msg=\"%s\"", d->name, d->error);
}

bool pub_dataplane_send(struct pub_dataplane *d, struct message *m)
{
	enum message_stream stream = message_type_stream(m->type);
	size_t n;

	if (!d->s.welcomed)
		return false;
	m->session = d->s.id;
	m->epoch = d->p->epoch;
	m->seq = ++d->s.seq_out[stream];
	if (m->stamp_us == 0)
		m->stamp_us = clock_mono_us();
	n = message_encode(m, d->p->buf, MESSAGE_BYTES_MAX);
	bug_on(n == 0);
	if (link_send(d->link, d->p->buf, n))
		return true;
	set_error(d, "the outbox is full, connecting anew", (struct str){0});
	link_drop(d->link);
	return false;
}

/* When it could be told: what was published before it connected does not count as late. */
static uint64_t since_us(const struct pub_dataplane *d, uint64_t published_us)
{
	return published_us > d->s.up_us ? published_us : d->s.up_us;
}

/* The caller made sure of room. */
static void sent_push(struct pub_dataplane *d, enum pub_sent_kind kind, uint64_t revision,
	uint64_t published_us)
{
	bug_on(d->sent_count == PUBLISH_WINDOW);
	d->have.state_known = false;
	d->sent[(d->sent_first + d->sent_count++) % PUBLISH_WINDOW] =
		(struct pub_sent){.seq = d->s.seq_out[MESSAGE_STREAM_CONFIG],
			.generation = d->p->generation,
			.structure = d->p->structure,
			.revision = revision,
			.published_us = since_us(d, published_us),
			.kind = kind};
}

static struct pub_sent *sent_at(struct pub_dataplane *d, unsigned i)
{
	return &d->sent[(d->sent_first + i) % PUBLISH_WINDOW];
}

static bool snapshot_is_on_its_way(struct pub_dataplane *d)
{
	for (unsigned i = 0; i < d->sent_count; i++)
		if (sent_at(d, i)->kind == PUB_SENT_SNAPSHOT && !sent_at(d, i)->done)
			return true;
	return false;
}

static void want_snapshot(struct pub_dataplane *d, uint64_t delay_us, uint64_t now_us)
{
	d->synced = false;
	d->snapshot_due_us = now_us + delay_us;
}

/* Each failure in a row waits twice as long. */
static void want_snapshot_again(struct pub_dataplane *d, uint64_t now_us)
{
	want_snapshot(d, d->retry_us, now_us);
	d->retry_us *= 2;
	if (d->retry_us > PUBLISH_RETRY_MAX_US)
		d->retry_us = PUBLISH_RETRY_MAX_US;
}

static void send_snapshot(struct pub_dataplane *d, uint64_t now_us)
{
	struct publish *p = d->p;
	struct message m = {.type = MESSAGE_SNAPSHOT, .stamp_us = since_us(d, p->image_us)};
	struct err err;

	d->snapshot_due_us = 0;
	if (pub_image_store(p, &err) != 0) {
		set_error(d, "snapshot file", str_of(err.msg));
		want_snapshot_again(d, now_us);
		return;
	}
	m.snapshot.generation = p->generation;
	m.snapshot.revision = p->revision;
	m.snapshot.structure = p->structure;
	m.snapshot.image = p->image_digest;
	m.snapshot.bytes = p->image_len;
	m.snapshot.path = str_of(p->image_path);
	if (!pub_dataplane_send(d, &m))
		return;
	d->snapshots_sent++;
	d->sent_revision = p->revision;
	sent_push(d, PUB_SENT_SNAPSHOT, p->revision, p->image_us);
}

static void send_drain(struct pub_dataplane *d)
{
	struct message m = {.type = MESSAGE_DRAIN, .drain.on = d->drain_wanted};

	if (!pub_dataplane_send(d, &m))
		return;
	d->drain_due = false;
	sent_push(d, PUB_SENT_DRAIN, 0, clock_mono_us());
}

static void send_smalls(struct pub_dataplane *d)
{
	const struct pub_object *o;
	struct message m;

	/* What an image brought may fit no message: it waits for one, and nothing counts before. */
	if (d->sent_revision < d->p->base_revision) {
		d->sent_revision = d->p->base_revision;
		d->hole = true;
	}
	while (d->sent_count < PUBLISH_WINDOW &&
		(o = pub_objects_above(d->p, d->sent_revision)) != NULL) {
		pub_object_message(o, d->p->generation, &m);
		m.stamp_us = since_us(d, o->published_us);
		if (!pub_dataplane_send(d, &m))
			return;
		d->smalls_sent++;
		d->sent_revision = o->revision;
		sent_push(d, PUB_SENT_SMALL, o->revision, o->published_us);
	}
}

void pub_dataplane_pump(struct pub_dataplane *d, uint64_t now_us)
{
	if (!d->s.welcomed)
		return;
	if (d->drain_due && d->sent_count < PUBLISH_WINDOW)
		send_drain(d);
	if (!d->p->wanted || snapshot_is_on_its_way(d))
		return;
	if (d->snapshot_due_us != 0 && now_us >= d->snapshot_due_us &&
		d->sent_count < PUBLISH_WINDOW) {
		send_snapshot(d, now_us);
		return;
	}
	/* Objects stand alone: while a snapshot must wait, the others' changes need not. */
	if (d->snapshot_due_us == 0 || d->acked_generation == d->p->generation)
		send_smalls(d);
}

/* All of it is there, by the dataplane's own word. */
static void set_synced(struct pub_dataplane *d)
{
	d->sent_revision = d->acked_revision = d->p->revision;
	d->acked_generation = d->p->generation;
	d->snapshot_due_us = 0;
	d->retry_us = PUBLISH_RETRY_MIN_US;
	d->hole = false;
	log_debug("publish", "dataplane=%s generation=%llu revision=%llu msg=\"in sync\"", d->name,
		(unsigned long long)d->p->generation, (unsigned long long)d->p->revision);
	d->synced = true;
	d->error[0] = '\0';
	d->p->changed = true;
}

/* Compares what it says it has with what is wanted. */
static void plan(struct pub_dataplane *d, uint64_t now_us)
{
	const struct publish *p = d->p;
	const struct pub_have *h = &d->have;

	if (!d->s.welcomed || !p->wanted)
		return;
	if (h->structure == p->structure && h->generation == p->generation) {
		if (h->state_known && h->state == p->state) {
			set_synced(d);
			return;
		}
		/* Told up to some revision of ours: what is above will do, and the next heartbeat tells. */
		if (h->epoch == p->epoch && h->revision >= p->base_revision) {
			d->sent_revision = d->acked_revision = h->revision;
			d->acked_generation = p->generation;
			return;
		}
	}
	want_snapshot(d, 0, now_us);
}

void pub_dataplane_published(struct pub_dataplane *d, bool image, uint64_t now_us)
{
	d->synced = false;
	if (image) {
		d->retry_us = PUBLISH_RETRY_MIN_US;
		plan(d, now_us);
	}
	pub_dataplane_pump(d, now_us);
}

/* False: not us, see epochs. */
static bool epoch_is_ours(struct pub_dataplane *d, uint64_t fence)
{
	struct publish *p = d->p;
	char text[96];
	struct err err;

	if (fence <= p->epoch)
		return true;
	if (!p->fresh || fence >= PUBLISH_GENERATION_MAX) {
		snprintf(text, sizeof(text), "it has served control epoch %llu, ours is %llu",
			(unsigned long long)fence, (unsigned long long)p->epoch);
		set_error(d, "fenced", str_of(text));
		return false;
	}
	/* Our directory was empty, so we are no older process that comes back: go on above it. */
	p->epoch = fence + 1;
	log_warn("publish", "epoch=%llu msg=\"no state of our own, continuing after dataplane %s\"",
		(unsigned long long)p->epoch, d->name);
	if (pub_epoch_write(p, &err) != 0)
		log_error("publish", "msg=\"%s\"", err.msg);
	for (uint32_t i = 0; i < p->dp_count; i++)
		if (p->dps[i].s.welcomed)
			link_drop(p->dps[i].link);
	return true;
}

/*
 * A later generation than ours, or ours with another structure: our own memory of it was lost.
 * Before the first update we go on from there, so that an unchanged structure keeps its number;
 * later ours gets one above it, because one number must not mean two structures to workers.
 */
static void generation_adopt(struct publish *p, const struct message *m, uint64_t now_us)
{
	bool later = m->hello.generation > p->generation;
	bool other = m->hello.generation == p->generation && m->hello.structure != p->structure;

	if ((!later && !(other && p->wanted)) || m->hello.generation >= PUBLISH_GENERATION_MAX)
		return;
	if (!p->wanted) {
		p->generation = m->hello.generation;
		p->structure = m->hello.structure;
		return;
	}
	p->generation = m->hello.generation + 1;
	for (uint32_t i = 0; i < p->dp_count; i++)
		plan(&p->dps[i], now_us);
}

static void on_hello(struct pub_dataplane *d, const struct message *m, uint64_t now_us)
{
	struct publish *p = d->p;
	struct message welcome = {.type = MESSAGE_WELCOME,
		.welcome = {.name = str_first(str_of(p->name), MESSAGE_NAME_MAX),
			.version = STR(SLUICE_VERSION)}};

	if (d->s.id != 0 || m->session == 0) {
		d->bad_messages++;
		return;
	}
	d->s.id = m->session;
	d->s.boot = m->epoch;
	d->have = (struct pub_have){.generation = m->hello.generation,
		.structure = m->hello.structure,
		.state = m->hello.state,
		.revision = m->hello.revision,
		.epoch = m->hello.revision_epoch,
		.state_known = true};
	d->using_generation = m->hello.generation;
	d->acked_generation = d->acked_revision = d->sent_revision = 0;
	d->draining = m->hello.draining;
	snprintf(d->version, sizeof(d->version), "%.*s", STR_FMT(m->hello.version));
	if (!epoch_is_ours(d, m->hello.fence))
		return;
	generation_adopt(p, m, now_us);
	d->s.welcomed = true;
	d->connects++;
	d->drain_due = d->drain_wanted;
	p->changed = true;
	log_info("publish",
		"dataplane=%s version=%s boot=%llu generation=%llu revision=%llu/%llu "
		"text=\"%.*s\" msg=connected",
		d->name, d->version, (unsigned long long)d->s.boot,
		(unsigned long long)d->have.generation, (unsigned long long)d->have.epoch,
		(unsigned long long)d->have.revision, STR_FMT(m->hello.text));
	pub_dataplane_send(d, &welcome);
	plan(d, now_us);
}

static void on_heartbeat(struct pub_dataplane *d, const struct message *m, uint64_t now_us)
{
	const struct publish *p = d->p;

	if (d->draining != m->heartbeat.draining)
		d->p->changed = true;
	d->draining = m->heartbeat.draining;
	d->using_generation = m->heartbeat.generation;
	if (m->heartbeat.seq_high != d->s.seq_out[MESSAGE_STREAM_CONFIG] || d->sent_count > 0)
		return; /* it has not seen all, or we have not seen its answer */
	d->have.generation = m->heartbeat.generation;
	d->have.state = m->heartbeat.state;
	d->have.state_known = true;
	if (!p->wanted || d->snapshot_due_us != 0 || d->sent_revision != p->revision)
		return; /* it will be told */
	if (d->have.generation == p->generation && d->have.state == p->state) {
		if (!d->synced)
			set_synced(d);
		return;
	}
	set_error(d, "its state differs from what it acknowledged", (struct str){0});
	want_snapshot_again(d, now_us);
}

/* Entries at the front that are done: everything up to the last of them has arrived. */
static void sent_settle(struct pub_dataplane *d)
{
	while (d->sent_count > 0 && sent_at(d, 0)->done) {
		const struct pub_sent *s = sent_at(d, 0);

		if (s->kind == PUB_SENT_SNAPSHOT) {
			d->acked_generation = s->generation;
			d->have.generation = d->using_generation = s->generation;
			d->have.structure = s->structure;
			d->hole = false;
			log_info("publish",
				"dataplane=%s generation=%llu revision=%llu ack_us=%llu", d->name,
				(unsigned long long)s->generation, (unsigned long long)s->revision,
				(unsigned long long)d->ack_us);
		}
		if (s->kind == PUB_SENT_SNAPSHOT || (s->kind == PUB_SENT_SMALL && !d->hole)) {
			d->acked_revision = s->revision;
			d->have.revision = s->revision;
			d->have.epoch = d->p->epoch;
		}
		d->sent_first = (d->sent_first + 1) % PUBLISH_WINDOW;
		d->sent_count--;
		d->p->changed = true;
	}
	if (d->sent_count == 0 && d->snapshot_due_us == 0 && d->sent_revision == d->p->revision &&
		d->acked_generation == d->p->generation && !d->hole && !d->synced)
		set_synced(d);
}

/* A snapshot will bring what was refused, unless it is refused too. */
static void on_refused(struct pub_dataplane *d, struct pub_sent *s, const struct message *m,
	uint64_t now_us)
{
	d->refused++;
	set_error(d, message_result_str(m->ack.result), m->ack.text);
	if (s->kind == PUB_SENT_DRAIN) {
		d->drain_refused = true;
	} else {
		d->hole = true;
		if (d->snapshot_due_us == 0)
			want_snapshot_again(d, now_us);
	}
	s->kind = PUB_SENT_REFUSED;
}

static void on_ack(struct pub_dataplane *d, const struct message *m, uint64_t now_us)
{
	struct pub_sent *s = NULL;

	if (m->ack.result == MESSAGE_RESULT_FENCED) {
		set_error(d, "fenced", m->ack.text);
		return;
	}
	for (unsigned i = 0; i < d->sent_count && s == NULL; i++)
		if (sent_at(d, i)->seq == m->ack.seq && !sent_at(d, i)->done)
			s = sent_at(d, i);
	if (s == NULL) {
		d->bad_messages++;
		return;
	}
	switch (m->ack.result) {
	case MESSAGE_RESULT_QUIESCE: /* the final one follows */
		set_error(d, message_result_str(m->ack.result), m->ack.text);
		return;
	case MESSAGE_RESULT_NOT_DURABLE:
		d->refused++;
		if (d->snapshot_due_us == 0)
			want_snapshot_again(d, now_us);
		set_error(d, message_result_str(m->ack.result), m->ack.text);
		break;
	case MESSAGE_RESULT_OK:
		d->ack_us = now_us - s->published_us;
		if (s->kind == PUB_SENT_SNAPSHOT)
			d->retry_us = PUBLISH_RETRY_MIN_US;
		break;
	default:
		on_refused(d, s, m, now_us);
	}
	s->done = true;
	sent_settle(d);
}

/* False: counted, changes nothing. */
static bool let_in(struct pub_dataplane *d, const struct message *m)
{
	enum message_stream stream = message_type_stream(m->type);

	if (!(message_type_sender(m->type) & MESSAGE_BY_DATAPLANE) ||
		(m->type != MESSAGE_HELLO && (m->session != d->s.id || m->epoch != d->s.boot))) {
		d->bad_messages++;
		return false;
	}
	if (m->seq != d->s.seq_in[stream] + 1) {
		d->bad_messages++;
		set_error(d, "a message was lost, connecting anew", (struct str){0});
		link_drop(d->link);
		return false;
	}
	d->s.seq_in[stream]++;
	return true;
}

static void on_message(struct pub_dataplane *d, const void *data, size_t len, uint64_t now_us)
{
	struct message m;
	enum message_error e = message_decode(data, len, d->p->scratch, &m);

	if (e != MESSAGE_ERR_NONE) {
		d->bad_messages++;
		set_error(d, message_error_name(e), str_of(message_error_help(e)));
		link_drop(d->link); /* its number is lost: begin again */
		return;
	}
	if (!let_in(d, &m))
		return;
	d->s.heard_us = d->last_heard_us = now_us;
	switch (m.type) {
	case MESSAGE_HELLO:
		on_hello(d, &m, now_us);
		break;
	case MESSAGE_ACK:
		on_ack(d, &m, now_us);
		break;
	case MESSAGE_REPLY:
		pub_query_reply(d->p, (uint32_t)(d - d->p->dps), &m);
		break;
	default:
		on_heartbeat(d, &m, now_us);
	}
}

static void on_down(struct pub_dataplane *d)
{
	if (d->s.welcomed) {
		log_warn("publish", "dataplane=%s msg=\"connection lost\"", d->name);
		d->p->changed = true;
	}
	d->s = (struct pub_session){0};
	d->sent_first = d->sent_count = 0;
	d->synced = false;
	d->snapshot_due_us = 0;
	pub_query_lost(d->p, (uint32_t)(d - d->p->dps));
}

void pub_dataplane_run(struct pub_dataplane *d, uint64_t now_us)
{
	struct link_event ev;

	for (unsigned i = 0; i < LINK_INBOX_MAX && link_next(d->link, &ev); i++) {
		if (ev.type == LINK_UP)
			d->s = (struct pub_session){.up = true, .up_us = now_us};
		else if (ev.type == LINK_DOWN)
			on_down(d);
		else if (d->s.up)
			on_message(d, ev.data, ev.len, now_us);
	}
	pub_dataplane_pump(d, now_us);
}

static void say_heartbeat(struct pub_dataplane *d)
{
	struct message m = {.type = MESSAGE_HEARTBEAT,
		.heartbeat = {.seq_high = d->s.seq_out[MESSAGE_STREAM_CONFIG],
			.generation = d->p->generation,
			.revision = d->p->revision,
			.state = d->p->state,
			.draining = d->drain_wanted}};

	pub_dataplane_send(d, &m);
}

/* One that was here a moment ago still counts; at the start everybody has time to appear. */
bool pub_dataplane_is_live(const struct pub_dataplane *d, uint64_t now_us)
{
	uint64_t since = d->last_heard_us != 0 ? d->last_heard_us : d->p->started_us;

	return now_us - since < MESSAGE_DEAD_US;
}

/* Whoever waits for all live ones need not wait for one that is none any more. */
static void look_whether_live(struct pub_dataplane *d, uint64_t now_us)
{
	bool before = d->counts;

	d->counts = pub_dataplane_is_live(d, now_us);
	if (before && !d->counts)
		d->p->changed = true;
}

void pub_dataplane_tick(struct pub_dataplane *d, uint64_t now_us)
{
	look_whether_live(d, now_us);
	if (!d->s.up)
		return;
	if (!d->s.welcomed) {
		if (now_us - d->s.up_us >= MESSAGE_WELCOME_US) {
			d->s.up_us = now_us;
			link_drop(d->link);
		}
		return;
	}
	if (now_us - d->s.heard_us >= MESSAGE_DEAD_US) {
		set_error(d, "silent for three heartbeats, connecting anew", (struct str){0});
		d->s.heard_us = now_us;
		link_drop(d->link);
		return;
	}
	if (now_us - d->s.beat_us >= MESSAGE_HEARTBEAT_US) {
		d->s.beat_us = now_us;
		say_heartbeat(d);
		d->drain_due |= d->drain_refused;
		d->drain_refused = false;
	}
	pub_dataplane_pump(d, now_us);
}

int pub_dataplane_open(struct pub_dataplane *d, struct err *err)
{
	const struct link_config cfg = {.url = d->url,
		.recv_bytes_max = MESSAGE_RECV_BYTES_MAX,
		.peer_uids = {0, geteuid()},
		.peer_uid_count = 2};
	int rv = link_open(&cfg, &d->link, err);

	d->retry_us = PUBLISH_RETRY_MIN_US;
	if (rv != 0)
		err_wrap(err, "dataplane %s", d->name);
	return rv;
}

void pub_dataplane_close(struct pub_dataplane *d)
{
	link_close(d->link);
	d->link = NULL;
}
