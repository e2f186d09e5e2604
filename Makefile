# SPDX-License-Identifier: MIT
# The face of the project; each room builds itself.  Everything built lands in build/.
#
#   make run      build all, boot a VM with the card, train the digit classifier
#   make check    build all, run all tests; last line "N passed, N failed, N skipped"
#   make help     the other targets

MAKEFLAGS += --no-print-directory
BUILD := $(CURDIR)/build
KIT := $(BUILD)/kernel
DRIVER := driver/quire.ko
FIRMWARE := $(BUILD)/firmware/fw-v1.bin
DATA := $(BUILD)/data/digits.csv.gz
PHOTOGRAPHS := $(BUILD)/data/china.ppm
PREFIX ?= /usr/local
# For a user's own kernel: KDIR holds its headers.
KDIR_RELEASE = $(shell cat $(KDIR)/include/config/kernel.release 2>/dev/null)
KDIR_DRIVER = $(BUILD)/driver/$(KDIR_RELEASE)

.PHONY: all run check check-long check-kernels check-style install-driver uninstall-driver check-mutants check-mutants-driver check-debug debug-kernel help packages data sdk firmware driver qemu vm install clean distclean
.NOTPARALLEL:

all: sdk firmware driver qemu vm

help:
	@sed -n 's/^#   //p' Makefile
	@echo "make sdk firmware driver qemu   one room each"
	@echo "make vm       all that tools/quire-vm needs"
	@echo "make data     digits and photographs for the tools, to build/data"
	@echo "make check-long  check-mutants   what takes minutes: exhaustive pairs; mutants of the numerics"
	@echo "make check-mutants-driver  the driver without one of its precautions: do guest tests miss it?"
	@echo "make check-kernels  the driver on the kernels of Debian 12, 13, backports and sid"
	@echo "make check-style  checkpatch on the driver (fetches linux-source once)"
	@echo "make check-soak   two cards that break once a second, ten minutes"
	@echo "make check-debug  guest tests on a kernel with lockdep and KASAN: an hour the first time"
	@echo "make install  SDK and tools to PREFIX ($(PREFIX)), honours DESTDIR"
	@echo "make driver KDIR=...  the driver for the kernel whose headers lie there"
	@echo "make install-driver   module, firmware and udev rule for KDIR (the running kernel), honours DESTDIR; uninstall-driver"
	@echo "make clean    remove what was built, keep QEMU's and the kernel's sources"
	@echo "make distclean  remove build/ as a whole"

packages:
	@tools/setup/packages.sh

$(KIT)/complete: | packages
	@echo "unpacking Debian's 6.12 kernel"
	@tools/setup/kernel-kit.sh $(KIT)

$(BUILD)/user/build.ninja: | packages
	@meson setup --buildtype=release $(BUILD)/user . >$(BUILD)/meson.log 2>&1 || { cat $(BUILD)/meson.log; exit 1; }

$(BUILD):
	@mkdir -p $@

sdk: packages | $(BUILD)
	@$(MAKE) -s $(BUILD)/user/build.ninja
	@ninja -C $(BUILD)/user --quiet

firmware: packages
	@$(MAKE) -s -C firmware OUT=$(BUILD)/firmware

# Debian's split headers: the common tree holds the Makefile, the other the configuration.
# Not by a KDIR of the environment: what boots in the VM is always for its kernel.
ifneq ($(origin KDIR),command line)
driver: packages $(KIT)/complete
	@v=$$(cat $(KIT)/version); headers=$(KIT)/usr/src/linux-headers-$$v; \
	$(MAKE) -s -C $${headers%-amd64}-common O=$$headers M=$(CURDIR)/driver modules
else
driver:
	@tools/setup/driver.sh $(KDIR) $(KDIR_DRIVER)
	@echo "driver for $(KDIR_RELEASE): $(KDIR_DRIVER)/driver/quire.ko"
endif

install-driver: KDIR ?= /lib/modules/$(shell uname -r)/build
install-driver:
	@tools/setup/driver.sh $(KDIR) $(KDIR_DRIVER)
	@$(MAKE) -s -C firmware OUT=$(BUILD)/firmware
	@DESTDIR=$(DESTDIR) tools/setup/install-driver.sh install $(KDIR_RELEASE) $(KDIR_DRIVER)/driver/quire.ko $(FIRMWARE)

uninstall-driver: KDIR ?= /lib/modules/$(shell uname -r)/build
uninstall-driver:
	@DESTDIR=$(DESTDIR) tools/setup/install-driver.sh uninstall $(or $(KDIR_RELEASE),$(shell uname -r))

