#!/bin/sh
# SPDX-License-Identifier: MIT
# Where DMA goes through copies of pages (swiotlb=force, as in confidential virtual machines) the
# driver refuses the card, and says why: jobs would work on what the process does not see.  TAP.
set -u
. ./tap.sh

why() {
	dmesg | tail -n 5
}

dmesg -C
modprobe quire
sleep 0.1
[ ! -e /dev/accel/accel0 ]
report $? "the card is refused"
dmesg | grep -q 'quire .*DMA goes through bounce buffers (swiotlb)'
report $? "the log says why"
rmmod quire
report $? "the module goes"
finish
