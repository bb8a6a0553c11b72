// SPDX-License-Identifier: Apache-2.0
/*
 * kube_kubeconfig_test.c: kubeconfigs as people have them, and hostile ones: refused with file, line and
 * field.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/kube/kubeconfig.h"
#include "control/kube/pem.h"
#include "control/kube/transfer_private.h"
#include "dataplane/base/base64.h"

/* Lines 1 and 2: the contexts; line 3: the cluster; line 4: the user. */
#define HEAD \
	"{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}},\n" \
	" {name: d, context: {cluster: other, user: other}}],\n"
#define FILE_(cluster, user) \
	HEAD "clusters: [{name: k, cluster: {" cluster "}}, {name: other, cluster: nonsense}],\n" \
	     "users: [{name: u, user: {" user "}}, {name: other, user: {auth-provider: {}}}]}\n"
#define SERVER "server: 'https://h:6443'"
#define EXEC(more) "exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, " more "}"

struct row {
	const char *text, *why; /* NULL: fine */
	bool untrusted;
};

static const struct row rows[] = {
	{FILE_(SERVER, "token: t"), NULL},
	{FILE_(SERVER, ""), NULL},
	{FILE_("server: 'http://127.0.0.1:8001'", "token: t"), NULL},
	{FILE_("server: 'https://[fd00::1]:6443/k8s/clusters/c-1/'", "tokenFile: /t"), NULL},
	{FILE_(SERVER ", disable-compression: true, extensions: [{name: x, extension: {a: 1}}]",
		 "as: bob, as-groups: [a, b], as-uid: '7', as-user-extra: {k: [v, w]}"),
		NULL},
	{FILE_(SERVER, EXEC("interactiveMode: Never, args: [a, b], env: [{name: A, value: b}]")),
		NULL},
	{FILE_(SERVER, "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: ./p}"),
		NULL},
	{FILE_(SERVER ", proxy-url: 'socks5://p:1080'", "username: a, password: b"), NULL},
	/* the file */
	{"", "kc: must be one document with a map"},
	{"a: b\n---\na: b\n", "kc: must be one document with a map"},
	{"[]", "kc: must be one document with a map"},
	{"\x01", "kc: byte 0: control characters are not allowed"},
	{"a: &x 1\nb: *x\n", "kc:1: anchors (&name) are not supported, write the value out"},
	{"a: 1\n", "kc:1: current-context: is required: it names the context to use"},
	{"kind: Pod\n", "kc:1: kind: must be Config"},
	{"apiVersion: v2\n", "kc:1: apiVersion: must be v1"},
	{"current-context: c\ncontexts: {}\n", "kc:2: contexts: must be a list"},
	{"current-context: c\n", "kc:1: contexts: has no entry named \"c\""},
	{"current-context: c\ncontexts:\n- name: c\n", "kc:3: contexts: the entry \"c\" is empty"},
	{"current-context: c\ncontexts:\n- name: c\n  context: {user: u}\n",
		"kc:4: contexts[0].context.cluster: is required"},
	/* the cluster */
	{FILE_("", ""), "kc:3: clusters[0].cluster.server: is required"},
	{FILE_("server: 7", ""),
		"kc:3: clusters[0].cluster.server: must be a string, but is the "
		"number 7 (put it in quotes)"},
	{FILE_("server: 'h:6443'", ""), "kc:3: clusters[0].cluster.server: is not a URL"},
	{FILE_("server: 'ftp://h'", ""),
		"kc:3: clusters[0].cluster.server: must begin with https://"},
	{FILE_("server: 'file:///etc/passwd'", ""),
		"kc:3: clusters[0].cluster.server: must begin with https://"},
	{FILE_("server: 'https://a:b@h'", ""),
		"kc:3: clusters[0].cluster.server: must be scheme, host, port and path only"},
	{FILE_("server: 'https://h/?x=y'", ""),
		"kc:3: clusters[0].cluster.server: must be scheme, host, port and path only"},
	{FILE_("server: 'http://h'", "token: t"),
		"kc:3: clusters.cluster.server: would send the "
		"credential in clear text: use https"},
	/* a name is not the address that it begins with, and a proxy is not this machine */
	{FILE_("server: 'http://127.0.0.1'", "token: t"), NULL},
	{FILE_("server: 'http://127.0.0.1.example.com'", "token: t"),
		"kc:3: clusters.cluster.server: would send the "
		"credential in clear text: use https"},
	{FILE_("server: 'http://localhost', proxy-url: 'http://h'", "token: t"),
		"kc:3: clusters.cluster.server: would send the "
		"credential in clear text: use https"},
	{FILE_(SERVER ", tls-server-name: 'h/x@y'", ""),
		"kc:3: clusters[0].cluster.tls-server-name: must be a host name"},
	{FILE_(SERVER ", sever: x", ""), "kc:3: clusters[0].cluster.sever: unknown field"},
	{FILE_(SERVER ", certificate-authority-data: '%%%'", ""),
		"kc:3: clusters[0].cluster.certificate-authority-data: is not base64"},
	{FILE_(SERVER ", certificate-authority-data: aGFsbG8=", ""),
		"kc:3: clusters.cluster.certificate-authority-data: holds no certificate in PEM"},
	{FILE_(SERVER ", certificate-authority: ca, insecure-skip-tls-verify: true", ""),
		"kc:3: clusters[0].cluster.insecure-skip-tls-verify: excludes a certificate "
		"authority"},
	{FILE_(SERVER ", insecure-skip-tls-verify: 'true'", ""),
		"kc:3: clusters[0].cluster.insecure-skip-tls-verify: must be true or false, but is "
		"the string \"true\""},
	{FILE_(SERVER ", proxy-url: 'ssh://p'", ""),
		"kc:3: clusters[0].cluster.proxy-url: must "
		"begin with http://, https:// or socks5://"},
	/* the user */
	{FILE_(SERVER, "auth-provider: {name: oidc}"),
		"kc:4: users[0].user.auth-provider: is not "
		"supported: use exec or tokenFile"},
	{FILE_(SERVER, "client-certificate: a"),
		"kc:4: users[0].user.client-key: is required with client-certificate"},
	{FILE_(SERVER, "token: \"a\\r\\nX: y\""),
		"kc:4: users[0].user.token: holds a control character"},
	{FILE_(SERVER, "token: t, username: u"), "kc:4: users[0].user.username: excludes a token"},
	{FILE_(SERVER, "as-uid: '7'"),
		"kc:4: users[0].user.as: is required with as-uid, as-groups and as-user-extra"},
	{FILE_(SERVER, "as: a, as-user-extra: {k: v}"),
		"kc:4: users[0].user.as-user-extra: must be lists of strings"},
	{FILE_(SERVER, EXEC("args: []")),
		"kc:4: users[0].user.exec.interactiveMode: is required "
		"with client.authentication.k8s.io/v1"},
	{FILE_(SERVER, EXEC("interactiveMode: Always")),
		"kc:4: users[0].user.exec.interactiveMode: "
		"Always cannot work: nobody is there to "
		"answer"},
	{FILE_(SERVER, "exec: {apiVersion: client.authentication.k8s.io/v1alpha1, command: x}"),
		"kc:4: users[0].user.exec.apiVersion: must be client.authentication.k8s.io/v1 or "
		"client.authentication.k8s.io/v1beta1"},
	{FILE_(SERVER, "token: t, " EXEC("interactiveMode: Never")),
		"kc:4: users[0].user.exec: excludes a token and a user name"},
	/* from a Secret: no file, no program, no proxy, no clear text */
	{FILE_(SERVER, "token: t"), NULL, true},
	{FILE_("server: 'http://127.0.0.1'", ""), "kc:3: clusters[0].cluster.server: must be https",
		true},
	{FILE_(SERVER ", certificate-authority: /etc/shadow", ""),
		"kc:3: clusters[0].cluster.certificate-authority: names a file, which is refused "
		"in a kubeconfig from a cluster: put the data itself there",
		true},
	{FILE_(SERVER, "tokenFile: /etc/shadow"),
		"kc:4: users[0].user.tokenFile: names a file, which is refused in a kubeconfig "
		"from a cluster: put the data itself there",
		true},
	{FILE_(SERVER, EXEC("interactiveMode: Never")),
		"kc:4: users[0].user.exec.command: names a program, which is refused in a "
		"kubeconfig from a cluster",
		true},
	{FILE_(SERVER ", proxy-url: 'http://p'", ""),
		"kc:3: clusters[0].cluster.proxy-url: is "
		"refused in a kubeconfig from a cluster",
		true},
};

