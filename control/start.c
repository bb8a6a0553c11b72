// SPDX-License-Identifier: Apache-2.0
/*
 * start.c: from root to nobody in particular.
 *
 * As root: the state directory is made and given to the user we become, the API's socket is bound.
 * Then root is given up for good; control needs no capability at all. Only afterwards are threads
 * started (nng's), sockets to dataplanes dialled and manifests read.
 */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/control.h"
#include "dataplane/base/log.h"
#include "dataplane/base/privs.h"

#define USER_DEFAULT "sluice"
#define USER_FALLBACK "nobody"

static int pick_user(const struct control_config *cfg, struct privs_user *ret, struct err *err)
{
	if (cfg->user != NULL)
		return privs_lookup(cfg->user, ret, err);
	if (privs_lookup(USER_DEFAULT, ret, NULL) == 0)
		return 0;
	log_warn("start", "msg=\"there is no user %s, running as %s\"", USER_DEFAULT,
		USER_FALLBACK);
	return privs_lookup(USER_FALLBACK, ret, err);
}

/* mkdir -p; what is made belongs to us until somebody gives it away. */
static int make_dirs(const char *path, struct err *err)
{
	char part[4096];
	size_t len = strlen(path);

	if (len >= sizeof(part))
		return err_set(err, ENAMETOOLONG, "%s: too long", path);
	for (size_t i = 1; i <= len; i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, 0755) < 0 && errno != EEXIST)
			return err_set(err, errno, "%s: %s", part, strerror(errno));
	}
	return 0;
}

static struct privs_user give_to; /* nftw(3) has no argument for it */

static int give_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	/* a second name of a file might stand where it is not ours to give */
	if (st->st_uid != 0 || (S_ISREG(st->st_mode) && st->st_nlink > 1))
		return 0;
	return lchown(path, give_to.uid, give_to.gid);
}

static int own_state_dir(const char *path, const struct privs_user *user, struct err *err)
{
	give_to = *user;
	if (nftw(path, give_one, 16, FTW_PHYS | FTW_MOUNT) != 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

static int make_socket_dir(const char *socket, const struct privs_user *user, struct err *err)
{
	char dir[4096], *slash;
	struct stat st;
	int rc;

	snprintf(dir, sizeof(dir), "%s", socket);
	slash = strrchr(dir, '/');
	if (slash == NULL || slash == dir)
		return 0;
	*slash = '\0';
	if (stat(dir, &st) == 0)
		return 0; /* somebody has arranged it */
	rc = make_dirs(dir, err);
	if (rc == 0 && user != NULL && lchown(dir, user->uid, user->gid) < 0)
		rc = err_set(err, errno, "%s: %s", dir, strerror(errno));
	return rc;
}

static mode_t mode_parse(struct str octal)
{
	mode_t mode = 0;

	for (size_t i = 0; i < octal.len; i++)
		mode = (mode << 3) | (mode_t)(octal.p[i] - '0');
	return mode;
}

static int open_server(struct control *c, const struct privs_user *user, struct err *err)
{
	const struct server_options opt = {
		.socket = c->config->api_socket,
		.mode = mode_parse(c->config->api_mode),
		.uid = user != NULL ? user->uid : (uid_t)-1,
		.gid = user != NULL ? user->gid : (gid_t)-1,
	};

	return server_open(c->loop, &opt, &c->source, &c->server, err);
}

int control_enter(struct control *c, struct err *err)
{
	struct privs_user user, *who = NULL;
	int rc;

	umask(027);
	if (geteuid() == 0) {
		rc = pick_user(c->config, &user, err);
		if (rc < 0)
			return rc;
		who = &user;
	}
	rc = make_dirs(c->config->state_directory, err);
	if (rc == 0 && who != NULL)
		rc = own_state_dir(c->config->state_directory, who, err);
	if (rc == 0)
		rc = make_socket_dir(c->config->api_socket, who, err);
	if (rc == 0)
		rc = open_server(c, who, err);
	if (rc == 0)
		rc = privs_drop(who, 0, err);
	return rc;
}
