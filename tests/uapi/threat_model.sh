#!/bin/sh
# SPDX-License-Identifier: MIT
# Every test that docs/threat-model.md names exists: `file` or `file: name of the test`.
# usage: threat_model.sh TOP
set -u
top=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/../include/tap.sh"

sources() { # of the tests with this name; device and guest may both have one
	find "$top/tests" -name "$1.c" -o -name "$1.sh"
}

grep -o '`\(test\|fuzz\|soak\)_[a-z_0-9]*\(: [a-z_0-9]*\)*`' "$top/docs/threat-model.md" |
	tr -d '`' | sort -u >"$work/named"
[ "$(wc -l <"$work/named")" -ge 20 ]
report $? "the threat model names tests"
: >"$work/errors"
while IFS= read -r line; do
	files=$(sources "${line%%:*}")
	[ -n "$files" ] || echo "$line: no such file" >>"$work/errors"
	case $line in
	*:*) # shellcheck disable=SC2086 # paths of ours have no blanks
		[ -z "$files" ] || grep -qw "${line#*: }" $files || echo "$line: no such test" >>"$work/errors" ;;
	esac
done <"$work/named"
[ ! -s "$work/errors" ]
report $? "every test it names exists"
finish
