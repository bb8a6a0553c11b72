// SPDX-License-Identifier: Apache-2.0
/*
 * cleanup.h: variables that free themselves when their scope ends (control path only).
 */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_(void *pp)
{
	free(*(void **)pp);
}

static inline void cleanup_close_(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose_(FILE **f)
{
	if (*f != NULL)
		fclose(*f);
}

#define autofree __attribute__((cleanup(cleanup_free_)))
#define autoclose __attribute__((cleanup(cleanup_close_)))
#define autofclose __attribute__((cleanup(cleanup_fclose_)))
