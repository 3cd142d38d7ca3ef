// SPDX-License-Identifier: GPL-2.0-only
/*
 * The calls of the control channel.
 *
 * User memory is read before the GPU's lock is taken and written after it is
 * released: a caller whose memory is slow to come (userfaultfd, a dead network
 * mount) holds up nobody else, the vendor's departure least of all.
 */
#include <linux/capability.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "core.h"

#define MDEVGPU_MAX_STRUCT	4096

/*
 * Every argument begins with its size. Returns the part of it that both sides
 * know, which is what to write back.
 */
int mdevgpu_get_args(void *args, size_t known, size_t first,
		     void __user *uargs)
{
	u32 size;
	int r;

	if (get_user(size, (u32 __user *)uargs))
		return -EFAULT;
	if (size < first)
		return -EINVAL;
	if (size > MDEVGPU_MAX_STRUCT)
		return -E2BIG;

	r = copy_struct_from_user(args, known, uargs, size);
	if (r)
		return r;

	/* It may have been changed since. */
	*(u32 *)args = size;
	return min_t(size_t, size, known);
}

int mdevgpu_put_args(void __user *uargs, const void *args, size_t size)
{
	return copy_to_user(uargs, args, size) ? -EFAULT : 0;
}

/*
 * Bounds of an array in the caller's memory: the @stride of its records, the
 * size that they had @first, how many there are
 */
int mdevgpu_check_array(u64 array, u32 stride, u32 first, u32 n)
{
	if (stride < first || stride % sizeof(u64))
		return -EINVAL;
	if (stride > MDEVGPU_MAX_STRUCT)
		return -E2BIG;
	if (n && !array)
		return -EINVAL;
	if ((unsigned long)array != array)
		return -EFAULT;
	return 0;
}

static long mdevgpu_ioctl_identify(struct mdevgpu_file *f, void __user *uargs)
{
	struct mdevgpu_device *gpu = f->gpu;
	struct mdevgpu_identify args;
	u32 size;
	int known, r;

	known = mdevgpu_get_args(&args, sizeof(args),
				 MDEVGPU_IDENTIFY_SIZE_VER0, uargs);
	if (known < 0)
		return known;
	size = args.size;

	r = mdevgpu_lock_live(gpu);
	if (r)
		return r;

	args = gpu->identity;
	args.size = size;
	args.generation = gpu->generation;
	args.epoch = gpu->epoch;
	args.n_types = gpu->n_types;
	args.n_retired = mdevgpu_types_retired(gpu, NULL, 0);
	args.n_live = gpu->ops->count_types(gpu, NULL, 0);
	if (gpu->owner)
		args.flags |= MDEVGPU_IDENTIFY_OWNED;
	if (gpu->owner == f)
		args.flags |= MDEVGPU_IDENTIFY_OWNER;
	mutex_unlock(&gpu->lock);

	return mdevgpu_put_args(uargs, &args, known);
}

/*
 * The current set, or what is retired, with its counts; NULL if there is none
 * or more than @room. *@n_types is how many there are.
 */
static struct mdevgpu_type *mdevgpu_types_snapshot(struct mdevgpu_device *gpu,
						   bool retired, u32 room,
						   u32 *n_types)
{
	struct mdevgpu_type *types;

	lockdep_assert_held(&gpu->lock);

	*n_types = retired ? mdevgpu_types_retired(gpu, NULL, 0) : gpu->n_types;
	if (!*n_types || *n_types > room)
		return NULL;

	if (!retired) {
		types = mdevgpu_types_dup(gpu->types, gpu->n_types);
		if (!types)
			return ERR_PTR(-ENOMEM);
		gpu->ops->count_types(gpu, types, gpu->n_types);
		return types;
	}

	types = kvcalloc(*n_types, sizeof(*types), GFP_KERNEL_ACCOUNT);
	if (!types)
		return ERR_PTR(-ENOMEM);
	mdevgpu_types_retired(gpu, types, *n_types);
	return types;
}

/* Records as long as the caller knows them, zeros where only the caller does */
int mdevgpu_put_array(u64 array, u32 stride, const void *records, size_t known,
		      u32 n)
{
	size_t size = min_t(size_t, stride, known);
	char __user *p = u64_to_user_ptr(array);
	u32 i;

	for (i = 0; i < n; i++, p += stride, records += known) {
		if (copy_to_user(p, records, size))
			return -EFAULT;
		if (clear_user(p + size, stride - size))
			return -EFAULT;
	}

	return 0;
}

static long mdevgpu_ioctl_get_types(struct mdevgpu_file *f, void __user *uargs)
{
	struct mdevgpu_device *gpu = f->gpu;
	struct mdevgpu_get_types args;
	struct mdevgpu_type *types;
	u32 room;
	int known, r;

	known = mdevgpu_get_args(&args, sizeof(args),
				 MDEVGPU_GET_TYPES_SIZE_VER0, uargs);
	if (known < 0)
		return known;
	if (args.flags & ~MDEVGPU_GET_RETIRED)
		return -EINVAL;
	r = mdevgpu_check_array(args.types, args.type_size,
				MDEVGPU_TYPE_SIZE_VER0, args.n_types);
	if (r)
		return r;

	r = mdevgpu_lock_live(gpu);
	if (r)
		return r;
	room = args.n_types;
	args.generation = gpu->generation;
	types = mdevgpu_types_snapshot(gpu, args.flags & MDEVGPU_GET_RETIRED,
				       room, &args.n_types);
	mutex_unlock(&gpu->lock);

	if (IS_ERR(types))
		return PTR_ERR(types);

	if (types)
		r = mdevgpu_put_array(args.types, args.type_size, types,
				      sizeof(*types), args.n_types);
	kvfree(types);
	if (r)
		return r;

	r = mdevgpu_put_args(uargs, &args, known);
	if (r)
		return r;

	return args.n_types > room ? -ENOSPC : 0;
}

