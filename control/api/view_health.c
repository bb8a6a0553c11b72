// SPDX-License-Identifier: Apache-2.0
/*
 * view_health.c: whether control lives and whether it is of use.
 *
 * /livez says that the loop turns, nothing else: neither dataplanes nor manifests may get a
 * healthy process restarted. /readyz says that manifests were read and that every dataplane of
 * control.yaml holds them.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/api/openapi.h"
#include "control/api/view.h"

void view_livez(struct api_request *r)
{
	api_reply_json(r, 200, json_pack("{s:s}", "status", "ok"));
}

void view_healthz(struct api_request *r)
{
	const struct api_source *s = r->source;
	const struct view *v = s->plan != NULL ? s->plan->view : NULL;

	api_reply_json(r, 200,
		json_pack("{s:s, s:I, s:I, s:i, s:s}", "status", "ok", "uptime_seconds",
			(json_int_t)(time(NULL) - s->started_s), "turns", (json_int_t)s->turns,
			"errors", v != NULL ? (int)v->fatal_count : 0, "compile_error",
			s->compile_error));
}

static bool check_add(json_t *checks, const char *name, struct str of, bool ok, json_t *detail)
{
	json_array_append_new(checks,
		json_pack("{s:o, s:b, s:o}", "name",
			json_sprintf("%s%s%.*s", name, of.len ? "/" : "", STR_FMT(of)), "ok", ok,
			"detail", detail));
	return ok;
}

static bool check_dataplane(json_t *checks, const struct api_source *s, uint32_t i)
{
	struct publish_state st;
	json_t *detail;

	publish_state(s->publish, i, &st);
	if (!st.connected)
		detail = json_sprintf("not connected: %s", st.url);
	else if (!st.synced)
		detail = json_sprintf("holds generation %" PRIu64 " of %" PRIu64 "%s%s",
			st.generation, publish_generation(s->publish), *st.error ? ": " : "",
			st.error);
	else
		detail = json_sprintf("holds generation %" PRIu64, st.generation);
	return check_add(checks, "dataplane", st.name, st.connected && st.synced, detail);
}

void view_readyz(struct api_request *r)
{
	const struct api_source *s = r->source;
	json_t *checks = json_array();
	bool ok = check_add(checks, "config", STR(""), s->compiled != NULL,
		json_string(s->compiled != NULL ? "manifests read" : "manifests not read yet"));

	if (*s->compile_error != '\0')
		ok &= check_add(checks, "compile", STR(""), false,
			view_str(str_of(s->compile_error)));
	for (uint32_t i = 0; s->publish != NULL && i < publish_count(s->publish); i++)
		ok &= check_dataplane(checks, s, i);
	api_reply_json(r, ok ? 200 : 503,
		json_pack("{s:s, s:o}", "status", ok ? "ready" : "not ready", "checks", checks));
}

void view_version(struct api_request *r)
{
	const struct api_source *s = r->source;

	api_reply_json(r, 200,
		json_pack("{s:s, s:s, s:s, s:s%, s:I, s:o}", "product", "Sluice", "version",
			SLUICE_VERSION, "api", "v1", "controller_name",
			s->config->controller_name.p, s->config->controller_name.len, "epoch",
			(json_int_t)(s->publish != NULL ? publish_epoch(s->publish) : 0), "started",
			view_time(s->started_s)));
}

void view_openapi(struct api_request *r)
{
	struct str doc = openapi_document();
	char *copy = malloc(doc.len);

	if (copy != NULL)
		memcpy(copy, doc.p, doc.len);
	api_reply_text(r, "application/json", copy, doc.len);
}
