#!/bin/sh
# SPDX-License-Identifier: MIT
# Build the guest's initramfs: busybox, the kernel modules a guest needs, the
# driver and its firmware, and tools/vm/init.
# usage: initramfs.sh KIT DRIVER.ko FIRMWARE.bin OUT
set -eu
kit=$1
driver=$2
firmware=$3
out=$4
here=$(cd "$(dirname "$0")" && pwd)
version=$(cat "$kit/version")
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
modules=$root/lib/modules/$version
mkdir -p "$root/bin" "$modules/kernel" "$modules/extra" "$root/lib/firmware/quire"
for directory in proc sys dev run tmp lower upper newroot; do
	mkdir -p "$root/$directory"
done

cp /bin/busybox "$root/bin/busybox"
# A link named busybox would point to itself and leave no init.
/bin/busybox --list | grep -vx busybox | while read -r applet; do
	ln -sf busybox "$root/bin/$applet"
done

depends=$(modinfo -F depends "$driver" | tr ',' ' ')
{
	# shellcheck disable=SC2086
	for module in 9p 9pnet_virtio overlay $depends; do
		modprobe -d "$kit" -S "$version" --show-depends "$module"
	done
	# A kernel made for tests may lack what only some guests use.
	for module in virtio_net virtio_blk nvme vgem zram; do
		modprobe -d "$kit" -S "$version" --show-depends "$module" 2>/dev/null || true
	done
} | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u | while read -r file; do
	name=$(basename "$file")
	case $file in
	*.xz) xz -dc "$file" >"$modules/kernel/${name%.xz}" ;;
	*) cp "$file" "$modules/kernel/$name" ;;
	esac
done
cp "$driver" "$modules/extra/quire.ko"
cp "$firmware" "$root/lib/firmware/quire/fw-v1.bin"
cp "$kit/lib/modules/$version/modules.builtin" \
	"$kit/lib/modules/$version/modules.builtin.modinfo" \
	"$kit/lib/modules/$version/modules.order" "$modules/"
depmod -b "$root" "$version"
cp "$here/../vm/init" "$root/init"
chmod 755 "$root/init"
(cd "$root" && find . -print0 | sort -z |
	cpio --null -o -H newc --quiet -R 0:0 --reproducible | gzip -1) >"$out.new"
mv "$out.new" "$out"
