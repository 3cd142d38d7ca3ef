// SPDX-License-Identifier: GPL-2.0-only
/*
 * VFIO migration, version 2: the states of a vGPU, and what each step between
 * two of them does. Which steps lead from one state to another is the kernel's
 * to say.
 */
#include <linux/err.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/slab.h>

#include "kernel-compat.h"
#include "ref-vgpu.h"

/* The copy engine holds still, and so moves nothing from or to another device. */
static bool ref_state_holds(enum vfio_device_mig_state state)
{
	switch (state) {
	case VFIO_DEVICE_STATE_RUNNING:
		return false;
	default:
		return state != REF_STATE_PRE_COPY;
	}
}

static bool ref_state_saves(enum vfio_device_mig_state state)
{
	return state == VFIO_DEVICE_STATE_STOP_COPY ||
	       ref_migration_precopies(state);
}

/* Registers keep what they say: nothing within changes. */
bool ref_migration_is_stopped(const struct ref_vgpu *vgpu)
{
	lockdep_assert_held(&vgpu->lock);

	switch (vgpu->migration->state) {
	case VFIO_DEVICE_STATE_STOP:
	case VFIO_DEVICE_STATE_STOP_COPY:
	case VFIO_DEVICE_STATE_RESUMING:
	case VFIO_DEVICE_STATE_ERROR:
		return true;
	default:
		return false;
	}
}

/* Seen under either lock */
static void ref_migration_enter(struct ref_vgpu *vgpu,
				enum vfio_device_mig_state state)
{
	lockdep_assert_held(&vgpu->migration->lock);

	mutex_lock(&vgpu->lock);
	vgpu->migration->state = state;
	mutex_unlock(&vgpu->lock);
	wake_up_interruptible(&vgpu->migration->wait);
}

/* One arc. The descriptor of the session that it begins, NULL, or an ERR_PTR() */
static struct file *ref_migration_step(struct ref_vgpu *vgpu,
				       enum vfio_device_mig_state to)
{
	enum vfio_device_mig_state from = vgpu->migration->state;
	struct file *file = NULL;
	int r;

	if (from == VFIO_DEVICE_STATE_RESUMING) {
		r = ref_resume_commit(vgpu);
		ref_resume_end(vgpu);
		if (r) {
			ref_migration_enter(vgpu, VFIO_DEVICE_STATE_ERROR);
			return ERR_PTR(r);
		}
	}

	if (ref_state_saves(from) && !ref_state_saves(to))
		ref_save_end(vgpu);
	if (!ref_state_holds(from) && ref_state_holds(to))
		ref_engine_hold(vgpu);

	if (!ref_state_saves(from) && ref_state_saves(to))
		file = ref_save_new(vgpu);
	else if (to == VFIO_DEVICE_STATE_RESUMING)
		file = ref_resume_new(vgpu);
	if (IS_ERR(file))
		return file;

	ref_migration_enter(vgpu, to);
	if (ref_state_holds(from) && !ref_state_holds(to))
		ref_engine_release(vgpu);
	return file;
}

static struct file *ref_migration_walk(struct ref_vgpu *vgpu,
				       enum vfio_device_mig_state to)
{
	struct ref_migration *migration = vgpu->migration;
	enum vfio_device_mig_state next;
	struct file *file = NULL;
	int r;

	/* Nothing but a reset leads out of it, and no request into it. */
	if (migration->state == VFIO_DEVICE_STATE_ERROR ||
	    to == VFIO_DEVICE_STATE_ERROR)
		return ERR_PTR(-EINVAL);

	while (migration->state != to) {
		r = vfio_mig_get_next_state(&vgpu->vdev, migration->state, to,
					    &next);
		if (r)
			return ERR_PTR(r);
		file = ref_migration_step(vgpu, next);
		if (IS_ERR(file))
			return file;
		/* Only the last step of a path begins a session. */
		if (WARN_ON(file && next != to)) {
			fput(file);
			return ERR_PTR(-EIO);
		}
	}

	return file;
}