static struct mdevgpu_type *mdevgpu_get_types(const struct mdevgpu_set_types *args)
{
	const char __user *p = u64_to_user_ptr(args->types);
	struct mdevgpu_type *types;
	u32 i;
	int r;

	types = kvcalloc(max(args->n_types, 1U), sizeof(*types),
			 GFP_KERNEL_ACCOUNT);
	if (!types)
		return ERR_PTR(-ENOMEM);

	for (i = 0; i < args->n_types; i++, p += args->type_size) {
		r = copy_struct_from_user(&types[i], sizeof(types[i]), p,
					  args->type_size);
		if (r) {
			kvfree(types);
			return ERR_PTR(r);
		}
	}

	return types;
}

static int mdevgpu_put_verdicts(const struct mdevgpu_set_types *args,
				const struct mdevgpu_type *types)
{
	char __user *p = u64_to_user_ptr(args->types);
	u32 i;

	for (i = 0; i < args->n_types; i++, p += args->type_size) {
		struct mdevgpu_type __user *t = (void __user *)p;

		if (put_user(types[i].verdict, &t->verdict) ||
		    put_user(types[i].verdict_field, &t->verdict_field))
			return -EFAULT;
	}

	return 0;
}

int mdevgpu_check_owner(const struct mdevgpu_file *f)
{
	if (f->gpu->owner == f)
		return 0;

	return f->was_owner ? -ESTALE : -EBADF;
}

static int mdevgpu_set_types_locked(struct mdevgpu_file *f,
				    struct mdevgpu_set_types *args,
				    struct mdevgpu_type *types)
{
	struct mdevgpu_device *gpu = f->gpu;
	int r;

	r = mdevgpu_types_judge(gpu, types, args->n_types);
	if (!r)
		r = mdevgpu_types_replace(gpu, types, args->n_types, args);

	args->generation = gpu->generation;
	args->n_live = gpu->ops->count_types(gpu, NULL, 0);
	return r;
}

static int mdevgpu_check_set_args(const struct mdevgpu_set_types *args)
{
	if (args->flags & ~MDEVGPU_SET_DRY_RUN)
		return -EINVAL;
	if (args->reserved)
		return -EINVAL;
	if (args->n_types > MDEVGPU_MAX_TYPES)
		return -E2BIG;

	return mdevgpu_check_array(args->types, args->type_size,
				   MDEVGPU_TYPE_SIZE_VER0, args->n_types);
}

static long mdevgpu_ioctl_set_types(struct mdevgpu_file *f, void __user *uargs)
{
	struct mdevgpu_set_types args;
	struct mdevgpu_type *types;
	bool judged = false;
	int known, r, q;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;

	known = mdevgpu_get_args(&args, sizeof(args),
				 MDEVGPU_SET_TYPES_SIZE_VER0, uargs);
	if (known < 0)
		return known;
	r = mdevgpu_check_set_args(&args);
	if (r)
		return r;

	types = mdevgpu_get_types(&args);
	if (IS_ERR(types))
		return PTR_ERR(types);

	r = mdevgpu_lock_live(f->gpu);
	if (!r) {
		r = mdevgpu_check_owner(f);
		if (!r) {
			r = mdevgpu_set_types_locked(f, &args, types);
			judged = true;
		}
		mutex_unlock(&f->gpu->lock);
	}

	if (judged) {
		q = mdevgpu_put_verdicts(&args, types);
		if (!q)
			q = mdevgpu_put_args(uargs, &args, known);
		if (q)
			r = q;
	}

	kvfree(types);
	return r;
}

static long mdevgpu_ioctl_takeover(struct mdevgpu_file *f, void __user *uargs)
{
	struct mdevgpu_device *gpu = f->gpu;
	struct mdevgpu_takeover args;
	int known, r, q;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;

	known = mdevgpu_get_args(&args, sizeof(args),
				 MDEVGPU_TAKEOVER_SIZE_VER0, uargs);
	if (known < 0)
		return known;
	if (args.flags)
		return -EINVAL;

	r = mdevgpu_lock_live(gpu);
	if (r)
		return r;
	if (gpu->owner != f) {
		if (args.epoch && args.epoch != gpu->epoch) {
			r = -EAGAIN;
		} else {
			gpu->owner = f;
			gpu->epoch++;
			f->was_owner = true;
		}
	}
	args.epoch = gpu->epoch;
	mutex_unlock(&gpu->lock);

	q = mdevgpu_put_args(uargs, &args, known);
	return q ? q : r;
}

long mdevgpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct mdevgpu_file *f = file->private_data;
	void __user *uargs = (void __user *)arg;

	if (!READ_ONCE(f->gpu->ops))
		return -ENODEV;

	switch (cmd) {
	case MDEVGPU_IDENTIFY:
		return mdevgpu_ioctl_identify(f, uargs);
	case MDEVGPU_GET_TYPES:
		return mdevgpu_ioctl_get_types(f, uargs);
	case MDEVGPU_SET_TYPES:
		return mdevgpu_ioctl_set_types(f, uargs);
	case MDEVGPU_TAKEOVER:
		return mdevgpu_ioctl_takeover(f, uargs);
	case MDEVGPU_GET_USAGE:
		return mdevgpu_ioctl_get_usage(f, uargs);
	case MDEVGPU_SET_SHARE:
		return mdevgpu_ioctl_set_share(f, uargs);
	case MDEVGPU_SUBSCRIBE:
		return mdevgpu_ioctl_subscribe(f, uargs);
	default:
		return -ENOTTY;
	}
}
