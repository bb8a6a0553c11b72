// SPDX-License-Identifier: Apache-2.0
/*
 * metrics.h: the metrics page in its two halves. Names: sluice_*, base units, _total for counters;
 * labels are names from the configuration, never paths, hosts or addresses of clients.
 */
#pragma once

#include "control/api/gather.h"
#include "control/api/prom.h"
#include "control/api/source.h"

/* What control knows by itself. */
void metrics_control(struct prom *p, const struct api_source *s);
/* Of each cluster, and of its API server. */
void metrics_clusters(struct prom *p, const struct api_source *s);
/* Of the writer of status. */
void metrics_status(struct prom *p, const struct api_source *s);
void metrics_process(struct prom *p);

enum { METRICS_QUERY_COUNTERS, METRICS_QUERY_CONFIG, METRICS_QUERY_WORKERS, METRICS_QUERY_COUNT };
/* One answer of a dataplane to one of the queries. <labels>: labels.h. */
void metrics_dataplane(struct prom *p, const struct gather_part *part, const json_t *labels);
