// SPDX-License-Identifier: Apache-2.0
/*
 * federate.c: opening and closing, and what federation tells us.
 *
 * Keys: the site's own is an Ed25519 key that control.yaml names; a site without a name makes one
 * for itself in the state directory, for its journal is signed like everything else.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>

#include "control/federate/federate_private.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/file.h"
#include "dataplane/base/log.h"

#define KEY_BYTES_MAX 16384u

/* --- what federation asks for --- */

uint64_t federate_now_ms(void)
{
	return clock_mono_us() / 1000;
}

static uint64_t now_ms(void *arg)
{
	return federate_now_ms();
}

static uint64_t wall_ms(void *arg)
{
	const struct federate *f = arg;
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)((int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000 + f->skew_ms);
}

static void random_bytes(void *arg, void *buf, size_t len)
{
	bug_on(getrandom(buf, len, 0) != (ssize_t)len);
}

static void log_refused(const struct federation_event *e)
{
	log_warn("site", "refused=%s peer=%.*s address=%s held_back=%" PRIu64 " msg=\"%s\"",
		refusal_metrics[e->refusal], STR_FMT(e->peer), e->address != NULL ? e->address : "",
		e->held_back, refusal_helps[e->refusal]);
}

/* Of a person: no byte of it looks like the end of the value or like another key. */
static const char *tame(struct str s, bool is_word, char *buf, size_t size)
{
	size_t n = s.len < size - 1 ? s.len : size - 1;

	for (size_t i = 0; i < n; i++) {
		unsigned char b = (unsigned char)s.p[i];

		buf[i] = b < 0x20 || b == 0x7f ? '?' : b == '"' ? '\'' : (char)b;
		if (is_word && (b == ' ' || b == '='))
			buf[i] = '_';
	}
	buf[n] = '\0';
	return buf;
}

/* What a drain alone carries for older releases was said by nobody. */
static const char *weight_text(const struct record *r, char buf[12])
{
	snprintf(buf, 12, "%u", r->weight.weight);
	return r->weight.weightless ? "unsaid" : buf;
}

static void log_conflict(const struct federation_event *e)
{
	const struct record *won = e->record, *lost = e->lost;
	char a[RECORD_ACTOR_MAX + 1], b[RECORD_ACTOR_MAX + 1], wa[12], wb[12];

	log_warn("site",
		"cluster=%.*s scope=%.*s weight=%s by=%s@%.*s lost_weight=%s lost_by=%s@%.*s "
		"msg=\"two sites wrote without knowing of each other, the later one holds\"",
		STR_FMT(won->cluster), STR_FMT(won->scope), weight_text(won, wa),
		tame(won->weight.actor, true, a, sizeof(a)), STR_FMT(won->site),
		weight_text(lost, wb), tame(lost->weight.actor, true, b, sizeof(b)),
		STR_FMT(lost->site));
}

static void log_weight(const struct record *r)
{
	char actor[RECORD_ACTOR_MAX + 1], reason[RECORD_REASON_MAX + 1], weight[12];

	log_info("site",
		"cluster=%.*s scope=%.*s weight=%s drain=%d removed=%d by=%s@%.*s reason=\"%s\"",
		STR_FMT(r->cluster), STR_FMT(r->scope), weight_text(r, weight), r->weight.drain,
		r->weight.removed, tame(r->weight.actor, true, actor, sizeof(actor)),
		STR_FMT(r->site), tame(r->weight.reason, false, reason, sizeof(reason)));
}

static void on_event(void *arg, const struct federation_event *e)
{
	struct federate *f = arg;

	switch (e->kind) {
	case FEDERATION_RECORD:
		if (e->record->kind != RECORD_WEIGHT)
			break;
		log_weight(e->record);
		/* Not from within: records move until the call is over. */
		loop_timer_set(f->loop, &f->orders_timer, 0);
		break;
	case FEDERATION_CONFLICT:
		log_conflict(e);
		break;
	case FEDERATION_PEER:
		log_info("site", "peer=%.*s state=%s", STR_FMT(e->peer),
			peer_state_names[e->state]);
		break;
	case FEDERATION_REFUSED:
		log_refused(e);
		break;
	}
	if (f->cfg.on_event != NULL)
		f->cfg.on_event(f->cfg.arg, e);
}

static void on_tick(void *arg)
{
	struct federate *f = arg;

	federation_tick(f->federation);
	loop_timer_set(f->loop, &f->tick_timer, FEDERATION_TICK_MS * 1000u);
}

static void on_carrier(void *arg, uint32_t events)
{
	struct federate *f = arg;

	carrier_nng_dispatch(f->nng);
}

