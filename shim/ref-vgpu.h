/* SPDX-License-Identifier: GPL-2.0-only */
/* One vGPU: a PCI function that VFIO hands to a guest. */
#ifndef _MDEVGPU_REF_VGPU_H
#define _MDEVGPU_REF_VGPU_H

#include <linux/mutex.h>
#include <linux/vfio.h>

#include "ref.h"

#define REF_CONFIG_SIZE		256

/*
 * BAR0: 32-bit registers, little-endian, the rest of the page reads 0.
 * docs/shim-abi.md has the same table.
 */
#define REF_BAR0_SIZE		4096
#define REF_REG_MAGIC		0x00	/* "MGPU" */
#define REF_REG_VERSION		0x04	/* of this table: 1 */
#define REF_REG_TYPE		0x08	/* id of the type */
#define REF_REG_FRAMEBUFFER	0x0c	/* MiB that the guest has */
#define REF_REG_HEADS		0x10
#define REF_REG_FLAGS		0x14	/* MDEVGPU_TYPE_* */
#define REF_REG_SCRATCH		0x18	/* keeps what is written, until reset */
#define REF_REG_IRQ		0x1c	/* a write raises the interrupt; reads how often */

#define REF_MAGIC		0x5550474d
#define REF_REGS_VERSION	1

struct ref_vgpu {
	struct vfio_device vdev;
	struct ref_type *type;		/* holds a reference to its set */
	struct mdevgpu_type definition;
	u64 bar1_size;

	/* From open to close; pages come as they are touched */
	struct file *memory;

	struct mutex lock;		/* protects all below */
	u8 config[REF_CONFIG_SIZE];
	u8 writable[REF_CONFIG_SIZE];
	u32 scratch;
	u32 irq_count;
	struct eventfd_ctx *msi;
	struct eventfd_ctx *request;
};

static inline struct ref_vgpu *to_ref_vgpu(struct vfio_device *vdev)
{
	return container_of(vdev, struct ref_vgpu, vdev);
}

/* ref-region.c */
int ref_memory_new(struct ref_vgpu *vgpu);
void ref_memory_free(struct ref_vgpu *vgpu);
void ref_vgpu_reset(struct ref_vgpu *vgpu);
int ref_region_info(struct ref_vgpu *vgpu, struct vfio_region_info *info);
ssize_t ref_region_read(struct vfio_device *vdev, char __user *buf,
			size_t count, loff_t *ppos);
ssize_t ref_region_write(struct vfio_device *vdev, const char __user *buf,
			 size_t count, loff_t *ppos);
int ref_region_mmap(struct vfio_device *vdev, struct vm_area_struct *vma);

/* ref-config.c */
void ref_config_reset(struct ref_vgpu *vgpu);
void ref_config_write(struct ref_vgpu *vgpu, unsigned int at, u8 value);
bool ref_config_msi_enabled(struct ref_vgpu *vgpu);

/* ref-irq.c */
int ref_irq_info(struct vfio_irq_info *info);
int ref_irq_set(struct ref_vgpu *vgpu, void __user *uargs);
void ref_irq_raise(struct ref_vgpu *vgpu);
void ref_irq_request(struct vfio_device *vdev, unsigned int count);
void ref_irq_release(struct ref_vgpu *vgpu);

#endif
