#!/bin/sh
# SPDX-License-Identifier: MIT
# Can a program outside of this tree use libquirenum as it is installed: pkg-config,
# headers in C and C++, the shared library, the man page?  Runs in the build directory.
set -u
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
. "$(dirname "$0")/../include/tap.sh"

why() {
	cat "$stage/log"
}

meson install -C . --no-rebuild --destdir "$stage/root" >"$stage/log" 2>&1
report $? "install"
pc=$(find "$stage/root" -name quirenum.pc)
export PKG_CONFIG_PATH="${pc%/*}" PKG_CONFIG_SYSROOT_DIR="$stage/root"
cat >"$stage/third.c" <<'END'
#include <stdio.h>

#include <quirenum/accumulator.h>
#include <quirenum/gemm.h>
#include <quirenum/posit.h>
#include <quirenum/threads.h>

int main(void)
{
	char text[QUIRE_NUMBER_TEXT_SIZE];
	uint32_t third = quire_posit_div(16, quire_posit_from_int32(16, 1),
					 quire_posit_from_int32(16, 3));
	struct quire_accumulator q;
	struct quire_gemm g = {};
	const char *why;

	quire_accumulator_clear(&q);
	quire_accumulator_add_product(&q, QUIRE_FORMAT_POSIT16, third, QUIRE_FORMAT_INT8, 3);
	quire_number_print(QUIRE_FORMAT_FP64, quire_accumulator_round(&q, QUIRE_FORMAT_FP64),
			   QUIRE_NUMBER_HEX, text, sizeof(text));
	puts(text);
	quire_gemm_check(&g, &why);
	puts(why);
	return 0;
}
END
cp "$stage/third.c" "$stage/third.cc"
library=$(find "$stage/root" -name libquirenum.so -printf '%h\n')
for compiler in "gcc -std=gnu11 third.c" "g++ -std=c++17 third.cc"; do
	# 2731 / 8192 * 3 = 8193 / 8192
	# shellcheck disable=SC2046,SC2086 # words
	(cd "$stage" && $compiler -Wall -Wextra -Werror -o third $(pkg-config --cflags --libs quirenum) &&
		LD_LIBRARY_PATH=$library ./third >out && printf '0x1.0008p+0\na.format\n' | cmp - out) >"$stage/log" 2>&1
	report $? "${compiler%% *} and pkg-config"
done
find "$stage/root" -name quirenum.3 | grep -q . >"$stage/log"
report $? "man page"
finish
