#!/bin/sh
# SPDX-License-Identifier: MIT
# The same sources give the same firmware image, wherever and whenever it is built.
# usage: firmware_reproducible.sh FIRMWARE-DIRECTORY
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/../include/tap.sh"

cp -r "$1" "$work/firmware"
cp -r "$1/../uapi" "$work/uapi"
make -s -C "$1" OUT="$work/one" >"$work/errors" 2>&1 &&
	make -s -C "$work/firmware" OUT="$work/two/deeper" >>"$work/errors" 2>&1 &&
	cmp "$work/one/fw-v1.bin" "$work/two/deeper/fw-v1.bin" >>"$work/errors" 2>&1
report $? "two builds in two places give the same image"
finish