/* --- a carrier for those who are alone --- */

static uint64_t nobody_open(void *ctx, const char *url, const char *name)
{
	return 0;
}

static bool nobody_send(void *ctx, uint64_t conn, const void *data, size_t len)
{
	return false;
}

static void nobody_receive(void *ctx, const struct carrier_sink *sink)
{
}

static void nobody_peer_id(void *ctx, uint64_t conn, char *buf, size_t size)
{
	*buf = '\0';
}

static void nobody_close(void *ctx, uint64_t conn)
{
}

static void nobody_stats(void *ctx, uint64_t conn, struct carrier_stats *ret)
{
	*ret = (struct carrier_stats){0};
}

static const struct carrier nobody = {
	.open = nobody_open,
	.send = nobody_send,
	.receive = nobody_receive,
	.peer_id = nobody_peer_id,
	.close = nobody_close,
	.stats = nobody_stats,
};

/* --- opening, in this order --- */

/* The key of a site without a name: made once, kept in the state directory. */
static int own_key(const char *folder, struct signing_key **ret, struct err *err)
{
	uint8_t secret[FEDERATION_KEY_BYTES];
	size_t len = 0;
	void *data = NULL;
	char path[4096];
	int rc;

	snprintf(path, sizeof(path), "%s/site.key", folder);
	rc = file_read(path, sizeof(secret), &data, &len, err);
	if (rc == 0 && len == sizeof(secret)) {
		memcpy(secret, data, len);
	} else if (rc == 0 || rc == -ENOENT || rc == -EFBIG) { /* none, or no key */
		random_bytes(NULL, secret, sizeof(secret));
		rc = file_replace(path, secret, sizeof(secret), 0600, err);
	}
	if (data != NULL)
		explicit_bzero(data, len);
	free(data);
	if (rc < 0)
		return rc;
	*ret = signing_key_new(secret);
	explicit_bzero(secret, sizeof(secret));
	return *ret != NULL ? 0 : err_set(err, EIO, "%s: OpenSSL makes no key of it", path);
}

static int read_key(const struct control_config *config, struct signing_key **ret, struct err *err)
{
	const struct config_site *s = config->site;

	return s != NULL && s->signing_key != NULL ? signing_key_read(s->signing_key, ret, err)
						   : own_key(config->state_directory, ret, err);
}

static int read_peer(const struct config_peer *p, struct federation_peer *ret, struct err *err)
{
	size_t len;
	void *data;
	int rc = file_read(p->signing_key, KEY_BYTES_MAX, &data, &len, err);
	bool ok;

	if (rc < 0)
		return rc;
	*ret = (struct federation_peer){.name = p->name,
		.url = p->url,
		.certificate_name = p->certificate_name};
	ok = signing_public_parse(str_make(data, len), ret->key);
	free(data);
	return ok ? 0
		  : err_set(err, EINVAL, "%s: not a public Ed25519 key of site %.*s",
			    p->signing_key, STR_FMT(p->name));
}

/* A carrier where there is anybody to speak to, with the files as they are now. */
static int open_carrier(struct federate *f, const struct config_site *s, struct err *err)
{
	const char *urls[FEDERATION_PEERS_MAX];
	struct carrier_nng_config cfg;
	int rc;

	if (f->nng == NULL && (s == NULL || (s->listen == NULL && s->peers_count == 0)))
		return 0;
	cfg = (struct carrier_nng_config){.listen = s->listen,
		.ca = s->ca,
		.certificate = s->certificate,
		.key = s->key,
		.peers = urls,
		.peer_count = s->peers_count};
	for (uint32_t i = 0; i < s->peers_count && i < FEDERATION_PEERS_MAX; i++)
		urls[i] = s->peers[i].url;
	if (f->nng != NULL)
		return carrier_nng_reload(f->nng, &cfg, err);
	rc = carrier_nng_open(&cfg, &f->nng, err);
	if (rc < 0)
		return rc;
	f->nng_fd = (struct loop_fd){.fd = carrier_nng_fd(f->nng), .fn = on_carrier, .arg = f};
	return loop_fd_add(f->loop, &f->nng_fd, EPOLLIN, err);
}

struct peers {
	struct federation_peer items[FEDERATION_PEERS_MAX];
	uint32_t count;
};

