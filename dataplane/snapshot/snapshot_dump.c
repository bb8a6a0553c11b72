// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot_dump.c: an image as text, one object per line, what belongs to it indented below.
 *
 * The order is the image's, which is an order of names, so a diff of two dumps shows what changed.
 * Ids are hashes and say nothing to people; they, the generation and the digest are left out.
 * Text from manifests is written with every byte outside printable ASCII as '?'.
 */
#include "dataplane/snapshot/snapshot.h"

#include "dataplane/snapshot/snapshot_check.h"

struct dump {
	const struct snapshot *s;
	FILE *out;
};

static void put_text(const struct dump *d, struct str t)
{
	for (size_t i = 0; i < t.len; i++)
		fputc(t.p[i] >= ' ' && t.p[i] < 0x7f ? t.p[i] : '?', d->out);
}

static void put_ref(const struct dump *d, const char *before, struct snapshot_ref r,
	const char *behind)
{
	fputs(before, d->out);
	put_text(d, snapshot_str(d->s, r));
	fputs(behind, d->out);
}

static void put_ms(const struct dump *d, const char *name, uint32_t ms)
{
	if (ms > 0)
		fprintf(d->out, " %s=%ums", name, ms);
}

static void dump_settings(const struct dump *d)
{
	struct snapshot_settings t = snapshot_settings(d->s);
	char addr[IP_ADDR_STRLEN];

	fprintf(d->out, "settings");
	put_ms(d, "header", t.header_timeout_ms);
	put_ms(d, "idle", t.idle_timeout_ms);
	put_ms(d, "connect", t.connect_timeout_ms);
	put_ms(d, "response", t.response_timeout_ms);
	if (t.exchange_bytes_max > 0)
		fprintf(d->out, " exchange=%u", t.exchange_bytes_max);
	fputc('\n', d->out);
	for (uint32_t i = 0; i < snapshot_count(d->s, SNAPSHOT_TRUSTED); i++) {
		struct snapshot_net n = snapshot_net(d->s, i);

		fprintf(d->out, "  trusted %s/%u\n", ip_format(&n.addr, addr),
			ip_is_v4(&n.addr) && n.len >= 96 ? n.len - 96u : n.len);
	}
}

static void dump_predicates(const struct dump *d, const char *what, uint32_t first, uint32_t count)
{
	for (uint32_t i = first; i < first + count; i++) {
		const struct snapshot_predicate *p = snapshot_at(d->s, SNAPSHOT_PREDICATE, i);

		fprintf(d->out, " %s ", what);
		put_ref(d, "", p->name, "=");
		put_ref(d, "\"", p->value, "\"");
	}
}

static void dump_candidate(const struct dump *d, const struct snapshot_candidate *c)
{
	fprintf(d->out, "        ->");
	put_ref(d, " ", snapshot_rule(d->s, c->rule).name, "");
	if (c->method.len > 0)
		put_ref(d, " if method ", c->method, "");
	dump_predicates(d, "header", c->header_first, c->header_count);
	dump_predicates(d, "query", c->query_first, c->query_count);
	fputc('\n', d->out);
}

/* Paths lie host by host: the first one is <*next>. */
static void dump_paths(const struct dump *d, uint32_t host, uint32_t *next)
{
	for (; *next < snapshot_count(d->s, SNAPSHOT_PATH); (*next)++) {
		const struct snapshot_path *p = snapshot_at(d->s, SNAPSHOT_PATH, *next);

		if (p->host != host)
			return;
		fprintf(d->out, "      %s ", p->kind == SNAPSHOT_PATH_EXACT ? "exact" : "prefix");
		if (p->path.len == 0)
			fputc('/', d->out);
		put_ref(d, "", p->path, "\n");
		for (uint32_t i = 0; i < p->candidate_count; i++)
			dump_candidate(d,
				snapshot_at(d->s, SNAPSHOT_CANDIDATE, p->candidate_first + i));
	}
}

static void dump_listeners(const struct dump *d)
{
	char addr[IP_ADDR_STRLEN];
	uint32_t path = 0, hosts = snapshot_count(d->s, SNAPSHOT_HOST), host = 0;

	for (uint32_t i = 0; i < snapshot_count(d->s, SNAPSHOT_LISTENER); i++) {
		struct snapshot_listener l = snapshot_listener(d->s, i);

		put_ref(d, "listener ", l.name, " http");
		put_ref(d, l.hostname.len > 0 ? " hostname " : " hostname *", l.hostname, "");
		fprintf(d->out, " port %u\n", l.port);
		for (uint32_t k = 0; k < l.addr_count; k++) {
			struct ip_addr a = snapshot_listener_addr(d->s, &l, k);

			fprintf(d->out, "  address %s\n", ip_format(&a, addr));
		}
		for (; host < hosts; host++) {
			const struct snapshot_host *h = snapshot_at(d->s, SNAPSHOT_HOST, host);

			if (h->level == SNAPSHOT_LEVEL_BIND)
				continue;
			if (h->scope != i)
				break;
			put_ref(d, h->kind == SNAPSHOT_HOST_EXACT ? "    host " : "    host *",
				h->name, "\n");
			dump_paths(d, host, &path);
		}
	}
}

