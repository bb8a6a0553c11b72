// SPDX-License-Identifier: Apache-2.0
/*
 * client.c: one request over control's unix socket (libcurl), one JSON document back.
 */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/ctl.h"

#define ANSWER_BYTES_MAX (256u << 20)
#define ANSWER_TIMEOUT_S 30L

struct answer {
	char *p;
	size_t len;
};

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct answer *a = arg;
	size_t len = size * n;
	char *p;

	if (a->len + len > ANSWER_BYTES_MAX)
		return 0;
	p = realloc(a->p, a->len + len + 1);
	if (p == NULL)
		return 0;
	memcpy(p + a->len, data, len);
	a->p = p;
	a->len += len;
	p[a->len] = '\0';
	return len;
}

static void say_no_connection(const struct ctl *c, CURLcode rc, const char *detail)
{
	if (rc == CURLE_COULDNT_CONNECT)
		fprintf(stderr,
			"sluicectl: nobody answers on %s: is sluice-control running? "
			"(another socket: --socket PATH or $SLUICE_SOCKET)\n",
			c->socket);
	else
		fprintf(stderr, "sluicectl: %s: %s\n", c->socket,
			*detail ? detail : curl_easy_strerror(rc));
}

/* problem+json: title and detail are made for people. */
static void say_problem(const json_t *j, long status)
{
	const char *detail = text_of(j, "detail");

	fprintf(stderr, "sluicectl: %s%s%s (status %ld)\n", text_of(j, "title"),
		*detail ? ": " : "", detail, status);
}

static CURLcode perform(CURL *curl, const struct ctl *c, const char *method, const char *path,
	const char *body, struct answer *a)
{
	struct curl_slist *head = NULL;
	char url[4096], error[CURL_ERROR_SIZE] = "";
	CURLcode rc;

	snprintf(url, sizeof(url), "http://sluice%s", path);
	head = curl_slist_append(head, "Accept: application/json, application/problem+json");
	if (body != NULL) {
		head = curl_slist_append(head, "Content-Type: application/json");
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
	}
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
	curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	curl_easy_setopt(curl, CURLOPT_HTTPHEADER, head);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, ANSWER_TIMEOUT_S);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, a);
	rc = curl_easy_perform(curl);
	if (rc != CURLE_OK)
		say_no_connection(c, rc, error);
	curl_slist_free_all(head);
	return rc;
}

json_t *ctl_call(const struct ctl *c, const char *method, const char *path, json_t *body,
	long *ret_status)
{
	struct answer a = {0};
	CURL *curl = curl_easy_init();
	char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
	json_t *j = NULL;
	json_error_t je;
	long status = 0;

	json_decref(body);
	if (curl != NULL && perform(curl, c, method, path, text, &a) == CURLE_OK) {
		curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
		j = json_loadb(a.p != NULL ? a.p : "", a.len, JSON_REJECT_DUPLICATES, &je);
		if (j == NULL)
			fprintf(stderr, "sluicectl: %s: the answer is no JSON: %s (status %ld)\n",
				path, je.text, status);
	}
	if (ret_status != NULL) {
		*ret_status = status;
	} else if (j != NULL && status >= 400) {
		say_problem(j, status);
		json_decref(j);
		j = NULL;
	}
	curl_easy_cleanup(curl);
	free(text);
	free(a.p);
	return j;
}

json_t *ctl_get(const struct ctl *c, const char *path)
{
	return ctl_call(c, "GET", path, NULL, NULL);
}

void ctl_query_add(char *path, size_t size, const char *name, const char *value)
{
	char *enc = curl_easy_escape(NULL, value, 0);
	size_t n = strlen(path);

	if (enc != NULL)
		snprintf(path + n, size - n, "%c%s=%s", strchr(path, '?') ? '&' : '?', name, enc);
	curl_free(enc);
}

void ctl_segment_add(char *path, size_t size, const char *segment)
{
	char *enc = curl_easy_escape(NULL, segment, 0);
	size_t n = strlen(path);

	if (enc != NULL)
		snprintf(path + n, size - n, "/%s", enc);
	curl_free(enc);
}
