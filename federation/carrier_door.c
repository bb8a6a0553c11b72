// SPDX-License-Identifier: Apache-2.0
/*
 * carrier_door.c: who may wait at the door: connections that others made and that have not agreed
 * on TLS yet.
 *
 * There are CARRIER_NNG_STRANGERS_MAX places. An address (of IPv6 a /64: that is what one host may
 * have) gets a few of them; when all are taken, the address that has most gives its oldest one up,
 * and among equals one that has had its time. Who is known is asked for none of that: addresses in
 * the peers' URLs, and those from which a certificate of the federation was shown before, have
 * places of their own, so strangers cannot keep a site out that was ever there.
 */
#include "federation/carrier_private.h"

#include <string.h>

#include "dataplane/base/clock.h"

#define PATIENCE_US 1000000u /* a greeting takes a few round trips */

static struct ip_addr host_of(const struct ip_addr *a)
{
	struct ip_addr host = *a;

	if (!ip_is_v4(a))
		memset(host.b + 8, 0, 8);
	return host;
}

static bool is_in(const struct ip_addr *list, unsigned count, const struct ip_addr *host)
{
	for (unsigned i = 0; i < count; i++)
		if (ip_eq(&list[i], host))
			return true;
	return false;
}

static bool is_known(const struct door *d, const struct ip_addr *host)
{
	return is_in(d->peers, d->peer_count, host) || is_in(d->seen, d->seen_count, host);
}

/* tls+tcp://192.0.2.1:7443, tls+tcp://[2001:db8::1]:7443; a name says nothing here. */
static bool address_of(struct str url, struct ip_addr *ret)
{
	static const struct str scheme = STR("tls+tcp://");
	ptrdiff_t end;

	if (!str_starts(url, scheme))
		return false;
	url = str_from(url, scheme.len);
	if (url.len > 0 && url.p[0] == '[') {
		url = str_from(url, 1);
		end = str_find(url, ']');
	} else {
		end = str_find(url, ':');
	}
	return end > 0 && ip_parse(str_first(url, (size_t)end), ret);
}

void door_set_peers(struct door *d, const char *const *urls, unsigned count)
{
	struct ip_addr a;

	d->peer_count = 0;
	for (unsigned i = 0; i < count && d->peer_count < CARRIER_NNG_KNOWN_MAX; i++)
		if (address_of(str_of(urls[i]), &a))
			d->peers[d->peer_count++] = host_of(&a);
}

void door_saw(struct door *d, const struct ip_addr *from)
{
	struct ip_addr host = host_of(from);

	if (is_known(d, &host))
		return;
	d->seen[d->seen_next] = host;
	d->seen_next = (d->seen_next + 1) % CARRIER_NNG_KNOWN_MAX; /* the oldest one gives way */
	if (d->seen_count < CARRIER_NNG_KNOWN_MAX)
		d->seen_count++;
}

static bool is_waiting(const struct channel *ch)
{
	return !ch->dialed && !ch->told_up && !ch->closed;
}

static unsigned waiting_from(const struct carrier_nng *n, const struct ip_addr *host)
{
	unsigned count = 0;

	list_for_each (l, &n->channels) {
		const struct channel *ch = list_entry(l, struct channel, link);

		count += is_waiting(ch) && ip_eq(&ch->from, host);
	}
	return count;
}

static unsigned strangers(const struct carrier_nng *n)
{
	unsigned count = 0;

	list_for_each (l, &n->channels) {
		const struct channel *ch = list_entry(l, struct channel, link);

		count += is_waiting(ch) && !is_known(&n->door, &ch->from);
	}
	return count;
}

/* The stranger that gives way to one more of an address that has <mine>; NULL: nobody does. */
static struct channel *who_gives_way(const struct carrier_nng *n, unsigned mine)
{
	struct channel *oldest = NULL;
	unsigned most = 0;

	list_for_each (l, &n->channels) { /* in the order in which they came */
		struct channel *ch = list_entry(l, struct channel, link);
		unsigned theirs;

		if (!is_waiting(ch) || is_known(&n->door, &ch->from))
			continue;
		theirs = waiting_from(n, &ch->from);
		if (theirs > most) {
			most = theirs;
			oldest = ch;
		}
	}
	if (most > mine + 1)
		return oldest;
	return oldest != NULL && clock_mono_us() - oldest->since_us >= PATIENCE_US ? oldest : NULL;
}

/* Told as one that got no number, for the counter. */
static void refuse(struct carrier_nng *n)
{
	n->sink.on_down(n->sink.arg, 0, CARRIER_CROWDED);
}

bool door_admits(struct carrier_nng *n, const struct ip_addr *from, struct ip_addr *ret_host)
{
	struct ip_addr host = host_of(from);
	unsigned mine = waiting_from(n, &host);
	bool known = is_known(&n->door, &host), free;
	struct channel *out = NULL;

	*ret_host = host;
	free = n->count < CARRIER_NNG_CONNS_MAX &&
		mine < (known ? CARRIER_NNG_KNOWN_EACH : CARRIER_NNG_STRANGERS_EACH);
	if (free && !known && strangers(n) >= CARRIER_NNG_STRANGERS_MAX) {
		out = who_gives_way(n, mine);
		free = out != NULL;
	}
	if (out != NULL)
		out->closed = true; /* freed at the end of the dispatch */
	if (!free || out != NULL)
		refuse(n);
	return free;
}
