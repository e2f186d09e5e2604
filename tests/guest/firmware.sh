#!/bin/sh
# SPDX-License-Identifier: MIT
# Firmware that is missing or broken: the probe fails, the kernel's log says what is wrong
# and what to do, and the next good image works without a reboot.  TAP.
set -u
# The kernel looks below the root of the first process, which is not ours.
image=/proc/1/root/lib/firmware/quire/fw-v1.bin
good=/tmp/good.bin
. ./tap.sh

why() {
	dmesg | grep quire | tail -n 5
}

# Little-endian word at a byte offset of the image.
word() { # OFFSET VALUE
	printf "$(printf '\\%03o\\%03o\\%03o\\%03o' $(($2 & 255)) $(($2 >> 8 & 255)) \
		$(($2 >> 16 & 255)) $(($2 >> 24 & 255)))" |
		dd of=$image bs=1 seek="$1" conv=notrunc 2>/dev/null
}

# The header's digest of all bytes behind it.
digest() {
	tail -c +65 $image | sha256sum | cut -c1-64 | sed 's/../\\x&/g' >/tmp/digest
	/usr/bin/printf "$(cat /tmp/digest)" | dd of=$image bs=1 seek=32 conv=notrunc 2>/dev/null
}

# The image as it is now must be refused with these words in the log; a good one then works.
refused() { # NAME PATTERN
	dmesg -C
	modprobe quire
	sleep 0.1
	[ ! -e /dev/accel/accel0 ] && dmesg | grep -Eq "quire .*$2"
	report $? "$1"
	rmmod quire
	cp $good $image
	modprobe quire && ./test_submit -t empty_job_signals >/dev/null 2>&1
	report $? "$1: the next good image works"
	rmmod quire
}

cp $image $good
size=$(stat -c %s $good)
rmmod quire

rm $image
refused "missing file" 'cannot load firmware quire/fw-v1.bin.*install it below /lib/firmware'
: >$image
refused "empty file" 'cannot load firmware|0 bytes; an image has'
head -c 40 $good >$image
refused "shorter than its header" '40 bytes; an image has 64 to'
head -c $((size - 100)) $good >$image
refused "truncated" "header tells $size bytes, file has $((size - 100)); truncated"
word 0 0x12345678
refused "wrong magic" 'magic 0x31574651 expected, 0x12345678 found; not a Quire image'
printf 'X' | dd of=$image bs=1 seek=$((size / 2)) conv=notrunc 2>/dev/null
refused "one corrupt byte" 'SHA-256 does not match.*corrupt, install it again'
head -c 2000000 /dev/zero >>$image
refused "too large" 'bytes; an image has 64 to'
# The header says what the image speaks: refused before it runs.
word 12 $((7 << 16 | 9))
refused "no common interface version" 'interface versions 7 to 9, this driver 2 to 2; install a matching pair'
# Nothing but zeros behind a correct header: an illegal instruction.
head -c $((size - 64)) /dev/zero | dd of=$image bs=64 seek=1 conv=notrunc 2>/dev/null
digest
refused "crashes" 'firmware quire/fw-v1.bin crashed: pc 0x'
modprobe quire
finish