static void dump_policies(const struct dump *d)
{
	static const char *const probes[] = {"no probe", "http probe", "tcp probe"};

	for (uint32_t i = 0; i < snapshot_count(d->s, SNAPSHOT_POLICY); i++) {
		struct snapshot_policy p = snapshot_policy(d->s, i);

		put_ref(d, "policy ", p.name, "\n");
		fprintf(d->out, "  %s", probes[p.probe]);
		if (p.probe == BUILD_PROBE_HTTP) {
			put_ref(d, " ", p.method, "");
			put_ref(d, " ", p.path, "");
			put_ref(d, " host \"", p.host, "\" status");
			for (unsigned k = 0; k < p.status_count; k++)
				fprintf(d->out, " %u-%u", p.status[k].first, p.status[k].last);
		}
		put_ms(d, "interval", p.interval_ms);
		put_ms(d, "timeout", p.timeout_ms);
		fprintf(d->out, " fall %u rise %u\n", p.fall, p.rise);
		fprintf(d->out, "  eject 5xx=%u local=%u percent=%u", p.consecutive_5xx,
			p.consecutive_local_failures, p.max_ejection_percent);
		put_ms(d, "base", p.base_ejection_ms);
		put_ms(d, "max", p.max_ejection_ms);
		fprintf(d->out, "\n  shares panic=%u overprovisioning=%u ramp=%u/s",
			p.panic_percent, p.overprovisioning_percent, p.ramp_points_per_s);
		put_ms(d, "slow-start", p.slow_start_ms);
		fputc('\n', d->out);
	}
}

static void put_policy(const struct dump *d, uint32_t number)
{
	if (number > 0)
		put_ref(d, " policy ", snapshot_policy(d->s, number - 1).name, "");
}

/* Those that differ from one of which nothing is known. */
static void dump_clusters(const struct dump *d, const struct snapshot_service *v)
{
	for (uint32_t i = 0; i < v->cluster_count; i++) {
		struct snapshot_service_cluster c =
			snapshot_service_cluster(d->s, v->cluster_first + i);

		if (c.priority == 0 && c.remote == 0 && c.withheld == 0 && c.unready == 0)
			continue;
		put_ref(d, "  cluster ", c.name, "");
		fprintf(d->out, " priority %u%s", c.priority, c.remote ? " remote" : "");
		if (c.withheld > 0)
			fprintf(d->out, " withheld %u/1000", c.withheld);
		if (c.unready > 0)
			fprintf(d->out, " unready %u", c.unready);
		fputc('\n', d->out);
	}
}

static void dump_rules(const struct dump *d)
{
	static const char *const status[] = {
		[BUILD_BACKEND_OK] = "",
		[BUILD_BACKEND_INVALID_KIND] = " InvalidKind",
		[BUILD_BACKEND_NOT_FOUND] = " BackendNotFound",
		[BUILD_BACKEND_REF_NOT_PERMITTED] = " RefNotPermitted",
		[BUILD_BACKEND_UNSUPPORTED] = " UnsupportedProtocol",
	};

	for (uint32_t i = 0; i < snapshot_count(d->s, SNAPSHOT_RULE); i++) {
		struct snapshot_rule r = snapshot_rule(d->s, i);

		put_ref(d, "rule ", r.name, "");
		put_ms(d, "request", r.request_timeout_ms);
		put_ms(d, "backend", r.backend_timeout_ms);
		fputs(r.failover ? " failover" : "", d->out);
		put_policy(d, r.policy);
		fputc('\n', d->out);
		for (uint32_t k = 0; k < r.backend_count; k++) {
			struct snapshot_backend b = snapshot_backend(d->s, r.backend_first + k);

			put_ref(d, "  backend ", b.name, "");
			fprintf(d->out, " weight %u%s", b.weight, status[b.status]);
			if (b.service != SLOT_NONE)
				put_ref(d, " -> ", snapshot_service(d->s, b.service).name, "");
			fputc('\n', d->out);
		}
	}
}

static void dump_services(const struct dump *d)
{
	char addr[IP_ADDR_STRLEN];

	for (uint32_t i = 0; i < snapshot_count(d->s, SNAPSHOT_SERVICE); i++) {
		struct snapshot_service v = snapshot_service(d->s, i);

		put_ref(d, "service ", v.name, "");
		put_policy(d, v.policy);
		fputc('\n', d->out);
		dump_clusters(d, &v);
		for (uint32_t k = 0; k < v.endpoint_count; k++) {
			struct snapshot_endpoint e = snapshot_endpoint(d->s, v.endpoint_first + k);
			bool v6 = !ip_is_v4(&e.addr);

			fprintf(d->out, "  endpoint %s%s%s:%u weight %u%s", v6 ? "[" : "",
				ip_format(&e.addr, addr), v6 ? "]" : "", e.port, e.weight,
				e.draining ? " draining" : "");
			put_ref(d, " ", e.name, "");
			put_ref(d, " in ", e.cluster, "\n");
		}
	}
}

void snapshot_dump(const struct snapshot *s, FILE *out)
{
	struct dump d = {s, out};

	dump_settings(&d);
	dump_policies(&d);
	dump_listeners(&d);
	dump_rules(&d);
	dump_services(&d);
}
