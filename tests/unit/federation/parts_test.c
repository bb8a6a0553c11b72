// SPDX-License-Identifier: Apache-2.0
/*
 * parts_test.c: the parts of federation/ on their own: table and digest against a naive list,
 * outbox, budget, the journal's file cut at every byte, keys as text.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/base/file.h"
#include "dataplane/base/bytes.h"
#include "dataplane/base/rng.h"
#include "federation/budget.h"
#include "federation/edits.h"
#include "federation/outbox.h"
#include "federation/signing.h"
#include "federation/table.h"

#define KEYS 300u

/* A weight under key number <key>, unsigned: the table does not look at signatures. */
static size_t make(uint8_t *to, uint32_t key, uint64_t stamp)
{
	char cluster[16];
	struct record r = {.kind = RECORD_WEIGHT, .site = STR("a"), .stamp = stamp};
	size_t n;

	snprintf(cluster, sizeof(cluster), "c%u", key);
	r.cluster = str_of(cluster);
	n = record_encode(&r, to + 2, RECORD_BYTES_MAX - 2);
	be16_put(to, (uint16_t)n);
	memset(to + 2 + n, 0, RECORD_SIGNATURE_BYTES);
	return 2 + n + RECORD_SIGNATURE_BYTES;
}

static uint32_t find(const struct table *t, uint32_t key)
{
	uint8_t b[RECORD_BYTES_MAX];
	struct record_bytes parts;
	struct record r;
	size_t n = make(b, key, 1);

	assert_true(record_split(b, n, &parts));
	assert_true(record_decode(parts.fields, parts.fields_len, &r));
	return table_find(t, &r);
}

static void a_table_is_the_list_of_what_was_put_and_not_removed(void **state)
{
	struct table *t = table_new(), *again = table_new();
	uint64_t stamps[KEYS] = {0}, empty = table_root(t);
	uint8_t b[RECORD_BYTES_MAX];
	uint32_t held = 0;
	struct rng r;

	rng_seed(&r, 1);
	for (uint32_t i = 0; i < 20000; i++) {
		uint32_t key = (uint32_t)rng_below(&r, KEYS);

		if (rng_below(&r, 2) == 0) {
			held += stamps[key] == 0;
			stamps[key] = i + 1;
			assert_true(table_put(t, b, make(b, key, i + 1), 3) != TABLE_NONE);
		} else if (stamps[key] != 0) {
			held--;
			stamps[key] = 0;
			table_remove(t, find(t, key));
		}
		assert_int_equal(t->count, held);
		key = (uint32_t)rng_below(&r, KEYS);
		assert_int_equal(find(t, key) != TABLE_NONE, stamps[key] != 0);
		if (stamps[key] != 0)
			assert_int_equal(t->slots[find(t, key)]->record.stamp, stamps[key]);
	}
	/* the digest says what is held, not how it came to be held */
	for (uint32_t key = KEYS; key > 0; key--)
		if (stamps[key - 1] != 0)
			table_put(again, b, make(b, key - 1, stamps[key - 1]), 3);
	assert_true(table_root(t) == table_root(again) && table_root(t) != empty);
	assert_int_equal(t->counts[3][RECORD_WEIGHT], held);
	for (uint32_t key = 0; key < KEYS; key++)
		if (stamps[key] != 0)
			table_remove(t, find(t, key));
	assert_true(table_root(t) == empty && t->count == 0);
	table_free(t);
	table_free(again);
}

static void every_site_has_its_share_of_places(void **state)
{
	struct table *t = table_new();
	uint8_t b[RECORD_BYTES_MAX];

	for (uint32_t i = 0; i < FEDERATION_SITE_WEIGHTS_MAX; i++) {
		assert_false(table_is_full(t, 5, RECORD_WEIGHT, 0));
		table_put(t, b, make(b, i, 1), 5);
	}
	assert_true(table_is_full(t, 5, RECORD_WEIGHT, 0));
	assert_false(table_is_full(t, 6, RECORD_WEIGHT, 0));
	/* what another site writes over counts for that one */
	table_put(t, b, make(b, 0, 2), 6);
	assert_false(table_is_full(t, 5, RECORD_WEIGHT, 0));
	table_free(t);
}

