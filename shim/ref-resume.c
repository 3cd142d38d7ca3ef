// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vGPU's state, written to a data descriptor.
 *
 * Nothing of it reaches the vGPU before all of it has been looked at: pages go
 * to a framebuffer of their own, which takes the place of the vGPU's when the
 * session ends well. What that costs is a framebuffer at most, charged to who
 * opened the vGPU, however long the stream is.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/highmem.h>
#include <linux/kref.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "ref-image.h"
#include "ref-vgpu.h"

enum ref_resume_phase {
	REF_RESUME_HEADER,
	REF_RESUME_HEAD,	/* of a record */
	REF_RESUME_PAGE,
	REF_RESUME_DEVICE,
	REF_RESUME_CHECKSUM,
	REF_RESUME_DONE,
	REF_RESUME_FAILED,
};

/* One session. It is the vGPU's and the descriptor's, whoever goes last. */
struct ref_resume {
	struct kref ref;
	struct ref_migration *migration;

	/* By the migration's lock */
	struct ref_vgpu *vgpu;		/* NULL: the session is over */
	struct file *memory;		/* the framebuffer to be */
	enum ref_resume_phase phase;
	bool has_device;
	u64 at;				/* of the page that comes */
	u64 sum;
	size_t n, needed;		/* bytes in the buffer, and in all */
	struct ref_image_device device;
	union {
		struct ref_image_header header;
		struct ref_image_record head;
		struct ref_image_device device;
		__le64 checksum;
		u8 bytes[REF_IMAGE_PAGE];
	} buffer;
};

static void ref_resume_free(struct kref *ref)
{
	struct ref_resume *resume = container_of(ref, struct ref_resume, ref);

	if (resume->memory)
		fput(resume->memory);
	ref_migration_put(resume->migration);
	kfree(resume);
}

static void ref_resume_expect(struct ref_resume *resume,
			      enum ref_resume_phase phase, size_t needed)
{
	resume->phase = phase;
	resume->needed = needed;
	resume->n = 0;
}

static int ref_resume_take_header(struct ref_resume *resume)
{
	struct ref_image_header own;

	ref_image_fill_header(resume->vgpu, &own);
	return memcmp(&own, &resume->buffer.header, sizeof(own)) ? -EINVAL : 0;
}

/* What comes after a head, if the record may come now */
static int ref_resume_take_head(struct ref_resume *resume)
{
	const struct ref_image_record *head = &resume->buffer.head;
	u32 type = le32_to_cpu(head->type), length = le32_to_cpu(head->length);
	u64 at = le64_to_cpu(head->at);

	if (type == REF_RECORD_PAGE && !resume->has_device &&
	    length == REF_IMAGE_PAGE && IS_ALIGNED(at, REF_IMAGE_PAGE) &&
	    at < ref_memory_size(resume->vgpu)) {
		resume->at = at;
		ref_resume_expect(resume, REF_RESUME_PAGE, length);
		return 0;
	}

	if (type == REF_RECORD_DEVICE && !resume->has_device && !at &&
	    length == sizeof(struct ref_image_device)) {
		ref_resume_expect(resume, REF_RESUME_DEVICE, length);
		return 0;
	}

	if (type == REF_RECORD_END && resume->has_device && !at &&
	    length == sizeof(__le64)) {
		ref_resume_expect(resume, REF_RESUME_CHECKSUM, length);
		return 0;
	}

	return -EINVAL;
}

static int ref_resume_take_page(struct ref_resume *resume)
{
	struct page *page;

	page = ref_memory_page_of(resume->vgpu, resume->memory, resume->at);
	if (IS_ERR(page))
		return PTR_ERR(page);

	memcpy_to_page(page, 0, resume->buffer.bytes, REF_IMAGE_PAGE);
	set_page_dirty_lock(page);
	put_page(page);
	return 0;
}

static int ref_resume_take_device(struct ref_resume *resume)
{
	resume->device = resume->buffer.device;
	resume->has_device = true;
	return ref_image_device_valid(resume->vgpu, &resume->device) ? 0 :
								      -EINVAL;
}

