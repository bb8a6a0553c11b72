// SPDX-License-Identifier: Apache-2.0
/*
 * hostile_peer.c: a site that misbehaves, over the real carrier, against a real control.
 *
 *	hostile_peer URL CA PAIR SIGN-KEY NAME VICTIM DIALED CASE
 *
 * Connects with certificate and key of PAIR, calls itself NAME, signs with SIGN-KEY (PEM, Ed25519),
 * and does to VICTIM, who dials DIALED, what CASE says. Prints one line: "up" when TLS was agreed, "welcome" when its
 * hello was believed, "refused=REASON" when it was told one, and "acked=N refused_records=M" of what
 * it sent. What it may and may not do is the victim's to say, and whether the connection is still
 * there the kernel's: nng 1.5.2 may keep to itself an end that comes between two reads.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/hash.h"
#include "federation/carrier_nng.h"
#include "federation/hlc.h"
#include "federation/proto.h"
#include "federation/signing.h"

#define SECONDS 4
#define EPOCH 7u
#define AHEAD_MS (FEDERATION_AHEAD_MS + 60000u)
#define FLOOD 5000u
#define MANY 400u

static struct {
	struct carrier_nng *n;
	struct carrier c;
	const char *name, *victim, *what;
	const char *dialed; /* a site that the victim dials */
	struct signing_key *key;
	uint64_t conn, first; /* <first>: replay's first connection */
	bool up, welcome, closed, greeted;
	char refused[64];
	struct proto_message theirs; /* challenge, its text copied away */
	uint8_t nonce[32], old_hello[PROTO_GREETING_MAX];
	size_t old_len;
	uint64_t seq;
	uint32_t acked, refused_records;
} t;

static bool is(const char *what)
{
	return strcmp(t.what, what) == 0;
}

static uint64_t wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void say_bytes(const void *p, size_t len)
{
	t.c.send(t.c.ctx, t.conn, p, len); /* full: then it is not said */
}

static size_t encode(struct proto_message m, uint8_t *to)
{
	size_t n;

	m.epoch = EPOCH;
	m.seq = ++t.seq;
	n = proto_encode(&m, to);
	bug_on(n == 0);
	return n;
}

static void say(struct proto_message m)
{
	static uint8_t b[PROTO_MAX];

	say_bytes(b, encode(m, b));
}

static void say_challenge(void)
{
	const char *name = is("unknown-name") ? "nobody" : is("in-the-middle") ? t.dialed : t.name;
	struct proto_message m = {.type = PROTO_CHALLENGE,
		.challenge = {.site = str_of(name),
			.wall_ms = wall_ms() + (is("clock-ahead") ? AHEAD_MS : 0)}};

	memcpy(m.challenge.nonce, t.nonce, sizeof(t.nonce));
	say(m);
}

static size_t put_side(uint8_t *to, const char *name, const uint8_t *nonce, uint64_t epoch)
{
	size_t n = strlen(name);

	to[0] = (uint8_t)n;
	memcpy(to + 1, name, n);
	memcpy(to + 1 + n, nonce, 32);
	be64_put(to + 33 + n, epoch);
	return n + 41;
}

static void say_hello(void)
{
	struct proto_message m = {.type = PROTO_HELLO};
	uint8_t text[512] = "sluice federation hello 1", b[PROTO_GREETING_MAX];
	size_t n = strlen((char *)text) + 1, len;

	n += put_side(text + n, t.name, t.nonce, EPOCH);
	n += put_side(text + n, t.victim, t.theirs.challenge.nonce, t.theirs.epoch);
	memcpy(m.hello.answers, t.theirs.challenge.nonce, 32);
	bug_on(!signing_signer(t.key).sign(t.key, text, n, m.hello.signature));
	if (is("altered-hello"))
		m.hello.signature[10] ^= 1;
	len = encode(m, b);
	if (is("replayed-hello") && t.first != t.conn) {
		say_bytes(t.old_hello, t.old_len);
		return;
	}
	memcpy(t.old_hello, b, len);
	t.old_len = len;
	say_bytes(b, len);
}

/* --- once it is believed --- */

static uint8_t letter[PROTO_MAX];
static size_t letter_len;

static void add_scoped(const char *site, const char *cluster, const char *scope, uint64_t stamp)
{
	struct record r = {.kind = RECORD_WEIGHT,
		.site = str_of(site),
		.stamp = stamp,
		.cluster = str_of(cluster),
		.scope = str_of(scope),
		.weight = {.weight = 1, .actor = STR("mallory")}};
	static const char prefix[] = "sluice federation record 1";
	uint8_t text[sizeof(prefix) + RECORD_BYTES_MAX], *to = letter + letter_len;
	size_t n = record_encode(&r, to + 2, RECORD_BYTES_MAX);

	bug_on(n == 0);
	be16_put(to, (uint16_t)n);
	memcpy(text, prefix, sizeof(prefix));
	memcpy(text + sizeof(prefix), to + 2, n);
	bug_on(!signing_signer(t.key).sign(t.key, text, sizeof(prefix) + n, to + 2 + n));
	letter_len += 2 + n + RECORD_SIGNATURE_BYTES;
}

static void add_weight(const char *site, const char *cluster, uint64_t stamp)
{
	add_scoped(site, cluster, "", stamp);
}

static void post(void)
{
	say((struct proto_message){.type = PROTO_DELTA,
		.delta.records = str_make((char *)letter, letter_len)});
	letter_len = 0;
}