static void an_outbox_sends_the_newest_once_and_again_until_it_is_acknowledged(void **state)
{
	struct table *t = table_new();
	struct outbox *o = calloc(1, sizeof(*o));
	uint8_t b[RECORD_BYTES_MAX], to[OUTBOX_DELTA_MAX];
	uint32_t slot = table_put(t, b, make(b, 1, 1), 0), n;

	for (int i = 0; i < 10; i++)
		outbox_mark(o, slot);
	assert_true(outbox_take(o, t, 1, 0, to, &n) > 0 && n == 1);
	assert_int_equal(outbox_take(o, t, 2, 0, to, &n), 0);
	/* it changes while the first is under way: sent again, and only the second ack counts */
	outbox_mark(o, slot);
	assert_true(outbox_take(o, t, 2, 0, to, &n) > 0);
	outbox_ack(o, 1);
	assert_false(outbox_is_empty(o));
	outbox_tick(o, OUTBOX_RESEND_MS - 1);
	assert_int_equal(o->dirty_count, 0);
	outbox_tick(o, OUTBOX_RESEND_MS);
	assert_true(outbox_take(o, t, 3, OUTBOX_RESEND_MS, to, &n) > 0);
	outbox_ack(o, 2); /* too late, given up */
	assert_false(outbox_is_empty(o));
	outbox_ack(o, 3);
	outbox_ack(o, 3);
	outbox_ack(o, 0);
	assert_true(outbox_is_empty(o));
	/* forgotten before it could be sent */
	outbox_mark(o, slot);
	table_remove(t, slot);
	assert_int_equal(outbox_take(o, t, 4, 0, to, &n), 0);
	assert_true(outbox_is_empty(o));
	free(o);
	table_free(t);
}

static void an_outbox_stops_at_its_window_and_goes_on_with_each_acknowledgement(void **state)
{
	struct table *t = table_new();
	struct outbox *o = calloc(1, sizeof(*o));
	uint8_t b[RECORD_BYTES_MAX], to[OUTBOX_DELTA_MAX];
	uint32_t n, sent = 0, seq = 0;

	for (uint32_t i = 0; i < 5000; i++)
		outbox_mark(o, table_put(t, b, make(b, i, 1), 0));
	while (outbox_take(o, t, seq + 1, 0, to, &n) > 0) {
		sent += n;
		seq++;
	}
	assert_int_equal(seq, OUTBOX_WINDOW);
	for (uint32_t done = 1; sent < 5000 && done < 1000; done++) {
		outbox_ack(o, done);
		if (outbox_take(o, t, seq + 1, 0, to, &n) > 0) {
			sent += n;
			seq++;
		}
	}
	assert_int_equal(sent, 5000);
	free(o);
	table_free(t);
}

static void a_budget_is_a_burst_and_then_a_rate(void **state)
{
	struct budget b;

	budget_init(&b, 3, 10, 1000);
	assert_true(budget_take(&b, 10, 1000));
	assert_false(budget_take(&b, 1, 1333)); /* 0.999 tokens */
	assert_true(budget_take(&b, 1, 1334));
	assert_false(budget_take(&b, 11, 1u << 30)); /* never more than the burst */
	budget_charge(&b, 100);			     /* from 10 to -10: 3.667 s to get back to 1 */
	assert_false(budget_take(&b, 1, (1u << 30) + 3666));
	assert_true(budget_take(&b, 1, (1u << 30) + 3667));
}

/* The journal. */

static char path[64];
static uint8_t journal[512];
static size_t journal_len;

