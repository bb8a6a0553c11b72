// SPDX-License-Identifier: Apache-2.0
/*
 * eal_start.c: what DPDK is told about memory, cores and devices.
 *
 * Memory: hugepages without files (--in-memory), so that a crash leaves none behind, when enough
 * are free; else ordinary memory (--no-huge), which all ports but NICs can use. Devices are added
 * by port.c one by one, so that an error names the port. Each instance has a file prefix of its own.
 */
#include "dataplane/eal_start.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_eal.h>
#include <rte_errno.h>

#include "dataplane/base/cleanup.h"
#include "dataplane/base/log.h"
#include "dataplane/gateway_config.h"

#define ARGS_MAX 32
#define HUGE_FOLDER "/sys/kernel/mm/hugepages"
#define PACKET_OVERHEAD 1024 /* mbuf, private area, headroom, pool header, rounding; generous */
#define OTHER_MB 64	     /* rings, drivers, DPDK's own */

struct args {
	char *v[ARGS_MAX]; /* owned by the configuration's arena */
	int count;
};

static void arg_add(struct args *a, char *arg)
{
	bug_on(a->count == ARGS_MAX - 1);
	a->v[a->count++] = arg;
}

static uint64_t number_read(const char *path)
{
	autofclose FILE *f = fopen(path, "r");
	unsigned long n = 0;

	if (f == NULL || fscanf(f, "%lu", &n) != 1)
		return 0;
	return n;
}

/* Megabytes of free hugepages of all sizes. */
static uint64_t huge_free_mb(void)
{
	DIR *d = opendir(HUGE_FOLDER);
	struct dirent *e;
	uint64_t mb = 0;

	while (d != NULL && (e = readdir(d)) != NULL) {
		unsigned long kb;
		char path[512];

		if (sscanf(e->d_name, "hugepages-%lukB", &kb) != 1)
			continue;
		snprintf(path, sizeof(path), HUGE_FOLDER "/%s/free_hugepages", e->d_name);
		mb += number_read(path) * kb / 1024;
	}
	if (d != NULL)
		closedir(d);
	return mb;
}

/* Is a port's peer shown our packet pools themselves? It takes few files, not one per page. */
static bool has_shared_pools(const struct gateway_config *c)
{
	for (uint32_t i = 0; i < c->ports_count; i++)
		if (c->ports[i].profile == PORT_VIRTIO_USER)
			return true;
	return false;
}

static int memory_args(struct arena *m, const struct gateway_config *c, unsigned mtu,
	struct args *a, struct err *err)
{
	uint64_t frame = mtu + PACKET_OVERHEAD < 4096 ? 4096 : 2 * (mtu + PACKET_OVERHEAD);
	uint64_t need = (uint64_t)c->workers_count * c->packets * frame / (1 << 20) + OTHER_MB;
	uint64_t have = huge_free_mb();

	arg_add(a, "--iova-mode=va");
	if (has_shared_pools(c))
		arg_add(a, "--single-file-segments");
	if (c->hugepages == 0 && have >= need) {
		arg_add(a, "--in-memory");
		return 0;
	}
	if (gateway_config_has(c, PORT_PCI))
		return err_set(err, ENOMEM,
			"a port of profile pci needs %lu MB of hugepages, %lu are free", need,
			c->hugepages == 0 ? have : 0);
	if (c->hugepages == 0 && have > 0)
		log_warn("main", "need_mb=%lu free_mb=%lu msg=\"too few hugepages\"", need, have);
	arg_add(a, "--no-huge");
	arg_add(a, "-m");
	arg_add(a, arena_printf(m, "%lu", need));
	arg_add(a, "--no-shconf");
	arg_add(a, "--no-telemetry"); /* its socket's folder is not made by --no-shconf */
	return 0;
}

/* "(0,2-3)" in EAL's words: every CPU that we may use. */
static char *cpus_text(struct arena *m, const cpu_set_t *cpus)
{
	char *text = "";

	for (unsigned i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, cpus))
			text = arena_printf(m, "%s%s%u", text, *text ? "," : "", i);
	return arena_printf(m, "(%s)", text);
}

static int lcore_args(struct arena *m, const struct gateway_config *c, const cpu_set_t *allowed,
	struct args *a, struct err *err)
{
	char *all = cpus_text(m, allowed), *lcores = arena_printf(m, "0@%s", all);

	for (uint32_t i = 0; i < c->workers_count; i++) {
		if (c->cpus_count == 0) {
			lcores = arena_printf(m, "%s,%u@%s", lcores, i + 1, all);
			continue;
		}
		if (!CPU_ISSET(c->cpus[i % c->cpus_count], allowed))
			return err_set(err, EINVAL, "workers.cpus: CPU %u is not ours to use",
				c->cpus[i % c->cpus_count]);
		lcores = arena_printf(m, "%s,%u@%u", lcores, i + 1, c->cpus[i % c->cpus_count]);
	}
	arg_add(a, "--lcores");
	arg_add(a, lcores);
	return 0;
}

static void device_args(struct arena *m, const struct gateway_config *c, struct args *a)
{
	if (!gateway_config_has(c, PORT_PCI))
		arg_add(a, "--no-pci");
	for (uint32_t i = 0; i < c->ports_count; i++)
		if (c->ports[i].profile == PORT_PCI)
			arg_add(a, arena_printf(m, "--allow=%.*s", STR_FMT(c->ports[i].pci)));
}

/* All CPUs but those that workers have for themselves; all, when nothing would be left. */
static void housekeeping(const struct gateway_config *c, const cpu_set_t *allowed, cpu_set_t *ret)
{
	*ret = *allowed;
	for (uint32_t i = 0; i < c->workers_count && c->cpus_count > 0; i++)
		CPU_CLR(c->cpus[i % c->cpus_count], ret);
	if (CPU_COUNT(ret) == 0)
		*ret = *allowed;
}

int eal_start(const struct gateway_config *c, unsigned mtu, cpu_set_t *ret_cpus, struct err *err)
{
	struct args a = {.count = 0};
	cpu_set_t allowed;
	struct arena m;
	int rc;

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return err_set(err, errno, "CPU affinity: %s", strerror(errno));
	arena_init(&m, 0);
	arg_add(&a, "sluice-dataplane");
	arg_add(&a, arena_printf(&m, "--file-prefix=sluice-%.*s", STR_FMT(c->name)));
	arg_add(&a, "--log-level=warning");
	rc = memory_args(&m, c, mtu, &a, err);
	if (rc == 0)
		rc = lcore_args(&m, c, &allowed, &a, err);
	device_args(&m, c, &a);
	if (rc == 0 && rte_eal_init(a.count, a.v) < 0)
		rc = err_set(err, rte_errno, "DPDK did not start: %s", rte_strerror(rte_errno));
	arena_fini(&m); /* EAL has copied what it keeps */
	housekeeping(c, &allowed, ret_cpus);
	if (rc == 0)
		sched_setaffinity(0, sizeof(*ret_cpus), ret_cpus);
	return rc;
}
