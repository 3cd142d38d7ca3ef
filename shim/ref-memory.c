// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vGPU's framebuffer, and BAR1 as the window onto it.
 *
 * The framebuffer is a file in the kernel's own tmpfs: its pages come when they
 * are touched, are charged to who opened the vGPU, and are gone when it is
 * closed. Each opening gets a file of its own, so nobody ever sees what another
 * left behind, unless its type says that the vGPU keeps it.
 *
 * A mapping of BAR1 holds the vGPU open, as one of a real device does. Its pages
 * are put in as they are touched and taken out again when the window moves or
 * the memory is scrubbed. All mappings are linked to a file of their own, which
 * has no other use: the descriptor's may be one that half the kernel shares. As
 * those of a real BAR they are VM_IO: nobody gets hold of a page beyond the
 * mapping.
 */
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/memcontrol.h>
#include <linux/pagemap.h>
#include <linux/refcount.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "kernel-compat.h"
#include "ref-vgpu.h"

u64 ref_memory_size(const struct ref_vgpu *vgpu)
{
	return max(vgpu->definition.framebuffer, vgpu->bar1_size);
}

/* Pages in memory or swapped out */
u64 ref_memory_n_pages(const struct ref_vgpu *vgpu)
{
	return READ_ONCE(file_inode(vgpu->memory)->i_blocks) >>
	       (PAGE_SHIFT - SECTOR_SHIFT);
}

/* One that reads zero */
struct file *ref_memory_file(struct ref_vgpu *vgpu)
{
	return shmem_file_setup(REF_NAME, ref_memory_size(vgpu), VM_NORESERVE);
}

static struct file *ref_memory_exchange(struct ref_vgpu *vgpu,
					struct file *memory)
{
	struct ref_gpu *gpu = vgpu->type->set->gpu;
	struct file *old;

	spin_lock(&gpu->lock);
	old = vgpu->memory;
	vgpu->memory = memory;
	spin_unlock(&gpu->lock);

	return old;
}

/* With what there is from the last opening, if that was kept */
int ref_memory_new(struct ref_vgpu *vgpu)
{
	struct file *memory, *aperture;

	aperture = shmem_file_setup(REF_NAME, 0, VM_NORESERVE);
	if (IS_ERR(aperture))
		return PTR_ERR(aperture);

	if (!vgpu->memory) {
		memory = ref_memory_file(vgpu);
		if (IS_ERR(memory)) {
			fput(aperture);
			return PTR_ERR(memory);
		}
		ref_memory_exchange(vgpu, memory);
	}

	vgpu->aperture = aperture;
	vgpu->memcg = get_mem_cgroup_from_mm(current->mm);
	return 0;
}

/* @keep: but what is in it */
void ref_memory_free(struct ref_vgpu *vgpu, bool keep)
{
	struct file *memory;

	memory = keep ? NULL : ref_memory_exchange(vgpu, NULL);
	if (memory)
		fput(memory);

	if (vgpu->aperture)
		fput(vgpu->aperture);
	vgpu->aperture = NULL;
	mem_cgroup_put(vgpu->memcg);
	vgpu->memcg = NULL;
}

/* Another one takes its place, mapped or not; *@memory is the old one then. */
void ref_memory_replace(struct ref_vgpu *vgpu, struct file **memory)
{
	down_write(&vgpu->memory_lock);
	ref_memory_unmap(vgpu);
	*memory = ref_memory_exchange(vgpu, *memory);
	up_write(&vgpu->memory_lock);
}

void ref_memory_unmap(struct ref_vgpu *vgpu)
{
	lockdep_assert_held_write(&vgpu->memory_lock);

	unmap_mapping_range(vgpu->aperture->f_mapping, 0, 0, 1);
}

/* From here on all of it reads zero, mapped or not. */
void ref_memory_scrub(struct ref_vgpu *vgpu)
{
	down_write(&vgpu->memory_lock);
	ref_memory_unmap(vgpu);
	vgpu->window = 0;
	shmem_truncate_range(file_inode(vgpu->memory), 0, -1);
	up_write(&vgpu->memory_lock);
}

/* A window that would show what is behind the memory's end is moved to it. */
void ref_memory_set_window(struct ref_vgpu *vgpu, u32 page)
{
	u64 last = ref_memory_size(vgpu) - vgpu->bar1_size;

	lockdep_assert_held(&vgpu->lock);

	down_write(&vgpu->memory_lock);
	ref_memory_unmap(vgpu);
	vgpu->window = min_t(u64, (u64)page * SZ_4K, last);
	up_write(&vgpu->memory_lock);
}