static void write_three(struct federation_store *s)
{
	struct err err;
	uint8_t entry[64];
	size_t n;

	assert_int_equal(s->replace(s->ctx, EDITS_MAGIC, EDITS_MAGIC_BYTES, &err), 0);
	for (int i = 0; i < 3; i++) {
		n = edits_put(entry, EDITS_RECORD, "payload", (size_t)(5 + i));
		assert_int_equal(s->append(s->ctx, entry, n, &err), 0);
	}
}

static uint32_t read_back(struct federation_store *s)
{
	enum edits_type type;
	struct str rest, payload;
	uint32_t n = 0;
	struct err err;
	void *data;

	assert_int_equal(s->load(s->ctx, &data, &journal_len, &err), 0);
	assert_true(journal_len <= sizeof(journal));
	if (journal_len > 0)
		memcpy(journal, data, journal_len);
	rest = str_from(str_make(data, journal_len), EDITS_MAGIC_BYTES);
	while (edits_next(&rest, &type, &payload)) {
		assert_true(type == EDITS_RECORD && payload.len == 5 + n);
		assert_memory_equal(payload.p, "payload", payload.len);
		n++;
	}
	free(data);
	return n;
}

static void a_journal_cut_or_damaged_anywhere_holds_what_stands_before(void **state)
{
	struct edits_file *f;
	struct federation_store s;
	size_t ends[] = {8, 8 + 9 + 5, 8 + 2 * 9 + 5 + 6, 8 + 3 * 9 + 5 + 6 + 7};
	struct err err;

	snprintf(path, sizeof(path), "/tmp/edits-test-%d", (int)getpid());
	f = edits_file_new(path);
	s = edits_file_store(f);
	assert_int_equal(read_back(&s), 0); /* there is none yet */
	assert_int_equal(journal_len, 0);
	assert_true(s.append(s.ctx, "x", 1, &err) < 0); /* and nothing to append to */
	write_three(&s);
	assert_int_equal(read_back(&s), 3);
	assert_int_equal(journal_len, ends[3]);
	for (size_t cut = 8; cut < ends[3]; cut++) {
		uint32_t whole = 0;
		uint8_t was = journal[cut];

		while (cut >= ends[whole + 1])
			whole++;
		assert_int_equal(s.replace(s.ctx, journal, cut, &err), 0);
		assert_int_equal(read_back(&s), whole);
		write_three(&s);
		read_back(&s);
		journal[cut] ^= 0x20;
		assert_int_equal(s.replace(s.ctx, journal, ends[3], &err), 0);
		assert_int_equal(read_back(&s), whole);
		journal[cut] = was;
	}
	edits_file_free(f);
	unlink(path);
}

static void a_damaged_journal_is_kept_beside_the_new_one(void **state)
{
	struct edits_file *f;
	struct federation_store s;
	struct err err;
	char aside[300];
	void *data;
	size_t len;

	snprintf(path, sizeof(path), "/tmp/edits-test-%d", (int)getpid());
	snprintf(aside, sizeof(aside), "%s.damaged", path);
	f = edits_file_new(path);
	s = edits_file_store(f);
	for (int i = 0; i < 2; i++) { /* the newest is kept */
		assert_int_equal(s.replace(s.ctx, i == 0 ? "older" : "bytes", 5, &err), 0);
		s.damaged(s.ctx, 3, 0);
		assert_int_equal(s.replace(s.ctx, "new", 3, &err), 0);
		assert_int_equal(file_read(aside, 100, &data, &len, &err), 0);
		assert_int_equal(len, 5);
		assert_memory_equal(data, i == 0 ? "older" : "bytes", 5);
		free(data);
		assert_int_equal(s.load(s.ctx, &data, &len, &err), 0);
		assert_int_equal(len, 3);
		free(data);
	}
	edits_file_free(f);
	unlink(path);
	unlink(aside);
}

