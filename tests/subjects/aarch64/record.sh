#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes recorded/ anew: the program, where its functions are, and the stacks that it had. Needs
# gcc-aarch64-linux-gnu, clang and qemu-user, in which it runs. The tests need none of these, only what
# was recorded; it is the same, byte for byte, as long as these tools are the same.
set -eu
cd "$(dirname "$0")"
for tool in aarch64-linux-gnu-gcc aarch64-linux-gnu-nm clang; do
	command -v $tool >/dev/null || { echo "record.sh: $tool is needed" >&2; exit 1; }
done
qemu=$(command -v qemu-aarch64 || command -v qemu-aarch64-static) ||
	{ echo "record.sh: qemu-aarch64 (qemu-user) is needed" >&2; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

common=(-O2 -Wall -Wextra -ffreestanding -fPIE -fasynchronous-unwind-tables -fno-stack-protector)
gcc=(aarch64-linux-gnu-gcc "${common[@]}")
clang=(clang --target=aarch64-linux-gnu "${common[@]}")
chain() { # NAME COMPILER FLAG...
	local name=$1
	shift
	"$@" -DCHAIN="$name" -c -o "$out/$name.o" chain.c
}
chain gcc "${gcc[@]}"
chain gcc_bare "${gcc[@]}" -fomit-frame-pointer
chain gcc_signed "${gcc[@]}" -mbranch-protection=standard
chain clang "${clang[@]}" -fno-omit-frame-pointer
chain clang_bare "${clang[@]}" -fomit-frame-pointer -mbranch-protection=standard
"${gcc[@]}" -c -o "$out/start.o" start.S
"${gcc[@]}" -c -o "$out/recorder.o" recorder.c
aarch64-linux-gnu-gcc -nostdlib -static-pie -Wl,--build-id=none -Wl,--eh-frame-hdr \
	-Wl,-z,max-page-size=4096 -Wl,-z,noexecstack -o "$out/chains" "$out"/*.o
if aarch64-linux-gnu-readelf -rW "$out/chains" | grep R_AARCH64; then
	echo "record.sh: nobody would apply these relocations" >&2
	exit 1
fi

"$qemu" -seed 1 "$out/chains" >"$out/stacks.txt" # the seed is that of the keys that sign addresses
mkdir -p recorded
mv "$out/stacks.txt" recorded/
aarch64-linux-gnu-nm -nS --defined-only "$out/chains" |
	awk '$3 ~ /^[tT]$/ { print $1, $2, $4 }' >recorded/functions.txt
aarch64-linux-gnu-strip -o recorded/chains "$out/chains"
ls -l recorded
