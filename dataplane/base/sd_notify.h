// SPDX-License-Identifier: Apache-2.0
/*
 * sd_notify.h: tells the service manager how we are, without libsystemd.
 *
 *	sd_notify_send("READY=1\nSTATUS=generation %lu applied", gen);
 *
 * Without $NOTIFY_SOCKET every call is a cheap no. Protocol: sd_notify(3), systemd 252.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* True when the message went out. Never blocks: a full socket loses the message. */
bool sd_notify_send(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/*
 * The interval that WatchdogSec= asks for, in microseconds; 0: none wanted of this process. Send
 * "WATCHDOG=1" at half of it.
 */
uint64_t sd_notify_watchdog_us(void);
