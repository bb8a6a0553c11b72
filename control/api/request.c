// SPDX-License-Identifier: Apache-2.0
/*
 * request.c: from the target to the handler, from the handler's answer to the reply.
 *
 * Checks in order: target length (414), form (400), path (404), method (405 with Allow), query
 * names (400: a misspelt filter must not answer with everything), Accept (406), body length (413).
 * Replies to GET carry a strong entity tag and become 304 when the client has that (RFC 9110 13).
 */
#include "control/api/request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/api/accept.h"
#include "control/api/routes.h"
#include "dataplane/base/bug.h"

void api_request_init(struct api_request *r, const struct api_source *source, struct loop *loop)
{
	*r = (struct api_request){.source = source, .loop = loop};
	arena_init(&r->arena, API_ARENA_BYTES_MAX);
}

void api_request_fini(struct api_request *r)
{
	if (r->wait != NULL)
		r->wait_cancel(r);
	r->wait = NULL;
	free(r->reply.body);
	arena_fini(&r->arena);
}

/* --- routing --- */

static bool segment_is_param(struct str pattern)
{
	return str_starts(pattern, STR("{"));
}

static bool path_matches(const char *pattern, const struct uri *u)
{
	struct str rest = str_from(str_of(pattern), 1);
	unsigned i = 0;

	while (rest.p != NULL) {
		struct str want = str_cut(&rest, '/');

		if (i == u->segment_count)
			return false;
		if (segment_is_param(want) ? u->segments[i].len == 0
					   : !str_eq(want, u->segments[i]))
			return false;
		i++;
	}
	return i == u->segment_count;
}

static bool method_matches(const char *route_method, struct str method)
{
	return str_eq(method, str_of(route_method)) ||
		(str_eq(method, STR("HEAD")) && str_eq(str_of(route_method), STR("GET")));
}

/* NULL with *ret_allow "" : no such path; else the methods that the path knows. */
static const struct api_route *route_lookup(struct api_request *r, const char **ret_allow)
{
	const char *allow = "";

	for (unsigned i = 0; i < api_route_count; i++) {
		const struct api_route *route = &api_routes[i];

		if (!path_matches(route->path, &r->uri))
			continue;
		if (method_matches(route->method, r->in.method))
			return route;
		allow = arena_printf(&r->arena, "%s%s%s%s", allow, *allow ? ", " : "",
			route->method, str_eq(str_of(route->method), STR("GET")) ? ", HEAD" : "");
	}
	*ret_allow = allow;
	return NULL;
}

static bool query_is_known(const struct api_request *r, struct str name)
{
	struct str rest = str_of(r->route->query);

	while (rest.p != NULL)
		if (str_eq(str_cut(&rest, ' '), name))
			return true;
	return false;
}

/* False when a problem was replied. */
static bool check_query(struct api_request *r)
{
	for (unsigned i = 0; i < r->uri.param_count; i++) {
		struct str name = r->uri.params[i].name;

		if (query_is_known(r, name))
			continue;
		api_reply_problem(r, PROBLEM_BAD_REQUEST,
			"query parameter \"%.*s\" is not known here%s%s", STR_FMT(name),
			r->route->query[0] ? "; known: " : "", r->route->query);
		return false;
	}
	return true;
}

static bool check_target(struct api_request *r)
{
	struct str rest = r->in.target;

	r->path = str_cut(&rest, '?');
	if (r->in.target.len > API_TARGET_BYTES_MAX) {
		r->path = STR("");
		api_reply_problem(r, PROBLEM_URI_TOO_LONG, "the target has %zu bytes, at most %u",
			r->in.target.len, API_TARGET_BYTES_MAX);
		return false;
	}
	if (!uri_parse(r->in.target, &r->arena, &r->uri)) {
		api_reply_problem(r, PROBLEM_BAD_REQUEST,
			"the target is no path with at most %d segments and %d parameters",
			URI_SEGMENTS_MAX, URI_PARAMS_MAX);
		return false;
	}
	return true;
}

static bool check_route(struct api_request *r)
{
	const char *allow = "";

	r->route = route_lookup(r, &allow);
	if (r->route != NULL)
		return true;
	if (*allow == '\0') {
		api_reply_problem(r, PROBLEM_NOT_FOUND, "no such path; see /openapi.json");
		return false;
	}
	r->reply.allow = allow;
	api_reply_problem(r, PROBLEM_METHOD_NOT_ALLOWED, "%.*s is not among: %s",
		STR_FMT(str_first(r->in.method, 32)), allow);
	return false;
}

static bool check_accept(struct api_request *r)
{
	r->produces = accept_pick(r->in.accept, r->route->produces);
	r->reply.vary = r->route->produces[1] != NULL;
	if (r->produces >= 0)
		return true;
	api_reply_problem(r, PROBLEM_NOT_ACCEPTABLE, "available: %s%s%s", r->route->produces[0],
		r->reply.vary ? ", " : "", r->reply.vary ? r->route->produces[1] : "");
	return false;
}

