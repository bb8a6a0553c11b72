// SPDX-License-Identifier: Apache-2.0
/*
 * wire.c: a seeded wire between two interfaces of one namespace.
 *
 *	wire A B [--seed N] [--loss P] [--reorder P] [--reorder-by N] [--dup P] [--corrupt P]
 *	         [--delay-us N] [--rate BITS] [--queue N] [--seconds N] [--stats FILE]
 *
 * Frames that arrive on A leave on B and the other way round, after a line of <rate> bits per
 * second with a queue of <queue> packets and a propagation delay. P are percentages of TCP packets;
 * ARP, ND and ICMP are delayed but never harmed. Loss has to happen here, in the middle: a filter
 * on a sender's own interface tells the sender, who sends again. Ends on SIGTERM or SIGINT or after
 * --seconds (default 3600), and then writes one JSON object per direction.
 */
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/clock.h"
#include "tests/tools/wire/wire.h"

#define BATCH 64

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

struct side {
	const char *name;
	int fd;
};

static int set_int(int fd, int level, int opt, int value)
{
	return setsockopt(fd, level, opt, &value, sizeof(value));
}

static int side_open(struct side *s, const char *name)
{
	struct sockaddr_ll addr = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct packet_mreq mreq = {.mr_type = PACKET_MR_PROMISC};

	s->name = name;
	addr.sll_ifindex = (int)if_nametoindex(name);
	if (addr.sll_ifindex == 0) {
		fprintf(stderr, "wire: no interface %s\n", name);
		return -1;
	}
	s->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	mreq.mr_ifindex = addr.sll_ifindex;
	if (s->fd < 0 || set_int(s->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1) != 0 ||
		set_int(s->fd, SOL_PACKET, PACKET_QDISC_BYPASS, 1) != 0 ||
		set_int(s->fd, SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20) != 0 ||
		setsockopt(s->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &mreq, sizeof(mreq)) != 0 ||
		bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)) != 0) {
		fprintf(stderr, "wire: %s: %s\n", name, strerror(errno));
		return -1;
	}
	return 0;
}

static void receive(struct side *from, struct wire_queue *q, struct wire_flows *flows)
{
	uint8_t frame[WIRE_FRAME_MAX];

	for (int i = 0; i < BATCH; i++) {
		ssize_t n = recv(from->fd, frame, sizeof(frame), MSG_TRUNC);
		struct wire_segment seg;
		bool tcp, intact;

		if (n < 0)
			return;
		if (n > WIRE_FRAME_MAX || n < 14) {
			q->stats.oversize++;
			continue;
		}
		tcp = wire_segment_parse(frame, (uint16_t)n, &seg);
		wire_queue_put(q, frame, (uint16_t)n, tcp ? seg.l4_off : 14, tcp, clock_mono_us(),
			&intact);
		if (!tcp)
			continue;
		q->stats.data_segments += seg.len > 0;
		q->stats.again += wire_flows_note(flows, &seg, intact);
	}
}

static void transmit(struct side *to, struct wire_queue *q)
{
	uint64_t now = clock_mono_us();
	const struct wire_packet *p;

	for (int i = 0; i < 4 * BATCH && (p = wire_queue_get(q, now)) != NULL; i++)
		if (send(to->fd, p->data, p->len, 0) < 0)
			q->stats.oversize++;
}

static void wait_for(struct side s[2], struct wire_queue q[2])
{
	struct pollfd fds[2] = {{s[0].fd, POLLIN, 0}, {s[1].fd, POLLIN, 0}};
	uint64_t a = wire_queue_next_us(&q[0]), b = wire_queue_next_us(&q[1]);
	uint64_t next = a < b ? a : b, now = clock_mono_us();
	uint64_t us = next == UINT64_MAX ? 100000 : next > now ? next - now : 0;
	struct timespec ts = {(time_t)(us / 1000000), (long)(us % 1000000) * 1000};

	ppoll(fds, 2, &ts, NULL);
}