/* The buffer has what was needed. */
static int ref_resume_take(struct ref_resume *resume)
{
	u64 before = resume->sum;
	int r = 0;

	resume->sum = ref_image_checksum(before, &resume->buffer, resume->n);
	switch (resume->phase) {
	case REF_RESUME_HEAD:
		return ref_resume_take_head(resume);
	case REF_RESUME_HEADER:
		r = ref_resume_take_header(resume);
		break;
	case REF_RESUME_PAGE:
		r = ref_resume_take_page(resume);
		break;
	case REF_RESUME_DEVICE:
		r = ref_resume_take_device(resume);
		break;
	case REF_RESUME_CHECKSUM:
		if (le64_to_cpu(resume->buffer.checksum) != before)
			return -EINVAL;
		ref_resume_expect(resume, REF_RESUME_DONE, 0);
		return 0;
	default:
		return -EINVAL;
	}

	if (!r)
		ref_resume_expect(resume, REF_RESUME_HEAD,
				  sizeof(struct ref_image_record));
	return r;
}

/* How many bytes were taken; an error is for good. */
static ssize_t ref_resume_copy(struct ref_resume *resume,
			       const char __user *buf, size_t count)
{
	size_t done = 0, n;
	int r;

	/* Nothing follows the end. */
	if (resume->phase >= REF_RESUME_DONE) {
		resume->phase = REF_RESUME_FAILED;
		return -EINVAL;
	}

	while (done < count && resume->phase < REF_RESUME_DONE) {
		n = min(count - done, resume->needed - resume->n);
		if (copy_from_user(resume->buffer.bytes + resume->n,
				   buf + done, n))
			return done ? done : -EFAULT;
		resume->n += n;
		done += n;
		if (resume->n < resume->needed)
			break;

		r = ref_resume_take(resume);
		if (r) {
			resume->phase = REF_RESUME_FAILED;
			return r;
		}
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}

	return done;
}

static ssize_t ref_resume_write(struct file *file, const char __user *buf,
				size_t count, loff_t *ppos)
{
	struct ref_resume *resume = file->private_data;
	struct mutex *lock = &resume->migration->lock;
	ssize_t r;

	if (ppos)
		return -ESPIPE;
	if (!count)
		return 0;
	r = mutex_lock_interruptible(lock);
	if (r)
		return r;
	r = resume->vgpu ? ref_resume_copy(resume, buf, count) : -ENODEV;
	mutex_unlock(lock);

	return r;
}

static int ref_resume_release(struct inode *inode, struct file *file)
{
	struct ref_resume *resume = file->private_data;

	kref_put(&resume->ref, ref_resume_free);
	return 0;
}

static const struct file_operations ref_resume_fops = {
	.owner = THIS_MODULE,
	.write = ref_resume_write,
	.release = ref_resume_release,
};

/* Begins a session. */
struct file *ref_resume_new(struct ref_vgpu *vgpu)
{
	struct ref_resume *resume;
	struct file *file;

	lockdep_assert_held(&vgpu->migration->lock);

	resume = kzalloc(sizeof(*resume), GFP_KERNEL_ACCOUNT);
	if (!resume)
		return ERR_PTR(-ENOMEM);
	kref_init(&resume->ref);
	resume->migration = ref_migration_get(vgpu->migration);
	resume->sum = REF_CHECKSUM_INIT;
	ref_resume_expect(resume, REF_RESUME_HEADER,
			  sizeof(struct ref_image_header));

	resume->memory = ref_memory_file(vgpu);
	if (IS_ERR(resume->memory)) {
		file = ERR_CAST(resume->memory);
		resume->memory = NULL;
		kref_put(&resume->ref, ref_resume_free);
		return file;
	}

	file = anon_inode_getfile(REF_NAME "-resume", &ref_resume_fops, resume,
				  O_WRONLY);
	if (IS_ERR(file)) {
		kref_put(&resume->ref, ref_resume_free);
		return file;
	}

	stream_open(file->f_inode, file);
	resume->vgpu = vgpu;
	vgpu->migration->resume = resume;
	kref_get(&resume->ref);
	return file;
}

/* What was written becomes the vGPU's state, if it is whole and good. */
int ref_resume_commit(struct ref_vgpu *vgpu)
{
	struct ref_resume *resume = vgpu->migration->resume;

	lockdep_assert_held(&vgpu->migration->lock);

	if (!resume || resume->phase != REF_RESUME_DONE)
		return -EINVAL;

	ref_memory_replace(vgpu, &resume->memory);
	ref_image_apply_device(vgpu, &resume->device);
	return 0;
}

/* Ends it, if there is one. Its descriptor gives an error from here on. */
void ref_resume_end(struct ref_vgpu *vgpu)
{
	struct ref_resume *resume = vgpu->migration->resume;

	lockdep_assert_held(&vgpu->migration->lock);

	if (!resume)
		return;
	resume->vgpu = NULL;
	vgpu->migration->resume = NULL;
	if (resume->memory)
		fput(resume->memory);
	resume->memory = NULL;
	kref_put(&resume->ref, ref_resume_free);
}
