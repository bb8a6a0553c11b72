// SPDX-License-Identifier: Apache-2.0
/*
 * pkt_text.c: segments as a page writes them.
 *
 *	[until|may] FLAGS FIRST:NEXT(LEN) [ack N|*] [win N|>=N|<=N|*] [<options>] [words]
 */
#include "tests/tools/pkt/pkt.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "dataplane/base/bytes.h"

static const char flag_letters[] = "FSRP.U";

bool parse_u64(const char *s, uint64_t *ret)
{
	char *end;

	*ret = strtoull(s, &end, 0);
	return end != s && *end == '\0';
}

bool parse_seconds(const char *s, uint64_t *ret_us)
{
	char *end;
	double d = strtod(s, &end);

	*ret_us = (uint64_t)(d * 1e6 + 0.5);
	return end != s && *end == '\0' && d >= 0;
}

bool compare(const char *op, uint64_t a, uint64_t b, bool *ret)
{
	if (strcmp(op, "==") == 0)
		*ret = a == b;
	else if (strcmp(op, "!=") == 0)
		*ret = a != b;
	else if (strcmp(op, ">=") == 0)
		*ret = a >= b;
	else if (strcmp(op, "<=") == 0)
		*ret = a <= b;
	else
		return false;
	return true;
}

static bool flags_parse(const char *s, uint8_t *ret)
{
	*ret = 0;
	if (strcmp(s, "-") == 0)
		return true;
	for (; *s != '\0'; s++) {
		const char *at = strchr(flag_letters, *s);

		if (at == NULL)
			return false;
		*ret |= (uint8_t)(1 << (at - flag_letters));
	}
	return true;
}

static void raw_put(struct seg *s, const void *bytes, unsigned len)
{
	if (s->raw_len + len <= sizeof(s->raw))
		memcpy(s->raw + s->raw_len, bytes, len);
	s->raw_len += len;
}

/* "last", "last-5" or a number, of what the stack sent last; "*" on expected ones. */
static bool tsecr_parse(struct page *g, const char *s, struct seg *ret)
{
	ret->tsecr_any = strcmp(s, "*") == 0;
	if (strncmp(s, "last", 4) == 0)
		ret->tsecr = g->p->ts_last + (uint32_t)strtol(s + 4, NULL, 0);
	else
		ret->tsecr = (uint32_t)strtoul(s, NULL, 0);
	return true;
}

/* On the wire the edges are absolute: the stack acknowledges what it is told of its own bytes. */
static bool sack_parse(char *blocks, uint32_t iss, struct seg *ret)
{
	uint8_t kind[2] = {5, 2}, edge[4];
	char *save = NULL;

	for (char *b = strtok_r(blocks, " ", &save); b != NULL; b = strtok_r(NULL, " ", &save)) {
		long long first, next;

		if (ret->sacks == 4 || sscanf(b, "%lld:%lld", &first, &next) != 2)
			return false;
		ret->sack[ret->sacks][0] = (uint32_t)first;
		ret->sack[ret->sacks++][1] = (uint32_t)next;
	}
	kind[1] = (uint8_t)(2 + 8 * ret->sacks);
	raw_put(ret, kind, 2);
	for (unsigned i = 0; i < 2 * ret->sacks; i++) {
		be32_put(edge, ret->sack[i / 2][i % 2] + iss);
		raw_put(ret, edge, 4);
	}
	return ret->sacks > 0;
}

static void raw_parse(const char *hex, struct seg *ret)
{
	for (unsigned v; sscanf(hex, "%2x", &v) == 1; hex += 2)
		raw_put(ret, &(uint8_t){(uint8_t)v}, 1);
}

static bool opt_parse(struct page *g, char *o, struct seg *ret)
{
	char a[32], b[32];
	unsigned v;

	if (strcmp(o, "nop") == 0) {
		raw_put(ret, &(uint8_t){1}, 1);
	} else if (strcmp(o, "eol") == 0) {
		raw_put(ret, &(uint8_t){0}, 1);
	} else if (strcmp(o, "*") == 0) {
		ret->opts_more = true;
	} else if (sscanf(o, "mss %u", &v) == 1) {
		ret->opts |= OPT_MSS;
		ret->mss = (uint16_t)v;
		raw_put(ret, (uint8_t[]){2, 4, (uint8_t)(v >> 8), (uint8_t)v}, 4);
	} else if (sscanf(o, "wscale %u", &v) == 1) {
		ret->opts |= OPT_WSCALE;
		ret->wscale = (uint8_t)v;
		raw_put(ret, (uint8_t[]){3, 3, (uint8_t)v}, 3);
	} else if (strcmp(o, "sackOK") == 0) {
		ret->opts |= OPT_SACKOK;
		raw_put(ret, (uint8_t[]){4, 2}, 2);
	} else if (strncmp(o, "sack ", 5) == 0) {
		ret->opts |= OPT_SACK;
		return sack_parse(o + 5, g->p->iss, ret);
	} else if (sscanf(o, "TS val %31s ecr %31s", a, b) == 2) {
		uint8_t ts[10] = {8, 10};

		ret->opts |= OPT_TS;
		ret->tsval_any = strcmp(a, "*") == 0;
		ret->tsval = (uint32_t)strtoul(a, NULL, 0);
		tsecr_parse(g, b, ret);
		be32_put(ts + 2, ret->tsval);
		be32_put(ts + 6, ret->tsecr);
		raw_put(ret, ts, 10);
	} else if (strncmp(o, "raw ", 4) == 0) {
		raw_parse(o + 4, ret);
	} else {
		return false;
	}
	return true;
}

