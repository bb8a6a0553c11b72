// SPDX-License-Identifier: Apache-2.0
/*
 * control_test.c: the real sluice-control on a directory of manifests, asked over its socket by
 * libcurl and by the real sluicectl, with the real agent at the other end of its link.
 *
 * The rows build on each other: each leaves the configuration as the next one expects it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <jansson.h>

#include "dataplane/base/clock.h"
#include "tests/unit/api/bench.h"
#include "tests/unit/api/dataplane.h"
#include "tests/unit/api/manifests.h"
#include "tests/unit/skip.h"

static struct {
	pid_t control;
	struct dataplane *dp;
} w;

static char out[256 << 10];
#define CTL(...) run(out, sizeof(out), "sluicectl --socket " __VA_ARGS__)

static bool is_ready(const void *arg)
{
	return get("/readyz") == 200;
}

static bool is_not_ready(const void *arg)
{
	return get("/readyz") == 503;
}

/* The text is in the answer to /api/v1/config. */
static bool config_has(const void *text)
{
	return get("/api/v1/config") == 200 && strstr(bench.last.body, text) != NULL;
}

static bool config_lacks(const void *text)
{
	return get("/api/v1/config") == 200 && strstr(bench.last.body, text) == NULL;
}

static bool status_has(const void *text)
{
	return get("/api/v1/status") == 200 && strstr(bench.last.body, text) != NULL;
}

static bool status_lacks(const void *text)
{
	return get("/api/v1/status") == 200 && strstr(bench.last.body, text) == NULL;
}

/* The dataplane has all that control wants. */
static bool is_applied(const void *arg)
{
	json_t *answer, *want, *have;
	bool yes;

	if (get("/api/v1/dataplanes") != 200)
		return false;
	answer = json_loads(bench.last.body, 0, NULL);
	want = json_object_get(answer, "wanted");
	have = json_object_get(json_array_get(json_object_get(answer, "items"), 0), "applied");
	yes = have != NULL &&
		json_equal(json_object_get(have, "generation"),
			json_object_get(want, "generation")) &&
		json_equal(json_object_get(have, "revision"), json_object_get(want, "revision"));
	json_decref(answer);
	return yes;
}

/* --- the world --- */

static void put_all(const char *clusters, const char *more)
{
	char text[2000];

	snprintf(text, sizeof(text),
		"clusters:\n- {name: east, directory: east/}\n%s"
		"dataplanes:\n- {name: dp0, url: \"ipc://%s/dp/dp0.ipc\"}\n"
		"api: {socket: run/control.sock}\nstateDirectory: state\n%s",
		clusters, bench.dir, more);
	put("control.yaml", text);
}

static void put_config(const char *more)
{
	put_all("", more);
}

static void put_clusters(const char *clusters)
{
	put_all(clusters, "");
}

static int world_open(void **state)
{
	char cmd[200];

	curl_global_init(CURL_GLOBAL_DEFAULT);
	find_build();
	strcpy(bench.dir, "/tmp/sluice-control-XXXXXX");
	assert_non_null(mkdtemp(bench.dir));
	assert_int_equal(chmod(bench.dir, 0755), 0);
	snprintf(cmd, sizeof(cmd), "cd %s && mkdir -m 755 east dp", bench.dir);
	assert_int_equal(system(cmd), 0);
	put_config("");
	put("east/class.yaml", CLASS_YAML);
	put("east/gw.yaml", GATEWAY_YAML);
	put("east/route.yaml", ROUTE_YAML(80, 20));
	put("east/app.yaml", SERVICES_YAML);
	w.dp = dataplane_start(in_dir("dp"));
	w.control = spawn_control(in_dir("control.yaml"));
	return 0;
}

static int world_close(void **state)
{
	char cmd[200];

	if (w.control > 0) {
		kill(w.control, SIGKILL);
		waitpid(w.control, NULL, 0);
	}
	if (w.dp != NULL)
		dataplane_stop(w.dp);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", bench.dir);
	curl_global_cleanup();
	return system(cmd);
}

/* --- rows --- */

