#!/bin/sh
# SPDX-License-Identifier: MIT
# A machine hibernates with a job in the middle and goes on as another one, whose card is fresh:
# before its kernel has loaded the driver, and after it has used the card itself.  TAP.
# usage: hibernate.sh QUIRE-VM TEST_POWER
vm=$1
test=$(realpath "$2")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
disk=$work/disk
. "$(dirname "$0")/../include/tap.sh"

machine() { # OPTION...
	"$vm" run --memory 512M --card-memory 64M --disk "$disk" --initramfs-only --add "$test" \
		--check-kernel --timeout 200 "$@" -- \
		sh -c "{ mkswap /dev/vda; swapon /dev/vda; } >&2; exec $test -f hibernate" \
		>>"$work/out" 2>"$work/errors"
}

why() {
	cat "$work/out" "$work/errors"
}

if "$vm" run --timeout 1 -- true 2>&1 </dev/null | grep -q 'is missing'; then
	echo "1..1"
	echo "ok 1 # SKIP no virtual machine is built (make vm)"
	exit
fi
for when in early late; do
	: >"$work/out"
	rm -f "$disk"
	truncate -s 600M "$disk"
	machine
	# It went off without having said how the test ended.
	[ $? -eq 125 ] && grep -q 'QEMU exit status 0' "$work/errors" && ! grep -q '^\(not \)\?ok' "$work/out"
	report $? "the machine hibernates with a job in the middle ($when)"
	machine --append "guest_resume=$when" && grep -q '^ok 1' "$work/out"
	report $? "the job goes on, card memory is what it was ($when)"
done
finish
