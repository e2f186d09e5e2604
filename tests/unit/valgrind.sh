#!/bin/sh
# SPDX-License-Identifier: MIT
# A short run of the tests of the numerics under valgrind, which sees reads of memory
# that was never written.  It hides AVX-512 from the program, so the other kernels run.
# Runs in the build directory.
set -u
here=$(dirname "$0")
. "$here/../include/tap.sh"

why() {
	cat "tests/unit/valgrind-$test.log"
}

export QUIRE_TEST_DIVISOR=1000 QUIRE_TEST_ONLY=every_output_with_extras
for test in vectors posit number text accumulator gemm; do
	valgrind -q --suppressions="$here/valgrind.supp" --error-exitcode=9 --leak-check=full "tests/unit/test_$test" \
		>"tests/unit/valgrind-$test.log" 2>&1
	report $? "$test"
done
finish
