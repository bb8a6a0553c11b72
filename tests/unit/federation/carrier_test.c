// SPDX-License-Identifier: Apache-2.0
/*
 * carrier_test.c: two carriers, and strangers of all kinds, over loopback with real TLS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <nng/nng.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/base/bytes.h"
#include "dataplane/base/clock.h"
#include "federation/carrier_nng.h"
#include "tests/unit/federation/certs.h"

#define ENDS_MAX 64
#define DAY 86400

static char folder[64];

static const char *in_folder(const char *name)
{
	static char path[8][128];
	static unsigned at;
	char *p = path[at++ % 8];

	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

/* What a sink has heard. */
struct heard {
	struct carrier_nng *n;
	struct carrier c;
	uint64_t up[ENDS_MAX], messages, bytes, close_at; /* close_at: at this message */
	uint8_t last[8];
	bool dialed[ENDS_MAX], out_of_order;
	unsigned ups, downs;
	uint64_t down[ENDS_MAX];
	enum carrier_end why[ENDS_MAX];
};

static void on_up(void *arg, uint64_t conn, bool dialed)
{
	struct heard *h = arg;

	h->up[h->ups % ENDS_MAX] = conn;
	h->dialed[h->ups++ % ENDS_MAX] = dialed;
}

static void on_message(void *arg, uint64_t conn, const void *data, size_t len)
{
	struct heard *h = arg;

	if (len >= 8 && be64_get(data) != h->messages)
		h->out_of_order = true;
	h->messages++;
	h->bytes += len;
	if (h->messages == h->close_at)
		h->c.close(h->c.ctx, conn);
}

static void on_down(void *arg, uint64_t conn, enum carrier_end why)
{
	struct heard *h = arg;

	h->down[h->downs % ENDS_MAX] = conn;
	h->why[h->downs++ % ENDS_MAX] = why;
}

static uint16_t free_port(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);

	assert_return_code(bind(s, (struct sockaddr *)&a, sizeof(a)), errno);
	assert_return_code(getsockname(s, (struct sockaddr *)&a, &len), errno);
	close(s);
	return ntohs(a.sin_port);
}

static void carrier_start(struct heard *h, const char *pair, const char *ca, const char *listen)
{
	struct carrier_nng_config cfg = {.listen = listen,
		.ca = in_folder(ca),
		.certificate = in_folder(pair)};
	struct carrier_sink sink = {h, on_up, on_message, on_down};
	struct err err;

	*h = (struct heard){0};
	if (carrier_nng_open(&cfg, &h->n, &err) < 0)
		fail_msg("%s", err.msg);
	h->c = carrier_nng_carrier(h->n);
	h->c.receive(h->c.ctx, &sink);
}

static void turn(struct heard *a, struct heard *b)
{
	struct pollfd p[2] = {{.fd = carrier_nng_fd(a->n), .events = POLLIN},
		{.fd = b != NULL ? carrier_nng_fd(b->n) : -1, .events = POLLIN}};

	poll(p, 2, 10);
	if (p[0].revents)
		carrier_nng_dispatch(a->n);
	if (p[1].revents)
		carrier_nng_dispatch(b->n);
}

/* Until <what> holds, ten seconds at most. */
#define until(what, a, b) \
	do { \
		uint64_t end_ = clock_mono_us() + 10000000; \
		while (!(what) && clock_mono_us() < end_) \
			turn(a, b); \
		assert_true(what); \
	} while (0)

struct two {
	struct heard server, client;
	char url[64];
	uint16_t port;
};

static void two_start(struct two *t, const char *client_pair, const char *client_ca)
{
	t->port = free_port();
	snprintf(t->url, sizeof(t->url), "tls+tcp://127.0.0.1:%u", t->port);
	carrier_start(&t->server, "a.pem", "ca.pem", t->url);
	carrier_start(&t->client, client_pair, client_ca, NULL);
}

static void two_end(struct two *t)
{
	carrier_nng_close(t->client.n);
	carrier_nng_close(t->server.n);
}

