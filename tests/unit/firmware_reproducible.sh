#!/bin/sh
# SPDX-License-Identifier: MIT
# The same sources give the same firmware image, wherever and whenever it is built.
# usage: firmware_reproducible.sh FIRMWARE-DIRECTORY
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "1..1"
cp -r "$1" "$work/firmware"
cp -r "$1/../uapi" "$work/uapi"
if make -s -C "$1" OUT="$work/one" >"$work/log" 2>&1 &&
	make -s -C "$work/firmware" OUT="$work/two/deeper" >>"$work/log" 2>&1 &&
	cmp "$work/one/fw-v1.bin" "$work/two/deeper/fw-v1.bin" >>"$work/log" 2>&1; then
	echo "ok 1 - two builds in two places give the same image"
else
	sed 's/^/# /' "$work/log"
	echo "not ok 1 - two builds in two places give the same image"
	exit 1
fi
