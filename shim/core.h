/* SPDX-License-Identifier: GPL-2.0-only */
/* The core's own view of a GPU and of its open files. */
#ifndef _MDEVGPU_CORE_H
#define _MDEVGPU_CORE_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/spinlock.h>
#include <linux/wait.h>

#include "mdevgpu.h"

#define MDEVGPU_MAX_TYPES	256
#define MDEVGPU_MAX_VGPUS	4096
#define MDEVGPU_MAX_EVENTS	64	/* in the queue of one file */

struct mdevgpu_file {
	struct mdevgpu_device *gpu;
	bool was_owner;		/* ever; tells ESTALE from EBADF */

	/* By the GPU's event_lock; on its list of subscribers if @queue */
	struct list_head subscriber;
	struct mdevgpu_event *queue;	/* a ring of MDEVGPU_MAX_EVENTS */
	u32 first, n_events;
	u64 n_lost;			/* since the youngest in the queue */
	u64 mask;
	u64 framebuffer_high;
	u64 framebuffer_low;
	bool above;
	u32 event_size;

	struct mutex read_lock;		/* one reader at a time, over copying */
};

struct mdevgpu_device {
	struct device dev;
	struct cdev cdev;
	wait_queue_head_t wait;

	/* Constant after registration, in the form that IDENTIFY gives out */
	struct mdevgpu_identify identity;

	struct mutex lock;	/* protects what is below, held over the ops */
	const struct mdevgpu_ops *ops;	/* NULL: the vendor has gone */
	void *priv;
	struct mdevgpu_file *owner;
	u64 epoch;
	u64 generation;		/* written under both locks */
	struct mdevgpu_type *types;
	u32 n_types;

	spinlock_t event_lock;	/* protects what is below */
	struct list_head subscribers;
	u64 sequence;
	u64 framebuffer_used;	/* as the vendor said last */
	bool gone;		/* GOING has been told */
};

int mdevgpu_lock_live(struct mdevgpu_device *gpu);

/* core-ioctl.c */
long mdevgpu_ioctl(struct file *file, unsigned int cmd, unsigned long arg);
int mdevgpu_get_args(void *args, size_t known, size_t first,
		     void __user *uargs);
int mdevgpu_put_args(void __user *uargs, const void *args, size_t size);
int mdevgpu_check_array(u64 array, u32 stride, u32 first, u32 n);
int mdevgpu_put_array(u64 array, u32 stride, const void *records, size_t known,
		      u32 n);
int mdevgpu_check_owner(const struct mdevgpu_file *f);

/* core-types.c */
struct mdevgpu_type *mdevgpu_types_dup(const struct mdevgpu_type *types,
				       u32 n_types);
int mdevgpu_types_judge(struct mdevgpu_device *gpu, struct mdevgpu_type *types,
			u32 n_types);
int mdevgpu_types_replace(struct mdevgpu_device *gpu,
			  struct mdevgpu_type *types, u32 n_types,
			  const struct mdevgpu_set_types *args);
u32 mdevgpu_types_retired(struct mdevgpu_device *gpu,
			  struct mdevgpu_type *types, u32 room);

/* core-usage.c */
long mdevgpu_ioctl_get_usage(struct mdevgpu_file *f, void __user *uargs);
long mdevgpu_ioctl_set_share(struct mdevgpu_file *f, void __user *uargs);

/* core-event.c */
void mdevgpu_event_types(struct mdevgpu_device *gpu);
void mdevgpu_event_going(struct mdevgpu_device *gpu);
long mdevgpu_ioctl_subscribe(struct mdevgpu_file *f, void __user *uargs);
void mdevgpu_unsubscribe(struct mdevgpu_file *f);
ssize_t mdevgpu_read(struct file *file, char __user *buf, size_t count,
		     loff_t *ppos);
__poll_t mdevgpu_poll(struct file *file, struct poll_table_struct *table);

#endif
