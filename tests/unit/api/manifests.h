// SPDX-License-Identifier: Apache-2.0
/*
 * manifests.h: the little configuration that the API's tests look at: one Gateway, one route of
 * 80/20, a backend that is missing, endpoints of which one drains.
 */
#pragma once

#define CLASS_YAML \
	"apiVersion: gateway.networking.k8s.io/v1\n" \
	"kind: GatewayClass\n" \
	"metadata: {name: sluice}\n" \
	"spec: {controllerName: gateway.sluice.internal/controller}\n"

#define GATEWAY_YAML \
	"apiVersion: gateway.networking.k8s.io/v1\n" \
	"kind: Gateway\n" \
	"metadata: {name: gw, namespace: demo}\n" \
	"spec:\n" \
	"  gatewayClassName: sluice\n" \
	"  addresses: [{type: IPAddress, value: 203.0.113.10}]\n" \
	"  listeners:\n" \
	"  - {name: http, protocol: HTTP, port: 80}\n"

#define ROUTE_YAML(w1, w2) \
	"apiVersion: gateway.networking.k8s.io/v1\n" \
	"kind: HTTPRoute\n" \
	"metadata: {name: app, namespace: demo}\n" \
	"spec:\n" \
	"  parentRefs: [{name: gw}]\n" \
	"  hostnames: [app.demo.lab]\n" \
	"  rules:\n" \
	"  - backendRefs:\n" \
	"    - {name: app-v1, port: 80, weight: " #w1 "}\n" \
	"    - {name: app-v2, port: 80, weight: " #w2 "}\n"

#define SERVICE_YAML(n, endpoints) \
	"apiVersion: v1\n" \
	"kind: Service\n" \
	"metadata: {name: " n ", namespace: demo}\n" \
	"spec: {ports: [{name: http, port: 80}]}\n" \
	"---\n" \
	"apiVersion: discovery.k8s.io/v1\n" \
	"kind: EndpointSlice\n" \
	"metadata: {name: " n "-x, namespace: demo, labels: {kubernetes.io/service-name: " n \
	"}}\n" \
	"addressType: IPv4\n" \
	"ports: [{name: http, port: 8080}]\n" \
	"endpoints:\n" endpoints

#define READY(ip, pod) \
	"- {addresses: [" ip "], targetRef: {kind: Pod, name: " pod "}, conditions: {ready: " \
	"true}}\n"
#define DRAINING(ip, pod) \
	"- {addresses: [" ip "], targetRef: {kind: Pod, name: " pod "}, conditions: {ready: " \
	"false, serving: true, terminating: true}}\n"

#define SERVICES_YAML \
	SERVICE_YAML("app-v1", READY("10.203.0.11", "v1-a") READY("10.203.0.12", "v1-b")) \
	"---\n" SERVICE_YAML("app-v2", READY("10.203.0.21", "v2-a") DRAINING("10.203.0.22", "v2-b"))