static void a_journal_whose_folder_is_gone_says_so(void **state)
{
	struct edits_file *f = edits_file_new("/nonexistent/folder/journal");
	struct federation_store s = edits_file_store(f);
	struct err err = {""};

	assert_true(s.replace(s.ctx, "x", 1, &err) < 0);
	assert_true(err.msg[0] != '\0');
	edits_file_free(f);
}

/* Keys. */

static void keys_are_read_as_openssl_writes_them(void **state)
{
	/* RFC 8410 10.1: an Ed25519 public key; 10.3: a private key in PEM */
	static const char pem[] = "-----BEGIN PUBLIC KEY-----\n"
				  "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n"
				  "-----END PUBLIC KEY-----\n";
	static const char body[] = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
	static const char raw[] = "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
	static const char private[] =
		"-----BEGIN PRIVATE KEY-----\n"
		"MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
		"-----END PRIVATE KEY-----\n";
	static const char *const bad[] = {"", "Gb9E", "not base64 !", "-----BEGIN PUBLIC KEY-----"};
	uint8_t a[FEDERATION_KEY_BYTES], b[FEDERATION_KEY_BYTES];
	struct signing_key *k = NULL;
	struct err err = {""};
	FILE *f;

	assert_true(signing_public_parse(str_of(pem), a));
	assert_true(signing_public_parse(str_of(body), b));
	assert_memory_equal(a, b, sizeof(a));
	assert_true(signing_public_parse(str_of(raw), b));
	assert_memory_equal(a, b, sizeof(a));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(signing_public_parse(str_of(bad[i]), b));
	snprintf(path, sizeof(path), "/tmp/key-test-%d", (int)getpid());
	f = fopen(path, "w");
	fputs(private, f);
	fclose(f);
	assert_int_equal(signing_key_read(path, &k, &err), 0);
	signing_public(k, b);
	assert_memory_equal(a, b, sizeof(a));
	signing_key_free(k);
	f = fopen(path, "w");
	fputs(pem, f);
	fclose(f);
	assert_true(signing_key_read(path, &k, &err) < 0);
	unlink(path);
	assert_true(signing_key_read(path, &k, &err) < 0);
}

static void a_signature_is_of_one_key_and_one_text(void **state)
{
	/* RFC 8032 7.1, test 2: one byte 0x72 */
	static const uint8_t secret[32] = {0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d,
		0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b, 0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6,
		0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb};
	static const uint8_t start[4] = {0x92, 0xa0, 0x09, 0xa9};
	struct signing_key *k = signing_key_new(secret);
	struct federation_signer s = signing_signer(k);
	uint8_t public[32], sig[64];

	signing_public(k, public);
	assert_true(s.sign(s.ctx, "\x72", 1, sig));
	assert_memory_equal(sig, start, sizeof(start));
	assert_true(s.verify(s.ctx, public, "\x72", 1, sig));
	assert_false(s.verify(s.ctx, public, "\x73", 1, sig));
	sig[63] ^= 1;
	assert_false(s.verify(s.ctx, public, "\x72", 1, sig));
	sig[63] ^= 1;
	public[0] ^= 1;
	assert_false(s.verify(s.ctx, public, "\x72", 1, sig));
	signing_key_free(k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table_is_the_list_of_what_was_put_and_not_removed),
		cmocka_unit_test(every_site_has_its_share_of_places),
		cmocka_unit_test(
			an_outbox_sends_the_newest_once_and_again_until_it_is_acknowledged),
		cmocka_unit_test(
			an_outbox_stops_at_its_window_and_goes_on_with_each_acknowledgement),
		cmocka_unit_test(a_budget_is_a_burst_and_then_a_rate),
		cmocka_unit_test(a_damaged_journal_is_kept_beside_the_new_one),
		cmocka_unit_test(a_journal_cut_or_damaged_anywhere_holds_what_stands_before),
		cmocka_unit_test(a_journal_whose_folder_is_gone_says_so),
		cmocka_unit_test(keys_are_read_as_openssl_writes_them),
		cmocka_unit_test(a_signature_is_of_one_key_and_one_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
