/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a vendor module sees of the mdevgpu core.
 *
 * The core owns the node, its open files, the ownership and the type set's
 * definition; it copies and checks everything that user space hands in. The
 * vendor module makes types out of a checked set and counts their instances.
 * Nothing of a vendor module is referenced after mdevgpu_unregister(), however
 * many files are still open, so that the module can go under a running daemon.
 */
#ifndef _MDEVGPU_H
#define _MDEVGPU_H

#include <linux/types.h>

#include "mdevgpu-shim.h"

struct device;
struct mdevgpu_device;

/**
 * struct mdevgpu_info - what IDENTIFY tells; copied by mdevgpu_register()
 * @type_prefix: what the sysfs folder of a type begins with, without the dash
 * @driver: name of the vendor module
 * @driver_version: of it
 * @vendor: the GPU's maker, for people
 * @model: the GPU's model, for people
 * @state_format: as IDENTIFY has it, or NULL
 * @framebuffer_total: bytes
 * @capabilities: MDEVGPU_CAP_* that the vendor module answers for
 */
struct mdevgpu_info {
	const char *type_prefix;
	const char *driver;
	const char *driver_version;
	const char *vendor;
	const char *model;
	const char *state_format;
	u64 framebuffer_total;
	u64 capabilities;
};

/**
 * struct mdevgpu_ops - calls of a vendor module
 *
 * All are called in process context, one at a time for each GPU, and never
 * after mdevgpu_unregister() has returned. The core's lock is held: a vendor's
 * mdev probe must take no part in it.
 */
struct mdevgpu_ops {
	/**
	 * @set_types: replace the whole type set. Each type has passed the
	 * core's checks and its verdict is OK; the vendor may lower verdicts
	 * and then returns -EINVAL. -EBUSY says that vGPUs forbid it, with the
	 * verdict LIVE for each type that has to wait: mdevgpu_mark_live()
	 * does so for all that are new or changed. On any error the previous
	 * set is in force, or mdevgpu_types_lost() was called. With @dry_run
	 * nothing is changed. Returns 0, or MDEVGPU_UNCHANGED if there was
	 * nothing to do. Called with a set that equals the current one only
	 * while @get_retired has types to tell of, which may go now.
	 */
	int (*set_types)(struct mdevgpu_device *gpu, struct mdevgpu_type *types,
			 u32 n_types, bool dry_run);

	/**
	 * @count_types: fill in live and available of @types, the current set,
	 * and return how many vGPUs exist. @types may be NULL.
	 */
	u32 (*count_types)(struct mdevgpu_device *gpu,
			   struct mdevgpu_type *types, u32 n_types);

	/**
	 * @get_retired: optional. The types that still are in sysfs though no
	 * longer in the set, as many as @room, with live filled in. Returns how
	 * many there are. @types may be NULL with @room 0.
	 */
	u32 (*get_retired)(struct mdevgpu_device *gpu,
			   struct mdevgpu_type *types, u32 room);

	/**
	 * @get_usage: optional, then MDEVGPU_CAP_USAGE. The vGPUs, if @room is
	 * enough for all of them, and *@used, the bytes of framebuffer that
	 * they take together. Returns how many there are. @vgpus is zeroed, and
	 * may be NULL with @room 0.
	 */
	u32 (*get_usage)(struct mdevgpu_device *gpu, struct mdevgpu_vgpu *vgpus,
			 u32 room, u64 *used);

	/**
	 * @set_share: optional, then MDEVGPU_CAP_SHARE. Gives the vGPU a weight
	 * within MDEVGPU_SHARE_MIN and MDEVGPU_SHARE_MAX. -ENOENT: no such.
	 */
	int (*set_share)(struct mdevgpu_device *gpu, const u8 *uuid, u32 share,
			 u32 *ret_previous);
};

#define MDEVGPU_UNCHANGED	1

struct mdevgpu_device *mdevgpu_register(struct device *parent,
					const struct mdevgpu_info *info,
					const struct mdevgpu_ops *ops,
					void *priv);
void mdevgpu_unregister(struct mdevgpu_device *gpu);
void mdevgpu_put(struct mdevgpu_device *gpu);
void *mdevgpu_priv(struct mdevgpu_device *gpu);

/* For use in set_types() only */
void mdevgpu_mark_live(struct mdevgpu_device *gpu, struct mdevgpu_type *types,
		       u32 n_types);
void mdevgpu_types_lost(struct mdevgpu_device *gpu);

/* From anywhere, also in atomic context, until mdevgpu_put() */
void mdevgpu_tell_open(struct mdevgpu_device *gpu, bool open, const u8 *uuid,
		       u32 type_id, u32 pid);
void mdevgpu_tell_error(struct mdevgpu_device *gpu, const u8 *uuid, u32 type_id,
			u32 code, const char *text);
void mdevgpu_tell_framebuffer(struct mdevgpu_device *gpu, u64 used);

#endif
