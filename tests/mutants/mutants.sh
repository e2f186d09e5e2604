#!/bin/sh
# SPDX-License-Identifier: MIT
# Can the tests fail?  Each entry of tests/mutants/list changes one constant or comparison
# of the numerics in a scratch copy; the tests it names must then fail.  Prints a table and
# ends with failure when a mutant survives, does not apply or does not compile.
# usage: mutants.sh BUILD [NUMBER...]
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
work=$1/mutants
shift
only=" $* "
rm -rf "$work"
mkdir -p "$work/tests" "$work/out"
cp -r "$top/numerics" "$top/uapi" "$work/"
cp -r "$top/tests/unit" "$top/tests/oracle" "$work/tests/"
cd "$work" || exit 1
. "$top/tests/mutants/entries.sh"

export QUIRE_VECTORS="$top/tests/vectors/posit_es2.tsv"
export QUIRE_TEST_DIVISOR=20
export QUIRE_TEST_SKIP=many_blocks
export CMOCKA_TEST_ABORT=1	# the first failure is enough
ulimit -c 0

build() {
	make -s -j2 -f "$top/tests/unit/numerics.mk" OUT=out all >out/make.log 2>&1
}

# The programs of these tests: gemm is test_gemm and all test_gemm_NAME.
programs() {
	for test in "$@"; do
		for program in "out/test_$test" "out/test_$test"_*; do
			case "${program#out/}" in
			*.*) ;;
			*) [ ! -x "$program" ] || echo "${program#out/test_}" ;;
			esac
		done
	done
}

# A test of what is in the copy now.
passes() { # NAME
	timeout 120 "out/test_$1" >"out/$1.log" 2>&1
}

echo "building"
build || { cat out/make.log; exit 1; }
# shellcheck disable=SC2046 # a list of tests
failure=$(first_failure $(programs vectors posit number text accumulator gemm))
if [ -n "$failure" ]; then
	echo "$failure fails without any mutant:"
	cat "out/$failure.log"
	exit 1
fi

killed=0
survived=0
equivalent=0
skipped=0
number=0

one() { # FILE TESTS FROM TO REASON
	number=$((number + 1))
	is_wanted "$number" || return
	change="$3 -> $4"
	feature=
	case "$2 $1" in
	"amx "*) feature=amx_int8 ;;
	*avx512*) feature=avx512ifma ;;
	esac
	if [ -n "$feature" ] && ! grep -q "$feature" /proc/cpuinfo; then
		skipped=$((skipped + 1))
		printf '%3d %-28s %-13s %s\n' "$number" "$1" "no such CPU" "$change"
		return
	fi
	if ! replace "$top/$1" "$1" "$3" "$4"; then
		verdict="NOT FOUND"
	elif ! build; then
		verdict="NOT COMPILED"
	else
		# shellcheck disable=SC2046,SC2086 # lists of tests
		verdict=$(first_failure $(programs $2))
	fi
	cp "$top/$1" "$1"
	case "$verdict" in
	NOT*)
		survived=$((survived + 1)) ;;
	"")
		if [ -n "$5" ]; then
			equivalent=$((equivalent + 1))
			verdict="equivalent"
			change="$change ($5)"
		else
			survived=$((survived + 1))
			verdict="SURVIVED"
		fi ;;
	*)
		killed=$((killed + 1))
		if [ -n "$5" ]; then
			survived=$((survived + 1))
			verdict="NOT EQUAL"	# listed as equivalent and is not
		fi ;;
	esac
	printf '%3d %-28s %-13s %s\n' "$number" "$1" "$verdict" "$change"
}

printf '%3s %-28s %-13s %s\n' "no" file "killed by" change
each_entry "$top/tests/mutants/list" one

echo "$killed killed, $survived survived, $equivalent equivalent, $skipped skipped"
[ "$survived" -eq 0 ] && { [ "$killed" -ge 30 ] || [ "$only" != "  " ]; }
