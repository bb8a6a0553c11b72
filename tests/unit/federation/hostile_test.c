// SPDX-License-Identifier: Apache-2.0
/*
 * hostile_test.c: what a peer or a stranger may try: each is refused under its own counter, told
 * once, and changes nothing.
 *
 * The site under test is "mid". The test plays the carrier, "ann" (who dials us), "zoe" (whom we
 * dial), and strangers; it holds the keys of all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/hash.h"
#include "federation/edits.h"
#include "federation/hlc.h"
#include "federation/outbox.h"
#include "federation/proto.h"
#include "federation/signing.h"

#define WALL 1790000000000ull
#define CONNS 512u
#define DIALED_CONN 1u /* our own attempts; from here on those of others */

enum { MID, ANN, ZOE, EVE, WHO_COUNT };
static const char *const names[] = {"mid", "ann", "zoe", "eve"};

static struct {
	struct federation *f;
	struct carrier_sink sink;
	uint64_t now_ms;
	int64_t step_ms; /* added to our wall clock */
	struct signing_key *keys[WHO_COUNT];
	uint8_t public[WHO_COUNT][32];
	bool is_closed[CONNS];
	uint64_t next_conn;
	uint8_t last[CONNS][PROTO_HEAD_BYTES + 4096]; /* newest message that we sent on it */
	size_t last_len[CONNS];
	uint32_t sent[CONNS][PROTO_TYPE_COUNT];
	uint32_t told[REFUSAL_COUNT], records, conflicts, dials;
	const char *dialed; /* by which name */
	bool is_disk_full;
	uint32_t writes;
	uint64_t waits_ms;  /* nobody reads what we say */
	uint8_t disk[4096]; /* the journal that a start finds */
	size_t disk_len, damaged_at;
	uint32_t damaged_kept;
} t;

static uint64_t carrier_open(void *ctx, const char *url, const char *name)
{
	t.dials++;
	t.dialed = name;
	return DIALED_CONN;
}

static bool carrier_send(void *ctx, uint64_t conn, const void *data, size_t len)
{
	bug_on(conn >= CONNS);
	t.sent[conn][((const uint8_t *)data)[4]]++;
	t.last_len[conn] = len < sizeof(t.last[conn]) ? len : 0;
	memcpy(t.last[conn], data, t.last_len[conn]);
	return true;
}

static void carrier_receive(void *ctx, const struct carrier_sink *sink)
{
	if (sink != NULL)
		t.sink = *sink;
}

static void carrier_peer_id(void *ctx, uint64_t conn, char *buf, size_t size)
{
	snprintf(buf, size, "conn %llu", (unsigned long long)conn);
}

static void carrier_close(void *ctx, uint64_t conn)
{
	t.is_closed[conn] = true;
}

static void carrier_stats(void *ctx, uint64_t conn, struct carrier_stats *ret)
{
	*ret = (struct carrier_stats){.waits_ms = t.waits_ms};
}

static int load(void *ctx, void **ret, size_t *ret_len, struct err *err)
{
	*ret_len = t.disk_len;
	*ret = t.disk_len > 0 ? malloc(t.disk_len) : NULL;
	if (t.disk_len > 0)
		memcpy(*ret, t.disk, t.disk_len);
	return 0;
}

static void damaged(void *ctx, size_t offset, uint32_t kept)
{
	t.damaged_at = offset;
	t.damaged_kept = kept;
}

static int keep(void *ctx, const void *data, size_t len, struct err *err)
{
	t.writes++;
	return t.is_disk_full ? err_set(err, ENOSPC, "disk full") : 0;
}

static uint64_t now_ms(void *arg)
{
	return t.now_ms;
}

static uint64_t wall_ms(void *arg)
{
	return WALL + t.now_ms + (uint64_t)t.step_ms;
}

static void random_bytes(void *arg, void *buf, size_t len)
{
	static uint8_t n;

	memset(buf, ++n, len);
}

static void on_event(void *arg, const struct federation_event *e)
{
	t.told[e->refusal] += e->kind == FEDERATION_REFUSED;
	t.records += e->kind == FEDERATION_RECORD;
	t.conflicts += e->kind == FEDERATION_CONFLICT;
}

static int site_open(void)
{
	struct federation_peer peers[2] = {{.name = STR("ann"), .url = "x"},
		{.name = STR("zoe"), .url = "x", .certificate_name = "zoe.example.com"}};
	struct federation_store store = {NULL, load, keep, keep, damaged};
	struct federation_config cfg = {.name = STR("mid"),
		.peers = peers,
		.peer_count = 2,
		.carrier = {NULL, carrier_open, carrier_send, carrier_receive, carrier_peer_id,
			carrier_close, carrier_stats},
		.store = &store,
		.now_ms = now_ms,
		.wall_ms = wall_ms,
		.random = random_bytes,
		.on_event = on_event};
	struct err err = {""};

	memcpy(cfg.key, t.public[MID], 32);
	memcpy(peers[0].key, t.public[ANN], 32);
	memcpy(peers[1].key, t.public[ZOE], 32);
	cfg.signer = signing_signer(t.keys[MID]);
	return federation_open(&cfg, &t.f, &err);
}

