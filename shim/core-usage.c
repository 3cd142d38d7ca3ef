// SPDX-License-Identifier: GPL-2.0-only
/* Who uses a GPU, and whose turn it is how often. */
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "core.h"

/*
 * What the vendor tells is copied to memory of its size first: nothing of the
 * caller's is touched while the GPU's lock is held.
 */
long mdevgpu_ioctl_get_usage(struct mdevgpu_file *f, void __user *uargs)
{
	struct mdevgpu_device *gpu = f->gpu;
	struct mdevgpu_vgpu *vgpus = NULL;
	struct mdevgpu_get_usage args;
	u32 room;
	int known, r;

	known = mdevgpu_get_args(&args, sizeof(args),
				 MDEVGPU_GET_USAGE_SIZE_VER0, uargs);
	if (known < 0)
		return known;
	if (args.flags)
		return -EINVAL;
	r = mdevgpu_check_array(args.vgpus, args.vgpu_size,
				MDEVGPU_VGPU_SIZE_VER0, args.n_vgpus);
	if (r)
		return r;

	room = min_t(u32, args.n_vgpus, MDEVGPU_MAX_VGPUS);
	if (room) {
		vgpus = kvcalloc(room, sizeof(*vgpus), GFP_KERNEL_ACCOUNT);
		if (!vgpus)
			return -ENOMEM;
	}

	r = mdevgpu_lock_live(gpu);
	if (r)
		goto finish;
	if (gpu->ops->get_usage) {
		args.framebuffer_total = gpu->identity.framebuffer_total;
		args.framebuffer_used = 0;
		args.n_vgpus = gpu->ops->get_usage(gpu, vgpus, room,
						   &args.framebuffer_used);
	} else {
		r = -EOPNOTSUPP;
	}
	mutex_unlock(&gpu->lock);

	if (!r && args.n_vgpus <= room)
		r = mdevgpu_put_array(args.vgpus, args.vgpu_size, vgpus,
				      sizeof(*vgpus), args.n_vgpus);
	if (!r)
		r = mdevgpu_put_args(uargs, &args, known);
	if (!r && args.n_vgpus > room)
		r = -ENOSPC;

finish:
	kvfree(vgpus);
	return r;
}

static int mdevgpu_check_share(const struct mdevgpu_set_share *args)
{
	if (args->flags)
		return -EINVAL;
	if (args->share < MDEVGPU_SHARE_MIN || args->share > MDEVGPU_SHARE_MAX)
		return -EINVAL;
	return 0;
}

long mdevgpu_ioctl_set_share(struct mdevgpu_file *f, void __user *uargs)
{
	struct mdevgpu_device *gpu = f->gpu;
	struct mdevgpu_set_share args;
	int known, r;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;

	known = mdevgpu_get_args(&args, sizeof(args),
				 MDEVGPU_SET_SHARE_SIZE_VER0, uargs);
	if (known < 0)
		return known;
	r = mdevgpu_check_share(&args);
	if (r)
		return r;

	r = mdevgpu_lock_live(gpu);
	if (r)
		return r;
	r = mdevgpu_check_owner(f);
	if (!r && !gpu->ops->set_share)
		r = -EOPNOTSUPP;
	if (!r)
		r = gpu->ops->set_share(gpu, args.uuid, args.share,
					&args.previous);
	mutex_unlock(&gpu->lock);

	return r ? r : mdevgpu_put_args(uargs, &args, known);
}
