// SPDX-License-Identifier: Apache-2.0
/*
 * link_test.c: the carrier: order, loss, back-pressure, who may connect, and coming back.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>
#include <nng/nng.h>
#include <nng/protocol/pair1/pair.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/str.h"
#include "dataplane/link/link.h"

#define WAIT_US 15000000u
#define MESSAGE_BYTES 64u

/*
 * nng counts references to a dialer with atomics that the sanitizer cannot see (the library is not
 * instrumented), so it takes the last owner's destruction of the mutex for a race.
 */
__attribute__((visibility("default"))) const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
	return "race:pthread_mutex_destroy";
}

static char dir[] = "/tmp/sluice-link-XXXXXX";
static char url[64], path[64];

#define ENDS_MAX 4
#define SEEN_MAX 8192

struct seen {
	enum link_event_type type;
	size_t len;
	uint32_t number;
};

/* One end of a connection and what has happened there. */
static struct end {
	struct link *l;
	bool deaf; /* nobody calls link_next() */
	struct seen seen[SEEN_MAX];
	unsigned first, count;
} ends[ENDS_MAX];

static struct end *open_end(bool listen)
{
	struct link_config cfg = {.url = url,
		.listen = listen,
		.mode = 0660,
		.recv_bytes_max = 4096,
		.peer_uids = {geteuid()},
		.peer_uid_count = 1};
	struct end *e = ends;
	struct err err;

	while (e->l != NULL)
		e++;
	e->first = e->count = 0;
	e->deaf = false;
	if (link_open(&cfg, &e->l, &err) != 0)
		fail_msg("%s", err.msg);
	return e;
}

static void close_end(struct end *e)
{
	link_close(e->l);
	e->l = NULL;
}

/* Both ends of a test live in one thread: whoever waits lets all of them run. */
static void pump(void)
{
	struct link_event ev;

	for (struct end *e = ends; e < ends + ENDS_MAX; e++)
		while (e->l != NULL && !e->deaf && link_next(e->l, &ev)) {
			assert_true(e->count < SEEN_MAX);
			e->seen[e->count++] = (struct seen){ev.type, ev.len,
				ev.type == LINK_MESSAGE ? be32_get(ev.data) : 0};
		}
}

static void pump_for(unsigned ms)
{
	for (unsigned i = 0; i < ms; i++) {
		pump();
		usleep(1000);
	}
}

/* The next event of <e> must be of this type, soon. */
static struct seen expect(struct end *e, enum link_event_type type)
{
	uint64_t give_up = clock_mono_us() + WAIT_US;

	for (pump(); e->first == e->count; pump()) {
		if (clock_mono_us() > give_up)
			fail_msg("no event, wanted %d", type);
		usleep(200);
	}
	assert_int_equal(e->seen[e->first].type, type);
	return e->seen[e->first++];
}

/* Until that number of the link's statistics is this high. */
static void expect_stat(struct end *e, size_t offset, uint64_t value)
{
	uint64_t give_up = clock_mono_us() + WAIT_US;
	struct link_stats st;

	do {
		assert_true(clock_mono_us() < give_up);
		pump_for(1);
		link_stats(e->l, &st);
	} while (*(const uint64_t *)((const char *)&st + offset) < value);
}
#define EXPECT_STAT(e, field, value) expect_stat(e, offsetof(struct link_stats, field), value)

static bool was_up_last(const struct end *e)
{
	return e->count > 0 && e->seen[e->count - 1].type == LINK_UP;
}

/* Connected; perhaps not at the first try, when a greeting took too long. */
static void open_pair(struct end **server, struct end **client)
{
	uint64_t give_up = clock_mono_us() + WAIT_US;

	*server = open_end(true);
	*client = open_end(false);
	while (!was_up_last(*server) || !was_up_last(*client)) {
		assert_true(clock_mono_us() < give_up);
		pump_for(1);
	}
	(*server)->first = (*server)->count;
	(*client)->first = (*client)->count;
}

