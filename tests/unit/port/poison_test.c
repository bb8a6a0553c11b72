// SPDX-License-Identifier: Apache-2.0
/*
 * poison_test.c: in sanitizer builds a packet has edges: reading one byte past it, or after its
 * release, ends the process with a report.
 *
 * Each crime is committed by a child whose end the parent looks at, after the parent has done the
 * same with permitted bytes. Builds without a sanitizer skip.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>

#include "dataplane/port/port.h"
#include "tests/unit/skip.h"

#ifdef SLUICE_POISON

#include <sanitizer/asan_interface.h>

static struct rte_mempool *pool;
static struct port_queue queue;
static struct port port;
static volatile uint8_t seen;

static void read_byte(const char *p)
{
	seen = *(const volatile uint8_t *)p;
}

/* A child commits <crime>; true: the sanitizer's report names poisoned memory. */
static bool is_reported(void (*crime)(struct rte_mbuf *m), struct rte_mbuf *m)
{
	char text[65536];
	size_t len = 0;
	int fds[2], status;
	ssize_t n;
	pid_t child;

	assert_return_code(pipe(fds), 0);
	child = fork();
	if (child == 0) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		crime(m);
		_exit(0);
	}
	close(fds[1]);
	while (len < sizeof(text) - 1 && (n = read(fds[0], text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fds[0]);
	waitpid(child, &status, 0);
	return !(WIFEXITED(status) && WEXITSTATUS(status) == 0) &&
		strstr(text, "use-after-poison") != NULL;
}

/* A packet of <len> bytes that went over a real port. */
static struct rte_mbuf *received(uint16_t len)
{
	struct rte_mbuf *m, *pkts[PORT_BURST];

	/* as a driver does it: no hook sees the allocation */
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, &m, 1), 0);
	m->data_len = len;
	m->pkt_len = len;
	memset(rte_pktmbuf_mtod(m, char *), 0x5a, len);
	port_tx(&queue, m);
	port_tx_flush(&queue);
	assert_int_equal(port_rx(&queue, pkts), 1);
	assert_int_equal(pkts[0]->data_len, len);
	read_byte(rte_pktmbuf_mtod(pkts[0], char *));
	read_byte(rte_pktmbuf_mtod(pkts[0], char *) + len - 1);
	return pkts[0];
}

static void read_past_end(struct rte_mbuf *m)
{
	read_byte(rte_pktmbuf_mtod(m, char *) + m->data_len);
}

static void read_headroom(struct rte_mbuf *m)
{
	read_byte(rte_pktmbuf_mtod(m, char *) - 8);
}

static void use_after_release(struct rte_mbuf *m)
{
	const char *data = rte_pktmbuf_mtod(m, char *);

	rte_pktmbuf_free(m);
	read_byte(data);
}

static void release_twice(struct rte_mbuf *m)
{
	rte_pktmbuf_free(m);
	rte_pktmbuf_free(m);
}

static void read_metadata_after_release(struct rte_mbuf *m)
{
	struct pkt *p = pkt_of(m);

	rte_pktmbuf_free(m);
	seen = p->flags;
}

static void copy_past_end(struct rte_mbuf *m)
{
	char buf[4096];

	memcpy(buf, rte_pktmbuf_mtod(m, char *), m->data_len + 1u);
	read_byte(buf);
}

static void a_read_of_one_byte_past_the_packet_is_reported(void **state)
{
	for (uint16_t len = 60; len < 70; len++) {
		struct rte_mbuf *m = received(len);

		assert_true(is_reported(read_past_end, m));
		rte_pktmbuf_free(m);
	}
}

static void a_copy_of_one_byte_too_many_is_reported(void **state)
{
	struct rte_mbuf *m = received(61);

	assert_true(is_reported(copy_past_end, m));
	rte_pktmbuf_free(m);
}

static void a_read_of_the_headroom_is_reported(void **state)
{
	struct rte_mbuf *m = received(64);

	assert_true(is_reported(read_headroom, m));
	rte_pktmbuf_free(m);
}

static void every_use_after_release_is_reported(void **state)
{
	struct rte_mbuf *m = received(64);

	assert_true(is_reported(use_after_release, m));
	assert_true(is_reported(release_twice, m));
	assert_true(is_reported(read_metadata_after_release, m));
	rte_pktmbuf_free(m);
}

static void what_adj_and_trim_cut_off_is_closed(void **state)
{
	struct rte_mbuf *m = received(100);
	const char *p = rte_pktmbuf_mtod(m, char *);

	rte_pktmbuf_adj(m, 40);
	assert_int_equal(rte_pktmbuf_trim(m, 10), 0);
	assert_true(__asan_address_is_poisoned(p));
	assert_true(__asan_address_is_poisoned(p + 39));
	assert_false(__asan_address_is_poisoned(p + 40));
	assert_false(__asan_address_is_poisoned(p + 89));
	assert_true(is_reported(read_past_end, m));
	rte_pktmbuf_free(m);
}

static void what_prepend_and_append_give_is_open(void **state)
{
	struct rte_mbuf *m = received(33);

	memset(rte_pktmbuf_prepend(m, 14), 1, 14);
	memset(rte_pktmbuf_append(m, 3), 1, 3);
	assert_true(is_reported(read_past_end, m));
	rte_pktmbuf_free(m);
}

static void a_shared_buffer_stays_open_for_the_other_holder(void **state)
{
	struct rte_mbuf *m = received(600), *part = rte_pktmbuf_alloc(pool);

	rte_pktmbuf_attach(part, m);
	rte_pktmbuf_adj(m, 300);
	read_byte(rte_pktmbuf_mtod(part, char *));
	rte_pktmbuf_free(part);
	rte_pktmbuf_free(m);
}

static void all_buffers_come_back(void **state)
{
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

static int setup(void **state)
{
	char *argv[] = {"poison_test", "--no-huge", "-m", "64", "--no-pci", "--no-telemetry",
		"--no-shconf", "--iova-mode=va", "--lcores=0", "--log-level=error", NULL};
	struct err err;
	uint16_t ethdev;

	if (rte_eal_init(10, argv) < 0 || rte_eal_hotplug_add("vdev", "net_ring0", "") < 0)
		return -1;
	pool = port_pool_new("poison", 255, 1500, &err);
	if (pool == NULL || rte_eth_dev_get_port_by_name("net_ring0", &ethdev) < 0 ||
		port_adopt(ethdev, "loop", 0, &pool, 1, &port, &err) < 0)
		return -1;
	port_queue_init(&queue, &port, 0, pool);
	return 0;
}

static int teardown(void **state)
{
	port_close(&port);
	port_pool_free(pool);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_read_of_one_byte_past_the_packet_is_reported),
		cmocka_unit_test(a_copy_of_one_byte_too_many_is_reported),
		cmocka_unit_test(a_read_of_the_headroom_is_reported),
		cmocka_unit_test(every_use_after_release_is_reported),
		cmocka_unit_test(what_adj_and_trim_cut_off_is_closed),
		cmocka_unit_test(what_prepend_and_append_give_is_open),
		cmocka_unit_test(a_shared_buffer_stays_open_for_the_other_holder),
		cmocka_unit_test(all_buffers_come_back),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

#else

int main(void)
{
	return skip_all("a build with a sanitizer");
}

#endif
