// SPDX-License-Identifier: Apache-2.0
/*
 * gen_report.c: what was seen, as one JSON object.
 *
 * Rates and packets are those of the measured window; errors are those of the whole run, because a
 * wrong answer during warm-up is as wrong as any. Packets are counted from the gateway's side: what
 * we send goes into its port.
 */
#include <math.h>
#include <stdio.h>

#include <jansson.h>

#include "tests/bench/gen.h"

#define LIMIT_SHARE 0.97 /* busier than that, the generator was the limit */

static json_t *us(const struct gen *g, uint64_t ticks)
{
	if (ticks == LATENCY_UNKNOWN)
		return json_null();
	return json_real(round((double)ticks * 1e7 / (double)g->tsc_hz) / 10);
}

static void counts(const struct gen *g, json_t *errors, json_t *events, uint64_t *total)
{
#define ERROR(name, json) \
	*total += g->count[GEN_##name]; \
	if (g->count[GEN_##name] > 0) \
		json_object_set_new(errors, json, json_integer((json_int_t)g->count[GEN_##name]));
#define EVENT(name, json) \
	json_object_set_new(events, json, \
		json_integer((json_int_t)(g->to.count[GEN_##name] - g->from.count[GEN_##name])));
#define GEN_COUNT(name, json, kind, help) kind(name, json)
#include "tests/bench/gen.def"
#undef GEN_COUNT
#undef ERROR
#undef EVENT
}

static double per(double n, double d)
{
	return d > 0 ? n / d : 0;
}

static void rates(const struct gen *g, json_t *o)
{
	const struct gen_sample *a = &g->from, *b = &g->to;
	double s = (double)(b->tsc - a->tsc) / (double)g->tsc_hz;
	double n = (double)(b->requests - a->requests);
	double cycles = (double)(b->tsc - a->tsc), busy = (double)(b->busy_tsc - a->busy_tsc);

	json_object_set_new(o, "requests", json_integer((json_int_t)(b->requests - a->requests)));
	json_object_set_new(o, "seconds", json_real(s));
	json_object_set_new(o, "requests_per_s", json_real(per(n, s)));
	json_object_set_new(o, "gbit_per_s",
		json_real(per((double)(b->body_bytes - a->body_bytes) * 8e-9, s)));
	json_object_set_new(o, "packets_in_per_request",
		json_real(per((double)(b->tx_packets - a->tx_packets), n)));
	json_object_set_new(o, "packets_out_per_request",
		json_real(per((double)(b->rx_packets - a->rx_packets), n)));
	json_object_set_new(o, "busy", json_real(per(busy, cycles)));
	json_object_set_new(o, "busy_cycles_per_request", json_real(per(busy, n)));
	/* we never sleep: what is missing to 1 was taken by others */
	json_object_set_new(o, "cpu_share",
		json_real(per((double)(b->cpu_us - a->cpu_us) * 1e-6, s)));
	json_object_set_new(o, "generator_limit", json_boolean(busy > LIMIT_SHARE * cycles));
}

static void latencies(const struct gen *g, json_t *o)
{
	static const struct {
		const char *name;
		uint32_t per_100000;
	} at[] = {{"p50_us", 50000}, {"p99_us", 99000}, {"p999_us", 99900}, {"max_us", 100000}};

	for (unsigned i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		json_object_set_new(o, at[i].name,
			us(g, latency_at(&g->latency, at[i].per_100000)));
	if (g->cfg.rate > 0) {
		json_object_set_new(o, "offered_per_s", json_real(g->cfg.rate));
		json_object_set_new(o, "offered", json_integer((json_int_t)g->client.offered));
		json_object_set_new(o, "answered", json_integer((json_int_t)g->latency.count));
	}
}

void report_print(const struct gen *g)
{
	json_t *o = json_object(), *errors = json_object(), *events = json_object();
	uint64_t total = 0;

	counts(g, errors, events, &total);
	rates(g, o);
	latencies(g, o);
	json_object_set_new(o, "errors", json_integer((json_int_t)total));
	json_object_set_new(o, "errors_by_kind", errors);
	if (g->http.last_status != 0)
		json_object_set_new(o, "last_bad_status", json_integer(g->http.last_status));
	json_object_set_new(o, "retransmits", json_incref(json_object_get(events, "retransmits")));
	json_object_set_new(o, "connections_opened",
		json_integer((json_int_t)g->count[GEN_OPENED]));
	json_object_set_new(o, "connections_open", json_integer(g->open_at_end));
	json_object_set_new(o, "backend_connections",
		json_integer((json_int_t)g->count[GEN_ACCEPTED]));
	json_object_set_new(o, "events", events);
	json_object_set_new(o, "tsc_hz", json_integer((json_int_t)g->tsc_hz));
	json_object_set_new(o, "hugepages", json_boolean(g->link.huge));
	json_object_set_new(o, "offload",
		json_string(g->link.tso		 ? "tso"
				: g->link.tx_sum ? "checksum"
						 : "none"));
	json_object_set_new(o, "complete",
		json_boolean(
			g->end != END_DOWN && g->end != END_START && g->end != END_INTERRUPTED));
	if (g->end != END_GOOD)
		json_object_set_new(o, "error", json_string(g->why.msg));
	json_dumpf(o, stdout,
		JSON_REAL_PRECISION(8) | (g->cfg.json ? JSON_COMPACT : JSON_INDENT(2)));
	printf("\n");
	json_decref(o);
}
