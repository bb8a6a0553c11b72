// SPDX-License-Identifier: Apache-2.0
/*
 * lbservice.c: what the Service of a Gateway is made of.
 */
#include "control/status/lbservice.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "control/status/merge.h"
#include "dataplane/base/bug.h"
#include "dataplane/base/cleanup.h"
#include "dataplane/base/hash.h"

static const struct hash_key name_key = {{0x736c756963652d6cull, 0x622d7365727669ull}};

static uint32_t short_hash(struct str s)
{
	return (uint32_t)siphash(&name_key, s.len ? s.p : "", s.len);
}

struct str lbservice_namespace(const struct object *gateway, const struct control_config *config)
{
	return config->services_namespace.len ? config->services_namespace : gateway->ns;
}

/* A DNS label that starts with a letter (RFC 1035), readable, and unique by the hash of both names. */
void lbservice_name(const struct object *gateway, char buf[LBSERVICE_NAME_MAX])
{
	char whole[400];
	uint32_t hash;
	size_t n;

	snprintf(whole, sizeof(whole), "%.*s/%.*s", STR_FMT(gateway->ns), STR_FMT(gateway->name));
	hash = short_hash(str_of(whole));
	n = (size_t)snprintf(buf, LBSERVICE_NAME_MAX - 9, "gw-%s", whole);
	if (n > LBSERVICE_NAME_MAX - 10)
		n = LBSERVICE_NAME_MAX - 10;
	for (size_t i = 0; i < n; i++)
		if (buf[i] == '/' || buf[i] == '.')
			buf[i] = '-';
	snprintf(buf + n, LBSERVICE_NAME_MAX - n, "-%08" PRIx32, hash);
}

void label_value(struct str s, char buf[LABEL_VALUE_LEN_MAX + 1])
{
	if (s.len <= LABEL_VALUE_LEN_MAX)
		snprintf(buf, LABEL_VALUE_LEN_MAX + 1, "%.*s", STR_FMT(s));
	else
		snprintf(buf, LABEL_VALUE_LEN_MAX + 1, "%.54s-%08" PRIx32, s.p, short_hash(s));
}

static json_t *text(struct str s)
{
	json_t *j = json_stringn(s.len ? s.p : "", s.len);

	return j != NULL ? j : json_string("");
}

static void set_label(json_t *labels, const char *key, struct str value)
{
	char buf[LABEL_VALUE_LEN_MAX + 1];

	label_value(value, buf);
	json_object_set_new(labels, key, json_string(buf));
}

static void set_all(json_t *to, const struct kv_list *list)
{
	for (uint32_t i = 0; i < list->count; i++) {
		char key[400];

		snprintf(key, sizeof(key), "%.*s", STR_FMT(list->items[i].key));
		json_object_set_new(to, key, text(list->items[i].value));
	}
}

/* "gateway.example.com/controller" is no label value: '/' becomes '_'. */
static void controller_value(const struct control_config *config, char buf[LABEL_VALUE_LEN_MAX + 1])
{
	label_value(config->controller_name, buf);
	for (char *p = buf; *p != '\0'; p++)
		if (*p == '/')
			*p = '_';
}

/* What others say must not hide whose it is: ours come last. */
static json_t *labels_json(const struct plan_gateway *gw, const struct control_config *config)
{
	json_t *j = json_object();
	char controller[LABEL_VALUE_LEN_MAX + 1];

	set_all(j, &config->services_labels);
	set_all(j, &gw->obj->gateway->labels);
	controller_value(config, controller);
	set_label(j, LABEL_MANAGED_BY, STR(MANAGED_BY));
	set_label(j, LABEL_CONTROLLER, str_of(controller));
	set_label(j, LABEL_GATEWAY_NAME, gw->obj->name);
	set_label(j, LABEL_CLASS_NAME, gw->obj->gateway->class_name);
	set_label(j, config->services_name_label, gw->obj->name);
	set_label(j, config->services_namespace_label, gw->obj->ns);
	return j;
}

static json_t *annotations_json(const struct plan_gateway *gw)
{
	json_t *j = json_object();
	char whole[400];

	set_all(j, &gw->obj->gateway->annotations);
	snprintf(whole, sizeof(whole), "%.*s/%.*s", STR_FMT(gw->obj->ns), STR_FMT(gw->obj->name));
	json_object_set_new(j, ANNOTATION_GATEWAY, json_string(whole));
	return j;
}

static const char *transport(struct str protocol)
{
	return str_eq(protocol, STR("UDP")) ? "UDP" : "TCP";
}

static bool has_port(const json_t *ports, int port, const char *protocol)
{
	json_t *p;
	size_t i;

	json_array_foreach (ports, i, p)
		if (json_integer_value(json_object_get(p, "port")) == port &&
			strcmp(status_text(p, "protocol"), protocol) == 0)
			return true;
	return false;
}

/* Each port of a listener once: several listeners share one. */
static json_t *ports_json(const struct plan_gateway *gw)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < gw->listeners_count; i++) {
		const struct listener *l = gw->listeners[i].spec;
		const char *protocol = transport(l->protocol);
		json_t *p;
		char name[16];

		if (has_port(list, l->port, protocol))
			continue;
		snprintf(name, sizeof(name), "%s-%u", protocol[0] == 'U' ? "udp" : "tcp", l->port);
		p = json_object();
		json_object_set_new(p, "name", json_string(name));
		json_object_set_new(p, "protocol", json_string(protocol));
		json_object_set_new(p, "port", json_integer(l->port));
		json_object_set_new(p, "targetPort", json_integer(l->port));
		json_array_append_new(list, p);
	}
	return list;
}

