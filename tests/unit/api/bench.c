// SPDX-License-Identifier: Apache-2.0
/*
 * bench.c: see bench.h.
 */
#include "tests/unit/api/bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "dataplane/base/clock.h"
#include "dataplane/base/str.h"

#define PATIENCE_US 10000000u /* sanitizers on a busy machine */

extern char **environ;

struct bench bench;

/* --- files and processes --- */

const char *in_dir(const char *name)
{
	static char path[4][300];
	static int n;

	n = (n + 1) % 4;
	snprintf(path[n], sizeof(path[n]), "%s/%s", bench.dir, name);
	return path[n];
}

void put(const char *name, const char *text)
{
	const char *tmp = in_dir("put.tmp");
	FILE *f = fopen(tmp, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(rename(tmp, in_dir(name)), 0);
}

pid_t spawn_control(const char *config)
{
	char exe[4200];
	char *argv[] = {exe, "-c", (char *)config, NULL};
	posix_spawn_file_actions_t fa;
	pid_t pid;

	snprintf(exe, sizeof(exe), "%s/sluice-control", bench.build);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 2, in_dir("control.log"),
		O_WRONLY | O_CREAT | O_APPEND, 0600);
	assert_int_equal(posix_spawn(&pid, exe, &fa, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&fa);
	return pid;
}

int wait_exit(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Runs a program of the build with its output in <out>; the exit status. */
int run(char *out, size_t size, const char *fmt, ...)
{
	char args[1000], cmd[6000];
	va_list ap;
	FILE *f;
	size_t n;
	int rc;

	va_start(ap, fmt);
	vsnprintf(args, sizeof(args), fmt, ap);
	va_end(ap);
	snprintf(cmd, sizeof(cmd), "%s/%s 2>&1", bench.build, args);
	f = popen(cmd, "r");
	assert_non_null(f);
	n = fread(out, 1, size - 1, f);
	out[n] = '\0';
	rc = pclose(f);
	return WIFEXITED(rc) ? WEXITSTATUS(rc) : 255;
}

/* --- one HTTP request --- */

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;

	if (a->len + size * n >= sizeof(a->body))
		return 0;
	memcpy(a->body + a->len, p, size * n);
	a->len += size * n;
	a->body[a->len] = '\0';
	return size * n;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct str line = str_trim(str_make(p, size * n)), name = str_cut(&line, ':');
	struct answer *a = arg;

	if (str_ieq(name, STR("etag")))
		snprintf(a->etag, sizeof(a->etag), "%.18s", str_trim(line).p);
	return size * n;
}

/* <header>, <body> may be NULL. */
void call(struct answer *a, const char *method, const char *path, const char *header,
	const char *body, size_t body_len)
{
	CURL *c = curl_easy_init();
	struct curl_slist *head = curl_slist_append(NULL, "Expect:");
	char *url;

	assert_true(asprintf(&url, "http://sluice%s", path) > 0);
	*a = (struct answer){0};
	if (header != NULL)
		head = curl_slist_append(head, header);
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, in_dir("run/control.sock"));
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, head);
	curl_easy_setopt(c, CURLOPT_NOBODY, strcmp(method, "HEAD") == 0 ? 1L : 0L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT, 20L);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, a);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, a);
	if (body != NULL) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)body_len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
	}
	if (curl_easy_perform(c) == CURLE_OK)
		curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &a->status);
	curl_slist_free_all(head);
	curl_easy_cleanup(c);
	free(url);
}

long get(const char *path)
{
	call(&bench.last, "GET", path, NULL, NULL, 0);
	return bench.last.status;
}

bool soon(bool (*fn)(const void *arg), const void *arg)
{
	uint64_t end = clock_mono_us() + PATIENCE_US;

	while (clock_mono_us() < end) {
		if (fn(arg))
			return true;
		usleep(2000);
	}
	return false;
}

void find_build(void)
{
	ssize_t n = readlink("/proc/self/exe", bench.build, sizeof(bench.build) - 1);

	assert_true(n > 0);
	bench.build[n] = '\0';
	for (int i = 0; i < 4; i++) /* tests/unit/api/control_test */
		*strrchr(bench.build, '/') = '\0';
}
