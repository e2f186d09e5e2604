#!/bin/sh
# SPDX-License-Identifier: MIT
# Training gives the same digests on the card and on the CPU, and learns.  TAP.
# usage: digits.sh BUILD
set -u
build=$1
digits="$build/user/tools/quire-digits --data $build/data/digits.csv.gz --json"
. ./tap.sh

why() {
	cat /tmp/errors
}

for backend in card cpu; do
	$digits --epochs 2 --tiles 0.1 --backend $backend >/tmp/$backend.json || exit 1
	grep -o '"digest": *"[^"]*"' /tmp/$backend.json >/tmp/$backend.digests
done
cmp /tmp/card.digests /tmp/cpu.digests >/tmp/errors 2>&1 && [ "$(wc -l </tmp/card.digests)" -ge 5 ]
report $? "digests of two epochs"
$digits --backend card >/tmp/full.json || exit 1
# fp32, bf16 and posit16 reach 0.95; posit8 may be less.
grep -o '"\(format\|accuracy\)": *"\?[a-z0-9.]*' /tmp/full.json | sed 's/.*: *"\?//' | paste - - |
	tee /tmp/errors | awk '$1 != "posit8" { n++; if ($2 < 0.95) bad = 1 } END { exit bad || n != 3 }'
report $? "accuracy of at least 0.95 for fp32, bf16 and posit16"
finish
