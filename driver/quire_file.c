// SPDX-License-Identifier: GPL-2.0-only
/*
 * Open files.  The process that has opened one and closes it waits until the card does nothing for
 * it any more, and that is its own affair.  But others close files, too: who was sent one, be it
 * that he has not asked for it, and threads of the kernel those that are only on their way through
 * a Unix socket.  They do not wait: a work closes for them.
 */
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/slab.h>

#include <drm/drm_drv.h>
#include <drm/drm_file.h>

#include "quire_device.h"
#include "quire_file.h"
#include "quire_vm.h"

static struct workqueue_struct *quire_file_wq;

static void quire_file_end(struct quire_file *qfile)
{
	quire_queues_close_file(qfile);
	quire_vm_close_file(qfile);
	xa_destroy(&qfile->queues);
	put_pid(qfile->opener);
	kfree(qfile);
}

/* It may be the last user of the card. */
static void quire_file_close_work(struct work_struct *work)
{
	struct quire_file *qfile = container_of(work, struct quire_file, close);
	struct drm_device *drm = &qfile->qdev->drm;

	quire_file_end(qfile);
	drm_dev_put(drm);
}

int quire_file_open(struct drm_device *drm, struct drm_file *file)
{
	struct quire_file *qfile = kzalloc(sizeof(*qfile), QUIRE_GFP_CALL);

	if (!qfile)
		return -ENOMEM;
	qfile->qdev = to_quire_device(drm);
	qfile->drm = file;
	qfile->opener = get_pid(task_tgid(current));
	/* 0 is never a valid id. */
	xa_init_flags(&qfile->vms, XA_FLAGS_ALLOC1);
	xa_init_flags(&qfile->queues, XA_FLAGS_ALLOC1);
	INIT_WORK(&qfile->close, quire_file_close_work);
	file->driver_priv = qfile;
	return 0;
}

void quire_file_close(struct drm_device *drm, struct drm_file *file)
{
	struct quire_file *qfile = file->driver_priv;

	if (task_tgid(current) == qfile->opener) {
		quire_file_end(qfile);
		return;
	}
	/* @file goes when we return. */
	qfile->drm = NULL;
	drm_dev_get(drm);
	queue_work(quire_file_wq, &qfile->close);
}

int quire_file_module_init(void)
{
	quire_file_wq = alloc_workqueue("quire-file", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return quire_file_wq ? 0 : -ENOMEM;
}

void quire_file_module_exit(void)
{
	destroy_workqueue(quire_file_wq);
}
