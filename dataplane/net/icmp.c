// SPDX-License-Identifier: Apache-2.0
/*
 * icmp.c: what ICMP and ICMPv6 share: the list of errors about our segments.
 *
 * An error is believed no further than its quoted packet allows (RFC 5927): the quote must be a TCP
 * segment that we may have sent, from the address the error came to. Whether its sequence number
 * makes sense is for TCP to judge.
 */
#include "dataplane/net/net_impl.h"

void icmp_error_push(struct net *n, const struct net_icmp_error *e)
{
	if (n->icmp_error_count < NET_ICMP_ERRORS_MAX)
		n->icmp_errors[n->icmp_error_count++] = *e;
	else
		net_count(n, NET_C_ICMP_ERRORS_FULL);
}

const struct net_icmp_error *net_icmp_errors(const struct net *n, unsigned *ret_count)
{
	*ret_count = n->icmp_error_count;
	return n->icmp_errors;
}
