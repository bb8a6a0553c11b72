// SPDX-License-Identifier: Apache-2.0
/*
 * gen_args.c: the command line.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/gen.h"

#define CONNECTIONS_MAX 2000000u
#define CLIENTS_MIN 256u

static const char usage[] =
	"bench_gen: both ends of a gateway's connections, as a load generator\n"
	"  --vdev SPEC          DPDK device, e.g. net_vhost0,iface=/tmp/vh.sock\n"
	"  --lcore N            CPU to run on (0)\n"
	"  --file-prefix P      EAL's (bench_gen)\n"
	"  --no-huge            ordinary memory; else hugepages when enough are free\n"
	"  --direct             no gateway: clients connect to the backends, something reflects "
	"frames\n"
	"  --vip ADDR           the gateway's address, IPv4 or IPv6 (203.0.113.10)\n"
	"  --vip-port N         (80)\n"
	"  --host NAME          Host of all requests (app.bench.lab)\n"
	"  --clients NET        at least 256 client addresses (10.64.0.0/24)\n"
	"  --backend-net NET    network of the backends (10.65.0.0/24)\n"
	"  --backends N         used of it, from .1 on; matters only with --direct (4)\n"
	"  --backend-port N     (8080)\n"
	"  --router ADDR        who asks for the VIP's MAC address (last of --clients)\n"
	"  --gateway-mac MAC    instead of asking\n"
	"  --case NAME          keepalive, close (a connection per request) or idle (keepalive)\n"
	"  --upstream-close     backends close after each answer\n"
	"  --body BYTES|mixed   mixed: 80 % 100 B, 15 % 10 kB, 5 % 1 MiB; a tenth of the\n"
	"                       connections closing (100)\n"
	"  --connections N      (64)\n"
	"  --routes N           paths /r0000 on, in turn (1)\n"
	"  --rate R             requests a second, open loop; 0: closed loop (0)\n"
	"  --warmup S           (1)\n"
	"  --duration S         (5)\n"
	"  --answer-time S      patience with one answer (10)\n"
	"  --port-time S        patience with the port's other side (20)\n"
	"  --mtu BYTES          (1500)\n"
	"  --window BYTES       receive window (262144)\n"
	"  --queues N           of the port, as many as the gateway has workers (1)\n"
	"  --tso                large frames both ways, if the port can\n"
	"  --json               the result on one line\n"
	"  --verbose            progress on stderr\n"
	"Exit: 0 good, 1 could not start, 2 gateway down or stuck, 3 errors, 4 rate not kept,\n"
	"130 interrupted.\n";

enum option_id {
	OPT_VDEV = 256,
	OPT_LCORE,
	OPT_PREFIX,
	OPT_NO_HUGE,
	OPT_DIRECT,
	OPT_VIP,
	OPT_VIP_PORT,
	OPT_HOST,
	OPT_CLIENTS,
	OPT_BACKEND_NET,
	OPT_BACKENDS,
	OPT_BACKEND_PORT,
	OPT_ROUTER,
	OPT_MAC,
	OPT_CASE,
	OPT_UPSTREAM_CLOSE,
	OPT_BODY,
	OPT_CONNECTIONS,
	OPT_ROUTES,
	OPT_RATE,
	OPT_WARMUP,
	OPT_DURATION,
	OPT_ANSWER,
	OPT_PORT_TIME,
	OPT_MTU,
	OPT_WINDOW,
	OPT_QUEUES,
	OPT_TSO,
	OPT_JSON,
	OPT_VERBOSE,
	OPT_HELP
};

static const struct option options[] = {
	{"vdev", 1, NULL, OPT_VDEV},
	{"lcore", 1, NULL, OPT_LCORE},
	{"file-prefix", 1, NULL, OPT_PREFIX},
	{"no-huge", 0, NULL, OPT_NO_HUGE},
	{"direct", 0, NULL, OPT_DIRECT},
	{"vip", 1, NULL, OPT_VIP},
	{"vip-port", 1, NULL, OPT_VIP_PORT},
	{"host", 1, NULL, OPT_HOST},
	{"clients", 1, NULL, OPT_CLIENTS},
	{"backend-net", 1, NULL, OPT_BACKEND_NET},
	{"backends", 1, NULL, OPT_BACKENDS},
	{"backend-port", 1, NULL, OPT_BACKEND_PORT},
	{"router", 1, NULL, OPT_ROUTER},
	{"gateway-mac", 1, NULL, OPT_MAC},
	{"case", 1, NULL, OPT_CASE},
	{"upstream-close", 0, NULL, OPT_UPSTREAM_CLOSE},
	{"body", 1, NULL, OPT_BODY},
	{"connections", 1, NULL, OPT_CONNECTIONS},
	{"routes", 1, NULL, OPT_ROUTES},
	{"rate", 1, NULL, OPT_RATE},
	{"warmup", 1, NULL, OPT_WARMUP},
	{"duration", 1, NULL, OPT_DURATION},
	{"answer-time", 1, NULL, OPT_ANSWER},
	{"port-time", 1, NULL, OPT_PORT_TIME},
	{"mtu", 1, NULL, OPT_MTU},
	{"window", 1, NULL, OPT_WINDOW},
	{"queues", 1, NULL, OPT_QUEUES},
	{"tso", 0, NULL, OPT_TSO},
	{"json", 0, NULL, OPT_JSON},
	{"verbose", 0, NULL, OPT_VERBOSE},
	{"help", 0, NULL, OPT_HELP},
	{NULL, 0, NULL, 0},
};

/* A number in [min, max] of the option's value; false says which option is wrong. */
static bool number(const char *name, double min, double max, double *ret, struct err *err)
{
	char *end;
	double v = strtod(optarg, &end);

	if (end == optarg || *end != '\0' || !(v >= min && v <= max)) {
		err_set(err, EINVAL, "--%s %s: not a number from %g to %g", name, optarg, min, max);
		return false;
	}
	*ret = v;
	return true;
}

