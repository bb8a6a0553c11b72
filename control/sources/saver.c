// SPDX-License-Identifier: Apache-2.0
/*
 * saver.c: see saver.h. The lock is held for moments, never while the disk works.
 */
#include "control/sources/saver.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/clock.h"
#include "dataplane/base/file.h"

#define FILE_MODE 0600
#define FOLDER_MODE 0700

struct saver {
	struct loop *loop;
	saver_done_fn on_done;
	void *arg;
	struct loop_fd done_fd; /* an eventfd */
	pthread_t thread;

	pthread_mutex_t lock; /* protects all below */
	pthread_cond_t wake;
	struct list todo, done; /* struct saver_job, oldest first */
	bool stop;
};

/* --- the thread --- */

/* The folder, and the one in which it is. */
static int make_folders(const char *folder, struct err *err)
{
	const char *slash = strrchr(folder, '/');
	autofree char *parent = strndup(folder, (size_t)(slash - folder));

	bug_on(parent == NULL);
	if ((mkdir(parent, FOLDER_MODE) < 0 && errno != EEXIST) ||
		(mkdir(folder, FOLDER_MODE) < 0 && errno != EEXIST)) {
		int code = errno;

		return err_set(err, code, "%s: %s", folder, strerror(code));
	}
	return file_sync_folder(parent, err);
}

int saver_make_folder(const char *path, struct err *err)
{
	autofree char *folder = strndup(path, (size_t)(strrchr(path, '/') - path));

	bug_on(folder == NULL);
	return make_folders(folder, err);
}

static int write_shot(struct saver_job *j)
{
	autofree char *text = NULL, *path = NULL;
	int rc = store_disk_text(&j->shot, &text, &j->bytes, &j->err);

	bug_on(asprintf(&path, "%s/%s", j->folder, j->file) < 0);
	if (rc == 0 && access(j->folder, F_OK) < 0)
		rc = make_folders(j->folder, &j->err);
	return rc == 0 ? file_replace(path, text, j->bytes, FILE_MODE, &j->err) : rc;
}

/* What somebody else put there stays, and the folder with it. */
static int remove_folder(struct saver_job *j)
{
	DIR *d = opendir(j->folder);
	struct dirent *e;

	if (d == NULL)
		return errno == ENOENT ? 0 : err_set(&j->err, errno, "%s", j->folder);
	while ((e = readdir(d)) != NULL)
		if (e->d_name[0] != '.')
			unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	if (rmdir(j->folder) < 0) {
		int code = errno;

		return err_set(&j->err, code, "%s: %s", j->folder, strerror(code));
	}
	return 0;
}

static void job_run(struct saver_job *j)
{
	uint64_t start = clock_mono_us();

	j->rc = j->file != NULL ? write_shot(j) : remove_folder(j);
	store_shot_fini(&j->shot); /* the last reference may be ours, and freeing takes time */
	j->shot = (struct store_shot){.objects = NULL};
	j->took_us = clock_mono_us() - start;
}

/* Under the lock. NULL: nothing is left to do, and nothing will come. */
static struct saver_job *wait_for_job(struct saver *s)
{
	struct list *l;

	while (list_is_empty(&s->todo) && !s->stop)
		pthread_cond_wait(&s->wake, &s->lock);
	l = list_pop(&s->todo);
	return l != NULL ? list_entry(l, struct saver_job, link) : NULL;
}

static void *saver_thread(void *arg)
{
	const uint64_t one = 1;
	struct saver *s = arg;
	struct saver_job *j;

	pthread_setname_np(pthread_self(), "saver");
	pthread_mutex_lock(&s->lock);
	while ((j = wait_for_job(s)) != NULL) {
		pthread_mutex_unlock(&s->lock);
		job_run(j);
		pthread_mutex_lock(&s->lock);
		list_add_tail(&s->done, &j->link);
		if (write(s->done_fd.fd, &one, sizeof(one)) < 0)
			continue; /* its counter is full: readable anyhow */
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* --- the loop --- */

static void job_free(struct saver_job *j)
{
	store_shot_fini(&j->shot);
	free((char *)j->cluster.p);
	free(j->folder);
	free(j->file);
	free(j);
}

static void collect(struct saver *s)
{
	struct list *l;

	for (;;) {
		pthread_mutex_lock(&s->lock);
		l = list_pop(&s->done);
		pthread_mutex_unlock(&s->lock);
		if (l == NULL)
			return;
		s->on_done(s->arg, list_entry(l, struct saver_job, link));
		job_free(list_entry(l, struct saver_job, link));
	}
}

static void on_done_fd(void *arg, uint32_t events)
{
	struct saver *s = arg;
	uint64_t n;

	if (read(s->done_fd.fd, &n, sizeof(n)) < 0)
		return;
	collect(s);
}

int saver_new(struct loop *loop, saver_done_fn done, void *arg, struct saver **ret, struct err *err)
{
	struct saver *s = calloc(1, sizeof(*s));
	int rc;

	bug_on(s == NULL);
	*s = (struct saver){.loop = loop, .on_done = done, .arg = arg};
	list_init(&s->todo);
	list_init(&s->done);
	s->done_fd = (struct loop_fd){.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.fn = on_done_fd,
		.arg = s};
	rc = s->done_fd.fd < 0 ? err_set(err, errno, "eventfd: %s", strerror(errno))
			       : loop_fd_add(loop, &s->done_fd, EPOLLIN, err);
	if (rc < 0)
		goto fail;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->wake, NULL);
	rc = -pthread_create(&s->thread, NULL, saver_thread, s);
	if (rc < 0) {
		err_set(err, -rc, "thread: %s", strerror(-rc));
		loop_fd_remove(loop, &s->done_fd);
		goto fail;
	}
	*ret = s;
	return 0;
fail:
	if (s->done_fd.fd >= 0)
		close(s->done_fd.fd);
	free(s);
	return rc;
}

void saver_free(struct saver *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
	pthread_join(s->thread, NULL);
	collect(s);
	loop_fd_remove(s->loop, &s->done_fd);
	close(s->done_fd.fd);
	pthread_cond_destroy(&s->wake);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static void post(struct saver *s, struct saver_job *j)
{
	pthread_mutex_lock(&s->lock);
	list_add_tail(&s->todo, &j->link);
	pthread_cond_signal(&s->wake);
	pthread_mutex_unlock(&s->lock);
}

static struct saver_job *job_new(const char *folder, struct str cluster)
{
	struct saver_job *j = calloc(1, sizeof(*j));

	bug_on(j == NULL);
	j->folder = strdup(folder);
	j->cluster = (struct str){strndup(cluster.p, cluster.len), cluster.len};
	bug_on(j->folder == NULL || j->cluster.p == NULL);
	return j;
}

void saver_write(struct saver *s, const char *folder, const char *file, struct store_shot *shot)
{
	struct saver_job *j = job_new(folder, shot->cluster);

	j->file = strdup(file);
	bug_on(j->file == NULL);
	j->kind = shot->kind;
	j->shot = *shot;
	*shot = (struct store_shot){.objects = NULL};
	post(s, j);
}

void saver_remove(struct saver *s, const char *folder, struct str cluster)
{
	post(s, job_new(folder, cluster));
}
