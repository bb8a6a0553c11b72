// SPDX-License-Identifier: Apache-2.0
/*
 * transfer.c: sockets and the timer of libcurl on the loop, and the life of one request.
 *
 * A watch may rightly be silent for minutes, so a dead peer is found by TCP: keepalives after 15 s,
 * and TCP_USER_TIMEOUT for bytes that nobody acknowledges.
 */
#include "control/kube/transfer.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "control/kube/transfer_private.h"
#include "dataplane/base/bug.h"

#define CONNECTIONS_MAX 64L /* kept open while idle */
#define GZIP_READ_BYTES 4096L

/* --- sockets and the timer --- */

struct socket {
	struct transfers *t;
	struct loop_fd in;
	struct list link;
};

static void read_messages(struct transfers *t)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(t->multi, &left)) != NULL) {
		struct transfer *x = NULL;
		CURLcode rc = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&x);
		transfer_finish(x, rc);
	}
}

static void act(struct transfers *t, curl_socket_t fd, int what)
{
	int running;

	t->enter(t->arg);
	curl_multi_socket_action(t->multi, fd, what, &running);
	read_messages(t);
	t->leave(t->arg);
}

static void on_socket(void *arg, uint32_t events)
{
	const struct socket *s = arg;
	int what = (events & EPOLLIN ? CURL_CSELECT_IN : 0) |
		(events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
		(events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);

	act(s->t, s->in.fd, what);
}

static void on_timer(void *arg)
{
	act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static void socket_free(struct socket *s)
{
	loop_fd_remove(s->t->loop, &s->in);
	list_del(&s->link);
	free(s);
}

static int socket_fn(CURL *easy, curl_socket_t fd, int what, void *arg, void *per_socket)
{
	struct transfers *t = arg;
	struct socket *s = per_socket;
	uint32_t events =
		(what & CURL_POLL_IN ? EPOLLIN : 0) | (what & CURL_POLL_OUT ? EPOLLOUT : 0);

	if (what == CURL_POLL_REMOVE) {
		if (s != NULL)
			socket_free(s);
		curl_multi_assign(t->multi, fd, NULL);
		return 0;
	}
	if (s == NULL) {
		s = calloc(1, sizeof(*s));
		bug_on(s == NULL);
		s->t = t;
		s->in = (struct loop_fd){.fd = fd, .fn = on_socket, .arg = s};
		list_add_tail(&t->sockets, &s->link);
		curl_multi_assign(t->multi, fd, s);
	}
	loop_fd_remove(t->loop, &s->in);
	return loop_fd_add(t->loop, &s->in, events, NULL) < 0 ? -1 : 0;
}

static int timer_fn(CURLM *multi, long timeout_ms, void *arg)
{
	struct transfers *t = arg;

	if (timeout_ms < 0)
		loop_timer_stop(&t->timer);
	else
		loop_timer_set(t->loop, &t->timer, (uint64_t)timeout_ms * 1000);
	return 0;
}

/* --- all of a cluster --- */

/*
 * curl verifies the name that stands in the URL. So with tls-server-name that is the name there,
 * the connection goes where <server> says, and Host says what a client without it would send.
 */
static void set_server(struct transfers *t)
{
	const struct kubeconfig_cluster *c = &t->k->cluster;
	const char *name = c->tls_server_name != NULL ? c->tls_server_name : c->host;
	char *to;

	bug_on(asprintf(&t->base, "%s://%s:%u%s", c->scheme, name, c->port, c->prefix) < 0);
	if (c->tls_server_name == NULL)
		return;
	bug_on(asprintf(&to, "%s:%u:%s:%u", name, c->port, c->host, c->port) < 0);
	t->connect_to = curl_slist_append(NULL, to);
	free(to);
	bug_on(asprintf(&t->host_header, "Host: %s:%u", c->host, c->port) < 0);
}

int transfers_init(struct transfers *t, struct err *err)
{
	list_init(&t->sockets);
	list_init(&t->running);
	loop_timer_init(&t->timer, on_timer, t);
	t->multi = curl_multi_init();
	if (t->multi == NULL)
		return err_set(err, ENOMEM, "libcurl: out of memory");
	curl_multi_setopt(t->multi, CURLMOPT_SOCKETFUNCTION, socket_fn);
	curl_multi_setopt(t->multi, CURLMOPT_SOCKETDATA, t);
	curl_multi_setopt(t->multi, CURLMOPT_TIMERFUNCTION, timer_fn);
	curl_multi_setopt(t->multi, CURLMOPT_TIMERDATA, t);
	curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX);
	curl_multi_setopt(t->multi, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
	set_server(t);
	return 0;
}

void transfers_fini(struct transfers *t)
{
	if (t->multi == NULL)
		return;
	list_for_each_safe (l, &t->running)
		transfer_cancel(list_entry(l, struct transfer, link));
	curl_multi_cleanup(t->multi);
	list_for_each_safe (l, &t->sockets)
		socket_free(list_entry(l, struct socket, link));
	loop_timer_stop(&t->timer);
	curl_slist_free_all(t->connect_to);
	free(t->base);
	free(t->host_header);
	t->multi = NULL;
}

/* --- one transfer --- */

static void transfer_free(struct transfer *x)
{
	list_del(&x->link);
	curl_multi_remove_handle(x->t->multi, x->easy);
	curl_easy_cleanup(x->easy);
	curl_slist_free_all(x->headers);
	free(x);
}

void transfer_cancel(struct transfer *x)
{
	if (x != NULL)
		transfer_free(x);
}

static enum transfer_outcome outcome_of(const struct transfer *x, CURLcode rc)
{
	switch (rc) {
	case CURLE_OK:
		return TRANSFER_OK;
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_PROXY:
		return TRANSFER_REFUSED;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return TRANSFER_TLS;
	case CURLE_OPERATION_TIMEDOUT:
		return !x->sent ? TRANSFER_REFUSED : TRANSFER_TIMEOUT;
	case CURLE_WRITE_ERROR:
		return x->stopped ? TRANSFER_STOPPED : TRANSFER_BROKEN;
	default:
		return TRANSFER_BROKEN;
	}
}

void transfer_finish(struct transfer *x, CURLcode rc)
{
	const struct transfer_ops *ops = x->ops;
	struct transfer_end end = {.status = x->status,
		.retry_after_us = -1,
		.generation = x->generation};
	void *arg = x->arg;
	curl_off_t after = 0;
	long sent = 0;
	char why[CURL_ERROR_SIZE];

	curl_easy_getinfo(x->easy, CURLINFO_REQUEST_SIZE, &sent);
	x->sent = sent > 0;
	end.outcome = outcome_of(x, rc);
	if (x->retry_after && curl_easy_getinfo(x->easy, CURLINFO_RETRY_AFTER, &after) == CURLE_OK)
		end.retry_after_us = after < 86400 ? (int64_t)after * 1000000 : 86400000000;
	snprintf(why, sizeof(why), "%s",
		rc == CURLE_OK	      ? ""
			: x->error[0] ? x->error
				      : curl_easy_strerror(rc));
	end.why = why;
	transfer_free(x);
	ops->on_end(arg, &end);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *x = arg;
	size_t len = size * n;
	long status = 0;

	x->head_len += len;
	if (x->head_len > TRANSFER_HEAD_MAX)
		return 0;
	if (len > 12 && strncasecmp(p, "Retry-After:", 12) == 0)
		x->retry_after = true;
	if (len > 2 || (len == 2 && p[0] != '\r'))
		return len;
	curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && x->status == 0) {
		x->status = (int)status;
		if (x->ops->on_head != NULL)
			x->ops->on_head(x->arg, x->status);
	}
	return len;
}

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
	struct transfer *x = arg;

	if (x->ops->on_body(x->arg, x->status, p, size * n))
		return size * n;
	x->stopped = true;
	return 0;
}

