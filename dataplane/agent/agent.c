// SPDX-License-Identifier: Apache-2.0
/*
 * agent.c: the one thread of the dataplane that waits instead of polling.
 *
 * A turn: take what control sent (bounded by the link's inbox), see which changes are durable and
 * which every worker has, one step of a question, deadlines. Changes come before questions, so a
 * long answer never delays a weight. All signals are blocked here and so in nng's threads, which
 * inherit this thread's CPUs and mask: the first use of nng must happen in here.
 */
#include "dataplane/agent/agent.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/agent/agent_state.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"
#include "dataplane/http/access_log.h"
#include "dataplane/worker/worker.h"

static const struct {
	const char *name, *help;
} counter_rows[AGENT_C_COUNT] = {
#define AGENT_COUNTER(NAME, nm, hlp) {nm, hlp},
#include "dataplane/agent/agent.def"
#undef AGENT_COUNTER
};

const char *agent_counter_name(unsigned i)
{
	return counter_rows[i].name;
}

const char *agent_counter_help(unsigned i)
{
	return counter_rows[i].help;
}

static int open_link(struct agent *a, struct err *err)
{
	struct link_config cfg = {.url = a->cfg.url,
		.listen = true,
		.mode = a->cfg.socket_mode ? a->cfg.socket_mode : 0660,
		.recv_bytes_max = MESSAGE_RECV_BYTES_MAX};

	static_assert(AGENT_PEER_UIDS_MAX + 2 <= LINK_PEER_UIDS_MAX, "root and ourselves fit too");
	cfg.peer_uids[cfg.peer_uid_count++] = 0;
	cfg.peer_uids[cfg.peer_uid_count++] = geteuid();
	for (unsigned i = 0; i < a->cfg.peer_uid_count; i++)
		cfg.peer_uids[cfg.peer_uid_count++] = a->cfg.peer_uids[i];
	return link_open(&cfg, &a->link, err);
}

static void tick(struct agent *a, uint64_t now_us)
{
	agent_session_tick(a, now_us);
	if (a->ops.tick != NULL)
		a->ops.tick(a->ops.ctx, now_us);
}

/* True: there is more to do at once. */
static bool agent_turn(struct agent *a)
{
	struct link_event ev;
	bool more;

	for (unsigned i = 0; i < LINK_INBOX_MAX && link_next(a->link, &ev); i++)
		agent_session_event(a, &ev, clock_mono_us());
	health_live_run(&a->ctx, clock_mono_us());
	derive_run(&a->ctx, clock_mono_us());
	agent_apply_commit(a, clock_mono_us());
	more = agent_query_run(a);
	if (clock_mono_us() - a->tick_us >= AGENT_TICK_US) {
		a->tick_us = clock_mono_us();
		tick(a, a->tick_us);
	}
	return more;
}

/* Somebody stops us, or the disk has done something. */
static void wake_clear(struct agent *a)
{
	uint64_t n;

	if (read(a->wake_fd, &n, sizeof(n)) < 0)
		log_warn("agent", "msg=\"wake: %s\"", strerror(errno));
}

static void agent_loop(struct agent *a)
{
	struct pollfd fds[] = {{.fd = link_fd(a->link), .events = POLLIN},
		{.fd = a->wake_fd, .events = POLLIN}};

	while (!atomic_load(&a->stop)) {
		int wait_ms = AGENT_TICK_US / 1000;

		if (agent_turn(a))
			wait_ms = 0;
		else if (!reclaim_is_empty(&a->ctx.reclaim))
			wait_ms = AGENT_PENDING_POLL_MS;
		else if (health_live_is_running(&a->ctx))
			wait_ms = HEALTH_LOOK_MS;
		else if (derive_is_running(&a->ctx))
			wait_ms = DERIVE_STEP_US / 1000;
		if (poll(fds, 2, wait_ms) > 0 && (fds[1].revents & POLLIN))
			wake_clear(a);
	}
}

static void *agent_thread(void *arg)
{
	struct agent *a = arg;

	pthread_setname_np(pthread_self(), "agent");
	a->start_rv = open_link(a, a->start_err);
	sem_post(&a->started);
	if (a->start_rv != 0)
		return NULL;
	agent_loop(a);
	agent_query_drop_all(a);
	a->session = (struct session){0}; /* what still waits for a worker has nobody to tell */
	link_close(a->link);
	a->link = NULL;
	return NULL;
}

