// SPDX-License-Identifier: GPL-2.0-only
/*
 * How much of a GPU its vGPUs use. All types draw on one framebuffer, so that
 * each vGPU takes instances away from the types beside its own.
 *
 * A vGPU counts from before it is registered until its memory is freed: while
 * one is being removed its type set cannot be replaced.
 */
#include <linux/math64.h>
#include <linux/minmax.h>

#include "ref.h"

static u64 ref_type_cost(const struct ref_type *type)
{
	return type->definition.framebuffer +
	       type->definition.framebuffer_reserved;
}

/*
 * -ENOSPC: no room for it. -ENODEV: the parent is about to go, which is what
 * the mdev core answers when it has begun to.
 */
int ref_usage_take(struct ref_type *type)
{
	struct ref_gpu *gpu = type->set->gpu;
	int r = 0;

	spin_lock(&gpu->lock);
	if (gpu->frozen) {
		r = -ENODEV;
	} else if (type->live >= type->definition.max_instances ||
		   ref_type_cost(type) > gpu->framebuffer - gpu->used) {
		r = -ENOSPC;
	} else {
		type->live++;
		gpu->n_live++;
		gpu->used += ref_type_cost(type);
	}
	spin_unlock(&gpu->lock);

	return r;
}

void ref_usage_give_back(struct ref_type *type)
{
	struct ref_gpu *gpu = type->set->gpu;

	spin_lock(&gpu->lock);
	type->live--;
	gpu->n_live--;
	gpu->used -= ref_type_cost(type);
	spin_unlock(&gpu->lock);
}

void ref_usage_open(struct ref_gpu *gpu)
{
	spin_lock(&gpu->lock);
	gpu->n_open++;
	spin_unlock(&gpu->lock);
}

void ref_usage_close(struct ref_gpu *gpu)
{
	spin_lock(&gpu->lock);
	gpu->n_open--;
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

u32 ref_usage_available(struct ref_type *type)
{
	struct ref_gpu *gpu = type->set->gpu;
	u32 available = 0;

	spin_lock(&gpu->lock);
	if (!gpu->frozen && type->live < type->definition.max_instances)
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
