#!/bin/sh
# SPDX-License-Identifier: MIT
# The module is loaded and unloaded 20 times with work in between.  TAP on standard output.
set -u
. ./tap.sh

why() {
	cat /tmp/log
	dmesg | tail -n 10
}

for round in $(seq 20); do
	rmmod quire && [ ! -e /dev/accel/accel0 ] && [ ! -d /sys/module/quire ] &&
		modprobe quire && ./test_submit -t packets_run_in_order >/tmp/log 2>&1
	report $? "round $round"
done
finish