static void it_becomes_ready_when_the_dataplane_has_acknowledged(void **state)
{
	assert_true(soon(is_ready, NULL));
	assert_non_null(strstr(bench.last.body, "\"dataplane/dp0\""));
	assert_true(soon(status_lacks, "\"Pending\""));
	assert_non_null(strstr(bench.last.body, "\"Programmed\""));
}

static void root_is_given_up(void **state)
{
	char path[64], line[256];
	FILE *f;

	if (geteuid() != 0)
		skip_needs("root");
	snprintf(path, sizeof(path), "/proc/%d/status", w.control);
	f = fopen(path, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		if (strncmp(line, "Uid:", 4) == 0)
			assert_null(strstr(line, "\t0\t"));
		if (strncmp(line, "CapEff:", 7) == 0 || strncmp(line, "CapPrm:", 7) == 0)
			assert_non_null(strstr(line, "0000000000000000"));
		if (strncmp(line, "NoNewPrivs:", 11) == 0)
			assert_non_null(strstr(line, "1"));
	}
	fclose(f);
}

static void an_edit_by_rename_is_seen(void **state)
{
	uint64_t start = clock_mono_us();

	assert_true(config_has("80.0"));
	put("east/route.yaml", ROUTE_YAML(50, 50));
	assert_true(soon(config_has, "50.0"));
	print_message("edit to effective configuration: %lu us\n", clock_mono_us() - start);
	assert_true(soon(is_ready, NULL));
}

static void a_weight_travels_as_a_small_message(void **state)
{
	json_t *before, *after;

	assert_true(soon(is_applied, NULL));
	before = json_loads(bench.last.body, 0, NULL);
	put("east/route.yaml", ROUTE_YAML(0, 100));
	assert_true(soon(config_has, "\"weight\": 100"));
	assert_true(soon(is_applied, NULL));
	after = json_loads(bench.last.body, 0, NULL);
	json_t *b = json_array_get(json_object_get(before, "items"), 0);
	json_t *n = json_array_get(json_object_get(after, "items"), 0);
	assert_int_equal(json_integer_value(json_object_get(n, "snapshotsSent")),
		json_integer_value(json_object_get(b, "snapshotsSent")));
	assert_int_equal(json_integer_value(json_object_get(n, "smallsSent")),
		json_integer_value(json_object_get(b, "smallsSent")) + 1);
	json_decref(before);
	json_decref(after);
}

/* The Gateway says so of its second generation. */
static bool gateway_is_programmed_anew(const void *arg)
{
	json_t *answer, *o, *c;
	bool yes = false;
	size_t i, k;

	if (get("/api/v1/status") != 200)
		return false;
	answer = json_loads(bench.last.body, 0, NULL);
	json_array_foreach (json_object_get(answer, "items"), i, o) {
		if (strcmp(json_string_value(json_object_get(o, "kind")), "Gateway") != 0)
			continue;
		json_array_foreach (json_object_get(json_object_get(o, "status"), "conditions"), k,
			c)
			yes |= strcmp(json_string_value(json_object_get(c, "type")),
				       "Programmed") == 0 &&
				strcmp(json_string_value(json_object_get(c, "status")), "True") ==
					0 &&
				json_integer_value(json_object_get(c, "observedGeneration")) == 2;
	}
	json_decref(answer);
	return yes;
}

static void an_edit_that_no_dataplane_needs_to_know_is_programmed_too(void **state)
{
	put("east/gw.yaml", GATEWAY_YAML "  infrastructure: {labels: {team: edge}}\n");
	assert_true(soon(gateway_is_programmed_anew, NULL));
}

static void a_malformed_file_is_named_and_the_last_good_stays(void **state)
{
	put("east/route.yaml", "kind: HTTPRoute\nmetadata: [\n");
	assert_true(soon(status_has, "\"stale\": true"));
	assert_non_null(strstr(strstr(bench.last.body, "\"problems\""), "east/route.yaml:"));
	assert_true(config_has("demo/app rule 0"));
	assert_int_equal(CTL("%s status", in_dir("run/control.sock")), 3);
	assert_non_null(strstr(out, "error: "));
	assert_non_null(strstr(out, "route.yaml:"));
	assert_non_null(strstr(out, "stays in use"));
}

