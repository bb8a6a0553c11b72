// SPDX-License-Identifier: Apache-2.0
/*
 * identity.c: folders, user, capabilities; then /proc is asked whether root is really gone.
 */
#include "dataplane/identity.h"

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <libgen.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dataplane/base/cleanup.h"
#include "dataplane/base/log.h"
#include "dataplane/base/privs.h"
#include "dataplane/gateway_config.h"

/* What the kernel says about one thread: proc(5), /proc/self/task/<tid>/status. */
struct thread_identity {
	unsigned uid[4]; /* real, effective, saved, file system */
	uint64_t permitted, effective;
	unsigned no_new_privs;
};

static int thread_read(const char *tid, struct thread_identity *ret, struct err *err)
{
	char path[300], line[256];
	autofclose FILE *f = NULL;

	*ret = (struct thread_identity){{0}};
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
	struct thread_identity id;
	int rc = thread_read(tid, &id, err);

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

static int threads_check(const struct privs_user *u, uint64_t keep, struct err *err)
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
	log_info("main", "uid=%u gid=%u threads=%u capabilities=%#lx msg=\"root is given up\"",
		u->uid, u->gid, threads, keep);
	return 0;
}

/* Who we will be; without root, who we are. */
static int user_choose(const struct gateway_config *c, struct privs_user *ret, struct err *err)
{
	*ret = (struct privs_user){geteuid(), getegid()};
	if (geteuid() != 0)
		return 0;
	if (c->user != NULL)
		return privs_lookup(c->user, ret, err);
	if (privs_lookup("sluice", ret, err) == 0)
		return 0;
	return privs_lookup("nobody", ret, err);
}

/* Made with its parents if missing, and then <u>'s; one that exists is left as it is. */
static int folder_make(const char *path, const struct privs_user *u, struct err *err)
{
	char part[4096];
	bool made = false;

	for (size_t i = 1; i <= strlen(path) && i < sizeof(part); i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		snprintf(part, sizeof(part), "%.*s", (int)i, path);
		made = mkdir(part, 0755) == 0;
		if (!made && errno != EEXIST)
			return err_set(err, errno, "%s: %s", part, strerror(errno));
	}
	if (made && geteuid() == 0 && lchown(path, u->uid, u->gid) < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int parent_make(const char *path, const struct privs_user *u, struct err *err)
{
	char copy[4096];

	snprintf(copy, sizeof(copy), "%s", path);
	return folder_make(dirname(copy), u, err);
}

static struct privs_user give_to; /* nftw(3) has no argument for it */

static int give_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	/* a second name of a file might stand where it is not ours to give */
	if (st->st_uid != 0 || (S_ISREG(st->st_mode) && st->st_nlink > 1))
		return 0;
	return lchown(path, give_to.uid, give_to.gid);
}

/* The state folder is ours by its name: what root left in it becomes <u>'s (StateDirectory=). */
static int state_own(const char *path, const struct privs_user *u, struct err *err)
{
	give_to = *u;
	if (geteuid() == 0 && nftw(path, give_one, 16, FTW_PHYS | FTW_MOUNT) != 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* After the change of user: better a sentence now than a file that cannot be written later. */
static int writable_check(const char *path, struct err *err)
{
	if (access(path, W_OK | X_OK) < 0)
		return err_set(err, errno, "user %u cannot write to %s: %s", geteuid(), path,
			strerror(errno));
	return 0;
}

static int parent_writable_check(const char *path, struct err *err)
{
	char copy[4096];

	snprintf(copy, sizeof(copy), "%s", path);
	return writable_check(dirname(copy), err);
}

static uint64_t caps_needed(const struct gateway_config *c)
{
	for (uint32_t i = 0; i < c->ports_count; i++)
		if (c->ports[i].profile == PORT_AF_PACKET)
			return PRIVS_CAP(CAP_NET_ADMIN); /* nft; the sockets are open already */
	return 0;
}

static bool has_log_file(const struct gateway_config *c)
{
	return c->log_path != NULL && c->log_path[0] == '/';
}

static int folders_prepare(const struct gateway_config *c, const struct privs_user *u,
	struct err *err)
{
	int rc = folder_make(c->state_directory, u, err);

	if (rc == 0)
		rc = state_own(c->state_directory, u, err);
	if (rc == 0)
		rc = parent_make(c->url + strlen("ipc://"), u, err);
	if (rc == 0 && has_log_file(c))
		rc = parent_make(c->log_path, u, err);
	return rc;
}

static int folders_check(const struct gateway_config *c, struct err *err)
{
	int rc = writable_check(c->state_directory, err);

	if (rc == 0)
		rc = parent_writable_check(c->url + strlen("ipc://"), err);
	if (rc == 0 && has_log_file(c) && access(c->log_path, W_OK) < 0)
		rc = parent_writable_check(c->log_path, err);
	return rc;
}

int identity_take(const struct gateway_config *c, struct err *err)
{
	bool root = geteuid() == 0; /* else who started us has decided what we may do */
	struct privs_user u;
	int rc = user_choose(c, &u, err);

	if (rc == 0)
		rc = folders_prepare(c, &u, err);
	if (rc == 0 && root)
		rc = privs_drop(&u, caps_needed(c), err);
#ifdef SLUICE_DEBUG
	/* a change of user forbids core files and the leak checker's ptrace */
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
#endif
	if (rc == 0 && root)
		rc = threads_check(&u, caps_needed(c), err);
	return rc < 0 ? rc : folders_check(c, err);
}
