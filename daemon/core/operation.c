/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu-sync.h"
#include "core/gpu.h"
#include "core/manager.h"
#include "core/operation-private.h"
#include "core/record.h"
#include "core/type.h"
#include "core/vgpu.h"
#include "util/log.h"
#include "util/text.h"

static Operation *operation_free(Operation *operation) {
        if (operation->vgpu)
                operation->vgpu->operation = NULL;
        sd_event_source_disable_unref(operation->deadline);
        list_unlink(&operation->link);
        free(operation);
        return NULL;
}

/* Tells whoever asked, once. */
static void operation_answer(Operation *operation, const Error *error) {
        OperationCallback callback = operation->callback;

        operation->callback = NULL;
        if (callback)
                callback(error, error ? NULL : operation->vgpu, operation->userdata);
}

/* Undoes a create of which nothing exists. taken: somebody has the UUID whom we have not seen. */
static void forget_vgpu(Operation *operation, bool taken) {
        VGpu *vgpu = TAKE(operation->vgpu);

        taken = taken || vgpu->elsewhere;
        vgpu->operation = NULL;
        vgpu_free(vgpu);
        if (taken)
                gpu_mark_all_dirty(operation->manager);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Operation *operation = userdata;
        Platform *platform = operation->manager->platform;
        Error error = ERROR_NULL;

        operation->deadline = sd_event_source_disable_unref(operation->deadline);

        if (platform->ops->cancel(platform, operation->job)) {
                (void)error_set(&error, -ERROR_TIMEOUT,
                                "GPU %s did not get to it within %u s, other operations came first; nothing was changed",
                                operation->vgpu->gpu->identity.address, OPERATION_TIMEOUT_USEC / 1000000U);
                operation_end_unbegun(operation, &error);
                return 0;
        }

        (void)error_set(&error, -ERROR_TIMEOUT, "GPU %s did not answer within %u s; the operation goes on",
                        operation->vgpu->gpu->identity.address, OPERATION_TIMEOUT_USEC / 1000000U);
        operation->expired = true;
        operation_answer(operation, &error);
        return 0;
}

void operation_end_unbegun(Operation *operation, const Error *error) {
        operation_answer(operation, error);

        if (operation->kind == OPERATION_CREATE) {
                record_remove(operation->manager->state_fd, operation->vgpu->uuid);
                forget_vgpu(operation, /* taken= */ false);
        } else
                vgpu_set_state(operation->vgpu, VGPU_ACTIVE, NULL);

        operation_free(operation);
}

void operation_end_gone(Operation *operation) {
        Manager *manager = operation->manager;
        Error error = ERROR_NULL;

        manager->platform->ops->forget(manager->platform, operation->job);
        (void)error_set(&error, -ERROR_NO_SUCH_GPU, "GPU %s has gone", operation->vgpu->gpu->identity.address);
        operation_answer(operation, &error);
        operation_free(operation);
}

void operation_end_shutdown(Operation *operation) {
        Manager *manager = operation->manager;

        manager->platform->ops->forget(manager->platform, operation->job);
        operation_free(operation);
}

void operation_abandon(Operation *operation) {
        Platform *platform = operation->manager->platform;

        operation->callback = NULL;
        if (platform->ops->cancel(platform, operation->job))
                operation_end_unbegun(operation, /* error= */ NULL);
}

static void on_job_timeout(pid_t pid, void *userdata) {
        Operation *operation = userdata;
        VGpu *vgpu = operation->vgpu;
        Error error = ERROR_NULL;

        operation->expired = true;
        if (operation->kind == OPERATION_DESTROY) {
                (void)error_set(&error, -ERROR_TIMEOUT,
                                "The removal of vGPU %s is blocked: process %i waits in the kernel until whoever holds "
                                "the vGPU lets go; the removal ends then",
                                vgpu->uuid, (int)pid);
                vgpu_set_state(vgpu, VGPU_REMOVING, error.message);
        } else {
                (void)error_set(&error, -ERROR_TIMEOUT,
                                "The driver of GPU %s does not return from the creation: worker process %i is stuck",
                                vgpu->gpu->identity.address, (int)pid);
                operation->stuck = true;
                gpu_set_stuck(vgpu->gpu, pid);
        }
        operation_answer(operation, &error);
}

void operation_take_back(VGpu *vgpu) {
        const DestroyRequest request = { .uuid = vgpu->uuid };
        Error error = ERROR_NULL;

        vgpu_set_managed(vgpu, true);
        vgpu_set_state(vgpu, VGPU_ACTIVE, "created although its caller was told that the creation failed");
        vgpu_link(vgpu);
        if (manager_destroy_vgpu(vgpu->gpu->manager, &request, NULL, NULL, NULL, &error) < 0)
                vgpu_set_state(vgpu, VGPU_ACTIVE, error.message);
}

