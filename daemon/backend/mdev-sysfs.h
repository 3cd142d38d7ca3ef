/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * mdev sysfs: the kernel's mediated device interface for one GPU, that is for the card itself and for those of its
 * virtual functions that are mdev parents (NVIDIA Ampere on kernels before vendor-specific VFIO). Shared by all
 * backends whose vGPUs are mdevs. The kernel's errno is explained here.
 */

#include "core/backend.h"

/* True if the card or one of its virtual functions is an mdev parent. */
bool mdev_sysfs_present(const Host *host, const char *gpu);

/* Adds every type and every vGPU. A type of several parents is one row, its instances added up. */
int mdev_sysfs_read(const Host *host, const char *gpu, GpuReport *report, Error *error);

/* What a type has left on one parent; UNKNOWN_U32. */
uint32_t mdev_sysfs_read_available(const Host *host, const char *parent, const char *type_id);
/* Fills the row of an mdev of which parent and type are known. */
void mdev_sysfs_describe(const Host *host, const char *parent, const char *type_id, const char *uuid,
                         VGpuReport *ret_vgpu);

/* parent: one of the GPU's, or "": whichever has room. */
int mdev_sysfs_create(const Host *host, const char *gpu, const char *parent, const char *type_id, const char *uuid,
                      VGpuReport *ret_vgpu, Error *error);
int mdev_sysfs_find(const Host *host, const char *gpu, const char *uuid, VGpuReport *ret_vgpu, Error *error);
int mdev_sysfs_configure(const Host *host, const char *gpu, const char *uuid, const Attribute *attribute, Error *error);
int mdev_sysfs_remove(const Host *host, const char *gpu, const char *uuid, Error *error);
