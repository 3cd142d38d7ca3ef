/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the rest of core may do to an operation: start one, and end it for reasons that no job reports.
 */

#include "core/operation.h"

/* What an operation starts from; taken over by operation_start() when it succeeds. */
typedef struct OperationPlan {
        OperationKind kind;
        bool automatic;
        bool stores;
        StoreAction store_action;
        Definition definition;
        bool owned;
        const char *label;
        Owner owner;
} OperationPlan;

/* Submits the job; NULL: the plan's store is all there is to do. Negative: nothing began and no callback comes. */
int operation_start(VGpu *vgpu, OperationPlan *plan, const Job *job, OperationCallback callback, void *userdata,
                    Operation **ret_operation);

/* The next step. Negative: there is none, and the operation is as it was. */
int operation_submit(Operation *operation, OperationStep step, const Job *job);
int operation_submit_store(Operation *operation);

/* Its vGPU's device is not what it is about: who else makes or removes that is somebody else. */
bool operation_leaves_device(const Operation *operation);

/* Tells whoever asked, once. error NULL: it is done, and the vGPU is shown. */
void operation_answer(Operation *operation, const Error *error);

/* The vGPU is free for others. */
VGpu *operation_release(Operation *operation);
Operation *operation_free(Operation *operation);

/* A job of it has ended: goes on, or ends it. operation-steps.c. */
void operation_step_done(Operation *operation, JobResult *result);

/* Nothing came of a create or a start. taken: somebody has the UUID whom we have not seen. The vGPU may be gone. */
void operation_fail(Operation *operation, const Error *error, bool taken);

/* It exists although its caller was told that it failed: removed, if nobody has got hold of it, else left with the reason. */
void operation_take_back(VGpu *vgpu);

/*
 * It exists, and whoever began to start it, and may have made it, did not come to the end: what its definition says of it
 * is written. It stays whatever comes of that, as it may be somebody else's.
 */
void operation_finish_start(VGpu *vgpu);

/* Its GPU goes, and the vGPU's device with it. What is being written down goes on. */
void operation_gpu_gone(Operation *operation);

/* The daemon ends: nobody is told, and the record stays, as what was begun goes on. */
void operation_end_shutdown(Operation *operation);