static void on_created(Operation *operation, JobResult *result) {
        VGpu *vgpu = operation->vgpu;

        gpu_apply_counts(vgpu->gpu, result->counts, result->n_counts);

        if (result->error.code < 0 && result->error.code != -EPIPE) {
                record_remove(operation->manager->state_fd, vgpu->uuid);
                forget_vgpu(operation, result->error.code == -ERROR_ALREADY_EXISTS);
                operation_answer(operation, &result->error);
                return;
        }

        vgpu->operation = NULL;
        operation->vgpu = NULL;
        if (result->error.code == -EPIPE) {
                /* Its UUID stays taken, and its record, until it has been read whether it exists. */
                vgpu->doubtful = true;
                operation_answer(operation, &result->error);
                return;
        }

        vgpu_update(vgpu, &result->vgpu);
        if (operation->expired) {
                operation_take_back(vgpu);
                return;
        }

        vgpu_set_managed(vgpu, true);
        vgpu_set_state(vgpu, VGPU_ACTIVE, NULL);
        vgpu_link(vgpu);
        operation->vgpu = vgpu;
        operation_answer(operation, NULL);
        operation->vgpu = NULL;
}

static void on_destroyed(Operation *operation, JobResult *result) {
        VGpu *vgpu = operation->vgpu;
        Gpu *gpu = vgpu->gpu;

        vgpu->operation = NULL;
        operation->vgpu = NULL;
        /* A sync that reads meanwhile may have seen the vGPU before it went. */
        gpu->stale = gpu->stale || gpu->sync;

        if (result->error.code < 0) {
                /* Where nobody hears the answer the vGPU itself says why it is still there. */
                vgpu_set_state(vgpu, VGPU_ACTIVE, operation->callback ? NULL : result->error.message);
                operation_answer(operation, &result->error);
                gpu_mark_dirty(gpu, /* may_register= */ false);
                return;
        }

        gpu_drop_vgpu(vgpu);
        gpu_apply_counts(gpu, result->counts, result->n_counts);
        operation_answer(operation, NULL);
        if (gpu->pending_types)
                gpu_mark_dirty(gpu, /* may_register= */ true);
}

static bool works_on(const Operation *operation, const Gpu *gpu) {
        return operation->vgpu && operation->vgpu->gpu == gpu;
}

static void note_overlap(Operation *operation) {
        Operation *other;

        LIST_FOREACH(other, &operation->manager->operations, link)
                if (other != operation && works_on(other, operation->vgpu->gpu) &&
                    (other->kind == OPERATION_DESTROY || operation->kind == OPERATION_DESTROY))
                        other->overlaps = operation->overlaps = true;
}

/* The last of several, those apart that may never end: what all of them counted may be out of date. */
static bool ends_overlap(const Operation *operation, const Gpu *gpu) {
        Operation *other;

        LIST_FOREACH(other, &operation->manager->operations, link)
                if (other != operation && works_on(other, gpu) && !other->expired)
                        return false;

        return operation->overlaps;
}

static void on_job_done(JobResult *result, void *userdata) {
        Operation *operation = userdata;
        Gpu *gpu = operation->vgpu->gpu;
        bool reread = operation->expired || result->error.code == -EPIPE || ends_overlap(operation, gpu);

        operation->job = NULL;
        if (operation->kind == OPERATION_CREATE) {
                on_created(operation, result);
                if (operation->stuck)
                        gpu->stuck_pid = 0;
        } else
                on_destroyed(operation, result);

        operation_free(operation);
        if (reread || gpu->dirty)
                gpu_mark_dirty(gpu, /* may_register= */ false);
}

int operation_start(VGpu *vgpu, OperationKind kind, const Job *job, OperationCallback callback, void *userdata,
                    Operation **ret_operation) {
        Manager *manager = vgpu->gpu->manager;
        Platform *platform = manager->platform;
        Operation *operation;
        JobListener listener;
        int r;

        operation = calloc(1, sizeof(Operation));
        if (!operation)
                return -ENOMEM;

        operation->manager = manager;
        operation->kind = kind;
        operation->callback = callback;
        operation->userdata = userdata;
        list_append(&manager->operations, &operation->link);

        listener = (JobListener){ .timeout = on_job_timeout, .done = on_job_done, .userdata = operation };
        r = sd_event_add_time_relative(manager->event, &operation->deadline, CLOCK_MONOTONIC, OPERATION_TIMEOUT_USEC, 0,
                                       on_deadline, operation);
        if (r >= 0)
                r = platform->ops->submit(platform, vgpu->gpu->identity.address, job, &listener, &operation->job);
        if (r < 0) {
                operation_free(operation);
                return r;
        }

        operation->vgpu = vgpu;
        vgpu->operation = operation;
        note_overlap(operation);
        if (ret_operation)
                *ret_operation = operation;
        return 0;
}