static void a_file_half_written_changes_nothing_until_it_is_closed(void **state)
{
	const char *text = ROUTE_YAML(70, 30);
	int fd;

	put("east/route.yaml", ROUTE_YAML(60, 40));
	assert_true(soon(config_has, "60.0"));
	fd = open(in_dir("east/route.yaml"), O_WRONLY | O_TRUNC);
	usleep(50000);
	assert_true(config_has("60.0"));
	assert_int_equal(write(fd, text, 20), 20);
	put("east/other.yaml", SERVICE_YAML("other", READY("10.203.0.31", "o-a")));
	usleep(50000);
	assert_true(config_has("60.0"));
	assert_true(write(fd, text + 20, strlen(text) - 20) > 0);
	close(fd);
	assert_true(soon(config_has, "70.0"));
	assert_true(soon(status_lacks, "route.yaml:1:"));
}

static void a_file_that_is_removed_takes_its_objects_along(void **state)
{
	put("east/extra.yaml",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
		"metadata: {name: extra, namespace: demo}\nspec: {parentRefs: [{name: gw}]}\n");
	assert_true(soon(status_has, "\"extra\""));
	assert_int_equal(unlink(in_dir("east/extra.yaml")), 0);
	assert_true(soon(status_lacks, "\"extra\""));
}

static void a_directory_made_later_is_read(void **state)
{
	assert_int_equal(mkdir(in_dir("east/sub"), 0755), 0);
	put("east/sub/route.yaml",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
		"metadata: {name: sub, namespace: demo}\nspec: {parentRefs: [{name: gw}]}\n");
	assert_true(soon(status_has, "\"sub\""));
	assert_int_equal(unlink(in_dir("east/sub/route.yaml")), 0);
	assert_int_equal(rmdir(in_dir("east/sub")), 0);
	assert_true(soon(status_lacks, "\"sub\""));
}

/* --- HTTP --- */

static void validators_and_head_work_on_the_wire(void **state)
{
	char match[100];

	assert_int_equal(get("/api/v1/config"), 200);
	assert_int_equal(strlen(bench.last.etag), 18);
	snprintf(match, sizeof(match), "If-None-Match: %s", bench.last.etag);
	call(&bench.last, "GET", "/api/v1/config", match, NULL, 0);
	assert_int_equal(bench.last.status, 304);
	assert_int_equal(bench.last.len, 0);
	call(&bench.last, "HEAD", "/api/v1/config", NULL, NULL, 0);
	assert_int_equal(bench.last.status, 200);
	assert_int_equal(bench.last.len, 0);
}

static void errors_are_problems_on_the_wire(void **state)
{
	char *big = calloc(1, (1 << 20) + 1), path[3000] = "/api/v1/version?x=";

	assert_int_equal(get("/nothing"), 404);
	assert_non_null(strstr(bench.last.body, "urn:sluice:problem:not-found"));
	call(&bench.last, "POST", "/api/v1/config", NULL, "{}", 2);
	assert_int_equal(bench.last.status, 405);
	memset(path + strlen(path), 'a', 2500);
	assert_int_equal(get(path), 414);
	memset(big, ' ', 1 << 20);
	call(&bench.last, "POST", "/api/v1/trace", "Content-Type: application/json", big,
		(1 << 20) + 1);
	assert_int_equal(bench.last.status, 413);
	/* without a length said beforehand */
	call(&bench.last, "POST", "/api/v1/trace", "Transfer-Encoding: chunked", big,
		(1 << 20) + 1);
	assert_int_equal(bench.last.status, 413);
	call(&bench.last, "POST", "/api/v1/trace", "Content-Type: application/json", big, 1 << 20);
	assert_int_equal(bench.last.status, 400);
	free(big);
	assert_int_equal(get("/livez"), 200);
}

