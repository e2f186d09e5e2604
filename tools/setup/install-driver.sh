#!/bin/sh
# SPDX-License-Identifier: MIT
# Put a module, its firmware and the rule for its nodes where kernel and udev look for them, or take
# them away.  Honours DESTDIR.
# usage: install-driver.sh install RELEASE QUIRE.KO FIRMWARE
#        install-driver.sh uninstall RELEASE
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
root=${DESTDIR:-}
release=$2
modules=$root/lib/modules/$release
firmware=$root/lib/firmware/quire
rules=$root/usr/lib/udev/rules.d/60-quire.rules

if [ -z "$root" ] && [ "$(id -u)" -ne 0 ]; then
	echo "Only root can $1 a driver; for a package set DESTDIR." >&2
	exit 1
fi

# Without a kernel there (a package is being made) depmod would list this module alone.
index() {
	if [ -e "$modules/modules.order" ]; then
		depmod -b "$root/" "$release"
	fi
	if [ -z "$root" ] && command -v udevadm >/dev/null; then
		udevadm control --reload 2>/dev/null || true # no udevd in a container
	fi
}

case $1 in
install)
	install -D -m 644 "$3" "$modules/updates/quire.ko"
	strip --strip-debug "$modules/updates/quire.ko"
	install -D -m 644 "$4" "$firmware/$(basename "$4")"
	install -D -m 644 "$top/tools/60-quire.rules" "$rules"
	index
	echo "installed $modules/updates/quire.ko, $firmware/$(basename "$4"), $rules"
	[ -e "$modules/modules.dep" ] || echo "no kernel $release is installed there: run depmod when it is"
	[ -n "$root" ] || [ "$release" != "$(uname -r)" ] || echo "modprobe quire loads it"
	;;
uninstall)
	rm -f "$modules/updates/quire.ko"
	echo "removed $modules/updates/quire.ko"
	rmdir "$modules/updates" 2>/dev/null || true
	# Another kernel may have the driver, too.
	if ! ls "$root"/lib/modules/*/updates/quire.ko >/dev/null 2>&1; then
		rm -rf "$firmware"
		rm -f "$rules"
		echo "removed $firmware, $rules"
	fi
	index
	;;
esac
