// SPDX-License-Identifier: GPL-2.0-only
/*
 * The least that a vendor module has to have: one GPU without hardware, whose
 * types come from user space and whose vGPUs do nothing. docs/shim-vendor.md
 * walks through it; what a real one does besides is in the reference module.
 */
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/platform_device.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/uuid.h>
#include <linux/vfio.h>

#include "kernel-compat.h"
#include "mdevgpu.h"

#include <linux/mdev.h>

#define SKEL_NAME	"mdevgpu_skeleton"

struct skel_type {
	struct mdev_type mdev;
	struct mdevgpu_type definition;
	char sysfs_name[12];
};

/* One GPU. A vGPU is counted from before it is registered until it is freed. */
static struct {
	struct device *dev;
	struct mdevgpu_device *node;
	struct mdev_parent parent;
	struct skel_type *types;	/* by the node's lock */
	struct mdev_type **mdev_types;
	u32 n_types;

	spinlock_t lock;
	u32 n_live;
	bool frozen;
} skel;

struct skel_vgpu {
	struct vfio_device vdev;
	uuid_t uuid;
	u32 type_id;
	u32 opener;
};

/* The vGPU */

static int skel_vgpu_init(struct vfio_device *vdev)
{
	struct skel_vgpu *vgpu = container_of(vdev, struct skel_vgpu, vdev);
	struct mdev_device *mdev = to_mdev_device(vdev->dev);
	int r;

	r = uuid_parse(dev_name(&mdev->dev), &vgpu->uuid);
	if (r)
		return r;
	vgpu->type_id = container_of(mdev->type, struct skel_type,
				     mdev)->definition.id;

	spin_lock(&skel.lock);
	if (skel.frozen)
		r = -ENODEV;
	else
		skel.n_live++;
	spin_unlock(&skel.lock);

	return r;
}

static void skel_vgpu_release(struct vfio_device *vdev)
{
	spin_lock(&skel.lock);
	skel.n_live--;
	spin_unlock(&skel.lock);
	mdevgpu_vfio_free_device(vdev);
}

static int skel_vgpu_open(struct vfio_device *vdev)
{
	struct skel_vgpu *vgpu = container_of(vdev, struct skel_vgpu, vdev);

	vgpu->opener = task_tgid_nr(current);
	mdevgpu_tell_open(skel.node, true, vgpu->uuid.b, vgpu->type_id,
			  vgpu->opener);
	return 0;
}

static void skel_vgpu_close(struct vfio_device *vdev)
{
	struct skel_vgpu *vgpu = container_of(vdev, struct skel_vgpu, vdev);

	mdevgpu_tell_open(skel.node, false, vgpu->uuid.b, vgpu->type_id,
			  vgpu->opener);
}

static long skel_vgpu_ioctl(struct vfio_device *vdev, unsigned int cmd,
			    unsigned long arg)
{
	return -ENOTTY;
}

static const struct vfio_device_ops skel_vgpu_ops = {
	.name = SKEL_NAME,
	.init = skel_vgpu_init,
	.release = skel_vgpu_release,
	MDEVGPU_VFIO_EMULATED_IOMMUFD_OPS
	.open_device = skel_vgpu_open,
	.close_device = skel_vgpu_close,
	.ioctl = skel_vgpu_ioctl,
};

static int skel_vgpu_probe(struct mdev_device *mdev)
{
	struct skel_vgpu *vgpu;
	int r;

	vgpu = vfio_alloc_device(skel_vgpu, vdev, &mdev->dev, &skel_vgpu_ops);
	if (IS_ERR(vgpu))
		return PTR_ERR(vgpu);

	dev_set_drvdata(&mdev->dev, vgpu);
	r = vfio_register_emulated_iommu_dev(&vgpu->vdev);
	if (r)
		vfio_put_device(&vgpu->vdev);
	return r;
}

static void skel_vgpu_remove(struct mdev_device *mdev)
{
	struct skel_vgpu *vgpu = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&vgpu->vdev);
	vfio_put_device(&vgpu->vdev);
}

static unsigned int skel_get_available(struct mdev_type *mtype)
{
	return container_of(mtype, struct skel_type,
			    mdev)->definition.max_instances;
}

static struct mdev_driver skel_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.probe = skel_vgpu_probe,
	.remove = skel_vgpu_remove,
	.get_available = skel_get_available,
	.driver = {
		.name = SKEL_NAME,
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
};

/* The types */

/* Removes all vGPUs, waits until nobody looks at the types, and frees them. */
static void skel_types_unregister(void)
{
	u32 i;

	if (skel.n_types)
		mdev_unregister_parent(&skel.parent);
	for (i = 0; i < skel.n_types; i++) {
		struct kobject *kobj = &skel.types[i].mdev.kobj;

		while (kref_read(&kobj->kref) > 1)
			msleep(1);
		kobject_put(kobj);
	}

	kvfree(skel.types);
	kvfree(skel.mdev_types);
	skel.types = NULL;
	skel.mdev_types = NULL;
	skel.n_types = 0;
}

