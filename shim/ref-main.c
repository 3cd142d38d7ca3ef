// SPDX-License-Identifier: GPL-2.0-only
/* The reference vendor module as a whole: parameters, loading, unloading. */
#include <linux/limits.h>
#include <linux/module.h>
#include <linux/sizes.h>

#include "ref-image.h"
#include "ref.h"

static unsigned int ngpu = 1;
module_param(ngpu, uint, 0444);
MODULE_PARM_DESC(ngpu, "GPUs plugged in at first, in slots 0 and up (default 1, at most 32)");

static ushort domain = 0x1000;
module_param(domain, ushort, 0444);
MODULE_PARM_DESC(domain, "PCI domain that the GPUs are in (default 0x1000)");

/* Vendor 6d67 is nobody's: no other driver and no quirk of PCI knows it. */
static ushort vendor_id = 0x6d67;
module_param(vendor_id, ushort, 0444);
MODULE_PARM_DESC(vendor_id, "PCI vendor id of the GPUs (default 0x6d67)");

static ushort device_id = 0x0001;
module_param(device_id, ushort, 0444);
MODULE_PARM_DESC(device_id, "PCI device id of the GPUs (default 0x0001)");

static uint framebuffer_mib = 40960;
module_param(framebuffer_mib, uint, 0444);
MODULE_PARM_DESC(framebuffer_mib, "framebuffer of each GPU in MiB (default 40960)");

static ushort vfs;
module_param(vfs, ushort, 0444);
MODULE_PARM_DESC(vfs, "virtual functions that each GPU can have (default 0, at most 7)");

module_param_named(add_live, ref_types_add_live, bool, 0444);
MODULE_PARM_DESC(add_live, "let new types come while vGPUs exist, by means that the mdev core does not offer (default no)");

/* A slot may have been filled already: the driver's plug works by now. */
static int __init ref_plug_first(void)
{
	unsigned int slot;
	int r;

	for (slot = 0; slot < ngpu; slot++) {
		r = ref_pci_plug(slot);
		if (r && r != -EEXIST)
			return r;
	}

	return 0;
}

/* The bus exists before the driver's plug and unplug do, and after them. */
static int __init ref_init(void)
{
	int r;

	if (!vendor_id || vendor_id == U16_MAX || !framebuffer_mib)
		return -EINVAL;

	/* The window's register and the image count pages of one size. */
	if (PAGE_SIZE != REF_IMAGE_PAGE) {
		pr_err("mdevgpu_ref: its GPUs have pages of 4 KiB, and this kernel has others\n");
		return -EOPNOTSUPP;
	}

	r = ref_engine_init();
	if (r)
		return r;

	r = mdev_register_driver(&ref_vgpu_driver);
	if (r)
		goto fail_engine;

	r = ref_pci_create(domain, vendor_id, device_id, vfs);
	if (r)
		goto fail_mdev;

	r = ref_gpu_driver_register(vendor_id, device_id,
				    (u64)framebuffer_mib * SZ_1M);
	if (r)
		goto fail_pci;

	r = ref_plug_first();
	if (r)
		goto fail_driver;

	return 0;

fail_driver:
	ref_gpu_driver_unregister();
fail_pci:
	ref_pci_destroy();
fail_mdev:
	mdev_unregister_driver(&ref_vgpu_driver);
fail_engine:
	ref_engine_exit();
	return r;
}

static void __exit ref_exit(void)
{
	ref_gpu_driver_unregister();
	ref_pci_destroy();
	mdev_unregister_driver(&ref_vgpu_driver);
	ref_engine_exit();
}

module_init(ref_init);
module_exit(ref_exit);

MODULE_DESCRIPTION("Reference vendor module of mdevgpu: synthetic GPUs and their vGPUs");
MODULE_VERSION(REF_VERSION);
MODULE_LICENSE("GPL");
