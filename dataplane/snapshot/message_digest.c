// SPDX-License-Identifier: Apache-2.0
/*
 * message_digest.c: names of contents, by which control and dataplane find out what differs.
 */
#include "dataplane/base/bytes.h"
#include "dataplane/base/hash.h"
#include "dataplane/snapshot/message.h"

/* Fixed on purpose: both programs and files on disk must agree on the digests. */
static const struct hash_key digest_key = {{0x736c756963653a6dull, 0x6573736167652e76ull}};

uint64_t message_digest(const void *data, size_t len)
{
	return siphash(&digest_key, data, len);
}

uint64_t message_weights_digest(uint64_t rule_id, const struct message_weight *w, uint32_t count)
{
	const struct hash_key k = {{digest_key.k[0] ^ rule_id, digest_key.k[1] ^ MESSAGE_WEIGHTS}};
	uint8_t item[8 + 4];
	uint64_t sum;

	be32_put(item, count);
	sum = siphash(&k, item, 4);
	for (uint32_t i = 0; i < count; i++) {
		be64_put(item, w[i].backend_id);
		be32_put(item + 8, w[i].weight);
		sum += siphash(&k, item, sizeof(item));
	}
	return sum;
}

static uint64_t cluster_digest(const struct hash_key *k, const struct message_cluster *c)
{
	uint8_t item[1 + 1 + 2 + 4 + 8];

	item[0] = c->priority;
	item[1] = c->remote;
	be16_put(item + 2, c->withheld);
	be32_put(item + 4, c->unready);
	be64_put(item + 8, message_digest(c->name.p, c->name.len));
	return siphash(k, item, sizeof(item));
}

uint64_t message_endpoints_digest(uint64_t service_id, const struct message_endpoint *e,
	uint32_t count, const struct message_cluster *clusters, uint32_t cluster_count)
{
	const struct hash_key k = {
		{digest_key.k[0] ^ service_id, digest_key.k[1] ^ MESSAGE_ENDPOINTS}};
	uint8_t item[8 + 16 + 2 + 2 + 1 + 8 + 8];
	uint64_t sum;

	be32_put(item, count);
	sum = siphash(&k, item, 4);
	for (uint32_t i = 0; i < count; i++) {
		be64_put(item, e[i].id);
		memcpy(item + 8, e[i].addr.b, 16);
		be16_put(item + 24, e[i].port);
		be16_put(item + 26, e[i].weight);
		item[28] = e[i].draining;
		be64_put(item + 29, message_digest(e[i].name.p, e[i].name.len));
		be64_put(item + 37, message_digest(e[i].cluster.p, e[i].cluster.len));
		sum += siphash(&k, item, sizeof(item));
	}
	for (uint32_t i = 0; i < cluster_count; i++)
		sum += cluster_digest(&k, &clusters[i]);
	return sum;
}
