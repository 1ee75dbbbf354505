/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as people write them: C++ (Itanium), Rust (legacy and v0), D, through libiberty with its
 * recursion limit on, a cap on input and output length, and clone suffixes (.cold, .constprop.0, …)
 * taken off the stem and put behind it as llvm does: "f(int) (.cold)". Thread-safe.
 *
 * libiberty is linked into the indexer only; tools that only read indexes find demangled names there.
 */
#ifndef SYMBOLIZER_INDEXER_DEMANGLE_H
#define SYMBOLIZER_INDEXER_DEMANGLE_H

#include "base/buf.h"
#include "base/str.h"

enum { DEMANGLE_IN_MAX = 16 * 1024, DEMANGLE_OUT_MAX = 32 * 1024 };

/* Appends the demangled name and returns true; false (nothing appended) where `name` is not mangled. */
bool demangle(struct str name, struct buf *out);

#endif
