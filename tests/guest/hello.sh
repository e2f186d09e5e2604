#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in README.md compiles as it stands and prints the right number, on the card
# and on the CPU.  usage: hello.sh TOP BUILD
set -u
top=$1
build=$2
echo "TAP version 13"
echo "1..3"
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$top/README.md" >/tmp/hello.c
if gcc -std=c11 -Wall -Wextra -Werror -I "$top/libsdk/include" -I "$top/uapi" /tmp/hello.c \
	-o /tmp/hello -L "$build/user/libsdk" -lquire -Wl,-rpath,"$build/user/libsdk" >/tmp/log 2>&1; then
	echo "ok 1 - compiles"
else
	sed 's/^/# /' /tmp/log
	echo "not ok 1 - compiles"
	exit 1
fi
# Row 0 of x times column 0 of y; the sum is small enough to be exact in posit16.
want=$(awk 'BEGIN { for (k = 0; k < 64; k++) s += (k % 7 - 3) * (64 * k % 5) * 0.25; printf "z[0][0] = %g", s }')
number=1
status=0
for backend in card cpu; do
	number=$((number + 1))
	got=$(QUIRE_BACKEND=$backend /tmp/hello 2>&1)
	if [ "$got" = "$want" ]; then
		echo "ok $number - $backend"
	else
		status=1
		echo "# $got, must be $want"
		echo "not ok $number - $backend"
	fi
done
exit $status
