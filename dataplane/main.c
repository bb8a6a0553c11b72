// SPDX-License-Identifier: Apache-2.0
/*
 * main.c: the program sluice-dataplane: what is started in which order, and ended in reverse.
 *
 *	configuration -> EAL -> pools -> ports -> workers' stacks -> folders -> no more root
 *	-> host (routes, rules) -> agent (last good configuration) -> access log -> workers run
 *
 * Threads: this one (signals, watchdog, service manager), one per worker, host, agent with nng's,
 * the access log's writer, EAL's own. All but the workers stay on the CPUs that workers leave.
 *
 * SIGTERM and SIGINT drain: no new connections, "Connection: close", and when nothing is open any
 * more or the time is over, the end. A second one ends at once. SIGHUP opens the access log anew.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_launch.h>

#include "dataplane/agent/agent.h"
#include "dataplane/agent/agent_inspect.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"
#include "dataplane/base/privs.h"
#include "dataplane/base/sd_notify.h"
#include "dataplane/eal_start.h"
#include "dataplane/gateway_config.h"
#include "dataplane/host/host.h"
#include "dataplane/identity.h"
#include "dataplane/worker/access_writer.h"
#include "dataplane/worker/telemetry.h"
#include "dataplane/worker/worker.h"

#define CONFIG_DEFAULT "/etc/sluice/gateway.yaml"
#define TICK_MS 250	       /* watchdog, service manager, progress of a drain */
#define STUCK_US 1000000       /* a turn longer than this is worth a line */
#define CALL_TIMEOUT_US 200000 /* of a question to a worker */

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct app {
	struct gateway_config cfg;
	struct worker_group group;
	struct rte_mempool *pools[WORKERS_MAX]; /* owned */
	struct host *host;			/* owned */
	struct agent *agent;			/* owned */
	struct access_writer *log;		/* owned */
	cpu_set_t cpus;				/* housekeeping */
	bool eal;				/* DPDK runs */
	int signal_fd;
	uint64_t drain_end_us; /* 0: not draining */
	bool over;	       /* leave the main loop */
	struct worker_watch watch;
	uint64_t stuck_us;		 /* longest turn said so far, of the present hang */
	uint64_t notify_us, notified_us; /* service manager's watchdog */
};

static struct app app;

/* -- start, in this order ------------------------------------------------------------------ */

static int signals_start(struct app *a, struct err *err)
{
	sigset_t set;

	/* before any thread exists, so that all inherit both */
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	a->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (a->signal_fd < 0)
		return err_set(err, errno, "signalfd: %s", strerror(errno));
	return 0;
}

/* The largest MTU of all ports: what a packet buffer has to hold. */
static int mtu_largest(const struct gateway_config *c, uint16_t *ret, struct err *err)
{
	*ret = 0;
	for (uint32_t i = 0; i < c->ports_count; i++) {
		struct port_config p;
		uint16_t mtu;

		gateway_config_port(&c->ports[i], &p);
		mtu = port_mtu_probe(&p, err);
		if (mtu == 0)
			return -ENODEV;
		*ret = mtu > *ret ? mtu : *ret;
	}
	return 0;
}

static int pools_start(struct app *a, uint16_t mtu, struct err *err)
{
	bool flat = gateway_config_has(&a->cfg, PORT_AF_XDP);
	struct rte_mempool *(*make)(const char *, unsigned, uint16_t, struct err *) =
		flat ? port_pool_new_flat : port_pool_new;
	char name[32];

	for (uint32_t i = 0; i < a->cfg.workers_count; i++) {
		snprintf(name, sizeof(name), "packets_%u", i);
		a->pools[i] = make(name, a->cfg.packets, mtu, err);
		if (a->pools[i] == NULL)
			return -ENOMEM;
	}
	return 0;
}

static const char *who_does(bool port)
{
	return port ? "port" : "software";
}

