// SPDX-License-Identifier: Apache-2.0
/*
 * commands.c: the commands of sluicectl.
 */
#include "control/ctl/ctl.h"

const struct command commands[] = {
	{"status", "", "gateways, listeners, routes and dataplanes at a glance", cmd_status,
		"Conditions that are as they should be stand by name, the others as "
		"\"!Name:Reason\".\nExit status 3 when anything is degraded."},
	{"get", "KIND [[NAMESPACE/]NAME]", "objects of a kind with their conditions", cmd_get,
		"KIND: gatewayclass, gateway, httproute, or all.\n"
		"  --cluster NAME     only objects of this cluster\n"
		"  --namespace NAME   only objects of this namespace"},
	{"describe", "KIND [NAMESPACE/]NAME", "everything about one object", cmd_describe,
		"  --cluster NAME     which one, if several clusters have it"},
	{"cluster", "[list | show|add|set|drain|undrain|remove NAME]",
		"clusters, their roles, weights and states", cmd_cluster,
		"add and set take what follows; paths are on control's machine. control.yaml wins "
		"for\n"
		"what it says; all else survives restarts.\n"
		"  --kubeconfig FILE  an API server      --context NAME\n"
		"  --in-cluster       the one we run in\n"
		"  --directory DIR    manifests\n"
		"  --roles LIST       config,workload\n"
		"  --weight N         0 to 1000000, against other clusters (100)\n"
		"  --state STATE      active, drain (no new connections) or disabled\n"
		"drain takes the share back by steps, at every site, and waits until this site has "
		"no "
		"request\n"
		"in flight there. It goes on when the command is interrupted; undrain gives the "
		"share "
		"back.\n"
		"  --ttl DURATION     ends by itself   --reason TEXT   --local   at this site "
		"alone\n"
		"  --timeout S        wait no longer"},
	{"site", "[list | show NAME]", "this site and its peers, and how they see clusters",
		cmd_site, ""},
	{"weight", "[list | set CLUSTER N | clear CLUSTER]",
		"what operators want of clusters, at all sites", cmd_weight,
		"The weight is a percentage of a cluster's usual share, 0 to 1000000; 100 changes "
		"nothing.\n"
		"set is live at every connected site and survives restarts.\n"
		"  --ttl DURATION     ends by itself, like 1h\n"
		"  --reason TEXT      why, for others to read\n"
		"  --local            at this site alone (set, clear)"},
	{"routes", "", "where routes come in and where they go", cmd_routes, ""},
	{"weights", "[GLOB]", "effective share of each backend and cluster", cmd_weights,
		"GLOB: names of rules, like 'demo/*'."},
	{"explain", "backend [NAMESPACE/]NAME", "every factor of a backend's share", cmd_explain,
		"The routes that lead to a Service or ServiceImport, the clusters behind it, its\n"
		"endpoints, and what each of them weighs and why.\n"
		"  --cluster NAME     only the one of this cluster\n"
		"  --namespace NAME   only the one of this namespace"},
	{"endpoints", "[GLOB]", "endpoints, their share and their health", cmd_endpoints,
		"GLOB: names of services."},
	{"counters", "[--nonzero] [GLOB]", "every counter of every dataplane", cmd_counters,
		"GLOB matches the whole name; without wildcards it is looked for anywhere in it."},
	{"drops", "[--all]", "packets dropped, by reason", cmd_drops,
		"Only reasons that have occurred, unless --all."},
	{"conns", "[--state STATE]", "TCP connections, both legs", cmd_conns,
		"PEER is the other leg of a proxied connection: what a client's leg is joined to.\n"
		"  --state STATE      only these, e.g. ESTABLISHED\n"
		"  --dataplane NAME   ask only this one\n"
		"  --max N            stop after N (default 10000)"},
	{"trace", "[--client IP[:PORT]] [--count N]", "packets' walk through the stages", cmd_trace,
		"  --client ADDR      either end: address, address:port, [v6]:port or network\n"
		"  --count N          stop after N packets (default 1)\n"
		"  --seconds S        stop after S seconds (default 10)"},
	{"cycles", "[--seconds S]", "cycles by worker and stage of the loop", cmd_cycles,
		"Counted when gateway.yaml says profileStages: true.\n"
		"  --seconds S        time between the two looks (default 2)"},
	{"dataplanes", "", "links to the dataplanes", cmd_dataplanes, ""},
	{"version", "", "versions of sluicectl and control", cmd_version, ""},
};

const unsigned command_count = sizeof(commands) / sizeof(commands[0]);
