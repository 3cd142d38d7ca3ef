/* SPDX-License-Identifier: GPL-2.0-only */
/* One vGPU: a PCI function that VFIO hands to a guest. */
#ifndef _MDEVGPU_REF_VGPU_H
#define _MDEVGPU_REF_VGPU_H

#include <linux/kref.h>
#include <linux/mm_types.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/vfio.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "kernel-compat.h"
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
#define REF_REG_WINDOW		0x20	/* page of the framebuffer that BAR1 begins at */

/* The copy engine */
#define REF_REG_DMA_LOW		0x40	/* address in the guest's memory */
#define REF_REG_DMA_HIGH	0x44
#define REF_REG_OFFSET_LOW	0x48	/* in the framebuffer */
#define REF_REG_OFFSET_HIGH	0x4c
#define REF_REG_LENGTH		0x50	/* bytes */
#define REF_REG_PATTERN		0x54	/* for REF_COMMAND_FILL */
#define REF_REG_COMMAND		0x58	/* a write starts it */
#define REF_REG_STATUS		0x5c
#define REF_REG_DONE		0x60	/* bytes of the command, so far */

#define REF_COMMAND_STOP	0
#define REF_COMMAND_READ	1	/* guest memory to framebuffer */
#define REF_COMMAND_WRITE	2	/* framebuffer to guest memory */
#define REF_COMMAND_FILL	3	/* the framebuffer, with the pattern */

#define REF_STATUS_IDLE		0
#define REF_STATUS_BUSY		1
#define REF_STATUS_DONE		2
#define REF_STATUS_FAULT	3	/* an address that is not mapped, or no memory */
#define REF_STATUS_INVALID	4	/* command, offset or length */

#define REF_MAGIC		0x5550474d
#define REF_REGS_VERSION	2

/* Error codes of the device, as MDEVGPU_EVENT_ERROR tells them */
#define REF_ERROR_DMA_FAULT	31	/* what NVIDIA's Xid calls a memory page fault */

/* A command of the copy engine. It is the worker's alone while it is on. */
struct ref_job {
	struct work_struct work;
	u64 dma;
	u64 offset;
	u64 length;
	u32 command;
	u32 pattern;

	/* By the vGPU's lock */
	u64 done;
	u32 status;
	bool held;			/* it may be busy, but nothing moves */
	bool active;			/* a worker has it, or will */

	/* By the GPU's lock */
	struct list_head entry;		/* among the GPU's jobs */
	u64 vtime;			/* work done, divided by the share */
	unsigned long begun;		/* jiffies at the start of the slice */

	bool stop;			/* by none */
};

#ifdef MDEVGPU_VFIO_PRE_COPY
#define REF_STATE_PRE_COPY	VFIO_DEVICE_STATE_PRE_COPY
#define REF_STATE_PRE_COPY_P2P	VFIO_DEVICE_STATE_PRE_COPY_P2P
#define REF_MIGRATION_FLAGS	(VFIO_MIGRATION_STOP_COPY | \
				 VFIO_MIGRATION_P2P | VFIO_MIGRATION_PRE_COPY)
#else
/* States that such a kernel never asks for */
#define REF_STATE_PRE_COPY	((enum vfio_device_mig_state)6)
#define REF_STATE_PRE_COPY_P2P	((enum vfio_device_mig_state)7)
#define REF_MIGRATION_FLAGS	(VFIO_MIGRATION_STOP_COPY | VFIO_MIGRATION_P2P)
#endif

/* A vGPU's, and kept by each data descriptor that is still open */
struct ref_migration {
	struct kref ref;
	struct mutex lock;		/* before the vGPU's; over copying */
	wait_queue_head_t wait;		/* for more to be sent */

	/* By the lock */
	enum vfio_device_mig_state state;	/* changed under the vGPU's, too */
	struct ref_save *save;
	struct ref_resume *resume;
};

struct ref_vgpu {
	struct vfio_device vdev;
	struct ref_type *type;		/* holds a reference to its set */
	struct mdevgpu_type definition;	/* as it was when this was made */
	u64 bar1_size;
	uuid_t uuid;

	/* By the GPU's lock */
	struct list_head entry;		/* among the GPU's vGPUs */
	u64 cost;			/* of the GPU's framebuffer */
	u32 share;
	u32 opener;			/* pid; 0: not open */
	u64 busy;
	struct file *memory;		/* from open to close, or longer; by memory_lock, too */

	/*
	 * Shared: pages are looked up and mapped; exclusive: they are taken
	 * away, or another place of the memory shows.
	 */
	struct rw_semaphore memory_lock;
	struct file *aperture;		/* where BAR1's mappings are linked */
	struct mem_cgroup *memcg;	/* of who opened it */
	u64 window;			/* bytes; by both locks */
	struct ref_dirty *dirty;	/* while its state is being saved */

