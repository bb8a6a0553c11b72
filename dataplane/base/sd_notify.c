// SPDX-License-Identifier: Apache-2.0
/*
 * sd_notify.c: one datagram per message to the socket named in the environment.
 */
#include "dataplane/base/sd_notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "dataplane/base/str.h"

/* "/path" or "@abstract"; 0 when the name is none of these or too long. */
static socklen_t notify_addr(const char *name, struct sockaddr_un *ret)
{
	size_t len = strlen(name);

	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof(ret->sun_path))
		return 0;
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	memcpy(ret->sun_path, name, len);
	if (name[0] == '@')
		ret->sun_path[0] = '\0';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

bool sd_notify_send(const char *fmt, ...)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr;
	socklen_t addr_len;
	char msg[1024];
	va_list ap;
	ssize_t n;
	int fd;

	if (name == NULL || (addr_len = notify_addr(name, &addr)) == 0)
		return false;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	n = sendto(fd, msg, strlen(msg), MSG_DONTWAIT | MSG_NOSIGNAL,
		(const struct sockaddr *)&addr, addr_len);
	close(fd);
	return n > 0;
}

uint64_t sd_notify_watchdog_us(void)
{
	const char *pid = getenv("WATCHDOG_PID"), *usec = getenv("WATCHDOG_USEC");
	uint64_t v;

	if (usec == NULL || !str_to_u64(str_of(usec), &v))
		return 0;
	/* sd_watchdog_enabled(3): the variables may be meant for our parent */
	if (pid != NULL) {
		uint64_t p;

		if (!str_to_u64(str_of(pid), &p) || p != (uint64_t)getpid())
			return 0;
	}
	return v;
}
