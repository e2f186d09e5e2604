// SPDX-License-Identifier: MIT
/* What the SDK says to somebody who cannot use a card: which file, whose, and what helps. */
#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <drm/quire_drm.h>
#include <quire/hw.h>
#include <quire.h>

#include "harness.h"

#define NODE "/dev/accel/accel0"

#define EXPECT_SAYS(words) \
	EXPECT_NE(NULL, strstr(quire_last_error(), words)) TH_LOG("%s", quire_last_error())

/* When not 0, the hardware version that the driver seems to tell. */
static uint32_t other_version;

/* In place of the C library's, for libdrm. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list arguments;
	void *argument;
	int result;

	va_start(arguments, request);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	result = (int)syscall(SYS_ioctl, fd, request, argument);
	if (!result && other_version && request == DRM_IOCTL_QUIRE_DEV_QUERY) {
		const struct drm_quire_dev_query *query = argument;
		struct drm_quire_device_info *info = (void *)(uintptr_t)query->pointer;

		if (query->type == DRM_QUIRE_QUERY_DEVICE)
			info->hw_version = other_version;
	}
	return result;
}

FIXTURE(access) {
	quire_device *device;
};

FIXTURE_SETUP(access)
{
	unsetenv("QUIRE_BACKEND");
	self->device = NULL;
}

FIXTURE_TEARDOWN(access)
{
	quire_device_unref(self->device);
}

TEST_F(access, no_permission_names_file_owner_mode_and_remedy)
{
	struct quire_card_name card;

	ASSERT_EQ(0, chown(NODE, 0, 0));
	ASSERT_EQ(0, chmod(NODE, 0600));
	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, setgid(65534));
	ASSERT_EQ(0, setuid(65534));
	/* The card can be seen all the same, and is not silently replaced by the CPU. */
	ASSERT_EQ(1, quire_enumerate(&card, 1));
	EXPECT_STREQ(NODE, card.node);
	ASSERT_EQ(-EACCES, quire_open(NULL, &self->device));
	EXPECT_SAYS(NODE);
	EXPECT_SAYS("uid 0, gid 0");
	EXPECT_SAYS("mode 0600");
	EXPECT_SAYS("udev rule");
}

TEST_F(access, no_permission_names_the_group_that_has_it)
{
	ASSERT_EQ(0, chown(NODE, 0, 44)); /* video, on every Debian */
	ASSERT_EQ(0, chmod(NODE, 0660));
	ASSERT_EQ(0, setgroups(0, NULL));
	ASSERT_EQ(0, setgid(65534));
	ASSERT_EQ(0, setuid(65534));
	ASSERT_EQ(-EACCES, quire_open(NULL, &self->device));
	EXPECT_SAYS("mode 0660");
	EXPECT_SAYS("adduser $USER video");
}

TEST_F(access, serial_number_opens_the_card_and_a_wrong_one_says_so)
{
	struct quire_device_info info = { .size = sizeof(info) };
	char name[40];

	ASSERT_EQ(0, quire_open(NULL, &self->device));
	ASSERT_EQ(0, quire_device_get_info(self->device, &info));
	EXPECT_STREQ("card", info.backend);
	quire_device_unref(self->device);
	self->device = NULL;
	snprintf(name, sizeof(name), "serial:%llu", (unsigned long long)info.serial);
	EXPECT_EQ(0, quire_open(name, &self->device));
	quire_device_unref(self->device);
	self->device = NULL;
	EXPECT_EQ(-ENODEV, quire_open("serial:4711", &self->device));
	EXPECT_SAYS("serial:4711");
}

/* Its digests would be others, and look like bits lost on the way. */
TEST_F(access, card_of_another_major_version_is_refused)
{
	other_version = 0x00010000;
	EXPECT_EQ(-EPROTO, quire_open(NULL, &self->device));
	EXPECT_SAYS("hardware version is 1.0");
	EXPECT_EQ(NULL, self->device);
	/* a later minor one has only more */
	other_version = QUIRE_HW_VERSION_VALUE + 7;
	EXPECT_EQ(0, quire_open(NULL, &self->device));
	other_version = 0;
}

FIXTURE(no_card) {
	quire_device *device;
};

FIXTURE_SETUP(no_card)
{
	unsetenv("QUIRE_BACKEND");
	self->device = NULL;
	ASSERT_EQ(0, quire_enumerate(NULL, 0));
}

FIXTURE_TEARDOWN(no_card)
{
	quire_device_unref(self->device);
}

TEST_F(no_card, asked_for_one_says_what_to_do)
{
	ASSERT_EQ(0, setenv("QUIRE_BACKEND", "card", 1));
	ASSERT_EQ(-ENODEV, quire_open(NULL, &self->device));
	EXPECT_SAYS("no Quire card");
	EXPECT_SAYS("modprobe quire");
	EXPECT_SAYS("QUIRE_BACKEND=cpu");
	ASSERT_EQ(0, unsetenv("QUIRE_BACKEND"));
	EXPECT_EQ(-ENODEV, quire_open("0", &self->device));
	EXPECT_SAYS("no Quire card");
}

TEST_F(no_card, not_asked_for_one_uses_the_cpu_and_says_so)
{
	struct quire_device_info info = { .size = sizeof(info) };

	ASSERT_EQ(0, quire_open(NULL, &self->device));
	ASSERT_EQ(0, quire_device_get_info(self->device, &info));
	EXPECT_STREQ("cpu", info.backend);
}

TEST_HARNESS_MAIN