static void print_stats(FILE *f, const struct side *from, const struct wire_stats *s)
{
	fprintf(f,
		"{\"from\": \"%s\", \"packets\": %lu, \"bytes\": %lu, \"lost\": %lu, "
		"\"duplicated\": %lu, \"reordered\": %lu, \"corrupted\": %lu, \"queue_drops\": "
		"%lu, "
		"\"oversize\": %lu, \"data_segments\": %lu, \"again\": %lu}\n",
		from->name, s->packets, s->bytes, s->lost, s->duplicated, s->reordered,
		s->corrupted, s->queue_drops, s->oversize, s->data_segments, s->again);
}

struct args {
	struct wire_profile prof;
	uint64_t seed, seconds;
	const char *stats_path;
};

static int usage(void)
{
	fprintf(stderr,
		"usage: wire A B [--seed N] [--loss P] [--reorder P] [--reorder-by N] [--dup P]\n"
		"            [--corrupt P] [--delay-us N] [--rate BITS] [--queue N] [--seconds N]\n"
		"            [--stats FILE]\n");
	return 2;
}

static int parse_args(int argc, char **argv, struct args *a)
{
	static const struct option opts[] = {
		{"seed", 1, 0, 's'},
		{"loss", 1, 0, 'l'},
		{"reorder", 1, 0, 'r'},
		{"reorder-by", 1, 0, 'b'},
		{"dup", 1, 0, 'd'},
		{"corrupt", 1, 0, 'c'},
		{"delay-us", 1, 0, 'y'},
		{"rate", 1, 0, 'R'},
		{"queue", 1, 0, 'q'},
		{"seconds", 1, 0, 't'},
		{"stats", 1, 0, 'o'},
		{0, 0, 0, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", opts, NULL)) != -1) {
		switch (c) {
		case 's':
			a->seed = strtoull(optarg, NULL, 10);
			break;
		case 'l':
			a->prof.loss = atof(optarg) / 100;
			break;
		case 'r':
			a->prof.reorder = atof(optarg) / 100;
			break;
		case 'b':
			a->prof.reorder_by_max = (unsigned)atoi(optarg);
			break;
		case 'd':
			a->prof.dup = atof(optarg) / 100;
			break;
		case 'c':
			a->prof.corrupt = atof(optarg) / 100;
			break;
		case 'y':
			a->prof.delay_us = strtoull(optarg, NULL, 10);
			break;
		case 'R':
			a->prof.rate_bps = strtoull(optarg, NULL, 10);
			break;
		case 'q':
			a->prof.queue_max = (unsigned)atoi(optarg);
			break;
		case 't':
			a->seconds = strtoull(optarg, NULL, 10);
			break;
		case 'o':
			a->stats_path = optarg;
			break;
		default:
			return -1;
		}
	}
	return argc - optind == 2 && a->prof.reorder_by_max > 0 ? optind : -1;
}

int main(int argc, char **argv)
{
	static struct wire_flows flows[2];
	struct args a = {{.reorder_by_max = 2, .queue_max = 256}, 1, 3600, NULL};
	int first = parse_args(argc, argv, &a);
	struct wire_queue q[2];
	struct side s[2];
	uint64_t end;
	FILE *out = stderr;

	if (first < 0)
		return usage();
	for (int i = 0; i < 2; i++) {
		if (side_open(&s[i], argv[first + i]) != 0)
			return 1;
		wire_queue_init(&q[i], &a.prof, a.seed * 2 + (uint64_t)i);
	}
	prctl(PR_SET_TIMERSLACK, 1);
	signal(SIGTERM, on_signal);
	signal(SIGINT, on_signal);
	end = clock_mono_us() + a.seconds * 1000000;
	while (!stop && clock_mono_us() < end) {
		wait_for(s, q);
		for (int i = 0; i < 2; i++) {
			receive(&s[i], &q[i], &flows[i]);
			transmit(&s[!i], &q[i]);
		}
	}
	if (a.stats_path != NULL && (out = fopen(a.stats_path, "w")) == NULL)
		out = stderr;
	for (int i = 0; i < 2; i++) {
		print_stats(out, &s[i], &q[i].stats);
		wire_queue_fini(&q[i]);
	}
	return fflush(out) != 0;
}
