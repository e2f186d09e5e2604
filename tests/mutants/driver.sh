#!/bin/sh
# SPDX-License-Identifier: MIT
# Can the guest tests fail?  Each entry of tests/mutants/driver takes one of the driver's precautions
# away in a scratch copy; one of the guest tests it names (tests/guest/plan) must then fail.  Prints
# a table and ends with failure when a mutant survives, does not apply or does not compile.
# usage: driver.sh BUILD [NUMBER...]
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(cd "$1" && pwd)
shift
only=" $* "
work=$build/mutants-driver
rm -rf "$work"
mkdir -p "$work/source"
# Beside the sources what a guest needs, in the places of an ordinary build.
for part in data firmware kernel qemu user; do
	ln -s "../$part" "$work/$part"
done
(cd "$top" && tar -c --exclude='*.o' --exclude='*.ko' --exclude='*.cmd' --exclude='*.mod*' driver uapi) |
	tar -x -C "$work/source"
. "$top/tests/mutants/entries.sh"
headers=$build/kernel/usr/src/linux-headers-$(cat "$build/kernel/version")

compile() {
	make -s -C "${headers%-amd64}-common" O="$headers" M="$work/source/driver" modules \
		>"$work/make.log" 2>&1 &&
		"$top/tools/setup/initramfs.sh" "$build/kernel" "$work/source/driver/quire.ko" \
			"$build/firmware/fw-v1.bin" "$work/initramfs.gz"
}

# A test of the plan.
passes() { # NAME
	QUIRE_ONLY=$1 QUIRE_RESULTS=$work/results "$top/tests/run/check.sh" "$work" guest \
		>"$work/$1.log" 2>&1
}

killed=0
survived=0
number=0

one() { # FILE TESTS FROM TO REASON
	number=$((number + 1))
	is_wanted "$number" || return
	if ! replace "$top/$1" "$work/source/$1" "$3" "$4"; then
		verdict="NOT FOUND"
	elif ! compile; then
		verdict="NOT COMPILED"
	else
		# shellcheck disable=SC2086 # a list of tests
		verdict=$(first_failure $2)
	fi
	cp "$top/$1" "$work/source/$1"
	case $verdict in
	NOT* | "")
		verdict=${verdict:-SURVIVED}
		survived=$((survived + 1)) ;;
	*) killed=$((killed + 1)) ;;
	esac
	printf '%3d %-28s %-13s %s\n' "$number" "$1" "$verdict" "$3 -> $4"
}

compile || { cat "$work/make.log"; exit 1; }
printf '%3s %-28s %-13s %s\n' "no" file "killed by" change
each_entry "$top/tests/mutants/driver" one
echo "$killed killed, $survived survived"
[ "$survived" -eq 0 ] && [ "$killed" -gt 0 ]
