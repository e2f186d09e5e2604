#!/bin/sh
# SPDX-License-Identifier: MIT
# Training gives the same digests on the card and on the CPU, and learns.  TAP.
# usage: digits.sh BUILD
set -u
build=$1
digits="$build/user/tools/quire-digits --data $build/data/digits.csv.gz --json"
status=0
result() { # NUMBER NAME; the status of what was just done decides
	if [ $? -eq 0 ]; then
		echo "ok $1 - $2"
	else
		status=1
		echo "not ok $1 - $2"
	fi
}

echo "TAP version 13"
echo "1..2"
for backend in card cpu; do
	$digits --epochs 2 --tiles 0.1 --backend $backend >/tmp/$backend.json || exit 1
	grep -o '"digest": *"[^"]*"' /tmp/$backend.json >/tmp/$backend.digests
done
[ -s /tmp/card.digests ] && cmp /tmp/card.digests /tmp/cpu.digests | sed 's/^/# /' &&
	[ "$(wc -l </tmp/card.digests)" -ge 5 ] && cmp -s /tmp/card.digests /tmp/cpu.digests
result 1 "digests of two epochs"
$digits --backend card >/tmp/full.json || exit 1
# fp32, bf16 and posit16 reach 0.95; posit8 may be less.
grep -o '"\(format\|accuracy\)": *"\?[a-z0-9.]*' /tmp/full.json | sed 's/.*: *"\?//' | paste - - |
	tee /tmp/accuracies | awk '$1 != "posit8" { n++; if ($2 < 0.95) bad = 1 } END { exit bad || n != 3 }'
status_of_awk=$?
sed 's/^/# /' /tmp/accuracies
[ $status_of_awk -eq 0 ]
result 2 "accuracy of at least 0.95 for fp32, bf16 and posit16"
exit $status
