// SPDX-License-Identifier: Apache-2.0
/*
 * check.h: the patterns of the API's strings. NULL when <s> fits, else how it must be.
 */
#pragma once

#include "dataplane/base/ip.h"
#include "dataplane/base/str.h"

const char *check_dns_label(struct str s); /* RFC 1123 label: a namespace */
const char *check_dns_name(struct str s);  /* RFC 1123 subdomain: most names */
const char *check_hostname(struct str s);  /* the same, or "*." before it */
const char *check_group(struct str s);	   /* the same, or empty */
const char *check_kind(struct str s);
const char *check_header_name(struct str s); /* RFC 9110 5.6.2: token */
const char *check_domain_path(struct str s); /* "example.com/anything" */
const char *check_protocol(struct str s);
const char *check_address_type(struct str s);
const char *check_path(struct str s); /* of Exact and PathPrefix matches */
const char *check_label_key(struct str s);
const char *check_label_value(struct str s);
/* Nobody's or everybody's: no router brings a TCP segment there (RFC 6890; multicast). */
bool check_is_special(const struct ip_addr *a);
