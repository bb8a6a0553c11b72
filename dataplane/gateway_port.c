// SPDX-License-Identifier: Apache-2.0
/*
 * gateway_port.c: what may stand in a port of gateway.yaml, and what goes with which profile.
 *
 * A profile with settings of its own has a map of its own, so that a setting under the wrong
 * profile is an error and not silently without effect.
 */
#include "dataplane/gateway_port.h"

#include <stdio.h>

#include "dataplane/gateway_config.h"

#define AF_XDP_MTU_MAX 3400 /* a frame, its headroom and its mbuf share a page */

static const char *const profiles[] = {
#define PORT_PROFILE(NAME, name, help) name,
#include "dataplane/port/profile.def"
#undef PORT_PROFILE
	NULL};
static const char *const offloads[] = {"auto", "checksum", "none", NULL};
static const char *const roles[] = {"server", "client", NULL};

const char *gateway_check_label(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9') ||
			    s.p[i] == '-'))
			return "must be lower case letters, digits and '-'";
	return NULL;
}

static const char *check_iface(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == '/' || s.p[i] == ',' || s.p[i] == '"')
			return "must be the name of a network interface";
	return NULL;
}

/* "0000:3b:00.0": domain, bus, device, function. */
static const char *check_pci(struct str s)
{
	static const char form[] = "xxxx:xx:xx.x";

	for (size_t i = 0; i < s.len && s.len == sizeof(form) - 1; i++) {
		bool hex = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');

		if (form[i] == 'x' ? !hex : s.p[i] != form[i])
			return "must be a PCI address like 0000:3b:00.0, lower case";
	}
	return s.len == sizeof(form) - 1 ? NULL : "must be a PCI address like 0000:3b:00.0";
}

/* Device arguments are a list with commas; sockaddr_un has 108 bytes. */
static const char *check_socket(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.p[i] <= ' ' || s.p[i] == ',' || s.p[i] == '"')
			return "must be without spaces, commas and quotes";
	return s.p[0] == '/' ? NULL : "must be an absolute path";
}

static bool is_power_of_two(uint32_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

static void memif_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct gateway_memif *m = obj;

	if (!is_power_of_two(m->ring_size))
		yaml_report(d, n, "ringSize", "must be a power of two");
}

static void virtio_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	const struct gateway_virtio *v = obj;

	if (!is_power_of_two(v->queue_size))
		yaml_report(d, n, "queueSize", "must be a power of two");
}

static const struct yaml_field memif_fields[] = {
	YAML_ENUM(struct gateway_memif, "role", role, roles, .def = "server"),
	YAML_STR(struct gateway_memif, "socket", socket, .required = true, .min = 2,
		.max = PORT_SOCKET_MAX - 1, .check = check_socket),
	YAML_U32(struct gateway_memif, "id", id, .max = UINT32_MAX, .def = "0"),
	YAML_U16(struct gateway_memif, "ringSize", ring_size, .min = 64, .max = 16384,
		.def = "1024"),
};
static const struct yaml_schema memif_schema =
	YAML_SCHEMA(struct gateway_memif, memif_fields, .finish = memif_finish);

static const struct yaml_field virtio_fields[] = {
	YAML_STR(struct gateway_virtio, "socket", socket, .required = true, .min = 2,
		.max = PORT_SOCKET_MAX - 1, .check = check_socket),
	YAML_U16(struct gateway_virtio, "queueSize", queue_size, .min = 64, .max = 32768,
		.def = "1024"),
	YAML_BOOL(struct gateway_virtio, "packed", packed, .def = "true"),
	YAML_BOOL(struct gateway_virtio, "inOrder", in_order, .def = "true"),
	YAML_BOOL(struct gateway_virtio, "mergeable", mergeable, .def = "false"),
};
static const struct yaml_schema virtio_schema =
	YAML_SCHEMA(struct gateway_virtio, virtio_fields, .finish = virtio_finish);

static const struct yaml_field vhost_fields[] = {
	YAML_STR(struct gateway_vhost, "socket", socket, .required = true, .min = 2,
		.max = PORT_SOCKET_MAX - 1, .check = check_socket),
	YAML_ENUM(struct gateway_vhost, "role", role, roles, .def = "server"),
};
static const struct yaml_schema vhost_schema = YAML_SCHEMA(struct gateway_vhost, vhost_fields);

static const struct yaml_field xdp_fields[] = {
	YAML_STR(struct gateway_xdp, "device", device, .required = true, .min = 1,
		.max = IFNAMSIZ - 1, .check = check_iface),
};
static const struct yaml_schema xdp_schema = YAML_SCHEMA(struct gateway_xdp, xdp_fields);

