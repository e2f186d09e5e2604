#!/bin/sh
# SPDX-License-Identifier: MIT
# One line of tests/guest/plan: NAME OPTIONS-OF-QUIRE-VM... -- COMMAND, run in a VM of its own.
# What came of it is below RESULTS: NAME.tap, .errors, .console, .status.
# usage: guest-test.sh BUILD RESULTS OPTIONS-FOR-ALL LINE
set -u
build=$1
results=$2
all=$3
line=$4
top=$(cd "$(dirname "$0")/../.." && pwd)
name=${line%% *}
rest=${line#* }
options=${rest%%--\ *}
command=${rest#*-- }

# QEMU before 8 may translate what another processor is patching, and run the breakpoint that stood
# there for a moment: the kernel dies of an int3 nobody set, mostly while it boots on a busy machine.
died_of_patching() {
	grep -q 'Oops: int3' "$results/$name.console" && ! grep -q '\[quire\]' "$results/$name.console"
}

# Without links: an initramfs has only what was added to it, under its own name.
tests=$(cd "$build/user/tests/guest" && pwd -P) || exit 1
cd "$tests" || exit 1
for try in 1 2; do
	# shellcheck disable=SC2086 # options are words
	QUIRE_BUILD=$build "$top/tools/quire-vm" run \
		--check-kernel --timeout 300 --console "$results/$name.console" $options $all -- \
		sh -c "top='$top' build='$build'; cd '$tests' && $command" \
		>"$results/$name.tap" 2>"$results/$name.errors" </dev/null
	echo $? >"$results/$name.status"
	died_of_patching || break
	echo "$name: QEMU ran code that the guest's kernel had just patched (try $try)"
done
