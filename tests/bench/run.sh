#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measure and write the tables to stdout and docs/BENCH.md (BENCH_REPORT=FILE: elsewhere): less than a quarter
# of an hour, once the kernel's debug image (ci/kernel-image.sh) and the Rust rivals are there. BUILD is the
# build folder. ONLY="kernel libc pprof server agent" picks parts, BENCH_QUICK=1 takes few rounds: both write
# to BUILD/bench/BENCH.md.
set -eu
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
export UNHEX_BUILD=$PWD/$BUILD
case $BUILD in /*) UNHEX_BUILD=$BUILD ;; esac
tools=$BUILD/bench

"${MAKE:-make}" --no-print-directory BUILD="$BUILD" all \
	"$tools/symbolizer/bench-lookup" "$tools/symbolizer/bench-open" "$tools/symbolizer/bench-pprof" \
	"$tools/symbolizer/indexer/bench-index" "$tools/agent-lite/elf/bench-unwind_table" >&2
for tool in measure load; do
	"${CC:-gcc}" -std=gnu17 -O2 -D_GNU_SOURCE -Wall -Wextra -Werror -I. -pthread -ffunction-sections \
		-Wl,--gc-sections -o "$tools/$tool" "tests/bench/$tool.c" "$BUILD/lib/base.a"
done
exec python3 tests/bench/bench.py