/* Owners in other namespaces count as gone, and the garbage collector would take the Service. */
static json_t *owner_json(const struct object *gateway)
{
	json_t *list = json_array(), *j = json_object();

	json_object_set_new(j, "apiVersion", json_string(kind_info[KIND_GATEWAY].api_version));
	json_object_set_new(j, "kind", text(kind_info[KIND_GATEWAY].name));
	json_object_set_new(j, "name", text(gateway->name));
	json_object_set_new(j, "uid", text(gateway->uid));
	json_array_append_new(list, j);
	return list;
}

static json_t *metadata_json(const struct plan_gateway *gw, const struct control_config *config)
{
	struct str ns = lbservice_namespace(gw->obj, config);
	json_t *meta = json_object();
	char name[LBSERVICE_NAME_MAX];

	lbservice_name(gw->obj, name);
	json_object_set_new(meta, "name", json_string(name));
	json_object_set_new(meta, "namespace", text(ns));
	json_object_set_new(meta, "labels", labels_json(gw, config));
	json_object_set_new(meta, "annotations", annotations_json(gw));
	if (str_eq(ns, gw->obj->ns) && gw->obj->uid.len)
		json_object_set_new(meta, "ownerReferences", owner_json(gw->obj));
	return meta;
}

static json_t *spec_json(json_t *ports, const struct control_config *config)
{
	json_t *spec = json_object();

	json_object_set_new(spec, "type", json_string("LoadBalancer"));
	json_object_set_new(spec, "loadBalancerClass", text(config->services_class));
	json_object_set_new(spec, "allocateLoadBalancerNodePorts", json_false());
	json_object_set_new(spec, "ports", ports);
	return spec;
}

static void sign(json_t *service)
{
	autofree char *whole = json_dumps(service, JSON_COMPACT | JSON_SORT_KEYS);
	json_t *meta = json_object_get(service, "metadata");
	char hex[20];

	bug_on(whole == NULL);
	snprintf(hex, sizeof(hex), "%016" PRIx64, siphash(&name_key, whole, strlen(whole)));
	json_object_set_new(json_object_get(meta, "annotations"), ANNOTATION_DIGEST,
		json_string(hex));
}

json_t *lbservice_desired(const struct plan_gateway *gw, const struct control_config *config)
{
	json_t *service, *ports;

	if (gw->addresses_count == 0 || gw->obj->deleted != 0)
		return NULL;
	ports = ports_json(gw);
	if (json_array_size(ports) == 0) {
		json_decref(ports);
		return NULL;
	}
	service = json_object();
	json_object_set_new(service, "apiVersion", json_string("v1"));
	json_object_set_new(service, "kind", json_string("Service"));
	json_object_set_new(service, "metadata", metadata_json(gw, config));
	json_object_set_new(service, "spec", spec_json(ports, config));
	sign(service);
	return service;
}

json_t *lbservice_status(const struct plan_gateway *gw)
{
	json_t *status = json_object(), *lb = json_object(), *ingress = json_array();
	char buf[IP_ADDR_STRLEN];

	for (uint32_t i = 0; gw->serves && i < gw->addresses_count; i++) {
		json_t *a = json_object();

		json_object_set_new(a, "ip", json_string(ip_format(&gw->addresses[i], buf)));
		json_object_set_new(a, "ipMode", json_string("Proxy"));
		json_array_append_new(ingress, a);
	}
	json_object_set_new(lb, "ingress", ingress);
	json_object_set_new(status, "loadBalancer", lb);
	return status;
}

bool lbservice_is_ours(const struct object *service, const struct control_config *config)
{
	char controller[LABEL_VALUE_LEN_MAX + 1];

	controller_value(config, controller);
	return str_eq(kv_find(&service->labels, STR(LABEL_MANAGED_BY)), STR(MANAGED_BY)) &&
		str_eq(kv_find(&service->labels, STR(LABEL_CONTROLLER)), str_of(controller));
}

static bool has_all(const struct kv_list *list, const json_t *wanted)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)wanted, key, value) {
		struct str have = kv_find(list, str_of(key));

		if (have.p == NULL || !str_eq(have, str_of(json_string_value(value))))
			return false;
	}
	return true;
}

static bool has_ports(const struct service *s, const json_t *ports)
{
	json_t *p;
	size_t i;

	if (s->ports_count != json_array_size(ports))
		return false;
	json_array_foreach (ports, i, p) {
		bool found = false;

		for (uint32_t k = 0; k < s->ports_count; k++)
			found |= s->ports[k].port ==
					json_integer_value(json_object_get(p, "port")) &&
				str_eq(s->ports[k].protocol, str_of(status_text(p, "protocol"))) &&
				str_eq(s->ports[k].name, str_of(status_text(p, "name")));
		if (!found)
			return false;
	}
	return true;
}

bool lbservice_differs(const struct object *service, const json_t *desired)
{
	const json_t *meta = json_object_get(desired, "metadata");

	return !has_all(&service->labels, json_object_get(meta, "labels")) ||
		!has_all(&service->annotations, json_object_get(meta, "annotations")) ||
		service->service->has_selector ||
		!str_eq(service->service->type, STR("LoadBalancer")) ||
		!has_ports(service->service,
			json_object_get(json_object_get(desired, "spec"), "ports"));
}
