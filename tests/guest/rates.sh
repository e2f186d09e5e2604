#!/bin/sh
# SPDX-License-Identifier: MIT
# The tables of quire-rates are those of the CPU, bit for bit, and what quire-advise writes
# is read again in the guest.  TAP.
# usage: rates.sh BUILD
set -u
build=$1
tools=$build/user/tools
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. ./tap.sh

values() { # KEY FILE
	grep -o "\"$1\": *[^,]*" "$2"
}

cd "$work" || exit 1
: >errors
awk 'BEGIN { srand(5); for (r = 0; r < 96; r++) { for (c = 0; c < 80; c++)
	printf "%s%.6g", c ? "," : "", (rand() - 0.5) * 2 ^ -int(r / 16); print "" } }' >a.csv
awk 'BEGIN { srand(6); for (r = 0; r < 80; r++) { for (c = 0; c < 40; c++)
	printf "%s%.6g", c ? "," : "", rand() - 0.5; print "" } }' >b.csv
# Errors, accuracies and what the jobs did; memory traffic depends on how the card cuts.
compare() { # NAME WORKLOAD...
	name=$1
	shift
	for backend in card cpu; do
		"$tools/quire-rates" "$@" --backend $backend --json >$backend.json || exit 1
		values '\(digest\|macs[a-z0-9_]*\|[a-z_]*error\|accuracy\|repeatable\)' $backend.json >$backend.values
	done
	grep -q '"backend": *"card"' card.json && [ "$(grep -c digest card.values)" -ge 16 ] &&
		cmp card.values cpu.values >errors 2>&1
	report $? "$name"
}
compare "covariance: the card's table is the CPU's" covariance matern:points=64,beta=0.1 --tau 1e-1,1e-4
compare "pair: the card's table is the CPU's" pair a.csv b.csv --tau 1e-1,1e-3
compare "digits: the card's table is the CPU's" digits --data "$build/data/digits.csv.gz" --seeds 1 --tau 0.1
awk -F: '/"mode"/ { mode = $2 } /"accuracy"/ { a[mode] = $2 + 0 }
	END { for (m in a) { if (m ~ /fp32 exact/) f = a[m]; if (m ~ /tiles/) t = a[m] }
	exit !(f > 0.95 && t > f - 0.01) }' card.json 2>errors
report $? "digits: weights in tiles answer as well as in FP32"
"$tools/quire-advise" a.csv --tau 1e-2 --tile 16x16 --output a.qtn --json >advice.json 2>errors &&
	"$tools/quire-advise" a.qtn --tau 1e-9 --tile 16x16 --json >again.json 2>errors &&
	grep -q '"certified": *true' advice.json &&
	[ "$(values data_bytes advice.json)" = "$(values data_bytes again.json)" ]
report $? "quire-advise: a tiled file needs the bits it was written with"
finish
