// SPDX-License-Identifier: Apache-2.0
/*
 * control.c: puts the parts together and takes them apart; what each event of the loop does.
 */
#include "control/api/view.h"
#include "control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/log.h"
#include "dataplane/base/sd_notify.h"

/* --- events --- */

static void on_turn(void *arg)
{
	struct control *c = arg;

	if (debounce_is_due(&c->debounce, clock_mono_us()))
		control_turn(c);
}

static void schedule_turn(struct control *c)
{
	loop_timer_set(c->loop, &c->turn_timer, debounce_on_change(&c->debounce, clock_mono_us()));
}

static void on_change(void *arg)
{
	schedule_turn(arg);
}

static void on_status(void *arg)
{
	struct control *c = arg;

	status_on_change(c->status);
}

static void on_closing(void *arg, struct str cluster)
{
	struct control *c = arg;

	status_cluster_closed(c->status, cluster);
}

static struct kube_cluster *kube_of(void *arg, struct str cluster)
{
	struct control *c = arg;

	return sources_kube(c->sources, cluster);
}

/* From the loop: whoever changed the registry may be a client that the change closes. */
static void on_clusters(void *arg)
{
	struct control *c = arg;

	server_tell(c->server, "clusters", json_object());
	loop_timer_set(c->loop, &c->clusters_timer, 0);
}

static void on_apply(void *arg)
{
	struct control *c = arg;

	sources_apply(c->sources);
}

/* The time of a drain's next step, which the turn takes. */
static void on_drains(void *arg)
{
	control_turn(arg);
}

static void on_links_changed(void *arg)
{
	((struct control *)arg)->links_changed = true;
}

static void on_publish(void *arg, uint32_t events)
{
	struct control *c = arg;

	publish_dispatch(c->publish);
	if (c->links_changed) {
		c->links_changed = false;
		control_on_acked(c);
	}
}

static void on_alive(void *arg)
{
	struct control *c = arg;

	sd_notify_send("WATCHDOG=1");
	loop_timer_set(c->loop, &c->alive_timer, sd_notify_watchdog_us() / 2);
}

static void on_stopped(void *arg)
{
	struct control *c = arg;

	loop_stop(c->loop);
}

static void on_signal(void *arg, int signo)
{
	struct control *c = arg;

	if (signo == SIGHUP) {
		sd_notify_send("RELOADING=1\nMONOTONIC_USEC=%llu",
			(unsigned long long)clock_mono_us());
		control_reload(c);
		sd_notify_send("READY=1");
		return;
	}
	log_info("main", "signal=%s msg=\"stopping\"", strsignal(signo));
	sd_notify_send("STOPPING=1");
	status_stop(c->status, on_stopped, c);
}

/* --- opening, in this order --- */

static int open_config(struct control *c, struct err *err)
{
	int rc;

	c->config = calloc(1, sizeof(*c->config));
	bug_on(c->config == NULL);
	rc = control_config_load(c->config_path, c->config, err);
	if (rc < 0) {
		free(c->config);
		c->config = NULL;
		return rc;
	}
	log_level_max = (enum log_level)c->config->log_level;
	return 0;
}

static int open_loop(struct control *c, struct err *err)
{
	sigset_t set;
	int rc = loop_new(&c->loop, err);

	if (rc < 0)
		return rc;
	loop_timer_init(&c->turn_timer, on_turn, c);
	loop_timer_init(&c->clusters_timer, on_apply, c);
	loop_timer_init(&c->alive_timer, on_alive, c);
	loop_timer_init(&c->drain_timer, on_drains, c);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	return loop_signals(c->loop, &set, on_signal, c, err);
}

static int open_publish(struct control *c, struct err *err)
{
	const struct control_config *cfg = c->config;
	struct publish_target targets[PUBLISH_DATAPLANES_MAX];
	char host[64] = "control";
	int rc;

	gethostname(host, sizeof(host) - 1);
	bug_on(cfg->dataplanes_count > PUBLISH_DATAPLANES_MAX);
	for (uint32_t i = 0; i < cfg->dataplanes_count; i++)
		targets[i] =
			(struct publish_target){cfg->dataplanes[i].name, cfg->dataplanes[i].url};
	rc = publish_new(&(struct publish_config){.name = str_of(host),
				 .state_dir = cfg->state_directory,
				 .targets = targets,
				 .target_count = cfg->dataplanes_count,
				 .on_change = on_links_changed,
				 .arg = c},
		&c->publish, err);
	if (rc < 0)
		return rc;
	c->source.publish = c->publish;
	c->publish_fd =
		(struct loop_fd){.fd = publish_poll_fd(c->publish), .fn = on_publish, .arg = c};
	return loop_fd_add(c->loop, &c->publish_fd, EPOLLIN, err);
}

