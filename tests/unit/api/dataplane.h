// SPDX-License-Identifier: Apache-2.0
/*
 * dataplane.h: a dataplane without packets: the real agent, on a real link, over no workers, with
 * verbs that answer what a test expects. The verb "conns" with worker 7 answers too late.
 */
#pragma once

struct dataplane;

/* <dir> exists and is ours; the link's URL is ipc://<dir>/dp0.ipc. */
struct dataplane *dataplane_start(const char *dir);
void dataplane_stop(struct dataplane *d);