static void say_damaged(unsigned at, uint8_t value)
{
	uint8_t b[PROTO_GREETING_MAX];
	size_t n = encode((struct proto_message){.type = PROTO_ACK}, b);

	b[at] = value;
	be32_put(b + 36, 0);
	be32_put(b + 36, crc32c(0, b, n));
	say_bytes(b, n);
}

static void say_many(void)
{
	char cluster[16];

	for (unsigned i = 0; i < MANY; i++) {
		snprintf(cluster, sizeof(cluster), "c%u", i);
		add_weight(t.name, cluster, hlc_of_ms(wall_ms()));
		if (letter_len > 50000)
			post();
	}
	post();
}

static void misbehave(void)
{
	static uint8_t noise[CARRIER_MESSAGE_MAX];
	uint64_t now = hlc_of_ms(wall_ms());

	if (is("unknown-type"))
		say_damaged(4, 77);
	else if (is("other-version"))
		say_damaged(2, PROTO_MAJOR + 1);
	else if (is("too-long"))
		say_bytes(noise, PROTO_MAX + 1);
	else if (is("forged-record"))
		add_weight(t.victim, "us-west", now), post();
	else if (is("record-scope"))
		add_scoped(t.name, "us-west", t.victim, now), post();
	else if (is("stranger-record"))
		add_weight("nobody", "us-west", now), post();
	else if (is("record-ahead"))
		add_weight(t.name, "us-west", hlc_of_ms(wall_ms() + AHEAD_MS)), post();
	else if (is("many-records"))
		say_many();
	else if (is("honest"))
		add_weight(t.name, "us-west", now), post();
}

/* As fast as the carrier takes it. */
static void flood(void)
{
	for (unsigned i = 0; i < FLOOD && is("flood") && t.welcome; i++)
		say((struct proto_message){.type = PROTO_DIGEST});
}

/* --- what the victim says --- */

static void on_up(void *arg, uint64_t conn, bool dialed)
{
	t.up = true;
	if (is("noise"))
		say_bytes("GET / HTTP/1.1\r\n\r\n", 18);
	else if (is("out-of-turn"))
		say((struct proto_message){.type = PROTO_HEARTBEAT});
	else if (!is("silent"))
		say_challenge();
}

static void on_message(void *arg, uint64_t conn, const void *data, size_t len)
{
	struct proto_message m;

	if (proto_decode(data, len, &m) != REFUSAL_NONE)
		return;
	switch (m.type) {
	case PROTO_CHALLENGE:
		t.theirs = m;
		if (!is("silent"))
			say_hello();
		break;
	case PROTO_WELCOME:
		if (m.welcome.why.len != 0) {
			snprintf(t.refused, sizeof(t.refused), "%.*s", STR_FMT(m.welcome.why));
			break;
		}
		t.welcome = true;
		say((struct proto_message){.type = PROTO_WELCOME});
		misbehave();
		break;
	case PROTO_ACK:
		t.acked++;
		t.refused_records += m.ack.refused;
		break;
	default:
		break;
	}
}

static void on_down(void *arg, uint64_t conn, enum carrier_end why)
{
	t.closed = conn == t.conn;
}

/* Once it is believed it is not silent: what ends its connection is what it does. */
static void beat(void)
{
	static uint64_t last_us;
	uint64_t now_us = clock_mono_us();

	if (!t.welcome || now_us - last_us < FEDERATION_HEARTBEAT_MS * 1000u)
		return;
	last_us = now_us;
	say((struct proto_message){.type = PROTO_HEARTBEAT, .heartbeat.wall_ms = wall_ms()});
}

static void run_for(unsigned seconds, const bool *until)
{
	uint64_t end = clock_mono_us() + seconds * 1000000u;

	while (clock_mono_us() < end && !t.closed && !*until) {
		struct pollfd p = {.fd = carrier_nng_fd(t.n), .events = POLLIN};

		if (poll(&p, 1, 20) > 0)
			carrier_nng_dispatch(t.n);
		flood();
		beat();
	}
}

int main(int argc, char **argv)
{
	const struct carrier_sink sink = {NULL, on_up, on_message, on_down};
	const bool never = false;
	struct carrier_nng_config cfg;
	struct err err;

	if (argc != 9) {
		fprintf(stderr, "hostile_peer URL CA PAIR SIGN-KEY NAME VICTIM DIALED CASE\n");
		return 2;
	}
	cfg = (struct carrier_nng_config){.ca = argv[2], .certificate = argv[3]};
	t.name = argv[5];
	t.victim = argv[6];
	t.dialed = argv[7];
	t.what = argv[8];
	if (signing_key_read(argv[4], &t.key, &err) < 0 || carrier_nng_open(&cfg, &t.n, &err) < 0) {
		fprintf(stderr, "hostile_peer: %s\n", err.msg);
		return 2;
	}
	memset(t.nonce, 0x5a, sizeof(t.nonce));
	t.c = carrier_nng_carrier(t.n);
	t.c.receive(t.c.ctx, &sink);
	t.first = t.conn = t.c.open(t.c.ctx, argv[1], t.victim);
	if (is("replayed-hello")) {
		run_for(SECONDS, &t.welcome);
		t.c.close(t.c.ctx, t.conn);
		t.welcome = t.closed = false;
		t.conn = t.c.open(t.c.ctx, argv[1], t.victim);
	}
	run_for(SECONDS, &never);
	printf("%s%s%s%s acked=%u refused_records=%u\n", t.up ? "up " : "",
		t.welcome ? "welcome " : "", *t.refused ? "refused=" : "", t.refused, t.acked,
		t.refused_records);
	carrier_nng_close(t.n);
	signing_key_free(t.key);
	return 0;
}
