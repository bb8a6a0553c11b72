// SPDX-License-Identifier: Apache-2.0
/*
 * gen_main.c: bench_gen: builds the world, runs it, reports, takes it down again.
 */
#include "tests/bench/gen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>

#define HEAD_BUFFERS 4096
#define CONNS_SPARE (1u << 18) /* TIME_WAIT, and what lingers while its successor is open */

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	(void)sig;
	stop = 1;
}

static void signals_catch(void)
{
	struct sigaction sa = {.sa_handler = on_signal};

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* Ethernet and IP header as far as all packets of the run share it. */
static void template_make(struct gen *g)
{
	memset(g->l3, 0, sizeof(g->l3));
	/* without a gateway frames come back as they went out */
	memcpy(g->l3, g->cfg.direct ? g->link.mac : g->gateway_mac.addr_bytes, 6);
	memcpy(g->l3 + 6, g->link.mac, 6);
	if (g->v6) {
		be16_put(g->l3 + 12, 0x86dd);
		g->l3[14] = 0x60;
		g->l3[14 + 6] = 6;
		g->l3[14 + 7] = 64;
		return;
	}
	be16_put(g->l3 + 12, 0x0800);
	g->l3[14] = 0x45;
	g->l3[14 + 6] = 0x40; /* don't fragment; the identification may be 0 then (RFC 6864) */
	g->l3[14 + 8] = 64;
	g->l3[14 + 9] = 6;
	g->l3_sum = sum_fold(sum_short(g->l3 + 14, 20));
}

static void windows_set(struct gen *g)
{
	while ((g->cfg.window >> g->window_scale) > 65535)
		g->window_scale++;
	g->window = (uint16_t)(g->cfg.window >> g->window_scale);
}

static int world_make(struct gen *g, struct err *err)
{
	static const uint32_t mixed[MIXED_CLASSES] = {100, 10000, 1 << 20};
	struct gen_config *cfg = &g->cfg;

	g->v6 = !ip_is_v4(&cfg->vip);
	g->l3_len = g->v6 ? 40 : 20;
	g->key_len = g->v6 ? 36 : 12;
	g->mss = (uint16_t)(cfg->mtu - g->l3_len - 20);
	g->tsc_hz = rte_get_tsc_hz();
	g->tsc_start = rte_rdtsc();
	/* timestamps go on where the last run of this machine left them (RFC 6191) */
	g->ms_start = (uint32_t)(g->tsc_start / (g->tsc_hz / 1000));
	rng_secret(&g->hash_secret, sizeof(g->hash_secret));
	rng_seed(&g->rng, g->hash_secret ^ g->tsc_start);
	windows_set(g);
	body_init(&g->body);
	g->head_buffers = calloc(HEAD_BUFFERS, sizeof(struct head_buffer));
	if (g->head_buffers == NULL ||
		!conn_table_init(&g->conns, 2 * cfg->connections + CONNS_SPARE))
		return err_set(err, ENOMEM, "no memory for %u connections", cfg->connections);
	http_init(&g->http, &g->body, cfg->host, cfg->mixed ? mixed : &cfg->bytes,
		cfg->mixed ? MIXED_CLASSES : 1, g->head_buffers, HEAD_BUFFERS);
	if (cfg->has_gateway_mac) {
		g->gateway_mac = cfg->gateway_mac;
		g->neigh_known = true;
	}
	return link_open(g, err);
}

int main(int argc, char **argv)
{
	struct gen *g = calloc(1, sizeof(*g));
	struct err err = {""};
	int rc;

	if (g == NULL)
		return END_START;
	rc = args_parse(&g->cfg, argc, argv, &err);
	if (rc != 0) {
		if (rc < 0)
			fprintf(stderr, "bench_gen: %s\n", err.msg);
		free(g);
		return rc < 0 ? END_START : END_GOOD;
	}
	g->stop = &stop;
	rc = link_eal_start(g, &err);
	if (rc < 0) {
		fprintf(stderr, "bench_gen: %s\n", err.msg);
		free(g);
		return END_START;
	}
	signals_catch();
	rc = world_make(g, &err);
	if (rc == 0) {
		template_make(g);
		gen_run(g);
		report_print(g);
		fflush(stdout);
		if (g->end != END_GOOD)
			fprintf(stderr, "bench_gen: %s\n", g->why.msg);
		rc = g->end;
	} else {
		fprintf(stderr, "bench_gen: %s\n", err.msg);
		rc = END_START;
	}
	conn_table_fini(&g->conns);
	link_close(g);
	rte_eal_cleanup();
	free(g->head_buffers);
	free(g);
	return rc;
}
