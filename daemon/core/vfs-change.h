/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * VfsChange: enabling another number of virtual functions of one GPU, which takes a driver's time. It ends by calling back
 * exactly once, from the loop, when the driver has answered and the GPU has been read again: what it offers now is known
 * then. One that does not answer in time is called back for with ERROR_TIMEOUT, and goes on. Freed before, what was begun
 * goes on, too, and nobody is told.
 *
 * There is one at a time for each GPU, and none while it has vGPUs: every function goes with it.
 */

#include "core/manager.h"
#include "core/task.h"

typedef struct VfsChange VfsChange;

/* error is NULL on success. The change is gone then, for whoever began it. */
typedef void (*VfsCallback)(const Error *error, void *userdata);

/*
 * Judges as far as it can be judged now, and begins nothing. 1: nothing is to be done, as there are so many (then vGPUs are
 * no reason to refuse); 0: it may begin. anew: those that are there do not do, as attributes shall be theirs.
 */
int manager_check_vfs(const Manager *manager, const char *gpu, uint32_t n, bool anew, Error *error);
/* 1: there is nothing to do, and nobody is called back; 0: it began; negative with *error filled: it did not begin. */
int manager_enable_vfs(Manager *manager, const char *gpu, uint32_t n, VfsCallback callback, void *userdata,
                       VfsChange **ret_change, Error *error);
/* The same, with attributes of all functions that are written before they are enabled, for drivers that have some. */
int manager_enable_vfs_with(Manager *manager, const char *gpu, uint32_t n, const Attributes *attributes,
                            VfsCallback callback, void *userdata, VfsChange **ret_change, Error *error);
/* Has the driver allow vGPUs of different sizes at one time, or not, in the same way and with the same judgement. */
int manager_set_mixed_size(Manager *manager, const char *gpu, bool on, VfsCallback callback, void *userdata,
                           VfsChange **ret_change, Error *error);
int manager_check_mixed_size(const Manager *manager, const char *gpu, bool on, Error *error);
/* True: the driver was not asked yet, and the change is gone, without a call back. */
bool vfs_change_cancel(VfsChange *change);
VfsChange *vfs_change_free(VfsChange *change);

/* The GPU goes: those that are at it end. */
void vfs_change_gpu_gone(Gpu *gpu);
/* The GPU has been read, or will not be for now. */
void vfs_change_gpu_read(Gpu *gpu);
/* True while one goes on there. */
bool vfs_change_is_on(const Gpu *gpu);
/* True while one goes on that does not wait for a driver which is stuck. */
bool vfs_change_is_pending(const Manager *manager);

/*
 * The same as a task, "enable-vfs", whose object is the GPU. Cancelled in the middle of it, the number that was there before
 * is enabled again.
 */
int manager_enable_vfs_task(Manager *manager, const char *gpu, uint32_t n, const Attributes *attributes,
                            uid_t started_by, Task **ret_task, Error *error);