static void garbage_on_the_socket_hurts_nobody_else(void **state)
{
	static const char *const texts[] = {"\r\n\r\n\r\n", "GET", "GET / HTTP/9.9\r\n\r\n",
		"\xff\xfe\x00",
		"GET /livez HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"POST /api/v1/trace HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		"chunked\r\n\r\nzz\r\n"};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	strcpy(addr.sun_path, in_dir("run/control.sock"));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
		assert_true(send(fd, texts[i], strlen(texts[i]), MSG_NOSIGNAL) > 0);
		assert_int_equal(get("/livez"), 200);
		close(fd);
	}
	assert_int_equal(get("/livez"), 200);
}

static void the_dataplane_is_asked(void **state)
{
	assert_int_equal(get("/api/v1/conns"), 200);
	assert_non_null(strstr(bench.last.body, "ESTABLISHED"));
	assert_int_equal(get("/api/v1/counters"), 200);
	assert_non_null(strstr(bench.last.body, "\"eth_drop_short\": 3"));
	assert_int_equal(get("/metrics"), 200);
	assert_non_null(strstr(bench.last.body,
		"sluice_drops_total{dataplane=\"dp0\",layer=\"net\",reason=\"eth_drop_short\"} "
		"3\n"));
	assert_non_null(strstr(bench.last.body,
		"sluice_port_rx_packets_total{dataplane=\"dp0\","
		"port=\"eth0\"} 12\n"));
	assert_non_null(strstr(bench.last.body,
		"sluice_port_nap_seconds_total{dataplane=\"dp0\","
		"port=\"eth0\"} 1.5\n"));
	assert_non_null(strstr(bench.last.body, "# TYPE sluice_agent_apply_seconds_max gauge\n"));
	assert_non_null(strstr(bench.last.body,
		"sluice_worker_tcp_conns{dataplane=\"dp0\",worker=\"0\"} 2\n"));
	assert_int_equal(get("/api/v1/conns?worker=9"), 400);
	assert_non_null(strstr(bench.last.body, "there is none"));
}

static void a_question_without_answer_ends_in_504(void **state)
{
	uint64_t start = clock_mono_us();

	assert_int_equal(get("/api/v1/conns?worker=7"), 504);
	assert_true(clock_mono_us() - start >= 2000000);
	assert_true(clock_mono_us() - start < 6000000);
	usleep(1500000); /* the dataplane gives up, too, and takes other questions */
	assert_int_equal(get("/livez"), 200);
}

/* --- sluicectl --- */

static const struct ctl_row {
	const char *name, *args;
	int status;
	const char *text; /* in its output */
} ctl_rows[] = {
	{"sluicectl status is good", "status", 0, "Accepted Programmed"},
	{"sluicectl get by kind", "get httproute", 0, "demo/app"},
	{"sluicectl get by name", "get gateway demo/gw", 0, "203.0.113.10"},
	{"sluicectl get of what is not there", "get gateway demo/none", 1, "no such resource"},
	{"sluicectl get of everything", "get all", 0, "GatewayClass"},
	{"sluicectl describe", "describe httproute demo/app", 0, "lastTransitionTime:"},
	{"sluicectl describe with a namespace apart", "describe --namespace demo httproute app", 0,
		"parents:"},
	{"sluicectl routes", "routes", 0, "app.demo.lab"},
	{"sluicectl weights", "weights", 0, "70%"},
	{"sluicectl weights of other rules", "weights 'nothing*'", 0, "BACKEND"},
	{"sluicectl explain", "explain backend demo/app-v1", 0, "= WEIGHT"},
	{"sluicectl explain of what is not there", "explain backend nothing", 1,
		"no route leads to"},
	{"sluicectl explain of what cannot be explained", "explain life app", 2, "backend is"},
	{"sluicectl endpoints", "endpoints", 0, "10.203.0.11:8080"},
	{"sluicectl counters", "counters", 0, "dp0.net.arp_in"},
	{"sluicectl counters by part of the name", "counters eth_drop", 0, "eth_drop_short"},
	{"sluicectl drops", "drops", 0, "eth_drop_short  3"},
	{"sluicectl conns shows every page", "conns", 0, "CWND"},
	{"sluicectl conns by state", "conns --state established", 0, "10.203.0.11:8080"},
	{"sluicectl trace shows one walk", "trace --client 10.201.0.2 --count 1", 0,
		"tcp_input SYN"},
	{"sluicectl dataplanes", "dataplanes", 0, "ipc://"},
	{"sluicectl version", "version", 0, "control"},
	{"sluicectl as JSON", "-o json get gateway demo/gw", 0, "\"status\": {"},
	{"sluicectl help", "conns --help", 0, "Usage: sluicectl conns"},
	{"sluicectl without a command is usage", "", 2, "Commands:"},
	{"sluicectl with an unknown command is usage", "fly", 2, "no such command"},
	{"sluicectl with an unknown option is usage", "routes --fast", 2, "unknown option"},
	{"sluicectl with an odd client is refused", "trace --client nobody", 1, "client is an"},
};

