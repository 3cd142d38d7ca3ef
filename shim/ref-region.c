// SPDX-License-Identifier: GPL-2.0-only
/*
 * The regions of a vGPU as VFIO numbers them: configuration space, BAR0 with
 * registers, BAR1 with memory. Offsets and sizes are whatever a hostile user
 * says.
 */
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "kernel-compat.h"
#include "ref-vgpu.h"

/* As vfio-pci does it: the region's index above, the offset in it below */
#define REF_REGION_SHIFT	40
#define REF_REGION_MASK		((1ULL << REF_REGION_SHIFT) - 1)

/* Configuration space and registers; the copy engine has been stopped. */
void ref_region_reset(struct ref_vgpu *vgpu)
{
	mutex_lock(&vgpu->lock);
	ref_config_reset(vgpu);
	vgpu->scratch = 0;
	vgpu->irq_count = 0;
	vgpu->dma = 0;
	vgpu->offset = 0;
	vgpu->length = 0;
	vgpu->pattern = 0;
	ref_engine_forget(vgpu);
	mutex_unlock(&vgpu->lock);
}

static u64 ref_region_size(const struct ref_vgpu *vgpu, u64 index)
{
	switch (index) {
	case VFIO_PCI_CONFIG_REGION_INDEX:
		return REF_CONFIG_SIZE;
	case VFIO_PCI_BAR0_REGION_INDEX:
		return REF_BAR0_SIZE;
	case VFIO_PCI_BAR1_REGION_INDEX:
		return vgpu->bar1_size;
	default:
		return 0;
	}
}

static bool ref_region_mappable(const struct ref_vgpu *vgpu, u64 index)
{
	return index == VFIO_PCI_BAR1_REGION_INDEX &&
	       IS_ALIGNED(vgpu->bar1_size, PAGE_SIZE);
}

int ref_region_info(struct ref_vgpu *vgpu, struct vfio_region_info *info)
{
	if (info->index >= VFIO_PCI_NUM_REGIONS)
		return -EINVAL;

	info->flags = 0;
	info->cap_offset = 0;
	info->offset = (u64)info->index << REF_REGION_SHIFT;
	info->size = ref_region_size(vgpu, info->index);
	if (info->size)
		info->flags = VFIO_REGION_INFO_FLAG_READ |
			      VFIO_REGION_INFO_FLAG_WRITE;
	if (ref_region_mappable(vgpu, info->index))
		info->flags |= VFIO_REGION_INFO_FLAG_MMAP;

	return 0;
}

static u32 ref_engine_reg_read(struct ref_vgpu *vgpu, u64 reg)
{
	switch (reg) {
	case REF_REG_DMA_LOW:
		return lower_32_bits(vgpu->dma);
	case REF_REG_DMA_HIGH:
		return upper_32_bits(vgpu->dma);
	case REF_REG_OFFSET_LOW:
		return lower_32_bits(vgpu->offset);
	case REF_REG_OFFSET_HIGH:
		return upper_32_bits(vgpu->offset);
	case REF_REG_LENGTH:
		return vgpu->length;
	case REF_REG_PATTERN:
		return vgpu->pattern;
	case REF_REG_STATUS:
		return vgpu->job.status;
	case REF_REG_DONE:
		return vgpu->job.done;
	default:
		return 0;
	}
}

static void ref_engine_reg_write(struct ref_vgpu *vgpu, u64 reg, u32 value)
{
	switch (reg) {
	case REF_REG_DMA_LOW:
		vgpu->dma = (vgpu->dma & ~(u64)U32_MAX) | value;
		break;
	case REF_REG_DMA_HIGH:
		vgpu->dma = lower_32_bits(vgpu->dma) | (u64)value << 32;
		break;
	case REF_REG_OFFSET_LOW:
		vgpu->offset = (vgpu->offset & ~(u64)U32_MAX) | value;
		break;
	case REF_REG_OFFSET_HIGH:
		vgpu->offset = lower_32_bits(vgpu->offset) | (u64)value << 32;
		break;
	case REF_REG_LENGTH:
		vgpu->length = value;
		break;
	case REF_REG_PATTERN:
		vgpu->pattern = value;
		break;
	case REF_REG_COMMAND:
		if (value == REF_COMMAND_STOP)
			ref_engine_ask_stop(vgpu);
		else
			ref_engine_start(vgpu, value);
		break;
	}
}

static u32 ref_reg_read(struct ref_vgpu *vgpu, u64 reg)
{
	const struct mdevgpu_type *t = &vgpu->definition;

	switch (reg) {
	case REF_REG_MAGIC:
		return REF_MAGIC;
	case REF_REG_VERSION:
		return REF_REGS_VERSION;
	case REF_REG_TYPE:
		return t->id;
	case REF_REG_FRAMEBUFFER:
		return min_t(u64, t->framebuffer / SZ_1M, U32_MAX);
	case REF_REG_HEADS:
		return t->heads;
	case REF_REG_FLAGS:
		return t->flags & ~MDEVGPU_TYPE_KEEP_STATE;
	case REF_REG_SCRATCH:
		return vgpu->scratch;
	case REF_REG_IRQ:
		return vgpu->irq_count;
	case REF_REG_WINDOW:
		return vgpu->window / SZ_4K;
	default:
		return ref_engine_reg_read(vgpu, reg);
	}
}

static void ref_reg_write(struct ref_vgpu *vgpu, u64 reg, u32 value)
{
	if (ref_migration_is_stopped(vgpu))
		return;

	switch (reg) {
	case REF_REG_SCRATCH:
		vgpu->scratch = value;
		break;
	case REF_REG_IRQ:
		vgpu->irq_count++;
		ref_irq_raise(vgpu);
		break;
	case REF_REG_WINDOW:
		ref_memory_set_window(vgpu, value);
		break;
	default:
		ref_engine_reg_write(vgpu, reg, value);
	}
}

