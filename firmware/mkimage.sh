#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Put the header of struct quire_fw_header before the loadable bytes of an ELF
# file, and report the size.  The same ELF file gives the same image.
# usage: mkimage.sh CROSS IN.elf OUT.bin
set -eu
cross=$1
elf=$2
out=$3
sram=262144
interface=$(((2 << 16) | 2))
release=$((2 << 16))

symbol() { # value of a symbol, as a number
	echo $((0x$("${cross}nm" "$elf" | awk -v name="$1" '$3 == name { print $1 }' | tail -c 9)))
}

le32() {
	# shellcheck disable=SC2059 # the format is what is built here
	printf "\\$(printf %o $(($1 & 255)))\\$(printf %o $(($1 >> 8 & 255)))\\$(printf %o $(($1 >> 16 & 255)))\\$(printf %o $(($1 >> 24 & 255)))"
}

"${cross}objcopy" -O binary -j .text -j .data "$elf" "$out.body"
# The image is a whole number of words.
while [ $(($(stat -c %s "$out.body") % 4)) -ne 0 ]; do
	printf '\0' >>"$out.body"
done
bytes=$(stat -c %s "$out.body")
bss=$(($(symbol _bss_end) - 0x20000000 - bytes))
digest=$(sha256sum "$out.body" | cut -d' ' -f1)
{
	printf QFW1
	le32 64
	le32 $((bytes + 64))
	le32 $interface
	le32 $release
	le32 "$(symbol _start)"
	le32 $bss
	le32 0
	for byte in $(printf %s "$digest" | sed 's/../& /g'); do
		# shellcheck disable=SC2059
		printf "\\$(printf %o "0x$byte")"
	done
	cat "$out.body"
} >"$out"
rm "$out.body"
echo "firmware: $bytes bytes of code and data, $bss of variables, $((sram - bytes - bss)) of $sram free"
