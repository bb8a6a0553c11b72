// SPDX-License-Identifier: Apache-2.0
/*
 * access_log.c: the ring of records and their text form.
 */
#include "dataplane/http/access_log.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/base/bug.h"
#include "dataplane/http/h1.h"
#include "dataplane/http/outcome.h"

struct access_ring {
	_Alignas(64) _Atomic uint64_t head; /* producer: w, consumer: r */
	uint64_t tail_seen;		    /* producer's last look at tail */
	_Alignas(64) _Atomic uint64_t tail; /* consumer: w, producer: r */
	uint64_t head_seen;		    /* consumer's last look at head */
	_Alignas(64) uint64_t mask;	    /* read only */
	struct access_record *rec;	    /* owned */
};

struct access_ring *access_ring_new(uint32_t records)
{
	struct access_ring *r = aligned_alloc(64, sizeof(*r));
	uint64_t n = 1;

	if (r == NULL)
		return NULL;
	while (n < records)
		n <<= 1;
	*r = (struct access_ring){.mask = n - 1, .rec = calloc(n, sizeof(struct access_record))};
	if (r->rec == NULL) {
		free(r);
		return NULL;
	}
	return r;
}

void access_ring_free(struct access_ring *r)
{
	if (r == NULL)
		return;
	free(r->rec);
	free(r);
}

struct access_record *access_ring_reserve(struct access_ring *r)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	struct access_record *rec = &r->rec[head & r->mask];

	if (head - r->tail_seen > r->mask) {
		r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (head - r->tail_seen > r->mask)
			return NULL;
	}
	memset(rec, 0, sizeof(*rec));
	return rec;
}

void access_ring_commit(struct access_ring *r)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

	bug_on_hot(head - r->tail_seen > r->mask); /* commit without reserve */
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
}

const struct access_record *access_ring_peek(struct access_ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	if (tail == r->head_seen) {
		r->head_seen = atomic_load_explicit(&r->head, memory_order_acquire);
		if (tail == r->head_seen)
			return NULL;
	}
	return &r->rec[tail & r->mask];
}

void access_ring_pop(struct access_ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	bug_on_hot(tail == r->head_seen); /* pop without peek */
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

bool access_copy(char *field, size_t max, struct str s, uint8_t *ret_len)
{
	size_t n = s.len < max ? s.len : max;

	bug_on_hot(max > UINT8_MAX);
	if (n > 0)
		memcpy(field, s.p, n);
	*ret_len = (uint8_t)n;
	return n < s.len;
}

#define FIELD_MAX 168 /* names of objects; escaped six-fold all fields fit ACCESS_LINE_MAX */

/* The line under construction. Every field is bounded, so the whole is; asserted at the end. */
struct line {
	char *p;
	size_t len;
};

static void put(struct line *l, struct str s)
{
	if (s.len == 0 || l->len + s.len > ACCESS_LINE_MAX)
		return;
	memcpy(l->p + l->len, s.p, s.len);
	l->len += s.len;
}

static void put_u64(struct line *l, const char *key, uint64_t v)
{
	char buf[64];
	int n = snprintf(buf, sizeof(buf), ",\"%s\":%" PRIu64, key, v);

	put(l, str_make(buf, (size_t)n));
}

/* RFC 8259 7: quotation mark, reverse solidus and controls must be escaped; we escape all >= 0x7f. */
static void put_escaped(struct line *l, struct str s)
{
	static const char hex[] = "0123456789abcdef";

	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];
		char esc[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
		char quoted[2] = {'\\', (char)c};

		if (c == '"' || c == '\\')
			put(l, str_make(quoted, 2));
		else if (c < 0x20 || c >= 0x7f)
			put(l, str_make(esc, 6));
		else
			put(l, str_make(s.p + i, 1));
	}
}

static void put_str(struct line *l, const char *key, struct str s)
{
	if (s.len == 0)
		return;
	put(l, STR(",\""));
	put(l, str_of(key));
	put(l, STR("\":\""));
	put_escaped(l, str_first(s, FIELD_MAX));
	put(l, STR("\""));
}

static void put_peer(struct line *l, const char *key, const struct ip_addr *a, uint16_t port)
{
	char ip[IP_ADDR_STRLEN], buf[IP_ADDR_STRLEN + 16];
	int n;

	if (port == 0)
		return;
	ip_format(a, ip);
	n = snprintf(buf, sizeof(buf), ip_is_v4(a) ? "%s:%u" : "[%s]:%u", ip, port);
	put_str(l, key, str_make(buf, (size_t)n));
}

static void put_time(struct line *l, uint64_t wall_us)
{
	time_t s = (time_t)(wall_us / 1000000u);
	struct tm tm;
	char buf[64];
	int n;

	gmtime_r(&s, &tm);
	n = snprintf(buf, sizeof(buf), "{\"ts\":\"%04d-%02d-%02dT%02d:%02d:%02d.%06uZ\"",
		(tm.tm_year + 1900) % 10000, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min,
		tm.tm_sec, (unsigned)(wall_us % 1000000u));
	put(l, str_make(buf, (size_t)n));
}

static void put_flags(struct line *l, uint8_t flags)
{
	static const char *const names[] = {"reused", "closed", "truncated", "draining", "panic",
		"cut"};
	char buf[64];
	size_t n = 0;

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (flags & (1u << i))
			n += (size_t)snprintf(buf + n, sizeof(buf) - n, "%s%s", n ? "," : "",
				names[i]);
	put_str(l, "flags", str_make(buf, n));
}

static void put_request(struct line *l, const struct access_record *rec)
{
	put_peer(l, "client", &rec->client, rec->client_port);
	put_str(l, "method", str_make(rec->method, rec->method_len));
	put_str(l, "host", str_make(rec->host, rec->host_len));
	put_str(l, "path", str_make(rec->path, rec->path_len));
	put_u64(l, "minor", rec->minor);
	put_u64(l, "status", rec->status);
	put_str(l, "reason", str_of(outcome_name((enum outcome)rec->outcome)));
	if (rec->h1_error != 0)
		put_str(l, "error", str_of(h1_error_name(rec->h1_error)));
}

size_t access_log_format(const struct access_record *rec, const struct access_names *names,
	uint64_t wall_offset_us, char *buf)
{
	struct line l = {buf, 0};

	put_time(&l, rec->start_us + wall_offset_us);
	put_request(&l, rec);
	put_str(&l, "listener", names->listener);
	put_str(&l, "rule", names->rule);
	put_str(&l, "backend", names->backend);
	put_str(&l, "cluster", names->cluster);
	put_str(&l, "endpoint", names->endpoint);
	put_peer(&l, "upstream", &rec->upstream, rec->upstream_port);
	put_u64(&l, "bytes_in", rec->bytes_in);
	put_u64(&l, "bytes_out", rec->bytes_out);
	put_u64(&l, "total_us", rec->total_us);
	put_u64(&l, "connect_us", rec->connect_us);
	put_u64(&l, "ttfb_us", rec->ttfb_us);
	put_str(&l, "id", str_make(rec->id, rec->id_len));
	put_u64(&l, "retries", rec->retries);
	put_flags(&l, rec->flags);
	put(&l, STR("}\n"));
	return l.len;
}