static bool send_number(struct end *e, uint32_t n)
{
	uint8_t b[MESSAGE_BYTES] = {0};

	be32_put(b, n);
	return link_send(e->l, b, sizeof(b));
}

static void expect_number(struct end *e, uint32_t n)
{
	struct seen s = expect(e, LINK_MESSAGE);

	assert_int_equal(s.len, MESSAGE_BYTES);
	assert_int_equal(s.number, n);
}

static void messages_arrive_in_order_both_ways(void **state)
{
	struct end *s, *c;

	open_pair(&s, &c);
	for (uint32_t i = 0; i < 500; i++) {
		assert_true(send_number(s, i));
		assert_true(send_number(c, 1000 + i));
	}
	for (uint32_t i = 0; i < 500; i++) {
		expect_number(c, i);
		expect_number(s, 1000 + i);
	}
	close_end(c);
	expect(s, LINK_DOWN);
	close_end(s);
}

static void nothing_is_sent_without_a_connection(void **state)
{
	struct end *c = open_end(false);
	struct link_stats st;

	assert_false(send_number(c, 1));
	assert_false(link_is_up(c->l));
	link_stats(c->l, &st);
	assert_int_equal(st.refused, 1);
	close_end(c);
}

static void a_flood_is_slowed_down_and_then_refused(void **state)
{
	struct end *s, *c;
	uint64_t give_up = clock_mono_us() + WAIT_US;
	uint32_t n = 0;

	open_pair(&s, &c);
	s->deaf = true; /* its inbox fills, then the socket, then our outbox */
	for (unsigned quiet = 0; quiet < 100 || n < LINK_OUTBOX_MAX + LINK_INBOX_MAX; quiet++) {
		for (; send_number(c, n); quiet = 0)
			assert_true(++n < SEEN_MAX);
		assert_true(clock_mono_us() < give_up);
		usleep(1000);
	}
	s->deaf = false;
	for (uint32_t i = 0; i < n; i++)
		expect_number(s, i);
	assert_true(send_number(c, 7));
	expect_number(s, 7);
	close_end(c);
	close_end(s);
}

static void large_messages_arrive_whole(void **state)
{
	static uint8_t big[4096];
	struct end *s, *c;

	open_pair(&s, &c);
	for (uint32_t i = 0; i < 300; i++) {
		be32_put(big, i);
		assert_true(link_send(c->l, big, sizeof(big)));
	}
	for (uint32_t i = 0; i < 300; i++) {
		struct seen m = expect(s, LINK_MESSAGE);

		assert_int_equal(m.len, sizeof(big));
		assert_int_equal(m.number, i);
	}
	close_end(c);
	close_end(s);
}

static void a_message_too_long_costs_its_sender_the_connection(void **state)
{
	static const uint8_t big[8192];
	struct end *s, *c;
	struct link_stats st;

	open_pair(&s, &c);
	assert_true(send_number(c, 1));
	expect_number(s, 1);
	assert_true(link_send(c->l, big, sizeof(big)));
	expect(s, LINK_DOWN);
	expect(c, LINK_DOWN);
	expect(s, LINK_UP);
	expect(c, LINK_UP);
	link_stats(s->l, &st);
	assert_int_equal(st.rejected_bytes, 1);
	assert_true(send_number(c, 2));
	expect_number(s, 2);
	close_end(c);
	close_end(s);
}

/* Skips messages that were on their way. */
static void expect_after_messages(struct end *e, enum link_event_type type)
{
	struct seen s;
	uint64_t give_up = clock_mono_us() + WAIT_US;

	do {
		while (e->first == e->count && clock_mono_us() < give_up)
			pump();
		assert_true(e->first < e->count);
		s = e->seen[e->first++];
	} while (s.type == LINK_MESSAGE && s.number == 1000);
	assert_int_equal(s.type, type);
}

static int by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

#define DROPS 60

