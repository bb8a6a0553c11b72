// SPDX-License-Identifier: Apache-2.0
/*
 * openapi.c: the document as a string literal that the build makes of the file, so that what is
 * served is what is reviewed.
 */
#include "control/api/openapi.h"

static const char document[] =
#include "control/api/openapi_data.inc"
	;

struct str openapi_document(void)
{
	return str_make(document, sizeof(document) - 1);
}
