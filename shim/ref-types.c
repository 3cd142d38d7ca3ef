// SPDX-License-Identifier: GPL-2.0-only
/*
 * From one set of types to another.
 *
 * Types that stay are edited in place, those that go while vGPUs exist are
 * retired in place, and vGPUs do not notice. Another choice of ids needs the
 * parent registered anew, which takes all vGPUs down; so it waits until there is
 * none, and none is made meanwhile. No lock that a vGPU's probe takes is held
 * then: unregistering waits for it.
 */
#include <linux/slab.h>

#include "ref.h"

/* With add_live: what is retired has to have a place, too. */
#define REF_TYPES_ROOM		512

bool ref_types_add_live;

static int ref_types_judge(struct mdevgpu_type *types, u32 n_types)
{
	int r = 0;
	u32 i;

	for (i = 0; i < n_types; i++) {
		if (types[i].bar1_size <= ref_type_bar1_limit(&types[i]))
			continue;

		types[i].verdict = MDEVGPU_VERDICT_TOO_LARGE;
		types[i].verdict_field = offsetof(struct mdevgpu_type,
						  bar1_size);
		r = -EINVAL;
	}

	return r;
}

/* From one set to another, or back if that fails. The GPU is frozen. */
static int ref_types_switch(struct mdevgpu_device *node, struct ref_gpu *gpu,
			    struct ref_type_set *set)
{
	struct ref_type_set *old = gpu->set;
	int r;

	if (old)
		ref_set_unregister(old);

	r = ref_set_register(set);
	if (!r) {
		gpu->set = set;
		ref_set_put(old);
		return 0;
	}

	if (old && ref_set_register(old)) {
		dev_err(&gpu->pdev->dev, "the previous types are lost\n");
		gpu->set = NULL;
		ref_set_put(old);
		mdevgpu_types_lost(node);
	}

	return r;
}

/* -EBUSY: there are vGPUs. */
static int ref_types_set_idle(struct mdevgpu_device *node, struct ref_gpu *gpu,
			      const struct mdevgpu_type *types, u32 n_types,
			      bool dry_run)
{
	struct ref_type_set *set;
	int r;

	if (ref_usage_live(gpu))
		return -EBUSY;
	if (dry_run)
		return 0;

	set = ref_set_new(gpu, types, n_types,
			  ref_types_add_live ? REF_TYPES_ROOM : n_types);
	if (!set)
		return -ENOMEM;

	r = ref_usage_freeze(gpu, /* even_if_live= */ false);
	if (!r) {
		r = ref_types_switch(node, gpu, set);
		ref_usage_thaw(gpu);
	}
	if (r)
		ref_set_put(set);
	return r;
}

/* Marks those that the registered set does not have; how many that are. */
static u32 ref_types_mark_new(struct ref_gpu *gpu, struct mdevgpu_type *types,
			      u32 n_types)
{
	u32 n = 0, i;

	for (i = 0; i < n_types; i++)
		if (!ref_set_find(gpu->set, types[i].id)) {
			types[i].verdict = MDEVGPU_VERDICT_LIVE;
			n++;
		}

	return n;
}

/* There are vGPUs. */
static int ref_types_set_live(struct ref_gpu *gpu, struct mdevgpu_type *types,
			      u32 n_types, bool dry_run)
{
	u32 i, n;
	int r;

	n = ref_types_mark_new(gpu, types, n_types);
	if (n && (!ref_types_add_live || !gpu->set ||
		  n > gpu->set->room - gpu->set->n_types))
		return -EBUSY;

	for (i = 0; i < n_types; i++)
		types[i].verdict = MDEVGPU_VERDICT_OK;
	if (dry_run || !gpu->set)
		return 0;

	if (n) {
		r = ref_set_grow(gpu->set, types, n_types);
		if (r)
			return r;
	}

	return ref_set_edit(gpu->set, types, n_types);
}

/* The registered set has just these ids. */
static bool ref_types_same_ids(struct ref_gpu *gpu,
			       const struct mdevgpu_type *types, u32 n_types)
{
	u32 i;

	if (!gpu->set || gpu->set->n_types != n_types)
		return false;
	for (i = 0; i < n_types; i++)
		if (!ref_set_find(gpu->set, types[i].id))
			return false;

	return true;
}

static int ref_types_set(struct mdevgpu_device *node,
			 struct mdevgpu_type *types, u32 n_types, bool dry_run)
{
	struct ref_gpu *gpu = mdevgpu_priv(node);
	int r;

	r = ref_types_judge(types, n_types);
	if (r)
		return r;

	if (ref_types_same_ids(gpu, types, n_types))
		return dry_run ? 0 : ref_set_edit(gpu->set, types, n_types);

	r = ref_types_set_idle(node, gpu, types, n_types, dry_run);
	if (r == -EBUSY)
		r = ref_types_set_live(gpu, types, n_types, dry_run);
	return r;
}

static u32 ref_types_count(struct mdevgpu_device *node,
			   struct mdevgpu_type *types, u32 n_types)
{
	struct ref_gpu *gpu = mdevgpu_priv(node);
	u32 i;

	for (i = 0; types && i < n_types; i++) {
		struct ref_type *type = ref_set_find(gpu->set, types[i].id);

		if (!type)
			continue;
		types[i].live = READ_ONCE(type->live);
		types[i].available = ref_usage_available(type);
	}

	return ref_usage_live(gpu);
}

static u32 ref_types_get_retired(struct mdevgpu_device *node,
				 struct mdevgpu_type *types, u32 room)
{
	struct ref_gpu *gpu = mdevgpu_priv(node);
	struct ref_type_set *set = gpu->set;
	u32 n = 0, i;

	for (i = 0; set && i < set->n_types; i++) {
		struct ref_type *type = &set->types[i];

		/* Written under the node's lock alone, which is held */
		if (!type->retired)
			continue;
		if (n < room) {
			types[n] = type->definition;
			types[n].verdict = MDEVGPU_VERDICT_NONE;
			types[n].live = READ_ONCE(type->live);
		}
		n++;
	}

	return n;
}

const struct mdevgpu_ops ref_types_ops = {
	.set_types = ref_types_set,
	.count_types = ref_types_count,
	.get_retired = ref_types_get_retired,
	.get_usage = ref_usage_get,
	.set_share = ref_usage_set_share,
};
