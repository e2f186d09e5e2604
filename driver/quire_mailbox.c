// SPDX-License-Identifier: GPL-2.0-only
/* Commands to the firmware, one at a time. */
#include <drm/drm_managed.h>

#include "quire_queue.h"
#include "quire_trace.h"

#define QUIRE_MAILBOX_TIMEOUT_MS 2000u

/** struct quire_mailbox - the mailbox of a card */
struct quire_mailbox {
	/** @lock: one command at a time */
	struct mutex lock;
	/** @answered: woken by the event */
	wait_queue_head_t answered;
	/** @sequence: of the last command, under @lock */
	u32 sequence;
	/** @silent: a command was not answered, and none since; under @lock */
	bool silent;
};

void quire_mailbox_wake(struct quire_device *qdev)
{
	wake_up_all(&qdev->mailbox->answered);
}

/*
 * Short commands are done when the write returns.  The register is what counts; the
 * event only wakes us early.
 */
static int quire_mailbox_wait(struct quire_device *qdev, u32 sequence, unsigned int timeout_ms)
{
	unsigned long deadline = jiffies + msecs_to_jiffies(timeout_ms);

	while (quire_read(qdev, QUIRE_REG_MAILBOX_DONE) != sequence) {
		u32 status = quire_read(qdev, QUIRE_REG_BOOT_STATUS);

		if (status != QUIRE_BOOT_READY || time_after(jiffies, deadline))
			return -ETIMEDOUT;
		wait_event_timeout(qdev->mailbox->answered,
				   quire_read(qdev, QUIRE_REG_MAILBOX_DONE) == sequence,
				   msecs_to_jiffies(20));
	}
	return 0;
}

/*
 * The card is there (drm_dev_enter(), or quire_queues.ended is not set); may sleep.  A firmware
 * that stands still is waited for once, not for each ring: commands fail at once until it has
 * answered a QUIRE_MAILBOX_PING, or was booted anew.
 */
int quire_mailbox_send_within(struct quire_device *qdev, u32 command, u32 argument,
			      unsigned int timeout_ms)
{
	struct quire_mailbox *mailbox = qdev->mailbox;
	u32 result = 0;
	int ret;

	mutex_lock(&mailbox->lock);
	if (mailbox->silent && command != QUIRE_MAILBOX_PING) {
		mutex_unlock(&mailbox->lock);
		return -EIO;
	}
	if (!++mailbox->sequence)
		mailbox->sequence = 1;
	quire_write(qdev, QUIRE_REG_MAILBOX_COMMAND, command);
	quire_write(qdev, QUIRE_REG_MAILBOX_ARGUMENT, argument);
	quire_write(qdev, QUIRE_REG_MAILBOX_SEND, mailbox->sequence);
	ret = quire_mailbox_wait(qdev, mailbox->sequence, timeout_ms);
	mailbox->silent = ret;
	if (!ret)
		result = quire_read(qdev, QUIRE_REG_MAILBOX_RESULT);
	mutex_unlock(&mailbox->lock);

	trace_quire_mailbox(qdev, command, argument, ret ?: (int)result);
	if (ret) {
		drm_err_ratelimited(&qdev->drm,
				    "the firmware did not answer command %u(%u) within %u ms\n",
				    command, argument, timeout_ms);
		return -EIO;
	}
	if (result) {
		drm_dbg(&qdev->drm, "the firmware refused command %u(%u) with result %u\n",
			command, argument, result);
		return -EPROTO;
	}
	return 0;
}

int quire_mailbox_send(struct quire_device *qdev, u32 command, u32 argument)
{
	return quire_mailbox_send_within(qdev, command, argument, QUIRE_MAILBOX_TIMEOUT_MS);
}

void quire_mailbox_booted(struct quire_device *qdev)
{
	mutex_lock(&qdev->mailbox->lock);
	qdev->mailbox->silent = false;
	mutex_unlock(&qdev->mailbox->lock);
}

int quire_mailbox_init(struct quire_device *qdev)
{
	struct quire_mailbox *mailbox;
	int ret;

	mailbox = drmm_kzalloc(&qdev->drm, sizeof(*mailbox), GFP_KERNEL);
	if (!mailbox)
		return -ENOMEM;
	ret = drmm_mutex_init(&qdev->drm, &mailbox->lock);
	if (ret)
		return ret;
	init_waitqueue_head(&mailbox->answered);
	/* Another driver's last command may still show as done: ours must not look like it. */
	mailbox->sequence = quire_read(qdev, QUIRE_REG_MAILBOX_DONE);
	qdev->mailbox = mailbox;
	return 0;
}