static void messages_arrive_whole_and_in_order_both_ways(void **state)
{
	static uint8_t m[CARRIER_MESSAGE_MAX];
	struct two t;
	uint64_t c;
	uint64_t sent = 0;
	char id[CARRIER_PEER_ID_MAX];
	struct carrier_stats st;

	two_start(&t, "b.pem", "ca.pem");
	c = t.client.c.open(t.client.c.ctx, t.url, "a");
	assert_int_not_equal(c, 0);
	until(t.client.ups == 1 && t.server.ups == 1, &t.client, &t.server);
	assert_true(t.client.dialed[0] && !t.server.dialed[0]);
	assert_int_equal(t.client.up[0], c);
	t.server.c.peer_id(t.server.c.ctx, t.server.up[0], id, sizeof(id));
	assert_int_equal(strncmp(id, "127.0.0.1:", 10), 0);
	for (; sent < 1000; sent++) {
		size_t len = sent % 100 == 0 ? sizeof(m) : 8 + sent % 50;

		be64_put(m, sent);
		while (!t.client.c.send(t.client.c.ctx, c, m, len))
			turn(&t.client, &t.server);
		be64_put(m, sent);
		while (!t.server.c.send(t.server.c.ctx, t.server.up[0], m, 8))
			turn(&t.client, &t.server);
	}
	until(t.server.messages == sent && t.client.messages == sent, &t.client, &t.server);
	assert_false(t.server.out_of_order || t.client.out_of_order);
	t.client.c.stats(t.client.c.ctx, c, &st);
	assert_int_equal(st.messages_sent, sent);
	assert_int_equal(st.messages_received, sent);
	assert_false(t.client.c.send(t.client.c.ctx, c, m, sizeof(m) + 1));
	t.client.c.close(t.client.c.ctx, c);
	until(t.server.downs == 1, &t.client, &t.server);
	assert_int_equal(t.server.why[0], CARRIER_CLOSED);
	assert_int_equal(t.client.downs, 0);
	assert_false(t.client.c.send(t.client.c.ctx, c, m, 8));
	two_end(&t);
}

static void a_sink_may_close_within_a_message(void **state)
{
	struct two t;
	uint8_t m[8];
	uint64_t c;

	two_start(&t, "b.pem", "ca.pem");
	c = t.client.c.open(t.client.c.ctx, t.url, "a");
	until(t.client.ups == 1 && t.server.ups == 1, &t.client, &t.server);
	t.server.close_at = 2;
	for (uint64_t i = 0; i < 5; i++) {
		be64_put(m, i);
		t.client.c.send(t.client.c.ctx, c, m, sizeof(m));
	}
	until(t.client.downs == 1, &t.client, &t.server);
	assert_int_equal(t.server.messages, 2);
	assert_int_equal(t.server.downs, 0);
	two_end(&t);
}

static const struct bad_certificate {
	const char *name, *pair, *ca;
} bad_certificates[] = {
	{"a certificate of another CA is refused", "other.pem", "ca.pem"},
	{"an expired certificate is refused", "expired.pem", "ca.pem"},
	{"a site does not speak to a listener of another CA", "b.pem", "otherca.pem"},
};

static void certificates_that_are_not_good_are_refused(void **state)
{
	for (unsigned i = 0; i < sizeof(bad_certificates) / sizeof(bad_certificates[0]); i++) {
		const struct bad_certificate *b = &bad_certificates[i];
		struct two t;

		print_message("%s\n", b->name);
		two_start(&t, b->pair, b->ca);
		t.client.c.open(t.client.c.ctx, t.url, "a");
		until(t.client.downs == 1 && t.server.downs == 1, &t.client, &t.server);
		assert_int_equal(t.client.ups + t.server.ups, 0);
		assert_int_equal(t.server.down[0], 0);
		assert_true(t.client.why[0] == CARRIER_CERTIFICATE ||
			t.server.why[0] == CARRIER_CERTIFICATE);
		two_end(&t);
	}
}

/* One of the federation, but not the site that we dial: it may not stand between us and that one. */
static void a_listener_with_the_certificate_of_another_site_is_refused(void **state)
{
	struct two t;

	two_start(&t, "b.pem", "ca.pem");
	t.client.c.open(t.client.c.ctx, t.url, "c");
	until(t.client.downs == 1, &t.client, &t.server);
	assert_int_equal(t.client.why[0], CARRIER_CERTIFICATE);
	assert_int_equal(t.client.ups, 0);
	t.client.c.open(t.client.c.ctx, t.url, "a"); /* the name is asked each time anew */
	until(t.client.ups == 1, &t.client, &t.server);
	two_end(&t);
}

