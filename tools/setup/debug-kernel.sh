#!/bin/sh
# SPDX-License-Identifier: MIT
# Build Debian's 6.12 kernel once more, with what finds faults of a driver (lockdep,
# KASAN, kmemleak, DMA-API and object debugging; debug-kernel.config), and lay it out
# as kernel-kit.sh does.  Some 1700 files: minutes on an idle machine, an hour on a busy one.
# usage: debug-kernel.sh WORK OUT
set -eu
work=$1
out=$2
here=$(cd "$(dirname "$0")" && pwd)
config=$here/debug-kernel.config
[ ! -e "$out/complete" ] || [ -n "$(find "$config" -newer "$out/complete")" ] || exit 0
mkdir -p "$work/build"
work=$(cd "$work" && pwd)

unpack() {
	mkdir -p "$work/package"
	(cd "$work/package" && apt-get -qq -o APT::Sandbox::User=root download linux-source-6.12)
	dpkg-deb -x "$work"/package/*.deb "$work/package"
	tar -C "$work" -xf "$work/package/usr/src/linux-source-6.12.tar.xz"
	rm -r "$work/package"
	# Drivers select these; without a driver in the tree they need a prompt.
	for symbol in DRM_TTM DRM_EXEC DRM_GPUVM HMM_MIRROR MMU_NOTIFIER WANT_DEV_COREDUMP; do
		sed -i "/^config $symbol\$/{n;s/\(tristate\|bool\)\$/\1 \"$symbol\"/}" \
			"$work"/linux-source-6.12/drivers/gpu/drm/Kconfig \
			"$work"/linux-source-6.12/drivers/base/Kconfig \
			"$work"/linux-source-6.12/mm/Kconfig
	done
	touch "$work/unpacked"
}

kernel() { # TARGET...
	make -s -C "$work/linux-source-6.12" O="$work/build" "$@"
}

[ -e "$work/unpacked" ] || unpack
kernel KCONFIG_ALLCONFIG="$config" allnoconfig >/dev/null
if grep '^CONFIG' "$config" | grep -vxFf "$work/build/.config"; then
	echo "debug-kernel.sh: this kernel does not take the lines above" >&2
	exit 1
fi
kernel "-j$(nproc)" bzImage modules
rm -rf "$out"
mkdir -p "$out/boot"
kernel INSTALL_MOD_PATH="$(cd "$out" && pwd)" modules_install
version=$(kernel kernelrelease)
cp "$work/build/arch/x86/boot/bzImage" "$out/boot/vmlinuz-$version"
cp "$work/build/.config" "$out/boot/config-$version"
echo "$version" >"$out/version"
touch "$out/complete"
