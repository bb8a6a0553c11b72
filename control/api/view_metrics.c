// SPDX-License-Identifier: Apache-2.0
/*
 * view_metrics.c: the page for scrapers. A dataplane that does not answer costs its own series
 * and the time limit, never the page.
 */
#include "control/api/labels.h"
#include "control/api/metrics.h"
#include "control/api/routes.h"
#include "control/api/view.h"

static void add_dataplanes(struct prom *p, const struct gather *g)
{
	const struct build_config *c = g->req->source->compiled;
	json_t *labels = c != NULL ? labels_new(c) : json_object();

	for (unsigned i = 0; i < g->part_count; i++) {
		const struct gather_part *part = &g->parts[i];

		prom_add(p, PROM_GAUGE, "sluice_dataplane_scrape_errors",
			"Questions that the dataplane left unanswered for this page.",
			PROM_LABELS({"dataplane", part->name}), part->answer == NULL);
		if (part->answer != NULL)
			metrics_dataplane(p, part, labels);
	}
	json_decref(labels);
}

static void metrics_done(struct gather *g)
{
	struct api_request *r = g->req;
	struct prom *p = prom_new();
	char *text = NULL;
	size_t len = 0;

	if (p != NULL) {
		metrics_control(p, r->source);
		prom_add(p, PROM_GAUGE, "process_start_time_seconds",
			"Start of the process since 1970.", PROM_NO_LABELS,
			(uint64_t)r->source->started_s);
		metrics_process(p);
		add_dataplanes(p, g);
		text = prom_write(p, r->produces == 1, &len);
	}
	prom_free(p);
	api_reply_text(r, r->route->produces[r->produces], text, len);
}

void view_metrics(struct api_request *r)
{
	const struct gather_options opt = {
		.queries =
			{
				[METRICS_QUERY_COUNTERS] = {STR("counters"),
					STR("{\"objects\":true}")},
				[METRICS_QUERY_CONFIG] = {.verb = STR("config")},
				[METRICS_QUERY_WORKERS] = {.verb = STR("workers")},
			},
		.query_count = METRICS_QUERY_COUNT,
		.partial = true,
		.fn = metrics_done,
	};

	gather_start(r, &opt);
}