/* From 127.0.0.<from>. */
static int tcp_connect_from(uint8_t from, uint16_t port)
{
	struct sockaddr_in own = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + from)};
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	assert_true(s >= 0);
	assert_return_code(bind(s, (struct sockaddr *)&own, sizeof(own)), errno);
	connect(s, (struct sockaddr *)&a, sizeof(a));
	return s;
}

static int tcp_connect(uint16_t port)
{
	return tcp_connect_from(1, port);
}

/* A client of OpenSSL's that has a good certificate, or none. */
struct stranger {
	SSL_CTX *ctx;
	SSL *ssl;
	int s;
};

static void stranger_connect(struct stranger *x, const struct two *t, const char *pair)
{
	x->ctx = SSL_CTX_new(TLS_client_method());
	if (pair != NULL) {
		assert_int_equal(SSL_CTX_use_certificate_file(x->ctx, in_folder(pair),
					 SSL_FILETYPE_PEM),
			1);
		assert_int_equal(SSL_CTX_use_PrivateKey_file(x->ctx, in_folder(pair),
					 SSL_FILETYPE_PEM),
			1);
	}
	x->ssl = SSL_new(x->ctx);
	x->s = tcp_connect(t->port);
	SSL_set_fd(x->ssl, x->s);
	SSL_set_connect_state(x->ssl);
}

/* Sends all of it, as far as TLS gets; the carrier is served meanwhile. */
static void stranger_send(struct stranger *x, struct two *t, const void *data, size_t len)
{
	uint64_t end = clock_mono_us() + 5000000;
	int rv = 0;

	while (rv <= 0 && clock_mono_us() < end && t->server.downs == 0) {
		rv = SSL_write(x->ssl, data, (int)len);
		turn(&t->server, NULL);
	}
}

static void stranger_end(struct stranger *x)
{
	SSL_free(x->ssl);
	SSL_CTX_free(x->ctx);
	close(x->s);
}

static void who_shows_no_certificate_is_refused(void **state)
{
	struct stranger x;
	struct two t;

	two_start(&t, "b.pem", "ca.pem");
	stranger_connect(&x, &t, NULL);
	stranger_send(&x, &t, "\0SP\0\0\x11\0\0", 8);
	until(t.server.downs == 1, &t.server, NULL);
	assert_int_equal(t.server.why[0], CARRIER_CERTIFICATE);
	assert_int_equal(t.server.ups, 0);
	stranger_end(&x);
	two_end(&t);
}

static uint64_t waits_ms(const struct two *t)
{
	struct carrier_stats s;

	t->server.c.stats(t->server.c.ctx, t->server.up[0], &s);
	return s.waits_ms;
}

static void a_message_that_nobody_takes_waits_and_that_is_told(void **state)
{
	static uint8_t m[CARRIER_MESSAGE_MAX];
	struct stranger x;
	struct two t;

	two_start(&t, "b.pem", "ca.pem");
	stranger_connect(&x, &t, "b.pem");
	stranger_send(&x, &t, "\0SP\0\0\x11\0\0", 8);
	until(t.server.ups == 1, &t.server, NULL);
	assert_true(waits_ms(&t) < 10000);
	while (t.server.c.send(t.server.c.ctx, t.server.up[0], m, sizeof(m)))
		turn(&t.server, NULL); /* into the kernel's buffers, and then ours */
	until(waits_ms(&t) >= 200, &t.server, NULL);
	assert_int_equal(t.server.downs, 0);
	stranger_end(&x);
	two_end(&t);
}

static void a_message_too_long_ends_the_connection_unread(void **state)
{
	uint8_t m[8 + 13] = "\0SP\0\0\x11\0\0\x01";
	struct stranger x;
	struct two t;

	two_start(&t, "b.pem", "ca.pem");
	be64_put(m + 9, CARRIER_MESSAGE_MAX + 5);
	stranger_connect(&x, &t, "b.pem");
	stranger_send(&x, &t, m, sizeof(m));
	until(t.server.downs == 1, &t.server, NULL);
	assert_int_equal(t.server.ups, 1);
	assert_int_equal(t.server.why[0], CARRIER_TOO_LONG);
	assert_int_equal(t.server.down[0], t.server.up[0]);
	stranger_end(&x);
	two_end(&t);
}