/* One aligned register, or single bytes of one where a word does not fit */
static size_t ref_bar0_chunk(u64 at, size_t count)
{
	return IS_ALIGNED(at, sizeof(u32)) && count >= sizeof(u32) ?
	       sizeof(u32) : 1;
}

static size_t ref_bar0_read(struct ref_vgpu *vgpu, u64 at, u8 *to, size_t count)
{
	size_t chunk = ref_bar0_chunk(at, count);
	u8 word[sizeof(u32)];

	put_unaligned_le32(ref_reg_read(vgpu, ALIGN_DOWN(at, sizeof(u32))),
			   word);
	memcpy(to, word + at % sizeof(u32), chunk);
	return chunk;
}

/* A register is written whole: single bytes are dropped. */
static size_t ref_bar0_write(struct ref_vgpu *vgpu, u64 at, const u8 *from,
			     size_t count)
{
	size_t chunk = ref_bar0_chunk(at, count);

	if (chunk == sizeof(u32))
		ref_reg_write(vgpu, at, get_unaligned_le32(from));
	return chunk;
}

static void ref_config_rw(struct ref_vgpu *vgpu, u8 *bytes, u64 at,
			     size_t count, bool write)
{
	size_t i;

	if (!write)
		memcpy(bytes, vgpu->config + at, count);

	for (i = 0; write && i < count; i++)
		ref_config_write(vgpu, at + i, bytes[i]);
}

static void ref_bar0_rw(struct ref_vgpu *vgpu, u8 *bytes, u64 at,
			size_t count, bool write)
{
	size_t done = 0;

	while (done < count)
		done += write ?
			ref_bar0_write(vgpu, at + done, bytes + done,
				       count - done) :
			ref_bar0_read(vgpu, at + done, bytes + done,
				      count - done);
}

/* The small regions, by way of a buffer so that no fault is taken locked */
static ssize_t ref_small_rw(struct ref_vgpu *vgpu, u64 index, u64 at,
			    char __user *buf, size_t count, bool write)
{
	u8 bytes[REF_CONFIG_SIZE];

	count = min(count, sizeof(bytes));
	if (write && copy_from_user(bytes, buf, count))
		return -EFAULT;

	mutex_lock(&vgpu->lock);
	if (index == VFIO_PCI_CONFIG_REGION_INDEX)
		ref_config_rw(vgpu, bytes, at, count, write);
	else
		ref_bar0_rw(vgpu, bytes, at, count, write);
	mutex_unlock(&vgpu->lock);

	if (!write && copy_to_user(buf, bytes, count))
		return -EFAULT;

	return count;
}

/* At most up to the end of a page */
static ssize_t ref_memory_rw(struct ref_vgpu *vgpu, u64 at, char __user *buf,
			     size_t count, bool write)
{
	size_t offset = offset_in_page(at);
	unsigned long left;
	struct page *page;
	void *p;

	count = min_t(size_t, count, PAGE_SIZE - offset);
	page = ref_memory_get_window_page(vgpu, at, &at);
	if (IS_ERR(page))
		return PTR_ERR(page);

	p = kmap_local_page(page);
	left = write ? copy_from_user(p + offset, buf, count) :
		       copy_to_user(buf, p + offset, count);
	kunmap_local(p);
	if (write) {
		set_page_dirty_lock(page);
		ref_dirty_mark(vgpu, at);
	}
	put_page(page);

	return left ? -EFAULT : count;
}

static ssize_t ref_region_rw(struct ref_vgpu *vgpu, char __user *buf,
			     size_t count, loff_t *ppos, bool write)
{
	u64 index = (u64)*ppos >> REF_REGION_SHIFT;
	u64 at = *ppos & REF_REGION_MASK;
	u64 size = ref_region_size(vgpu, index);
	size_t done = 0;
	ssize_t r = 0;

	if (*ppos < 0 || at >= size)
		return -EINVAL;
	count = min_t(u64, count, size - at);

	while (done < count) {
		if (index == VFIO_PCI_BAR1_REGION_INDEX)
			r = ref_memory_rw(vgpu, at + done, buf + done,
					  count - done, write);
		else
			r = ref_small_rw(vgpu, index, at + done, buf + done,
					 count - done, write);
		if (r < 0)
			break;

		done += r;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}

	*ppos += done;
	return done ? done : r;
}

ssize_t ref_region_read(struct vfio_device *vdev, char __user *buf,
			size_t count, loff_t *ppos)
{
	return ref_region_rw(to_ref_vgpu(vdev), buf, count, ppos, false);
}

ssize_t ref_region_write(struct vfio_device *vdev, const char __user *buf,
			 size_t count, loff_t *ppos)
{
	return ref_region_rw(to_ref_vgpu(vdev), (char __user *)buf, count, ppos,
			     true);
}

int ref_region_mmap(struct vfio_device *vdev, struct vm_area_struct *vma)
{
	struct ref_vgpu *vgpu = to_ref_vgpu(vdev);
	u64 shift = REF_REGION_SHIFT - PAGE_SHIFT;
	u64 index = vma->vm_pgoff >> shift;
	u64 first = vma->vm_pgoff & ((1ULL << shift) - 1);
	u64 pages = vgpu->bar1_size >> PAGE_SHIFT;

	if (!ref_region_mappable(vgpu, index) || !(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (first >= pages || vma_pages(vma) > pages - first)
		return -EINVAL;

	vma->vm_pgoff = first;
	return ref_memory_mmap(vgpu, vma);
}