static int setup(void **state)
{
	memset(&t, 0, sizeof(t));
	t.now_ms = 10000;
	t.next_conn = DIALED_CONN + 1;
	for (int i = 0; i < WHO_COUNT; i++) {
		uint8_t secret[32] = {(uint8_t)(i + 1)};

		t.keys[i] = signing_key_new(secret);
		signing_public(t.keys[i], t.public[i]);
	}
	return site_open();
}

static int teardown(void **state)
{
	federation_close(t.f);
	for (int i = 0; i < WHO_COUNT; i++)
		signing_key_free(t.keys[i]);
	return 0;
}

/* Bytes as anybody may send them. */

static void say_bytes(uint64_t conn, const void *p, size_t len)
{
	uint8_t *copy = malloc(len);

	memcpy(copy, p, len);
	t.sink.on_message(t.sink.arg, conn, copy, len);
	free(copy);
}

static size_t encode(struct proto_message *m, uint8_t *to)
{
	size_t n;

	m->epoch = m->epoch ? m->epoch : 5;
	n = proto_encode(m, to);
	assert_true(n > 0);
	return n;
}

static void say(uint64_t conn, struct proto_message m)
{
	static uint8_t b[PROTO_MAX];

	say_bytes(conn, b, encode(&m, b));
}

static struct proto_message heard(uint64_t conn)
{
	struct proto_message m;

	assert_int_equal(proto_decode(t.last[conn], t.last_len[conn], &m), REFUSAL_NONE);
	return m;
}

static struct proto_message challenge(const char *site)
{
	struct proto_message m = {.type = PROTO_CHALLENGE,
		.challenge = {.site = str_of(site), .wall_ms = wall_ms(NULL)}};

	memset(m.challenge.nonce, 0xab, sizeof(m.challenge.nonce));
	return m;
}

/* What <who> calling itself <name> signs, written from the README and not from the code. */
static struct proto_message hello(int who, const char *name, const uint8_t *our_nonce,
	uint64_t our_epoch)
{
	struct proto_message m = {.type = PROTO_HELLO};
	uint8_t text[256] = "sluice federation hello 1", nonce[32];
	size_t n = strlen((char *)text) + 1;

	memset(nonce, 0xab, sizeof(nonce));
	text[n++] = (uint8_t)strlen(name);
	memcpy(text + n, name, strlen(name));
	n += strlen(name);
	memcpy(text + n, nonce, 32);
	be64_put(text + n + 32, 5);
	n += 40;
	text[n++] = 3;
	memcpy(text + n, "mid", 3);
	memcpy(text + n + 3, our_nonce, 32);
	be64_put(text + n + 35, our_epoch);
	n += 43;
	memcpy(m.hello.answers, our_nonce, 32);
	assert_true(signing_signer(t.keys[who]).sign(t.keys[who], text, n, m.hello.signature));
	return m;
}

static uint64_t connect_in(void)
{
	uint64_t conn = t.next_conn++;

	t.sink.on_up(t.sink.arg, conn, false);
	return conn;
}

static struct proto_message good_hello(uint64_t conn, int who)
{
	struct proto_message c = heard(conn);

	assert_int_equal(c.type, PROTO_CHALLENGE);
	return hello(who, names[who], c.challenge.nonce, c.epoch);
}

/* Ann, proved; what we sent to her so far is forgotten. */
static uint64_t ann(void)
{
	uint64_t conn = connect_in();
	struct proto_message h = good_hello(conn, ANN);

	say(conn, challenge("ann"));
	say(conn, h);
	say(conn, (struct proto_message){.type = PROTO_WELCOME});
	assert_false(t.is_closed[conn]);
	memset(t.sent[conn], 0, sizeof(t.sent[conn]));
	return conn;
}

static bool ann_is_connected(void)
{
	struct federation_peer_state s;

	federation_peer(t.f, 0, &s);
	return s.is_connected;
}

enum { GO_ON, HANG_UP };
static const bool ends[REFUSAL_COUNT] = {
	GO_ON,
#define REFUSAL(name, metric, ends, help) ends,
#include "federation/refusal.def"
};

/* Counted once and told once, the connection ends if the table says so, and nothing was learned. */
static void assert_refused(uint64_t conn, enum refusal why)
{
	for (int i = 1; i < REFUSAL_COUNT; i++)
		if (federation_refusals(t.f, i) != (i == (int)why))
			fail_msg("%s counted %llu", refusal_metrics[i],
				(unsigned long long)federation_refusals(t.f, i));
	assert_int_equal(t.told[why], 1);
	assert_int_equal(t.is_closed[conn], ends[why]);
	assert_int_equal(t.records, 0);
}

/* Greetings. */

static void an_unknown_name_is_refused(void **state)
{
	uint64_t conn = connect_in();

	say(conn, challenge("eve"));
	assert_refused(conn, REFUSAL_NAME_UNKNOWN);
	assert_int_equal(t.sent[conn][PROTO_HELLO], 0); /* it learns no signature of ours */
}

