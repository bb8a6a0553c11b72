// SPDX-License-Identifier: Apache-2.0
/*
 * main.c: the program sluicectl: options that every command has, then the command.
 *
 * Exit status: 0 good, 1 failed (control not running, no such object), 2 usage, 3 degraded.
 */
#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/ctl/ctl.h"

#define SOCKET_DEFAULT "/run/sluice/control.sock"

static void help_all(FILE *out)
{
	fputs("Usage: sluicectl [--socket PATH] [-o table|json] COMMAND [ARGUMENTS]\n\nCommands:\n",
		out);
	for (unsigned i = 0; i < command_count; i++)
		fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].summary);
	fputs("\nOptions:\n"
	      "  --socket PATH     control's socket (default $SLUICE_SOCKET or " SOCKET_DEFAULT
	      ")\n"
	      "  -o table|json     how to show the answer\n"
	      "  --help            of a command: sluicectl COMMAND --help\n"
	      "  --version\n"
	      "\nExit status: 0 good, 1 failed, 2 usage, 3 degraded (status).\n",
		out);
}

static void help_one(const struct command *cmd)
{
	printf("Usage: sluicectl %s %s\n%s.\n", cmd->name, cmd->args, cmd->summary);
	if (*cmd->help != '\0')
		printf("\n%s\n", cmd->help);
}

int ctl_usage(const struct ctl *c, const char *fmt, ...)
{
	va_list ap;

	fputs("sluicectl: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (see: sluicectl %s%s--help)\n", c->cmd != NULL ? c->cmd->name : "",
		c->cmd != NULL ? " " : "");
	return CTL_USAGE;
}

static void drop_args(struct ctl *c, int at, int count)
{
	for (int i = at; i + count < c->argc; i++)
		c->argv[i] = c->argv[i + count];
	c->argc -= count;
}

const char *ctl_option(struct ctl *c, const char *name)
{
	size_t n = strlen(name);

	for (int i = 0; i < c->argc; i++) {
		const char *arg = c->argv[i], *value;

		if (strncmp(arg, name, n) != 0 || (arg[n] != '\0' && arg[n] != '='))
			continue;
		if (arg[n] == '=') {
			drop_args(c, i, 1);
			return arg + n + 1;
		}
		if (i + 1 == c->argc)
			return NULL; /* stays, so ctl_args_ok() complains */
		value = c->argv[i + 1];
		drop_args(c, i, 2);
		return value;
	}
	return NULL;
}

bool ctl_flag(struct ctl *c, const char *name)
{
	for (int i = 0; i < c->argc; i++)
		if (strcmp(c->argv[i], name) == 0) {
			drop_args(c, i, 1);
			return true;
		}
	return false;
}

bool ctl_args_ok(struct ctl *c, int min, int max)
{
	for (int i = 0; i < c->argc; i++)
		if (c->argv[i][0] == '-') {
			ctl_usage(c, "%s: unknown option, or its value is missing", c->argv[i]);
			return false;
		}
	if (c->argc >= min && c->argc <= max)
		return true;
	ctl_usage(c, "usage: %s %s", c->cmd->name, c->cmd->args);
	return false;
}

static const struct command *command_lookup(const char *name)
{
	for (unsigned i = 0; i < command_count; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* The first argument that is neither an option nor the value of one before it. */
static int take_command(struct ctl *c)
{
	if (c->argc == 0) {
		help_all(stderr);
		return CTL_USAGE;
	}
	c->cmd = command_lookup(c->argv[0]);
	if (c->cmd == NULL)
		return ctl_usage(c, "%s: no such command", c->argv[0]);
	drop_args(c, 0, 1);
	return CTL_OK;
}

static int run(struct ctl *c)
{
	const char *socket = ctl_option(c, "--socket"), *out = ctl_option(c, "-o");
	const char *env = getenv("SLUICE_SOCKET");
	bool help = ctl_flag(c, "--help");
	int rc;

	help = ctl_flag(c, "-h") || help;
	c->socket = socket != NULL ? socket : env != NULL && *env ? env : SOCKET_DEFAULT;
	if (out != NULL && strcmp(out, "json") != 0 && strcmp(out, "table") != 0)
		return ctl_usage(c, "-o %s: table or json", out);
	c->json = out != NULL && strcmp(out, "json") == 0;
	if (help && c->argc == 0) {
		help_all(stdout);
		return CTL_OK;
	}
	if (ctl_flag(c, "--version")) {
		puts("sluicectl " SLUICE_VERSION);
		return CTL_OK;
	}
	rc = take_command(c);
	if (rc != CTL_OK)
		return rc;
	if (help) {
		help_one(c->cmd);
		return CTL_OK;
	}
	return c->cmd->run(c);
}

int main(int argc, char **argv)
{
	struct ctl c = {.argc = argc - 1, .argv = argv + 1};
	int rc;

	curl_global_init(CURL_GLOBAL_DEFAULT);
	rc = run(&c);
	curl_global_cleanup();
	if (fflush(stdout) != 0 && rc == CTL_OK)
		rc = CTL_FAILED;
	return rc;
}
