#!/bin/sh
# SPDX-License-Identifier: MIT
# A machine that is recorded or replayed refuses the card, as its threads cannot be.
set -u
. "$(dirname "$0")/../include/tap.sh"
[ -n "${QUIRE_QEMU:-}" ] || { echo "1..0 # SKIP QUIRE_QEMU names no QEMU"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# the machine has no firmware of its own, and does not get so far
head -c 65536 /dev/zero >"$work/bios"
why() {
	echo "$said"
}

said=$(timeout 60 "$QUIRE_QEMU" -accel tcg -M q35 -display none -S -nodefaults -bios "$work/bios" \
	-icount shift=auto,rr=record,rrfile="$work/record" -device quire 2>&1)
[ $? -eq 1 ] && echo "$said" | grep -q "cannot be recorded or replayed"
report $? refused_with_the_reason
finish