static int open_book(struct control *c, struct err *err)
{
	if (asprintf(&c->book_path, "%s/addresses.json", c->config->state_directory) < 0)
		bug_on(true);
	return address_book_load(c->book_path, &c->book, err);
}

static int open_registry(struct control *c, struct err *err)
{
	char *journal = NULL, *drains = NULL;
	int rc;

	if (asprintf(&journal, "%s/clusters.yaml", c->config->state_directory) < 0 ||
		asprintf(&drains, "%s/drains", c->config->state_directory) < 0)
		bug_on(true);
	drains_open(&c->drains, drains);
	free(drains);
	rc = registry_new(journal, &c->registry, err);
	free(journal);
	if (rc == 0)
		registry_set_file(c->registry, c->config);
	c->source.registry = c->registry;
	return rc;
}

static void on_site_event(void *arg, const struct federation_event *e)
{
	struct control *c = arg;
	const char *name = NULL;
	json_t *j = view_site_event(e, &name);

	server_tell(c->server, name, j);
}

static int open_federate(struct control *c, struct err *err)
{
	const struct federate_config cfg = {
		.loop = c->loop,
		.config = c->config,
		.registry = c->registry,
		.publish = c->publish,
		.on_clusters = on_clusters,
		.on_event = on_site_event,
		.arg = c,
	};
	int rc = federate_open(&cfg, &c->federate, err);

	c->source.federate = c->federate;
	return rc;
}

static int open_sources(struct control *c, struct err *err)
{
	const struct sources_events events = {on_change, on_status, on_clusters, on_closing, c};
	const struct status_ops ops = {kube_of, c};
	char instance[128], *cache = NULL;
	int rc;

	c->store = store_new();
	status_instance(c->config->state_directory, instance, sizeof(instance));
	c->status = status_new(c->loop, c->store, &ops, instance);
	c->source.status = c->status;
	if (asprintf(&cache, "%s/objects", c->config->state_directory) < 0)
		bug_on(true);
	rc = sources_new(c->loop, c->store, c->registry, cache, &events, &c->sources, err);
	free(cache);
	if (rc < 0)
		return rc;
	c->source.sources = c->sources;
	sources_apply(c->sources);
	return 0;
}

int control_open(struct control *c, const char *config_path, struct err *err)
{
	int rc;

	*c = (struct control){.config_path = config_path,
		.debounce.window_us = CONTROL_DEBOUNCE_US};
	rc = open_config(c, err);
	if (rc < 0)
		return rc;
	c->source = (struct api_source){
		.config = c->config,
		.config_path = config_path,
		.compile_error = c->compile_error,
		.on_clusters = on_clusters,
		.on_clusters_arg = c,
		.started_s = (int64_t)time(NULL),
	};
	rc = open_loop(c, err);
	if (rc >= 0)
		rc = control_enter(c, err);
	if (rc >= 0)
		rc = open_publish(c, err);
	if (rc >= 0)
		rc = open_book(c, err);
	if (rc >= 0)
		rc = open_registry(c, err);
	if (rc >= 0)
		rc = open_federate(c, err);
	if (rc >= 0)
		rc = open_sources(c, err);
	if (rc < 0)
		return rc;
	control_turn(c);
	if (sd_notify_watchdog_us() > 0)
		on_alive(c);
	return 0;
}

void control_close(struct control *c)
{
	server_close(c->server);
	c->server = NULL; /* what closes now still has something to tell */
	status_free(c->status);
	c->status = NULL;
	sources_free(c->sources);
	federate_close(c->federate);
	if (c->publish != NULL) {
		loop_fd_remove(c->loop, &c->publish_fd);
		publish_free(c->publish);
	}
	compiled_free(c->compiled);
	plan_put(c->acked);
	plan_put(c->plan);
	store_free(c->store);
	drains_fini(&c->drains);
	registry_free(c->registry);
	address_book_free(c->book);
	loop_free(c->loop);
	for (int i = 0; i < CONTROL_RETIRED_MAX; i++)
		if (c->retired[i] != NULL)
			control_config_fini(c->retired[i]), free(c->retired[i]);
	if (c->config != NULL)
		control_config_fini(c->config);
	free(c->config);
	free(c->book_path);
}
