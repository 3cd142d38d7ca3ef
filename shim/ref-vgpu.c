// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vGPU's life: made by a write to its type's `create`, opened by one user
 * after another, removed.
 *
 * It takes its share of the GPU in init and gives it back in release, which
 * VFIO calls once each, in that order, whatever happens in between.
 */
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "kernel-compat.h"
#include "ref-vgpu.h"

static int ref_vgpu_init(struct vfio_device *vdev)
{
	struct ref_vgpu *vgpu = to_ref_vgpu(vdev);
	struct mdev_device *mdev = to_mdev_device(vdev->dev);
	struct ref_type *type = container_of(mdev->type, struct ref_type, mdev);
	int r;

	/* The text form, which is also the mdev's name, has the bytes in order. */
	r = uuid_parse(dev_name(&mdev->dev), &vgpu->uuid);
	if (r)
		return r;

	r = ref_migration_init(vgpu);
	if (r)
		return r;

	r = ref_usage_take(type, vgpu);
	if (r) {
		ref_migration_put(vgpu->migration);
		return r;
	}

	ref_set_get(type->set);
	vgpu->bar1_size = ref_type_bar1_size(&vgpu->definition);
	mutex_init(&vgpu->lock);
	init_rwsem(&vgpu->memory_lock);
	ref_engine_prepare(vgpu);
	return 0;
}

static void ref_vgpu_release(struct vfio_device *vdev)
{
	struct ref_vgpu *vgpu = to_ref_vgpu(vdev);
	struct ref_type_set *set = vgpu->type->set;

	ref_memory_free(vgpu, /* keep= */ false);
	ref_migration_put(vgpu->migration);
	mutex_destroy(&vgpu->lock);
	ref_usage_give_back(vgpu);
	ref_set_put(set);
	mdevgpu_vfio_free_device(vdev);
}

static int ref_vgpu_open(struct vfio_device *vdev)
{
	struct ref_vgpu *vgpu = to_ref_vgpu(vdev);
	int r;

	r = ref_memory_new(vgpu);
	if (r)
		return r;

	if (!vgpu->kept)
		ref_vgpu_reset(vgpu);
	ref_usage_open(vgpu);
	return 0;
}

static void ref_vgpu_close(struct vfio_device *vdev)
{
	struct ref_vgpu *vgpu = to_ref_vgpu(vdev);
	bool whole;

	whole = ref_migration_close(vgpu);
	vgpu->kept = whole &&
		     vgpu->definition.flags & MDEVGPU_TYPE_KEEP_STATE;
	ref_usage_close(vgpu);
	ref_irq_release(vgpu);
	ref_memory_free(vgpu, vgpu->kept);
}

static int ref_vgpu_get_info(void __user *uargs)
{
	size_t size = offsetofend(struct vfio_device_info, num_irqs);
	struct vfio_device_info info;

	if (copy_from_user(&info, uargs, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;

	info.flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	info.num_regions = VFIO_PCI_NUM_REGIONS;
	info.num_irqs = VFIO_PCI_NUM_IRQS;
	return copy_to_user(uargs, &info, size) ? -EFAULT : 0;
}

static int ref_vgpu_get_region_info(struct ref_vgpu *vgpu, void __user *uargs)
{
	size_t size = offsetofend(struct vfio_region_info, offset);
	struct vfio_region_info info;
	int r;

	if (copy_from_user(&info, uargs, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;

	r = ref_region_info(vgpu, &info);
	if (r)
		return r;

	return copy_to_user(uargs, &info, size) ? -EFAULT : 0;
}

static int ref_vgpu_get_irq_info(void __user *uargs)
{
	size_t size = offsetofend(struct vfio_irq_info, count);
	struct vfio_irq_info info;
	int r;

	if (copy_from_user(&info, uargs, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;

	r = ref_irq_info(&info);
	if (r)
		return r;

	return copy_to_user(uargs, &info, size) ? -EFAULT : 0;
}

static long ref_vgpu_ioctl(struct vfio_device *vdev, unsigned int cmd,
			   unsigned long arg)
{
	struct ref_vgpu *vgpu = to_ref_vgpu(vdev);
	void __user *uargs = (void __user *)arg;

	switch (cmd) {
	case VFIO_DEVICE_GET_INFO:
		return ref_vgpu_get_info(uargs);
	case VFIO_DEVICE_GET_REGION_INFO:
		return ref_vgpu_get_region_info(vgpu, uargs);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return ref_vgpu_get_irq_info(uargs);
	case VFIO_DEVICE_SET_IRQS:
		return ref_irq_set(vgpu, uargs);
	case VFIO_DEVICE_RESET:
		ref_vgpu_reset(vgpu);
		return 0;
	default:
		return -ENOTTY;
	}
}

static const struct vfio_device_ops ref_vgpu_ops = {
	.name = REF_NAME,
	.init = ref_vgpu_init,
	.release = ref_vgpu_release,
	MDEVGPU_VFIO_EMULATED_IOMMUFD_OPS
	.open_device = ref_vgpu_open,
	.close_device = ref_vgpu_close,
	.read = ref_region_read,
	.write = ref_region_write,
	.mmap = ref_region_mmap,
	.ioctl = ref_vgpu_ioctl,
	.request = ref_irq_request,
};

static int ref_vgpu_probe(struct mdev_device *mdev)
{
	struct ref_vgpu *vgpu;
	int r;

	vgpu = vfio_alloc_device(ref_vgpu, vdev, &mdev->dev, &ref_vgpu_ops);
	if (IS_ERR(vgpu))
		return PTR_ERR(vgpu);

	dev_set_drvdata(&mdev->dev, vgpu);
	r = vfio_register_emulated_iommu_dev(&vgpu->vdev);
	if (r)
		vfio_put_device(&vgpu->vdev);
	return r;
}

static void ref_vgpu_remove(struct mdev_device *mdev)
{
	struct ref_vgpu *vgpu = dev_get_drvdata(&mdev->dev);

	vfio_unregister_group_dev(&vgpu->vdev);
	vfio_put_device(&vgpu->vdev);
}

static unsigned int ref_vgpu_get_available(struct mdev_type *mtype)
{
	return ref_usage_available(container_of(mtype, struct ref_type, mdev));
}

/* The form that tools for NVIDIA's types parse */
static ssize_t ref_vgpu_show_description(struct mdev_type *mtype, char *buf)
{
	struct ref_type *type = container_of(mtype, struct ref_type, mdev);
	struct mdevgpu_type t;

	spin_lock(&type->set->gpu->lock);
	t = type->definition;
	spin_unlock(&type->set->gpu->lock);

	return sysfs_emit(buf, "num_heads=%u, frl_config=%u, framebuffer=%lluM, max_resolution=%ux%u, max_instance=%u\n",
			  t.heads, t.frame_limit, t.framebuffer / SZ_1M,
			  t.max_width, t.max_height, t.max_instances);
}

struct mdev_driver ref_vgpu_driver = {
	.device_api = VFIO_DEVICE_API_PCI_STRING,
	.probe = ref_vgpu_probe,
	.remove = ref_vgpu_remove,
	.get_available = ref_vgpu_get_available,
	.show_description = ref_vgpu_show_description,
	.driver = {
		.name = REF_NAME,
		.owner = THIS_MODULE,
		.mod_name = KBUILD_MODNAME,
	},
};
