/* SPDX-License-Identifier: GPL-2.0-only */
/* The core's own view of a GPU and of its open files. */
#ifndef _MDEVGPU_CORE_H
#define _MDEVGPU_CORE_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/mutex.h>
#include <linux/wait.h>

#include "mdevgpu.h"

#define MDEVGPU_MAX_TYPES	256

struct mdevgpu_file {
	struct mdevgpu_device *gpu;
	bool was_owner;		/* ever; tells ESTALE from EBADF */
};

struct mdevgpu_device {
	struct device dev;
	struct cdev cdev;
	wait_queue_head_t wait;

	/* Constant after registration, in the form that IDENTIFY gives out */
	struct mdevgpu_identify identity;

	struct mutex lock;	/* protects all below, held over the ops */
	const struct mdevgpu_ops *ops;	/* NULL: the vendor has gone */
	void *priv;
	struct mdevgpu_file *owner;
	u64 epoch;
	u64 generation;
	struct mdevgpu_type *types;
	u32 n_types;
};

int mdevgpu_lock_live(struct mdevgpu_device *gpu);

/* core-ioctl.c */
long mdevgpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg);

/* core-types.c */
struct mdevgpu_type *mdevgpu_types_dup(const struct mdevgpu_type *types,
				       u32 n_types);
int mdevgpu_types_judge(struct mdevgpu_device *gpu, struct mdevgpu_type *types,
			u32 n_types);
int mdevgpu_types_replace(struct mdevgpu_device *gpu,
			  struct mdevgpu_type *types, u32 n_types,
			  const struct mdevgpu_set_types *args);

#endif