static void ctl_holds(void **state)
{
	const struct ctl_row *r = *state;
	int rc = CTL("%s %s", in_dir("run/control.sock"), r->args);

	if (rc != r->status || strstr(out, r->text) == NULL)
		fail_msg("%s: exit %d (want %d), output:\n%s", r->args, rc, r->status, out);
}

static void a_trace_stops_where_the_next_walk_begins(void **state)
{
	assert_int_equal(CTL("%s trace --count 1", in_dir("run/control.sock")), 0);
	assert_null(strstr(out, "next"));
}

static void sluicectl_says_when_nobody_is_there(void **state)
{
	assert_int_equal(CTL("%s status", in_dir("no.sock")), 1);
	assert_non_null(strstr(out, "is sluice-control running?"));
}

/* --- the process --- */

static void a_second_control_is_refused(void **state)
{
	char text[600];

	put_config("");
	assert_int_equal(wait_exit(spawn_control(in_dir("control.yaml"))), 1);
	snprintf(text, sizeof(text),
		"clusters: [{name: east, directory: east}]\napi: {socket: run/other.sock}\n"
		"stateDirectory: state\n");
	put("other.yaml", text);
	assert_int_equal(wait_exit(spawn_control(in_dir("other.yaml"))), 1);
	assert_int_equal(get("/readyz"), 200);
}

static bool log_has(const void *text)
{
	char buf[64 << 10];
	FILE *f = fopen(in_dir("control.log"), "r");
	size_t n = f != NULL ? fread(buf, 1, sizeof(buf) - 1, f) : 0;

	buf[n] = '\0';
	if (f != NULL)
		fclose(f);
	return strstr(buf, text) != NULL;
}

static void sighup_takes_what_is_safe_and_refuses_the_rest(void **state)
{
	put_config("trustedNetworks: [192.0.2.0/24]\n");
	kill(w.control, SIGHUP);
	assert_true(soon(config_has, "192.0.2.0/24"));
	put("control.yaml", "clusters: 7\n");
	kill(w.control, SIGHUP);
	assert_true(soon(log_has, "control.yaml:1: clusters"));
	put("control.yaml", "clusters: [{name: west, directory: west}]\n");
	kill(w.control, SIGHUP);
	assert_true(soon(log_has, "dataplanes: a change needs a restart"));
	assert_true(config_has("192.0.2.0/24"));
	put_config("");
	kill(w.control, SIGHUP);
	assert_true(soon(config_lacks, "192.0.2.0/24"));
}

/* What is read again while plans of what was read before still wait to be told, outlives them. */
static void sighups_may_come_in_a_row(void **state)
{
	for (unsigned i = 0; i < 800; i++) {
		kill(w.control, SIGHUP);
		usleep(3000);
	}
	assert_int_equal(waitpid(w.control, NULL, WNOHANG), 0);
	put_config("trustedNetworks: [192.0.2.0/24]\n");
	kill(w.control, SIGHUP);
	assert_true(soon(config_has, "192.0.2.0/24"));
	put_config("");
	kill(w.control, SIGHUP);
	assert_true(soon(config_lacks, "192.0.2.0/24"));
}