static unsigned told(const struct heard *h, enum carrier_end why)
{
	unsigned n = 0;

	for (unsigned i = 0; i < h->downs && i < ENDS_MAX; i++)
		n += h->why[i] == why && h->down[i] == 0;
	return n;
}

static void bytes_that_are_not_tls_are_refused_and_silence_ends(void **state)
{
	int s[2 * CARRIER_NNG_STRANGERS_EACH];
	struct two t;

	two_start(&t, "b.pem", "ca.pem");
	for (unsigned i = 0; i < sizeof(s) / sizeof(s[0]); i++)
		s[i] = tcp_connect(t.port);
	/* Those beyond the limit are refused at once, the others when their time is over. */
	until(told(&t.server, CARRIER_CROWDED) == CARRIER_NNG_STRANGERS_EACH, &t.server, NULL);
	if (write(s[0], "GET / HTTP/1.1\r\n\r\n", 18) < 0)
		fail();
	until(t.server.downs == sizeof(s) / sizeof(s[0]), &t.server, NULL);
	assert_int_equal(t.server.ups, 0);
	t.client.c.open(t.client.c.ctx, t.url, "a");
	until(t.client.ups == 1 && t.server.ups == 1, &t.client, &t.server);
	for (unsigned i = 0; i < sizeof(s) / sizeof(s[0]); i++)
		close(s[i]);
	two_end(&t);
}

/* <each> of every address from 127.0.0.2 on; none says anything. */
static void crowd(struct two *t, unsigned addresses, unsigned each, int *s)
{
	for (unsigned i = 0; i < addresses * each; i++)
		s[i] = tcp_connect_from((uint8_t)(2 + i % addresses), t->port);
}

static void one_address_cannot_keep_others_out(void **state)
{
	int s[3 * CARRIER_NNG_STRANGERS_MAX / 2];
	unsigned all = sizeof(s) / sizeof(s[0]);
	struct two t;

	two_start(&t, "b.pem", "ca.pem");
	crowd(&t, 2, all / 2, s);
	until(told(&t.server, CARRIER_CROWDED) == all - 2 * CARRIER_NNG_STRANGERS_EACH, &t.server,
		NULL);
	t.client.c.open(t.client.c.ctx, t.url, "a");
	until(t.client.ups == 1 && t.server.ups == 1, &t.client, &t.server);
	for (unsigned i = 0; i < all; i++)
		close(s[i]);
	two_end(&t);
}

static void many_addresses_give_way_to_one_more(void **state)
{
	int s[CARRIER_NNG_STRANGERS_MAX + 4];
	struct two t;

	two_start(&t, "b.pem", "ca.pem");
	crowd(&t, CARRIER_NNG_STRANGERS_MAX / 2, 2, s); /* all places, two to an address */
	for (unsigned i = 0; i < 4; i++)
		s[CARRIER_NNG_STRANGERS_MAX + i] = tcp_connect_from((uint8_t)(200 + i), t.port);
	until(told(&t.server, CARRIER_CROWDED) == 4, &t.server, NULL); /* they have made room */
	t.client.c.open(t.client.c.ctx, t.url, "a");
	until(t.client.ups == 1 && t.server.ups == 1, &t.client, &t.server);
	assert_int_equal(told(&t.server, CARRIER_CROWDED), 5);
	for (unsigned i = 0; i < sizeof(s) / sizeof(s[0]); i++)
		close(s[i]);
	two_end(&t);
}