static int read_peers(const struct config_site *s, struct peers *ret, struct err *err)
{
	ret->count = s != NULL ? s->peers_count : 0;
	if (ret->count > FEDERATION_PEERS_MAX)
		return err_set(err, ENOSPC, "site: at most %u peers", FEDERATION_PEERS_MAX);
	for (uint32_t i = 0; i < ret->count; i++) {
		int rc = read_peer(&s->peers[i], &ret->items[i], err);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int open_federation(struct federate *f, const struct peers *peers, bool durable,
	struct err *err)
{
	struct federation_store store = edits_file_store(f->journal);
	struct federation_config cfg = {
		.name = federate_name(f),
		.peers = peers->items,
		.peer_count = peers->count,
		.carrier = f->nng != NULL ? carrier_nng_carrier(f->nng) : nobody,
		.signer = signing_signer(f->key),
		.store = durable ? &store : NULL,
		.arg = f,
		.now_ms = now_ms,
		.wall_ms = wall_ms,
		.random = random_bytes,
		.on_event = on_event,
	};

	signing_public(f->key, cfg.key);
	return federation_open(&cfg, &f->federation, err);
}

static char *name_of(const struct control_config *config)
{
	struct str s = config->site != NULL ? config->site->name : FEDERATE_LOCAL;
	char *name = strndup(s.p, s.len);

	bug_on(name == NULL);
	return name;
}

/* Of the tests: how far this process's idea of the time is off. */
static int64_t skew_of_tests(void)
{
	const char *ms = getenv("SLUICE_TEST_CLOCK_SKEW_MS");

	if (ms == NULL)
		return 0;
	log_warn("site", "clock_skew_ms=%s msg=\"this is a test: our clock is wrong by that much\"",
		ms);
	return strtoll(ms, NULL, 10);
}

int federate_open(const struct federate_config *cfg, struct federate **ret, struct err *err)
{
	struct peers peers;
	struct federate *f = calloc(1, sizeof(*f));
	char path[4096];
	int rc;

	bug_on(f == NULL);
	f->cfg = *cfg;
	f->loop = cfg->loop;
	f->skew_ms = skew_of_tests();
	f->name = name_of(cfg->config);
	loop_timer_init(&f->tick_timer, on_tick, f);
	loop_timer_init(&f->orders_timer, orders_apply, f);
	loop_timer_init(&f->load_timer, load_ask, f);
	snprintf(path, sizeof(path), "%s/weights.journal", cfg->config->state_directory);
	f->journal = edits_file_new(path);
	rc = read_key(cfg->config, &f->key, err);
	if (rc == 0)
		rc = read_peers(cfg->config->site, &peers, err);
	if (rc == 0)
		rc = open_carrier(f, cfg->config->site, err);
	if (rc == 0)
		rc = open_federation(f, &peers, true, err);
	if (rc < 0) {
		federate_close(f);
		return rc;
	}
	orders_apply(f);
	on_tick(f);
	loop_timer_set(f->loop, &f->load_timer, FEDERATE_LOAD_US);
	*ret = f;
	return 0;
}

/* All files are read before anything changes; peers then connect anew, weights come of the journal. */
int federate_reload(struct federate *f, const struct control_config *config, struct err *err)
{
	struct signing_key *key = NULL, *old = f->key;
	struct peers peers;
	int rc = read_key(config, &key, err);

	if (rc == 0)
		rc = read_peers(config->site, &peers, err);
	if (rc == 0 && config->site != NULL)
		rc = open_carrier(f, config->site, err);
	if (rc < 0) {
		signing_key_free(key);
		return rc;
	}
	federation_close(f->federation);
	f->key = key;
	rc = open_federation(f, &peers, true, err);
	if (rc < 0) /* the disk fails: nothing outlives us, but what we know we go on with */
		bug_on(open_federation(f, &peers, false, NULL) < 0);
	else
		orders_apply(f);
	signing_key_free(old);
	return rc;
}

void federate_close(struct federate *f)
{
	if (f == NULL)
		return;
	loop_timer_stop(&f->tick_timer);
	loop_timer_stop(&f->orders_timer);
	loop_timer_stop(&f->load_timer);
	load_cancel(f);
	federation_close(f->federation);
	if (f->nng != NULL) {
		loop_fd_remove(f->loop, &f->nng_fd);
		carrier_nng_close(f->nng);
	}
	edits_file_free(f->journal);
	signing_key_free(f->key);
	free(f->name);
	free(f);
}

struct federation *federate_federation(struct federate *f)
{
	return f->federation;
}

struct str federate_name(const struct federate *f)
{
	return str_of(f->name);
}

bool federate_knows(const struct federate *f, struct str site)
{
	struct federation_peer_state st;

	if (str_eq(site, federate_name(f)))
		return true;
	for (uint32_t i = 0; i < federation_peer_count(f->federation); i++) {
		federation_peer(f->federation, i, &st);
		if (str_eq(st.name, site))
			return true;
	}
	return false;
}