static bool clusters_have(const void *text)
{
	return get("/api/v1/clusters") == 200 && strstr(bench.last.body, text) != NULL;
}

static bool clusters_lack(const void *text)
{
	return get("/api/v1/clusters") == 200 && strstr(bench.last.body, text) == NULL;
}

static void clusters_come_and_go_by_rest(void **state)
{
	char cmd[300];

	snprintf(cmd, sizeof(cmd), "mkdir -p %s/west", bench.dir);
	assert_int_equal(system(cmd), 0);
	put("west/bad.yaml", "{apiVersion: v1, kind: Service, metadata: {name: x}, spec: 1}");
	assert_int_equal(run(out, sizeof(out),
				 "sluicectl --socket %s cluster add west --directory "
				 "%s/west --weight 7 --roles workload",
				 in_dir("run/control.sock"), bench.dir),
		0);
	assert_true(soon(status_has, "west/bad.yaml"));
	assert_true(clusters_have("\"weight\": 7"));
	assert_int_equal(run(out, sizeof(out),
				 "sluicectl --socket %s cluster set west --state drain",
				 in_dir("run/control.sock")),
		0);
	assert_true(clusters_have("\"drain\""));
	assert_true(clusters_have("\"weight\": 7"));
	assert_int_equal(run(out, sizeof(out),
				 "sluicectl --socket %s cluster drain west --timeout 1",
				 in_dir("run/control.sock")),
		1);
	assert_non_null(strstr(out, "% drained, 0 requests in flight"));
	assert_non_null(strstr(out, "the drain goes on"));
	assert_int_equal(run(out, sizeof(out), "sluicectl --socket %s cluster set east --weight 9",
				 in_dir("run/control.sock")),
		0);
	assert_true(clusters_have("\"weight\": 9"));
	assert_int_equal(run(out, sizeof(out), "sluicectl --socket %s cluster",
				 in_dir("run/control.sock")),
		0);
	assert_non_null(strstr(out, "workload"));
	assert_int_equal(run(out, sizeof(out), "sluicectl --socket %s cluster remove east",
				 in_dir("run/control.sock")),
		1);
	assert_non_null(strstr(out, "control.yaml"));
	assert_int_equal(run(out, sizeof(out),
				 "sluicectl --socket %s cluster add far --kubeconfig /nowhere",
				 in_dir("run/control.sock")),
		1);
	assert_non_null(strstr(out, "/nowhere"));
}

static void a_cluster_whose_kubeconfig_broke_can_be_drained(void **state)
{
	put("far.yaml",
		"{current-context: c, contexts: [{name: c, context: {cluster: k}}], clusters: "
		"[{name: k, cluster: {server: 'https://127.0.0.1:9'}}]}");
	assert_int_equal(run(out, sizeof(out),
				 "sluicectl --socket %s cluster add far --kubeconfig %s",
				 in_dir("run/control.sock"), in_dir("far.yaml")),
		0);
	put("far.yaml", "broken");
	assert_int_equal(run(out, sizeof(out),
				 "sluicectl --socket %s cluster set far --state drain",
				 in_dir("run/control.sock")),
		0);
	assert_true(clusters_have("\"drain\""));
	assert_int_equal(run(out, sizeof(out), "sluicectl --socket %s cluster remove far",
				 in_dir("run/control.sock")),
		0);
}

static bool far_is_used(const void *text)
{
	return get("/api/v1/clusters/far") == 200 && strstr(bench.last.body, text) != NULL &&
		strstr(bench.last.body, "\"server\": \"https://127.0.0.1:9\"") != NULL;
}

static void a_kubeconfig_that_cannot_work_takes_nobodys_place(void **state)
{
	put("far.yaml",
		"{current-context: c, contexts: [{name: c, context: {cluster: k}}], clusters: "
		"[{name: k, cluster: {server: 'https://127.0.0.1:9'}}]}");
	put("bad.yaml", "broken");
	put_clusters("- {name: far, kubeconfig: far.yaml}\n");
	kill(w.control, SIGHUP);
	assert_true(soon(far_is_used, "\"error\": \"\""));
	put_clusters("- {name: far, kubeconfig: bad.yaml}\n");
	kill(w.control, SIGHUP);
	assert_true(soon(far_is_used, "bad.yaml"));
	assert_true(far_is_used("bad.yaml: must be one document"));
	put_clusters("- {name: far, kubeconfig: far.yaml}\n");
	kill(w.control, SIGHUP);
	assert_true(soon(far_is_used, "\"error\": \"\""));
	put_clusters("");
	kill(w.control, SIGHUP);
	assert_true(soon(clusters_lack, "\"far\""));
}

