// SPDX-License-Identifier: Apache-2.0
/*
 * transfer_private.h: between transfer.c and transfer_head.c.
 */
#pragma once

#include "control/kube/transfer.h"

struct transfer {
	struct transfers *t;
	CURL *easy;
	const struct transfer_ops *ops;
	void *arg;
	struct list link;
	struct curl_slist *headers; /* owned */
	uint32_t generation;
	int status;
	bool stopped, sent, retry_after;
	size_t head_len;
	char error[CURL_ERROR_SIZE];
};

/* Over; the transfer is gone afterwards. */
void transfer_finish(struct transfer *x, CURLcode rc);
/* Who we are and what we send, as header lines. */
struct curl_slist *transfer_headers(const struct transfers *t, const char *accept,
	const char *content_type);
