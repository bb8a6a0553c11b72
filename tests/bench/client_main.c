// SPDX-License-Identifier: Apache-2.0
/*
 * client_main.c: bench_client: command line and report of the benchmark's kernel-socket client.
 *
 * Prints the lines "begin" and "end" around the measured time, so that whoever started it can read
 * CPU times there, and then one JSON object. Exit status: 0 all is well, 1 errors were counted, 2
 * usage, 3 nobody answered.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/client.h"

static const char usage[] =
	"usage: bench_client ADDR PORT [--host H] [--connections N] [--routes N] [--rate R]\n"
	"                    [--case keepalive|close] [--body BYTES|mixed] [--warmup S]\n"
	"                    [--duration S]\n";

static void on_signal(int sig)
{
	client_stop();
}

static void mark(const char *what)
{
	puts(what);
	fflush(stdout);
}

static bool number(const char *text, double min, double max, double *ret)
{
	char *end;

	*ret = strtod(text, &end);
	return *text != 0 && *end == 0 && *ret >= min && *ret <= max;
}

static bool option(struct client_config *c, int o, const char *arg)
{
	double v = 0;
	bool ok = true;

	switch (o) {
	case 'h':
		c->host = arg;
		break;
	case 'c':
		ok = number(arg, 1, CLIENT_CONNS_MAX, &v);
		c->conns = (unsigned)v;
		break;
	case 'n':
		ok = number(arg, 1, CLIENT_ROUTES_MAX, &v);
		c->routes = (unsigned)v;
		break;
	case 'r':
		ok = number(arg, 0, 1e7, &c->rate);
		break;
	case 'k':
		c->close = strcmp(arg, "close") == 0;
		ok = c->close || strcmp(arg, "keepalive") == 0;
		break;
	case 'b':
		c->mixed = strcmp(arg, "mixed") == 0;
		ok = c->mixed || number(arg, 0, 1 << 30, &v);
		c->body = (uint64_t)v;
		break;
	case 'w':
		ok = number(arg, 0, 3600, &c->warmup_s);
		break;
	case 'd':
		ok = number(arg, 0.01, 3600, &c->duration_s);
		break;
	default:
		return false;
	}
	if (!ok)
		fprintf(stderr, "bench_client: impossible value %s\n", arg);
	return ok;
}

static bool args_parse(int argc, char **argv, struct client_config *c)
{
	static const struct option opts[] = {
		{"host", 1, 0, 'h'},
		{"connections", 1, 0, 'c'},
		{"routes", 1, 0, 'n'},
		{"rate", 1, 0, 'r'},
		{"case", 1, 0, 'k'},
		{"body", 1, 0, 'b'},
		{"warmup", 1, 0, 'w'},
		{"duration", 1, 0, 'd'},
		{0, 0, 0, 0},
	};
	double port;
	int o;

	while ((o = getopt_long(argc, argv, "", opts, NULL)) != -1)
		if (!option(c, o, optarg))
			return false;
	if (argc - optind != 2 || !number(argv[optind + 1], 1, 65535, &port))
		return false;
	c->addr.sin_family = AF_INET;
	c->addr.sin_port = htons((uint16_t)port);
	return inet_pton(AF_INET, argv[optind], &c->addr.sin_addr) == 1;
}

static void report(const struct client_config *c, const struct client_result *r)
{
	double rate = r->seconds > 0 ? (double)r->requests / r->seconds : 0;
	double gbit = r->seconds > 0 ? (double)r->bytes * 8 / r->seconds / 1e9 : 0;

	printf("{\"requests\": %lu, \"requests_per_s\": %.1f, \"gbit_per_s\": %.4f, "
	       "\"offered_per_s\": %.1f, \"seconds\": %.4f, \"connects\": %lu, \"unsent\": %lu, "
	       "\"busy\": %.4f, \"errors\": %lu, \"error\": {\"connect\": %lu, \"status\": %lu, "
	       "\"length\": %lu, \"content\": %lu, \"reset\": %lu, \"timeout\": %lu}, "
	       "\"p50_us\": %lu, \"p99_us\": %lu, \"p999_us\": %lu, \"max_us\": %lu}\n",
		r->requests, rate, gbit, c->rate, r->seconds, r->connects, r->unsent, r->busy,
		client_errors(r), r->failed_connect, r->failed_status, r->failed_length,
		r->failed_content, r->failed_reset, r->failed_timeout, r->p50_us, r->p99_us,
		r->p999_us, r->max_us);
}

int main(int argc, char **argv)
{
	struct client_config c = {.host = "app.bench.lab",
		.conns = 64,
		.routes = 1,
		.warmup_s = 1,
		.duration_s = 3,
		.body = 100};
	struct client_result r;
	bool answered;

	if (!args_parse(argc, argv, &c)) {
		fputs(usage, stderr);
		return 2;
	}
	signal(SIGINT, on_signal);
	signal(SIGTERM, on_signal);
	signal(SIGPIPE, SIG_IGN);
	answered = client_run(&c, mark, &r);
	report(&c, &r);
	if (!answered) {
		fprintf(stderr, "bench_client: no good answer from %s port %s\n", argv[argc - 2],
			argv[argc - 1]);
		return 3;
	}
	return client_errors(&r) ? 1 : 0;
}