static int ports_start(struct app *a, struct err *err)
{
	struct worker_group *g = &a->group;

	for (uint32_t i = 0; i < a->cfg.ports_count; i++) {
		struct port_config cfg;
		struct port *p = &g->ports[i];
		char mac[RTE_ETHER_ADDR_FMT_SIZE];
		int rc;

		gateway_config_port(&a->cfg.ports[i], &cfg);
		rc = port_open(&cfg, (uint8_t)i, a->pools, a->cfg.workers_count, p, err);
		if (rc < 0)
			return rc;
		g->port_count++;
		rte_ether_format_addr(mac, sizeof(mac), &p->mac);
		log_info("port",
			"name=%s profile=%s iface=%s mac=%s mtu=%u queues=%u rx_checksum=%s "
			"tx_checksum=%s tx_segmentation=%s",
			p->name, port_profile_name(p->profile), p->iface[0] ? p->iface : "-", mac,
			p->mtu, p->queues, who_does(p->trusts_csum), who_does(p->offload.csum),
			who_does(p->offload.tso_max != 0));
	}
	return 0;
}

static int workers_start(struct app *a, struct err *err)
{
	struct worker_config cfg;

	gateway_config_worker(&a->cfg, &cfg);
	port_offload_common(a->group.ports, a->group.port_count, &cfg.tcp.tx);
	return worker_group_init(&a->group, &cfg, a->pools, a->cfg.workers_count, err);
}

static int agent_begin(struct app *a, struct err *err)
{
	const struct gateway_config *c = &a->cfg;
	char name[64], mode[16];
	struct agent_config cfg = {.name = name,
		.url = c->url,
		.state_dir = c->state_directory,
		.cpus = &a->cpus};
	struct privs_user u;

	snprintf(name, sizeof(name), "%.*s", STR_FMT(c->name));
	snprintf(mode, sizeof(mode), "%.*s", STR_FMT(c->socket_mode));
	cfg.socket_mode = (mode_t)strtoul(mode, NULL, 8);
	for (uint32_t i = 0; i < c->peers_count; i++) {
		char user[64];
		int rc;

		snprintf(user, sizeof(user), "%.*s", STR_FMT(c->peers[i]));
		rc = privs_lookup(user, &u, err);
		if (rc < 0)
			return rc;
		cfg.peer_uids[cfg.peer_uid_count++] = u.uid;
	}
	return agent_start(&cfg, &a->group, agent_ops(&a->group), &a->agent, err);
}

static void names_of(void *ctx, const struct access_record *rec, char buf[ACCESS_NAMES_MAX],
	struct access_names *ret)
{
	static_assert(AGENT_NAMES_MAX <= ACCESS_NAMES_MAX, "the names fit");
	agent_access_names(ctx, rec, buf, ret);
}

static int log_start(struct app *a, struct err *err)
{
	if (a->cfg.log_path == NULL)
		return 0;
	return access_writer_start(&a->group, a->cfg.log_path, names_of, a->agent, &a->log, err);
}

static int workers_launch(struct app *a, struct err *err)
{
	for (unsigned i = 0; i < a->group.count; i++) {
		int rc = rte_eal_remote_launch(worker_loop, a->group.w[i], i + 1);

		if (rc < 0)
			return err_set(err, -rc, "worker %u: %s", i, strerror(-rc));
	}
	return 0;
}

static int app_start(struct app *a, struct err *err)
{
	uint16_t mtu;
	int rc = signals_start(a, err);

	if (rc == 0)
		rc = mtu_largest(&a->cfg, &mtu, err);
	if (rc == 0)
		rc = eal_start(&a->cfg, mtu, &a->cpus, err);
	a->eal = rc == 0;
	if (rc == 0)
		rc = pools_start(a, mtu, err);
	if (rc == 0)
		rc = ports_start(a, err);
	if (rc == 0)
		rc = workers_start(a, err);
	if (rc == 0)
		rc = identity_take(&a->cfg, err);
	if (rc == 0)
		rc = telemetry_start(&a->group, err);
	if (rc == 0)
		rc = host_start(&a->group, &a->host, err);
	if (rc == 0)
		rc = agent_begin(a, err);
	if (rc == 0)
		rc = log_start(a, err);
	if (rc == 0)
		rc = workers_launch(a, err);
	return rc;
}

/* Whatever was started, in reverse; every step bears that it never began. */
static void app_stop(struct app *a)
{
	atomic_store(&a->group.stop, true);
	worker_group_wake(&a->group);
	for (unsigned i = 0; i < a->group.count; i++)
		rte_eal_wait_lcore(i + 1);
	access_writer_stop(a->log);
	agent_stop(a->agent);
	host_stop(a->host);
	telemetry_stop();
	agent_free(a->agent);
	host_free(a->host);
	worker_group_fini(&a->group);
	for (unsigned i = 0; i < a->group.port_count; i++)
		port_close(&a->group.ports[i]);
	for (unsigned i = 0; i < WORKERS_MAX; i++)
		port_pool_free(a->pools[i]);
	if (a->eal)
		rte_eal_cleanup();
	gateway_config_fini(&a->cfg);
}

