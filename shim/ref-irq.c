// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a vGPU signals to its user: one MSI vector, and the request to let go
 * of it, which comes when the vGPU is being removed while it is open.
 */
#include <linux/err.h>
#include <linux/eventfd.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "kernel-compat.h"
#include "ref-vgpu.h"

static int ref_irq_count(u32 index)
{
	return index == VFIO_PCI_MSI_IRQ_INDEX ||
	       index == VFIO_PCI_REQ_IRQ_INDEX;
}

int ref_irq_info(struct vfio_irq_info *info)
{
	if (info->index >= VFIO_PCI_NUM_IRQS)
		return -EINVAL;

	info->count = ref_irq_count(info->index);
	info->flags = info->count ?
		      VFIO_IRQ_INFO_EVENTFD | VFIO_IRQ_INFO_NORESIZE : 0;
	return 0;
}

static void ref_irq_replace(struct eventfd_ctx **slot, struct eventfd_ctx *ctx)
{
	if (*slot)
		eventfd_ctx_put(*slot);
	*slot = ctx;
}

static int ref_irq_set_eventfd(struct eventfd_ctx **slot, s32 fd)
{
	struct eventfd_ctx *ctx = NULL;

	if (fd >= 0) {
		ctx = eventfd_ctx_fdget(fd);
		if (IS_ERR(ctx))
			return PTR_ERR(ctx);
	} else if (fd != -1) {
		return -EINVAL;
	}

	ref_irq_replace(slot, ctx);
	return 0;
}

static int ref_irq_trigger(struct eventfd_ctx **slot,
			   const struct vfio_irq_set *set, const void *data)
{
	switch (set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
	case VFIO_IRQ_SET_DATA_NONE:
		if (!set->count)
			ref_irq_replace(slot, NULL);
		else if (*slot)
			mdevgpu_eventfd_signal(*slot);
		return 0;
	case VFIO_IRQ_SET_DATA_BOOL:
		if (set->count && *(const u8 *)data && *slot)
			mdevgpu_eventfd_signal(*slot);
		return 0;
	case VFIO_IRQ_SET_DATA_EVENTFD:
		if (!set->count)
			return -EINVAL;
		return ref_irq_set_eventfd(slot, *(const s32 *)data);
	default:
		return -EINVAL;
	}
}

int ref_irq_set(struct ref_vgpu *vgpu, void __user *uargs)
{
	size_t head = offsetofend(struct vfio_irq_set, count), size;
	struct vfio_irq_set set;
	u8 *data = NULL;
	int r;

	if (copy_from_user(&set, uargs, head))
		return -EFAULT;

	r = vfio_set_irqs_validate_and_prepare(&set, ref_irq_count(set.index),
					       VFIO_PCI_NUM_IRQS, &size);
	if (r)
		return r;

	if ((set.flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) !=
	    VFIO_IRQ_SET_ACTION_TRIGGER)
		return -EINVAL;

	if (size) {
		data = memdup_user(uargs + head, size);
		if (IS_ERR(data))
			return PTR_ERR(data);
	}

	mutex_lock(&vgpu->lock);
	r = ref_irq_trigger(set.index == VFIO_PCI_MSI_IRQ_INDEX ?
			    &vgpu->msi : &vgpu->request, &set, data);
	mutex_unlock(&vgpu->lock);

	kfree(data);
	return r;
}

/* Called with the vGPU's lock held */
void ref_irq_raise(struct ref_vgpu *vgpu)
{
	if (vgpu->msi && ref_config_msi_enabled(vgpu))
		mdevgpu_eventfd_signal(vgpu->msi);
}

/* VFIO calls this again and again until the user has closed. */
void ref_irq_request(struct vfio_device *vdev, unsigned int count)
{
	struct ref_vgpu *vgpu = to_ref_vgpu(vdev);

	mutex_lock(&vgpu->lock);
	if (vgpu->request)
		mdevgpu_eventfd_signal(vgpu->request);
	mutex_unlock(&vgpu->lock);
}

void ref_irq_release(struct ref_vgpu *vgpu)
{
	mutex_lock(&vgpu->lock);
	ref_irq_replace(&vgpu->msi, NULL);
	ref_irq_replace(&vgpu->request, NULL);
	mutex_unlock(&vgpu->lock);
}