/* Often, and while messages are on their way in both directions. */
static void a_dropped_connection_comes_back_without_old_messages(void **state)
{
	uint64_t us[DROPS];
	struct end *s, *c;

	open_pair(&s, &c);
	for (uint32_t round = 0; round < DROPS; round++) {
		uint64_t start = clock_mono_us();

		s->first = s->count = c->first = c->count = 0;
		for (uint32_t i = 0; i < 400; i++) {
			send_number(c, 1000);
			send_number(s, 1000);
		}
		usleep(round * 10);
		link_drop(round % 2 ? s->l : c->l);
		expect_after_messages(s, LINK_DOWN);
		expect_after_messages(c, LINK_DOWN);
		expect(s, LINK_UP);
		expect(c, LINK_UP);
		us[round] = clock_mono_us() - start;
		assert_true(send_number(c, round));
		expect_number(s, round);
		assert_true(send_number(s, round));
		expect_number(c, round);
	}
	qsort(us, DROPS, sizeof(us[0]), by_value);
	assert_true(us[DROPS / 2] < 1000000); /* a machine that stands still delays a few of them */
	close_end(c);
	close_end(s);
}

static void a_dialer_finds_a_listener_that_starts_later_or_again(void **state)
{
	struct end *c = open_end(false), *s;
	uint64_t best = UINT64_MAX;

	pump_for(250);
	for (int round = 0; round < 3; round++) {
		uint64_t start = clock_mono_us();

		s = open_end(true);
		expect(s, LINK_UP);
		expect(c, LINK_UP);
		best = clock_mono_us() - start < best ? clock_mono_us() - start : best;
		assert_true(send_number(s, 5));
		expect_number(c, 5);
		close_end(s);
		expect(c, LINK_DOWN);
	}
	assert_true(best < 500000);
	close_end(c);
}

static void a_second_dialer_disturbs_nobody(void **state)
{
	struct end *s, *c, *intruder;

	open_pair(&s, &c);
	intruder = open_end(false);
	for (uint32_t i = 0; i < 200; i++) {
		assert_false(send_number(intruder, 666));
		assert_true(send_number(c, i));
		expect_number(s, i);
		usleep(1000);
	}
	EXPECT_STAT(s, rejected_busy, 1);
	assert_int_equal(intruder->count, 0);
	/* When the first one leaves, the second takes its place. */
	close_end(c);
	expect(s, LINK_DOWN);
	expect(s, LINK_UP);
	expect(intruder, LINK_UP);
	close_end(intruder);
	close_end(s);
}

static void a_stranger_is_turned_away(void **state)
{
	struct link_config cfg = {.url = url,
		.listen = true,
		.mode = 0660,
		.recv_bytes_max = 4096,
		.peer_uids = {geteuid() + 1},
		.peer_uid_count = 1};
	struct end *s = &ends[ENDS_MAX - 1], *c;
	struct link_stats st;

	assert_int_equal(link_open(&cfg, &s->l, NULL), 0);
	s->count = 0;
	c = open_end(false);
	EXPECT_STAT(s, rejected_peers, 2);
	assert_int_equal(s->count, 0);
	assert_int_equal(c->count, 0);
	link_stats(s->l, &st);
	assert_int_equal(st.connects, 0);
	close_end(c);
	close_end(s);
}

/* What connects and does not speak the protocol, or nothing at all, blocks nobody for long. */
static void nonsense_is_turned_away(void **state)
{
	const struct str nonsense[] = {STR("GET / HTTP/1.0\r\n\r\n"),
		STR("\0SP\0\0\x11\0\0"
		    "\x02"
		    "aaaaaaaaaaaaaaaaaaaa"),
		STR("\0SP\0\0\x11\0\0"
		    "\x01\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x01")};
	struct end *s = open_end(true), *c;
	struct link_stats st;

	for (size_t i = 0; i < 3; i++) {
		struct sockaddr_un sa = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
		assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
		assert_int_equal(write(fd, nonsense[i].p, nonsense[i].len), nonsense[i].len);
		EXPECT_STAT(s, rejected_bytes, i + 1);
		close(fd);
	}
	link_stats(s->l, &st);
	assert_int_equal(st.rejected_bytes, 3);
	s->first = s->count;
	c = open_end(false);
	expect(c, LINK_UP);
	expect(s, LINK_UP);
	close_end(c);
	close_end(s);
}

