#!/bin/sh
# SPDX-License-Identifier: MIT
# Take the UCI handwritten digits (1797 images of 8 x 8) out of Debian's
# python3-sklearn package without installing it.
# usage: digits-data.sh OUT.csv.gz
set -eu
out=$1
[ ! -e "$out" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
(cd "$work" && { apt-get -qq -o APT::Sandbox::User=root download python3-sklearn ||
	{ apt-get -qq update && apt-get -qq -o APT::Sandbox::User=root download python3-sklearn; }; }) 2>"$work/errors" ||
	{ cat "$work/errors" >&2; exit 1; }
mkdir -p "$(dirname "$out")"
dpkg-deb --fsys-tarfile "$work"/python3-sklearn_*.deb |
	tar -xO --wildcards '*/sklearn/datasets/data/digits.csv.gz' >"$work/digits.csv.gz"
gzip -t "$work/digits.csv.gz"
mv "$work/digits.csv.gz" "$out"