/* One to an address: nobody has more than the peer. Known by its URL, or because it was there before. */
static void a_known_address_always_gets_in(void **state)
{
	static const char *const urls[] = {"tls+tcp://example.com:1", "tls+tcp://127.0.0.1:1"};
	int s[CARRIER_NNG_STRANGERS_MAX];

	for (unsigned by_url = 0; by_url < 2; by_url++) {
		struct carrier_nng_config cfg = {.ca = in_folder("ca.pem"),
			.certificate = in_folder("a.pem"),
			.peers = urls,
			.peer_count = 1 + by_url};
		struct two t;
		struct err err;
		unsigned before = 0;

		two_start(&t, "b.pem", "ca.pem");
		cfg.listen = t.url;
		assert_int_equal(carrier_nng_reload(t.server.n, &cfg, &err), 0);
		if (!by_url) {
			t.client.c.open(t.client.c.ctx, t.url, "a");
			until(t.client.ups == 1 && t.server.ups == 1, &t.client, &t.server);
			before = 1;
		}
		crowd(&t, CARRIER_NNG_STRANGERS_MAX, 1, s);
		for (unsigned i = 0; i < 20; i++)
			turn(&t.server, NULL);
		t.client.c.open(t.client.c.ctx, t.url, "a");
		until(t.client.ups == before + 1 && t.server.ups == before + 1, &t.client,
			&t.server);
		assert_int_equal(told(&t.server, CARRIER_CROWDED), 0);
		for (unsigned i = 0; i < CARRIER_NNG_STRANGERS_MAX; i++)
			close(s[i]);
		two_end(&t);
	}
}

static void nobody_there_is_told_within_the_time_for_it(void **state)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int full = socket(AF_INET, SOCK_STREAM, 0), fill[8];
	socklen_t len = sizeof(a);
	struct heard h;
	char url[64];
	uint64_t start;

	/* A listener that never accepts and whose queue is full drops every SYN. */
	assert_return_code(bind(full, (struct sockaddr *)&a, sizeof(a)), errno);
	assert_return_code(listen(full, 0), errno);
	getsockname(full, (struct sockaddr *)&a, &len);
	for (unsigned i = 0; i < 8; i++)
		fill[i] = tcp_connect(ntohs(a.sin_port));
	usleep(100000);
	carrier_start(&h, "b.pem", "ca.pem", NULL);
	snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%u", ntohs(a.sin_port));
	start = clock_mono_us();
	h.c.open(h.c.ctx, url, "a");
	until(h.downs == 1, &h, NULL);
	assert_int_equal(h.why[0], CARRIER_UNREACHABLE);
	assert_in_range((clock_mono_us() - start) / 1000, CARRIER_NNG_CONNECT_MS - 200,
		CARRIER_NNG_CONNECT_MS + 1000);
	assert_int_equal(h.c.open(h.c.ctx, "no url at all", "a"), 0);
	for (unsigned i = 0; i < 8; i++)
		close(fill[i]);
	close(full);
	carrier_nng_close(h.n);
}

static void new_certificates_serve_new_connections_and_old_ones_stay(void **state)
{
	struct two t;
	struct carrier_nng_config cfg;
	struct err err;
	uint8_t m[8] = {0};

	two_start(&t, "b.pem", "ca.pem");
	t.client.c.open(t.client.c.ctx, t.url, "a");
	until(t.client.ups == 1 && t.server.ups == 1, &t.client, &t.server);
	cfg = (struct carrier_nng_config){.listen = t.url,
		.ca = in_folder("otherca.pem"),
		.certificate = in_folder("other.pem")};
	assert_int_equal(carrier_nng_reload(t.server.n, &cfg, &err), 0);
	cfg.listen = NULL;
	assert_int_equal(carrier_nng_reload(t.client.n, &cfg, &err), 0);
	t.client.c.open(t.client.c.ctx, t.url, "a");
	until(t.client.ups == 2 && t.server.ups == 2, &t.client, &t.server);
	assert_true(t.client.c.send(t.client.c.ctx, t.client.up[0], m, sizeof(m)));
	until(t.server.messages == 1, &t.client, &t.server);
	assert_int_equal(t.client.downs + t.server.downs, 0);
	cfg.certificate = in_folder("nothing.pem");
	assert_true(carrier_nng_reload(t.client.n, &cfg, &err) < 0);
	assert_non_null(strstr(err.msg, "nothing.pem"));
	two_end(&t);
}

