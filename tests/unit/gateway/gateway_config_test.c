// SPDX-License-Identifier: Apache-2.0
/*
 * gateway_config_test.c: gateway.yaml: what is read, what is refused and where the finger points.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "dataplane/gateway_config.h"

#define PORTS "ports:\n- {name: wan, profile: af_packet, iface: eth0}\n"
#define SOURCES "sources: [192.0.2.1]\n"

static char path[] = "/tmp/gateway_config_test.XXXXXX";

static int load(const char *text, struct gateway_config *ret, struct err *err)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	err->msg[0] = '\0';
	return gateway_config_load(path, ret, err);
}

static void refused(const char *text, const char *sentence)
{
	struct gateway_config c;
	struct err err;

	assert_true(load(text, &c, &err) < 0);
	if (strstr(err.msg, sentence) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.msg, sentence);
}

static void the_smallest_file_has_all_defaults(void **state)
{
	struct worker_config w;
	struct gateway_config c;
	struct err err;

	assert_int_equal(load(PORTS SOURCES, &c, &err), 0);
	assert_true(str_eq(c.name, STR("dp0")));
	assert_int_equal(c.workers_count, 1);
	assert_int_equal(c.poll, WORKER_POLL_ADAPTIVE);
	assert_string_equal(c.url, "ipc:///run/sluice/dp0.ipc");
	assert_string_equal(c.state_directory, "/var/lib/sluice");
	assert_null(c.log_path);
	assert_null(c.user);
	assert_int_equal(c.drain_ms, 30000);
	assert_int_equal(c.time_wait_ms, 10000);
	gateway_config_worker(&c, &w);
	assert_int_equal(w.access_records, 0);
	assert_int_equal(w.http.down_max, 32768);
	assert_int_equal(w.http.exchange_bytes_max, 1 << 20);
	assert_int_equal(w.source_count, 1);
	gateway_config_fini(&c);
}

static void totals_are_shared_out_among_workers(void **state)
{
	struct worker_config w;
	struct gateway_config c;
	struct err err;

	assert_int_equal(load(PORTS SOURCES "workers: {count: 3}\n"
					    "limits: {connections: 100, upstreamConnections: 50, "
					    "connectionsPerSource: 10}\n",
				 &c, &err),
		0);
	gateway_config_worker(&c, &w);
	assert_int_equal(w.http.down_max, 34);
	assert_int_equal(w.tcp.conns_max, 34 + 17);
	assert_int_equal(w.tcp.conns_per_source_max, 4);
	gateway_config_fini(&c);
}

static void ports_of_every_profile_are_read(void **state)
{
	struct gateway_config c;
	struct port_config p;
	struct err err;

	assert_int_equal(load(SOURCES
				 "ports:\n"
				 "- {name: a, profile: af_packet, iface: eth0, mtu: 9000}\n"
				 "- {name: b, profile: tap, iface: tap0}\n"
				 "- {name: c, profile: pci, iface: c0, pci: \"0000:3b:00.0\"}\n"
				 "- {name: d, profile: memif, iface: d0, "
				 "memif: {socket: /m, role: client, id: 7, ringSize: 2048}}\n"
				 "- {name: e, profile: virtio_user, iface: e0, "
				 "offloads: checksum, "
				 "virtioUser: {socket: /v, packed: false}}\n"
				 "- {name: f, profile: vhost_user, iface: f0, "
				 "vhostUser: {socket: /h, role: client}}\n",
				 &c, &err),
		0);
	assert_int_equal(c.ports_count, 6);
	gateway_config_port(&c.ports[0], &p);
	assert_int_equal(p.profile, PORT_AF_PACKET);
	assert_string_equal(p.iface, "eth0");
	assert_int_equal(p.mtu, 9000);
	gateway_config_port(&c.ports[2], &p);
	assert_int_equal(p.profile, PORT_PCI);
	assert_string_equal(p.pci, "0000:3b:00.0");
	assert_string_equal(p.iface, "c0"); /* or nobody could say its addresses and routes */
	gateway_config_port(&c.ports[3], &p);
	assert_int_equal(p.offloads, PORT_OFFLOAD_AUTO);
	assert_int_equal(p.profile, PORT_MEMIF);
	assert_string_equal(p.socket, "/m");
	assert_int_equal(p.memif.role, PORT_ROLE_CLIENT);
	assert_int_equal(p.memif.id, 7);
	assert_int_equal(p.memif.ring_size, 2048);
	gateway_config_port(&c.ports[4], &p);
	assert_string_equal(p.socket, "/v");
	assert_int_equal(p.offloads, PORT_OFFLOAD_CHECKSUM);
	assert_int_equal(p.virtio.queue_size, 1024);
	assert_false(p.virtio.packed);
	assert_true(p.virtio.in_order);
	gateway_config_port(&c.ports[5], &p);
	assert_int_equal(p.profile, PORT_VHOST_USER);
	assert_string_equal(p.socket, "/h");
	assert_int_equal(p.vhost.role, PORT_ROLE_CLIENT);
	gateway_config_fini(&c);
	assert_int_equal(load(SOURCES "ports:\n- {name: g, profile: af_xdp, iface: g0, "
				      "afXdp: {device: eth1}}\n",
				 &c, &err),
		0);
	gateway_config_port(&c.ports[0], &p);
	assert_int_equal(p.profile, PORT_AF_XDP);
	assert_string_equal(p.device, "eth1");
	assert_string_equal(p.iface, "g0");
	gateway_config_fini(&c);
}

