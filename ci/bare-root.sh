#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The promise of README on a bare Debian 12: a debootstrapped root with nothing but make and git, a clean
# clone, `make demo`, then `make test`. Root and debootstrap needed. ROOT= names the folder (kept),
# TARGETS= what to make, MIRROR= another mirror than debootstrap's own.
set -eu
cd "$(dirname "$0")/.."
root=${ROOT:-/var/tmp/unhex-bare}
targets=${TARGETS:-demo test}
suite=bookworm

[ "$(id -u)" = 0 ] || { echo "bare-root: needs root for debootstrap and chroot" >&2; exit 1; }
command -v debootstrap >/dev/null || { echo "bare-root: apt-get install debootstrap" >&2; exit 1; }
[ -e "$root/etc/debian_version" ] || debootstrap --variant=minbase "$suite" "$root" ${MIRROR:+"$MIRROR"}

clean() {
	for m in proc sys dev; do umount -l "$root/$m" 2>/dev/null || true; done
}
trap clean EXIT
for m in proc sys dev; do
	mountpoint -q "$root/$m" || mount --rbind --make-rslave "/$m" "$root/$m"
done
cp /etc/resolv.conf "$root/etc/resolv.conf"
chroot "$root" apt-get update -qq
chroot "$root" apt-get install -y -qq --no-install-recommends make git >/dev/null
rm -rf "$root/src/unhex"
mkdir -p "$root/src"
git clone -q . "$root/src/unhex"
for target in $targets; do
	echo "bare-root: make $target"
	start=$SECONDS
	chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 make -C /src/unhex "$target"
	echo "bare-root: make $target took $((SECONDS - start)) s"
done
