// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which pages of a framebuffer have yet to be sent, while its vGPU works on.
 *
 * There are three who write. The copy engine and write() on BAR1 say so after
 * they have written; a page that is sent in between is sent again. Mappings say
 * nothing, so a page is taken out of them before it is read for sending, and the
 * next write to it is one that the kernel asks about (page_mkwrite). Comparing
 * with what was sent would need as much memory again, and the processor's dirty
 * bits are cleared by whoever cleans the page. Nobody can pin such a page and
 * write to it later: the mapping is VM_IO, as one of a real BAR is.
 *
 * The page lock is what the kernel holds from page_mkwrite until the page is
 * writable. Whoever takes a page out of mappings takes it as well: else the page
 * could be sent, and mapped for reading, in between, and be made writable by the
 * first one's right. The memory's lock comes before it.
 */
#include <linux/atomic.h>
#include <linux/bitops.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/slab.h>

#include "ref-image.h"
#include "ref-vgpu.h"

struct ref_dirty {
	u64 n_pages;
	atomic64_t n_dirty;
	unsigned long bits[];
};

static void ref_dirty_mark_locked(struct ref_vgpu *vgpu, u64 at)
{
	struct ref_dirty *dirty = vgpu->dirty;

	lockdep_assert_held(&vgpu->memory_lock);

	if (!dirty || test_and_set_bit(at >> PAGE_SHIFT, dirty->bits))
		return;
	if (atomic64_inc_return(&dirty->n_dirty) == 1)
		wake_up_interruptible(&vgpu->migration->wait);
}

/* A page of the framebuffer has been written to. */
void ref_dirty_mark(struct ref_vgpu *vgpu, u64 at)
{
	down_read(&vgpu->memory_lock);
	ref_dirty_mark_locked(vgpu, at);
	up_read(&vgpu->memory_lock);
}

/* A page that is mapped for reading is to be written to. */
vm_fault_t ref_dirty_make_writable(struct ref_vgpu *vgpu, struct vm_fault *vmf)
{
	u64 at = (u64)vmf->pgoff << PAGE_SHIFT;
	struct page *page = vmf->page;
	vm_fault_t r = VM_FAULT_LOCKED;

	down_read(&vgpu->memory_lock);
	lock_page(page);
	if (page_folio(page)->mapping == vgpu->memory->f_mapping) {
		ref_dirty_mark_locked(vgpu, vgpu->window + at);
	} else {
		/* It has been taken away since. */
		unlock_page(page);
		r = VM_FAULT_NOPAGE;
	}
	up_read(&vgpu->memory_lock);

	return r;
}

/* All that is not a hole. What is written from here on is marked already. */
static void ref_dirty_mark_all(struct ref_vgpu *vgpu)
{
	loff_t at = 0, end;

	while ((at = vfs_llseek(vgpu->memory, at, SEEK_DATA)) >= 0) {
		end = vfs_llseek(vgpu->memory, at, SEEK_HOLE);
		for (; at < end; at += PAGE_SIZE)
			ref_dirty_mark(vgpu, at);
		if (end < 0)
			return;
	}
}

int ref_dirty_start(struct ref_vgpu *vgpu)
{
	u64 n_pages = ref_memory_size(vgpu) >> PAGE_SHIFT;
	struct ref_dirty *dirty;

	dirty = kvzalloc(struct_size(dirty, bits, BITS_TO_LONGS(n_pages)),
			 GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!dirty)
		return -ENOMEM;
	dirty->n_pages = n_pages;

	down_write(&vgpu->memory_lock);
	ref_memory_unmap(vgpu);
	vgpu->dirty = dirty;
	up_write(&vgpu->memory_lock);

	ref_dirty_mark_all(vgpu);
	return 0;
}

void ref_dirty_stop(struct ref_vgpu *vgpu)
{
	struct ref_dirty *dirty = vgpu->dirty;

	down_write(&vgpu->memory_lock);
	vgpu->dirty = NULL;
	up_write(&vgpu->memory_lock);
	kvfree(dirty);
}

u64 ref_dirty_count(const struct ref_vgpu *vgpu)
{
	return vgpu->dirty ? atomic64_read(&vgpu->dirty->n_dirty) : 0;
}

/* From here on a write to the page marks it. */
static void ref_dirty_clear(struct ref_vgpu *vgpu, u64 at, struct page *page)
{
	down_write(&vgpu->memory_lock);
	lock_page(page);
	if (test_and_clear_bit(at >> PAGE_SHIFT, vgpu->dirty->bits))
		atomic64_dec(&vgpu->dirty->n_dirty);
	if (at >= vgpu->window && at - vgpu->window < vgpu->bar1_size)
		unmap_mapping_range(vgpu->aperture->f_mapping,
				    at - vgpu->window, PAGE_SIZE, 1);
	unlock_page(page);
	up_write(&vgpu->memory_lock);
}

/*
 * The next page that has to be sent, from @at on or else from the beginning,
 * with its content; it is clean then. Where it is, or -ENOENT if there is none.
 */
s64 ref_dirty_take(struct ref_vgpu *vgpu, u64 at, void *content)
{
	struct ref_dirty *dirty = vgpu->dirty;
	struct page *page;
	u64 i;

	i = find_next_bit(dirty->bits, dirty->n_pages, at >> PAGE_SHIFT);
	if (i >= dirty->n_pages)
		i = find_first_bit(dirty->bits, dirty->n_pages);
	if (i >= dirty->n_pages)
		return -ENOENT;

	at = i << PAGE_SHIFT;
	page = ref_memory_get_page(vgpu, at);
	if (IS_ERR(page))
		return PTR_ERR(page);

	ref_dirty_clear(vgpu, at, page);
	memcpy_from_page(content, page, 0, REF_IMAGE_PAGE);
	put_page(page);
	return at;
}
