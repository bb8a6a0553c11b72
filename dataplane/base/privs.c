// SPDX-License-Identifier: Apache-2.0
/*
 * privs.c: groups, then group, then user, then capabilities, then a proof that none of it can be
 * undone. capset(2) directly: there is no more to it than libcap would add. Order: setuid(2),
 * credentials(7), capabilities(7).
 */
#include "dataplane/base/privs.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "dataplane/base/str.h"

#define CAP_BITS_MAX 64

/* A core file would hold other people's requests. The leak checker, though, traces its process. */
#if defined(__SANITIZE_ADDRESS__)
#define DUMPABLE 1
#elif defined(__has_feature)
#define DUMPABLE __has_feature(address_sanitizer)
#else
#define DUMPABLE 0
#endif

static bool parse_id(const char *s, uint32_t *ret)
{
	uint64_t v;

	/* (uid_t)-1 means "unchanged" to setresuid(2) */
	if (!str_to_u64(str_of(s), &v) || v >= UINT32_MAX)
		return false;
	*ret = (uint32_t)v;
	return true;
}

static int lookup_group(const char *group, gid_t *ret, struct err *err)
{
	const struct group *gr;

	if (parse_id(group, ret))
		return 0;
	gr = getgrnam(group);
	if (gr == NULL)
		return err_set(err, ENOENT, "group \"%s\" does not exist", group);
	*ret = gr->gr_gid;
	return 0;
}

int privs_lookup(const char *user, struct privs_user *ret, struct err *err)
{
	const struct passwd *pw;
	struct privs_user u;
	char name[128], *group;

	if (snprintf(name, sizeof(name), "%s", user) >= (int)sizeof(name))
		return err_set(err, EINVAL, "user name is too long");
	group = strchr(name, ':');
	if (group != NULL)
		*group++ = '\0';
	if (parse_id(name, &u.uid)) {
		pw = getpwuid(u.uid);
		u.gid = pw != NULL ? pw->pw_gid : (gid_t)u.uid;
	} else {
		pw = getpwnam(name);
		if (pw == NULL)
			return err_set(err, ENOENT, "user \"%s\" does not exist", name);
		u = (struct privs_user){pw->pw_uid, pw->pw_gid};
	}
	if (group != NULL && lookup_group(group, &u.gid, err) < 0)
		return -ENOENT;
	*ret = u;
	return 0;
}

static int caps_set(uint64_t keep, struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	for (int i = 0; i < 2; i++) {
		data[i].permitted = (uint32_t)(keep >> (32 * i));
		data[i].effective = data[i].permitted;
	}
	if (syscall(SYS_capset, &head, data) < 0)
		return err_set(err, errno, "capset: %s", strerror(errno));
	return 0;
}

/* Out of the bounding set, so that no program we might start could have them. */
static void caps_unbound(uint64_t keep)
{
	for (int cap = 0; cap < CAP_BITS_MAX; cap++)
		if (!(keep & PRIVS_CAP(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return; /* past the kernel's last capability, or not ours to drop */
}

static int become(const struct privs_user *u, struct err *err)
{
	if (setgroups(0, NULL) < 0)
		return err_set(err, errno, "setgroups: %s", strerror(errno));
	if (setresgid(u->gid, u->gid, u->gid) < 0)
		return err_set(err, errno, "setresgid %u: %s", u->gid, strerror(errno));
	if (setresuid(u->uid, u->uid, u->uid) < 0)
		return err_set(err, errno, "setresuid %u: %s", u->uid, strerror(errno));
	return 0;
}

int privs_drop(const struct privs_user *user, uint64_t keep, struct err *err)
{
	int rc;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, errno, "no_new_privs: %s", strerror(errno));
	if (geteuid() != 0)
		return 0;
	caps_unbound(keep);
	/* or the change of user would take all capabilities with it */
	if (keep != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_set(err, errno, "keepcaps: %s", strerror(errno));
	if (user != NULL && (rc = become(user, err)) < 0)
		return rc;
	rc = caps_set(keep, err);
	if (rc < 0)
		return rc;
	if (prctl(PR_SET_DUMPABLE, DUMPABLE, 0, 0, 0) < 0)
		return err_set(err, errno, "dumpable: %s", strerror(errno));
	if (user != NULL && user->uid != 0 && setresuid(-1, 0, -1) == 0)
		return err_set(err, EPERM, "root could be had back after it was given up");
	return 0;
}
