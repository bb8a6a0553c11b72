// SPDX-License-Identifier: Apache-2.0
/*
 * log.h: one line per fact, key=value, to standard error (journald takes it from there).
 *
 * Only the edges log (main, loops, agent, publish, api); libraries return a struct err. Never
 * called from a worker lcore: the packet path has counters and the access log's ring.
 *
 *	log_info("publish", "generation=%lu dataplane=%s", gen, name);
 *	-> 2026-11-21T09:00:00.123456Z level=info mod=publish generation=7 dataplane=dp0
 *
 * The caller quotes text that may hold blanks: msg=\"%s\". Control characters and line ends that
 * came in from outside are written as '?'.
 */
#pragma once

enum log_level {
	LOG_LEVEL_ERROR = 0,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

extern enum log_level log_level_max; /* default LOG_LEVEL_INFO */

/* "error", "warn", "info", "debug"; returns -1 on another word. */
int log_level_parse(const char *name);
void log_line(enum log_level level, const char *mod, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(mod, ...) log_line(LOG_LEVEL_ERROR, mod, __VA_ARGS__)
#define log_warn(mod, ...) log_line(LOG_LEVEL_WARN, mod, __VA_ARGS__)
#define log_info(mod, ...) log_line(LOG_LEVEL_INFO, mod, __VA_ARGS__)
#define log_debug(mod, ...) log_line(LOG_LEVEL_DEBUG, mod, __VA_ARGS__)
