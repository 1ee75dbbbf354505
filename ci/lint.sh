#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Checks of the source itself, as TAP: ci/lint.sh quick (part of `make test`) or all.
set -u
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0 n=0

# result NAME STATUS [OUTPUT]
result() {
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		passed=$((passed + 1)); echo "ok $n - lint: $1"
	else
		failed=$((failed + 1)); echo "not ok $n - lint: $1"; [ -z "${3:-}" ] || echo "$3" | head -40 | sed 's/^/    /'
	fi
}

check() {
	local name=$1 out
	shift
	out=$("$@" 2>&1)
	result "$name" $? "$out"
}

skip() {
	n=$((n + 1)); skipped=$((skipped + 1)); echo "ok $n - lint: $1 # SKIP $2"
}

sources() { git ls-files '*.c' '*.h'; }

spdx() {
	local bad
	bad=$(git ls-files '*.c' '*.h' '*.sh' '*.py' '*.mk' Makefile | while read -r f; do
		head -3 "$f" | grep -q 'SPDX-License-Identifier' || echo "$f: no SPDX line"
	done)
	[ -z "$bad" ] || { echo "$bad"; return 1; }
}

banned() {
	local out
	out=$(sources | xargs grep -nE '\b(strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|strtok|alloca)\(' |
		grep -vE "snprintf|^tests/")
	[ -z "$out" ] || { echo "$out"; return 1; }
}

# Its tests have libdw as their oracle; the agent itself reads call frames alone.
agent_without_libdw() {
	! readelf -d build/unhex-agent | grep -E 'NEEDED.*lib(dw|elf)\.so'
}

headers_alone() {
	local bad=0 h
	for h in $(git ls-files '*.h' | grep -vE '^bpf/|^tests/'); do
		echo "#include \"$h\"" | gcc -std=gnu17 -D_GNU_SOURCE -I. -Ibuild/gen -Wall -Werror -fsyntax-only -x c - ||
			{ echo "$h does not compile alone"; bad=1; }
	done
	return $bad
}

# The kernel side for the other architecture, which the build does not make.
bpf_for_arm64() {
	make -s BUILD=build/arm64 BPF_ARCH=arm64 BPF_INCLUDE=/usr/aarch64-linux-gnu/include build/arm64/bpf/profile.bpf.o
}

# From nothing: objects of an earlier run, or of other flags, would not be looked at again. A warning is an
# error here as in any build.
analyzer() {
	rm -rf build/analyzer
	make -s -k -j"$(nproc)" BUILD=build/analyzer CFLAGS=-fanalyzer all
}

check layers ci/check-layers.py
check "SPDX line in every file" spdx
check "no banned functions" banned
check "sizes of files and functions" ci/check-sizes.py
check "BPF programs compile for arm64" bpf_for_arm64
if [ -e build/unhex-agent ]; then
	check "unhex-agent is linked without libdw" agent_without_libdw
else
	skip "unhex-agent is linked without libdw" "not built"
fi
if [ "${1:-quick}" = all ]; then
	check "headers compile alone" headers_alone
	if command -v shellcheck >/dev/null; then
		# shellcheck disable=SC2046
		check shellcheck shellcheck $(git ls-files '*.sh' .ci/run)
	else
		skip shellcheck "not installed"
	fi
	check "gcc -fanalyzer" analyzer
	if command -v clang-tidy >/dev/null; then
		check clang-tidy ci/tidy.sh
	else
		skip clang-tidy "not installed"
	fi
fi
[ -z "${COUNTS:-}" ] || echo "$passed $failed $skipped" >>"$COUNTS"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
