#!/bin/sh
# SPDX-License-Identifier: MIT
# The module is loaded and unloaded 20 times with work in between.  TAP on standard output.
set -u
rounds=20
echo "TAP version 13"
echo "1..$rounds"
failed=0
round=0
while [ $round -lt $rounds ]; do
	round=$((round + 1))
	if rmmod quire && [ ! -e /dev/accel/accel0 ] && [ ! -d /sys/module/quire ] &&
	   modprobe quire && ./test_submit -t packets_run_in_order >/tmp/work 2>&1; then
		echo "ok $round - round $round"
	else
		failed=1
		sed 's/^/# /' /tmp/work
		dmesg | tail -n 10 | sed 's/^/# /'
		echo "not ok $round - round $round"
	fi
done
exit $failed