static void errors_name_line_and_field(void **state)
{
	static const struct {
		const char *text, *sentence;
	} rows[] = {
		{SOURCES, "ports: is required"},
		{PORTS, "sources: is required"},
		{PORTS SOURCES "colour: red\n", ":4: colour"},
		{PORTS SOURCES "workers: {count: 0}\n", ":4: workers.count"},
		{PORTS SOURCES "workers: {count: 99}\n", ":4: workers.count"},
		{PORTS SOURCES "poll: lazy\n", ":4: poll"},
		{PORTS SOURCES "drainTimeout: 30\n", ":4: drainTimeout"},
		{PORTS SOURCES "timeWaitTime: 500ms\n", ":4: timeWaitTime"},
		{PORTS SOURCES "timeWaitTime: 10m\n", ":4: timeWaitTime"},
		{PORTS SOURCES "control: {url: tcp://1.2.3.4}\n", ":4: control.url"},
		{PORTS SOURCES "control: {socketMode: \"99\"}\n", ":4: control.socketMode"},
		{PORTS SOURCES "stateDirectory: here\n", ":4: stateDirectory"},
		{PORTS SOURCES "limits: {exchangeBytes: 1}\n", ":4: limits.exchangeBytes"},
		{PORTS "sources: [192.0.2.0/24]\n", "192.0.2.0/24 is a network"},
		{PORTS "sources: [192.0.2.1, 192.0.2.1]\n", "192.0.2.1 stands twice"},
		{PORTS "sources: [localhost]\n", "sources[0]"},
		{SOURCES "ports: []\n", "ports"},
		{SOURCES "ports:\n- {name: a, profile: af_packet}\n",
			":3: ports[0].iface: is required"},
		{SOURCES "ports:\n- {name: a, profile: pci, iface: e}\n", "pci: is required"},
		{SOURCES "ports:\n- {name: a, profile: pci, iface: e, pci: 3b:00.0}\n",
			"ports[0].pci"},
		{SOURCES "ports:\n- {name: a, profile: pci, pci: \"0000:3b:00.0\"}\n",
			"ports[0].iface: is required"},
		{SOURCES "ports:\n- {name: a, profile: tap, iface: t, pci: \"0000:3b:00.0\"}\n",
			"pci: goes with"},
		{SOURCES "ports:\n- {name: a, profile: warp, iface: t}\n", "ports[0].profile"},
		{SOURCES "ports:\n- {name: a, profile: memif, iface: t}\n",
			":3: ports[0].memif: is required by profile memif"},
		{SOURCES "ports:\n- {name: a, profile: memif, iface: t,\n   memif: {id: 1}}\n",
			":4: ports[0].memif.socket: is required"},
		{SOURCES "ports:\n- {name: a, profile: memif, memif: {socket: /m}}\n",
			":3: ports[0].iface: is required"},
		{SOURCES "ports:\n- {name: a, profile: memif, iface: t, memif: {socket: m.sock}}\n",
			":3: ports[0].memif.socket: must be an absolute path"},
		{SOURCES "ports:\n- {name: a, profile: memif, iface: t, memif: {socket: /m, "
			 "ringSize: 1000}}\n",
			":3: ports[0].memif.ringSize: must be a power of two"},
		{SOURCES "ports:\n- {name: a, profile: tap, iface: t, memif: {socket: /m}}\n",
			":3: ports[0].memif: goes with profile memif only"},
		{SOURCES "ports:\n- {name: a, profile: vhost_user, iface: t, vhostUser: {}}\n",
			":3: ports[0].vhostUser.socket: is required"},
		{SOURCES "ports:\n- {name: a, profile: af_xdp, iface: t}\n",
			":3: ports[0].afXdp: is required by profile af_xdp"},
		{SOURCES "ports:\n- {name: a, profile: af_xdp, iface: t, afXdp: {device: t}}\n",
			":3: ports[0].iface: must not be the device"},
		{SOURCES "ports:\n- {name: a, profile: af_xdp, iface: t, mtu: 9000, "
			 "afXdp: {device: e}}\n",
			":3: ports[0].mtu: is at most 3400"},
		{SOURCES "ports:\n- {name: a, profile: tap, iface: t, offloads: all}\n",
			":3: ports[0].offloads"},
		{SOURCES "ports:\n- {name: a, profile: virtio_user, iface: t}\n",
			":3: ports[0].virtioUser: is required by profile virtio_user"},
		{SOURCES "ports:\n- {name: a, profile: virtio_user, iface: t, virtioUser: {socket: "
			 "/v, queueSize: 1000}}\n",
			":3: ports[0].virtioUser.queueSize: must be a power of two"},
		{SOURCES "ports:\n- {name: a, profile: tap, iface: waytoolongforakernel}\n",
			"ports[0].iface"},
		{SOURCES "ports:\n- {name: a, profile: tap, iface: \"a/b\"}\n", "ports[0].iface"},
		{SOURCES "ports:\n- {name: a, profile: tap, iface: t, mtu: 1000}\n",
			"ports[0].mtu"},
		{SOURCES "ports:\n- {name: a, profile: tap, iface: t}\n"
			 "- {name: a, profile: tap, iface: u}\n",
			"the name a stands twice"},
		{SOURCES "ports:\n- {name: a, profile: pci, iface: t, pci: \"0000:3b:00.0\"}\n"
			 "- {name: b, profile: af_xdp, iface: u, afXdp: {device: e}}\n",
			"profiles af_xdp and pci want"},
		{PORTS SOURCES "limits: {connections: 16}\nworkers: {count: 2}\n", "fewer than 16"},
		{PORTS SOURCES "---\nname: two\n", "more than one document"},
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		refused(rows[i].text, rows[i].sentence);
}

static void the_files_we_ship_are_good(void **state)
{
	static const char *const files[] = {"gateway.yaml", "examples/canary/gateway.yaml",
		"examples/mesh/gateway.yaml", "examples/ports/memif.yaml",
		"examples/ports/virtio-user.yaml", "examples/ports/vhost-user.yaml",
		"examples/ports/af-xdp.yaml"};

	for (unsigned i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		char name[4096];
		struct gateway_config c;
		struct err err;

		snprintf(name, sizeof(name), CONFIGS "/%s", files[i]);
		if (gateway_config_load(name, &c, &err) < 0)
			fail_msg("%s", err.msg);
		gateway_config_fini(&c);
	}
}

/* What is commented out in the annotated file has to be right, too. */
static void the_annotated_file_is_good_with_all_its_settings(void **state)
{
	static const char *const settings[] = {"# cpus: [", "# user: ", "# path: "};
	FILE *in = fopen(CONFIGS "/gateway.yaml", "r"), *out = fopen(path, "w");
	struct gateway_config c;
	char line[512];
	struct err err;

	assert_non_null(in);
	while (fgets(line, sizeof(line), in) != NULL) {
		for (unsigned i = 0; i < 3; i++) {
			char *at = strstr(line, settings[i]);

			if (at != NULL)
				memmove(at, at + 2, strlen(at + 2) + 1);
		}
		fputs(line, out);
	}
	fclose(in);
	fclose(out);
	if (gateway_config_load(path, &c, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(c.log_path, "/var/log/sluice/access.log");
	assert_string_equal(c.user, "sluice");
	assert_int_equal(c.cpus_count, 2);
	gateway_config_fini(&c);
}

static int setup(void **state)
{
	int fd = mkstemp(path);

	return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_smallest_file_has_all_defaults),
		cmocka_unit_test(totals_are_shared_out_among_workers),
		cmocka_unit_test(ports_of_every_profile_are_read),
		cmocka_unit_test(errors_name_line_and_field),
		cmocka_unit_test(the_files_we_ship_are_good),
		cmocka_unit_test(the_annotated_file_is_good_with_all_its_settings),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