static int skel_types_register(const struct mdevgpu_type *types, u32 n_types)
{
	u32 i;
	int r;

	if (!n_types)
		return 0;

	skel.types = kvcalloc(n_types, sizeof(*skel.types), GFP_KERNEL);
	skel.mdev_types = kvcalloc(n_types, sizeof(*skel.mdev_types),
				   GFP_KERNEL);
	if (!skel.types || !skel.mdev_types) {
		skel_types_unregister();
		return -ENOMEM;
	}

	for (i = 0; i < n_types; i++) {
		struct skel_type *type = &skel.types[i];

		type->definition = types[i];
		snprintf(type->sysfs_name, sizeof(type->sysfs_name), "%u",
			 types[i].id);
		type->mdev.sysfs_name = type->sysfs_name;
		type->mdev.pretty_name = type->definition.name;
		skel.mdev_types[i] = &type->mdev;
	}

	r = mdev_register_parent(&skel.parent, skel.dev, &skel_driver,
				 skel.mdev_types, n_types);
	if (r) {
		skel_types_unregister();
		return r;
	}

	/* Each is waited for in skel_types_unregister(). */
	skel.n_types = n_types;
	for (i = 0; i < n_types; i++)
		kobject_get(&skel.types[i].mdev.kobj);
	return 0;
}

static int skel_freeze(bool even_if_live)
{
	int r = 0;

	spin_lock(&skel.lock);
	if (skel.n_live && !even_if_live)
		r = -EBUSY;
	else
		skel.frozen = true;
	spin_unlock(&skel.lock);

	return r;
}

static int skel_set_types(struct mdevgpu_device *node,
			  struct mdevgpu_type *types, u32 n_types, bool dry_run)
{
	int r;

	/* This may come before mdevgpu_register() has returned. */
	skel.node = node;

	r = skel_freeze(/* even_if_live= */ false);
	if (r) {
		mdevgpu_mark_live(node, types, n_types);
		return r;
	}

	if (!dry_run) {
		skel_types_unregister();
		r = skel_types_register(types, n_types);
		if (r)
			mdevgpu_types_lost(node);
	}

	spin_lock(&skel.lock);
	skel.frozen = false;
	spin_unlock(&skel.lock);
	return r;
}

static u32 skel_count_types(struct mdevgpu_device *node,
			    struct mdevgpu_type *types, u32 n_types)
{
	u32 i;

	for (i = 0; types && i < n_types; i++)
		types[i].available = types[i].max_instances;

	return READ_ONCE(skel.n_live);
}

static const struct mdevgpu_ops skel_ops = {
	.set_types = skel_set_types,
	.count_types = skel_count_types,
};

/* The GPU */

static int skel_probe(struct platform_device *pdev)
{
	const struct mdevgpu_info info = {
		.type_prefix = dev_driver_string(&pdev->dev),
		.driver = SKEL_NAME,
		.driver_version = "1",
		.vendor = "Nobody",
		.model = "Skeleton",
		.framebuffer_total = SZ_1G,
	};

	spin_lock_init(&skel.lock);
	skel.dev = &pdev->dev;
	skel.frozen = false;
	skel.node = mdevgpu_register(&pdev->dev, &info, &skel_ops, NULL);
	return PTR_ERR_OR_ZERO(skel.node);
}

static MDEVGPU_PLATFORM_REMOVE skel_remove(struct platform_device *pdev)
{
	/* No set is registered any more, no vGPU is made, those there are go. */
	mdevgpu_unregister(skel.node);
	skel_freeze(/* even_if_live= */ true);
	skel_types_unregister();
	mdevgpu_put(skel.node);
	return MDEVGPU_PLATFORM_REMOVED;
}

static struct platform_driver skel_gpu_driver = {
	.probe = skel_probe,
	.remove = skel_remove,
	.driver.name = SKEL_NAME,
};

static struct platform_device *skel_gpu;

static int __init skel_module_init(void)
{
	int r;

	r = mdev_register_driver(&skel_driver);
	if (r)
		return r;

	r = platform_driver_register(&skel_gpu_driver);
	if (r)
		goto fail_mdev;

	skel_gpu = platform_device_register_simple(SKEL_NAME, -1, NULL, 0);
	r = PTR_ERR_OR_ZERO(skel_gpu);
	if (r)
		goto fail_driver;

	return 0;

fail_driver:
	platform_driver_unregister(&skel_gpu_driver);
fail_mdev:
	mdev_unregister_driver(&skel_driver);
	return r;
}

static void __exit skel_module_exit(void)
{
	platform_device_unregister(skel_gpu);
	platform_driver_unregister(&skel_gpu_driver);
	mdev_unregister_driver(&skel_driver);
}

module_init(skel_module_init);
module_exit(skel_module_exit);

MODULE_DESCRIPTION("Skeleton of a vendor module for mdevgpu");
MODULE_LICENSE("GPL");
