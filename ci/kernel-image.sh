#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Prints the path of a kernel's debug image (vmlinux with its DWARF, about 630 MB), for `make bench` and
# `make check-diff`: UNHEX_KERNEL_IMAGE if that is set, else the image in BUILD/kernel/. When there is none yet,
# it is taken out of the newest kernel's -dbg package (about 1 GB, downloaded by apt, not installed; the .deb
# stays beside it, for the modules in it). Fails with one line on standard error that says why.
set -eu
cd "$(dirname "$0")/.."
folder=${BUILD:-build}/kernel
case $folder in /*) ;; *) folder=$PWD/$folder ;; esac

fail() {
	echo "kernel image: $1" >&2
	exit 1
}

image() { find "$folder" -maxdepth 1 -name 'vmlinux-*' 2>/dev/null | sort -V | tail -1; }

# The package that the newest kernel's meta package stands for.
package() {
	apt-cache depends "linux-image-$(dpkg --print-architecture)-dbg" 2>/dev/null |
		sed -n 's/^ *Depends: \(linux-image-.*-dbg\)$/\1/p' | tail -1
}

# Into a folder of its own until it is whole: a second caller, or the next run, must not meet half an image.
take_out() {
	new=$(mktemp -d "$folder/new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	dpkg-deb --fsys-tarfile "$1" |
		tar -x -C "$new" --wildcards --transform 's,.*/,,' './usr/lib/debug/boot/vmlinux-*' ||
		fail "no vmlinux in $1"
	mv "$new"/vmlinux-* "$folder/"
}

if [ -n "${UNHEX_KERNEL_IMAGE:-}" ]; then
	[ -r "$UNHEX_KERNEL_IMAGE" ] || fail "UNHEX_KERNEL_IMAGE is $UNHEX_KERNEL_IMAGE, which cannot be read"
	echo "$UNHEX_KERNEL_IMAGE"
	exit 0
fi
if [ -z "$(image)" ]; then
	command -v apt-get >/dev/null || fail "there is no apt-get to download one; set UNHEX_KERNEL_IMAGE"
	name=$(package)
	[ -n "$name" ] || fail "apt knows no kernel's -dbg package (apt-get update?); set UNHEX_KERNEL_IMAGE"
	mkdir -p "$folder"
	echo "kernel image: downloading $name" >&2
	(cd "$folder" && apt-get download -qq "$name" >&2) || fail "$name could not be downloaded"
	take_out "$(find "$folder" -name "${name}_*.deb" | sort -V | tail -1)"
fi
image
