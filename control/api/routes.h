// SPDX-License-Identifier: Apache-2.0
/*
 * routes.h: the table of everything the API answers. configs/api/openapi.json describes the same;
 * a test compares the two.
 */
#pragma once

#include "control/api/request.h"

struct api_route {
	const char *method; /* "GET" answers HEAD too */
	const char *path;   /* "/api/v1/status/{kind}": braces stand for one segment */
	void (*handler)(struct api_request *r);
	const char *query;	     /* names of parameters, separated by blanks; "" none */
	const char *const *produces; /* media types, the default first; NULL ends */
};

extern const struct api_route api_routes[];
extern const unsigned api_route_count;
