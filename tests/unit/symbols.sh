#!/bin/sh
# SPDX-License-Identifier: MIT
# What libquire gives out is what quire.h declares and libquire.symbols lists, and the
# header compiles alone.  TAP on standard output.
# usage: symbols.sh LIBRARY TOP
set -u
library=$1
top=$2
list=$top/tests/unit/libquire.symbols
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$(dirname "$0")/../include/tap.sh"

nm -D --defined-only "$library" | awk '{ print $3 }' | sort >"$work/exported"
diff "$list" "$work/exported" >"$work/errors"
report $? "exported symbols are the listed ones"
tr -d '\n' <"$top/libsdk/include/quire.h" | grep -o 'QUIRE_API[^;]*(' |
	sed 's/([^(]*$//;s/(.*//' | grep -o 'quire_[a-z0-9_]*$' | sort >"$work/declared"
diff "$list" "$work/declared" >"$work/errors"
report $? "declared functions are the listed ones"
for language in "gcc -std=c11 -x c" "g++ -std=c++17 -x c++" "clang -std=c11 -x c"; do
	$language -pedantic -Wall -Wextra -Werror -fsyntax-only -I "$top/uapi" \
		"$top/libsdk/include/quire.h" >"$work/errors" 2>&1
	report $? "quire.h: ${language% -x*}"
done
finish
