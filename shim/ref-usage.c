// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much of a GPU its vGPUs use. All types draw on one framebuffer, so that
 * each vGPU takes instances away from the types beside its own.
 *
 * A vGPU counts from before it is registered until its memory is freed: while
 * one is being removed its type set cannot be replaced.
 */
#include <linux/fs.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/sched.h>
#include <linux/string.h>

#include "ref-vgpu.h"

static u64 ref_type_cost(const struct ref_type *type)
{
	return type->definition.framebuffer +
	       type->definition.framebuffer_reserved;
}

static void ref_usage_tell(struct ref_gpu *gpu)
{
	lockdep_assert_held(&gpu->lock);

	if (gpu->node)
		mdevgpu_tell_framebuffer(gpu->node, gpu->used);
}

/*
 * The vGPU is what the type is now, and stays so. -ENOSPC: no room for it.
 * -ENODEV: the parent is about to go, which is what the mdev core answers when
 * it has begun to.
 */
int ref_usage_take(struct ref_type *type, struct ref_vgpu *vgpu)
{
	struct ref_gpu *gpu = type->set->gpu;
	int r = 0;

	spin_lock(&gpu->lock);
	if (gpu->frozen) {
		r = -ENODEV;
	} else if (type->retired || gpu->n_vfs ||
		   type->live >= type->definition.max_instances ||
		   ref_type_cost(type) > gpu->framebuffer - gpu->used) {
		r = -ENOSPC;
	} else {
		vgpu->type = type;
		vgpu->definition = type->definition;
		vgpu->cost = ref_type_cost(type);
		vgpu->share = MDEVGPU_SHARE_DEFAULT;
		list_add_tail(&vgpu->entry, &gpu->vgpus);
		type->live++;
		gpu->n_live++;
		gpu->used += vgpu->cost;
		ref_usage_tell(gpu);
	}
	spin_unlock(&gpu->lock);

	return r;
}

void ref_usage_give_back(struct ref_vgpu *vgpu)
{
	struct ref_gpu *gpu = vgpu->type->set->gpu;

	spin_lock(&gpu->lock);
	list_del(&vgpu->entry);
	vgpu->type->live--;
	gpu->n_live--;
	gpu->used -= vgpu->cost;
	ref_usage_tell(gpu);
	spin_unlock(&gpu->lock);
}

void ref_usage_open(struct ref_vgpu *vgpu)
{
	struct ref_gpu *gpu = vgpu->type->set->gpu;

	spin_lock(&gpu->lock);
	gpu->n_open++;
	vgpu->opener = task_tgid_nr(current);
	vgpu->busy = 0;
	if (gpu->node)
		mdevgpu_tell_open(gpu->node, true, vgpu->uuid.b,
				  vgpu->definition.id, vgpu->opener);
	spin_unlock(&gpu->lock);
}

void ref_usage_close(struct ref_vgpu *vgpu)
{
	struct ref_gpu *gpu = vgpu->type->set->gpu;

	spin_lock(&gpu->lock);
	gpu->n_open--;
	if (gpu->node)
		mdevgpu_tell_open(gpu->node, false, vgpu->uuid.b,
				  vgpu->definition.id, vgpu->opener);
	vgpu->opener = 0;
	spin_unlock(&gpu->lock);
}

bool ref_usage_is_open(struct ref_gpu *gpu)
{
	bool open;

	spin_lock(&gpu->lock);
	open = gpu->n_open > 0;
	spin_unlock(&gpu->lock);

	return open;
}

/*
 * From here on no vGPU is made. -EBUSY if there is one and that matters to the
 * caller; nothing is frozen then.
 */
int ref_usage_freeze(struct ref_gpu *gpu, bool even_if_live)
{
	int r = 0;

	spin_lock(&gpu->lock);
	if (gpu->n_live && !even_if_live)
		r = -EBUSY;
	else
		gpu->frozen = true;
	spin_unlock(&gpu->lock);

	return r;
}

void ref_usage_thaw(struct ref_gpu *gpu)
{
	spin_lock(&gpu->lock);
	gpu->frozen = false;
	spin_unlock(&gpu->lock);
}

/* The GPU is given to so many virtual functions; 0: to vGPUs of types again. */
int ref_usage_divide(struct ref_gpu *gpu, u32 n_vfs)
{
	int r = 0;

	spin_lock(&gpu->lock);
	if (n_vfs && gpu->n_live)
		r = -EBUSY;
	else
		gpu->n_vfs = n_vfs;
	spin_unlock(&gpu->lock);

	return r;
}

u32 ref_usage_available(struct ref_type *type)
{
	struct ref_gpu *gpu = type->set->gpu;
	u32 available = 0;

	spin_lock(&gpu->lock);
	if (!gpu->frozen && !gpu->n_vfs && !type->retired &&
	    type->live < type->definition.max_instances)
		available = min_t(u64, type->definition.max_instances - type->live,
				  div64_u64(gpu->framebuffer - gpu->used,
					    ref_type_cost(type)));
	spin_unlock(&gpu->lock);

	return available;
}

u32 ref_usage_live(struct ref_gpu *gpu)
{
	u32 live;

	spin_lock(&gpu->lock);
	live = gpu->n_live;
	spin_unlock(&gpu->lock);

	return live;
}

static void ref_usage_fill(const struct ref_vgpu *vgpu,
			   struct mdevgpu_vgpu *ret)
{
	memcpy(ret->uuid, vgpu->uuid.b, sizeof(ret->uuid));
	ret->type_id = vgpu->definition.id;
	ret->opener = vgpu->opener;
	ret->share = vgpu->share;
	ret->framebuffer = vgpu->cost;
	ret->busy = vgpu->busy;
	if (vgpu->memory)
		ret->framebuffer_backed =
			(u64)READ_ONCE(vgpu->memory->f_mapping->nrpages) *
			PAGE_SIZE;
	if (vgpu->opener)
		ret->flags |= MDEVGPU_VGPU_OPEN;
	if (vgpu->type->retired ||
	    memcmp(&vgpu->definition, &vgpu->type->definition,
		   offsetof(struct mdevgpu_type, verdict)))
		ret->flags |= MDEVGPU_VGPU_EDITED;
}

u32 ref_usage_get(struct mdevgpu_device *node, struct mdevgpu_vgpu *vgpus,
		  u32 room, u64 *used)
{
	struct ref_gpu *gpu = mdevgpu_priv(node);
	struct ref_vgpu *vgpu;
	u32 n, i = 0;

	spin_lock(&gpu->lock);
	n = gpu->n_live;
	*used = gpu->used;
	if (n <= room)
		list_for_each_entry(vgpu, &gpu->vgpus, entry)
			ref_usage_fill(vgpu, &vgpus[i++]);
	spin_unlock(&gpu->lock);

	return n;
}

int ref_usage_set_share(struct mdevgpu_device *node, const u8 *uuid, u32 share,
			u32 *ret_previous)
{
	struct ref_gpu *gpu = mdevgpu_priv(node);
	struct ref_vgpu *vgpu;
	int r = -ENOENT;

	spin_lock(&gpu->lock);
	list_for_each_entry(vgpu, &gpu->vgpus, entry) {
		if (memcmp(vgpu->uuid.b, uuid, sizeof(vgpu->uuid.b)))
			continue;
		*ret_previous = vgpu->share;
		vgpu->share = share;
		r = 0;
		break;
	}
	spin_unlock(&gpu->lock);

	return r;
}
