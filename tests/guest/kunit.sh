#!/bin/sh
# SPDX-License-Identifier: MIT
# The driver's KUnit tests, which run when the module is loaded (kunit.enable=1) on a kernel that
# has KUnit built in: make check-debug.  TAP, one test for each of theirs.
set -u
results=/sys/kernel/debug/kunit

if [ ! -d $results ]; then
	echo "TAP version 13"
	echo "1..1"
	echo "ok 1 - kunit # SKIP this kernel has no KUnit"
	exit 0
fi
. ./tap.sh

why() {
	sed -n 's/^ *# /# /p' "$results/$suite/results" | tail -n 20
}

for suite in $(cd $results && ls -d quire-*); do
	# Lines of test cases are indented; that of the suite is not.
	sed -n 's/^ \+\(not ok\|ok\) [0-9]* \(- \)\?\([a-z0-9_]*\).*/\1 \3/p' \
		"$results/$suite/results" >/tmp/cases
	while read -r line; do
		case $line in
		ok*) status=0 ;;
		*) status=1 ;;
		esac
		report $status "$suite: ${line##* }"
	done </tmp/cases
done
[ "$number" -gt 0 ]
report $? "there are tests"
finish