static void our_own_name_is_unknown_too(void **state)
{
	uint64_t conn = connect_in();

	say(conn, challenge("mid"));
	assert_refused(conn, REFUSAL_NAME_UNKNOWN);
}

static void another_site_than_the_one_dialed_is_refused(void **state)
{
	federation_tick(t.f);
	assert_int_equal(t.dials, 1);
	t.sink.on_up(t.sink.arg, DIALED_CONN, true);
	say(DIALED_CONN, challenge("ann"));
	assert_refused(DIALED_CONN, REFUSAL_NAME_OTHER);
}

/*
 * Whom we dial has shown zoe's certificate; nobody shows ours anything when he dials. So eve, who
 * passes on what zoe and we say, can only be dialed for zoe or dial us in her name.
 */
static void a_site_that_is_to_be_dialed_may_not_dial_and_gets_no_hello(void **state)
{
	uint64_t conn = connect_in();

	say(conn, challenge("zoe"));
	assert_refused(conn, REFUSAL_DIRECTION);
	assert_int_equal(t.sent[conn][PROTO_HELLO], 0);
}

static void a_site_is_dialed_by_the_name_of_its_certificate(void **state)
{
	federation_tick(t.f);
	assert_string_equal(t.dialed, "zoe.example.com");
}

static void a_hello_of_another_connection_is_a_replay(void **state)
{
	uint64_t first = connect_in(), second;
	struct proto_message h = good_hello(first, ANN);

	say(first, challenge("ann"));
	say(first, h);
	assert_int_equal(t.sent[first][PROTO_WELCOME], 1);
	second = connect_in();
	say(second, challenge("ann"));
	say(second, h);
	assert_refused(second, REFUSAL_REPLAYED);
}

static void a_replay_that_names_the_new_challenge_is_not_signed(void **state)
{
	uint64_t first = connect_in(), second = connect_in();
	struct proto_message h = good_hello(first, ANN);

	memcpy(h.hello.answers, heard(second).challenge.nonce, 32);
	say(second, challenge("ann"));
	say(second, h);
	assert_refused(second, REFUSAL_SIGNATURE);
}

static void an_altered_hello_is_refused(void **state)
{
	uint64_t conn = connect_in();
	struct proto_message h = good_hello(conn, ANN);

	h.hello.signature[10] ^= 1;
	say(conn, challenge("ann"));
	say(conn, h);
	assert_refused(conn, REFUSAL_SIGNATURE);
}

static void a_hello_with_another_key_is_refused_and_the_real_site_stays(void **state)
{
	uint64_t real = ann(), conn = connect_in();
	struct proto_message c = heard(conn), h = hello(EVE, "ann", c.challenge.nonce, c.epoch);

	say(conn, challenge("ann"));
	say(conn, h);
	assert_refused(conn, REFUSAL_SIGNATURE);
	assert_true(ann_is_connected() && !t.is_closed[real]);
}

static void an_altered_epoch_is_refused(void **state)
{
	uint64_t conn = connect_in();
	struct proto_message h = good_hello(conn, ANN), c = challenge("ann");

	c.epoch = 6;
	say(conn, c);
	say(conn, h);
	assert_refused(conn, REFUSAL_SIGNATURE);
}

static void our_own_hello_sent_back_is_refused(void **state)
{
	uint64_t conn = connect_in();
	struct proto_message c = heard(conn), mirror = challenge("ann"), h;

	memcpy(mirror.challenge.nonce, c.challenge.nonce, 32);
	say(conn, mirror);
	h = heard(conn);
	assert_int_equal(h.type, PROTO_HELLO);
	say(conn, h);
	assert_refused(conn, REFUSAL_SIGNATURE);
}

static void a_clock_more_than_five_minutes_ahead_is_refused(void **state)
{
	uint64_t conn = connect_in();
	struct proto_message c = challenge("ann");

	c.challenge.wall_ms += 300001;
	say(conn, c);
	assert_refused(conn, REFUSAL_CLOCK);
}

static void a_clock_beyond_what_a_stamp_can_hold_is_ahead_too(void **state)
{
	uint64_t conn = connect_in();
	struct proto_message c = challenge("ann");

	c.challenge.wall_ms += 1ull << 48;
	say(conn, c);
	assert_refused(conn, REFUSAL_CLOCK);
}

static void a_clock_five_minutes_ahead_is_not(void **state)
{
	uint64_t conn = connect_in();
	struct proto_message c = challenge("ann"), h = good_hello(conn, ANN);

	c.challenge.wall_ms += 300000;
	say(conn, c);
	say(conn, h);
	assert_int_equal(t.sent[conn][PROTO_WELCOME], 1);
	assert_false(t.is_closed[conn]);
}

static void a_greeting_that_does_not_come_ends_after_a_second_each(void **state)
{
	uint64_t conn = connect_in();

	t.now_ms += 999;
	federation_tick(t.f);
	assert_false(t.is_closed[conn]);
	t.now_ms += 1;
	federation_tick(t.f);
	assert_refused(conn, REFUSAL_LATE);
}

