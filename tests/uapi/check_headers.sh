#!/bin/sh
# SPDX-License-Identifier: MIT
# The contract headers compile alone in every language and room that includes
# them, and no structure has a hole or hidden padding.  TAP on standard output.
# usage: check_headers.sh UAPI_DIRECTORY
set -u
uapi=$1
drm=$(pkg-config --cflags libdrm)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
headers="quire/format.h quire/tiled.h quire/packet.h quire/hw.h quire/dump.h drm/quire_drm.h"
c_headers="quire/packet_check.h quire/model.h"
. "$(dirname "$0")/../include/tap.sh"

compile() { # NAME COMPILER...
	name=$1
	shift
	"$@" -I "$uapi" -fsyntax-only >"$work/errors" 2>&1
	report $? "$name"
}

for header in $headers; do
	strict="-pedantic -Wall -Wextra -Werror"
	compile "$header as C11" gcc -std=c11 $strict $drm -x c "$uapi/$header"
	compile "$header as C++17" g++ -std=c++17 $strict $drm -x c++ "$uapi/$header"
	compile "$header as C11 (clang)" clang -std=c11 $strict -Wno-unused-function $drm -x c "$uapi/$header"
done

for header in $c_headers; do
	compile "$header as C11" gcc -std=c11 -pedantic -Wall -Wextra -Werror -x c "$uapi/$header"
done
for header in quire/format.h quire/tiled.h quire/packet.h quire/hw.h $c_headers; do
	compile "$header in firmware" riscv64-unknown-elf-gcc -march=rv32im -mabi=ilp32 \
		-ffreestanding -std=c11 -Wall -Wextra -Werror -x c "$uapi/$header"
done

# Every structure is named once, so that the compiler keeps its debug information.
for header in $headers; do
	echo "#include <$header>"
done >"$work/all.c"
structures=$(cd "$uapi" && sed -n 's/^struct \(\(drm_\)\?quire_[a-z0-9_]*\) {.*/\1/p' $headers)
for structure in $structures; do
	echo "struct $structure keep_$structure;"
done >>"$work/all.c"
for target in "gcc -m64" "riscv64-unknown-elf-gcc -march=rv32im -mabi=ilp32 -ffreestanding"; do
	source=$work/all.c
	case $target in
	riscv*)
		grep -v drm "$work/all.c" >"$work/firmware.c"
		source=$work/firmware.c
		;;
	esac
	$target -std=c11 -g -gdwarf-4 $drm -I "$uapi" -c "$source" -o "$work/all.o" >"$work/errors" 2>&1 &&
		pahole "$work/all.o" >"$work/layout" 2>>"$work/errors" &&
		for structure in $structures; do
			pahole -C "$structure" "$work/all.o"
		done >"$work/layout" 2>>"$work/errors"
	status=$?
	if [ $status -eq 0 ] && grep -nE 'XXX|/\* (holes|padding|sum members)' "$work/layout" >"$work/errors"; then
		status=1
	fi
	grep -q 'struct quire_band' "$work/layout" || status=1
	report $status "no holes (${target%% *})"
done
finish