static struct file *ref_migration_set_state(struct vfio_device *vdev,
					    enum vfio_device_mig_state to)
{
	struct ref_vgpu *vgpu = to_ref_vgpu(vdev);
	struct file *file;

	mutex_lock(&vgpu->migration->lock);
	file = ref_migration_walk(vgpu, to);
	mutex_unlock(&vgpu->migration->lock);

	return file;
}

static int ref_migration_get_state(struct vfio_device *vdev,
				   enum vfio_device_mig_state *ret_state)
{
	struct ref_vgpu *vgpu = to_ref_vgpu(vdev);

	mutex_lock(&vgpu->migration->lock);
	*ret_state = vgpu->migration->state;
	mutex_unlock(&vgpu->migration->lock);

	return 0;
}

#ifdef MDEVGPU_VFIO_PRE_COPY
static int ref_migration_get_data_size(struct vfio_device *vdev,
				       unsigned long *ret_size)
{
	struct ref_vgpu *vgpu = to_ref_vgpu(vdev);

	mutex_lock(&vgpu->migration->lock);
	*ret_size = ref_save_size(vgpu);
	mutex_unlock(&vgpu->migration->lock);

	return 0;
}
#endif

static const struct vfio_migration_ops ref_migration_ops = {
	.migration_set_state = ref_migration_set_state,
	.migration_get_state = ref_migration_get_state,
#ifdef MDEVGPU_VFIO_PRE_COPY
	.migration_get_data_size = ref_migration_get_data_size,
#endif
};

int ref_migration_init(struct ref_vgpu *vgpu)
{
	struct ref_migration *migration;

	migration = kzalloc(sizeof(*migration), GFP_KERNEL_ACCOUNT);
	if (!migration)
		return -ENOMEM;

	kref_init(&migration->ref);
	mutex_init(&migration->lock);
	init_waitqueue_head(&migration->wait);
	migration->state = VFIO_DEVICE_STATE_RUNNING;
	vgpu->migration = migration;
	vgpu->vdev.mig_ops = &ref_migration_ops;
	vgpu->vdev.migration_flags = REF_MIGRATION_FLAGS;
	return 0;
}

struct ref_migration *ref_migration_get(struct ref_migration *migration)
{
	kref_get(&migration->ref);
	return migration;
}

static void ref_migration_free(struct kref *ref)
{
	struct ref_migration *migration =
		container_of(ref, struct ref_migration, ref);

	mutex_destroy(&migration->lock);
	kfree(migration);
}

/* A data descriptor may be closed after the vGPU has gone. */
void ref_migration_put(struct ref_migration *migration)
{
	kref_put(&migration->ref, ref_migration_free);
}

/* Ends whatever is on. True if what the vGPU has in it then is whole. */
static bool ref_migration_abort(struct ref_vgpu *vgpu)
{
	enum vfio_device_mig_state state = vgpu->migration->state;

	lockdep_assert_held(&vgpu->migration->lock);

	ref_save_end(vgpu);
	ref_resume_end(vgpu);
	return state != VFIO_DEVICE_STATE_RESUMING &&
	       state != VFIO_DEVICE_STATE_ERROR;
}

/* From any state to a vGPU as new */
void ref_vgpu_reset(struct ref_vgpu *vgpu)
{
	mutex_lock(&vgpu->migration->lock);
	ref_migration_abort(vgpu);
	ref_engine_stop(vgpu);
	ref_region_reset(vgpu);
	ref_memory_scrub(vgpu);
	ref_migration_enter(vgpu, VFIO_DEVICE_STATE_RUNNING);
	mutex_unlock(&vgpu->migration->lock);
}

/*
 * The user has gone. Commands that are on do not survive that, since what they
 * would move does not. False if what is left is but a part of something.
 */
bool ref_migration_close(struct ref_vgpu *vgpu)
{
	bool whole;

	mutex_lock(&vgpu->migration->lock);
	whole = ref_migration_abort(vgpu);
	ref_engine_stop(vgpu);
	ref_migration_enter(vgpu, VFIO_DEVICE_STATE_RUNNING);
	mutex_unlock(&vgpu->migration->lock);

	return whole;
}