static void strangers_beyond_the_limit_are_closed_at_once(void **state)
{
	uint64_t conn = 0;

	for (int i = 0; i < 100; i++)
		conn = connect_in();
	assert_true(t.is_closed[conn]);
	assert_int_equal(federation_refusals(t.f, REFUSAL_LINKS), 100 - (FEDERATION_PEERS_MAX + 8));
	assert_int_equal(t.told[REFUSAL_LINKS], 1); /* the log is not flooded either */
	/* and they give way */
	t.now_ms += 1000;
	federation_tick(t.f);
	ann();
}

static void a_wrong_certificate_and_an_oversized_message_are_the_carriers_to_tell(void **state)
{
	uint64_t conn = ann();

	t.sink.on_down(t.sink.arg, 0, CARRIER_CERTIFICATE);
	assert_int_equal(federation_refusals(t.f, REFUSAL_CERTIFICATE), 1);
	assert_true(ann_is_connected());
	t.sink.on_down(t.sink.arg, 0, CARRIER_CROWDED);
	assert_int_equal(federation_refusals(t.f, REFUSAL_LINKS), 1);
	assert_true(ann_is_connected());
	t.sink.on_down(t.sink.arg, conn, CARRIER_TOO_LONG);
	assert_int_equal(federation_refusals(t.f, REFUSAL_LENGTH), 1);
	assert_false(ann_is_connected());
}

/* Bytes. */

static void a_stranger_may_not_send_long_messages(void **state)
{
	uint8_t b[PROTO_GREETING_MAX + 1] = {0};
	uint64_t conn = connect_in();

	say_bytes(conn, b, sizeof(b));
	assert_refused(conn, REFUSAL_LENGTH);
}

static void a_proved_peer_may_not_send_what_is_too_long_either(void **state)
{
	static uint8_t b[PROTO_MAX + 1];
	uint64_t conn = ann();

	say_bytes(conn, b, sizeof(b));
	assert_refused(conn, REFUSAL_LENGTH);
}

static void refused_head(uint8_t at, uint8_t value, enum refusal why)
{
	uint8_t b[256];
	struct proto_message m = {.type = PROTO_ACK};
	uint64_t conn = ann();
	size_t n = encode(&m, b);

	b[at] = value;
	be32_put(b + 36, 0);
	be32_put(b + 36, crc32c(0, b, n));
	say_bytes(conn, b, n);
	assert_refused(conn, why);
}

static void an_unknown_type_is_refused(void **state)
{
	refused_head(4, 77, REFUSAL_TYPE);
}

static void another_major_version_is_refused(void **state)
{
	refused_head(2, PROTO_MAJOR + 1, REFUSAL_VERSION);
}

static void noise_is_refused(void **state)
{
	uint64_t conn = connect_in();

	say_bytes(conn, "GET / HTTP/1.1\r\n\r\n", 18);
	assert_refused(conn, REFUSAL_FORMAT);
}

static void a_message_out_of_its_time_is_refused(void **state)
{
	uint64_t conn = connect_in();

	say(conn, (struct proto_message){.type = PROTO_HEARTBEAT});
	assert_refused(conn, REFUSAL_UNEXPECTED);
}

/* Records. */

struct letter {
	uint8_t b[2 * PROTO_MAX];
	size_t len;
};
static struct letter letter;

/* <scope> empty: for all sites. */
static void add_scoped(const char *site, int signer, const char *cluster, const char *scope,
	uint64_t stamp)
{
	struct record r = {.kind = RECORD_WEIGHT,
		.site = str_of(site),
		.stamp = stamp,
		.cluster = str_of(cluster),
		.scope = str_of(scope),
		.weight.weight = 10};
	static const char prefix[] = "sluice federation record 1";
	uint8_t text[sizeof(prefix) + RECORD_BYTES_MAX], *to = letter.b + letter.len;
	size_t n = record_encode(&r, to + 2, RECORD_BYTES_MAX);

	be16_put(to, (uint16_t)n);
	memcpy(text, prefix, sizeof(prefix));
	memcpy(text + sizeof(prefix), to + 2, n);
	assert_true(signing_signer(t.keys[signer])
			    .sign(t.keys[signer], text, sizeof(prefix) + n, to + 2 + n));
	letter.len += 2 + n + RECORD_SIGNATURE_BYTES;
}

static void add_weight(const char *site, int signer, const char *cluster, uint64_t stamp)
{
	add_scoped(site, signer, cluster, "", stamp);
}

static void post(uint64_t conn)
{
	say(conn,
		(struct proto_message){.type = PROTO_DELTA,
			.seq = 9,
			.delta.records = str_make(letter.b, letter.len)});
	letter.len = 0;
}

static uint64_t stamp_now(void)
{
	return hlc_of_ms(wall_ms(NULL));
}

static void a_peer_may_hand_on_what_another_site_has_signed(void **state)
{
	uint64_t conn = ann();

	add_weight("zoe", ZOE, "us-west", stamp_now());
	post(conn);
	assert_int_equal(t.records, 1);
	assert_int_equal(t.sent[conn][PROTO_ACK], 1);
	assert_int_equal(federation_weight(t.f, STR("us-west"))->weight.weight, 10);
}

