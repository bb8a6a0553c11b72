// SPDX-License-Identifier: Apache-2.0
/*
 * kinds.c: which kinds of a cluster's API server are watched for which role, and which of them it
 * cannot take part without.
 *
 * An account that may not list a kind (403) costs what that kind is for, and no more:
 *
 *	needed		the cluster does not take part: what would be made of the others is wrong
 *	a guard		the same; it closes what would be open without it, plaintext to a backend
 *			that demands TLS
 *	any other	waited for a moment, then the cluster goes on without, which is said in the
 *			log and in its state; a reference to an object of that kind does not resolve
 *
 * A kind that the server does not serve is known: there are no objects of it. In a workload cluster
 * Services and their endpoints are needed; Namespaces matter only where routes are.
 */
#include "control/sources/sources_private.h"

/* A cluster's other Secrets are none of our business. */
#define SECRET_SELECTOR "type=kubernetes.io/tls"

#define CONFIG CLUSTER_ROLE_CONFIG
#define ALL CLUSTER_ROLES_ALL

static const struct watched watched[] = {
	{KIND_GATEWAY_CLASS, CONFIG, .needed = CONFIG},
	{KIND_GATEWAY, CONFIG, .needed = CONFIG},
	{KIND_LISTENER_SET, CONFIG},
	{KIND_HTTP_ROUTE, CONFIG, .needed = CONFIG},
	{KIND_GRPC_ROUTE, CONFIG},
	{KIND_TLS_ROUTE, CONFIG},
	{KIND_TCP_ROUTE, CONFIG},
	{KIND_UDP_ROUTE, CONFIG},
	{KIND_REFERENCE_GRANT, CONFIG, .needed = CONFIG},
	{KIND_BACKEND_TLS_POLICY, CONFIG, .needed = CONFIG, .guard = true},
	{KIND_TRAFFIC_POLICY, CONFIG},
	{KIND_SECRET, CONFIG, .field_selector = SECRET_SELECTOR},
	{KIND_CONFIG_MAP, CONFIG},
	{KIND_NAMESPACE, ALL, .needed = CONFIG},
	{KIND_SERVICE, ALL, .needed = ALL},
	{KIND_ENDPOINT_SLICE, ALL, .needed = ALL},
	{KIND_SERVICE_IMPORT, ALL},
	{KIND_SERVICE_EXPORT, ALL},
	{KIND_IP_POOL, CONFIG},
	{KIND_REMOTE_CLUSTER, CONFIG},
	{KIND_CRD, ALL},
};

const struct watched *api_watched(size_t i)
{
	return i < sizeof(watched) / sizeof(watched[0]) ? &watched[i] : NULL;
}

static const struct watched *find(enum kind kind)
{
	const struct watched *w;

	for (size_t i = 0; (w = api_watched(i)) != NULL; i++)
		if (w->kind == kind)
			return w;
	return NULL;
}

bool api_is_watched(enum kind kind, unsigned roles)
{
	const struct watched *w = find(kind);

	return w != NULL && (w->roles & roles) != 0;
}

bool api_is_needed(enum kind kind, unsigned roles)
{
	const struct watched *w = find(kind);

	return w != NULL && (w->needed & roles) != 0;
}

bool api_is_guard(enum kind kind)
{
	const struct watched *w = find(kind);

	return w != NULL && w->guard;
}
