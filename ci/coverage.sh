#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Line coverage of all tests, by gcov; the last line is the figure.
set -eu
cd "$(dirname "$0")/.."
export COUNTS=
make -j"$(nproc)" --no-print-directory VARIANT=cov check || true
find build/cov/obj -name '*.gcda' -print0 | xargs -0 gcov -r -n 2>/dev/null | awk '
	/^File / { file = $2; gsub(/\047/, "", file) }
	/^Lines executed/ {
		split($2, a, ":"); sub(/%.*/, "", a[2]); n = $NF
		if (file !~ /test-|^\// && !(file in lines)) { lines[file] = n; hit[file] = a[2] / 100 * n }
	}
	END {
		for (f in lines) { total += lines[f]; covered += hit[f]; printf "%6.1f%% %6d %s\n", 100 * hit[f] / lines[f], lines[f], f | "sort -n" }
		close("sort -n"); printf "lines covered: %.1f%% of %d\n", 100 * covered / total, total
	}'