static bool whole(const char *name, uint32_t min, uint32_t max, uint32_t *ret, struct err *err)
{
	double v;

	if (!number(name, min, max, &v, err))
		return false;
	*ret = (uint32_t)v;
	return true;
}

static bool port_number(const char *name, uint16_t *ret, struct err *err)
{
	uint32_t v;

	if (!whole(name, 1, 65535, &v, err))
		return false;
	*ret = (uint16_t)v;
	return true;
}

static bool address(const char *name, struct ip_addr *ret, struct err *err)
{
	if (ip_parse(str_of(optarg), ret))
		return true;
	err_set(err, EINVAL, "--%s %s: not an address", name, optarg);
	return false;
}

static bool network(const char *name, struct ip_net *ret, struct err *err)
{
	if (ip_net_parse(str_of(optarg), ret))
		return true;
	err_set(err, EINVAL, "--%s %s: not a network", name, optarg);
	return false;
}

static bool scenario(struct gen_config *cfg, struct err *err)
{
	static const char *const names[] = {"keepalive", "close", "idle"};

	for (unsigned i = 0; i < 3; i++)
		if (strcmp(optarg, names[i]) == 0) {
			cfg->scenario = (enum gen_case)i;
			return true;
		}
	err_set(err, EINVAL, "--case %s: keepalive, close or idle", optarg);
	return false;
}

static bool body(struct gen_config *cfg, struct err *err)
{
	cfg->mixed = strcmp(optarg, "mixed") == 0;
	return cfg->mixed || whole("body", 0, BODY_BYTES_MAX, &cfg->bytes, err);
}

static bool mac(struct gen_config *cfg, struct err *err)
{
	cfg->has_gateway_mac = rte_ether_unformat_addr(optarg, &cfg->gateway_mac) == 0;
	if (!cfg->has_gateway_mac)
		err_set(err, EINVAL, "--gateway-mac %s: not a MAC address", optarg);
	return cfg->has_gateway_mac;
}

static bool where(struct gen_config *cfg, int id, struct err *err)
{
	switch (id) {
	case OPT_VDEV:
		cfg->vdev = optarg;
		return true;
	case OPT_LCORE:
		return whole("lcore", 0, 1023, &cfg->cpu, err);
	case OPT_PREFIX:
		cfg->file_prefix = optarg;
		return true;
	case OPT_NO_HUGE:
		return cfg->no_huge = true;
	case OPT_DIRECT:
		return cfg->direct = true;
	case OPT_VIP:
		return address("vip", &cfg->vip, err);
	case OPT_VIP_PORT:
		return port_number("vip-port", &cfg->vip_port, err);
	case OPT_CLIENTS:
		return network("clients", &cfg->clients, err);
	case OPT_BACKEND_NET:
		return network("backend-net", &cfg->backend_net, err);
	case OPT_BACKENDS:
		return whole("backends", 1, 65534, &cfg->backends, err);
	case OPT_BACKEND_PORT:
		return port_number("backend-port", &cfg->backend_port, err);
	case OPT_ROUTER:
		return address("router", &cfg->router, err);
	case OPT_MAC:
		return mac(cfg, err);
	default:
		return false;
	}
}