qemu: sdk
	@test -e $(BUILD)/qemu/qemu-system-x86_64 || echo "building QEMU (a few minutes, once)"
	@qemu_device/overlay/build-qemu.sh $(BUILD)/qemu-source $(BUILD)/qemu

vm: firmware driver qemu
	@$(MAKE) -s $(BUILD)/initramfs.gz

$(BUILD)/initramfs.gz: $(DRIVER) $(FIRMWARE) tools/vm/init tools/setup/initramfs.sh
	@tools/setup/initramfs.sh $(KIT) $(DRIVER) $(FIRMWARE) $@

$(DATA): | packages
	@tools/setup/digits-data.sh $@

$(PHOTOGRAPHS): | packages
	@tools/setup/photographs.sh $(dir $@)

data: $(DATA) $(PHOTOGRAPHS)

run: vm $(DATA)
	@tools/quire-vm run --timeout 900 -- env QUIRE_PROGRESS=$$(test -t 1 && echo always || echo never) \
		$(BUILD)/user/tools/quire-digits --data $(DATA)

check: vm $(DATA) $(PHOTOGRAPHS)
	@tests/run/check.sh $(BUILD)

# All 2^32 pairs of posit16 added and multiplied, ten million calls of the driver: hours.
check-long: vm
	@tools/quire-vm run --check-kernel --cards 2 --timeout 14400 -- \
		$(BUILD)/user/tests/guest/fuzz_ioctl --calls 10000000
	@meson test -C $(BUILD)/user --no-rebuild --print-errorlogs --suite long

# The driver on other kernels: Debian 12, 13, its backports and sid.  KERNELS="trixie sid" for some.
check-kernels: vm $(DATA)
	@tests/run/check-kernels.sh $(BUILD) $(KERNELS)

# checkpatch of the newest linux-source, 150 MB once; make check uses it from then on.
check-style:
	@tests/run/check-style.sh $(BUILD) fetch

# Two cards that break in another way each second, under load and too little memory: 11 minutes.
check-soak: vm
	@tools/quire-vm run --check-kernel --cards 2 --card engines=2 --guest-monitor --timeout 1200 -- \
		$(BUILD)/user/tests/guest/soak --seconds 600

# Do the tests notice when the numerics are changed?  Minutes.
check-mutants: packages | $(BUILD)
	@tests/mutants/mutants.sh $(BUILD)

# And when a precaution of the driver is taken away?  A minute or two each.
check-mutants-driver: vm
	@tests/mutants/driver.sh $(BUILD)

# A second tree beside build/ for tools/quire-vm: a kernel that finds faults of the driver, and the
# driver for it, made from a copy because objects for two kernels cannot lie in one place.
DEBUG := $(BUILD)/debug
DEBUG_DRIVER := $(DEBUG)/source/driver/quire.ko

debug-kernel: vm
	@test -e $(DEBUG)/kernel/complete || echo "building a kernel with lockdep and KASAN (once)"
	@tools/setup/debug-kernel.sh $(DEBUG) $(DEBUG)/kernel
	@mkdir -p $(DEBUG)/source
	@tar -c --exclude='*.o' --exclude='*.ko' --exclude='*.cmd' --exclude='*.mod*' --exclude=quire_features.h \
		driver uapi | tar -x -C $(DEBUG)/source
	@$(MAKE) -s -C $(DEBUG)/build M=$(DEBUG)/source/driver modules
	@tools/setup/initramfs.sh $(DEBUG)/kernel $(DEBUG_DRIVER) $(FIRMWARE) $(DEBUG)/initramfs.gz
	@ln -sfn ../qemu $(DEBUG)/qemu
	@ln -sfn ../user $(DEBUG)/user
	@ln -sfn ../data $(DEBUG)/data

check-debug: debug-kernel $(DATA)
	@tests/run/check.sh $(DEBUG) guest --timeout 3600 --memory 2G

install: sdk
	@meson install -C $(BUILD)/user --no-rebuild --quiet

# Kbuild's own clean deletes objects of every room below M: give it the driver's only.
clean:
	@test ! -e $(KIT)/complete || { v=$$(cat $(KIT)/version); headers=$(KIT)/usr/src/linux-headers-$$v; \
	$(MAKE) -s -C $${headers%-amd64}-common O=$$headers M=$(CURDIR)/driver clean; }
	@rm -rf $(BUILD)/user $(BUILD)/firmware $(BUILD)/initramfs.gz $(BUILD)/qemu

distclean: clean
	@rm -rf $(BUILD)
