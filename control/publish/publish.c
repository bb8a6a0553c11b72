// SPDX-License-Identifier: Apache-2.0
/*
 * publish.c: see publish.h.
 *
 * One descriptor for control's loop: an epoll of the links' eventfds, a timer for heartbeats and
 * deadlines, and an eventfd for answers that are known before anybody was asked.
 */
#include "control/publish/publish.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "control/publish/publish_state.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/clock.h"

/* Images of earlier processes: dataplanes have copied what they use. */
static void remove_old_images(const char *dir)
{
	DIR *d = opendir(dir);
	char path[PATH_MAX];
	struct dirent *e;

	while (d != NULL && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, "snapshot-", strlen("snapshot-")) == 0) {
			snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
			unlink(path);
		}
	if (d != NULL)
		closedir(d);
}

static int watch(struct publish *p, int fd, struct err *err)
{
	struct epoll_event ev = {.events = EPOLLIN};

	if (fd < 0 || epoll_ctl(p->epoll_fd, EPOLL_CTL_ADD, fd, &ev) != 0)
		return err_set(err, errno, "epoll: %s", strerror(errno));
	return 0;
}

static int open_descriptors(struct publish *p, struct err *err)
{
	const struct itimerspec every = {.it_interval.tv_nsec = PUBLISH_TICK_US * 1000,
		.it_value.tv_nsec = 1000};
	int rv;

	p->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	p->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	p->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	rv = watch(p, p->timer_fd, err);
	if (rv == 0)
		rv = watch(p, p->wake_fd, err);
	if (rv == 0 && timerfd_settime(p->timer_fd, 0, &every, NULL) != 0)
		rv = err_set(err, errno, "timerfd: %s", strerror(errno));
	return rv;
}

static int open_dataplanes(struct publish *p, const struct publish_config *cfg, struct err *err)
{
	p->dps = calloc(cfg->target_count + 1, sizeof(p->dps[0]));
	bug_on(p->dps == NULL);
	for (uint32_t i = 0; i < cfg->target_count; i++) {
		struct pub_dataplane *d = &p->dps[i];
		int rv;

		d->p = p;
		d->name = strndup(cfg->targets[i].name.p, cfg->targets[i].name.len);
		d->url = strdup(cfg->targets[i].url);
		bug_on(d->name == NULL || d->url == NULL);
		p->dp_count++;
		rv = pub_dataplane_open(d, err);
		if (rv == 0)
			rv = watch(p, link_fd(d->link), err);
		if (rv != 0)
			return rv;
	}
	return 0;
}

