#!/bin/sh
# SPDX-License-Identifier: MIT
# Take the two photographs out of Debian's python3-sklearn package without
# installing it and convert them to PPM.
# usage: photographs.sh DIRECTORY
set -eu
out=$1
[ ! -e "$out/china.ppm" ] || [ ! -e "$out/flower.ppm" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
(cd "$work" && { apt-get -qq -o APT::Sandbox::User=root download python3-sklearn ||
	{ apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download python3-sklearn; }; }) 2>"$work/errors" ||
	{ cat "$work/errors" >&2; exit 1; }
mkdir -p "$out"
dpkg-deb --fsys-tarfile "$work"/python3-sklearn_*.deb |
	tar -xC "$work" --wildcards --strip-components=7 '*/sklearn/datasets/images/*.jpg'
for name in china flower; do
	djpeg "$work/images/$name.jpg" >"$work/$name.ppm"
	mv "$work/$name.ppm" "$out/$name.ppm"
done
