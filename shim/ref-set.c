// SPDX-License-Identifier: GPL-2.0-only
/*
 * A registered set of types: an mdev parent, and what it offers.
 *
 * The mdev core takes an array of types when a parent registers, keeps pointers
 * to their names without a copy, and destroys every vGPU when it unregisters.
 * So which ids there are is fixed for as long as a set is registered. What each
 * of them means is not: it is asked of the driver whenever somebody reads it,
 * and a vGPU copies it when it is made. A name that a reader may be at is never
 * freed before the set is.
 */
#include <linux/delay.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/rcupdate.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/string.h>

#include "ref.h"

#define REF_BAR1_DEFAULT	((u64)SZ_256M)

struct ref_name {
	struct list_head entry;
	char text[MDEVGPU_NAME_SIZE];
};

/* A copy of it that lives as long as the set, NULL without memory */
static const char *ref_set_keep_name(struct ref_type_set *set, const char *text)
{
	struct ref_name *name;

	list_for_each_entry(name, &set->names, entry)
		if (!strcmp(name->text, text))
			return name->text;

	name = kzalloc(sizeof(*name), GFP_KERNEL_ACCOUNT);
	if (!name)
		return NULL;
	strscpy(name->text, text, sizeof(name->text));
	list_add_tail(&name->entry, &set->names);
	return name->text;
}

