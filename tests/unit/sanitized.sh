#!/bin/sh
# SPDX-License-Identifier: MIT
# The tests of the numerics with address and undefined-behaviour sanitizers, all kernels,
# fewer random cases.  Runs in the build directory.
# usage: sanitized.sh SOURCE-DIRECTORY
set -u
. "$(dirname "$0")/../include/tap.sh"
out=$PWD/tests/unit/sanitized
mkdir -p "$out"
env -u MAKEFLAGS make -s -j2 -C "$1" -f tests/unit/numerics.mk OUT="$out" \
	EXTRA="-g -fsanitize=address,undefined -fno-sanitize-recover=all" all >"$out/make.log" 2>&1 || {
	cat "$out/make.log" >&2
	exit 1
}
why() {
	cat "$out/$test.log"
}

# the parts that time is left for
export QUIRE_TEST_DIVISOR=20 QUIRE_TEST_SKIP=many_blocks
# The oracle allocates small numbers by the million; who allocated is told by its caller alone.
export ASAN_OPTIONS=malloc_context_size=1
for test in vectors posit number text accumulator convert mxfp8_convert digest gemm gemm_direct gemm_residues gemm_whole gemm_outliers gemm_doubt gemm_workspace gemm_fp32 gemm_unsteady gemm_blocks; do
	"$out/test_$test" >"$out/$test.log" 2>&1
	report $? "$test"
done
finish
