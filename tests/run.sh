#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Run test programs and count: tests/run.sh [unit] [e2e]. Every test speaks TAP; its log is kept in
# $BUILD/logs. A program that dies or prints no result is a failure. ONLY=pattern picks by name.
# The last line is "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 1
export BUILD=${BUILD:-build}
export UNHEX_BUILD=$PWD/$BUILD
case $BUILD in /*) UNHEX_BUILD=$BUILD ;; esac
export CMOCKA_MESSAGE_OUTPUT=TAP
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0:allocator_may_return_null=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
logs=$UNHEX_BUILD/logs
limit=${TEST_TIMEOUT:-300}
mkdir -p "$logs"

list() {
	for suite in "$@"; do
		case $suite in
		unit) find "$UNHEX_BUILD/test" -type f -perm -u+x -name 'test-*' 2>/dev/null | sort ;;
		e2e) find tests/e2e -name 'test_*.py' | sort ;;
		*) echo "tests/run.sh: no suite '$suite' (unit, e2e)" >&2; exit 2 ;;
		esac
	done | grep -E -- "${ONLY:-.}"
}

# What was skipped and why: the reason stands on the TAP line, or is what the test printed before it.
skip_reasons() {
	awk '/^[[:space:]]*(not )?ok .*# ?SKIP/ {
		name = $0; sub(/.*# ?SKIP */, "", name)
		if (/^[[:space:]]*ok /) print "    skipped: " name
		else print "    skipped: " name ": " (before ~ /^(not )?ok |^1\.\./ || before == "" ? "no reason given" : before)
	} { before = $0 }' "$1" | sed 's/skipped: \(.*\): skip[ped]*: /skipped: \1: /I'
}

# One test program: log, then a summary line "PASS FAIL SKIP NAME SECONDS".
run_one() {
	local program=$1 name log start status passed failed skipped
	name=${program#"$UNHEX_BUILD"/test/}
	name=${name#tests/}
	log=$logs/${name//\//-}.log
	start=$SECONDS
	case $program in
	*.py) timeout -k 10 "$limit" python3 "$program" >"$log" 2>&1 </dev/null ;;
	*) timeout -k 10 "$limit" "$program" >"$log" 2>&1 </dev/null ;;
	esac
	status=$?
	skipped=$(grep -cE '^[[:space:]]*(not )?ok .*# ?(SKIP|skip)' "$log")
	passed=$(grep -E '^[[:space:]]*ok ' "$log" | grep -cvE '# ?(SKIP|skip)')
	failed=$(grep -E '^[[:space:]]*not ok ' "$log" | grep -cvE '# ?(SKIP|skip)')
	if [ "$failed" = 0 ] && { [ "$status" != 0 ] || [ $((passed + skipped)) = 0 ]; }; then
		echo "not ok - $name ended with status $status" >>"$log"
		failed=1
	fi
	echo "$passed $failed $skipped $name $((SECONDS - start))"
}
export -f run_one
export logs limit

# One more than there are CPUs: the agent's tests mostly wait for samples to come.
results=$(list "$@" | xargs -r -P "${JOBS:-$(($(nproc) + 1))}" -I{} bash -c 'run_one {}')
total_passed=0 total_failed=0 total_skipped=0
while read -r passed failed skipped name seconds; do
	[ -n "${name:-}" ] || continue
	log=$logs/${name//\//-}.log
	printf '%-44s %4d passed %3d failed %3d skipped  %ss\n' "$name" "$passed" "$failed" "$skipped" "$seconds"
	[ "$skipped" = 0 ] || skip_reasons "$log"
	[ "$failed" = 0 ] || { echo "    --- $log"; tail -n 60 "$log" | sed 's/^/    /'; }
	total_passed=$((total_passed + passed))
	total_failed=$((total_failed + failed))
	total_skipped=$((total_skipped + skipped))
done < <(echo "$results" | sort -k4)

[ -z "${COUNTS:-}" ] || echo "$total_passed $total_failed $total_skipped" >>"$COUNTS"
echo "$total_passed passed, $total_failed failed, $total_skipped skipped"
[ "$total_failed" = 0 ] && [ "$total_passed" -gt 0 ]