	struct ref_migration *migration;
	bool kept;			/* there is a state from the last opening */

	struct ref_job job;

	struct mutex lock;		/* protects all below */
	u8 config[REF_CONFIG_SIZE];
	u8 writable[REF_CONFIG_SIZE];
	u32 scratch;
	u32 irq_count;
	u64 dma;			/* registers of the copy engine */
	u64 offset;
	u32 length;
	u32 pattern;
	struct eventfd_ctx *msi;
	struct eventfd_ctx *request;
};

static inline struct ref_vgpu *to_ref_vgpu(struct vfio_device *vdev)
{
	return container_of(vdev, struct ref_vgpu, vdev);
}

/* ref-memory.c */
struct file *ref_memory_file(struct ref_vgpu *vgpu);
int ref_memory_new(struct ref_vgpu *vgpu);
void ref_memory_free(struct ref_vgpu *vgpu, bool keep);
void ref_memory_replace(struct ref_vgpu *vgpu, struct file **memory);
void ref_memory_unmap(struct ref_vgpu *vgpu);
void ref_memory_scrub(struct ref_vgpu *vgpu);
u64 ref_memory_size(const struct ref_vgpu *vgpu);
u64 ref_memory_n_pages(const struct ref_vgpu *vgpu);
void ref_memory_set_window(struct ref_vgpu *vgpu, u32 page);
struct page *ref_memory_page_of(struct ref_vgpu *vgpu, struct file *memory,
				u64 at);
struct page *ref_memory_get_page(struct ref_vgpu *vgpu, u64 at);
struct page *ref_memory_get_window_page(struct ref_vgpu *vgpu, u64 at,
					u64 *ret_at);
int ref_memory_mmap(struct ref_vgpu *vgpu, struct vm_area_struct *vma);

/* ref-dirty.c */
int ref_dirty_start(struct ref_vgpu *vgpu);
void ref_dirty_stop(struct ref_vgpu *vgpu);
void ref_dirty_mark(struct ref_vgpu *vgpu, u64 at);
vm_fault_t ref_dirty_make_writable(struct ref_vgpu *vgpu, struct vm_fault *vmf);
u64 ref_dirty_count(const struct ref_vgpu *vgpu);
s64 ref_dirty_take(struct ref_vgpu *vgpu, u64 at, void *content);

/* ref-engine.c */
void ref_engine_prepare(struct ref_vgpu *vgpu);
void ref_engine_start(struct ref_vgpu *vgpu, u32 command);
void ref_engine_ask_stop(struct ref_vgpu *vgpu);
void ref_engine_stop(struct ref_vgpu *vgpu);
void ref_engine_forget(struct ref_vgpu *vgpu);
void ref_engine_hold(struct ref_vgpu *vgpu);
void ref_engine_release(struct ref_vgpu *vgpu);

/* ref-migration.c */
int ref_migration_init(struct ref_vgpu *vgpu);
struct ref_migration *ref_migration_get(struct ref_migration *migration);
void ref_migration_put(struct ref_migration *migration);
bool ref_migration_is_stopped(const struct ref_vgpu *vgpu);
bool ref_migration_close(struct ref_vgpu *vgpu);
void ref_vgpu_reset(struct ref_vgpu *vgpu);

static inline bool ref_migration_precopies(enum vfio_device_mig_state state)
{
	return state == REF_STATE_PRE_COPY || state == REF_STATE_PRE_COPY_P2P;
}

/* ref-save.c */
struct file *ref_save_new(struct ref_vgpu *vgpu);
void ref_save_end(struct ref_vgpu *vgpu);
u64 ref_save_size(struct ref_vgpu *vgpu);

/* ref-resume.c */
struct file *ref_resume_new(struct ref_vgpu *vgpu);
int ref_resume_commit(struct ref_vgpu *vgpu);
void ref_resume_end(struct ref_vgpu *vgpu);

/* ref-image.c */
struct ref_image_header;
struct ref_image_device;
void ref_image_fill_header(const struct ref_vgpu *vgpu,
			   struct ref_image_header *header);
void ref_image_fill_device(struct ref_vgpu *vgpu,
			   struct ref_image_device *image);
bool ref_image_device_valid(struct ref_vgpu *vgpu,
			    const struct ref_image_device *image);
void ref_image_apply_device(struct ref_vgpu *vgpu,
			    const struct ref_image_device *image);

/* ref-region.c */
void ref_region_reset(struct ref_vgpu *vgpu);
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
