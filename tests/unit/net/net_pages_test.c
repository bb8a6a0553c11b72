// SPDX-License-Identifier: Apache-2.0
/*
 * net_pages_test.c: frames in, frames out: the pages of tests/vectors/net.
 *
 * Each page is a test whose name is its claim. A second pass injures every frame of every page, cut
 * at each length and with each byte changed, in one buffer and in several, and only asks that
 * nothing breaks and no buffer is lost; that is where the poisoned pools earn their keep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>

#include "dataplane/base/cleanup.h"
#include "tests/unit/net/net_bench.h"

#define PAGES_MAX 512
#define PAGE_LINE_MAX 8192
#define FRAME_MAX 2048

struct page {
	char *name, *text; /* text: from the line after the page's to the next page */
	const char *file;
	unsigned line; /* of the page's name */
};

static struct page pages[PAGES_MAX];
static unsigned page_count;

struct reader {
	const struct page *page;
	const char *at;
	unsigned line;
	struct bench b;
	uint8_t frame[FRAME_MAX]; /* last frame that came in */
	size_t frame_len;
};

#define page_fail(r, ...) \
	do { \
		print_error("%s:%u: ", (r)->page->file, (r)->line); \
		print_error(__VA_ARGS__); \
		print_error("\n"); \
		fail(); \
	} while (0)

