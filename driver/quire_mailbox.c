// SPDX-License-Identifier: GPL-2.0-only
/* Commands to the firmware, one at a time. */
#include <drm/drm_managed.h>

#include "quire_queue.h"
#include "quire_trace.h"

#define QUIRE_MAILBOX_TIMEOUT msecs_to_jiffies(5000)

/** struct quire_mailbox - the mailbox of a card */
struct quire_mailbox {
	/** @lock: one command at a time */
	struct mutex lock;
	/** @answered: woken by the event */
	wait_queue_head_t answered;
	/** @sequence: of the last command, under @lock */
	u32 sequence;
};

void quire_mailbox_wake(struct quire_device *qdev)
{
	wake_up_all(&qdev->mailbox->answered);
}

/*
 * Short commands are done when the write returns.  The register is what counts; the
 * event only wakes us early.
 */
static int quire_mailbox_wait(struct quire_device *qdev, u32 sequence)
{
	unsigned long deadline = jiffies + QUIRE_MAILBOX_TIMEOUT;

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

/* Inside drm_dev_enter(); may sleep. */
int quire_mailbox_send(struct quire_device *qdev, u32 command, u32 argument)
{
	struct quire_mailbox *mailbox = qdev->mailbox;
	u32 result = 0;
	int ret;

	mutex_lock(&mailbox->lock);
	if (!++mailbox->sequence)
		mailbox->sequence = 1;
	quire_write(qdev, QUIRE_REG_MAILBOX_COMMAND, command);
	quire_write(qdev, QUIRE_REG_MAILBOX_ARGUMENT, argument);
	quire_write(qdev, QUIRE_REG_MAILBOX_SEND, mailbox->sequence);
	ret = quire_mailbox_wait(qdev, mailbox->sequence);
	if (!ret)
		result = quire_read(qdev, QUIRE_REG_MAILBOX_RESULT);
	mutex_unlock(&mailbox->lock);

	if (ret)
		drm_err(&qdev->drm, "firmware did not answer command %u(%u) within %u ms\n",
			command, argument, jiffies_to_msecs(QUIRE_MAILBOX_TIMEOUT));
	else if (result)
		drm_err(&qdev->drm, "firmware refused command %u(%u) with result %u\n", command,
			argument, result);
	trace_quire_mailbox(command, argument, ret ?: (int)result);
	return ret || result ? -EIO : 0;
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
