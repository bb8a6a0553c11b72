// SPDX-License-Identifier: Apache-2.0
/*
 * pem.h: whether certificates and keys are what they should be, before a server is asked.
 */
#pragma once

#include "dataplane/base/err.h"
#include "dataplane/base/str.h"

/* 0, or -EINVAL: "holds no certificate in PEM". */
int pem_check_certificates(struct str pem, struct err *err);
/* The first certificate's key is this one. */
int pem_check_pair(struct str certificate, struct str key, struct err *err);
/* When the first certificate ends, in seconds from now (negative: it has); 0 when unknown. */
long pem_seconds_left(struct str certificate);