static void a_peer_can_only_speak_for_itself(void **state)
{
	uint64_t conn = ann();

	add_weight("zoe", ANN, "us-west", stamp_now());
	post(conn);
	assert_refused(conn, REFUSAL_RECORD_FORGED);
	assert_null(federation_weight(t.f, STR("us-west")));
	assert_int_equal(heard(conn).ack.refused, 1); /* dealt with: it need not come again */
}

static void nor_for_us(void **state)
{
	uint64_t conn = ann();

	add_weight("mid", ANN, "us-west", stamp_now());
	post(conn);
	assert_refused(conn, REFUSAL_RECORD_FORGED);
}

/* Ours comes before that of all sites here: nobody else may put it there, or end it. */
static void what_holds_at_one_site_alone_is_for_that_site_to_say(void **state)
{
	struct record_weight w = {.weight = 5};
	uint64_t conn = ann();
	struct err err;

	add_scoped("ann", ANN, "us-west", "mid", stamp_now());
	post(conn);
	assert_refused(conn, REFUSAL_RECORD_SCOPE);
	assert_null(federation_weight(t.f, STR("us-west")));
	assert_int_equal(heard(conn).ack.refused, 1);
	assert_int_equal(federation_set_weight(t.f, STR("us-west"), STR("mid"), &w, &err), 0);
	add_scoped("ann", ANN, "us-west", "mid", stamp_now() + hlc_of_ms(1000));
	post(conn);
	assert_int_equal(federation_weight(t.f, STR("us-west"))->weight.weight, 5);
	/* nor may a third one be spoken for; what ann wants of herself all may see */
	add_scoped("ann", ANN, "us-west", "zoe", stamp_now());
	post(conn);
	assert_int_equal(federation_refusals(t.f, REFUSAL_RECORD_SCOPE), 3);
	t.records = 0;
	add_scoped("ann", ANN, "us-west", "ann", stamp_now());
	post(conn);
	assert_int_equal(t.records, 1);
}

static void we_do_not_speak_for_others_either(void **state)
{
	struct record_weight w = {.weight = 5};
	struct err err;

	assert_int_equal(federation_set_weight(t.f, STR("us-west"), STR("ann"), &w, &err), -EINVAL);
}

static void an_altered_record_is_refused(void **state)
{
	uint64_t conn = ann();

	add_weight("ann", ANN, "us-west", stamp_now());
	letter.b[letter.len - RECORD_SIGNATURE_BYTES - 1] ^= 1; /* the weight's last byte */
	post(conn);
	assert_refused(conn, REFUSAL_RECORD_FORGED);
}

static void a_record_of_a_site_that_is_not_configured_is_refused(void **state)
{
	uint64_t conn = ann();

	add_weight("eve", EVE, "us-west", stamp_now());
	post(conn);
	assert_refused(conn, REFUSAL_RECORD_SITE);
}

static void a_record_that_makes_no_sense_is_refused_and_the_next_is_not(void **state)
{
	uint64_t conn = ann();
	size_t second;

	add_weight("ann", ANN, "us-west", stamp_now());
	letter.b[5] = 99; /* its kind */
	second = letter.len;
	assert_true(second > 0);
	add_weight("ann", ANN, "us-east", stamp_now());
	post(conn);
	assert_int_equal(federation_refusals(t.f, REFUSAL_RECORD), 1);
	assert_non_null(federation_weight(t.f, STR("us-east")));
	assert_false(t.is_closed[conn]);
}

static void records_whose_lengths_do_not_add_up_end_the_connection(void **state)
{
	uint64_t conn = ann();

	add_weight("ann", ANN, "us-west", stamp_now());
	letter.len--;
	post(conn);
	assert_refused(conn, REFUSAL_FORMAT);
}

static void a_stamp_more_than_five_minutes_ahead_is_refused(void **state)
{
	uint64_t conn = ann();

	add_weight("ann", ANN, "us-west", stamp_now() + hlc_of_ms(300001));
	post(conn);
	assert_refused(conn, REFUSAL_RECORD_AHEAD);
}

static void a_stamp_five_minutes_ahead_is_taken_and_ours_come_after_it(void **state)
{
	uint64_t conn = ann(), stamp = stamp_now() + hlc_of_ms(300000);
	struct record_weight w = {.weight = 5};
	struct err err;

	add_weight("ann", ANN, "us-west", stamp);
	post(conn);
	assert_int_equal(t.records, 1);
	assert_int_equal(federation_set_weight(t.f, STR("us-west"), STR(""), &w, &err), 0);
	assert_true(federation_weight(t.f, STR("us-west"))->stamp > stamp);
	assert_int_equal(federation_weight(t.f, STR("us-west"))->weight.weight, 5);
}

static void an_envelope_from_the_future_does_not_move_our_clock(void **state)
{
	uint64_t conn = ann();
	struct proto_message m = {.type = PROTO_ACK, .stamp = stamp_now() + hlc_of_ms(300001)};

	say(conn, m);
	assert_refused(conn, REFUSAL_STAMP_AHEAD);
	assert_int_equal(federation_time_ms(t.f), wall_ms(NULL));
}

