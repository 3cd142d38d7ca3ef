/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the rest of core may do to an operation: start one, and end it for reasons that no job reports.
 */

#include "core/operation.h"

/* Submits the job. Negative: nothing began and the callback is not called. */
int operation_start(VGpu *vgpu, OperationKind kind, const Job *job, OperationCallback callback, void *userdata,
                    Operation **ret_operation);

/* Its job was cancelled before it began: everything is as it was. */
void operation_end_unbegun(Operation *operation, const Error *error);

/* It exists although its caller was told that it failed: removed, if nobody has got hold of it, else left with the reason. */
void operation_take_back(VGpu *vgpu);

/* Its GPU goes, and the vGPU with it: the caller frees that. */
void operation_end_gone(Operation *operation);

/* The daemon ends: nobody is told, and the record stays, as what was begun goes on. */
void operation_end_shutdown(Operation *operation);
