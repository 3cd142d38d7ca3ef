// SPDX-License-Identifier: GPL-2.0-only
/*
 * The type set: what makes a type acceptable, and the one way to replace the
 * set.
 */
#include <linux/kernel.h>
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/overflow.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "core.h"

/* Where the members begin that only the kernel writes */
#define MDEVGPU_TYPE_DEFINITION	offsetof(struct mdevgpu_type, verdict)

#define MDEVGPU_TYPE_FLAGS	(MDEVGPU_TYPE_ECC | MDEVGPU_TYPE_MULTI_VGPU | \
				 MDEVGPU_TYPE_FRAME_LIMITER | \
				 MDEVGPU_TYPE_KEEP_STATE)

/* Printable, terminated, and nothing behind the terminator */
static bool mdevgpu_string_valid(const char *s, size_t size)
{
	size_t length = strnlen(s, size), i;

	if (length == size)
		return false;

	for (i = 0; i < length; i++)
		if (s[i] < 0x20 || s[i] > 0x7e)
			return false;

	return !memchr_inv(s + length, 0, size - length);
}

static void mdevgpu_type_verdict(struct mdevgpu_type *t, u32 verdict,
				 size_t field)
{
	t->verdict = verdict;
	t->verdict_field = field;
}

#define MDEVGPU_FIELD(member)	offsetof(struct mdevgpu_type, member)

static void mdevgpu_type_judge_range(const struct mdevgpu_device *gpu,
				     struct mdevgpu_type *t)
{
	u64 total = gpu->identity.framebuffer_total;
	size_t bad = 0;

	if (!t->max_instances)
		bad = MDEVGPU_FIELD(max_instances);
	else if (!t->framebuffer || !IS_ALIGNED(t->framebuffer, SZ_1M))
		bad = MDEVGPU_FIELD(framebuffer);
	else if (t->mappable_video > t->framebuffer)
		bad = MDEVGPU_FIELD(mappable_video);
	else if (t->bar1_size &&
		 (t->bar1_size < SZ_4K || !is_power_of_2(t->bar1_size)))
		bad = MDEVGPU_FIELD(bar1_size);
	else if (t->vdev_id > U32_MAX)
		bad = MDEVGPU_FIELD(vdev_id);
	else if (t->pdev_id > U32_MAX)
		bad = MDEVGPU_FIELD(pdev_id);
	else if (t->encoder_percent > 100)
		bad = MDEVGPU_FIELD(encoder_percent);
	else if (t->flags & ~MDEVGPU_TYPE_FLAGS)
		bad = MDEVGPU_FIELD(flags);

	if (bad)
		mdevgpu_type_verdict(t, MDEVGPU_VERDICT_BAD_FIELD, bad);
	else if (t->flags & MDEVGPU_TYPE_KEEP_STATE &&
		 !(gpu->identity.capabilities & MDEVGPU_CAP_KEEP_STATE))
		mdevgpu_type_verdict(t, MDEVGPU_VERDICT_NOT_SUPPORTED,
				     MDEVGPU_FIELD(flags));
	else if (t->framebuffer > total)
		mdevgpu_type_verdict(t, MDEVGPU_VERDICT_TOO_LARGE,
				     MDEVGPU_FIELD(framebuffer));
	else if (t->framebuffer_reserved > total - t->framebuffer)
		mdevgpu_type_verdict(t, MDEVGPU_VERDICT_TOO_LARGE,
				     MDEVGPU_FIELD(framebuffer_reserved));
	else
		mdevgpu_type_verdict(t, MDEVGPU_VERDICT_OK, 0);
}

static void mdevgpu_type_judge(const struct mdevgpu_device *gpu,
			       struct mdevgpu_type *t)
{
	if (!t->id)
		mdevgpu_type_verdict(t, MDEVGPU_VERDICT_BAD_ID,
				     MDEVGPU_FIELD(id));
	else if (!mdevgpu_string_valid(t->name, sizeof(t->name)) || !t->name[0])
		mdevgpu_type_verdict(t, MDEVGPU_VERDICT_BAD_NAME,
				     MDEVGPU_FIELD(name));
	else if (!mdevgpu_string_valid(t->type_class, sizeof(t->type_class)))
		mdevgpu_type_verdict(t, MDEVGPU_VERDICT_BAD_NAME,
				     MDEVGPU_FIELD(type_class));
	else
		mdevgpu_type_judge_range(gpu, t);
}

static const struct mdevgpu_type *mdevgpu_types_find(const struct mdevgpu_type *types,
						     u32 n_types, u32 id)
{
	u32 i;

	for (i = 0; i < n_types; i++)
		if (types[i].id == id)
			return &types[i];

	return NULL;
}

/* Gives each type its verdict. -EINVAL if one is not OK. */
int mdevgpu_types_judge(struct mdevgpu_device *gpu, struct mdevgpu_type *types,
			u32 n_types)
{
	int r = 0;
	u32 i;

	for (i = 0; i < n_types; i++) {
		types[i].live = 0;
		types[i].available = 0;
		mdevgpu_type_judge(gpu, &types[i]);

		if (types[i].verdict == MDEVGPU_VERDICT_OK &&
		    mdevgpu_types_find(types, i, types[i].id))
			mdevgpu_type_verdict(&types[i],
					     MDEVGPU_VERDICT_DUPLICATE_ID,
					     MDEVGPU_FIELD(id));

		if (types[i].verdict != MDEVGPU_VERDICT_OK)
			r = -EINVAL;
	}

	return r;
}

