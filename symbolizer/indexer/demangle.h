/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names as people write them: C++ (Itanium), Rust (legacy and v0), D, through libiberty, with caps
 * on input, output and so on the time and stack a hostile name can take. Clone suffixes (.cold,
 * .constprop.0, …) are taken off the stem and put behind it as llvm does: "f(int) (.cold)"; "@plt"
 * and symbol versions stay where they are. Thread-safe.
 *
 * libiberty is linked into the indexer only; tools that only read indexes find demangled names
 * there.
 */
#ifndef SYMBOLIZER_INDEXER_DEMANGLE_H
#define SYMBOLIZER_INDEXER_DEMANGLE_H

#include "base/buf.h"
#include "base/str.h"

enum { DEMANGLE_IN_MAX = 16 * 1024, DEMANGLE_OUT_MAX = 32 * 1024 };

/*
 * Appends the demangled name and returns true; false (nothing appended) where `name` is not
 * mangled.
 */
bool demangle(struct str name, struct buf *out);

#endif
