#!/bin/sh
# SPDX-License-Identifier: MIT
# Build quire.ko for the kernel whose headers lie in KDIR.  It is built from a copy in OUT: objects for
# two kernels cannot lie in one place.
# usage: driver.sh KDIR OUT [ARGUMENT-OF-MAKE...]
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)

fail() {
	echo "$1" >&2
	exit 1
}

# Debian's headers name their other half by a path that holds once they are installed; unpacked
# elsewhere, the halves still lie side by side.
find_source() {
	source=$(sed -n 's,^include  *\(/.*\)/Makefile$,\1,p' "$kdir/Makefile")
	[ -n "$source" ] || source=$kdir
	[ -e "$source/Makefile" ] || source=$(dirname "$kdir")/$(basename "$source")
	[ -e "$source/Makefile" ] || fail "KDIR=$kdir belongs to $source, which is not there; install its package"
}

[ -e "$1/Makefile" ] || fail "KDIR=$1 holds no headers of a kernel.
Install those of the kernel you run (Debian: linux-headers-$(uname -r)) or name others: make driver KDIR=/path"
kdir=$(cd "$1" && pwd -P)
[ -e "$kdir/include/config/kernel.release" ] && [ -e "$kdir/include/generated/autoconf.h" ] ||
	fail "KDIR=$kdir is not configured yet; run 'make modules_prepare' there first"
find_source
sh "$top/driver/configure-features.sh" "$source" "$kdir" >/dev/null || exit 1

mkdir -p "$2"
out=$(cd "$2" && pwd)
shift 2
tar -C "$top" -c --exclude='*.o' --exclude='*.ko' --exclude='*.cmd' --exclude='*.mod*' \
	--exclude=quire_features.h driver uapi | tar -C "$out" -x
make -s -C "$source" O="$kdir" M="$out/driver" "$@" modules