static bool check_body(struct api_request *r)
{
	if (r->in.body.len <= API_BODY_BYTES_MAX)
		return true;
	api_reply_problem(r, PROBLEM_CONTENT_TOO_LARGE, "a body may have %u bytes",
		API_BODY_BYTES_MAX);
	return false;
}

void api_dispatch(struct api_request *r, const struct api_input *in)
{
	bug_on(r->reply.status != 0 || r->wait != NULL);
	r->in = *in;
	if (!check_target(r) || !check_route(r) || !check_query(r) || !check_accept(r) ||
		!check_body(r))
		return;
	r->route->handler(r);
	bug_on((r->reply.status == 0) == (r->wait == NULL));
}

/* --- for handlers --- */

struct str api_path_param(const struct api_request *r, unsigned number)
{
	struct str rest = str_from(str_of(r->route->path), 1);

	for (unsigned i = 0; rest.p != NULL; i++) {
		if (!segment_is_param(str_cut(&rest, '/')))
			continue;
		if (number-- == 0)
			return r->uri.segments[i];
	}
	bug_on(true);
	return (struct str){NULL, 0};
}

struct str api_query_param(const struct api_request *r, const char *name)
{
	for (unsigned i = 0; i < r->uri.param_count; i++)
		if (str_eq(r->uri.params[i].name, str_of(name)))
			return r->uri.params[i].value;
	return (struct str){NULL, 0};
}

void api_wait(struct api_request *r, void *wait, void (*cancel)(struct api_request *r))
{
	bug_on(r->reply.status != 0 || wait == NULL);
	r->wait = wait;
	r->wait_cancel = cancel;
}

/* --- replies --- */

static bool is_get(const struct api_request *r)
{
	return str_eq(r->in.method, STR("GET")) || str_eq(r->in.method, STR("HEAD"));
}

static void reply_set(struct api_request *r, unsigned status, const char *content_type, char *body,
	size_t len)
{
	bool waited = r->wait != NULL;

	bug_on(r->reply.status != 0);
	r->reply.status = status;
	r->reply.content_type = content_type;
	r->reply.body = body;
	r->reply.body_len = len;
	if (status == 200 && is_get(r) && r->reply.etag[0] == '\0') {
		etag_of(str_make(body, len), r->reply.etag);
		if (etag_matches(r->in.if_none_match, r->reply.etag)) {
			r->reply.status = 304;
			free(r->reply.body);
			r->reply.body = NULL;
			r->reply.body_len = 0;
		}
	}
	r->wait = NULL;
	if (waited)
		r->on_reply(r);
}

void api_reply_text(struct api_request *r, const char *content_type, char *text, size_t len)
{
	if (text == NULL)
		api_reply_problem(r, PROBLEM_INTERNAL, "out of memory");
	else
		reply_set(r, 200, content_type, text, len);
}

void api_reply_stream(struct api_request *r)
{
	bug_on(r->reply.status != 0 || r->wait != NULL);
	r->reply.status = 200;
	r->reply.content_type = "text/event-stream";
	r->reply.stream = true;
}

/* malloc'ed; NULL when memory was out. <j> is taken over. */
static char *json_text(json_t *j, size_t *ret_len)
{
	char *text = NULL;
	FILE *f = j != NULL ? open_memstream(&text, ret_len) : NULL;
	int rc = -1;

	if (f != NULL) {
		rc = json_dumpf(j, f, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
		fputc('\n', f);
		rc |= fclose(f);
	}
	json_decref(j);
	if (rc == 0)
		return text;
	free(text);
	return NULL;
}

void api_reply_json(struct api_request *r, unsigned status, json_t *j)
{
	size_t len = 0;
	char *text = json_text(j, &len);

	if (text != NULL)
		reply_set(r, status, "application/json", text, len);
	else
		api_reply_problem(r, PROBLEM_INTERNAL, "out of memory");
}

void api_reply_json_tagged(struct api_request *r, json_t *j, json_t *tagged)
{
	api_etag_json(tagged, r->reply.etag);
	api_reply_json(r, 200, j);
}

void api_etag_json(json_t *j, char ret[ETAG_STRLEN])
{
	size_t len = 0;
	char *text = json_text(j, &len);

	etag_of(str_make(text, len), ret);
	free(text);
}

void api_reply_problem(struct api_request *r, enum problem_type type, const char *fmt, ...)
{
	char detail[512], *text;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(detail, sizeof(detail), fmt, ap);
	va_end(ap);
	text = problem_json(type, detail, r->path);
	reply_set(r, problem_status(type), PROBLEM_CONTENT_TYPE, text, text ? strlen(text) : 0);
}
