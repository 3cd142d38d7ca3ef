/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * MigrationQuery: who has a vGPU, and what there is to say of moving it, asked of a worker of its own. It opens the vGPU only
 * if that is asked for, and then nothing else of ours touches that until it is closed.
 */

#include "core/manager.h"
#include "core/vgpu.h"

typedef struct MigrationQuery MigrationQuery;

/* Everything that was found out: as of JOB_MIGRATION. error is NULL on success. Called once, from the loop; the query is gone
 * then, and the vGPU may be, too. */
typedef void (*MigrationCallback)(const Error *error, const JobResult *result, void *userdata);

/*
 * Negative with *error filled: it did not begin. To open: -ERROR_NOT_SUPPORTED, where a vGPU of such a driver must not be
 * opened; -ERROR_BUSY, where something is going on with it, or a virtual machine is being started; -ERROR_IN_USE.
 */
int migration_query_new(VGpu *vgpu, bool probe, MigrationCallback callback, void *userdata, MigrationQuery **ret_query,
                        Error *error);
/* Whether it would begin, as far as that can be told. */
int migration_query_check(const VGpu *vgpu, Error *error);
/* Nobody is called back. What has the vGPU open goes on to its end. */
MigrationQuery *migration_query_free(MigrationQuery *query);

/* A virtual machine is being started with it: what has not opened it yet is not going to, and who asks is told. */
void migration_query_give_way(VGpu *vgpu);

/* The GPU goes: who asks is told. */
void migration_query_gpu_gone(Gpu *gpu);
