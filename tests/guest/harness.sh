#!/bin/sh
# SPDX-License-Identifier: MIT
# What the guest tests' harness makes of tests that pass, fail, crash and hang.  On the host.
# usage: harness.sh HARNESS_CASES
set -u
cases=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/../include/tap.sh"

why() {
	cat "$work/log"
}

# One test: how it ends, and the lines it must have said.
try() { # NAME STATUS LINE...
	name=$1
	"$cases" -t "${name##*.}" >"$work/log" 2>&1
	[ $? -eq "$2" ]
	result=$?
	shift 2
	for line; do
		grep -qE "^$line\$" "$work/log" || result=1
	done
	report $result "$name"
}

try cases.pass 0 'ok 1 cases.pass' '# harness_cases.c:[0-9]*: torn down: 5'
try cases.expectation 1 'not ok 1 cases.expectation' \
	'# harness_cases.c:39: cases.expectation: not so: 0 == -62; they are 0 and -62 -ETIME' \
	'# harness_cases.c:39: and more' '# .* torn down: 6'
try cases.assertion 1 'not ok 1 cases.assertion' '# .* torn down: 5' \
	'# .*: not so: 0x123456 == self->number; they are 1193046 \(0x123456\) and 5'
try cases.child 1 'not ok 1 cases.child' '# .* they are "a" and "b"' '# .* torn down: 5'
try cases.child_that_comes_back 0 'ok 1 cases.child_that_comes_back'
[ "$(grep -c 'torn down' "$work/log")" -eq 1 ]
report $? "the test is torn down once"
try cases.crash 1 'not ok 1 cases.crash' '# cases.crash: SIGSEGV ended it in its test'
try cases.leave 1 'not ok 1 cases.leave' '# cases.leave: it left with exit\(3\) in its test'
try cases.hang 1 'not ok 1 cases.hang' \
	'# cases.hang: killed in its test, after its limit of [0-9]* seconds'
try cases.child_left_behind 0 'ok 1 cases.child_left_behind'
try cases.skip 0 'ok 1 cases.skip # SKIP no moon'
try without.half 1 '1..2' 'ok 1 without.one.half' 'not ok 2 without.two.half'
try alone 0 'ok 1 alone'
"$cases" -f without -t alone >"$work/log" 2>&1
grep -q '^1\.\.3$' "$work/log"
report $? "a fixture and a test are chosen"
"$cases" -t nothing >"$work/log" 2>&1
[ $? -eq 2 ]
report $? "no test is named so"
finish
