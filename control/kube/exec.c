// SPDX-License-Identifier: Apache-2.0
/*
 * exec.c: posix_spawn, two pipes and a pidfd on the loop.
 *
 * The end of the program is what counts, not the end of its output: a child that it left behind
 * may hold the pipe. Reference: client-go plugin/pkg/client/auth/exec/exec.go.
 */
#include "control/kube/exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"

#define EXEC_ENV_MAX 1024u

struct exec_pipe {
	struct loop_fd in;
	struct exec *exec;
	char *p; /* owned */
	size_t len, max;
	bool over;
};

struct exec {
	struct loop *loop;
	const struct kubeconfig *k;
	exec_done_fn done;
	void *arg;
	pid_t pid;
	struct loop_fd ended; /* pidfd */
	struct exec_pipe out, complaint;
	struct loop_timer limit;
};

/* --- ending --- */

static void pipe_close(struct exec *x, struct exec_pipe *p)
{
	loop_fd_remove(x->loop, &p->in);
	if (p->in.fd >= 0)
		close(p->in.fd);
	p->in.fd = -1;
}

static void exec_free(struct exec *x)
{
	pipe_close(x, &x->out);
	pipe_close(x, &x->complaint);
	loop_fd_remove(x->loop, &x->ended);
	if (x->ended.fd >= 0)
		close(x->ended.fd);
	loop_timer_stop(&x->limit);
	free(x->out.p);
	free(x->complaint.p);
	free(x);
}

/* The whole group, and then the program is waited for: nothing of it stays. */
static int exec_reap(struct exec *x)
{
	int status = 0;

	kill(-x->pid, SIGKILL);
	while (waitpid(x->pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

void exec_cancel(struct exec *x)
{
	if (x == NULL)
		return;
	exec_reap(x);
	exec_free(x);
}

static void finish(struct exec *x, struct exec_result *r, const char *why)
{
	exec_done_fn done = x->done;
	void *arg = x->arg;

	exec_free(x);
	done(arg, r, why);
	if (r != NULL)
		exec_result_fini(r);
}

static void fail(struct exec *x, const char *what)
{
	struct str said = str_make(x->complaint.p, x->complaint.len);
	struct err err;

	while (said.len && (unsigned char)said.p[said.len - 1] <= ' ')
		said.len--;
	err_set(&err, EIO, "%s: %s%s%.*s%s%s", x->k->user.exec->command, what, said.len ? ": " : "",
		STR_FMT(said), x->k->user.exec->install_hint ? ". " : "",
		x->k->user.exec->install_hint ? x->k->user.exec->install_hint : "");
	finish(x, NULL, err.msg);
}

static void on_limit(void *arg)
{
	struct exec *x = arg;

	exec_reap(x);
	fail(x, "gave no credential within 30 s");
}

/* --- reading --- */

static void pipe_read(struct exec_pipe *p)
{
	char buf[16384];
	ssize_t n;

	while ((n = read(p->in.fd, buf, sizeof(buf))) > 0) {
		size_t room = p->max - p->len, take = (size_t)n < room ? (size_t)n : room;

		p->over |= take < (size_t)n;
		p->p = realloc(p->p, p->len + take + 1);
		bug_on(p->p == NULL);
		memcpy(p->p + p->len, buf, take);
		p->len += take;
		if (p->over)
			return;
	}
	if (n == 0)
		loop_fd_remove(p->exec->loop, &p->in);
}

static void on_output(void *arg, uint32_t events)
{
	struct exec_pipe *p = arg;

	pipe_read(p);
	if (!p->over)
		return;
	if (p == &p->exec->complaint) { /* the beginning is enough, but it must not block */
		p->over = false;
		return;
	}
	exec_reap(p->exec);
	fail(p->exec, "printed more than 1 MiB");
}

static void on_ended(void *arg, uint32_t events)
{
	struct exec *x = arg;
	struct exec_result r;
	struct err err;
	int status = exec_reap(x); /* its own end stands; what it left behind ends too */

	if (x->out.in.active)
		pipe_read(&x->out);
	if (x->complaint.in.active)
		pipe_read(&x->complaint);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		char what[64];

		snprintf(what, sizeof(what), WIFEXITED(status) ? "exit code %d" : "signal %d",
			WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
		fail(x, what);
	} else if (exec_parse(str_make(x->out.p, x->out.len), x->k->user.exec->api_version, &r,
			   &err) < 0) {
		fail(x, err.msg);
	} else {
		finish(x, &r, "");
	}
}

/* --- starting --- */

static char *env_entry(const char *name, const char *value)
{
	char *s;

	bug_on(asprintf(&s, "%s=%s", name, value) < 0);
	return s;
}

/* Ours, then the kubeconfig's, then the protocol's: the last one of a name counts. */
static void env_set(char **env, size_t *count, char *entry)
{
	size_t name = strcspn(entry, "=") + 1;

	for (size_t i = 0; i < *count; i++)
		if (strncmp(env[i], entry, name) == 0) {
			free(env[i]);
			env[i] = entry;
			return;
		}
	if (*count < EXEC_ENV_MAX)
		env[(*count)++] = entry;
	else
		free(entry);
}

static char **env_new(const struct kubeconfig *k)
{
	const struct kubeconfig_exec *e = k->user.exec;
	char **env = calloc(EXEC_ENV_MAX + 1, sizeof(*env));
	autofree char *info = exec_info(k);
	size_t n = 0;

	bug_on(env == NULL);
	for (char **v = environ; *v != NULL && n < EXEC_ENV_MAX - 300; v++)
		env_set(env, &n, strdup(*v));
	for (uint32_t i = 0; i < e->env_count; i++)
		env_set(env, &n, env_entry(e->env[i].name, e->env[i].value));
	env_set(env, &n, env_entry("KUBERNETES_EXEC_INFO", info));
	return env;
}

static void env_free(char **env)
{
	for (char **v = env; *v != NULL; v++)
		free(*v);
	free(env);
}

static int spawn(struct exec *x, int out, int complaint)
{
	const struct kubeconfig_exec *e = x->k->user.exec;
	const char *argv[260] = {e->path};
	char **env = env_new(x->k);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int rc;

	for (uint32_t i = 0; i < e->args_count; i++)
		argv[i + 1] = e->args[i];
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, out, 1);
	posix_spawn_file_actions_adddup2(&actions, complaint, 2);
	posix_spawn_file_actions_addclosefrom_np(&actions, 3);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr,
		POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETPGROUP);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	rc = posix_spawnp(&x->pid, e->path, &actions, &attr, (char *const *)argv, env);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&actions);
	env_free(env);
	return rc;
}

