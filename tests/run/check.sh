#!/bin/sh
# SPDX-License-Identifier: MIT
# Run all tests and add them up: what Meson lists (host unit tests and device
# tests), static checks of the driver, and the guest tests of tests/guest/plan.
# The last line is "N passed, N failed, N skipped".
# usage: check.sh BUILD
#        check.sh BUILD guest OPTIONS-OF-QUIRE-VM...   only the guest tests, in such VMs
#        QUIRE_ONLY="query bo"                         of the guest tests only these
set -u
build=$(cd "$1" && pwd)
shift
part=${1:-all}
[ $# -eq 0 ] || shift
guest_options=$*
top=$(cd "$(dirname "$0")/../.." && pwd)
results=${QUIRE_RESULTS:-$build/results}
rm -rf "$results"
mkdir -p "$results"
results=$(cd "$results" && pwd)
passed=0
failed=0
skipped=0
: >"$results/failures"

add() { # NAME PASSED FAILED SKIPPED
	printf '%-44s %5d passed %3d failed %3d skipped\n' "$1" "$2" "$3" "$4"
	passed=$((passed + $2))
	failed=$((failed + $3))
	skipped=$((skipped + $4))
	[ "$3" -eq 0 ] || echo "FAILED: $1" >>"$results/failures"
}

# Sum one attribute over the test suites of a JUnit file.
junit() {
	grep '<testsuite ' "$1" | sed -n "s/.* $2=\"\([0-9]*\)\".*/\1/p" |
		awk '{ sum += $1 } END { print sum + 0 }'
}

meson_tests() {
	echo "== host unit tests and device tests"
	log=$build/user/meson-logs/testlog.junit.xml
	rm -f "$log"
	QUIRE_QEMU=$build/qemu/qemu-system-x86_64 meson test -C "$build/user" --no-rebuild \
		--print-errorlogs >"$results/meson.log" 2>&1
	status=$?
	grep -E '^ *[0-9]+/[0-9]+' "$results/meson.log"
	if [ ! -e "$log" ]; then
		tail -n 20 "$results/meson.log"
		add "meson" 0 1 0
		return
	fi
	tests=$(junit "$log" tests)
	bad=$(($(junit "$log" errors) + $(junit "$log" failures)))
	skips=$(junit "$log" skipped)
	good=$((tests - bad - skips))
	if [ "$status" -ne 0 ] || [ "$good" -le 0 ]; then
		sed -n '/^Summary of Failures/,$p;/^ *not ok/p;/^==*.*[0-9]\//,$p' "$results/meson.log" | head -n 200
		[ "$bad" -ne 0 ] || bad=1
	fi
	add "host and device" "$good" "$bad" "$skips"
	grep -E '^ *[0-9]+/[0-9]+ .* (FAIL|ERROR|TIMEOUT)' "$results/meson.log" >>"$results/failures"
}

static_checks() {
	echo "== static checks"
	version=$(cat "$build/kernel/version")
	headers=$build/kernel/usr/src/linux-headers-$version
	work=$build/static-driver
	rm -rf "$work"
	mkdir -p "$work"
	cp -r "$top/driver" "$top/uapi" "$work/"
	find "$work/driver" \( -name '*.o' -o -name '*.cmd' -o -name '*.ko' -o -name '*.mod*' \) -delete
	# KUnit's tests, too, though this kernel may lack what they are linked with.
	make -C "${headers%-amd64}-common" O="$headers" M="$work/driver" W=1 C=2 \
		CF=-D__CHECK_ENDIAN__ CONFIG_KUNIT=y KBUILD_MODPOST_WARN=1 modules \
		>"$results/sparse.log" 2>&1
	status=$?
	if [ "$status" -ne 0 ] || grep -E 'warning:|error:' "$results/sparse.log"; then
		tail -n 20 "$results/sparse.log"
		add "driver: W=1 and sparse" 0 1 0
	else
		add "driver: W=1 and sparse" 1 0 0
	fi
	"$top/tests/run/check-style.sh" "$build" >"$results/style.log" 2>&1
	grep -v '^ok: ' "$results/style.log"
	add "driver: style" "$(grep -c '^ok: ' "$results/style.log")" \
		"$(grep -c '^FAILED: ' "$results/style.log")" "$(grep -c '^skipped: ' "$results/style.log")"
}

guest_tests() {
	echo "== guest tests"
	grep -v '^ *\(#\|$\)' "$top/tests/guest/plan" |
		awk -v only="${QUIRE_ONLY:-}" 'BEGIN { n = split(only, names); for (i in names) want[names[i]] = 1 }
			!n || $1 in want' >"$results/plan"
	workers=$(nproc)
	[ "$workers" -le 3 ] || workers=3
	tr '\n' '\0' <"$results/plan" | xargs -0 -n 1 -P "$workers" \
		"$top/tests/run/guest-test.sh" "$build" "$results" "$guest_options"
	while read -r line; do
		guest_result "${line%% *}"
	done <"$results/plan"
}

guest_result() {
	tap=$results/$1.tap
	good=$(grep -c '^ok ' "$tap")
	bad=$(grep -c '^not ok ' "$tap")
	skips=$(grep -c '^ok .*# SKIP' "$tap")
	good=$((good - skips))
	# A test that ends early has said how many it meant to do.
	planned=$(sed -n 's/^1\.\.\([0-9][0-9]*\).*/\1/p' "$tap" | awk '{ sum += $1 } END { print sum + 0 }')
	status=$(cat "$results/$1.status")
	if [ "$status" -ne 0 ] || [ "$bad" -ne 0 ] || [ "$good" -eq 0 ] || grep -q '^Bail out!' "$tap" ||
		[ $((good + bad + skips)) -ne "$planned" ]; then
		[ "$bad" -ne 0 ] || bad=1
		echo "---- $1: exit status $status, $planned tests planned, $((good + bad + skips)) counted"
		grep -vE '^(# RUN|ok )' "$tap" | tail -n 60
		tail -n 80 "$results/$1.errors"
		echo "----"
	fi
	add "guest: $1" "$good" "$bad" "$skips"
	grep '^not ok ' "$tap" >>"$results/failures"
}

if [ "$part" = all ]; then
	meson_tests
	static_checks
fi
guest_tests
echo
# What failed stands at the end once more: who sees only the last lines of a log needs the names.
head -n 40 "$results/failures"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
