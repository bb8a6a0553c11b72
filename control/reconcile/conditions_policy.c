// SPDX-License-Identifier: Apache-2.0
/*
 * conditions_policy.c: what a BackendTLSPolicy is told, the same for each of its ancestors.
 *
 * Its references are judged as if TLS were built, so that they are right on the day it is; a policy
 * against which nothing else speaks is Invalid, because nobody can carry it out. So is one that its
 * schema refuses and that came all the same, in a file or from a server with other rules: it forbids
 * plaintext to the targets that can be read of it, and says what is wrong.
 */
#include <string.h>

#include "control/model/secret.h"
#include "control/reconcile/reconcile.h"

struct refs_verdict {
	const char *reason,
		*message; /* of the first reference that does not resolve; NULL: all do */
	uint32_t good;
};

static bool has_certificate(struct str pem)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----";

	return pem.len != 0 && memmem(pem.p, pem.len, begin, sizeof(begin) - 1) != NULL;
}

static void judge_ca(struct reconcile *r, const struct object *policy, uint32_t i,
	struct refs_verdict *v)
{
	const struct object_ref *ref = &policy->backend_tls_policy->cas[i];
	const char *reason = NULL, *why = NULL;
	const struct object *o = NULL;

	if (ref->group.len != 0 || !str_eq(ref->kind, STR("ConfigMap"))) {
		reason = "InvalidKind";
		why = "this kind is not supported: use a ConfigMap";
	} else {
		o = view_find(r->view, KIND_CONFIG_MAP, policy->cluster, policy->ns, ref->name);
		if (o == NULL)
			why = plan_why_absent(r, KIND_CONFIG_MAP, policy->cluster);
		else if (!has_certificate(o->config_map->ca))
			why = "has no certificate in PEM under the key ca.crt";
		if (why != NULL)
			reason = "InvalidCACertificateRef";
	}
	v->good += reason == NULL;
	if (reason == NULL || v->reason != NULL)
		return;
	v->reason = reason;
	v->message = arena_printf(r->arena, "spec.validation.caCertificateRefs[%u]: %.*s %.*s: %s",
		i, STR_FMT(ref->kind), STR_FMT(ref->name), why);
}

/* The first target that is not there, as a sentence; NULL: all are. */
static const char *missing_target(struct reconcile *r, const struct object *policy)
{
	const struct backend_tls_policy *spec = policy->backend_tls_policy;

	for (uint32_t i = 0; i < spec->targets_count; i++) {
		const struct policy_target *t = &spec->targets[i];
		const struct object *o =
			view_find(r->view, KIND_SERVICE, policy->cluster, policy->ns, t->name);
		bool found = t->section_name.len == 0;

		if (t->group.len != 0 || !str_eq(t->kind, STR("Service")))
			continue;
		for (uint32_t k = 0; o != NULL && !found && k < o->service->ports_count; k++)
			found = str_eq(o->service->ports[k].name, t->section_name);
		if (o == NULL)
			return arena_printf(r->arena,
				"spec.targetRefs[%u]: Service %.*s does not exist", i,
				STR_FMT(t->name));
		if (!found)
			return arena_printf(r->arena,
				"spec.targetRefs[%u].sectionName: Service %.*s has no port of this "
				"name",
				i, STR_FMT(t->name));
	}
	return NULL;
}

static void say(struct reconcile *r, const struct plan_policy *policy, struct conditions *c,
	const struct refs_verdict *refs)
{
	const struct object *o = policy->obj;
	const char *missing = missing_target(r, o);

	if (o->backend_tls_policy->invalid != NULL) {
		condition_set(c, o, "Accepted", false, "Invalid",
			arena_printf(r->arena,
				"%s: requests to its targets are answered 500 until it is valid",
				o->backend_tls_policy->invalid));
		return;
	}
	if (policy->conflicted)
		condition_set(c, o, "Accepted", false, "Conflicted",
			"spec.targetRefs: an older policy has this target: change one of them");
	else if (missing != NULL)
		condition_set(c, o, "Accepted", false, "TargetNotFound", missing);
	else if (refs->reason != NULL && refs->good == 0)
		condition_set(c, o, "Accepted", false, "NoValidCACertificate", refs->message);
	else
		condition_set(c, o, "Accepted", false, "Invalid",
			"TLS towards backends is not supported: requests to this backend are "
			"answered "
			"500, and never sent without TLS; remove the policy if they may be");
	if (refs->reason != NULL)
		condition_set(c, o, "ResolvedRefs", false, refs->reason, refs->message);
	else
		condition_set(c, o, "ResolvedRefs", true, "ResolvedRefs",
			"All references are resolved");
}

void conditions_policy(struct reconcile *r, struct plan_policy *policy)
{
	struct refs_verdict refs = {0};

	if (policy->ancestors_count == 0)
		return;
	for (uint32_t i = 0; i < policy->obj->backend_tls_policy->cas_count; i++)
		judge_ca(r, policy->obj, i, &refs);
	for (uint32_t i = 0; i < policy->ancestors_count; i++)
		say(r, policy, &policy->ancestors[i].conditions, &refs);
}
