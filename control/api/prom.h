// SPDX-License-Identifier: Apache-2.0
/*
 * prom.h: collects metrics and writes them as text, for Prometheus (0.0.4) and OpenMetrics (1.0.0).
 *
 *	prom_add(p, PROM_COUNTER, "sluice_drops_total", "Packets dropped, by reason.",
 *		PROM_LABELS({"dataplane", name}, {"reason", reason}), value);
 *
 * Families and series may come in any order and more than once: a family is written once, in the
 * order of first mention, and a series that comes twice is summed, because a scraper refuses a
 * page on which one stands twice. The formats differ in the family name of counters (no _total in
 * OpenMetrics) and in the "# EOF" at the end.
 */
#pragma once

#include <stdint.h>

#include "dataplane/base/str.h"

#define PROM_LABELS_MAX 8
#define PROM_LABEL_BYTES_MAX 256 /* of a value; the rest is cut off */
#define PROM_SERIES_MAX 200000u	 /* of one page; more are counted, not written */

enum prom_type { PROM_COUNTER = 0, PROM_GAUGE };

struct prom_label {
	const char *name;
	struct str value;
};

struct prom_labels {
	const struct prom_label *l;
	unsigned count;
};

#define PROM_LABELS(...) \
	((struct prom_labels){(const struct prom_label[]){__VA_ARGS__}, \
		sizeof((const struct prom_label[]){__VA_ARGS__}) / sizeof(struct prom_label)})
#define PROM_NO_LABELS ((struct prom_labels){NULL, 0})

struct prom;

struct prom *prom_new(void); /* NULL: memory is out */
void prom_free(struct prom *p);

/* The name of a counter ends in _total; bytes that a name may not have become '_'. */
void prom_add(struct prom *p, enum prom_type type, const char *name, const char *help,
	struct prom_labels labels, uint64_t value);
void prom_add_f(struct prom *p, enum prom_type type, const char *name, const char *help,
	struct prom_labels labels, double value);

/* The page, which the caller frees, or NULL when memory is out. */
char *prom_write(const struct prom *p, bool openmetrics, size_t *ret_len);
