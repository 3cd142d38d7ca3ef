/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between Linux 6.1 and 6.12, and nothing else. */
#ifndef _MDEVGPU_KERNEL_COMPAT_H
#define _MDEVGPU_KERNEL_COMPAT_H

#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/version.h>

/* 6.12: moved */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/unaligned.h>
#else
#include <asm/unaligned.h>
#endif

/* 6.2: the devnode callback gets a const device */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define MDEVGPU_DEVNODE_CONST	const
#else
#define MDEVGPU_DEVNODE_CONST
#endif

/* 6.2: VFIO devices can be bound to an iommufd */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define MDEVGPU_VFIO_EMULATED_IOMMUFD_OPS				\
	.bind_iommufd = vfio_iommufd_emulated_bind,			\
	.unbind_iommufd = vfio_iommufd_emulated_unbind,			\
	.attach_ioas = vfio_iommufd_emulated_attach_ioas,		\
	.detach_ioas = vfio_iommufd_emulated_detach_ioas,
#else
#define MDEVGPU_VFIO_EMULATED_IOMMUFD_OPS
#endif

/* 6.2: VFIO frees a device itself; before, the driver's release did */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define mdevgpu_vfio_free_device(vdev)	do { } while (0)
#else
#define mdevgpu_vfio_free_device(vdev)	vfio_free_device(vdev)
#endif

/* 6.2: VFIO migration knows PRE_COPY, and how much there is to be sent */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
#define MDEVGPU_VFIO_PRE_COPY
#endif

/* 6.3: vm_flags can only be changed by functions */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}
#endif

/* 6.11: a platform driver's remove returns nothing */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define MDEVGPU_PLATFORM_REMOVE		void
#define MDEVGPU_PLATFORM_REMOVED
#else
#define MDEVGPU_PLATFORM_REMOVE		int
#define MDEVGPU_PLATFORM_REMOVED	0
#endif

/* 6.8: eventfd_signal() lost its counter */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define mdevgpu_eventfd_signal(ctx)	eventfd_signal(ctx)
#else
#define mdevgpu_eventfd_signal(ctx)	eventfd_signal(ctx, 1)
#endif

#endif
