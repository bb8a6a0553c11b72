// SPDX-License-Identifier: Apache-2.0
/*
 * config_test.c: control.yaml: defaults, paths, and a sentence with file and line for each mistake.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/config/config.h"
#include "dataplane/base/log.h"

#define CLUSTERS "clusters:\n- {name: us-east, directory: clusters/us-east}\n"

static int load(const char *text, struct control_config *c, struct err *err)
{
	char dir[] = "/tmp/config_test.XXXXXX", path[64];
	FILE *f;
	int rc;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/c.yaml", dir);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	rc = control_config_load(path, c, err);
	unlink(path);
	rmdir(dir);
	return rc;
}

static void defaults_are_filled_in(void **state)
{
	struct control_config c;
	struct err err;

	assert_int_equal(load(CLUSTERS, &c, &err), 0);
	assert_true(str_eq(c.controller_name, STR("gateway.sluice.internal/controller")));
	assert_int_equal(c.clusters_count, 1);
	assert_int_equal(c.clusters[0].line, 2);
	assert_int_equal(c.pools_count, 0);
	assert_string_equal(c.api_socket, "/run/sluice/control.sock");
	assert_string_equal(c.state_directory, "/var/lib/sluice/control");
	assert_int_equal(c.log_level, LOG_LEVEL_INFO);
	assert_int_equal(c.exchange_bytes_max, 0);
	control_config_fini(&c);
}

static void everything_that_is_said_is_read(void **state)
{
	static const char text[] =
		CLUSTERS "- {name: us-west, directory: /abs/us-west}\n"
			 "controllerName: example.com/c\n"
			 "pools: [{name: p, cidrs: [203.0.113.0/28, '2001:db8::/64']}]\n"
			 "dataplanes: [{name: dp0, url: 'ipc:///run/dp0.ipc'}]\n"
			 "api: {socket: run/c.sock}\n"
			 "stateDirectory: state\n"
			 "trustedNetworks: [10.0.0.0/8, 192.0.2.1]\n"
			 "timeouts: {header: 10s, idle: 1m, connect: 500ms, response: 1h30m}\n"
			 "exchangeBytesMax: 256Ki\n"
			 "logLevel: debug\n";
	struct control_config c;
	struct err err;

	if (load(text, &c, &err) < 0)
		fail_msg("%s", err.msg);
	assert_non_null(strstr(c.clusters[0].directory, "/clusters/us-east"));
	assert_int_equal(c.clusters[0].directory[0], '/');
	assert_string_equal(c.clusters[1].directory, "/abs/us-west");
	assert_int_equal(c.pools[0].cidrs_count, 2);
	assert_int_equal(c.pools[0].cidrs[0].len, 124);
	assert_string_equal(c.dataplanes[0].url, "ipc:///run/dp0.ipc");
	assert_int_equal(c.trusted_count, 2);
	assert_int_equal(c.header_timeout_ms, 10000);
	assert_int_equal(c.idle_timeout_ms, 60000);
	assert_int_equal(c.connect_timeout_ms, 500);
	assert_int_equal(c.response_timeout_ms, 5400000);
	assert_int_equal(c.exchange_bytes_max, 262144);
	assert_int_equal(c.log_level, LOG_LEVEL_DEBUG);
	control_config_fini(&c);
}

static void a_site_knows_its_peers_and_where_clusters_are(void **state)
{
	static const char text[] = "clusters:\n"
				   "- {name: us-east, directory: a, site: east}\n"
				   "- {name: us-west, directory: b, site: west}\n"
				   "ramp: {pointsPerSecond: 200}\n"
				   "site:\n"
				   "  name: east\n"
				   "  listen: tls+tcp://[::]:7443\n"
				   "  certificate: east.crt\n"
				   "  key: /keys/east.key\n"
				   "  ca: ca.crt\n"
				   "  signingKey: east.sign\n"
				   "  peers:\n"
				   "  - {name: west, url: 'tls+tcp://west.example.com:7443', "
				   "signingKey: west.pub, distance: far}\n";
	struct control_config c;
	struct err err;

	if (load(text, &c, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(str_eq(c.clusters[1].site, STR("west")));
	assert_int_equal(c.ramp_points, 200);
	assert_non_null(c.site);
	assert_true(str_eq(c.site->name, STR("east")));
	assert_string_equal(c.site->listen, "tls+tcp://[::]:7443");
	assert_int_equal(c.site->certificate[0], '/');
	assert_string_equal(c.site->key, "/keys/east.key");
	assert_int_equal(c.site->peers_count, 1);
	assert_int_equal(c.site->peers[0].distance, SITE_FAR);
	assert_int_equal(c.site->peers[0].signing_key[0], '/');
	assert_int_equal(c.site->peers[0].line, 13);
	control_config_fini(&c);
}

static const struct {
	const char *text, *want; /* want: behind the file's name */
} bad_rows[] = {
	{"", ":0: clusters: is required"},
	{"clusters: []\n", ":1: clusters: must have at least 1 items, but has 0"},
	{CLUSTERS "colour: blue\n", ":3: colour: unknown field"},
	{CLUSTERS "api: {sokcet: x}\n", ":3: api.sokcet: unknown field"},
	{"clusters: {}\n", ":1: clusters: must be a list, but is a map"},
	{"clusters: [{name: us-east}]\n",
		":1: clusters[0]: needs one of directory, kubeconfig and inCluster"},
	{"clusters: [{name: a, directory: x, kubeconfig: k}]\n",
		":1: clusters[0]: needs one of directory, kubeconfig and inCluster"},
	{"clusters: [{name: a, directory: x, context: k}]\n",
		":1: clusters[0].context: belongs to a kubeconfig"},
	{"clusters: [{name: a, kubeconfig: k, roles: [boss]}]\n",
		":1: clusters[0].roles: must be config or workload, but is \"boss\""},
	{"clusters: [{name: a, kubeconfig: k, weight: 1000001}]\n",
		":1: clusters[0].weight: must be between 0 and 1000000, but is 1000001"},
	{"clusters: [{name: a, kubeconfig: k, adminState: off}]\n",
		":1: clusters[0].adminState: must be a string, but is the boolean off (put it "
		"in quotes)"},
	{"clusters: [{name: US, directory: x}]\n",
		":1: clusters[0].name: must be lower case letters, digits and '-', but is \"US\""},
	{"clusters: [{name: a, directory: x}, {name: a, directory: z}]\n",
		":1: clusters: the name a stands twice"},
	{CLUSTERS "pools: [{name: p, cidrs: [203.0.113.1/28]}]\n",
		":3: pools[0].cidrs[0]: must be an address or a network like 192.0.2.0/24 with no "
		"bits "
		"set behind the prefix, but is \"203.0.113.1/28\""},
	{CLUSTERS "dataplanes: [{name: a, url: 'tcp://127.0.0.1:80'}]\n",
		":3: dataplanes[0].url: must be ipc:// and an absolute path, but is "
		"\"tcp://127.0.0.1:80\""},
	{CLUSTERS "timeouts: {idle: 0s}\n",
		":3: timeouts.idle: must be between 1 and 86400000, but is 0"},
	{CLUSTERS "timeouts: {idle: 60}\n",
		":3: timeouts.idle: must be a duration like 500ms, 10s or 1h30m, but is \"60\""},
	{CLUSTERS "exchangeBytesMax: 1k\n",
		":3: exchangeBytesMax: must be a size like 4096, 256Ki or 64Mi, but is \"1k\""},
	{CLUSTERS "logLevel: loud\n",
		":3: logLevel: must be error, warn, info or debug, but is \"loud\""},
	{"clusters: [{name: a, directory: x, site: b}]\n",
		":1: clusters: a: site: says nothing without the name of our own (site.name)"},
	{CLUSTERS "site: {}\n", ":3: site.name: is required"},
	{CLUSTERS "site: {name: a, listen: 'tls+tcp://0.0.0.0:1', key: k, ca: c, signingKey: s}\n",
		":3: site.certificate: is required of a site that has peers"},
	{CLUSTERS "site: {name: a, listen: 'tcp://0.0.0.0:1'}\n",
		":3: site.listen: must be tls+tcp://HOST:PORT, but is \"tcp://0.0.0.0:1\""},
	{CLUSTERS "site: {name: a, listen: 'tls+tcp://host:0'}\n",
		":3: site.listen: must be tls+tcp://HOST:PORT, but is \"tls+tcp://host:0\""},
	{CLUSTERS "site: {name: a, certificate: x, key: k, ca: c, signingKey: s, peers: [{name: a, "
		  "url: 'tls+tcp://h:1', signingKey: p}]}\n",
		":3: site.peers: a is this site itself"},
	{CLUSTERS "ramp: {pointsPerSecond: 0}\n",
		":3: ramp.pointsPerSecond: must be between 1 and 1000, but is 0"},
	{CLUSTERS "---\n" CLUSTERS, ": holds more than one document"},
};

static void a_mistake_is_named_with_its_line(void **state)
{
	for (size_t i = 0; i < sizeof(bad_rows) / sizeof(bad_rows[0]); i++) {
		struct control_config c;
		struct err err = {""};
		const char *rest;

		assert_int_equal(load(bad_rows[i].text, &c, &err), -22);
		rest = strstr(err.msg, "c.yaml");
		assert_non_null(rest);
		assert_string_equal(rest + strlen("c.yaml"), bad_rows[i].want);
	}
}

static void every_example_is_read(void **state)
{
	static const char *const files[] = {"configs/control.yaml",
		"configs/examples/canary/control.yaml", "configs/examples/mesh/control.yaml"};

	assert_int_equal(chdir(SOURCE_ROOT), 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct control_config c;
		struct err err;

		if (control_config_load(files[i], &c, &err) < 0)
			fail_msg("%s", err.msg);
		control_config_fini(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_filled_in),
		cmocka_unit_test(everything_that_is_said_is_read),
		cmocka_unit_test(a_site_knows_its_peers_and_where_clusters_are),
		cmocka_unit_test(a_mistake_is_named_with_its_line),
		cmocka_unit_test(every_example_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
