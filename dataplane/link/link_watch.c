// SPDX-License-Identifier: Apache-2.0
/*
 * link_watch.c: a file that is ours, behind which somebody greets.
 */
#include "dataplane/link/link_watch.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/link/link.h"

#define GREETING_BYTES 8u /* "\0SP\0", protocol, zero: both ends of an SP connection start so */

static const char *path_of(const char *url)
{
	return url + strlen("ipc://");
}

void link_watch_init(struct link_watch *w)
{
	*w = (struct link_watch){.probe = -1};
}

void link_watch_fini(struct link_watch *w)
{
	if (w->probe >= 0)
		close(w->probe);
	w->probe = -1;
}

void link_watch_listening(struct link_watch *w, const char *url)
{
	struct stat st;

	if (lstat(path_of(url), &st) != 0)
		return;
	w->dev = st.st_dev;
	w->ino = st.st_ino;
}

void link_watch_reset(struct link_watch *w, uint64_t now_us)
{
	link_watch_fini(w);
	w->since_us = now_us;
}

static bool file_is_ours(const struct link_watch *w, const char *url)
{
	struct stat st;

	return lstat(path_of(url), &st) == 0 && st.st_dev == w->dev && st.st_ino == w->ino;
}

/* A full backlog counts as reachable: somebody is knocking, and accept goes on or will be missed. */
static void probe_start(struct link_watch *w, const char *url)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path_of(url));
	w->probe = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (w->probe >= 0 && connect(w->probe, (struct sockaddr *)&sa, sizeof(sa)) != 0)
		link_watch_fini(w);
}

bool link_watch_is_reachable(struct link_watch *w, const char *url, uint64_t now_us)
{
	char greeting[GREETING_BYTES];
	ssize_t n;

	if (w->since_us == 0)
		w->since_us = now_us;
	if (now_us - w->since_us < LINK_CHECK_US)
		return true;
	if (!file_is_ours(w, url))
		return false;
	if (w->probe < 0) {
		probe_start(w, url);
		return true;
	}
	n = recv(w->probe, greeting, sizeof(greeting), MSG_DONTWAIT);
	link_watch_reset(w, now_us);
	return n > 0;
}
