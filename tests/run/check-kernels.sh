#!/bin/sh
# SPDX-License-Identifier: MIT
# Build the driver for the kernels of several releases of Debian and run the guest tests on each that
# has an image here.  Kernels are unpacked below BUILD/kernels, not installed.  Minutes per kernel.
# usage: check-kernels.sh BUILD [SUITE...]
#        QUIRE_ONLY="query bo" check-kernels.sh BUILD ...   only these tests of tests/guest/plan
set -u
build=$(cd "$1" && pwd -P)
shift
top=$(cd "$(dirname "$0")/../.." && pwd -P)
kernels=$build/kernels
root=$kernels/root
failed=0

verdict() { # STATUS WHAT
	if [ "$1" -eq 0 ]; then
		echo "ok: $2"
	else
		echo "FAILED: $2"
		failed=$((failed + 1))
	fi
}

# Headers of a later release have programs that need its C library, and flags for its compiler: then
# Debian 13 builds.
make_root() {
	[ ! -e "$root/complete" ] || return 0
	command -v mmdebstrap >/dev/null && [ "$(id -u)" -eq 0 ] || {
		echo "headers of a later Debian need its compiler: be root and install mmdebstrap" >&2
		return 1
	}
	rm -rf "$root"
	mmdebstrap --quiet --variant=minbase --include=gcc,make,perl,kmod,libelf1t64,pahole trixie "$root" \
		http://deb.debian.org/debian && touch "$root/complete"
}

# Its mounts live in a name space of their own and end with it.
in_root() { # COMMAND...
	mkdir -p "$root$top" "$root$build"
	unshare --mount sh -c 'root=$1 top=$2 build=$3
		shift 3
		mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" &&
			mount --bind "$top" "$root$top" && mount --bind "$build" "$root$build" &&
			exec chroot "$root" "$@"' sh "$root" "$top" "$build" "$@"
}

# Another compiler than the kernel's own is told of in its headers; what counts is the driver.
build_driver() { # KIT OUT [ARGUMENT-OF-MAKE...]
	headers=$1/usr/src/linux-headers-$(cat "$1/version")
	out=$2
	shift 2
	set -- "$top/tools/setup/driver.sh" "$headers" "$out" CC=gcc W=1 "$@"
	compiler=$(sed -n 's/^#define CONFIG_GCC_VERSION //p' "$headers/include/generated/autoconf.h")
	if [ "$compiler" -gt "$(gcc -dumpfullversion | awk -F. '{ print $1 * 10000 + $2 * 100 + $3 }')" ]; then
		make_root && in_root "$@"
	else
		"$@"
	fi
}

complains() { # LOG
	grep -E '(^|/)quire_[a-z_]+\.[ch]:[0-9:]+ (warning|error)|(WARNING|ERROR): modpost' "$1"
}

# Debian's kernels have the header of drm-ras, and not drm-ras: what uses it is only compiled.
check_ras() { # SUITE KIT
	[ -n "$(find "$2/usr/src" -path '*/include/drm/drm_ras.h')" ] || return 0
	build_driver "$2" "$2/ras" KCFLAGS=-DCONFIG_DRM_RAS=1 KBUILD_MODPOST_WARN=1 >"$kernels/$1.ras.log" 2>&1
	! complains "$kernels/$1.ras.log" | grep -v 'drm_ras_node' && [ -e "$2/ras/driver/quire_ras.o" ]
	verdict $? "$1: the driver compiles with drm-ras"
}

check_kernel() { # SUITE
	kit=$kernels/$1
	log=$kernels/$1.log
	"$top/tools/setup/kernel-kit.sh" "$kit" "$1" || { verdict 1 "$1: kernel and headers"; return; }
	version=$(cat "$kit/version")
	build_driver "$kit" "$kit/module" >"$log" 2>&1 && ! complains "$log"
	status=$?
	[ "$status" -eq 0 ] || tail -n 20 "$log"
	verdict $status "$1: the driver builds for $version with W=1 and no warning"
	check_ras "$1" "$kit"
	[ "$status" -eq 0 ] && [ "$1" != sid ] || return
	"$top/tools/setup/initramfs.sh" "$kit" "$kit/module/driver/quire.ko" "$build/firmware/fw-v1.bin" \
		"$kit/initramfs.gz" &&
		QUIRE_RESULTS=$kernels/$1.results "$top/tests/run/check.sh" "$build" guest --kernel "$kit"
	verdict $? "$1: guest tests on $version"
}

mkdir -p "$kernels"
[ $# -gt 0 ] || set -- bookworm trixie trixie-backports sid
for suite; do
	check_kernel "$suite"
done
exit $((failed != 0))