static void what_cannot_work_is_refused_by_line_and_field(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct kubeconfig k;
		struct err err = {""};
		int rc = kubeconfig_parse(str_of(rows[i].text), "kc", NULL, rows[i].untrusted, &k,
			&err);

		if (rc == 0)
			kubeconfig_fini(&k);
		if (rc == 0 ? rows[i].why != NULL
			    : rows[i].why == NULL || strcmp(err.msg, rows[i].why) != 0)
			fail_msg("row %zu: rc %d, \"%s\"\n%s", i, rc, err.msg, rows[i].text);
	}
}

static void the_context_may_be_named(void **state)
{
	struct kubeconfig k;
	struct err err;

	assert_true(kubeconfig_parse(str_of(FILE_(SERVER, "")), "kc", "d", false, &k, &err) < 0);
	assert_string_equal(err.msg,
		"kc:3: clusters[1].cluster: must be a map, but is the string \"nonsense\"");
	assert_true(kubeconfig_parse(str_of(FILE_(SERVER, "")), "kc", "x", false, &k, &err) < 0);
	assert_string_equal(err.msg, "kc:1: contexts: has no entry named \"x\"");
}

static void paths_start_at_the_folder_of_the_file(void **state)
{
	struct kubeconfig k;
	struct err err;

	assert_int_equal(kubeconfig_parse(str_of(FILE_(SERVER ", certificate-authority: ca.crt",
						  "exec: {apiVersion: client.authentication.k8s."
						  "io/v1beta1, command: ./p}")),
				 "/etc/kc/config", NULL, false, &k, &err),
		0);
	assert_string_equal(k.cluster.ca_file, "/etc/kc/ca.crt");
	assert_string_equal(k.user.exec->path, "/etc/kc/./p");
	assert_string_equal(k.cluster.host, "h");
	assert_int_equal(k.cluster.port, 6443);
	assert_true(kubeconfig_files(&k, &err) < 0);
	assert_string_equal(err.msg,
		"/etc/kc/config:3: clusters.cluster.certificate-authority: "
		"/etc/kc/ca.crt: No such file or directory");
	kubeconfig_fini(&k);
	assert_int_equal(kubeconfig_parse(str_of(FILE_(SERVER, EXEC("interactiveMode: Never"))),
				 "/etc/kc/config", NULL, false, &k, &err),
		0);
	assert_string_equal(k.user.exec->path, "aws"); /* by $PATH */
	kubeconfig_fini(&k);
}