static void a_pair_socket_of_nng_is_understood(void **state)
{
	struct end *s = open_end(true);
	uint8_t b[MESSAGE_BYTES] = {0};
	nng_socket sock;
	size_t n = sizeof(b);

	assert_int_equal(nng_pair1_open(&sock), 0);
	assert_int_equal(nng_socket_set_ms(sock, NNG_OPT_RECVTIMEO, 15000), 0);
	assert_int_equal(nng_dial(sock, url, NULL, NNG_FLAG_NONBLOCK), 0);
	expect(s, LINK_UP);
	be32_put(b, 77);
	assert_int_equal(nng_send(sock, b, sizeof(b), 0), 0);
	expect_number(s, 77);
	assert_true(send_number(s, 78));
	assert_int_equal(nng_recv(sock, b, &n, 0), 0);
	assert_int_equal(n, MESSAGE_BYTES);
	assert_int_equal(be32_get(b), 78);
	nng_close(sock);
	expect(s, LINK_DOWN);
	close_end(s);
}

static void two_listeners_do_not_share_a_socket(void **state)
{
	struct link_config cfg = {.url = url, .listen = true, .mode = 0600, .recv_bytes_max = 4096};
	struct end *s = open_end(true);
	struct link *other;
	struct err err;
	struct stat st;

	assert_int_equal(link_open(&cfg, &other, &err), -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	close_end(s);
	assert_int_not_equal(stat(path, &st), 0);
}

static void only_absolute_ipc_urls_are_taken(void **state)
{
	static const char *const bad[] = {"", "ipc://relative", "tcp://127.0.0.1:1",
		"abstract://x"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct link_config cfg = {.url = bad[i]};
		struct link *l;
		struct err err;

		assert_int_equal(link_open(&cfg, &l, &err), -EINVAL);
	}
}

/* Time is an argument: seconds of loneliness pass in no time. */
static void a_removed_socket_file_is_made_again(void **state)
{
	struct end *s = open_end(true), *c;
	struct link_stats st;
	uint64_t now = LINK_CHECK_US;

	for (int i = 0; i < 10; i++, now += LINK_CHECK_US)
		link_check(s->l, now);
	pump_for(100);
	assert_int_equal(unlink(path), 0);
	for (int i = 0; i < 10; i++, now += LINK_CHECK_US) {
		link_check(s->l, now);
		pump_for(20);
	}
	link_stats(s->l, &st);
	assert_int_equal(st.relistens, 1);
	c = open_end(false);
	expect(c, LINK_UP);
	expect(s, LINK_UP);
	close_end(c);
	close_end(s);
}

static int setup(void **state)
{
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(path, sizeof(path), "%s/link", dir);
	snprintf(url, sizeof(url), "ipc://%s", path);
	return 0;
}

/* After a test that failed: what it left open must not spoil the next one. */
static int close_all(void **state)
{
	for (struct end *e = ends; e < ends + ENDS_MAX; e++)
		if (e->l != NULL)
			close_end(e);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return rmdir(dir);
}

#define ROW(fn) cmocka_unit_test_teardown(fn, close_all)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROW(messages_arrive_in_order_both_ways),
		ROW(nothing_is_sent_without_a_connection),
		ROW(a_flood_is_slowed_down_and_then_refused),
		ROW(large_messages_arrive_whole),
		ROW(a_message_too_long_costs_its_sender_the_connection),
		ROW(a_dropped_connection_comes_back_without_old_messages),
		ROW(a_dialer_finds_a_listener_that_starts_later_or_again),
		ROW(a_second_dialer_disturbs_nobody),
		ROW(a_stranger_is_turned_away),
		ROW(nonsense_is_turned_away),
		ROW(a_pair_socket_of_nng_is_understood),
		ROW(two_listeners_do_not_share_a_socket),
		ROW(only_absolute_ipc_urls_are_taken),
		ROW(a_removed_socket_file_is_made_again),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
