// SPDX-License-Identifier: GPL-2.0-only
/*
 * A GPU's type set: what SET_TYPES gave, as an mdev parent with its types.
 *
 * The mdev core takes a fixed array of types when a parent registers, keeps
 * their names without a copy, and destroys every vGPU when it unregisters. So
 * a set is one allocation, registered once and never changed; another set
 * means that vGPUs are kept from being made, none exists, and the parent
 * unregisters and registers anew. No lock that a vGPU's probe takes is held
 * meanwhile: unregistering waits for it.
 */
#include <linux/delay.h>
#include <linux/log2.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "ref.h"

#define REF_BAR1_DEFAULT	((u64)SZ_256M)

static void ref_set_free(struct kref *ref)
{
	struct ref_type_set *set = container_of(ref, struct ref_type_set, ref);

	ref_gpu_put(set->gpu);
	kfree(set->mdev_types);
	kvfree(set);
}

struct ref_type_set *ref_set_get(struct ref_type_set *set)
{
	kref_get(&set->ref);
	return set;
}

void ref_set_put(struct ref_type_set *set)
{
	if (set)
		kref_put(&set->ref, ref_set_free);
}

static struct ref_type_set *ref_set_new(struct ref_gpu *gpu,
					const struct mdevgpu_type *types,
					u32 n_types)
{
	struct ref_type_set *set;
	u32 i;

	set = kvzalloc(struct_size(set, types, n_types), GFP_KERNEL);
	if (!set)
		return NULL;

	set->mdev_types = kcalloc(max(n_types, 1U), sizeof(*set->mdev_types),
				  GFP_KERNEL);
	if (!set->mdev_types) {
		kvfree(set);
		return NULL;
	}

	kref_init(&set->ref);
	set->gpu = ref_gpu_get(gpu);
	set->n_types = n_types;
	for (i = 0; i < n_types; i++) {
		struct ref_type *type = &set->types[i];

		type->definition = types[i];
		type->set = set;
		snprintf(type->sysfs_name, sizeof(type->sysfs_name), "%u",
			 types[i].id);
		type->mdev.sysfs_name = type->sysfs_name;
		type->mdev.pretty_name = type->definition.name;
		set->mdev_types[i] = &type->mdev;
	}

	return set;
}

/* A GPU without types is no mdev parent. */
static int ref_set_register(struct ref_type_set *set)
{
	u32 i;
	int r;

	if (!set->n_types)
		return 0;

	/* The set may have been registered before. */
	for (i = 0; i < set->n_types; i++)
		memset(&set->types[i].mdev.kobj, 0, sizeof(struct kobject));

	r = mdev_register_parent(&set->parent, &set->gpu->pdev->dev,
				 &ref_vgpu_driver, set->mdev_types,
				 set->n_types);
	if (r)
		return r;

	/* See ref_set_unregister(). */
	for (i = 0; i < set->n_types; i++)
		kobject_get(&set->types[i].mdev.kobj);

	return 0;
}

/*
 * An mdev holds a reference to its type's kobject until it is freed, and looks
 * at the type and the parent then. The reference of our own tells when the
 * last of them is through. The grace period is for whoever still is in
 * up_read() on the parent's semaphore.
 */
void ref_set_unregister(struct ref_type_set *set)
{
	u32 i;

	if (!set->n_types)
		return;

	mdev_unregister_parent(&set->parent);

	for (i = 0; i < set->n_types; i++) {
		struct kobject *kobj = &set->types[i].mdev.kobj;

		while (kref_read(&kobj->kref) > 1)
			msleep(1);
		kobject_put(kobj);
	}

	synchronize_rcu();
}

static u64 ref_bar1_limit(const struct mdevgpu_type *t)
{
	return roundup_pow_of_two(t->framebuffer);
}

/* The aperture of a type: a window onto the start of its framebuffer */
u64 ref_type_bar1_size(const struct mdevgpu_type *t)
{
	if (t->bar1_size)
		return t->bar1_size;

	return min(REF_BAR1_DEFAULT, ref_bar1_limit(t));
}

static int ref_types_judge(struct mdevgpu_type *types, u32 n_types)
{
	int r = 0;
	u32 i;

	for (i = 0; i < n_types; i++) {
		if (types[i].bar1_size <= ref_bar1_limit(&types[i]))
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

static int ref_types_set(struct mdevgpu_device *node,
			 struct mdevgpu_type *types, u32 n_types, bool dry_run)
{
	struct ref_gpu *gpu = mdevgpu_priv(node);
	struct ref_type_set *set;
	int r;

	r = ref_types_judge(types, n_types);
	if (r)
		return r;

	if (ref_usage_live(gpu)) {
		mdevgpu_mark_live(node, types, n_types);
		return -EBUSY;
	}

	if (dry_run)
		return 0;

	set = ref_set_new(gpu, types, n_types);
	if (!set)
		return -ENOMEM;

	/* Fails only if a vGPU was made just now. */
	r = ref_usage_freeze(gpu, /* even_if_live= */ false);
	if (r) {
		mdevgpu_mark_live(node, types, n_types);
		ref_set_put(set);
		return r;
	}

	r = ref_types_switch(node, gpu, set);
	ref_usage_thaw(gpu);
	if (r)
		ref_set_put(set);
	return r;
}

static struct ref_type *ref_set_find(struct ref_type_set *set, u32 id)
{
	u32 i;

	for (i = 0; set && i < set->n_types; i++)
		if (set->types[i].definition.id == id)
			return &set->types[i];

	return NULL;
}

static u32 ref_types_get_usage(struct mdevgpu_device *node,
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

const struct mdevgpu_ops ref_types_ops = {
	.set_types = ref_types_set,
	.get_usage = ref_types_get_usage,
};
