/* SPDX-License-Identifier: MIT */
/* Exit statuses that all tools share; their man pages list them. */
#ifndef QUIRE_EXIT_STATUS_H
#define QUIRE_EXIT_STATUS_H

#include <errno.h>

enum exit_status {
	STATUS_OK = 0,
	STATUS_FAILED = 1,		/* the operation failed */
	STATUS_USAGE = 2,		/* wrong options */
	STATUS_NO_DEVICE = 3,		/* no card, or none of this name */
	STATUS_PERMISSION = 4,		/* the node may not be opened */
	STATUS_INTERFACE = 5,		/* firmware, driver and library do not fit */
	STATUS_DEVICE_LOST = 6,		/* hung, wedged or unplugged while in use */
	STATUS_MISMATCH = 7,		/* a result differs from what it must be */
	STATUS_TIMEOUT = 124,
};

/* The status for a negative error number of libquire. */
static inline enum exit_status exit_status_of(int error)
{
	switch (error) {
	case 0: return STATUS_OK;
	case -ENODEV: return STATUS_NO_DEVICE;
	case -EACCES: return STATUS_PERMISSION;
	case -EPROTO: return STATUS_INTERFACE;
	case -EIO: return STATUS_DEVICE_LOST;
	case -EBADMSG: return STATUS_MISMATCH;
	case -ETIME:
	case -ETIMEDOUT: return STATUS_TIMEOUT;
	}
	return STATUS_FAILED;
}

#endif /* QUIRE_EXIT_STATUS_H */
