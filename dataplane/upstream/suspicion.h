// SPDX-License-Identifier: Apache-2.0
/*
 * suspicion.h: is it they who are gone, or we? Pure: time is an argument.
 *
 * Other sites' clusters do not die in the same moment; an uplink of ours does. When every probed
 * endpoint of at least two remote clusters has gone silent (not refused: silent), and the last of
 * each fell silent within one probe interval of the other's, we suspect ourselves; one cluster is
 * enough when control says that its whole site has gone silent towards it as well. One cluster
 * alone is never suspicion: it is simply gone.
 *
 * While it lasts those clusters are under suspicion: nobody judges them, and nothing new is sent
 * there. The first answer from any of them ends it; a connection without one does not.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SUSPICION_CLUSTERS_MAX 64u

struct suspicion_cluster {
	uint64_t id;		  /* 0: free */
	uint64_t fell_us;	  /* when the newest of the silent ones fell silent */
	uint32_t probed, silent;  /* endpoints */
	bool remote, peer_silent; /* at another site; which control does not hear either */
	bool suspected;
};

struct suspicion {
	struct suspicion_cluster c[SUSPICION_CLUSTERS_MAX];
	bool on;
	uint64_t fell_us;  /* of the newest of those it began with */
	uint64_t since_us; /* of <on> or of its end */
	uint64_t times;	   /* how often it began */
};

/* The place of cluster <id> (not 0), made if need be; NULL: there are too many, nobody watches it. */
struct suspicion_cluster *suspicion_cluster(struct suspicion *s, uint64_t id);
/* The same, or NULL: nobody has named it. */
struct suspicion_cluster *suspicion_find(struct suspicion *s, uint64_t id);
/* Endpoints are counted anew from here on; clusters that nobody names again are forgotten. */
void suspicion_recount(struct suspicion *s);
/* One probed endpoint of <c>; <silent_us>: since when it is silent, 0: it is not. */
void suspicion_count(struct suspicion_cluster *c, uint64_t silent_us);
/* After the last one. */
void suspicion_recounted(struct suspicion *s, uint64_t now_us);

/* An endpoint that answered so far was silent to a probe sent at <sent_us>. */
void suspicion_silent(struct suspicion_cluster *c, uint64_t sent_us);
/* An endpoint answered, which had been silent (<was_silent>). True: this has ended the suspicion. */
bool suspicion_answered(struct suspicion *s, struct suspicion_cluster *c, bool was_silent,
	uint64_t now_us);
/*
 * Looks at all of them, after news. <interval_us>: the longest between probes. True: it begins, or
 * spreads to one more cluster.
 */
bool suspicion_judge(struct suspicion *s, uint64_t interval_us, uint64_t now_us);