/* -- running ------------------------------------------------------------------------------- */

struct open_count {
	unsigned conns, requests;
};

static void count_open(struct worker *w, void *arg)
{
	struct open_count *c = arg;
	struct http_usage u;

	http_usage(w->http, &u);
	c->conns += u.down;
	c->requests += u.exchanges;
}

/* False: a worker did not answer, so nothing is known. */
static bool open_count_get(struct app *a, struct open_count *ret)
{
	*ret = (struct open_count){0};
	for (unsigned i = 0; i < a->group.count; i++)
		if (!worker_call(&a->group, i, count_open, ret, CALL_TIMEOUT_US))
			return false;
	return true;
}

static void drain_begin(struct app *a)
{
	struct open_count c;

	a->drain_end_us = clock_mono_us() + (uint64_t)a->cfg.drain_ms * 1000;
	open_count_get(a, &c);
	log_info("main", "connections=%u requests=%u timeout_ms=%u msg=\"draining\"", c.conns,
		c.requests, a->cfg.drain_ms);
	sd_notify_send("STOPPING=1\nSTATUS=draining %u connections", c.conns);
	atomic_store(&a->group.draining, true);
}

static void drain_look(struct app *a, uint64_t now_us)
{
	struct open_count c;

	if (a->drain_end_us == 0)
		return;
	if (open_count_get(a, &c) && c.conns == 0) {
		log_info("main", "msg=\"drained\"");
		a->over = true;
	} else if (now_us >= a->drain_end_us) {
		log_warn("main", "connections=%u requests=%u msg=\"drain timed out\"", c.conns,
			c.requests);
		a->over = true;
	}
}

static void signals_take(struct app *a)
{
	struct signalfd_siginfo si;

	while (read(a->signal_fd, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGHUP && a->log != NULL) {
			access_writer_reopen(a->log);
		} else if (si.ssi_signo != SIGHUP && a->drain_end_us == 0) {
			drain_begin(a);
		} else if (si.ssi_signo != SIGHUP) {
			log_info("main", "msg=\"second signal: ending at once\"");
			a->over = true;
		}
	}
}

static void dump_state(void)
{
	worker_dump(&app.group, stderr);
}

/* Names the stage of a worker that hangs, once per doubling; ends the process when it stays so. */
static bool watchdog_look(struct app *a, uint64_t now_us)
{
	enum worker_stage stage = WORKER_STAGE_CONFIG;
	unsigned worker = 0;
	uint64_t us = worker_watchdog_check(&a->watch, &a->group, now_us, &worker, &stage);

	if (us < STUCK_US) {
		if (a->stuck_us != 0)
			log_info("watchdog", "longest_us=%lu msg=\"all workers turn again\"",
				a->stuck_us);
		a->stuck_us = 0;
		return true;
	}
	if (us >= 2 * a->stuck_us) {
		log_error("watchdog", "worker=%u stage=%s us=%lu msg=\"stuck\"", worker,
			worker_stage_name(stage), us);
		a->stuck_us = us;
	}
	bug_on(a->cfg.watchdog_abort_ms != 0 && us > (uint64_t)a->cfg.watchdog_abort_ms * 1000);
	return false;
}

static void notify_look(struct app *a, uint64_t now_us, bool healthy)
{
	if (!healthy || a->notify_us == 0 || now_us - a->notified_us < a->notify_us / 2)
		return;
	a->notified_us = now_us;
	sd_notify_send("WATCHDOG=1");
}

static void app_loop(struct app *a)
{
	struct pollfd fd = {.fd = a->signal_fd, .events = POLLIN};

	a->notify_us = sd_notify_watchdog_us();
	while (!a->over) {
		uint64_t now;

		poll(&fd, 1, TICK_MS);
		signals_take(a);
		now = clock_mono_us();
		notify_look(a, now, watchdog_look(a, now));
		drain_look(a, now);
	}
}

