// SPDX-License-Identifier: Apache-2.0
/*
 * process_test.c: what a process tells its service manager, and that root once given up is gone.
 * Each case runs in a child, so that neither environment nor identity of the test changes.
 */
#include <errno.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "dataplane/base/privs.h"
#include "dataplane/base/sd_notify.h"
#include "tests/unit/skip.h"

#define NOBODY 65534

/* The child says what went wrong by its exit status; 0 is success. */
static int run_child(int (*fn)(void))
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0)
		_exit(fn());
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static void notify_reaches_an_abstract_socket(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char name[64], buf[64];
	ssize_t n;

	snprintf(name, sizeof(name), "@sluice-test-%d", getpid());
	memcpy(a.sun_path + 1, name + 1, strlen(name) - 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
					 strlen(name))),
		0);
	setenv("NOTIFY_SOCKET", name, 1);
	assert_true(sd_notify_send("READY=1\nSTATUS=generation %d", 7));
	unsetenv("NOTIFY_SOCKET");
	n = recv(fd, buf, sizeof(buf) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	buf[n] = '\0';
	assert_string_equal(buf, "READY=1\nSTATUS=generation 7");
	close(fd);
}

static void notify_without_a_manager_is_a_cheap_no(void **state)
{
	unsetenv("NOTIFY_SOCKET");
	assert_false(sd_notify_send("READY=1"));
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_false(sd_notify_send("READY=1"));
	unsetenv("NOTIFY_SOCKET");
}

static void watchdog_of_another_process_is_not_ours(void **state)
{
	char pid[16];

	setenv("WATCHDOG_USEC", "10000000", 1);
	unsetenv("WATCHDOG_PID");
	assert_int_equal(sd_notify_watchdog_us(), 10000000);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(sd_notify_watchdog_us(), 0);
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(sd_notify_watchdog_us(), 10000000);
	setenv("WATCHDOG_USEC", "soon", 1);
	assert_int_equal(sd_notify_watchdog_us(), 0);
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

static void lookup_knows_names_and_numbers(void **state)
{
	struct privs_user u;
	struct err err;

	assert_int_equal(privs_lookup("root", &u, NULL), 0);
	assert_int_equal(u.uid, 0);
	assert_int_equal(privs_lookup("990:991", &u, NULL), 0);
	assert_int_equal(u.uid, 990);
	assert_int_equal(u.gid, 991);
	assert_int_equal(privs_lookup("no-such-user", &u, &err), -ENOENT);
	assert_string_equal(err.msg, "user \"no-such-user\" does not exist");
	assert_true(privs_lookup("4294967295", &u, &err) < 0);
}

static uint64_t caps_now(void)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {0};

	if (syscall(SYS_capget, &head, d) < 0)
		return UINT64_MAX;
	return d[0].permitted | d[0].effective | (uint64_t)(d[1].permitted | d[1].effective) << 32;
}

static int drop_everything(void)
{
	const struct privs_user nobody = {NOBODY, NOBODY};

	if (privs_drop(&nobody, 0, NULL) != 0)
		return 1;
	if (getuid() != NOBODY || geteuid() != NOBODY || getegid() != NOBODY)
		return 2;
	if (caps_now() != 0)
		return 3;
	if (setuid(0) == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 4;
	return 0;
}

static int drop_all_but_net_admin(void)
{
	const struct privs_user nobody = {NOBODY, NOBODY};

	if (privs_drop(&nobody, PRIVS_CAP(CAP_NET_ADMIN), NULL) != 0)
		return 1;
	return caps_now() == PRIVS_CAP(CAP_NET_ADMIN) && getuid() == NOBODY ? 0 : 2;
}

static void root_given_up_is_gone(void **state)
{
	if (geteuid() != 0)
		skip_needs("root");
	assert_int_equal(run_child(drop_everything), 0);
}

static void only_the_named_capability_stays(void **state)
{
	if (geteuid() != 0 || !(caps_now() & PRIVS_CAP(CAP_NET_ADMIN)))
		skip_needs("root with CAP_NET_ADMIN");
	assert_int_equal(run_child(drop_all_but_net_admin), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(notify_reaches_an_abstract_socket),
		cmocka_unit_test(notify_without_a_manager_is_a_cheap_no),
		cmocka_unit_test(watchdog_of_another_process_is_not_ours),
		cmocka_unit_test(lookup_knows_names_and_numbers),
		cmocka_unit_test(root_given_up_is_gone),
		cmocka_unit_test(only_the_named_capability_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