/* A page of a framebuffer that may be the vGPU's; to be put */
struct page *ref_memory_page_of(struct ref_vgpu *vgpu, struct file *memory,
				u64 at)
{
	struct mem_cgroup *old;
	struct page *page;

	old = set_active_memcg(vgpu->memcg);
	page = shmem_read_mapping_page(memory->f_mapping, at >> PAGE_SHIFT);
	set_active_memcg(old);
	return page;
}

static struct page *ref_memory_lookup(struct ref_vgpu *vgpu, u64 at)
{
	lockdep_assert_held(&vgpu->memory_lock);

	return ref_memory_page_of(vgpu, vgpu->memory, at);
}

/*
 * The page at an offset in the framebuffer. To be put; it may be out of the
 * framebuffer by then, and whoever writes to it writes to nowhere. After a write
 * comes ref_dirty_mark().
 */
struct page *ref_memory_get_page(struct ref_vgpu *vgpu, u64 at)
{
	struct page *page;

	down_read(&vgpu->memory_lock);
	page = ref_memory_lookup(vgpu, at);
	up_read(&vgpu->memory_lock);

	return page;
}

/* The same at an offset in BAR1; *@ret_at is where that is in the framebuffer. */
struct page *ref_memory_get_window_page(struct ref_vgpu *vgpu, u64 at,
					u64 *ret_at)
{
	struct page *page;

	down_read(&vgpu->memory_lock);
	*ret_at = vgpu->window + at;
	page = ref_memory_lookup(vgpu, *ret_at);
	up_read(&vgpu->memory_lock);

	return page;
}

/* What a mapping holds; shared by those that it is split into or copied to */
struct ref_mapping {
	refcount_t ref;
	struct ref_vgpu *vgpu;
	struct file *user;		/* keeps the vGPU open */
};

static void ref_mapping_open(struct vm_area_struct *vma)
{
	struct ref_mapping *mapping = vma->vm_private_data;

	refcount_inc(&mapping->ref);
}

static void ref_mapping_close(struct vm_area_struct *vma)
{
	struct ref_mapping *mapping = vma->vm_private_data;

	if (!refcount_dec_and_test(&mapping->ref))
		return;

	/* Only later, and from elsewhere, may this close the vGPU. */
	fput(mapping->user);
	kfree(mapping);
}

/*
 * The page is mapped before the lock is given back, so that who takes pages away
 * finds it.
 */
static vm_fault_t ref_mapping_fault(struct vm_fault *vmf)
{
	struct ref_mapping *mapping = vmf->vma->vm_private_data;
	struct ref_vgpu *vgpu = mapping->vgpu;
	u64 at = (u64)vmf->pgoff << PAGE_SHIFT;
	struct page *page;
	vm_fault_t r;

	down_read(&vgpu->memory_lock);
	page = ref_memory_lookup(vgpu, vgpu->window + at);
	if (IS_ERR(page)) {
		r = vmf_error(PTR_ERR(page));
	} else {
		r = vmf_insert_page(vmf->vma, vmf->address, page);
		put_page(page);
	}
	up_read(&vgpu->memory_lock);

	return r;
}

static vm_fault_t ref_mapping_make_writable(struct vm_fault *vmf)
{
	struct ref_mapping *mapping = vmf->vma->vm_private_data;

	return ref_dirty_make_writable(mapping->vgpu, vmf);
}

/* With page_mkwrite a page is first mapped for reading, whatever it is for. */
static const struct vm_operations_struct ref_mapping_ops = {
	.open = ref_mapping_open,
	.close = ref_mapping_close,
	.fault = ref_mapping_fault,
	.page_mkwrite = ref_mapping_make_writable,
};

/* @vma's offset is one in BAR1, and all of it lies within. */
int ref_memory_mmap(struct ref_vgpu *vgpu, struct vm_area_struct *vma)
{
	struct ref_mapping *mapping;

	mapping = kzalloc(sizeof(*mapping), GFP_KERNEL_ACCOUNT);
	if (!mapping)
		return -ENOMEM;

	refcount_set(&mapping->ref, 1);
	mapping->vgpu = vgpu;
	mapping->user = get_file(vma->vm_file);

	vma_set_file(vma, vgpu->aperture);
	vma->vm_private_data = mapping;
	vma->vm_ops = &ref_mapping_ops;
	vm_flags_set(vma, VM_IO | VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP);
	return 0;
}
