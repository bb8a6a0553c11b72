// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz.h: a fuzz target is one function. Built with -Dfuzz=true (clang) libFuzzer drives it, else
 * replay.c does.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

void fuzz_one(const uint8_t *data, size_t len);
