#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The main job, for real, within a minute: a server on a fresh data folder, three CPU-burning workloads
# (C++ stripped with its debug file uploaded, Go with -s -w uploaded, C stripped and never uploaded), the
# agent sampling them at 99 Hz and pushing addresses and build-IDs only. Prints the named top functions,
# what is missing, and where the stored profiles lie. KEEP=1 leaves the server up and prints its URL.
set -eu
cd "$(dirname "$0")/../.."
build=$PWD/${BUILD:-build}
case ${BUILD:-build} in /*) build=$BUILD ;; esac
seconds=${SECONDS_TO_RUN:-10}
work=$build/demo
data=$work/data
here=tests/demo
started=()

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
[ -t 1 ] || say() { printf '\n%s\n' "$*"; }

finish() {
	local code=$?
	for pid in "${started[@]}"; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	[ "$code" = 0 ] || { echo "demo: failed; the server's log:" >&2; tail -n 20 "$work/unhexd.log" >&2 || true; }
	exit "$code"
}
trap finish EXIT

build_workloads() {
	g++ -O2 -g -fno-omit-frame-pointer -o "$work/matrix.full" $here/cpp/matrix.cc ${sampler:+"$sampler"}
	"$build/unhex" extract "$work/matrix.full" -o "$work/matrix.debug"
	strip -o "$work/matrix" "$work/matrix.full"
	(cd $here/go && GO111MODULE=off CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o "$work/sieve" sieve.go)
	gcc -O2 -fno-omit-frame-pointer -o "$work/churn" $here/c/churn.c ${sampler:+"$sampler"}
	strip "$work/churn"
}

start_server() {
	"$build/unhexd" --listen 127.0.0.1:0 --port-file "$work/port" --data-dir "$data" >"$work/unhexd.log" 2>&1 &
	server=$!
	[ -n "${KEEP:-}" ] || started+=("$server")
	for _ in $(seq 100); do
		[ -s "$work/port" ] && curl -fs "http://127.0.0.1:$(cat "$work/port")/readyz" >/dev/null && break
		sleep 0.1
	done
	UNHEX_SERVER=http://127.0.0.1:$(cat "$work/port")
	export UNHEX_SERVER
	curl -fs "$UNHEX_SERVER/readyz" >/dev/null
}

run_workloads() {
	for program in matrix sieve churn; do
		"$work/$program" "$seconds" >/dev/null &
		started+=("$!")
		workloads+=(--pid "$!")
	done
}

# The three alone, so that this machine's other work does not bury them; without --pid it is the whole host.
sample_by_ebpf() {
	local workloads=()
	run_workloads
	"$build/unhex-agent" --server "$UNHEX_SERVER" "${workloads[@]}" --hz 99 --interval 3s >"$work/agent.log" 2>&1 &
	local agent=$!
	sleep "$seconds"
	kill -TERM "$agent"
	wait "$agent"
	tail -n 1 "$work/agent.log"
}

# No eBPF here: each C and C++ workload samples itself by SIGPROF and leaves raw addresses behind.
sample_by_sigprof() {
	for program in matrix sieve churn; do
		UNHEX_SAMPLES=$work/$program.samples "$work/$program" "$seconds" >/dev/null &
		started+=("$!")
	done
	sleep "$((seconds + 1))"
	local dumps=()
	for program in matrix sieve churn; do
		if [ -s "$work/$program.samples" ]; then
			dumps+=("$work/$program.samples")
		else
			echo "demo: $program left no samples (only the C and C++ workloads can sample themselves)"
		fi
	done
	"$build/unhex-agent" --server "$UNHEX_SERVER" --hz 99 --from-samples "${dumps[@]}"
}

rm -rf "$work"
mkdir -p "$work"
sampler=
"$build/unhex-agent" --check >"$work/check.log" 2>&1 || sampler=$here/sampler/sigprof_sampler.c
say "Building three workloads: matrix (C++), sieve (Go, -s -w), churn (C)"
build_workloads
stat -c '  %9s bytes  %n' "$work/matrix" "$work/matrix.debug" "$work/sieve" "$work/churn"

say "Starting the server on a fresh data folder"
start_server
echo "  $UNHEX_SERVER, data in $data"

say "Uploading: matrix's debug file, and the Go executable; churn stays unknown"
"$build/unhex" upload --wait "$work/matrix.debug" "$work/sieve" | sed 's/^/  /'

from=$(date +%s)
say "Sampling at 99 Hz for $seconds seconds"
if [ -z "$sampler" ]; then
	sample_by_ebpf
else
	echo "eBPF sampling is not permitted here. What is missing:"
	sed 's/^/  /' "$work/check.log"
	echo "Falling back to a SIGPROF sampler linked into the workloads (their own CPU time only)."
	sample_by_sigprof
fi

say "What the fleet was doing, by function (addresses in, names out)"
curl -fsG "$UNHEX_SERVER/v1/query" --data-urlencode 'match=process_cpu{service_name=~"matrix|sieve|churn"}' \
	--data "from=$((from - 60))" --data "to=$(($(date +%s) + 60))" -o "$work/merged.pb.gz"
"$build/unhex" top -n 12 "$work/merged.pb.gz"

say "The same profile in go tool pprof"
go tool pprof -top -nodecount=8 "$work/merged.pb.gz" 2>/dev/null | sed 's/^/  /'

say "Missing: what could not be named, heaviest first"
"$build/unhex" missing -n 6

if [ -n "${KEEP:-}" ]; then
	say "The server stays up: $UNHEX_SERVER (pid $server; stop it with: kill $server)"
	echo "Stored profiles: $data/profiles (written when a window closes, or at stop)"
else
	kill -TERM "$server"
	wait "$server" || true
	say "Stored profiles"
	echo "  $(find "$data/profiles" -name '*.pb.zst' | wc -l) segments (series x window) below $data/profiles, the largest:"
	find "$data/profiles" -name '*.pb.zst' -printf '%9s bytes  %P\n' | sort -rn | head -n 3 | sed 's/^/  /'
fi
echo "  merged: $work/merged.pb.gz (try: go tool pprof -http=: $work/merged.pb.gz)"
