// SPDX-License-Identifier: GPL-2.0-only
/*
 * A vGPU's state, read from a data descriptor: while it works on (PRE_COPY), and
 * what is left of it once it stands still (STOP_COPY).
 *
 * What is read goes through a record of our own: one is made when the one before
 * it has been read to its end, however few bytes a read asks for.
 */
#include <linux/anon_inodes.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ref-image.h"
#include "ref-vgpu.h"

#define REF_PAGE_RECORD		(sizeof(struct ref_image_record) + REF_IMAGE_PAGE)

enum ref_save_phase {
	REF_SAVE_HEADER,
	REF_SAVE_PAGES,
	REF_SAVE_END,		/* of the registers, which came before it */
	REF_SAVE_DONE,
};

/* One session. It is the vGPU's and the descriptor's, whoever goes last. */
struct ref_save {
	struct kref ref;
	struct ref_migration *migration;	/* the vGPU keeps it as long as itself */

	/* By the migration's lock */
	struct ref_vgpu *vgpu;		/* NULL: the session is over */
	enum ref_save_phase phase;
	u64 cursor;			/* where to look for the next page */
	u64 initial;			/* pages yet to be sent of those at first */
	u64 sum;
	size_t n, done;			/* bytes in the record, and read of them */
	struct {
		struct ref_image_record head;
		u8 content[REF_IMAGE_PAGE];
	} record;
};

static void ref_save_free(struct kref *ref)
{
	struct ref_save *save = container_of(ref, struct ref_save, ref);

	ref_migration_put(save->migration);
	kfree(save);
}

static void ref_save_put_record(struct ref_save *save, u32 type, u64 at,
				size_t length)
{
	save->record.head = (struct ref_image_record){
		.type = cpu_to_le32(type),
		.length = cpu_to_le32(length),
		.at = cpu_to_le64(at),
	};
	save->n = sizeof(save->record.head) + length;
}

/* The header has no head; it stands where one would. */
static void ref_save_put_header(struct ref_save *save)
{
	ref_image_fill_header(save->vgpu, (void *)&save->record);
	save->n = sizeof(struct ref_image_header);
}

/* 0: there is a record; -ENOMSG: there is none now */
static int ref_save_put_page(struct ref_save *save)
{
	s64 at;

	at = ref_dirty_take(save->vgpu, save->cursor, save->record.content);
	if (at == -ENOENT)
		return -ENOMSG;
	if (at < 0)
		return at;

	ref_save_put_record(save, REF_RECORD_PAGE, at, REF_IMAGE_PAGE);
	save->cursor = at + REF_IMAGE_PAGE;
	if (save->initial)
		save->initial--;
	return 0;
}

static void ref_save_put_device(struct ref_save *save)
{
	struct ref_image_device *device = (void *)save->record.content;

	ref_image_fill_device(save->vgpu, device);
	ref_save_put_record(save, REF_RECORD_DEVICE, 0, sizeof(*device));
}

static void ref_save_put_end(struct ref_save *save)
{
	__le64 sum;

	ref_save_put_record(save, REF_RECORD_END, 0, sizeof(sum));
	sum = cpu_to_le64(ref_image_checksum(save->sum, &save->record.head,
					     sizeof(save->record.head)));
	memcpy(save->record.content, &sum, sizeof(sum));
}

/* Fills the record: 0, -ENOMSG where the vGPU still works, or 1: that was all. */
static int ref_save_next(struct ref_save *save)
{
	int r;

	save->n = save->done = 0;
	switch (save->phase) {
	case REF_SAVE_HEADER:
		ref_save_put_header(save);
		save->phase = REF_SAVE_PAGES;
		break;
	case REF_SAVE_PAGES:
		r = ref_save_put_page(save);
		if (r == -ENOMSG &&
		    save->migration->state == VFIO_DEVICE_STATE_STOP_COPY) {
			ref_save_put_device(save);
			save->phase = REF_SAVE_END;
			break;
		}
		if (r)
			return r;
		break;
	case REF_SAVE_END:
		ref_save_put_end(save);
		save->phase = REF_SAVE_DONE;
		break;
	case REF_SAVE_DONE:
		return 1;
	}

	save->sum = ref_image_checksum(save->sum, &save->record, save->n);
	return 0;
}

/* As many bytes as are asked for and there are; else the reason for none */
static ssize_t ref_save_copy(struct ref_save *save, char __user *buf,
			     size_t count)
{
	size_t done = 0, n;
	int r;

	while (done < count) {
		if (save->done == save->n) {
			r = ref_save_next(save);
			if (r)
				return done || r > 0 ? done : r;
		}

		n = min(count - done, save->n - save->done);
		if (copy_to_user(buf + done, (u8 *)&save->record + save->done,
				 n))
			return done ? done : -EFAULT;
		save->done += n;
		done += n;
		if (fatal_signal_pending(current))
			break;
		cond_resched();
	}

	return done;
}

