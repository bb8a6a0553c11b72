// SPDX-License-Identifier: Apache-2.0
/*
 * rng.c: seeding (splitmix64) and the kernel's entropy.
 */
#include "dataplane/base/rng.h"

#include <sys/random.h>
#include <sys/types.h>

#include "dataplane/base/bug.h"

void rng_seed(struct rng *r, uint64_t seed)
{
	for (int i = 0; i < 4; i++) {
		uint64_t z = (seed += 0x9e3779b97f4a7c15ull);

		z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
		r->s[i] = z ^ (z >> 31);
	}
}

void rng_secret(void *buf, size_t len)
{
	ssize_t n = getrandom(buf, len, 0);

	bug_on(n < 0 || (size_t)n != len);
}
