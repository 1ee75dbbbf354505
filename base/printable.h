/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text from outside on its way to a terminal, which must not be told to obey it: control characters (C0,
 * DEL, C1) and bytes that are not UTF-8 leave as \xNN. Thread-safe but for the stream.
 */
#ifndef BASE_PRINTABLE_H
#define BASE_PRINTABLE_H

#include "base/base.h"
#include "base/buf.h"
#include "base/str.h"
#include <stdio.h>

void printable_put(struct str s, FILE *out);
void printable_append(struct str s, struct buf *out);
/* For columns: the beginning of s, '?' for what is not printable ASCII; NUL-terminated, cut at size - 1. */
void printable_copy(struct str s, char *out, size_t size);

#endif