int publish_new(const struct publish_config *cfg, struct publish **ret, struct err *err)
{
	struct publish *p;
	int rv;

	if (cfg->target_count > PUBLISH_DATAPLANES_MAX)
		return err_set(err, EINVAL, "%u dataplanes, at most %u", cfg->target_count,
			PUBLISH_DATAPLANES_MAX);
	p = calloc(1, sizeof(*p));
	bug_on(p == NULL);
	p->lock_fd = p->epoll_fd = p->timer_fd = p->wake_fd = -1;
	p->name = strndup(cfg->name.p, cfg->name.len);
	p->state_dir = strdup(cfg->state_dir);
	p->on_change = cfg->on_change;
	p->arg = cfg->arg;
	p->started_us = clock_mono_us();
	p->scratch = calloc(1, sizeof(*p->scratch));
	p->buf = malloc(MESSAGE_BYTES_MAX);
	bug_on(p->name == NULL || p->state_dir == NULL || p->scratch == NULL || p->buf == NULL);
	arena_init(&p->cfg_arena, 0);
	list_init(&p->objects);
	list_init(&p->queries);
	rv = pub_epoch_open(p, err);
	if (rv == 0) {
		remove_old_images(p->state_dir);
		rv = open_descriptors(p, err);
	}
	if (rv == 0)
		rv = open_dataplanes(p, cfg, err);
	if (rv != 0) {
		publish_free(p);
		return rv;
	}
	*ret = p;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void publish_free(struct publish *p)
{
	if (p == NULL)
		return;
	for (uint32_t i = 0; i < p->dp_count; i++) {
		pub_dataplane_close(&p->dps[i]);
		free(p->dps[i].name);
		free(p->dps[i].url);
	}
	free(p->dps);
	pub_query_free_all(p);
	pub_objects_free(p);
	arena_fini(&p->cfg_arena);
	for (unsigned i = 0; i < PUBLISH_IMAGES_KEPT; i++)
		free(p->old_paths[i]);
	free(p->image_path);
	free(p->image);
	free(p->scratch);
	free(p->buf);
	free(p->name);
	free(p->state_dir);
	close_fd(p->epoll_fd);
	close_fd(p->timer_fd);
	close_fd(p->wake_fd);
	close_fd(p->lock_fd);
	free(p);
}

int publish_poll_fd(const struct publish *p)
{
	return p->epoll_fd;
}

/* True: the descriptor had something to say. */
static bool take(int fd)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

void publish_dispatch(struct publish *p)
{
	bool tick = take(p->timer_fd);

	take(p->wake_fd);
	for (uint32_t i = 0; i < p->dp_count; i++) {
		pub_dataplane_run(&p->dps[i], clock_mono_us());
		if (tick)
			pub_dataplane_tick(&p->dps[i], clock_mono_us());
	}
	pub_query_run(p, clock_mono_us());
	if (p->changed && p->on_change != NULL)
		p->on_change(p->arg);
	p->changed = false;
}

void publish_drain(struct publish *p, uint32_t dataplane, bool on)
{
	struct pub_dataplane *d = &p->dps[dataplane];

	bug_on(dataplane >= p->dp_count);
	d->drain_wanted = on;
	d->drain_due = true;
	pub_dataplane_pump(d, clock_mono_us());
}

uint64_t publish_epoch(const struct publish *p)
{
	return p->epoch;
}

uint64_t publish_generation(const struct publish *p)
{
	return p->wanted ? p->generation : 0;
}

uint64_t publish_revision(const struct publish *p)
{
	return p->revision;
}

/* Every live dataplane is connected and has <generation> and <revision>; there is one. */
static bool everybody_has(const struct publish *p, uint64_t generation, uint64_t revision)
{
	uint64_t now_us = clock_mono_us();
	bool any = false;

	for (uint32_t i = 0; i < p->dp_count; i++) {
		const struct pub_dataplane *d = &p->dps[i];

		if (!d->s.welcomed && !pub_dataplane_is_live(d, now_us))
			continue;
		if (!d->s.welcomed || d->acked_generation < generation ||
			d->acked_revision < revision)
			return false;
		any = true;
	}
	return any;
}

bool publish_is_programmed(const struct publish *p, uint64_t generation)
{
	return p->wanted && generation <= p->generation && everybody_has(p, generation, 0);
}

bool publish_is_applied(const struct publish *p, uint64_t revision)
{
	return p->wanted && revision <= p->revision && everybody_has(p, p->generation, revision);
}

uint32_t publish_count(const struct publish *p)
{
	return p->dp_count;
}

static uint64_t lag_us(const struct pub_dataplane *d, uint64_t now_us)
{
	const struct pub_object *o = pub_objects_above(d->p, d->acked_revision);

	if (d->synced || !d->p->wanted)
		return 0;
	if (d->acked_generation != d->p->generation)
		return now_us - d->p->image_us;
	return o == NULL ? 0 : now_us - o->published_us;
}

void publish_state(const struct publish *p, uint32_t dataplane, struct publish_state *ret)
{
	const struct pub_dataplane *d = &p->dps[dataplane];

	bug_on(dataplane >= p->dp_count);
	*ret = (struct publish_state){.name = str_of(d->name),
		.url = d->url,
		.connected = d->s.welcomed,
		.synced = d->synced,
		.draining = d->draining,
		.version = str_of(d->version),
		.generation = d->s.welcomed ? d->using_generation : 0,
		.revision = d->acked_revision,
		.lag_us = lag_us(d, clock_mono_us()),
		.ack_us = d->ack_us,
		.error = d->error,
		.connects = d->connects,
		.snapshots_sent = d->snapshots_sent,
		.smalls_sent = d->smalls_sent,
		.refused = d->refused,
		.bad_messages = d->bad_messages};
}