static int on_socket_made(void *arg, curl_socket_t fd, curlsocktype purpose)
{
	unsigned timeout_ms = 30000;

	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	return CURL_SOCKOPT_OK;
}

static void set_blob(CURL *easy, CURLoption option, struct str pem)
{
	struct curl_blob blob = {(void *)pem.p, pem.len, CURL_BLOB_COPY};

	if (pem.len > 0)
		curl_easy_setopt(easy, option, &blob);
}

static void set_tls(struct transfer *x)
{
	const struct kubeconfig_cluster *c = &x->t->k->cluster;
	const struct credential *cred = x->t->credential;

	set_blob(x->easy, CURLOPT_CAINFO_BLOB, cred->ca);
	set_blob(x->easy, CURLOPT_SSLCERT_BLOB, cred->cert);
	set_blob(x->easy, CURLOPT_SSLKEY_BLOB, cred->key);
	curl_easy_setopt(x->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(x->easy, CURLOPT_SSL_VERIFYPEER, c->insecure ? 0L : 1L);
	curl_easy_setopt(x->easy, CURLOPT_SSL_VERIFYHOST, c->insecure ? 0L : 2L);
}

/*
 * Go resolves names at the proxy, so does socks5h. The environment has no say: "" shuts out its
 * proxies, and its exceptions from them, by which a server would be asked directly.
 */
static void set_proxy(struct transfer *x)
{
	const char *proxy = x->t->k->cluster.proxy_url;
	bool insecure = x->t->k->cluster.insecure;
	char url[2100];

	if (proxy != NULL && strncmp(proxy, "socks5://", 9) == 0) {
		snprintf(url, sizeof(url), "socks5h://%s", proxy + 9);
		proxy = url;
	}
	curl_easy_setopt(x->easy, CURLOPT_PROXY, proxy != NULL ? proxy : "");
	curl_easy_setopt(x->easy, CURLOPT_NOPROXY, "");
	/* one of its own (https://) is trusted as the server is, as Go does */
	set_blob(x->easy, CURLOPT_PROXY_CAINFO_BLOB, x->t->credential->ca);
	curl_easy_setopt(x->easy, CURLOPT_PROXY_SSL_VERIFYPEER, insecure ? 0L : 1L);
	curl_easy_setopt(x->easy, CURLOPT_PROXY_SSL_VERIFYHOST, insecure ? 0L : 2L);
	curl_easy_setopt(x->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

static void set_socket(struct transfer *x)
{
	CURL *e = x->easy;

	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	/* a resolver's thread that hangs is left to itself: else we would wait for it, and all with us */
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, TRANSFER_CONNECT_MS);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPIDLE, 15L);
	curl_easy_setopt(e, CURLOPT_TCP_KEEPINTVL, 5L);
	curl_easy_setopt(e, CURLOPT_SOCKOPTFUNCTION, on_socket_made);
	if (x->t->connect_to != NULL)
		curl_easy_setopt(e, CURLOPT_CONNECT_TO, x->t->connect_to);
}

static void set_request(struct transfer *x, const struct transfer_request *r)
{
	CURL *e = x->easy;
	char *url;

	bug_on(asprintf(&url, "%s%s%s%s", x->t->base, r->path, r->query && *r->query ? "?" : "",
		       r->query ? r->query : "") < 0);
	curl_easy_setopt(e, CURLOPT_URL, url);
	free(url);
	if (r->body != NULL) {
		curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, (long)r->body_len);
		curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, r->body);
	}
	curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, r->timeout_ms);
	if (r->gzip) {
		/* libcurl reads up to a hundred times at once, and each byte may become a thousand */
		curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "gzip");
		curl_easy_setopt(e, CURLOPT_BUFFERSIZE, GZIP_READ_BYTES);
	}
	curl_easy_setopt(e, CURLOPT_USERAGENT, x->t->user_agent);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	x->headers = transfer_headers(x->t, r->accept, r->content_type);
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, x->headers);
}

struct transfer *transfer_start(struct transfers *t, const struct transfer_request *r,
	const struct transfer_ops *ops, void *arg)
{
	struct transfer *x = calloc(1, sizeof(*x));

	bug_on(x == NULL);
	*x = (struct transfer){.t = t, .ops = ops, .arg = arg};
	x->easy = curl_easy_init();
	if (x->easy == NULL) {
		free(x);
		return NULL;
	}
	x->generation = t->credential->generation;
	list_add_tail(&t->running, &x->link);
	curl_easy_setopt(x->easy, CURLOPT_PRIVATE, x);
	curl_easy_setopt(x->easy, CURLOPT_ERRORBUFFER, x->error);
	curl_easy_setopt(x->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(x->easy, CURLOPT_HEADERDATA, x);
	curl_easy_setopt(x->easy, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(x->easy, CURLOPT_WRITEDATA, x);
	set_socket(x);
	set_proxy(x);
	set_tls(x);
	set_request(x, r);
	if (curl_multi_add_handle(t->multi, x->easy) != CURLM_OK) {
		transfer_free(x);
		return NULL;
	}
	return x;
}
