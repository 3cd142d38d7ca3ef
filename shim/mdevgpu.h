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
 * @framebuffer_total: bytes
 * @capabilities: MDEVGPU_CAP_* that the vendor module answers for
 */
struct mdevgpu_info {
	const char *type_prefix;
	const char *driver;
	const char *driver_version;
	const char *vendor;
	const char *model;
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
	 * and then returns -EINVAL. -EBUSY with mdevgpu_mark_live() says that
	 * vGPUs forbid it. On any error the previous set is in force, or
	 * mdevgpu_types_lost() was called. With @dry_run nothing is changed.
	 * Never called for a set that equals the current one.
	 */
	int (*set_types)(struct mdevgpu_device *gpu, struct mdevgpu_type *types,
			 u32 n_types, bool dry_run);

	/**
	 * @get_usage: fill in live and available of @types, the current set,
	 * and return how many vGPUs exist. @types may be NULL.
	 */
	u32 (*get_usage)(struct mdevgpu_device *gpu, struct mdevgpu_type *types,
			 u32 n_types);
};

struct mdevgpu_device *mdevgpu_register(struct device *parent,
					const struct mdevgpu_info *info,
					const struct mdevgpu_ops *ops,
					void *priv);
void mdevgpu_unregister(struct mdevgpu_device *gpu);
void *mdevgpu_priv(struct mdevgpu_device *gpu);

/* For use in set_types() only */
void mdevgpu_mark_live(struct mdevgpu_device *gpu, struct mdevgpu_type *types,
		       u32 n_types);
void mdevgpu_types_lost(struct mdevgpu_device *gpu);

#endif
