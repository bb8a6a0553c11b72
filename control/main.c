// SPDX-License-Identifier: Apache-2.0
/*
 * main.c: the program sluice-control.
 *
 * The whole of control is one thread on one loop (loop/loop.h); what it does is in turn.c. Here:
 * the command line, start and end.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "control/control.h"
#include "dataplane/base/log.h"
#include "dataplane/base/sd_notify.h"

#define CONFIG_DEFAULT "/etc/sluice/control.yaml"

enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char help[] =
	"Usage: sluice-control [-c FILE]\n"
	"       sluice-control --check [DIR|FILE]   all conditions and errors; changes nothing\n"
	"       sluice-control --dump [DIR|FILE]    the configuration as dataplanes would get it\n"
	"\n"
	"  -c, --config FILE   control.yaml (default " CONFIG_DEFAULT ")\n"
	"      --check         read everything, print what each object is told about itself\n"
	"      --dump          read everything, print the compiled snapshot\n"
	"      --version\n"
	"  -h, --help\n"
	"\n"
	"DIR holds control.yaml, or manifests of one cluster, or one folder per cluster.\n"
	"Signals: SIGTERM ends, SIGHUP reads control.yaml and all manifests again.\n"
	"Exit status: 0 good, 1 failed (--check: some object is wrong), 2 usage or control.yaml.\n";

static int run(const char *config_path)
{
	struct control c;
	struct err err = {""};
	int rc = control_open(&c, config_path, &err);

	if (rc < 0) {
		log_error("main", "msg=\"%s\"", err.msg);
		rc = c.config == NULL ? EXIT_USAGE : EXIT_FAILED;
	} else {
		log_info("main", "version=%s config=%s api=%s msg=\"ready\"", SLUICE_VERSION,
			config_path, c.config->api_socket);
		sd_notify_send("READY=1");
		rc = loop_run(c.loop);
		if (rc < 0)
			log_error("main", "msg=\"event loop: %s\"", strerror(-rc));
		rc = rc < 0 ? EXIT_FAILED : EXIT_OK;
	}
	control_close(&c);
	return rc;
}

int main(int argc, char **argv)
{
	enum { OPT_CHECK = 256, OPT_DUMP, OPT_VERSION };
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"check", no_argument, NULL, OPT_CHECK},
		{"dump", no_argument, NULL, OPT_DUMP},
		{"version", no_argument, NULL, OPT_VERSION},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	const char *path = CONFIG_DEFAULT;
	bool check = false, dump = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
		if (opt == 'c') {
			path = optarg;
		} else if (opt == OPT_CHECK) {
			check = true;
		} else if (opt == OPT_DUMP) {
			dump = true;
		} else if (opt == OPT_VERSION) {
			puts("sluice-control " SLUICE_VERSION);
			return EXIT_OK;
		} else {
			fputs(help, opt == 'h' ? stdout : stderr);
			return opt == 'h' ? EXIT_OK : EXIT_USAGE;
		}
	}
	if (optind + ((check || dump) ? 1 : 0) < argc) {
		fprintf(stderr, "sluice-control: unexpected argument: %s\n", argv[optind]);
		return EXIT_USAGE;
	}
	if (optind < argc)
		path = argv[optind];
	return check || dump ? check_run(path, dump) : run(path);
}
