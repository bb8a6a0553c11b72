// SPDX-License-Identifier: Apache-2.0
/*
 * replay.c: runs a fuzz target without libFuzzer: over every file of the given folders, then over
 * seeded mutations of them, so that CI repeats what fuzzing once found and looks a little further.
 *
 *	fuzz_message [--mutate COUNT] [--seed N] tests/fuzz/corpus/message
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/base/cleanup.h"
#include "dataplane/base/rng.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (2u << 20)
#define INPUTS_MAX 4096u

struct input {
	uint8_t *data; /* owned */
	size_t len;
};

static struct input inputs[INPUTS_MAX];
static unsigned input_count;

/* A copy of exactly the right size, so that the sanitizer sees the first byte too far. */
static void run(const uint8_t *data, size_t len)
{
	autofree uint8_t *copy = calloc(1, len ? len : 1);

	if (len > 0)
		memcpy(copy, data, len);
	fuzz_one(copy, len);
}

static void load(const char *path)
{
	autofclose FILE *f = fopen(path, "rb");
	uint8_t *data;
	size_t len;

	if (f == NULL || input_count == INPUTS_MAX)
		return;
	data = malloc(INPUT_MAX);
	len = fread(data, 1, INPUT_MAX, f);
	inputs[input_count++] = (struct input){realloc(data, len ? len : 1), len};
}

static void load_folder(const char *folder)
{
	/* in the order of names: a seed shall mean the same mutations everywhere */
	struct dirent **e;
	int n = scandir(folder, &e, NULL, alphasort);
	char path[4096];

	if (n < 0) {
		load(folder);
		return;
	}
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, e[i]->d_name);
		if (e[i]->d_name[0] != '.')
			load(path);
		free(e[i]);
	}
	free(e);
}

/* One to eight small injuries: a byte, a cut, a doubled stretch, a stretch of another input. */
static void mutate(struct rng *r, uint8_t *buf, size_t *len)
{
	for (uint64_t n = 1 + rng_below(r, 8); n > 0 && *len > 0; n--) {
		size_t at = rng_below(r, *len), room = *len - at;
		const struct input *other = &inputs[rng_below(r, input_count)];

		switch (rng_below(r, 5)) {
		case 0:
			buf[at] = (uint8_t)rng_u64(r);
			break;
		case 1:
			buf[at] ^= (uint8_t)(1u << rng_below(r, 8));
			break;
		case 2:
			*len = at;
			break;
		case 3:
			memmove(buf + at, buf + rng_below(r, *len - room + 1), room);
			break;
		default:
			if (other->len > 0) {
				size_t from = rng_below(r, other->len);
				size_t take = other->len - from;

				memcpy(buf + at, other->data + from, take < room ? take : room);
			}
		}
	}
}

int main(int argc, char **argv)
{
	unsigned long count = 0, seed = 1;
	autofree uint8_t *buf = malloc(INPUT_MAX);
	struct rng r;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--mutate") == 0 && i + 1 < argc)
			count = strtoul(argv[++i], NULL, 10);
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			seed = strtoul(argv[++i], NULL, 10);
		else
			load_folder(argv[i]);
	}
	run((const uint8_t *)"", 0);
	for (unsigned i = 0; i < input_count; i++)
		run(inputs[i].data, inputs[i].len);
	rng_seed(&r, seed);
	for (unsigned long i = 0; i < count && input_count > 0; i++) {
		const struct input *in = &inputs[rng_below(&r, input_count)];
		size_t len = in->len;

		memcpy(buf, in->data, len);
		mutate(&r, buf, &len);
		run(buf, len);
	}
	printf("%s: %u inputs, %lu mutations, seed %lu\n", argv[0], input_count, count, seed);
	for (unsigned i = 0; i < input_count; i++)
		free(inputs[i].data);
	return input_count == 0;
}
