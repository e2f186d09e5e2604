#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-or-later
# Build QEMU with the card: Debian's source through apt (which verifies it), a
# symbolic link to this room, and one line in each of four of QEMU's files.
# usage: build-qemu.sh SOURCE BUILD
#   SOURCE  where QEMU's source is kept (fetched when missing)
#   BUILD   build directory; an incremental build takes seconds
set -eu
source=$1
build=$2
overlay=$(cd "$(dirname "$0")" && pwd)
room=$(dirname "$overlay")

# A private list and state: the machine's own need not have deb-src.
apt_source() {
	mkdir -p "$source.apt/lists/partial"
	: >"$source.apt/quire.sources"
	for list in /etc/apt/sources.list.d/*.sources; do
		[ -e "$list" ] || continue
		sed 's/^Types:.*/Types: deb-src/' "$list" >>"$source.apt/quire.sources"
		echo >>"$source.apt/quire.sources"
	done
	options="-o Dir::Etc::sourcelist=$source.apt/quire.sources"
	if ! grep -q '^Types' "$source.apt/quire.sources"; then
		sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >"$source.apt/quire.list"
		options="-o Dir::Etc::sourcelist=$source.apt/quire.list"
	fi
	options="$options -o Dir::Etc::sourceparts=/dev/null"
	options="$options -o Dir::State::Lists=$source.apt/lists -o APT::Sandbox::User=root"
	# shellcheck disable=SC2086 # options are words
	(cd "$source.apt" && apt-get -qq $options update && apt-get -qq $options source --download-only qemu)
	dpkg-source --no-check -x "$source.apt"/qemu_*.dsc "$source" >/dev/null
	touch "$source/.quire-complete"
}

append_once() { # FILE LINE
	grep -qxF "$2" "$1" || printf '%s\n' "$2" >>"$1"
}

if [ ! -e "$source/.quire-complete" ]; then
	rm -rf "$source" "$source.apt"
	mkdir -p "$(dirname "$source")"
	apt_source
fi

ln -sfn "$room" "$source/hw/misc/quire"
append_once "$source/hw/misc/meson.build" "subdir('quire')"
append_once "$source/hw/misc/Kconfig" "source quire/Kconfig"
grep -q "'hw/misc/quire'" "$source/meson.build" ||
	sed -i "s|^    'hw/misc',|    'hw/misc',\n    'hw/misc/quire',|" "$source/meson.build"
grep -q "'hw/misc/quire'" "$source/meson.build" || {
	echo "build-qemu.sh: QEMU's meson.build has no trace_events_subdirs line for hw/misc" >&2
	exit 1
}
cmp -s "$overlay/quire.mak" "$source/configs/devices/x86_64-softmmu/quire.mak" ||
	cp "$overlay/quire.mak" "$source/configs/devices/x86_64-softmmu/quire.mak"

if [ ! -e "$build/build.ninja" ]; then
	mkdir -p "$build"
	# Debian's own python3 and meson, whatever else comes first in PATH.
	(cd "$build" && PATH=/usr/sbin:/usr/bin:/sbin:/bin "$source/configure" \
		--target-list=x86_64-softmmu --without-default-features \
		--with-devices-x86_64=quire --enable-tcg --enable-system --disable-werror \
		--enable-virtfs --enable-attr --enable-cap-ng --enable-trace-backends=log \
		>"$build/configure.log" 2>&1) || {
		tail -n 30 "$build/configure.log" >&2
		exit 1
	}
fi
ninja -C "$build" qemu-system-x86_64 >"$build/ninja.log" 2>&1 || {
	tail -n 40 "$build/ninja.log" >&2
	exit 1
}