/* A map or string that one profile needs and the others must not have. */
static void goes_with(struct yaml_decoder *d, const struct yaml_node *n, const char *key,
	bool present, bool wanted, int profile, const char *owner)
{
	if (wanted && !present)
		yaml_report(d, n, key, "is required by profile %s", profiles[profile]);
	if (!wanted && present)
		yaml_report(d, n, key, "goes with profile %s only", owner);
}

static void port_finish(struct yaml_decoder *d, const struct yaml_node *n, void *obj)
{
	struct gateway_port *p = obj;

	p->line = n->line;
	goes_with(d, n, "pci", p->pci.p != NULL, p->profile == PORT_PCI, p->profile, "pci");
	goes_with(d, n, "memif", p->memif != NULL, p->profile == PORT_MEMIF, p->profile, "memif");
	goes_with(d, n, "virtioUser", p->virtio != NULL, p->profile == PORT_VIRTIO_USER, p->profile,
		"virtio_user");
	goes_with(d, n, "vhostUser", p->vhost != NULL, p->profile == PORT_VHOST_USER, p->profile,
		"vhost_user");
	goes_with(d, n, "afXdp", p->xdp != NULL, p->profile == PORT_AF_XDP, p->profile, "af_xdp");
	if (p->xdp != NULL && str_eq(p->xdp->device, p->iface))
		yaml_report(d, n, "iface", "must not be the device: it is the tap made beside it");
	if (p->profile == PORT_AF_XDP && p->mtu > AF_XDP_MTU_MAX)
		yaml_report(d, n, "mtu", "is at most %u with profile af_xdp", AF_XDP_MTU_MAX);
}

static const struct yaml_field port_fields[] = {
	YAML_STR(struct gateway_port, "name", name, .required = true, .min = 1,
		.max = PORT_NAME_MAX - 1, .check = gateway_check_label),
	YAML_ENUM(struct gateway_port, "profile", profile, profiles, .required = true),
	YAML_STR(struct gateway_port, "iface", iface, .required = true, .min = 1,
		.max = IFNAMSIZ - 1, .check = check_iface),
	YAML_STR(struct gateway_port, "pci", pci, .min = 1, .max = 31, .check = check_pci),
	YAML_U16(struct gateway_port, "mtu", mtu, .min = PORT_MTU_MIN, .max = PORT_MTU_MAX),
	YAML_ENUM(struct gateway_port, "offloads", offloads, offloads, .def = "auto"),
	YAML_POINTER(struct gateway_port, "memif", memif, &memif_schema),
	YAML_POINTER(struct gateway_port, "virtioUser", virtio, &virtio_schema),
	YAML_POINTER(struct gateway_port, "vhostUser", vhost, &vhost_schema),
	YAML_POINTER(struct gateway_port, "afXdp", xdp, &xdp_schema),
};
const struct yaml_schema gateway_port_schema =
	YAML_SCHEMA(struct gateway_port, port_fields, .finish = port_finish);

void gateway_config_port(const struct gateway_port *p, struct port_config *ret)
{
	*ret = (struct port_config){.profile = (enum port_profile)p->profile,
		.mtu = p->mtu,
		.offloads = (enum port_offload_mode)p->offloads};
	snprintf(ret->name, sizeof(ret->name), "%.*s", STR_FMT(p->name));
	snprintf(ret->iface, sizeof(ret->iface), "%.*s", STR_FMT(p->iface));
	snprintf(ret->pci, sizeof(ret->pci), "%.*s", STR_FMT(p->pci));
	if (p->memif != NULL) {
		snprintf(ret->socket, sizeof(ret->socket), "%.*s", STR_FMT(p->memif->socket));
		ret->memif = (struct port_memif){.role = (enum port_role)p->memif->role,
			.id = p->memif->id,
			.ring_size = p->memif->ring_size};
	}
	if (p->virtio != NULL) {
		snprintf(ret->socket, sizeof(ret->socket), "%.*s", STR_FMT(p->virtio->socket));
		ret->virtio = (struct port_virtio){.queue_size = p->virtio->queue_size,
			.packed = p->virtio->packed,
			.in_order = p->virtio->in_order,
			.mergeable = p->virtio->mergeable};
	}
	if (p->vhost != NULL) {
		snprintf(ret->socket, sizeof(ret->socket), "%.*s", STR_FMT(p->vhost->socket));
		ret->vhost.role = (enum port_role)p->vhost->role;
	}
	if (p->xdp != NULL)
		snprintf(ret->device, sizeof(ret->device), "%.*s", STR_FMT(p->xdp->device));
}