static void a_heartbeat_with_a_clock_ahead_ends_the_connection(void **state)
{
	uint64_t conn = ann();

	say(conn,
		(struct proto_message){.type = PROTO_HEARTBEAT,
			.heartbeat.wall_ms = wall_ms(NULL) + 300001});
	assert_refused(conn, REFUSAL_CLOCK);
}

static void a_site_may_have_so_many_records_and_others_still_theirs(void **state)
{
	uint64_t conn = ann();
	char cluster[16];

	for (uint32_t i = 0; i <= FEDERATION_SITE_WEIGHTS_MAX; i++) {
		snprintf(cluster, sizeof(cluster), "c%u", i);
		add_weight("ann", ANN, cluster, stamp_now());
	}
	post(conn);
	assert_int_equal(t.records, FEDERATION_SITE_WEIGHTS_MAX);
	assert_int_equal(federation_refusals(t.f, REFUSAL_RECORD_MANY), 1);
	add_weight("zoe", ZOE, "more", stamp_now());
	post(conn);
	assert_non_null(federation_weight(t.f, STR("more")));
}

static void an_old_record_changes_nothing(void **state)
{
	uint64_t conn = ann();

	add_weight("zoe", ZOE, "us-west", stamp_now());
	post(conn);
	add_weight("zoe", ZOE, "us-west", stamp_now() - 1);
	post(conn);
	add_weight("zoe", ZOE, "us-west", stamp_now());
	post(conn);
	assert_int_equal(t.records, 1);
}

/* Floods. */

static void edits_that_lose_cost_one_write_together(void **state)
{
	uint64_t conn = ann(), now = stamp_now();
	char cluster[16];

	for (int i = 0; i < 100; i++) {
		snprintf(cluster, sizeof(cluster), "c%d", i);
		add_weight("zoe", ZOE, cluster, now);
	}
	post(conn);
	t.writes = 0;
	for (int i = 0; i < 100; i++) {
		snprintf(cluster, sizeof(cluster), "c%d", i);
		add_weight("ann", ANN, cluster, now - 1);
	}
	post(conn);
	assert_non_null(federation_lost_edit(t.f, 99));
	assert_int_equal(t.writes, 1);
}

/* One after the other of the same key, each older than what holds: they would push out real ones. */
static void a_site_may_lose_so_many_edits_and_others_still_theirs(void **state)
{
	uint64_t conn = ann(), now = stamp_now();
	uint32_t n = 2 * FEDERATION_SITE_WEIGHTS_MAX;

	add_weight("zoe", ZOE, "us-west", now);
	post(conn);
	for (uint32_t i = 0; i < n; i++) {
		add_weight("ann", ANN, "us-west", now - n + i);
		if (i % 64 == 63)
			post(conn);
	}
	assert_int_equal(t.conflicts, FEDERATION_SITE_WEIGHTS_MAX);
	assert_int_equal(federation_refusals(t.f, REFUSAL_LOST_MANY), n - t.conflicts);
	assert_int_equal(t.told[REFUSAL_LOST_MANY], 1);
	assert_false(t.is_closed[conn]);
	add_weight("ann", ANN, "eu", now);
	post(conn);
	add_weight("zoe", ZOE, "eu", now - 1);
	post(conn);
	assert_int_equal(t.conflicts, FEDERATION_SITE_WEIGHTS_MAX + 1);
	t.now_ms += 2000; /* two more */
	for (uint32_t i = 1; i <= 3; i++)
		add_weight("ann", ANN, "us-west", now - n - i);
	post(conn);
	assert_int_equal(t.conflicts, FEDERATION_SITE_WEIGHTS_MAX + 3);
}

static void answers_that_nobody_asked_for_cost_as_much_as_questions(void **state)
{
	uint64_t conn = ann();
	uint32_t i;

	add_weight("zoe", ZOE, "us-west", stamp_now());
	post(conn);
	say(conn, (struct proto_message){.type = PROTO_ACK, .ack.seq = 1});
	memset(t.sent[conn], 0, sizeof(t.sent[conn]));
	for (i = 0; i < 50; i++) {
		say(conn, (struct proto_message){.type = PROTO_DIGEST, .digest.is_answer = true});
		say(conn, (struct proto_message){.type = PROTO_ACK, .ack.seq = heard(conn).seq});
	}
	assert_true(t.sent[conn][PROTO_DELTA] <= 5);
	assert_true(federation_refusals(t.f, REFUSAL_FLOOD) >= 45);
	assert_false(t.is_closed[conn]);
}

static void a_flood_of_messages_is_dropped_and_then_hung_up_on(void **state)
{
	uint64_t conn = ann(), answered;

	for (int i = 0; i < 2000 && !t.is_closed[conn]; i++) {
		add_weight("zoe", ANN, "us-west", stamp_now()); /* forged, to cost us most */
		post(conn);
	}
	answered = t.sent[conn][PROTO_ACK];
	assert_true(t.is_closed[conn]);
	assert_true(answered <= 4 * 200); /* the burst */
	assert_true(federation_refusals(t.f, REFUSAL_FLOOD) <= 65);
	assert_int_equal(federation_refusals(t.f, REFUSAL_FLOOD_LONG), 1);
	assert_int_equal(t.told[REFUSAL_FLOOD], 1);
	assert_int_equal(t.records, 0);
	/* to come back at once does not make a new allowance */
	conn = ann();
	for (int i = 0; i < 800 && !t.is_closed[conn]; i++)
		say(conn, (struct proto_message){.type = PROTO_ACK});
	assert_true(t.is_closed[conn]);
}

