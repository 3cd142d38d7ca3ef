// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PCI driver of the synthetic GPUs.
 *
 * It binds nothing else by itself: its id table is filled in when the module is
 * loaded and leaves no alias behind, and probe looks whose bus it is. A real
 * device has to be given to it by its driver_override, and only lends its place:
 * its registers are never touched. If it can have virtual functions the PCI core
 * makes them on demand, and they are the device's own.
 */
#include <linux/kstrtox.h>
#include <linux/module.h>
#include <linux/slab.h>

#include "ref.h"
#include "ref-image.h"

static u64 ref_gpu_framebuffer;

static void ref_gpu_free(struct kref *ref)
{
	struct ref_gpu *gpu = container_of(ref, struct ref_gpu, ref);

	if (gpu->node)
		mdevgpu_put(gpu->node);
	kfree(gpu);
}

struct ref_gpu *ref_gpu_get(struct ref_gpu *gpu)
{
	kref_get(&gpu->ref);
	return gpu;
}

void ref_gpu_put(struct ref_gpu *gpu)
{
	kref_put(&gpu->ref, ref_gpu_free);
}

static int ref_gpu_register_node(struct ref_gpu *gpu)
{
	const struct mdevgpu_info info = {
		.type_prefix = dev_driver_string(&gpu->pdev->dev),
		.driver = REF_NAME,
		.driver_version = REF_VERSION,
		.vendor = "mdevgpud",
		.model = "Synthetic GPU",
		.state_format = REF_IMAGE_FORMAT,
		.framebuffer_total = gpu->framebuffer,
		.capabilities = MDEVGPU_CAP_CAPACITY | MDEVGPU_CAP_EDIT_LIVE |
				MDEVGPU_CAP_KEEP_STATE |
				(ref_types_add_live ? MDEVGPU_CAP_ADD_LIVE : 0),
	};
	struct mdevgpu_device *node;

	node = mdevgpu_register(&gpu->pdev->dev, &info, &ref_types_ops, gpu);
	if (IS_ERR(node))
		return PTR_ERR(node);

	/* Types may have been set already, and vGPUs made. */
	spin_lock(&gpu->lock);
	gpu->node = node;
	mdevgpu_tell_framebuffer(node, gpu->used);
	spin_unlock(&gpu->lock);
	return 0;
}

/*
 * With a driver_override that no id of the table agrees with, PCI hands out an
 * id of its own that matches everything. Where the override is kept has changed
 * within the life of one stable kernel.
 */
static bool ref_gpu_is_for_us(const struct pci_dev *pdev,
			      const struct pci_device_id *id)
{
	return ref_pci_is_ours(pdev) || id->vendor == (u32)PCI_ANY_ID;
}

static int ref_gpu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct ref_gpu *gpu;
	int r;

	/* A virtual function is part of a GPU. */
	if (!ref_gpu_is_for_us(pdev, id) || pdev->is_virtfn)
		return -ENODEV;
	/* What another driver has left is not ours to divide, or to remove. */
	if (pci_num_vf(pdev))
		return -EBUSY;

	gpu = kzalloc(sizeof(*gpu), GFP_KERNEL);
	if (!gpu)
		return -ENOMEM;

	kref_init(&gpu->ref);
	spin_lock_init(&gpu->lock);
	INIT_LIST_HEAD(&gpu->vgpus);
	INIT_LIST_HEAD(&gpu->jobs);
	init_waitqueue_head(&gpu->turn);
	gpu->pdev = pdev;
	gpu->framebuffer = ref_gpu_framebuffer;
	gpu->vendor_id = pdev->vendor;
	gpu->device_id = pdev->device;
	gpu->subsystem_id = pdev->subsystem_device;
	r = ref_gpu_register_node(gpu);
	if (r) {
		ref_gpu_put(gpu);
		return r;
	}

	pci_set_drvdata(pdev, gpu);
	return 0;
}

/*
 * First the node goes, so that no set is registered any more; then no vGPU is
 * made any more; then those that exist are removed, which waits for their
 * users.
 */
static void ref_gpu_remove(struct pci_dev *pdev)
{
	struct ref_gpu *gpu = pci_get_drvdata(pdev);

	pci_disable_sriov(pdev);
	mdevgpu_unregister(gpu->node);
	ref_usage_freeze(gpu, /* even_if_live= */ true);

	if (gpu->set) {
		ref_set_unregister(gpu->set);
		ref_set_put(gpu->set);
		gpu->set = NULL;
	}

	ref_gpu_put(gpu);
}

/* A write to sriov_numvfs; the PCI core wants 0 in between. */
static int ref_gpu_sriov_configure(struct pci_dev *pdev, int n)
{
	struct ref_gpu *gpu = pci_get_drvdata(pdev);
	int r;

	if (!n) {
		pci_disable_sriov(pdev);
		return ref_usage_divide(gpu, 0);
	}

	r = ref_usage_divide(gpu, n);
	if (r)
		return r;
	r = pci_enable_sriov(pdev, n);
	if (r) {
		ref_usage_divide(gpu, 0);
		return r;
	}

	return n;
}

/* /sys/bus/pci/drivers/mdevgpu_ref/{plug,unplug} take a slot number. */
static ssize_t plug_store(struct device_driver *driver, const char *buf,
			  size_t count)
{
	unsigned int slot;
	int r;

	r = kstrtouint(buf, 0, &slot);
	if (!r)
		r = ref_pci_plug(slot);
	return r ? r : count;
}
static DRIVER_ATTR_WO(plug);

static ssize_t unplug_store(struct device_driver *driver, const char *buf,
			    size_t count)
{
	unsigned int slot;
	int r;

	r = kstrtouint(buf, 0, &slot);
	if (!r)
		r = ref_pci_unplug(slot);
	return r ? r : count;
}
static DRIVER_ATTR_WO(unplug);

static struct attribute *ref_gpu_driver_attrs[] = {
	&driver_attr_plug.attr,
	&driver_attr_unplug.attr,
	NULL
};
ATTRIBUTE_GROUPS(ref_gpu_driver);

/* No MODULE_DEVICE_TABLE(): an alias would load this for somebody's card. */
static struct pci_device_id ref_gpu_ids[2];

static struct pci_driver ref_gpu_driver = {
	.name = REF_NAME,
	.id_table = ref_gpu_ids,
	.probe = ref_gpu_probe,
	.remove = ref_gpu_remove,
	.sriov_configure = ref_gpu_sriov_configure,
	.groups = ref_gpu_driver_groups,
};

bool ref_gpu_pdev_is_open(struct pci_dev *pdev)
{
	bool open = false;

	device_lock(&pdev->dev);
	if (pdev->dev.driver == &ref_gpu_driver.driver)
		open = ref_usage_is_open(pci_get_drvdata(pdev));
	device_unlock(&pdev->dev);

	return open;
}

int ref_gpu_driver_register(u16 vendor, u16 device, u64 framebuffer)
{
	ref_gpu_framebuffer = framebuffer;
	ref_gpu_ids[0] = (struct pci_device_id){ PCI_DEVICE(vendor, device) };

	return pci_register_driver(&ref_gpu_driver);
}

void ref_gpu_driver_unregister(void)
{
	pci_unregister_driver(&ref_gpu_driver);
}
