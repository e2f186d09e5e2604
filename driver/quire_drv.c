// SPDX-License-Identifier: GPL-2.0-only
/* The quire module: PCI driver, accel node, table of calls. */
#include <linux/module.h>
#include <linux/pci.h>
#include <linux/pm_runtime.h>
#include <linux/rcupdate.h>
#include <linux/uaccess.h>

#include <drm/drm_accel.h>
#include <drm/drm_drv.h>
#include <drm/drm_file.h>
#include <drm/drm_gem.h>
#include <drm/drm_ioctl.h>

#include "quire_compat.h"
#include "quire_debugfs.h"
#include "quire_device.h"
#include "quire_dmabuf.h"
#include "quire_file.h"
#include "quire_gem.h"
#include "quire_hwmon.h"
#include "quire_power.h"
#include "quire_ras.h"
#include "quire_reach.h"
#include "quire_user.h"
#include "quire_userptr.h"
#include "quire_vm.h"

#define QUIRE_IOCTL(name, function) \
	DRM_IOCTL_DEF_DRV(QUIRE_##name, function, 0)

static const struct drm_ioctl_desc quire_ioctls[] = {
	QUIRE_IOCTL(DEV_QUERY, quire_dev_query_ioctl),
	QUIRE_IOCTL(VM_CREATE, quire_vm_create_ioctl),
	QUIRE_IOCTL(VM_DESTROY, quire_vm_destroy_ioctl),
	QUIRE_IOCTL(BO_CREATE, quire_bo_create_ioctl),
	QUIRE_IOCTL(BO_MMAP_OFFSET, quire_bo_mmap_offset_ioctl),
	QUIRE_IOCTL(BO_INFO, quire_bo_info_ioctl),
	QUIRE_IOCTL(USERPTR, quire_userptr_ioctl),
	QUIRE_IOCTL(VM_BIND, quire_vm_bind_ioctl),
	QUIRE_IOCTL(QUEUE_CREATE, quire_queue_create_ioctl),
	QUIRE_IOCTL(QUEUE_DESTROY, quire_queue_destroy_ioctl),
	QUIRE_IOCTL(QUEUE_QUERY, quire_queue_query_ioctl),
	QUIRE_IOCTL(SUBMIT, quire_submit_ioctl),
};

/*
 * Of DRM's own calls those that render nodes have, too.  Some others look at the file's master,
 * which files of accel nodes lack: the kernel would crash.
 */
static bool quire_ioctl_of_drm(unsigned int nr)
{
	switch (nr) {
	case DRM_IOCTL_NR(DRM_IOCTL_VERSION):
	case DRM_IOCTL_NR(DRM_IOCTL_GET_CAP):
	case DRM_IOCTL_NR(DRM_IOCTL_GEM_CLOSE):
	case DRM_IOCTL_NR(DRM_IOCTL_PRIME_HANDLE_TO_FD):
	case DRM_IOCTL_NR(DRM_IOCTL_PRIME_FD_TO_HANDLE):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_CREATE):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_DESTROY):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_HANDLE_TO_FD):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_FD_TO_HANDLE):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_WAIT):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_RESET):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_SIGNAL):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_WAIT):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_QUERY):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_TRANSFER):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_TIMELINE_SIGNAL):
	case DRM_IOCTL_NR(DRM_IOCTL_SYNCOBJ_EVENTFD):
#ifdef DRM_IOCTL_SET_CLIENT_NAME
	case DRM_IOCTL_NR(DRM_IOCTL_SET_CLIENT_NAME):
#endif
		return true;
	default:
		return false;
	}
}

/*
 * DRM takes a structure that is longer than the one we know and lets nobody look at the rest: what
 * a later kernel would do for it must not be left undone in silence.
 */
static int quire_ioctl_tail(unsigned int command, unsigned long argument)
{
	unsigned int index = _IOC_NR(command) - DRM_COMMAND_BASE;
	size_t given = _IOC_SIZE(command), known;
	int ret;

	if (index >= ARRAY_SIZE(quire_ioctls) || !(command & IOC_IN))
		return 0;
	known = _IOC_SIZE(quire_ioctls[index].cmd);
	if (given <= known)
		return 0;
	ret = check_zeroed_user((void __user *)argument + known, given - known);
	return ret < 0 ? ret : ret ? 0 : -E2BIG;
}

/* Our own calls touch the card, DRM's do not: one that waits for a syncobj lets it sleep. */
static long quire_ioctl_awake(struct file *filp, unsigned int command, unsigned long argument,
			      long (*call)(struct file *, unsigned int, unsigned long))
{
	struct drm_file *file = filp->private_data;
	struct quire_device *qdev = to_quire_device(file->minor->dev);
	unsigned int nr = _IOC_NR(command);
	long ret;

	if (nr < DRM_COMMAND_BASE || nr >= DRM_COMMAND_END)
		return quire_ioctl_of_drm(nr) ? call(filp, command, argument) : -EACCES;
	/* A card that has gone is not woken: the device may be another driver's by now. */
	if (drm_dev_is_unplugged(&qdev->drm))
		return call(filp, command, argument);
	ret = quire_ioctl_tail(command, argument);
	if (ret)
		return ret;
	quire_power_get(qdev);
	ret = call(filp, command, argument);
	quire_power_put(qdev);
	return ret;
}