/* It speaks on and on, and takes nothing: what is for it would wait for ever. */
static void who_does_not_read_is_hung_up_on(void **state)
{
	uint64_t conn = ann();

	for (t.waits_ms = 1; t.waits_ms < 20000; t.waits_ms += 1000) {
		t.now_ms += 1000;
		say(conn,
			(struct proto_message){.type = PROTO_HEARTBEAT,
				.heartbeat.wall_ms = wall_ms(NULL)});
		federation_tick(t.f);
		assert_false(t.is_closed[conn]);
	}
	federation_tick(t.f);
	assert_int_equal(t.told[REFUSAL_UNREAD], 1);
	assert_true(t.is_closed[conn]);
	assert_false(ann_is_connected());
}

static void forged_records_use_up_a_peers_allowance_soon(void **state)
{
	uint64_t conn = ann();
	uint32_t i;

	for (i = 0; i < 100000 && federation_refusals(t.f, REFUSAL_FLOOD) == 0; i++) {
		add_weight("zoe", ANN, "us-west", stamp_now());
		post(conn);
		t.now_ms += 10; /* slow enough for the rate of messages */
	}
	assert_true(i < 400);
}

static void questions_are_answered_once_a_second(void **state)
{
	uint64_t conn = ann();

	for (int i = 0; i < 50; i++)
		say(conn, (struct proto_message){.type = PROTO_DIGEST});
	assert_int_equal(t.sent[conn][PROTO_DIGEST], 4);
	t.now_ms += 1000;
	for (int i = 0; i < 10; i++)
		say(conn, (struct proto_message){.type = PROTO_DIGEST});
	assert_int_equal(t.sent[conn][PROTO_DIGEST], 5);
	assert_false(t.is_closed[conn]);
}

/* Ourselves. */

static void what_cannot_be_made_durable_is_not_taken_and_not_acknowledged(void **state)
{
	uint64_t conn = ann();
	struct record_weight w = {.weight = 5};
	struct err err;

	t.is_disk_full = true;
	add_weight("ann", ANN, "us-west", stamp_now());
	post(conn);
	assert_refused(conn, REFUSAL_JOURNAL);
	assert_int_equal(t.sent[conn][PROTO_ACK], 0);
	assert_int_equal(federation_set_weight(t.f, STR("eu"), STR(""), &w, &err), -ENOSPC);
	assert_null(federation_weight(t.f, STR("eu")));
	t.is_disk_full = false;
	add_weight("ann", ANN, "us-west", stamp_now());
	post(conn);
	assert_int_equal(t.sent[conn][PROTO_ACK], 1);
	assert_non_null(federation_weight(t.f, STR("us-west")));
	assert_int_equal(federation_set_weight(t.f, STR("eu"), STR(""), &w, &err), 0);
}

static void a_full_disk_keeps_no_site_from_its_start(void **state)
{
	struct record_weight w = {.weight = 5};
	struct err err;

	federation_close(t.f);
	t.is_disk_full = true;
	assert_int_equal(site_open(), 0);
	assert_int_equal(t.told[REFUSAL_JOURNAL], 1);
	assert_true(federation_set_weight(t.f, STR("c"), STR(""), &w, &err) < 0);
	t.is_disk_full = false;
	assert_int_equal(federation_set_weight(t.f, STR("c"), STR(""), &w, &err), 0);
}

/* <at>: a byte of the journal that is wrong; beyond it: none. */
static void start_from_a_journal(size_t at)
{
	size_t n = EDITS_MAGIC_BYTES;

	federation_close(t.f);
	memset(t.told, 0, sizeof(t.told));
	t.damaged_at = t.damaged_kept = 0;
	memcpy(t.disk, EDITS_MAGIC, n);
	for (int i = 0; i < 3; i++) {
		add_weight("ann", ANN, i == 0 ? "c0" : i == 1 ? "c1" : "c2", stamp_now());
		n += edits_put(t.disk + n, EDITS_RECORD, letter.b, letter.len);
		letter.len = 0;
	}
	t.disk_len = n;
	if (at < n)
		t.disk[at] ^= 0x10;
	assert_int_equal(site_open(), 0);
}

static void a_damaged_journal_is_told_with_what_is_left_of_it(void **state)
{
	size_t entry;

	start_from_a_journal(SIZE_MAX);
	assert_int_equal(t.told[REFUSAL_JOURNAL_DAMAGED], 0);
	assert_non_null(federation_weight(t.f, STR("c2")));
	entry = (t.disk_len - EDITS_MAGIC_BYTES) / 3;
	start_from_a_journal(EDITS_MAGIC_BYTES + entry + 20); /* in the middle one */
	assert_int_equal(t.told[REFUSAL_JOURNAL_DAMAGED], 1);
	assert_int_equal(t.damaged_at, EDITS_MAGIC_BYTES + entry);
	assert_int_equal(t.damaged_kept, 1);
	assert_non_null(federation_weight(t.f, STR("c0")));
	assert_null(federation_weight(t.f, STR("c1")));
	start_from_a_journal(3); /* no journal at all */
	assert_int_equal(t.told[REFUSAL_JOURNAL_DAMAGED], 1);
	assert_int_equal(t.damaged_at, 0);
	assert_null(federation_weight(t.f, STR("c0")));
}

