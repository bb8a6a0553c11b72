// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_kubeconfig.c: any bytes as a kubeconfig: refused with one printable sentence, or usable; one
 * that we do not trust names nothing of this machine. The same bytes as a program's answer.
 */
#include "control/kube/exec.h"
#include "control/kube/kubeconfig.h"
#include "dataplane/base/bug.h"
#include "tests/fuzz/fuzz.h"

static void check_sentence(const struct err *err)
{
	bug_on(err->msg[0] == '\0');
}

static void check_untrusted(const struct kubeconfig *k)
{
	bug_on(k->cluster.ca_file != NULL || k->user.cert_file != NULL);
	bug_on(k->user.key_file != NULL || k->user.token_file != NULL);
	bug_on(k->user.exec != NULL || k->cluster.proxy_url != NULL);
	bug_on(strcmp(k->cluster.scheme, "https") != 0);
}

void fuzz_one(const uint8_t *data, size_t len)
{
	struct str text = str_make(data, len);
	struct exec_result r;
	struct err err = {""};
	struct kubeconfig k;

	for (int untrusted = 0; untrusted < 2; untrusted++) {
		if (kubeconfig_parse(text, "kc", NULL, untrusted, &k, &err) < 0) {
			check_sentence(&err);
			continue;
		}
		bug_on(k.cluster.host == NULL || k.cluster.host[0] == '\0');
		if (untrusted)
			check_untrusted(&k);
		kubeconfig_fini(&k);
	}
	if (exec_parse(text, "client.authentication.k8s.io/v1", &r, &err) < 0)
		check_sentence(&err);
	else
		exec_result_fini(&r);
}
