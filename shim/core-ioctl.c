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
static int mdevgpu_get_args(void *args, size_t known, size_t first,
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

static int mdevgpu_put_args(void __user *uargs, const void *args, size_t size)
{
	return copy_to_user(uargs, args, size) ? -EFAULT : 0;
}

/* Bounds of an array of types in the caller's memory */
static int mdevgpu_check_array(u64 array, u32 type_size, u32 n_types)
{
	if (type_size < MDEVGPU_TYPE_SIZE_VER0 || type_size % sizeof(u64))
		return -EINVAL;
	if (type_size > MDEVGPU_MAX_STRUCT)
		return -E2BIG;
	if (n_types && !array)
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
	args.n_live = gpu->ops->get_usage(gpu, NULL, 0);
	if (gpu->owner)
		args.flags |= MDEVGPU_IDENTIFY_OWNED;
	if (gpu->owner == f)
		args.flags |= MDEVGPU_IDENTIFY_OWNER;
	mutex_unlock(&gpu->lock);

	return mdevgpu_put_args(uargs, &args, known);
}

/* The current set with its usage; NULL if it is empty or larger than @room. */
static struct mdevgpu_type *mdevgpu_types_snapshot(struct mdevgpu_device *gpu,
						   u32 room)
{
	struct mdevgpu_type *types;

	lockdep_assert_held(&gpu->lock);

	if (!gpu->n_types || gpu->n_types > room)
		return NULL;

	types = mdevgpu_types_dup(gpu->types, gpu->n_types);
	if (!types)
		return ERR_PTR(-ENOMEM);

	gpu->ops->get_usage(gpu, types, gpu->n_types);
	return types;
}

static int mdevgpu_put_types(u64 array, u32 type_size,
			     const struct mdevgpu_type *types, u32 n_types)
{
	size_t known = min_t(size_t, type_size, sizeof(*types));
	char __user *p = u64_to_user_ptr(array);
	u32 i;

	for (i = 0; i < n_types; i++, p += type_size) {
		if (copy_to_user(p, &types[i], known))
			return -EFAULT;
		if (clear_user(p + known, type_size - known))
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
	if (args.flags)
		return -EINVAL;
	r = mdevgpu_check_array(args.types, args.type_size, args.n_types);
	if (r)
		return r;

	r = mdevgpu_lock_live(gpu);
	if (r)
		return r;
	room = args.n_types;
	args.n_types = gpu->n_types;
	args.generation = gpu->generation;
	types = mdevgpu_types_snapshot(gpu, room);
	mutex_unlock(&gpu->lock);

	if (IS_ERR(types))
		return PTR_ERR(types);

	if (types)
		r = mdevgpu_put_types(args.types, args.type_size, types,
				      args.n_types);
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

static int mdevgpu_check_owner(const struct mdevgpu_file *f)
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
	args->n_live = gpu->ops->get_usage(gpu, NULL, 0);
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

	return mdevgpu_check_array(args->types, args->type_size, args->n_types);
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
	default:
		return -ENOTTY;
	}
}