static bool what(struct gen_config *cfg, int id, struct err *err)
{
	uint32_t mtu;

	switch (id) {
	case OPT_HOST:
		cfg->host = optarg;
		return true;
	case OPT_CASE:
		return scenario(cfg, err);
	case OPT_UPSTREAM_CLOSE:
		return cfg->upstream_close = true;
	case OPT_BODY:
		return body(cfg, err);
	case OPT_CONNECTIONS:
		return whole("connections", 1, CONNECTIONS_MAX, &cfg->connections, err);
	case OPT_ROUTES:
		return whole("routes", 1, HTTP_ROUTES_MAX, &cfg->routes, err);
	case OPT_RATE:
		return number("rate", 0, 1e8, &cfg->rate, err);
	case OPT_WARMUP:
		return number("warmup", 0, 600, &cfg->warmup_s, err);
	case OPT_DURATION:
		return number("duration", 0.1, 3600, &cfg->duration_s, err);
	case OPT_ANSWER:
		return number("answer-time", 0.1, 600, &cfg->answer_s, err);
	case OPT_PORT_TIME:
		return number("port-time", 0.1, 600, &cfg->port_s, err);
	case OPT_MTU:
		if (!whole("mtu", 1280, 9000, &mtu, err))
			return false;
		cfg->mtu = (uint16_t)mtu;
		return true;
	case OPT_WINDOW:
		return whole("window", 16384, 1 << 26, &cfg->window, err);
	case OPT_QUEUES:
		return whole("queues", 1, LINK_QUEUES_MAX, &cfg->queues, err);
	case OPT_TSO:
		return cfg->tso = true;
	case OPT_JSON:
		return cfg->json = true;
	case OPT_VERBOSE:
		return cfg->verbose = true;
	default:
		return false;
	}
}

static uint32_t net_size(const struct ip_net *n)
{
	unsigned bits = 128u - n->len;

	return bits >= 20 ? 1u << 20 : 1u << bits;
}

/* What fits together, and what follows from the rest. */
static int complete(struct gen_config *cfg, bool has_router, struct err *err)
{
	bool v4 = ip_is_v4(&cfg->vip);

	if (cfg->vdev == NULL)
		return err_set(err, EINVAL, "--vdev is missing (--help)");
	if (v4 != ip_is_v4(&cfg->clients.addr) || v4 != ip_is_v4(&cfg->backend_net.addr))
		return err_set(err, EINVAL, "--vip, --clients, --backend-net: of one family");
	if (strlen(cfg->host) > 253)
		return err_set(err, EINVAL, "--host: longer than a name can be");
	cfg->clients_count = net_size(&cfg->clients);
	if (cfg->clients_count < CLIENTS_MIN)
		return err_set(err, EINVAL, "--clients: fewer than %u addresses", CLIENTS_MIN);
	if (cfg->backends + 2 > net_size(&cfg->backend_net))
		return err_set(err, EINVAL, "--backends %u: not so many in --backend-net",
			cfg->backends);
	if (cfg->connections > (uint64_t)cfg->clients_count * 60000)
		return err_set(err, EINVAL, "--connections: more than --clients have ports");
	if (!has_router) {
		cfg->router = cfg->clients.addr;
		be32_put(cfg->router.b + 12, be32_get(cfg->router.b + 12) + cfg->clients_count - 2);
	}
	return 0;
}

int args_parse(struct gen_config *cfg, int argc, char **argv, struct err *err)
{
	bool has_router = false;
	int id;

	*cfg = (struct gen_config){.file_prefix = "bench_gen",
		.host = "app.bench.lab",
		.vip_port = 80,
		.backend_port = 8080,
		.backends = 4,
		.queues = 1,
		.bytes = 100,
		.connections = 64,
		.routes = 1,
		.warmup_s = 1,
		.duration_s = 5,
		.answer_s = 10,
		.port_s = 20,
		.mtu = 1500,
		.window = 262144};
	ip_parse(STR("203.0.113.10"), &cfg->vip);
	ip_net_parse(STR("10.64.0.0/24"), &cfg->clients);
	ip_net_parse(STR("10.65.0.0/24"), &cfg->backend_net);
	while ((id = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (id == OPT_HELP) {
			fputs(usage, stdout);
			return 1;
		}
		has_router |= id == OPT_ROUTER;
		if (!where(cfg, id, err) && err->msg[0] == '\0' && !what(cfg, id, err) &&
			err->msg[0] == '\0')
			return err_set(err, EINVAL, "unknown word (--help)");
		if (err->msg[0] != '\0')
			return -EINVAL;
	}
	if (optind < argc)
		return err_set(err, EINVAL, "%s: unknown word (--help)", argv[optind]);
	return complete(cfg, has_router, err);
}