static long quire_ioctl(struct file *filp, unsigned int command, unsigned long argument)
{
	return quire_ioctl_awake(filp, command, argument, drm_ioctl);
}

#ifdef CONFIG_COMPAT
static long quire_compat_ioctl(struct file *filp, unsigned int command, unsigned long argument)
{
	return quire_ioctl_awake(filp, command, argument, drm_compat_ioctl);
}
#else
#define quire_compat_ioctl NULL
#endif

/* DRM_ACCEL_FOPS without its lack of fdinfo. */
static const struct file_operations quire_fops = {
	.owner = THIS_MODULE,
	.open = accel_open,
	.release = drm_release,
	.unlocked_ioctl = quire_ioctl,
	.compat_ioctl = quire_compat_ioctl,
	.poll = drm_poll,
	.read = drm_read,
	.llseek = noop_llseek,
	.mmap = drm_gem_mmap,
	.show_fdinfo = drm_show_fdinfo,
	.fop_flags = FOP_UNSIGNED_OFFSET,
};

static const struct drm_driver quire_driver = {
	.driver_features = DRIVER_COMPUTE_ACCEL | DRIVER_GEM | DRIVER_SYNCOBJ |
			   DRIVER_SYNCOBJ_TIMELINE | QUIRE_DRIVER_GEM_GPUVA,
	.open = quire_file_open,
	.postclose = quire_file_close,
	.prime_fd_to_handle = quire_import_handle,
	.gem_prime_import = quire_import,
	.show_fdinfo = quire_show_fdinfo,
	.ioctls = quire_ioctls,
	.num_ioctls = ARRAY_SIZE(quire_ioctls),
	.fops = &quire_fops,
	.name = DRM_QUIRE_DRIVER_NAME,
	.desc = "Quire exact-arithmetic accelerator",
	.major = DRM_QUIRE_DRIVER_MAJOR,
	.minor = DRM_QUIRE_DRIVER_MINOR,
};

static int quire_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct quire_device *qdev;
	int ret;

	qdev = devm_drm_dev_alloc(&pdev->dev, &quire_driver, struct quire_device, drm);
	if (IS_ERR(qdev))
		return PTR_ERR(qdev);
	ret = quire_device_init(qdev, pdev);
	if (ret)
		return ret;
	/* Before the node: who gets its event finds the files. */
	ret = devm_device_add_group(&pdev->dev, &quire_attribute_group);
	if (ret)
		return ret;
	quire_counters_init(qdev);
	quire_debugfs_init(qdev);
	ret = drm_dev_register(&qdev->drm, 0);
	if (ret)
		return ret;
	quire_hwmon_init(qdev);
	quire_ras_init(qdev);
	quire_pm_allow(qdev);
	drm_info(&qdev->drm, "serial %llu, %u engines, %llu MiB, firmware %u.%u.%u, interface %u\n",
		 qdev->serial, qdev->engines, qdev->memory_bytes >> 20, qdev->fw_release >> 16,
		 (qdev->fw_release >> 8) & 0xff, qdev->fw_release & 0xff,
		 qdev->interface_version);
	return 0;
}

static void quire_remove(struct pci_dev *pdev)
{
	quire_device_unplug(pci_get_drvdata(pdev));
	/* The PCI core puts the reference it took for probe, which quire_pm_allow() has put. */
	pm_runtime_get_noresume(&pdev->dev);
}

static const struct pci_device_id quire_ids[] = {
	{ PCI_DEVICE(QUIRE_PCI_VENDOR_ID, QUIRE_PCI_DEVICE_ID) },
	{ }
};
MODULE_DEVICE_TABLE(pci, quire_ids);

static struct pci_driver quire_pci_driver = {
	.name = DRM_QUIRE_DRIVER_NAME,
	.id_table = quire_ids,
	.probe = quire_probe,
	.remove = quire_remove,
	.shutdown = quire_shutdown,
	.driver.pm = pm_ptr(&quire_pm_ops),
	.err_handler = &quire_error_handlers,
};

static int __init quire_init(void)
{
	int ret = quire_reach_module_init();

	if (ret)
		return ret;
	quire_power_prime_lockdep();
	ret = quire_userptr_module_init();
	if (ret)
		goto err_reach;
	ret = quire_user_module_init();
	if (ret)
		goto err_userptr;
	ret = quire_file_module_init();
	if (ret)
		goto err_user;
	ret = pci_register_driver(&quire_pci_driver);
	if (ret)
		goto err_file;
	return 0;

err_file:
	quire_file_module_exit();
err_user:
	quire_user_module_exit();
err_userptr:
	quire_userptr_module_exit();
err_reach:
	quire_reach_module_exit();
	return ret;
}
module_init(quire_init);

static void __exit quire_exit(void)
{
	pci_unregister_driver(&quire_pci_driver);
	quire_file_module_exit();
	/* What address spaces still had to ask for, and to give back; with them their users. */
	quire_user_module_drain();
	quire_reach_module_exit();
	quire_user_module_exit();
	quire_userptr_module_exit();
	/* Whoever put the last reference to the module from its own code has left it by then. */
	synchronize_rcu_tasks();
	synchronize_rcu();
}
module_exit(quire_exit);

MODULE_DESCRIPTION("Driver of the Quire accelerator");
MODULE_AUTHOR("The Quire authors");
MODULE_LICENSE("GPL");
QUIRE_IMPORT_DMA_BUF;