/* To be freed by kvfree() */
struct mdevgpu_type *mdevgpu_types_dup(const struct mdevgpu_type *types,
				       u32 n_types)
{
	struct mdevgpu_type *copy;

	copy = kvmalloc_array(n_types, sizeof(*types), GFP_KERNEL_ACCOUNT);
	if (copy)
		memcpy(copy, types, array_size(n_types, sizeof(*types)));
	return copy;
}

static bool mdevgpu_type_known(const struct mdevgpu_device *gpu,
			       const struct mdevgpu_type *t)
{
	const struct mdevgpu_type *current_type =
		mdevgpu_types_find(gpu->types, gpu->n_types, t->id);

	return current_type &&
	       !memcmp(current_type, t, MDEVGPU_TYPE_DEFINITION);
}

static bool mdevgpu_types_equal(const struct mdevgpu_device *gpu,
				const struct mdevgpu_type *types, u32 n_types)
{
	u32 i;

	if (n_types != gpu->n_types)
		return false;

	/* Ids are unique on both sides, so one direction is enough. */
	for (i = 0; i < n_types; i++)
		if (!mdevgpu_type_known(gpu, &types[i]))
			return false;

	return true;
}

/**
 * mdevgpu_mark_live - give new and changed types the verdict LIVE
 * @gpu: whose set_types() is running
 * @types: what it was given
 * @n_types: what it was given
 */
void mdevgpu_mark_live(struct mdevgpu_device *gpu, struct mdevgpu_type *types,
		       u32 n_types)
{
	u32 i;

	for (i = 0; i < n_types; i++)
		if (!mdevgpu_type_known(gpu, &types[i]))
			mdevgpu_type_verdict(&types[i], MDEVGPU_VERDICT_LIVE, 0);
}
EXPORT_SYMBOL_GPL(mdevgpu_mark_live);

/*
 * To udev, and so to whoever lists types: a change in place is none that the
 * mdev core tells of.
 */
static void mdevgpu_types_announce(struct mdevgpu_device *gpu)
{
	char generation[sizeof("MDEVGPU_GENERATION=") + 20];
	char *envp[] = { generation, NULL };

	snprintf(generation, sizeof(generation), "MDEVGPU_GENERATION=%llu",
		 gpu->generation);
	kobject_uevent_env(&gpu->dev.parent->kobj, KOBJ_CHANGE, envp);
}

static void mdevgpu_types_put_in_force(struct mdevgpu_device *gpu,
				       struct mdevgpu_type *types, u32 n_types)
{
	unsigned long flags;

	kvfree(gpu->types);
	gpu->types = types;
	gpu->n_types = n_types;
	spin_lock_irqsave(&gpu->event_lock, flags);
	gpu->generation++;
	spin_unlock_irqrestore(&gpu->event_lock, flags);

	mdevgpu_event_types(gpu);
	mdevgpu_types_announce(gpu);
}

/**
 * mdevgpu_types_lost - the previous set could not be restored
 * @gpu: whose set_types() is about to fail
 *
 * The current set is empty from now on, and IDENTIFY says so.
 */
void mdevgpu_types_lost(struct mdevgpu_device *gpu)
{
	mdevgpu_types_put_in_force(gpu, NULL, 0);
}
EXPORT_SYMBOL_GPL(mdevgpu_types_lost);

u32 mdevgpu_types_retired(struct mdevgpu_device *gpu,
			  struct mdevgpu_type *types, u32 room)
{
	lockdep_assert_held(&gpu->lock);

	return gpu->ops->get_retired ?
	       gpu->ops->get_retired(gpu, types, room) : 0;
}

/* Called with the lock held and judged types, which stay the caller's. */
int mdevgpu_types_replace(struct mdevgpu_device *gpu,
			  struct mdevgpu_type *types, u32 n_types,
			  const struct mdevgpu_set_types *args)
{
	bool dry_run = args->flags & MDEVGPU_SET_DRY_RUN;
	struct mdevgpu_type *copy = NULL;
	int r;

	if (args->expected_generation &&
	    args->expected_generation != gpu->generation)
		return -EAGAIN;

	/* The same set again is the occasion for what is retired to go. */
	if (mdevgpu_types_equal(gpu, types, n_types) &&
	    !mdevgpu_types_retired(gpu, NULL, 0))
		return 0;

	/* Nothing may fail between the vendor's success and ours. */
	if (n_types && !dry_run) {
		copy = mdevgpu_types_dup(types, n_types);
		if (!copy)
			return -ENOMEM;
	}

	r = gpu->ops->set_types(gpu, types, n_types, dry_run);
	if (r || dry_run) {
		kvfree(copy);
		return r == MDEVGPU_UNCHANGED ? 0 : r;
	}

	mdevgpu_types_put_in_force(gpu, copy, n_types);
	return 0;
}
