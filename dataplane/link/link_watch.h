// SPDX-License-Identifier: Apache-2.0
/*
 * link_watch.h: can a listening socket still be reached?
 *
 * Knocks on our own door without waiting: connect in one call, look in the next (a second later)
 * whether nng has said its greeting. Guards against a removed or replaced socket file and against
 * an accept loop that ended (nng issue 1518, fixed after 1.5.2).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct link_watch {
	uint64_t since_us; /* alone since; 0: not yet known */
	int probe;	   /* connection to ourselves on its way, or -1 */
	dev_t dev;	   /* of our socket file */
	ino_t ino;
};

void link_watch_init(struct link_watch *w);
void link_watch_fini(struct link_watch *w);
/* Remembers which file is ours. */
void link_watch_listening(struct link_watch *w, const char *url);
/* Somebody is connected. */
void link_watch_reset(struct link_watch *w, uint64_t now_us);
/* Nobody is; false: nobody can be. */
bool link_watch_is_reachable(struct link_watch *w, const char *url, uint64_t now_us);