static bool opts_parse(struct page *g, char *text, struct seg *ret)
{
	char *save = NULL;

	ret->opts_given = true;
	for (char *o = strtok_r(text, ",", &save); o != NULL; o = strtok_r(NULL, ",", &save))
		if (!opt_parse(g, o + strspn(o, " "), ret))
			return false;
	while (ret->raw_len % 4 != 0)
		raw_put(ret, &(uint8_t){0}, 1);
	return ret->raw_len <= sizeof(ret->raw);
}

static bool win_parse(const char *s, struct seg *ret)
{
	uint64_t v = 0;

	ret->win_op = '=';
	if (s[0] == '*' && s[1] == '\0') {
		ret->win_op = '*';
		return true;
	}
	if ((s[0] == '>' || s[0] == '<') && s[1] == '=') {
		ret->win_op = s[0];
		s += 2;
	}
	if (!parse_u64(s, &v))
		return false;
	ret->win = (uint32_t)v;
	return true;
}

/* Words behind the sequence numbers; each takes at most one argument. */
static bool words_parse(char *text, struct seg *ret)
{
	char *save = NULL;
	uint64_t v = 0;

	for (char *w = strtok_r(text, " \t", &save); w != NULL; w = strtok_r(NULL, " \t", &save)) {
		bool arg = !strcmp(w, "ack") || !strcmp(w, "win") || !strcmp(w, "urg") ||
			!strcmp(w, "doff") || !strcmp(w, "each");
		char *a = arg ? strtok_r(NULL, " \t", &save) : NULL;

		if (arg && a == NULL)
			return false;
		if (strcmp(w, "win") == 0) {
			if (!win_parse(a, ret))
				return false;
		} else if (arg) {
			ret->ack_any |= w[0] == 'a' && strcmp(a, "*") == 0;
			v = (uint64_t)strtoll(a, NULL, 0);
			if (w[0] == 'a')
				ret->ack = (uint32_t)v;
			else if (w[0] == 'u')
				ret->urg = (uint16_t)v;
			else if (w[0] == 'e')
				ret->each = (uint32_t)RTE_MAX(v, 1u);
			else
				ret->doff = (int)v;
		} else if (strcmp(w, "newport") == 0) {
			ret->newport = true;
		} else if (strcmp(w, "badsum") == 0) {
			ret->badsum = true;
		} else if (strcmp(w, "alt") == 0) {
			ret->alt = true;
		} else {
			return false;
		}
	}
	return true;
}

/* The options, <text> is cut where they begin. An operator such as "win <=5" is no bracket. */
static char *opts_cut(char *text, char **ret_rest)
{
	char *open = text, *close;

	while ((open = strchr(open, '<')) != NULL && open[1] == '=')
		open++;
	*ret_rest = NULL;
	if (open == NULL)
		return NULL;
	close = strchr(open, '>');
	if (close == NULL)
		return NULL;
	*open = *close = '\0';
	*ret_rest = close + 1;
	return open + 1;
}

bool seg_parse(struct page *g, char *text, bool injected, struct seg *ret)
{
	long long first, next, len;
	char flags[16], *opts, *rest;
	int used = 0;

	*ret = (struct seg){.doff = -1, .win_op = '*', .each = 1460};
	text += strspn(text, " \t");
	if (!injected) {
		ret->until = strncmp(text, "until ", 6) == 0;
		ret->may = strncmp(text, "may ", 4) == 0;
		text += ret->until ? 6 : ret->may ? 4 : 0;
	}
	opts = opts_cut(text, &rest);
	if (sscanf(text, "%15s %lld:%lld(%lld)%n", flags, &first, &next, &len, &used) != 4 ||
		used == 0 || !flags_parse(flags, &ret->flags)) {
		page_fail(g, "not a segment: %s", text);
		return false;
	}
	if (next - first != len) {
		page_fail(g, "%lld:%lld is not %lld bytes", first, next, len);
		return false;
	}
	ret->seq = (uint32_t)first;
	ret->len = (uint32_t)len;
	if (!words_parse(text + used, ret) || (opts != NULL && !opts_parse(g, opts, ret)) ||
		(rest != NULL && !words_parse(rest, ret))) {
		page_fail(g, "cannot read the words or options of this segment");
		return false;
	}
	return true;
}

char *seg_format(const struct seg *s, char *buf, size_t size)
{
	char flags[8], *f = flags;
	FILE *out = fmemopen(buf, size, "w");

	for (int i = 0; i < 6; i++)
		if (s->flags & (1 << i))
			*f++ = flag_letters[i];
	*f = '\0';
	fprintf(out, "%s %d:%d(%u)", f == flags ? "-" : flags, (int)s->seq, (int)(s->seq + s->len),
		s->len);
	if (s->flags & F_ACK)
		fprintf(out, " ack %d", (int)s->ack);
	if (s->win_op != '*')
		fprintf(out, " win %s%u",
			s->win_op == '>'	   ? ">="
				: s->win_op == '<' ? "<="
						   : "",
			s->win);
	fputs(s->opts ? " <" : "", out);
	if (s->opts & OPT_MSS)
		fprintf(out, " mss %u", s->mss);
	if (s->opts & OPT_SACKOK)
		fputs(" sackOK", out);
	if (s->opts & OPT_TS)
		fprintf(out, " TS val %u ecr %u", s->tsval, s->tsecr);
	if (s->opts & OPT_WSCALE)
		fprintf(out, " wscale %u", s->wscale);
	for (unsigned i = 0; i < s->sacks; i++)
		fprintf(out, "%s %d:%d", i == 0 ? " sack" : "", (int)s->sack[i][0],
			(int)s->sack[i][1]);
	fputs(s->opts ? " >" : "", out);
	fclose(out);
	return buf;
}
