#!/bin/sh
# SPDX-License-Identifier: MIT
# The driver's layout: lines of at most 100 columns, names of statics, and checkpatch --strict where it
# is at hand.  The script comes with linux-source only (150 MB); "make check-style" fetches it once.
# usage: check-style.sh BUILD [fetch]
set -u
build=$1
top=$(cd "$(dirname "$0")/../.." && pwd)
style=$build/style
failed=0

fetch() {
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	echo "fetching checkpatch out of linux-source (once)"
	(cd "$work" && apt-get -qq -o APT::Sandbox::User=root download \
		"$(apt-cache search --names-only '^linux-source-[0-9.]*$' | sort -V | tail -n 1 | cut -d' ' -f1)") &&
		dpkg-deb --fsys-tarfile "$work"/*.deb | tar -xO --wildcards '*.tar.xz' >"$work/source.tar.xz" &&
		tar -C "$work" -xf "$work/source.tar.xz" --strip-components=1 --wildcards \
			'*/scripts/checkpatch.pl' '*/scripts/spelling.txt' '*/scripts/const_structs.checkpatch' &&
		mkdir -p "$style" && cp "$work"/scripts/* "$style/"
}

# Generated files are not ours to lay out.
sources() {
	find "$top/driver" -name '*.[ch]' ! -name '*.mod.c' ! -name quire_features.h | sort
}

# What a static is called: all of the driver's names start alike, so that traces tell whose they are.
# The kernel's macros choose the names of attributes, and conversions are to_quire_*.
# shellcheck disable=SC2046 # names of files are words
statics() {
	awk '/^static / {
		line = $0
		while (line !~ /[(=;[{]/ && (getline more) > 0)
			line = line " " more
		anonymous = line ~ /struct *\{/
		sub(/[ \t]*[(=;[{].*/, "", line)
		sub(/.*[ \t*]/, "", line)
		if (!anonymous && line !~ /^(quire_.*|to_quire_.*|.*_show|.*_store|[A-Z_0-9]+)$/)
			print FILENAME ":" FNR ": static " line " should be called quire_" line
	}' $(sources)
}

# A message is one line, so that it can be searched for.
columns() {
	for file in $(sources); do
		expand "$file" | awk -v file="$file" 'length > 100 && !/"/ { print file ":" NR ": " length " columns, at most 100" }'
	done
}

# Macros of trace events open lines with parentheses in every driver, kunit_test_suite() follows its
# structure at once, and programs have no BIT().  It leaves a cache where it runs.
# shellcheck disable=SC2046
checkpatch() {
	cd "$style" && perl ./checkpatch.pl --no-tree --strict --quiet --terse --show-types --max-line-length=100 \
		--file $(sources) "$top/uapi/drm/quire_drm.h" 2>/dev/null |
		grep -vE -e 'quire_trace\.h:[0-9]+: CHECK:(OPEN_ENDED_LINE|PARENTHESIS_ALIGNMENT)' \
			-e '_kunit\.c:[0-9]+: CHECK:LINE_SPACING' \
			-e 'quire_drm\.h:[0-9]+: CHECK:(BIT_MACRO|CAMELCASE)' -e 'total: '
}

check() { # NAME FUNCTION
	found=$($2)
	if [ -n "$found" ]; then
		echo "$found" | sed "s,$top/,,"
		echo "FAILED: $1"
		failed=$((failed + 1))
	else
		echo "ok: $1"
	fi
}

check "driver: at most 100 columns" columns
check "driver: names of statics" statics
if [ "${2:-}" = fetch ] && [ ! -e "$style/checkpatch.pl" ]; then
	fetch || { echo "FAILED: fetching checkpatch" && exit 1; }
fi
if [ -e "$style/checkpatch.pl" ]; then
	check "driver: checkpatch --strict" checkpatch
else
	echo "skipped: driver: checkpatch --strict (make check-style fetches it)"
fi
exit $((failed != 0))
