// SPDX-License-Identifier: Apache-2.0
/*
 * gather.h: asks every dataplane and goes on when all have answered or GATHER_US are over.
 */
#pragma once

#include "control/api/request.h"

#define GATHER_US 2000000u
#define GATHER_QUERIES_MAX 3

struct gather_query {
	struct str verb;
	struct str args; /* JSON object or empty; copied */
};

struct gather_part {
	uint32_t dataplane;
	unsigned query;		    /* number among the queries */
	struct str name;	    /* of the dataplane */
	json_t *answer;		    /* owned; NULL when there is none */
	char error[160];	    /* why there is none; "" */
	enum message_result status; /* of an answer that came */
	uint64_t query_id;	    /* 0: not open */
	struct gather *gather;
};

struct gather {
	struct api_request *req;
	void (*fn)(struct gather *g);
	struct loop_timer deadline;
	unsigned part_count, asked, open, answered, late;
	bool partial;
	struct gather_part parts[];
};

struct gather_options {
	struct gather_query queries[GATHER_QUERIES_MAX];
	unsigned query_count;
	struct str only; /* this dataplane; empty: all */
	bool partial;	 /* <fn> runs also when nobody answered; else that is a problem reply */
	void (*fn)(struct gather *g); /* must reply; parts are by dataplane, then query */
};

/* Replies at once when there is nobody to ask; else the request waits. */
void gather_start(struct api_request *r, const struct gather_options *opt);

/* [{"dataplane", "error"}] for the parts that have no answer. */
json_t *gather_errors(const struct gather *g);