/* An error quotes what is wrong, and is cut: perhaps within a character, which JSON would not take. */
static void an_error_that_is_cut_within_a_character_is_shown(void **state)
{
	for (int odd = 0; odd < 2; odd++) {
		char text[2000] = "current-context: ";

		strcat(text, odd ? "x" : "xx");
		for (int i = 0; i < 300; i++)
			strcat(text, "\xc3\xa4");
		put("far.yaml", text);
		put_clusters("- {name: far, kubeconfig: far.yaml}\n");
		kill(w.control, SIGHUP);
		assert_true(soon(clusters_have, "has no entry named \\\"x"));
		assert_true(status_has("has no entry named \\\"x"));
		put_clusters("");
		kill(w.control, SIGHUP);
		assert_true(soon(clusters_lack, "\"far\""));
	}
}

static void what_rest_said_survives_a_restart(void **state)
{
	assert_int_equal(kill(w.control, SIGTERM), 0);
	assert_int_equal(wait_exit(w.control), 0);
	w.control = spawn_control(in_dir("control.yaml"));
	assert_true(soon(is_ready, NULL));
	assert_true(clusters_have("\"weight\": 7"));
	assert_true(clusters_have("\"weight\": 9"));
	assert_int_equal(run(out, sizeof(out), "sluicectl --socket %s cluster remove west",
				 in_dir("run/control.sock")),
		0);
	assert_true(soon(status_lacks, "west/bad.yaml"));
	assert_false(clusters_have("\"weight\": 7"));
}

static void it_lives_while_the_dataplane_is_gone(void **state)
{
	dataplane_stop(w.dp);
	w.dp = NULL;
	assert_true(soon(is_not_ready, NULL));
	put("east/route.yaml", ROUTE_YAML(10, 90));
	assert_true(soon(config_has, "90.0"));
	assert_int_equal(get("/api/v1/conns"), 503);
	assert_int_equal(get("/metrics"), 200);
	w.dp = dataplane_start(in_dir("dp"));
	assert_true(soon(is_ready, NULL));
}

static void sigterm_ends_it_and_removes_the_socket(void **state)
{
	assert_int_equal(kill(w.control, SIGTERM), 0);
	assert_int_equal(wait_exit(w.control), 0);
	w.control = 0;
	assert_int_equal(access(in_dir("run/control.sock"), F_OK), -1);
}

static void a_restart_sends_nothing_that_is_in_place(void **state)
{
	w.control = spawn_control(in_dir("control.yaml"));
	assert_true(soon(is_ready, NULL));
	get("/api/v1/dataplanes");
	assert_non_null(strstr(bench.last.body, "\"snapshotsSent\": 0"));
	sigterm_ends_it_and_removes_the_socket(state);
}

/* --- --check --- */

