/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The reference vendor module: synthetic GPUs, and vGPUs on them.
 *
 * Who keeps whom: a vGPU holds the type set that it was made of, a set holds
 * its GPU. So a GPU that is unplugged stays in memory, without its PCI device,
 * until the last reference to a vGPU has gone.
 */
#ifndef _MDEVGPU_REF_H
#define _MDEVGPU_REF_H

#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mdev.h>
#include <linux/pci.h>
#include <linux/spinlock.h>
#include <linux/uuid.h>
#include <linux/wait.h>

#include "mdevgpu.h"

#define REF_NAME	"mdevgpu_ref"
#define REF_VERSION	"1"

struct ref_gpu {
	struct kref ref;
	struct pci_dev *pdev;		/* valid while the driver is bound */
	u64 framebuffer;
	u16 vendor_id;
	u16 device_id;
	u16 subsystem_id;

	struct mdevgpu_device *node;	/* NULL until it is registered */
	struct ref_type_set *set;	/* by the node's lock; NULL: no types */

	spinlock_t lock;		/* protects all below */
	bool frozen;			/* no vGPU is made */
	u32 n_live;
	u32 n_open;
	u64 used;			/* framebuffer, with what is reserved */
	u32 n_vfs;			/* with them there are no vGPUs, and vice versa */
	struct list_head vgpus;
	struct list_head jobs;		/* that the copy engine has */
	wait_queue_head_t turn;		/* whose turn it is may have changed */
};

struct ref_type {
	struct mdev_type mdev;
	struct ref_type_set *set;
	char sysfs_name[12];

	/* By the GPU's lock */
	struct mdevgpu_type definition;
	bool retired;			/* no vGPU is made of it any more */
	bool wanted;			/* ref_set_edit()'s own */
	u32 live;
};

struct ref_type_set {
	struct kref ref;
	struct ref_gpu *gpu;
	struct mdev_parent parent;
	struct mdev_type **mdev_types;
	struct list_head names;		/* all that its types ever had */
	u32 n_types;
	u32 room;
	struct ref_type types[];
};

struct ref_vgpu;

/* ref-gpu.c */
struct ref_gpu *ref_gpu_get(struct ref_gpu *gpu);
void ref_gpu_put(struct ref_gpu *gpu);
int ref_gpu_driver_register(u16 vendor, u16 device, u64 framebuffer);
void ref_gpu_driver_unregister(void);
bool ref_gpu_pdev_is_open(struct pci_dev *pdev);

/* ref-usage.c */
int ref_usage_take(struct ref_type *type, struct ref_vgpu *vgpu);
void ref_usage_give_back(struct ref_vgpu *vgpu);
void ref_usage_open(struct ref_vgpu *vgpu);
void ref_usage_close(struct ref_vgpu *vgpu);
bool ref_usage_is_open(struct ref_gpu *gpu);
int ref_usage_freeze(struct ref_gpu *gpu, bool even_if_live);
void ref_usage_thaw(struct ref_gpu *gpu);
int ref_usage_divide(struct ref_gpu *gpu, u32 n_vfs);
u32 ref_usage_available(struct ref_type *type);
u32 ref_usage_live(struct ref_gpu *gpu);
u32 ref_usage_get(struct mdevgpu_device *node, struct mdevgpu_vgpu *vgpus,
		  u32 room, u64 *used);
int ref_usage_set_share(struct mdevgpu_device *node, const u8 *uuid, u32 share,
			u32 *ret_previous);

/* ref-types.c */
extern bool ref_types_add_live;
extern const struct mdevgpu_ops ref_types_ops;

/* ref-set.c */
struct ref_type_set *ref_set_new(struct ref_gpu *gpu,
				 const struct mdevgpu_type *types, u32 n_types,
				 u32 room);
struct ref_type_set *ref_set_get(struct ref_type_set *set);
void ref_set_put(struct ref_type_set *set);
int ref_set_register(struct ref_type_set *set);
void ref_set_unregister(struct ref_type_set *set);
struct ref_type *ref_set_find(struct ref_type_set *set, u32 id);
int ref_set_edit(struct ref_type_set *set, const struct mdevgpu_type *types,
		 u32 n_types);
int ref_set_grow(struct ref_type_set *set, const struct mdevgpu_type *types,
		 u32 n_types);
u64 ref_type_bar1_limit(const struct mdevgpu_type *t);
u64 ref_type_bar1_size(const struct mdevgpu_type *t);

/* ref-engine.c */
int ref_engine_init(void);
void ref_engine_exit(void);

/* ref-vgpu.c */
extern struct mdev_driver ref_vgpu_driver;

/* ref-pci.c */
int ref_pci_create(u16 domain, u16 vendor, u16 device, u16 vfs);
void ref_pci_destroy(void);
bool ref_pci_is_ours(const struct pci_dev *pdev);
int ref_pci_plug(unsigned int slot);
int ref_pci_unplug(unsigned int slot);

#endif
