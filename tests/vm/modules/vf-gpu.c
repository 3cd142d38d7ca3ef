// SPDX-License-Identifier: GPL-2.0-only
/*
 * A real device with virtual functions, QEMU's NVMe controller, as a GPU: there
 * is none that QEMU emulates. Its class becomes that of a 3D controller, which
 * is all that the PCI core, VFIO and the IOMMU do not look at; whatever they do
 * look at is the device's own. On request a driver binds it that has the name
 * and the attributes in sysfs of a vendor's, as the vendor documents them, and
 * no more than those.
 */
#include <linux/module.h>

#include "vf-gpu.h"

#define VF_GPU_CLASS	(PCI_CLASS_DISPLAY_3D << 8)

static char *personality = "none";
module_param(personality, charp, 0444);
MODULE_PARM_DESC(personality, "whose driver binds it: none (the kernel's own), nvidia, xe");

const struct pci_device_id vf_gpu_ids[] = {
	{ PCI_DEVICE(PCI_VENDOR_ID_REDHAT, 0x0010) },
	{}
};

static struct pci_driver *vf_gpu_driver;

/* Before its first event, and before a driver is looked for */
static int vf_gpu_notify(struct notifier_block *block, unsigned long action,
			 void *data)
{
	struct pci_dev *pdev = to_pci_dev(data);

	if (action == BUS_NOTIFY_ADD_DEVICE && pci_match_id(vf_gpu_ids, pdev))
		pdev->class = VF_GPU_CLASS;
	return NOTIFY_OK;
}

static struct notifier_block vf_gpu_block = { .notifier_call = vf_gpu_notify };

static int __init vf_gpu_init(void)
{
	struct pci_dev *pdev = NULL;
	int r;

	if (!strcmp(personality, "nvidia"))
		vf_gpu_driver = &vf_nvidia_driver;
	else if (!strcmp(personality, "xe"))
		vf_gpu_driver = &vf_xe_driver;
	else if (strcmp(personality, "none"))
		return -EINVAL;

	r = bus_register_notifier(&pci_bus_type, &vf_gpu_block);
	if (r)
		return r;

	while ((pdev = pci_get_device(vf_gpu_ids[0].vendor,
				      vf_gpu_ids[0].device, pdev))) {
		pdev->class = VF_GPU_CLASS;
		kobject_uevent(&pdev->dev.kobj, KOBJ_CHANGE);
	}

	r = vf_gpu_driver ? pci_register_driver(vf_gpu_driver) : 0;
	if (r)
		bus_unregister_notifier(&pci_bus_type, &vf_gpu_block);
	return r;
}

static void __exit vf_gpu_exit(void)
{
	if (vf_gpu_driver)
		pci_unregister_driver(vf_gpu_driver);
	bus_unregister_notifier(&pci_bus_type, &vf_gpu_block);
}

module_init(vf_gpu_init);
module_exit(vf_gpu_exit);

MODULE_DESCRIPTION("Scenery: a device with virtual functions as a GPU");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS(IOMMUFD);
