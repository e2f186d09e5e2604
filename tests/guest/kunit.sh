#!/bin/sh
# SPDX-License-Identifier: MIT
# The driver's KUnit tests, which run when the module is loaded (kunit.enable=1) on a kernel that
# has KUnit built in: make check-debug.  TAP, one test for each of theirs.
set -u
results=/sys/kernel/debug/kunit

. ./tap.sh

if [ ! -d $results ]; then
	# The driver then carries nothing of them: it would not have loaded.
	[ -d /sys/module/quire ] && ! modinfo -F depends quire | grep -q kunit
	report $? "the driver needs no KUnit"
	report 0 "the driver's KUnit tests # SKIP this kernel has no KUnit"
	finish
fi

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