static int app_run(struct app *a, const char *path)
{
	struct err err = {""};
	int rc;

	bug_dump_fn = dump_state;
	rc = app_start(a, &err);
	if (rc < 0) {
		log_error("main", "msg=\"%s\"", err.msg);
	} else {
		log_info("main", "version=%s config=%s name=%.*s workers=%u ports=%u msg=\"ready\"",
			SLUICE_VERSION, path, STR_FMT(a->cfg.name), a->group.count,
			a->group.port_count);
		sd_notify_send("READY=1\nSTATUS=serving with %u workers", a->group.count);
		app_loop(a);
	}
	app_stop(a);
	if (rc == 0)
		log_info("main", "msg=\"ended\"");
	return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

/* -- command line -------------------------------------------------------------------------- */

static const char help[] =
	"Usage: sluice-dataplane [-c FILE]\n"
	"       sluice-dataplane --check [-c FILE]   reads the file and says what is wrong\n"
	"\n"
	"  -c, --config FILE       gateway.yaml (default " CONFIG_DEFAULT ")\n"
	"      --log-level LEVEL   error, warn, info or debug; overrides the file's\n"
	"      --version\n"
	"  -h, --help\n"
	"\n"
	"Signals: SIGTERM drains and ends, a second one ends at once; SIGHUP opens the access log\n"
	"anew.\n"
	"Exit status: 0 good, 1 failed, 2 usage or configuration.\n";

struct options {
	const char *path;
	bool check;
	int log_level; /* -1: the file's */
	int exit;      /* -1: go on */
};

static int usage(const char *arg, const char *what)
{
	fprintf(stderr, "sluice-dataplane: %s %s; see --help\n", arg, what);
	return EXIT_USAGE;
}

static struct options options_parse(int argc, char **argv)
{
	enum { OPT_CHECK = 256, OPT_VERSION, OPT_LOG_LEVEL };
	static const struct option longs[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, OPT_CHECK},
		{"log-level", required_argument, NULL, OPT_LOG_LEVEL},
		{"version", no_argument, NULL, OPT_VERSION},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct options o = {CONFIG_DEFAULT, false, -1, -1};
	int opt;

	while ((opt = getopt_long(argc, argv, "c:h", longs, NULL)) != -1 && o.exit < 0) {
		if (opt == 'c') {
			o.path = optarg;
		} else if (opt == OPT_CHECK) {
			o.check = true;
		} else if (opt == OPT_LOG_LEVEL) {
			o.log_level = log_level_parse(optarg);
			if (o.log_level < 0)
				o.exit = usage("--log-level", "is error, warn, info or debug");
		} else if (opt == OPT_VERSION) {
			puts("sluice-dataplane " SLUICE_VERSION);
			o.exit = EXIT_OK;
		} else {
			fputs(help, opt == 'h' ? stdout : stderr);
			o.exit = opt == 'h' ? EXIT_OK : EXIT_USAGE;
		}
	}
	if (o.exit < 0 && optind < argc)
		o.exit = usage(argv[optind], "is an argument that means nothing here");
	return o;
}

static void check_print(const char *path, const struct gateway_config *c)
{
	for (uint32_t i = 0; i < c->ports_count; i++)
		if (port_profile_has_tap((enum port_profile)c->ports[i].profile))
			printf("%s:%u: ports[%u]: note: the kernel's own packets do not pass "
			       "through this port; %.*s only names its addresses and routes\n",
				path, c->ports[i].line, i, STR_FMT(c->ports[i].iface));
	printf("%s: good: %u ports, %u workers, %u sources\n", path, c->ports_count,
		c->workers_count, c->sources_count);
}

int main(int argc, char **argv)
{
	struct options o = options_parse(argc, argv);
	struct err err;
	int rc;

	if (o.exit >= 0)
		return o.exit;
	rc = gateway_config_load(o.path, &app.cfg, &err);
	if (rc < 0) {
		log_error("main", "msg=\"%s\"", err.msg);
		return EXIT_USAGE;
	}
	log_level_max = (enum log_level)(o.log_level >= 0 ? o.log_level : app.cfg.log_level);
	if (o.check) {
		check_print(o.path, &app.cfg);
		gateway_config_fini(&app.cfg);
		return EXIT_OK;
	}
	return app_run(&app, o.path);
}
