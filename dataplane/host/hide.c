// SPDX-License-Identifier: Apache-2.0
/*
 * hide.c: nftables rules by nft(8), fed with a script on its standard input.
 */
#include "dataplane/host/hide.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"

/* nft names start with a letter and know fewer characters than netdevs. */
static void table_name(const char *iface, char *buf, size_t size)
{
	snprintf(buf, size, "sluice_%s", iface);
	for (char *p = buf; *p != '\0'; p++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", *p) ==
			NULL)
			*p = '_';
}

static void set_write(FILE *f, const char *name, const char *type, bool v4,
	const struct ip_addr *addrs, unsigned count)
{
	char text[IP_ADDR_STRLEN];
	unsigned n = 0;

	fprintf(f, "\tset %s {\n\t\ttype %s;\n", name, type);
	for (unsigned i = 0; i < count; i++) {
		if (ip_is_v4(&addrs[i]) != v4)
			continue;
		fprintf(f, "%s%s", n++ == 0 ? "\t\telements = { " : ", ",
			ip_format(&addrs[i], text));
	}
	fprintf(f, "%s\t}\n", n > 0 ? " }\n" : "");
}

char *hide_script(const char *iface, const struct ip_addr *addrs, unsigned count)
{
	char table[64], *script = NULL;
	size_t len;
	FILE *f = open_memstream(&script, &len);

	bug_on(f == NULL);
	table_name(iface, table, sizeof(table));
	/* made if missing, so that deleting it cannot fail */
	fprintf(f, "table netdev %s\ndelete table netdev %s\ntable netdev %s {\n", table, table,
		table);
	set_write(f, "own4", "ipv4_addr", true, addrs, count);
	set_write(f, "own6", "ipv6_addr", false, addrs, count);
	fprintf(f,
		"\tchain ingress {\n"
		"\t\ttype filter hook ingress device \"%s\" priority -500; policy accept;\n"
		"\t\tip daddr @own4 counter drop\n"
		"\t\tip6 daddr @own6 counter drop\n"
		"\t\tarp daddr ip @own4 counter drop\n"
		"\t}\n}\n",
		iface);
	fclose(f);
	return script;
}

/* All of <text> into <fd>; a reader that went away early will say why with its exit code. */
static void feed(int fd, const char *text)
{
	size_t len = strlen(text), done = 0;

	while (done < len) {
		ssize_t n = write(fd, text + done, len - done);

		if (n < 0 && errno != EINTR)
			return;
		done += n > 0 ? (size_t)n : 0;
	}
}

static int nft_spawn(pid_t *ret_pid, int in, int out, struct err *err)
{
	char *argv[] = {"nft", "-f", "-", NULL};
	char *envp[] = {"PATH=/usr/sbin:/sbin:/usr/bin:/bin", "LC_ALL=C", NULL};
	static const char *const places[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"};
	posix_spawn_file_actions_t fa;
	posix_spawnattr_t attr;
	sigset_t none;
	int rc = ENOENT;

	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, in, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&fa, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&fa, out, STDERR_FILENO);
	for (unsigned i = 0; i < 3 && rc == ENOENT; i++)
		rc = posix_spawn(ret_pid, places[i], &fa, &attr, argv, envp);
	posix_spawn_file_actions_destroy(&fa);
	posix_spawnattr_destroy(&attr);
	return rc == 0 ? 0 : err_set(err, rc, "nft: %s", strerror(rc));
}

/* What nft has to say goes to <out>, a temporary file, so that no pipe of its can fill up. */
static int nft_run(const char *script, struct err *err)
{
	autofclose FILE *out = tmpfile();
	char said[256] = "";
	int fds[2], status = 0, rc;
	pid_t pid;

	if (out == NULL || pipe2(fds, O_CLOEXEC) < 0)
		return err_set(err, errno, "nft: %s", strerror(errno));
	rc = nft_spawn(&pid, fds[0], fileno(out), err);
	close(fds[0]);
	if (rc == 0)
		feed(fds[1], script);
	close(fds[1]);
	if (rc < 0)
		return rc;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	rewind(out);
	if (fgets(said, sizeof(said), out) != NULL)
		said[strcspn(said, "\n")] = '\0';
	return err_set(err, EIO, "nft ended with %d: %s",
		WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), said);
}

int hide_set(const char *iface, const struct ip_addr *addrs, unsigned count, struct err *err)
{
	autofree char *script = hide_script(iface, addrs, count);

	return nft_run(script, err);
}

int hide_clear(const char *iface, struct err *err)
{
	char table[64], script[256];

	table_name(iface, table, sizeof(table));
	snprintf(script, sizeof(script), "table netdev %s\ndelete table netdev %s\n", table, table);
	return nft_run(script, err);
}

int hide_allow(struct err *err)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	if (geteuid() == 0)
		return 0;
	/* ambient capabilities must be permitted and inheritable first: capabilities(7) */
	if (syscall(SYS_capget, &head, data) < 0)
		return err_set(err, errno, "capget: %s", strerror(errno));
	data[0].inheritable |= 1u << CAP_NET_ADMIN;
	if (syscall(SYS_capset, &head, data) < 0 ||
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_ADMIN, 0, 0) < 0)
		return err_set(err, errno, "CAP_NET_ADMIN for nft: %s", strerror(errno));
	return 0;
}
