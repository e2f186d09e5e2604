#!/bin/sh
# SPDX-License-Identifier: MIT
# quirenum(3) names every function that the headers of libquirenum declare, and no other.  There a
# name that starts with an underscore is that of the function before it with another last word.
# usage: manual.sh TOP
set -u
top=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/../include/tap.sh"

# Without comments; macros put names together, which the manual writes with 8, 16 and 32.
cat "$top"/numerics/include/quirenum/*.h | tr '\n' ' ' | sed 's:/\*[^*]*\*\+\([^/*][^*]*\*\+\)*/: :g' |
	grep -o 'quire_[a-z0-9_]*(' | tr -d '(' | grep -v '_posit\(8\|16\|32\)_' | sort -u >"$work/declared"
grep -o '\*\(quire\|\\\)_[a-z0-9_]*\*' "$top/docs/man/quirenum.3.scd" | tr -d '*' |
	awk '/^quire/ { name = $0; sub(/_[a-z0-9]*$/, "", name); print; next }
	{ print name substr($0, 2) }' | grep -v '_posit\(8\|16\|32\)_' | sort -u >"$work/named"
comm -23 "$work/declared" "$work/named" >"$work/errors"
[ "$(wc -l <"$work/declared")" -ge 80 ] && [ ! -s "$work/errors" ]
report $? "every declared function is named"
comm -13 "$work/declared" "$work/named" >"$work/errors"
[ ! -s "$work/errors" ]
report $? "every name is declared"
finish
