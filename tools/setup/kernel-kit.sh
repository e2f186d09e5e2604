#!/bin/sh
# SPDX-License-Identifier: MIT
# Unpack a kernel of Debian and its headers into OUT without installing them: linux-image would fill
# /boot and run hooks.  The version is resolved once and kept in OUT/version, so that image, headers
# and module always match.  SUITE (bookworm, trixie, trixie-backports, sid) is asked without a change
# of this machine's sources; without it the archive this machine uses gives its 6.12 or later.
# usage: kernel-kit.sh OUT [SUITE]
set -eu
out=$1
suite=${2:-}
[ ! -e "$out/complete" ] || exit 0
mkdir -p "$out"
out=$(cd "$out" && pwd)

# A list of sources and lists of packages of our own.
prepare_suite() {
	apt=$out/apt
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	signed="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
	echo "deb $signed http://deb.debian.org/debian $suite main" >"$apt/sources.list"
	case $suite in
	sid | *-backports) ;;
	*) echo "deb $signed http://deb.debian.org/debian-security $suite-security main" >>"$apt/sources.list" ;;
	esac
	cat >"$apt/apt.conf" <<-TEXT
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::State::Lists "$apt/lists";
		Dir::Cache "$apt/cache";
		APT::Default-Release "";
	TEXT
	export APT_CONFIG="$apt/apt.conf"
	apt-get -qq update
}

# Debian 12 has 6.12 beside its own kernel; later releases have nothing older.
resolve() {
	for name in linux-image-6.12-amd64 linux-image-amd64; do
		version=$(apt-cache show --no-all-versions "$name" 2>/dev/null |
			sed -n 's/^Depends:.*linux-image-\([0-9][^ ,]*\).*/\1/p' | head -1)
		case $version in
		'' | [1-5].* | 6.[0-9].* | 6.1[01].*) ;;
		*) return 0 ;;
		esac
	done
	version=
}

fetch() {
	base=${version%-amd64}
	packages="linux-image-$version linux-headers-$version linux-headers-$base-common linux-kbuild-$base"
	# Since 7.0 the image is an empty package that names its parts.
	for part in linux-binary linux-modules linux-base; do
		! apt-cache show "$part-$version" >/dev/null 2>&1 || packages="$packages $part-$version"
	done
	# shellcheck disable=SC2086 # names are words
	(cd "$out/packages" && apt-get -qq -o APT::Sandbox::User=root download $packages)
}

rm -rf "$out"
mkdir -p "$out/packages"
[ -z "$suite" ] || prepare_suite
resolve
if [ -z "$version" ] || ! fetch; then
	# The package index may be older than the archive: names carry the ABI.
	apt-get -qq update
	resolve
	if [ -z "$version" ]; then
		echo "no linux-image-6.12-amd64 in Debian's archive (bookworm-security has it);" \
			"the driver needs 6.12, earlier kernels have no DRM accel subsystem" >&2
		exit 1
	fi
	fetch
fi
for package in "$out"/packages/*.deb; do
	dpkg-deb -x "$package" "$out"
done
rm -rf "$out/packages" "$out/apt"
# Since Debian 13 all lies below usr, where depmod and modprobe do not look, and since 7.0 the image, too.
[ -e "$out/lib" ] || ln -s usr/lib "$out/lib"
if [ ! -e "$out/boot/vmlinuz-$version" ]; then
	mkdir -p "$out/boot"
	ln -s "../usr/lib/modules/$version/vmlinuz" "$out/boot/vmlinuz-$version"
fi
depmod -b "$out" "$version"
echo "$version" >"$out/version"
touch "$out/complete"