/* Both with all signals blocked, on the agent's CPUs. */
static int start_threads(struct agent *a)
{
	sigset_t all, before;
	pthread_attr_t attr;
	int rv;

	pthread_attr_init(&attr);
	if (a->cfg.cpus != NULL)
		pthread_attr_setaffinity_np(&attr, sizeof(a->cpus), &a->cpus);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	rv = disk_start(&a->disk, a->cfg.cpus);
	if (rv == 0)
		rv = pthread_create(&a->thread, &attr, agent_thread, a);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	return rv;
}

static struct agent *agent_new(const struct agent_config *cfg, struct worker_group *g,
	const struct agent_ops *ops)
{
	struct agent *a = calloc(1, sizeof(*a));

	bug_on(a == NULL || g->qsbr == NULL);
	a->cfg = *cfg;
	a->cfg.name = strdup(cfg->name);
	a->cfg.url = strdup(cfg->url);
	a->cfg.state_dir = strdup(cfg->state_dir);
	if (cfg->cpus != NULL)
		a->cpus = *cfg->cpus;
	a->group = g;
	a->ops = *ops;
	a->scratch = calloc(1, sizeof(*a->scratch));
	a->buf = malloc(MESSAGE_BYTES_MAX);
	bug_on(a->cfg.name == NULL || a->cfg.url == NULL || a->cfg.state_dir == NULL ||
		a->scratch == NULL || a->buf == NULL);
	list_init(&a->queries);
	sem_init(&a->started, 0, 0);
	a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	live_init(&a->ctx, g, &a->ops);
	disk_init(&a->disk, &a->store, a->wake_fd);
	return a;
}

int agent_start(const struct agent_config *cfg, struct worker_group *g, const struct agent_ops *ops,
	struct agent **ret, struct err *err)
{
	struct agent *a;
	bool damaged;
	int rv;

	if (cfg->peer_uid_count > AGENT_PEER_UIDS_MAX)
		return err_set(err, EINVAL, "more than %u peer users", AGENT_PEER_UIDS_MAX);
	a = agent_new(cfg, g, ops);
	rv = store_open(&a->store, a->cfg.state_dir, &damaged, err);
	if (rv != 0) {
		agent_free(a);
		return rv;
	}
	if (damaged)
		agent_count(a, AGENT_C_EPOCHS_DAMAGED);
	agent_recover(a);
	a->fence = a->store.fence;
	a->start_err = err;
	rv = start_threads(a);
	if (rv != 0) {
		err_set(err, rv, "agent thread: %s", strerror(rv));
		agent_free(a);
		return -rv;
	}
	sem_wait(&a->started);
	a->start_err = NULL;
	rv = a->start_rv;
	if (rv != 0) {
		pthread_join(a->thread, NULL);
		agent_free(a);
		return rv;
	}
	*ret = a;
	return 0;
}

void agent_stop(struct agent *a)
{
	uint64_t one = 1;

	if (a == NULL)
		return;
	atomic_store(&a->stop, true);
	if (write(a->wake_fd, &one, sizeof(one)) < 0)
		log_warn("agent", "msg=\"wake: %s\"", strerror(errno));
	pthread_join(a->thread, NULL);
	disk_stop(&a->disk);
}

void agent_free(struct agent *a)
{
	if (a == NULL)
		return;
	disk_stop(&a->disk);
	agent_apply_collect(a);
	live_fini(&a->ctx);
	disk_fini(&a->disk);
	store_close(&a->store);
	if (a->wake_fd >= 0)
		close(a->wake_fd);
	sem_destroy(&a->started);
	free(a->scratch);
	free(a->buf);
	free((void *)a->cfg.name);
	free((void *)a->cfg.url);
	free((void *)a->cfg.state_dir);
	free(a);
}

void agent_access_names(struct agent *a, const struct access_record *rec, char buf[AGENT_NAMES_MAX],
	struct access_names *ret)
{
	const struct {
		enum agent_slot_kind kind;
		uint32_t slot;
		struct str *name;
	} rows[] = {
		{AGENT_SLOT_LISTENER, rec->listener, &ret->listener},
		{AGENT_SLOT_RULE, rec->rule, &ret->rule},
		{AGENT_SLOT_BACKEND, rec->backend, &ret->backend},
		{AGENT_SLOT_ENDPOINT, rec->endpoint, &ret->endpoint},
	};
	const size_t part = AGENT_NAMES_MAX / 4;

	*ret = (struct access_names){0};
	for (unsigned i = 0; i < 4; i++) {
		struct str cluster = {0};

		if (rows[i].slot == SLOT_NONE)
			continue;
		slots_name(&a->ctx.slots, rows[i].kind, rows[i].slot, buf + i * part, part,
			rows[i].name, &cluster);
		if (cluster.len > 0)
			ret->cluster = cluster;
	}
}
