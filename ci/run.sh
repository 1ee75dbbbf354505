#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The named jobs that CI and people run: ci/run.sh JOB... (ci/run.sh with no job lists them).
# Each job is reproducible on a laptop; CI files only call this script.
set -eu
cd "$(dirname "$0")/.."
jobs=$(nproc)

# Everything: the plain build's unit and end-to-end tests, the same under ASan+UBSan, and lint's quick half.
job_test() {
	local counts status=0
	counts=$(mktemp)
	COUNTS=$counts make -j"$jobs" --no-print-directory check || status=1
	COUNTS=$counts make -j"$jobs" --no-print-directory VARIANT=asan check || status=1
	COUNTS=$counts ci/lint.sh quick || status=1
	awk '{ p += $1; f += $2; s += $3 } END { printf "%d passed, %d failed, %d skipped\n", p, f, s }' "$counts"
	rm -f "$counts"
	return $status
}

job_unit() { make -j"$jobs" unit; }
job_e2e() { make -j"$jobs" e2e; }
job_asan() { make -j"$jobs" VARIANT=asan check; }
job_tsan() { make -j"$jobs" VARIANT=tsan check; }
job_lint() { ci/lint.sh all; }
job_fuzz() { ci/fuzz.sh; }
job_coverage() { ci/coverage.sh; }
job_bench() { make -j"$jobs" bench; }
# 100,000 addresses of large binaries against llvm-symbolizer and eu-addr2line: an hour or so.
job_diff() { make -j"$jobs" all && python3 tests/diff/check_diff.py --results docs/DIFFERENCES-RESULTS.md; }
# Stripped Go programs of every Go release that can be had, in every way to build them.
job_interop() { make -j"$jobs" all && python3 tests/interop/go_interop.py --results docs/INTEROP.md; }
# What takes hours: fuzzing of all targets, 20,000 damaged copies of each kind of ELF file, a debug file of 2 GiB,
# the unwind tables of every file below /usr beside libdw.
job_long() {
	make -j"$jobs" all build/test/symbolizer/indexer/test-bad_input build/test/agent-lite/elf/test-unwind_table
	python3 tests/long/large_input.py --results docs/LARGE.md
	UNHEX_BAD_CASES=${UNHEX_BAD_CASES:-20000} build/test/symbolizer/indexer/test-bad_input
	UNHEX_CFI_BELOW=/usr build/test/agent-lite/elf/test-unwind_table
	FUZZ_SECONDS=${FUZZ_SECONDS:-600} ci/fuzz.sh
}
job_demo() { make demo; }
# The whole promise on a bare Debian root; needs root and debootstrap.
job_bare() { ci/bare-root.sh; }

if [ $# = 0 ]; then
	declare -F | sed -n 's/^declare -f job_/  /p'
	exit 0
fi
for job in "$@"; do
	declare -F "job_$job" >/dev/null || { echo "ci/run.sh: no job '$job'" >&2; exit 2; }
	"job_$job"
done