static void ref_set_free(struct kref *ref)
{
	struct ref_type_set *set = container_of(ref, struct ref_type_set, ref);
	struct ref_name *name, *next;

	list_for_each_entry_safe(name, next, &set->names, entry)
		kfree(name);
	ref_gpu_put(set->gpu);
	kvfree(set->mdev_types);
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

/* The next one of the set, of which nothing can be made as long as it is retired */
static struct ref_type *ref_set_add(struct ref_type_set *set,
				    const struct mdevgpu_type *t, bool retired)
{
	struct ref_type *type = &set->types[set->n_types];

	type->mdev.pretty_name = ref_set_keep_name(set, t->name);
	if (!type->mdev.pretty_name)
		return NULL;

	snprintf(type->sysfs_name, sizeof(type->sysfs_name), "%u", t->id);
	type->mdev.sysfs_name = type->sysfs_name;
	type->definition = *t;
	type->retired = retired;
	type->set = set;
	set->mdev_types[set->n_types++] = &type->mdev;
	return type;
}

/* @room: types that it may have; more than @n_types only for ref_set_grow() */
struct ref_type_set *ref_set_new(struct ref_gpu *gpu,
				 const struct mdevgpu_type *types, u32 n_types,
				 u32 room)
{
	struct ref_type_set *set;
	u32 i;

	set = kvzalloc(struct_size(set, types, room), GFP_KERNEL_ACCOUNT);
	if (!set)
		return NULL;

	kref_init(&set->ref);
	INIT_LIST_HEAD(&set->names);
	set->gpu = ref_gpu_get(gpu);
	set->room = room;
	set->mdev_types = kvcalloc(max(room, 1U), sizeof(*set->mdev_types),
				   GFP_KERNEL_ACCOUNT);
	if (!set->mdev_types)
		goto fail;

	for (i = 0; i < n_types; i++)
		if (!ref_set_add(set, &types[i], false))
			goto fail;

	return set;

fail:
	ref_set_put(set);
	return NULL;
}

/* A GPU without types is no mdev parent. */
int ref_set_register(struct ref_type_set *set)
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

struct ref_type *ref_set_find(struct ref_type_set *set, u32 id)
{
	u32 i;

	for (i = 0; set && i < set->n_types; i++)
		if (set->types[i].definition.id == id)
			return &set->types[i];

	return NULL;
}

static bool ref_type_edit(struct ref_type *type, const struct mdevgpu_type *t,
			  const char *name)
{
	bool same = !type->retired && !memcmp(&type->definition, t,
					      offsetof(struct mdevgpu_type,
						       verdict));

	type->definition = *t;
	type->retired = false;
	WRITE_ONCE(type->mdev.pretty_name, name);
	return !same;
}

/*
 * Every type of the set becomes what @types says, or is retired if it does not
 * say anything of it; @types has none that the set has not. All at one time for
 * whoever makes a vGPU. Fails without memory alone, and then nothing has changed.
 */
int ref_set_edit(struct ref_type_set *set, const struct mdevgpu_type *types,
		 u32 n_types)
{
	bool changed = false;
	const char **names;
	u32 i;

	names = kvcalloc(max(n_types, 1U), sizeof(*names), GFP_KERNEL);
	if (!names)
		return -ENOMEM;
	for (i = 0; i < n_types; i++) {
		names[i] = ref_set_keep_name(set, types[i].name);
		if (!names[i]) {
			kvfree(names);
			return -ENOMEM;
		}
	}

	spin_lock(&set->gpu->lock);
	for (i = 0; i < set->n_types; i++)
		set->types[i].wanted = false;
	for (i = 0; i < n_types; i++) {
		struct ref_type *type = ref_set_find(set, types[i].id);

		type->wanted = true;
		if (ref_type_edit(type, &types[i], names[i]))
			changed = true;
	}
	for (i = 0; i < set->n_types; i++)
		if (!set->types[i].wanted && !set->types[i].retired)
			set->types[i].retired = changed = true;
	spin_unlock(&set->gpu->lock);

	kvfree(names);
	return changed ? 0 : MDEVGPU_UNCHANGED;
}

/*
 * What the mdev core does for each type when a parent registers. It offers no
 * call for that alone; the kind of object is borrowed from a type that it has
 * made.
 */
static int ref_type_register(struct ref_type *type)
{
	struct ref_type_set *set = type->set;
	struct kobject *kobj = &type->mdev.kobj;
	int r;

	type->mdev.parent = &set->parent;
	kobj->kset = set->parent.mdev_types_kset;
	/* Given back by the kobject's release, which is the mdev core's */
	get_device(set->parent.dev);
	r = kobject_init_and_add(kobj, set->types[0].mdev.kobj.ktype, NULL,
				 "%s-%s", dev_driver_string(set->parent.dev),
				 type->sysfs_name);
	if (r) {
		kobject_put(kobj);
		return r;
	}

	type->mdev.devices_kobj = kobject_create_and_add("devices", kobj);
	if (!type->mdev.devices_kobj) {
		kobject_del(kobj);
		kobject_put(kobj);
		return -ENOMEM;
	}

	/* As ref_set_register() does */
	kobject_get(kobj);
	return 0;
}

/*
 * Adds the types that a registered set does not have, under the vGPUs that
 * exist, to be brought to life by ref_set_edit(). What was added before a
 * failure stays, retired.
 */
int ref_set_grow(struct ref_type_set *set, const struct mdevgpu_type *types,
		 u32 n_types)
{
	u32 i;
	int r;

	for (i = 0; i < n_types; i++) {
		struct ref_type *type;

		if (ref_set_find(set, types[i].id))
			continue;
		if (set->n_types == set->room)
			return -ENOSPC;

		type = ref_set_add(set, &types[i], true);
		if (!type)
			return -ENOMEM;

		r = ref_type_register(type);
		if (r) {
			memset(type, 0, sizeof(*type));
			set->n_types--;
			return r;
		}
		set->parent.nr_types = set->n_types;
	}

	return 0;
}

u64 ref_type_bar1_limit(const struct mdevgpu_type *t)
{
	return roundup_pow_of_two(t->framebuffer);
}

/* The aperture of a type: a window onto its framebuffer */
u64 ref_type_bar1_size(const struct mdevgpu_type *t)
{
	if (t->bar1_size)
		return t->bar1_size;

	return min(REF_BAR1_DEFAULT, ref_type_bar1_limit(t));
}
