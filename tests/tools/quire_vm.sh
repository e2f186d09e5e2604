#!/bin/sh
# SPDX-License-Identifier: MIT
# quire-vm: wrong usage, and that output and exit status of a command come back.
# usage: quire_vm.sh QUIRE-VM TOOLS
vm=$1
tools=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
number=0

# check NAME STATUS WORDS ARGUMENT...: exit status, and words in what is printed.
check() {
	name=$1 status=$2 words=$3
	shift 3
	number=$((number + 1))
	"$vm" "$@" >"$work/out" 2>&1 </dev/null
	got=$?
	if [ "$got" -eq "$status" ] && grep -qF -e "$words" "$work/out"; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		echo "# exit status $got, expected $status and \"$words\""
		sed 's/^/# /' "$work/out"
	fi
}

# What "run" needs, with a QEMU that ends at once and a reader of its output that comes late.
no_machine() {
	mkdir -p "$work/build/qemu" "$work/build/kernel" "$work/bin"
	: >"$work/build/initramfs.gz"
	echo none >"$work/build/kernel/version"
	printf '#!/bin/sh\nexit 3\n' >"$work/build/qemu/qemu-system-x86_64"
	printf '#!/bin/sh\nsleep 1\nexec %s "$@"\n' "$(command -v cat)" >"$work/bin/cat"
	chmod +x "$work/build/qemu/qemu-system-x86_64" "$work/bin/cat"
}

echo 1..14
check "no command exits 2" 2 "usage: quire-vm"
check "unknown command exits 2" 2 "unknown command 'boot'" boot
check "unknown option exits 2" 2 "unknown option '--core'" run --core 2 -- true
check "option without value exits 2" 2 "--smp needs a value" run --smp
check "value that is no number exits 2" 2 "whole numbers" run --cards two -- true
check "too many cards exit 2" 2 "--cards takes 0 to 8" run --cards 9 -- true
check "missing -- exits 2" 2 "put -- before the command" run true
check "no command to run exits 2" 2 "no command after --" run --
check "help exits 0" 0 "--card-memory" --help
no_machine
QUIRE_BUILD=$work/build PATH=$work/bin:$PATH \
	check "QEMU that ends at once exits 125" 125 "QEMU exit status 3" run -- true
if QUIRE_BUILD='' "$vm" run --timeout 1 -- true 2>&1 </dev/null | grep -q 'is missing'; then
	for name in status cards quoting time-out; do
		number=$((number + 1))
		echo "ok $number - $name # SKIP no virtual machine is built (make vm)"
	done
	exit
fi
check "output and exit status come back" 7 "hello from 1" \
	run --smp 1 -- sh -c 'echo "hello from $(nproc)"; exit 7'
check "each card has a number" 0 "serial:2 1" \
	run --cards 2 -- sh -c "echo serial:2 \$($tools/quire-smi --json -d serial:2 | grep -c '\"serial\":2')"
check "arguments keep their quotes" 0 "<a  b><'\"\$HOME>" \
	run --cards 0 --initramfs-only -- printf '<%s><%s>\n' 'a  b' "'\"\$HOME"
check "time-out exits 124" 124 "no end after 2 s" run --timeout 2 -- sleep 100
