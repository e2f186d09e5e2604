#!/bin/sh
# SPDX-License-Identifier: MIT
# Unpack Debian's 6.12 kernel and its headers into OUT without installing them:
# linux-image would fill /boot and run hooks.  The version is resolved once and
# kept in OUT/version, so that image, headers and module always match.
# usage: kernel-kit.sh OUT
set -eu
out=$1
[ ! -e "$out/complete" ] || exit 0

resolve() {
	apt-cache depends linux-image-6.12-amd64 2>/dev/null |
		sed -n 's/.*Depends: linux-image-//p' | head -1
}

fetch() {
	base=${version%-amd64}
	(cd "$out/packages" && apt-get -qq -o APT::Sandbox::User=root download "linux-image-$version" \
		"linux-headers-$version" "linux-headers-$base-common" "linux-kbuild-$base")
}

rm -rf "$out"
mkdir -p "$out/packages"
version=$(resolve)
if [ -z "$version" ] || ! fetch; then
	# The package index may be older than the archive: names carry the ABI.
	apt-get -qq update
	version=$(resolve)
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
rm -r "$out/packages"
depmod -b "$out" "$version"
echo "$version" >"$out/version"
touch "$out/complete"