static void check_tells_good_from_wrong_from_unreadable(void **state)
{
	assert_int_equal(run(out, sizeof(out), "sluice-control --check %s", bench.dir), 0);
	assert_non_null(strstr(out, "Accepted"));
	assert_int_equal(run(out, sizeof(out), "sluice-control -c %s --check",
				 in_dir("control.yaml")),
		0);
	put("east/bad.yaml",
		"apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\n"
		"metadata: {name: bad, namespace: demo}\n"
		"spec: {rules: [{backendRefs: [{name: x, port: 80, weight: -1}]}]}\n");
	assert_int_equal(run(out, sizeof(out), "sluice-control --check %s", bench.dir), 1);
	if (strstr(out, "east/bad.yaml:4: HTTPRoute demo/bad: ") == NULL)
		fail_msg("%s", out);
	assert_non_null(strstr(out, "weight"));
	unlink(in_dir("east/bad.yaml"));
	assert_int_equal(run(out, sizeof(out), "sluice-control --check %s", in_dir("east")), 0);
	assert_int_equal(run(out, sizeof(out), "sluice-control --dump %s", bench.dir), 0);
	assert_non_null(strstr(out, "listener demo/gw/http"));
	put("control.yaml", "clusters: []\n");
	assert_int_equal(run(out, sizeof(out), "sluice-control --check %s", bench.dir), 2);
	assert_non_null(strstr(out, "control.yaml:1: clusters"));
	assert_int_equal(run(out, sizeof(out), "sluice-control --check /no/such"), 2);
	assert_int_equal(run(out, sizeof(out), "sluice-control --fly"), 2);
	assert_int_equal(run(out, sizeof(out), "sluice-control stray"), 2);
	assert_int_equal(run(out, sizeof(out), "sluice-control --version"), 0);
	assert_int_equal(run(out, sizeof(out), "sluice-control --help"), 0);
}

#define COUNT(x) (sizeof(x) / sizeof((x)[0]))

int main(void)
{
	const struct CMUnitTest before[] = {
		cmocka_unit_test(it_becomes_ready_when_the_dataplane_has_acknowledged),
		cmocka_unit_test(root_is_given_up),
		cmocka_unit_test(an_edit_by_rename_is_seen),
		cmocka_unit_test(a_weight_travels_as_a_small_message),
		cmocka_unit_test(an_edit_that_no_dataplane_needs_to_know_is_programmed_too),
		cmocka_unit_test(a_malformed_file_is_named_and_the_last_good_stays),
		cmocka_unit_test(a_file_half_written_changes_nothing_until_it_is_closed),
		cmocka_unit_test(a_file_that_is_removed_takes_its_objects_along),
		cmocka_unit_test(a_directory_made_later_is_read),
		cmocka_unit_test(validators_and_head_work_on_the_wire),
		cmocka_unit_test(errors_are_problems_on_the_wire),
		cmocka_unit_test(garbage_on_the_socket_hurts_nobody_else),
		cmocka_unit_test(the_dataplane_is_asked),
		cmocka_unit_test(a_question_without_answer_ends_in_504),
		cmocka_unit_test(a_trace_stops_where_the_next_walk_begins),
		cmocka_unit_test(sluicectl_says_when_nobody_is_there),
	};
	const struct CMUnitTest after[] = {
		cmocka_unit_test(a_second_control_is_refused),
		cmocka_unit_test(sighup_takes_what_is_safe_and_refuses_the_rest),
		cmocka_unit_test(sighups_may_come_in_a_row),
		cmocka_unit_test(clusters_come_and_go_by_rest),
		cmocka_unit_test(a_cluster_whose_kubeconfig_broke_can_be_drained),
		cmocka_unit_test(a_kubeconfig_that_cannot_work_takes_nobodys_place),
		cmocka_unit_test(an_error_that_is_cut_within_a_character_is_shown),
		cmocka_unit_test(what_rest_said_survives_a_restart),
		cmocka_unit_test(it_lives_while_the_dataplane_is_gone),
		cmocka_unit_test(sigterm_ends_it_and_removes_the_socket),
		cmocka_unit_test(a_restart_sends_nothing_that_is_in_place),
		cmocka_unit_test(check_tells_good_from_wrong_from_unreadable),
	};
	struct CMUnitTest tests[COUNT(before) + COUNT(ctl_rows) + COUNT(after)];
	size_t n = COUNT(before);

	memcpy(tests, before, sizeof(before));
	for (size_t i = 0; i < COUNT(ctl_rows); i++)
		tests[n++] = (struct CMUnitTest){.name = ctl_rows[i].name,
			.test_func = ctl_holds,
			.initial_state = (void *)&ctl_rows[i]};
	memcpy(tests + n, after, sizeof(after));
	return _cmocka_run_group_tests("control", tests, n + COUNT(after), world_open, world_close);
}