static void headers_say_who_we_are(void **state)
{
	struct credential cred = {.token = (char *)"t0k"};
	struct kubeconfig k;
	struct transfers t = {.k = &k, .credential = &cred};
	struct curl_slist *l;
	char all[1024] = "";

	assert_int_equal(kubeconfig_parse(str_of(FILE_(SERVER,
						  "as: bob, as-uid: '7', as-groups: [g, h], "
						  "as-user-extra: {'a/b': [v]}")),
				 "kc", NULL, false, &k, NULL),
		0);
	l = transfer_headers(&t, NULL, "application/json");
	for (const struct curl_slist *i = l; i != NULL; i = i->next) {
		strcat(all, i->data);
		strcat(all, "\n");
	}
	assert_string_equal(all,
		"Accept: application/json\nContent-Type: application/json\nExpect:\n"
		"Authorization: Bearer t0k\nImpersonate-User: bob\nImpersonate-Uid: 7\n"
		"Impersonate-Group: g\nImpersonate-Group: h\nImpersonate-Extra-a%2Fb: v\n");
	curl_slist_free_all(l);
	kubeconfig_fini(&k);
	assert_int_equal(kubeconfig_parse(str_of(FILE_(SERVER,
						  "username: Aladdin, password: 'open "
						  "sesame'")),
				 "kc", NULL, false, &k, NULL),
		0);
	cred.token = NULL;
	l = transfer_headers(&t, "application/json;as=Table", NULL);
	assert_string_equal(l->data, "Accept: application/json;as=Table");
	/* RFC 7617 2: the example of the standard */
	assert_string_equal(l->next->next->data,
		"Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
	curl_slist_free_all(l);
	kubeconfig_fini(&k);
}

static void base64_is_strict(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: none */
	} b64[] = {
		{"", ""},
		{"Zg==", "f"},
		{"Zm8=", "fo"},
		{"Zm9v", "foo"},
		{"Zm9v\nYg==\n", "foob"},
		{"Zg=", NULL},
		{"Zg", NULL},
		{"Z===", NULL},
		{"====", NULL},
		{"Zg==Zg==", NULL},
		{"Zm 9", NULL},
		{"Zm-_", NULL},
		{"Z=9v", NULL},
		{"Zg==x", NULL},
	};

	for (size_t i = 0; i < sizeof(b64) / sizeof(b64[0]); i++) {
		char out[64] = "";
		size_t len = 0;
		bool ok = base64_decode(str_of(b64[i].in), out, &len);

		if (ok != (b64[i].out != NULL) ||
			(ok && (len != strlen(b64[i].out) || memcmp(out, b64[i].out, len) != 0)))
			fail_msg("\"%s\": %d \"%.*s\"", b64[i].in, ok, (int)len, out);
	}
}

static void a_pod_has_its_own_configuration(void **state)
{
	struct kubeconfig k;
	struct err err;

	unsetenv("KUBERNETES_SERVICE_HOST");
	assert_true(kubeconfig_in_cluster(&k, &err) < 0);
	setenv("KUBERNETES_SERVICE_HOST", "fd00::1", 1);
	setenv("KUBERNETES_SERVICE_PORT", "443", 1);
	assert_int_equal(kubeconfig_in_cluster(&k, &err), 0);
	assert_string_equal(k.cluster.server, "https://[fd00::1]:443");
	kubeconfig_fini(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_cannot_work_is_refused_by_line_and_field),
		cmocka_unit_test(the_context_may_be_named),
		cmocka_unit_test(paths_start_at_the_folder_of_the_file),
		cmocka_unit_test(headers_say_who_we_are),
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(a_pod_has_its_own_configuration),
	};

	return cmocka_run_group_tests_name("kube_kubeconfig", tests, NULL, NULL);
}