/* The next line that says something, without comment and line end; false at the page's end. */
static bool line_next(struct reader *r, char *line)
{
	while (*r->at != '\0') {
		size_t len = strcspn(r->at, "\n"), keep = strcspn(r->at, "#\n");

		while (keep > 0 && r->at[keep - 1] == ' ')
			keep--;
		assert_true(keep < PAGE_LINE_MAX);
		memcpy(line, r->at, keep);
		line[keep] = '\0';
		r->at += len + (r->at[len] == '\n');
		r->line++;
		if (keep > 0)
			return true;
	}
	return false;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* The bytes of the indented lines that follow: hex digits, "xx*n" repeats a byte. */
static size_t bytes_read(struct reader *r, uint8_t *buf)
{
	char line[PAGE_LINE_MAX];
	size_t n = 0;

	while (*r->at == '\t' && line_next(r, line)) {
		for (const char *p = line; *p != '\0';) {
			unsigned long times = 1;

			if (*p == ' ' || *p == '\t') {
				p++;
				continue;
			}
			if (hex_digit(p[0]) < 0 || hex_digit(p[1]) < 0)
				page_fail(r, "no hex: %s", p);
			buf[n] = (uint8_t)(hex_digit(p[0]) << 4 | hex_digit(p[1]));
			p += 2;
			if (*p == '*')
				times = strtoul(p + 1, (char **)&p, 10);
			assert_true(times > 0 && n + times <= FRAME_MAX);
			memset(buf + n, buf[n], times);
			n += times;
		}
	}
	return n;
}

static void bytes_compare(struct reader *r, const char *what, const uint8_t *want, size_t want_len,
	const uint8_t *got, size_t got_len)
{
	size_t i = 0;

	while (i < want_len && i < got_len && want[i] == got[i])
		i++;
	if (i == want_len && i == got_len)
		return;
	print_error("%s of %zu bytes, expected %zu; first difference at %zu\n", what, got_len,
		want_len, i);
	for (size_t j = 0; j < got_len; j++)
		print_error("%02x%s", got[j], j % 2 ? " " : "");
	print_error("\n");
	page_fail(r, "%s differs", what);
}

static void do_in(struct reader *r, char *args)
{
	r->frame_len = bytes_read(r, r->frame);
	bench_in(&r->b, r->frame, r->frame_len);
}

static void do_cut(struct reader *r, char *args)
{
	r->b.cut = (uint16_t)strtoul(args, NULL, 10);
}

static void do_repeat(struct reader *r, char *args)
{
	for (unsigned long i = strtoul(args, NULL, 10); i > 0; i--) {
		bench_in(&r->b, r->frame, r->frame_len);
		while (i % 64 == 0) {
			struct rte_mbuf *m = bench_out(&r->b);

			rte_pktmbuf_free(m);
			if (m == NULL)
				break;
		}
	}
}

static void do_out(struct reader *r, char *args)
{
	uint8_t want[FRAME_MAX];
	size_t len = bytes_read(r, want);
	struct rte_mbuf *m = bench_out(&r->b);

	if (m == NULL)
		page_fail(r, "nothing was sent");
	bytes_compare(r, "frame sent", want, len, rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
	rte_pktmbuf_free(m);
}

static void do_tcp(struct reader *r, char *args)
{
	uint8_t want[FRAME_MAX], got[FRAME_MAX];
	size_t len = bytes_read(r, want);
	struct rte_mbuf *m = mbufq_pop(net_tcp_in(r->b.net));

	if (m == NULL)
		page_fail(r, "no segment for TCP");
	assert_true(m->pkt_len <= sizeof(got));
	bytes_compare(r, "segment", want, len, rte_pktmbuf_read(m, 0, m->pkt_len, got), m->pkt_len);
	assert_int_equal(pkt_of(m)->l4_len, m->pkt_len);
	assert_int_equal(pkt_of(m)->proto, PROTO_TCP);
	rte_pktmbuf_free(m);
}

static void do_ecn(struct reader *r, char *args)
{
	struct mbufq *q = net_tcp_in(r->b.net);

	if (q->head == NULL || pkt_of(q->head)->ecn != strtoul(args, NULL, 10))
		page_fail(r, "ECN bits are not %s", args);
}

static void do_send(struct reader *r, char *args)
{
	char *from = strtok(args, " "), *to = strtok(NULL, " ");
	struct ip_addr src = bench_ip(from), dst = bench_ip(to);
	uint8_t l4[FRAME_MAX];
	size_t len = bytes_read(r, l4);

	bench_send(&r->b, &src, &dst, l4, len);
}

static void do_wait(struct reader *r, char *args)
{
	bench_wait(&r->b, strtoul(args, NULL, 10) * 1000);
}

static void do_quiet(struct reader *r, char *args)
{
	if (bench_out(&r->b) != NULL || !mbufq_is_empty(net_tcp_in(r->b.net)))
		page_fail(r, "something was sent or delivered");
}

static void do_discard(struct reader *r, char *args)
{
	for (struct rte_mbuf *m; (m = bench_out(&r->b)) != NULL;)
		rte_pktmbuf_free(m);
}

static void do_count(struct reader *r, char *args)
{
	const char *name = strtok(args, " "), *value = strtok(NULL, " ");
	unsigned count;
	const uint64_t *v = net_counters(r->b.net, &count);

	for (unsigned i = 0; i < count; i++) {
		if (strcmp(net_counter_name(i), name) != 0)
			continue;
		if (v[i] != strtoul(value, NULL, 10))
			page_fail(r, "%s is %lu, expected %s", name, v[i], value);
		return;
	}
	page_fail(r, "no counter %s", name);
}

struct neigh_question {
	struct ip_addr addr;
	const char *state;
};

static void neigh_seen(const struct net_neigh_info *e, void *ctx)
{
	struct neigh_question *q = ctx;

	if (ip_eq(&e->addr, &q->addr))
		q->state = e->state;
}

static void do_neigh(struct reader *r, char *args)
{
	const char *addr = strtok(args, " "), *state = strtok(NULL, " ");
	struct neigh_question q = {bench_ip(addr), "NONE"};

	net_neigh_foreach(r->b.net, neigh_seen, &q);
	if (strcmp(q.state, state) != 0)
		page_fail(r, "neighbour %s is %s, expected %s", addr, q.state, state);
}

static void do_error(struct reader *r, char *args)
{
	struct ip_addr local = bench_ip(strtok(args, " ")), remote;
	unsigned long local_port = strtoul(strtok(NULL, " "), NULL, 10), remote_port, seq, mtu;
	const struct net_icmp_error *e;
	const char *kind;
	unsigned count;

	remote = bench_ip(strtok(NULL, " "));
	remote_port = strtoul(strtok(NULL, " "), NULL, 10);
	seq = strtoul(strtok(NULL, " "), NULL, 10);
	mtu = strtoul(strtok(NULL, " "), NULL, 10);
	kind = strtok(NULL, " ");
	e = net_icmp_errors(r->b.net, &count);
	if (count != 1)
		page_fail(r, "%u errors for TCP", count);
	if (!ip_eq(&e->local, &local) || !ip_eq(&e->remote, &remote) ||
		e->local_port != local_port || e->remote_port != remote_port || e->seq != seq ||
		e->mtu != mtu || e->too_big != (strcmp(kind, "too_big") == 0) ||
		e->hard != (strcmp(kind, "hard") == 0))
		page_fail(r, "another error than expected: seq=%u mtu=%u too_big=%d hard=%d",
			e->seq, e->mtu, e->too_big, e->hard);
}

static void do_mtu(struct reader *r, char *args)
{
	struct ip_addr dst = bench_ip(strtok(args, " "));
	unsigned long want = strtoul(strtok(NULL, " "), NULL, 10);
	struct net_dst cache = {0};

	if (ip_route_mtu(r->b.net, &dst, &cache) != want)
		page_fail(r, "MTU is %u", ip_route_mtu(r->b.net, &dst, &cache));
}

static void do_vip(struct reader *r, char *args)
{
	struct ip_addr extra = bench_ip(args);

	bench_vips(&r->b, &extra);
}

static void do_link(struct reader *r, char *args)
{
	bench_fib(&r->b, strcmp(args, "up") == 0, true, true);
}

static void do_nokernel(struct reader *r, char *args)
{
	bench_fib(&r->b, true, false, true);
}

static void do_noroutes(struct reader *r, char *args)
{
	bench_fib(&r->b, true, true, false);
}

static void do_confirm(struct reader *r, char *args)
{
	ip_confirm(r->b.net, &r->b.dst);
}

/* The router is known in both families, as after it has asked for us. */
static void do_learned(struct reader *r, char *args)
{
	struct net_note note = {bench_ip("192.0.2.1"), {{2, 0, 0, 0, 0, 1}}, 0,
		NET_NOTE_ASKED | NET_NOTE_OVERRIDE};

	net_note_apply(r->b.net, &note);
	note.addr = bench_ip("fe80::1");
	net_note_apply(r->b.net, &note);
}

static const struct {
	const char *verb;
	void (*fn)(struct reader *r, char *args);
} verbs[] = {
	{"in", do_in},
	{"cut", do_cut},
	{"repeat", do_repeat},
	{"out", do_out},
	{"tcp", do_tcp},
	{"ecn", do_ecn},
	{"send", do_send},
	{"wait", do_wait},
	{"quiet", do_quiet},
	{"discard", do_discard},
	{"count", do_count},
	{"neigh", do_neigh},
	{"error", do_error},
	{"mtu", do_mtu},
	{"vip", do_vip},
	{"link", do_link},
	{"nokernel", do_nokernel},
	{"noroutes", do_noroutes},
	{"confirm", do_confirm},
	{"learned", do_learned},
};

static void line_run(struct reader *r, char *line)
{
	size_t len = strcspn(line, " ");
	char *args = line + len + (line[len] == ' ');

	line[len] = '\0';
	for (unsigned i = 0; i < RTE_DIM(verbs); i++) {
		if (strcmp(line, verbs[i].verb) == 0) {
			verbs[i].fn(r, args);
			return;
		}
	}
	page_fail(r, "unknown verb %s", line);
}

static void page_test(void **state)
{
	const struct page *p = *state;
	struct reader r = {.page = p, .at = p->text, .line = p->line};
	char line[PAGE_LINE_MAX];

	bench_start(&r.b);
	while (line_next(&r, line))
		line_run(&r, line);
	do_quiet(&r, NULL);
	assert_int_equal(bench_stop(&r.b), 0);
}

/* One frame, injured in every simple way, each time after a known router. */
static void injure(struct bench *b, const uint8_t *frame, size_t len)
{
	uint8_t hurt[FRAME_MAX];

	for (size_t cut = 0; cut < len; cut++)
		bench_in(b, frame, cut);
	for (size_t i = 0; i < RTE_MIN(len, (size_t)128); i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			memcpy(hurt, frame, len);
			hurt[i] ^= (uint8_t)(1u << bit);
			bench_in(b, hurt, len);
		}
		mbufq_free(net_tcp_in(b->net));
		for (struct rte_mbuf *m; (m = bench_out(b)) != NULL;)
			rte_pktmbuf_free(m);
	}
	mbufq_free(net_tcp_in(b->net));
}

static void injured_frames_break_nothing(void **state)
{
	char line[PAGE_LINE_MAX];

	for (unsigned i = 0; i < page_count; i++) {
		struct reader r = {.page = &pages[i], .at = pages[i].text};

		bench_start(&r.b);
		do_learned(&r, NULL);
		while (line_next(&r, line)) {
			if (strcmp(line, "in") != 0)
				continue;
			r.frame_len = bytes_read(&r, r.frame);
			injure(&r.b, r.frame, r.frame_len);
			r.b.cut = 56;
			if (r.frame_len < 512) /* few enough buffers */
				injure(&r.b, r.frame, r.frame_len);
			r.b.cut = 0;
		}
		do_discard(&r, NULL);
		assert_int_equal(bench_stop(&r.b), 0);
	}
}

static void pages_split(char *text, const char *file)
{
	unsigned line = 1;

	for (char *p = text; p != NULL && *p != '\0'; line++) {
		char *end = strchr(p, '\n');

		if (strncmp(p, "page ", 5) == 0) {
			assert_true(page_count < PAGES_MAX - 1);
			if (p > text)
				p[-1] = '\0'; /* ends the page before */
			*end = '\0';
			pages[page_count++] = (struct page){p + 5, end + 1, file, line};
		}
		p = end != NULL ? end + 1 : NULL;
	}
}

static int is_page(const struct dirent *e)
{
	return strstr(e->d_name, ".page") != NULL;
}

static void pages_load(const char *folder)
{
	struct dirent **names;
	int count = scandir(folder, &names, is_page, alphasort);

	for (int i = 0; i < count; i++) {
		char path[4096], *text = calloc(1, 1 << 20);
		autofclose FILE *f = NULL;

		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		f = fopen(path, "r");
		if (f != NULL && fread(text, 1, (1 << 20) - 1, f) > 0)
			pages_split(text, strdup(names[i]->d_name));
		free(names[i]);
	}
	free(names);
}

int main(void)
{
	static struct CMUnitTest tests[PAGES_MAX];

	bench_eal();
	pages_load(VECTORS "/net");
	for (unsigned i = 0; i < page_count; i++)
		tests[i] = (struct CMUnitTest){pages[i].name, page_test, NULL, NULL, &pages[i]};
	tests[page_count] = (struct CMUnitTest)cmocka_unit_test(injured_frames_break_nothing);
	if (page_count < 100) {
		fprintf(stderr, "only %u pages in " VECTORS "/net\n", page_count);
		return 1;
	}
	return _cmocka_run_group_tests("net pages", tests, page_count + 1, NULL, NULL);
}