static ssize_t ref_save_read(struct file *file, char __user *buf, size_t count,
			     loff_t *ppos)
{
	struct ref_save *save = file->private_data;
	struct mutex *lock = &save->migration->lock;
	ssize_t r;

	if (ppos)
		return -ESPIPE;
	r = mutex_lock_interruptible(lock);
	if (r)
		return r;
	r = save->vgpu ? ref_save_copy(save, buf, count) : -ENODEV;
	mutex_unlock(lock);

	return r;
}

static __poll_t ref_save_poll(struct file *file, struct poll_table_struct *table)
{
	struct ref_save *save = file->private_data;
	__poll_t events = 0;

	poll_wait(file, &save->migration->wait, table);

	mutex_lock(&save->migration->lock);
	if (!save->vgpu)
		events = EPOLLIN | EPOLLRDNORM | EPOLLERR;
	else if (save->migration->state == VFIO_DEVICE_STATE_STOP_COPY ||
		 save->phase == REF_SAVE_HEADER || save->done < save->n ||
		 ref_dirty_count(save->vgpu))
		events = EPOLLIN | EPOLLRDNORM;
	mutex_unlock(&save->migration->lock);

	return events;
}

#ifdef MDEVGPU_VFIO_PRE_COPY
static int ref_save_info(struct ref_save *save, struct vfio_precopy_info *info)
{
	u64 n_dirty;

	if (!save->vgpu)
		return -ENODEV;
	if (!ref_migration_precopies(save->migration->state))
		return -EINVAL;

	n_dirty = ref_dirty_count(save->vgpu);
	info->initial_bytes = min(save->initial, n_dirty) * REF_PAGE_RECORD;
	info->dirty_bytes = n_dirty * REF_PAGE_RECORD - info->initial_bytes;
	info->initial_bytes += save->phase == REF_SAVE_HEADER ?
			       sizeof(struct ref_image_header) :
			       save->n - save->done;
	return 0;
}

static long ref_save_ioctl(struct file *file, unsigned int cmd,
			   unsigned long arg)
{
	size_t size = offsetofend(struct vfio_precopy_info, dirty_bytes);
	struct ref_save *save = file->private_data;
	void __user *uargs = (void __user *)arg;
	struct vfio_precopy_info info = {};
	int r;

	if (cmd != VFIO_MIG_GET_PRECOPY_INFO)
		return -ENOTTY;
	if (copy_from_user(&info, uargs, size))
		return -EFAULT;
	if (info.argsz < size)
		return -EINVAL;

	info.flags = 0;
	mutex_lock(&save->migration->lock);
	r = ref_save_info(save, &info);
	mutex_unlock(&save->migration->lock);
	if (r)
		return r;

	return copy_to_user(uargs, &info, size) ? -EFAULT : 0;
}
#endif

static int ref_save_release(struct inode *inode, struct file *file)
{
	struct ref_save *save = file->private_data;

	kref_put(&save->ref, ref_save_free);
	return 0;
}

static const struct file_operations ref_save_fops = {
	.owner = THIS_MODULE,
	.read = ref_save_read,
	.poll = ref_save_poll,
#ifdef MDEVGPU_VFIO_PRE_COPY
	.unlocked_ioctl = ref_save_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
#endif
	.release = ref_save_release,
};

/* Begins a session. */
struct file *ref_save_new(struct ref_vgpu *vgpu)
{
	struct ref_save *save;
	struct file *file;
	int r;

	lockdep_assert_held(&vgpu->migration->lock);

	save = kzalloc(sizeof(*save), GFP_KERNEL_ACCOUNT);
	if (!save)
		return ERR_PTR(-ENOMEM);
	kref_init(&save->ref);
	save->sum = REF_CHECKSUM_INIT;
	save->migration = ref_migration_get(vgpu->migration);

	r = ref_dirty_start(vgpu);
	if (r) {
		kref_put(&save->ref, ref_save_free);
		return ERR_PTR(r);
	}

	file = anon_inode_getfile(REF_NAME "-save", &ref_save_fops, save,
				  O_RDONLY);
	if (IS_ERR(file)) {
		ref_dirty_stop(vgpu);
		kref_put(&save->ref, ref_save_free);
		return file;
	}

	stream_open(file->f_inode, file);
	save->initial = ref_dirty_count(vgpu);
	save->vgpu = vgpu;
	vgpu->migration->save = save;
	kref_get(&save->ref);
	return file;
}

/* Ends it, if there is one. Its descriptor gives an error from here on. */
void ref_save_end(struct ref_vgpu *vgpu)
{
	struct ref_save *save = vgpu->migration->save;

	lockdep_assert_held(&vgpu->migration->lock);

	if (!save)
		return;
	ref_dirty_stop(vgpu);
	save->vgpu = NULL;
	vgpu->migration->save = NULL;
	kref_put(&save->ref, ref_save_free);
}

/* Bytes that a session would give now, if the vGPU were stopped */
u64 ref_save_size(struct ref_vgpu *vgpu)
{
	u64 n_pages = vgpu->dirty ? ref_dirty_count(vgpu) :
				    ref_memory_n_pages(vgpu);

	return sizeof(struct ref_image_header) + n_pages * REF_PAGE_RECORD +
	       2 * sizeof(struct ref_image_record) +
	       sizeof(struct ref_image_device) + sizeof(__le64);
}
