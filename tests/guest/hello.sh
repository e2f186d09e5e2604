#!/bin/sh
# SPDX-License-Identifier: MIT
# The program in README.md compiles as it stands and prints the right number, on the card
# and on the CPU.  usage: hello.sh TOP BUILD
set -u
top=$1
build=$2
. ./tap.sh

why() {
	cat /tmp/log
}

awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' "$top/README.md" >/tmp/hello.c
gcc -std=c11 -Wall -Wextra -Werror -I "$top/libsdk/include" -I "$top/uapi" /tmp/hello.c \
	-o /tmp/hello -L "$build/user/libsdk" -lquire -Wl,-rpath,"$build/user/libsdk" >/tmp/log 2>&1
report $? "compiles"
# Row 0 of x times column 0 of y; the sum is small enough to be exact in posit16.
want=$(awk 'BEGIN { for (k = 0; k < 64; k++) s += (k % 7 - 3) * (64 * k % 5) * 0.25; printf "z[0][0] = %g", s }')
for backend in card cpu; do
	got=$(QUIRE_BACKEND=$backend /tmp/hello 2>&1)
	echo "$got, must be $want" >/tmp/log
	[ "$got" = "$want" ]
	report $? "$backend"
done
finish
