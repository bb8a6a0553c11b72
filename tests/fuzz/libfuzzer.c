// SPDX-License-Identifier: Apache-2.0
/*
 * libfuzzer.c: joins a target to libFuzzer's entry point.
 */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	fuzz_one(data, len);
	return 0;
}
