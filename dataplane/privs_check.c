// SPDX-License-Identifier: Apache-2.0
/*
 * privs_check.c: /proc/self/task/<tid>/status of every thread: proc(5).
 */
#include "dataplane/privs_check.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "dataplane/base/cleanup.h"
#include "dataplane/base/log.h"

struct identity {
	unsigned uid[4]; /* real, effective, saved, file system */
	uint64_t permitted, effective;
	unsigned no_new_privs;
};

static int identity_read(const char *tid, struct identity *ret, struct err *err)
{
	char path[300], line[256];
	autofclose FILE *f = NULL;

	*ret = (struct identity){{0}};
	snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
	f = fopen(path, "r");
	if (f == NULL)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f) != NULL) {
		sscanf(line, "Uid: %u %u %u %u", &ret->uid[0], &ret->uid[1], &ret->uid[2],
			&ret->uid[3]);
		sscanf(line, "CapPrm: %lx", &ret->permitted);
		sscanf(line, "CapEff: %lx", &ret->effective);
		sscanf(line, "NoNewPrivs: %u", &ret->no_new_privs);
	}
	return 0;
}

static int thread_check(const char *tid, const struct privs_user *u, uint64_t keep, struct err *err)
{
	struct identity id;
	int rc = identity_read(tid, &id, err);

	if (rc < 0)
		return rc;
	for (unsigned i = 0; i < 4; i++)
		if (id.uid[i] != u->uid)
			return err_set(err, EPERM, "thread %s is still user %u", tid, id.uid[i]);
	if ((id.permitted | id.effective) & ~keep)
		return err_set(err, EPERM, "thread %s still has capabilities %#lx", tid,
			(id.permitted | id.effective) & ~keep);
	if (id.no_new_privs != 1)
		return err_set(err, EPERM, "thread %s could gain privileges", tid);
	return 0;
}

int privs_check(const struct privs_user *u, uint64_t keep, struct err *err)
{
	DIR *d = opendir("/proc/self/task");
	struct dirent *e;
	unsigned threads = 0;
	int rc = d != NULL ? 0 : err_set(err, errno, "/proc/self/task: %s", strerror(errno));

	while (rc == 0 && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		rc = thread_check(e->d_name, u, keep, err);
		threads++;
	}
	if (d != NULL)
		closedir(d);
	if (rc < 0)
		return rc;
	log_info("main", "uid=%u gid=%u threads=%u capabilities=%#lx msg=\"root is given up\"", u->uid,
		u->gid, threads, keep);
	return 0;
}