static int pipe_open(struct exec *x, struct exec_pipe *p, size_t max, int *ret_write)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	/* only our end: the program's must block, or it would lose what does not fit */
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	p->in = (struct loop_fd){.fd = fds[0], .fn = on_output, .arg = p};
	p->exec = x;
	p->max = max;
	*ret_write = fds[1];
	return 0;
}

static int listen_to(struct exec *x, struct err *err)
{
	int rc;

	x->ended = (struct loop_fd){.fd = (int)syscall(SYS_pidfd_open, x->pid, 0),
		.fn = on_ended,
		.arg = x};
	if (x->ended.fd < 0)
		return err_set(err, errno, "pidfd_open: %s", strerror(errno));
	fcntl(x->ended.fd, F_SETFD, FD_CLOEXEC);
	rc = loop_fd_add(x->loop, &x->ended, EPOLLIN, err);
	if (rc == 0)
		rc = loop_fd_add(x->loop, &x->out.in, EPOLLIN, err);
	if (rc == 0)
		rc = loop_fd_add(x->loop, &x->complaint.in, EPOLLIN, err);
	loop_timer_set(x->loop, &x->limit, EXEC_LIMIT_US);
	return rc;
}

int exec_start(struct loop *loop, const struct kubeconfig *k, exec_done_fn done, void *arg,
	struct exec **ret, struct err *err)
{
	struct exec *x = calloc(1, sizeof(*x));
	int out = -1, complaint = -1, rc;

	bug_on(x == NULL);
	*x = (struct exec){.loop = loop, .k = k, .done = done, .arg = arg};
	x->ended.fd = x->out.in.fd = x->complaint.in.fd = -1;
	loop_timer_init(&x->limit, on_limit, x);
	rc = pipe_open(x, &x->out, EXEC_OUTPUT_MAX, &out);
	if (rc == 0)
		rc = pipe_open(x, &x->complaint, EXEC_COMPLAINT_MAX, &complaint);
	if (rc == 0)
		rc = -spawn(x, out, complaint);
	if (out >= 0)
		close(out);
	if (complaint >= 0)
		close(complaint);
	if (rc < 0) {
		exec_free(x);
		return err_set(err, -rc, "%s: %s", k->user.exec->command, strerror(-rc));
	}
	rc = listen_to(x, err);
	if (rc < 0) {
		exec_cancel(x);
		return rc;
	}
	*ret = x;
	return 0;
}
