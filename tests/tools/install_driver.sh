#!/bin/sh
# SPDX-License-Identifier: MIT
# make driver, install-driver and uninstall-driver: what lands where, and that a kernel on which the
# driver cannot work is refused in a sentence before anything is compiled.
# usage: install_driver.sh TOP
top=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$top/tests/include/tap.sh"
unset MAKEFLAGS MAKELEVEL

# A tree of headers that has all the driver asks for; its make would leave a trace.
tree() { # NAME
	kdir=$work/$1
	mkdir -p "$kdir/include/config" "$kdir/include/generated" "$kdir/include/linux"
	printf 'modules:\n\ttouch %s/compiled\n' "$work" >"$kdir/Makefile"
	echo "6.12.0-$1" >"$kdir/include/config/kernel.release"
	echo '#define FOP_UNSIGNED_OFFSET 1' >"$kdir/include/linux/fs.h"
	for symbol in 64BIT DRM_ACCEL PCI_MSI MMU_NOTIFIER HMM_MIRROR DRM_TTM_MODULE DRM_GPUVM_MODULE DRM_EXEC_MODULE; do
		echo "#define CONFIG_$symbol 1"
	done >"$kdir/include/generated/autoconf.h"
	echo '#define CONFIG_PAGE_SHIFT 12' >>"$kdir/include/generated/autoconf.h"
}

without() { # NAME PATTERN FILE
	tree "$1"
	sed -i "/$2/d" "$kdir/$3"
}

refused() { # WORDS
	! make -C "$top" BUILD="$work/build" driver KDIR="$kdir" >"$work/errors" 2>&1 &&
		grep -qF -e "$1" "$work/errors" && [ ! -e "$work/compiled" ]
	report $? "refused: $1"
}

without old FOP_UNSIGNED include/linux/fs.h
refused "does not work on kernel 6.12.0-old: it is older than 6.12"
without cloud DRM_ACCEL include/generated/autoconf.h
refused "built without accelerators (CONFIG_DRM_ACCEL)"
without ttm DRM_TTM include/generated/autoconf.h
refused "built without CONFIG_DRM_TTM"
without small 64BIT include/generated/autoconf.h
refused "it is a 32-bit kernel"
without pages PAGE_SHIFT include/generated/autoconf.h
echo '#define CONFIG_PAGE_SHIFT 16' >>"$kdir/include/generated/autoconf.h"
refused "its pages are not of 4 KiB"
without bare . include/config/kernel.release
rm "$kdir/include/config/kernel.release"
refused "is not configured yet; run 'make modules_prepare'"
kdir=$work/nothing
refused "holds no headers of a kernel"
tree good
make -C "$top" BUILD="$work/build" driver KDIR="$kdir" >"$work/errors" 2>&1 && [ -e "$work/compiled" ]
report $? "a kernel that has all goes to the compiler"

kit=$top/build/kernel
module=$top/driver/quire.ko
firmware=$top/build/firmware/fw-v1.bin
if [ ! -e "$kit/complete" ] || [ ! -e "$module" ] || [ ! -e "$firmware" ]; then
	number=$((number + 1))
	echo "ok $number - installation # SKIP no driver is built (make vm)"
	finish
fi
release=$(cat "$kit/version")
destination=$work/destination
place() { # COMMAND RELEASE [FILES]
	DESTDIR=$destination "$top/tools/setup/install-driver.sh" "$@" >"$work/errors" 2>&1
}

place install "$release" "$module" "$firmware" &&
	(cd "$destination" && find . -type f | sort) >"$work/files" &&
	printf '%s\n' ./lib/firmware/quire/fw-v1.bin "./lib/modules/$release/updates/quire.ko" \
		./usr/lib/udev/rules.d/60-quire.rules | cmp - "$work/files" &&
	modinfo "$destination/lib/modules/$release/updates/quire.ko" | grep -q "vermagic: *$release " &&
	cmp "$firmware" "$destination/lib/firmware/quire/fw-v1.bin"
report $? "module, firmware and rule"
grep -q 'GROUP="render", MODE="0660", TAG+="uaccess"' "$destination/usr/lib/udev/rules.d/60-quire.rules"
report $? "nodes are for group render and who sits there, not for all"

# With a kernel in the place the module is found by its name and by the card.
cp "$kit/lib/modules/$release"/modules.order "$kit/lib/modules/$release"/modules.builtin* \
	"$destination/lib/modules/$release/"
place install "$release" "$module" "$firmware" &&
	grep -q '^updates/quire.ko:' "$destination/lib/modules/$release/modules.dep" &&
	grep -q '^alias pci:.* quire$' "$destination/lib/modules/$release/modules.alias"
report $? "depmod where a kernel is installed"

place install other "$module" "$firmware" && place uninstall other &&
	[ ! -e "$destination/lib/modules/other/updates" ] && [ -e "$destination/lib/firmware/quire/fw-v1.bin" ]
report $? "one kernel's module goes, what another needs stays"
place uninstall "$release" && [ -z "$(find "$destination" -name '*quire*' -o -name 'fw-*')" ] &&
	! grep -q quire "$destination/lib/modules/$release/modules.dep"
report $? "the last one takes firmware and rule along"
finish