static void a_site_that_speaks_to_nobody_any_more_has_no_port(void **state)
{
	struct two t;
	struct carrier_nng_config nobody = {.listen = NULL};
	struct err err;

	two_start(&t, "b.pem", "ca.pem");
	assert_int_equal(carrier_nng_reload(t.server.n, &nobody, &err), 0);
	t.client.c.open(t.client.c.ctx, t.url, "a");
	until(t.client.downs == 1, &t.client, &t.server);
	assert_int_equal(t.client.ups + t.server.ups, 0);
	two_end(&t);
}

/* Whatever else happens meanwhile: each look at what came is no reason to pause once more. */
static void a_port_that_is_taken_is_tried_until_it_can_be_had(void **state)
{
	struct two t;
	struct carrier_nng_config cfg;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int taken = socket(AF_INET, SOCK_STREAM, 0);
	char url[64];
	struct err err;

	two_start(&t, "b.pem", "ca.pem");
	assert_return_code(bind(taken, (struct sockaddr *)&a, sizeof(a)), errno);
	assert_return_code(listen(taken, 1), errno);
	assert_return_code(getsockname(taken, (struct sockaddr *)&a, &len), errno);
	snprintf(url, sizeof(url), "tls+tcp://127.0.0.1:%u", ntohs(a.sin_port));
	cfg = (struct carrier_nng_config){.listen = url,
		.ca = in_folder("ca.pem"),
		.certificate = in_folder("a.pem")};
	assert_int_equal(carrier_nng_reload(t.server.n, &cfg, &err), 0);
	for (int i = 0; i < 20; i++)
		carrier_nng_dispatch(t.server.n);
	close(taken);
	for (int i = 0; i < 20; i++)
		carrier_nng_dispatch(t.server.n);
	for (unsigned i = 0; i < 50 && t.client.ups == 0; i++) {
		t.client.c.open(t.client.c.ctx, url, "a");
		until(t.client.ups + t.client.downs > i, &t.client, &t.server);
		usleep(t.client.ups == 0 ? 100000 : 0);
	}
	until(t.client.ups == 1 && t.server.ups == 1, &t.client, &t.server);
	two_end(&t);
}

static int setup(void **state)
{
	struct test_ca ca = test_ca_new("federation"), other = test_ca_new("somebody");

	snprintf(folder, sizeof(folder), "/tmp/sluice-carrier-XXXXXX");
	if (mkdtemp(folder) == NULL)
		return -1;
	test_ca_write(&ca, in_folder("ca.pem"));
	test_ca_write(&other, in_folder("otherca.pem"));
	test_pair_write(&ca, "a", -60, DAY, in_folder("a.pem"));
	test_pair_write(&ca, "b", -60, DAY, in_folder("b.pem"));
	test_pair_write(&ca, "b", -2 * DAY, -DAY, in_folder("expired.pem"));
	test_pair_write(&other, "a", -60, DAY, in_folder("other.pem"));
	test_ca_free(&ca);
	test_ca_free(&other);
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = {"ca.pem", "otherca.pem", "a.pem", "b.pem",
		"expired.pem", "other.pem"};

	nng_fini(); /* it frees streams on a thread of its own, perhaps after our end */
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_folder(names[i]));
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_arrive_whole_and_in_order_both_ways),
		cmocka_unit_test(a_sink_may_close_within_a_message),
		cmocka_unit_test(certificates_that_are_not_good_are_refused),
		cmocka_unit_test(a_listener_with_the_certificate_of_another_site_is_refused),
		cmocka_unit_test(who_shows_no_certificate_is_refused),
		cmocka_unit_test(a_message_that_nobody_takes_waits_and_that_is_told),
		cmocka_unit_test(a_message_too_long_ends_the_connection_unread),
		cmocka_unit_test(bytes_that_are_not_tls_are_refused_and_silence_ends),
		cmocka_unit_test(one_address_cannot_keep_others_out),
		cmocka_unit_test(many_addresses_give_way_to_one_more),
		cmocka_unit_test(a_known_address_always_gets_in),
		cmocka_unit_test(nobody_there_is_told_within_the_time_for_it),
		cmocka_unit_test(new_certificates_serve_new_connections_and_old_ones_stay),
		cmocka_unit_test(a_site_that_speaks_to_nobody_any_more_has_no_port),
		cmocka_unit_test(a_port_that_is_taken_is_tried_until_it_can_be_had),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