static void a_clock_set_back_by_an_hour_is_an_error_of_ours(void **state)
{
	struct record_weight w = {.weight = 5};
	struct err err;

	assert_int_equal(federation_set_weight(t.f, STR("eu"), STR(""), &w, &err), 0);
	t.step_ms = -3600 * 1000;
	assert_int_equal(federation_set_weight(t.f, STR("eu"), STR(""), &w, &err), -ETIME);
	t.step_ms = -200 * 1000;
	assert_int_equal(federation_set_weight(t.f, STR("eu"), STR(""), &w, &err), 0);
}

static void names_that_are_none_are_errors(void **state)
{
	struct record_weight w = {.weight = 5};
	struct record_health h = {0};
	static char long_name[300];
	struct err err;

	memset(long_name, 'a', sizeof(long_name));
	assert_int_equal(federation_set_weight(t.f, str_make(long_name, sizeof(long_name)), STR(""),
				 &w, &err),
		-EINVAL);
	assert_int_equal(federation_set_weight(t.f, STR("c"),
				 str_make(long_name, sizeof(long_name)), &w, &err),
		-EINVAL);
	assert_int_equal(federation_put_health(t.f, STR(""), &h, &err), -EINVAL);
	assert_null(federation_weight(t.f, str_make(long_name, sizeof(long_name))));
	w.weight = RECORD_WEIGHT_MAX + 1;
	assert_int_equal(federation_set_weight(t.f, STR("c"), STR(""), &w, &err), -EINVAL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_unknown_name_is_refused),
		T(our_own_name_is_unknown_too),
		T(another_site_than_the_one_dialed_is_refused),
		T(a_site_that_is_to_be_dialed_may_not_dial_and_gets_no_hello),
		T(a_site_is_dialed_by_the_name_of_its_certificate),
		T(a_hello_of_another_connection_is_a_replay),
		T(a_replay_that_names_the_new_challenge_is_not_signed),
		T(an_altered_hello_is_refused),
		T(a_hello_with_another_key_is_refused_and_the_real_site_stays),
		T(an_altered_epoch_is_refused),
		T(our_own_hello_sent_back_is_refused),
		T(a_clock_more_than_five_minutes_ahead_is_refused),
		T(a_clock_beyond_what_a_stamp_can_hold_is_ahead_too),
		T(a_clock_five_minutes_ahead_is_not),
		T(a_greeting_that_does_not_come_ends_after_a_second_each),
		T(strangers_beyond_the_limit_are_closed_at_once),
		T(a_wrong_certificate_and_an_oversized_message_are_the_carriers_to_tell),
		T(a_stranger_may_not_send_long_messages),
		T(a_proved_peer_may_not_send_what_is_too_long_either),
		T(an_unknown_type_is_refused),
		T(another_major_version_is_refused),
		T(noise_is_refused),
		T(a_message_out_of_its_time_is_refused),
		T(a_peer_may_hand_on_what_another_site_has_signed),
		T(a_peer_can_only_speak_for_itself),
		T(nor_for_us),
		T(what_holds_at_one_site_alone_is_for_that_site_to_say),
		T(we_do_not_speak_for_others_either),
		T(an_altered_record_is_refused),
		T(a_record_of_a_site_that_is_not_configured_is_refused),
		T(a_record_that_makes_no_sense_is_refused_and_the_next_is_not),
		T(records_whose_lengths_do_not_add_up_end_the_connection),
		T(a_stamp_more_than_five_minutes_ahead_is_refused),
		T(a_stamp_five_minutes_ahead_is_taken_and_ours_come_after_it),
		T(an_envelope_from_the_future_does_not_move_our_clock),
		T(a_heartbeat_with_a_clock_ahead_ends_the_connection),
		T(a_site_may_have_so_many_records_and_others_still_theirs),
		T(an_old_record_changes_nothing),
		T(edits_that_lose_cost_one_write_together),
		T(a_site_may_lose_so_many_edits_and_others_still_theirs),
		T(answers_that_nobody_asked_for_cost_as_much_as_questions),
		T(a_flood_of_messages_is_dropped_and_then_hung_up_on),
		T(who_does_not_read_is_hung_up_on),
		T(forged_records_use_up_a_peers_allowance_soon),
		T(questions_are_answered_once_a_second),
		T(what_cannot_be_made_durable_is_not_taken_and_not_acknowledged),
		T(a_full_disk_keeps_no_site_from_its_start),
		T(a_damaged_journal_is_told_with_what_is_left_of_it),
		T(a_clock_set_back_by_an_hour_is_an_error_of_ours),
		T(names_that_are_none_are_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
