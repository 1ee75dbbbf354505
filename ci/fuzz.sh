#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fuzz every target of tests/fuzz/ for FUZZ_SECONDS each (default 60) over its kept corpus, with libFuzzer
# and ASan+UBSan. A crash leaves its input in build/fuzz/. ONLY=pattern picks targets.
set -eu
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-60}
out=build/fuzz
clang=${CLANG:-clang}
mkdir -p "$out"
make -s build/gen/version.h

# The sources a target needs: its own folders' libraries, recompiled with instrumentation.
sources() {
	printf '%s\n' base/*.c symbolizer/*.c symbolizer/indexer/*.c \
		agent-lite/{rights,elf,process,ship}/*.c agent-lite/sample/record.c agent-lite/metrics_server.c debuginfod/protocol.c \
		server/{target,negotiate}.c |
		grep -vE '/(test|bench)-|/main\.c$'
}

flags="-g -O1 -std=gnu17 -D_GNU_SOURCE -I. -Ibuild/gen -include build/gen/version.h -pthread -fsanitize=fuzzer-no-link,address,undefined"
# What is undefined ends the run; all but 0 added to a null pointer, which gcc and C2y let pass.
flags="$flags -fno-sanitize-recover=undefined -fsanitize-recover=pointer-overflow"
libs="$(pkg-config --libs libzstd libdeflate libisal libcurl libcrypto jansson libseccomp libxxhash libdw libelf liblzma) -liberty -lm"
objects=()
for source in $(sources); do
	object=$out/${source//\//-}.o
	if [ ! -e "$object" ] || [ "$source" -nt "$object" ] ||
		[ -n "$(find base symbolizer agent-lite debuginfod server -name '*.h' -newer "$object" -print -quit)" ]; then
		# shellcheck disable=SC2086 # a list of words
		$clang $flags -c "$source" -o "$object"
	fi
	objects+=("$object")
done
rm -f "$out/all.a"
ar rcs "$out/all.a" "${objects[@]}"

failed=0 passed=0
for target in tests/fuzz/fuzz_*.c; do
	name=$(basename "$target" .c)
	echo "$name" | grep -qE -- "${ONLY:-.}" || continue
	corpus=tests/fuzz/corpus/${name#fuzz_}
	mkdir -p "$out/corpus/$name" "$corpus"
	# shellcheck disable=SC2086
	$clang $flags -fsanitize=fuzzer "$target" "$out/all.a" $libs -o "$out/$name"
	if "$out/$name" -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=20 -print_final_stats=1 \
		-artifact_prefix="$out/$name-" "$out/corpus/$name" "$corpus" >"$out/$name.log" 2>&1; then
		passed=$((passed + 1))
		echo "ok - $name: $(grep -E 'number_of_executed_units' "$out/$name.log" | awk '{print $2}') runs"
	else
		failed=$((failed + 1))
		echo "not ok - $name"
		tail -n 30 "$out/$name.log"
	fi
done
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
