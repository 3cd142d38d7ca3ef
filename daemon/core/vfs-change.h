/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VfsChange: enabling another number of virtual functions of one GPU, which takes a driver's time. It ends by calling back
 * exactly once, unless it is freed before: then what was begun goes on, and nobody is told.
 */

#include "core/manager.h"

typedef struct VfsChange VfsChange;

/* error is NULL on success. The change is gone then. */
typedef void (*VfsCallback)(const Error *error, void *userdata);

/* Judges as far as it can be judged now, and begins nothing. */
int manager_check_vfs(const Manager *manager, const char *gpu, uint32_t n, Error *error);
/* Negative with *error filled: it did not begin. */
int manager_enable_vfs(Manager *manager, const char *gpu, uint32_t n, VfsCallback callback, void *userdata,
                       VfsChange **ret_change, Error *error);
VfsChange *vfs_change_free(VfsChange *change);

/* The GPU goes: those that are at it end. */
void vfs_change_gpu_gone(Gpu *gpu);
