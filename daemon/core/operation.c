/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <time.h>

#include "core/autostart.h"
#include "core/gpu-sync.h"
#include "core/gpu.h"
#include "core/manager.h"
#include "core/notes.h"
#include "core/operation-private.h"
#include "core/vgpu.h"
#include "util/text.h"

ModifyScope modify_scope_from_string(const char *s) {
        static const char *const table[MODIFY_SCOPE_MAX] = {
                [MODIFY_LIVE] = "live",
                [MODIFY_CONFIG] = "config",
                [MODIFY_BOTH] = "both",
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i] && streq(table[i], s))
                        return (ModifyScope)i;

        return MODIFY_SCOPE_INVALID;
}

Operation *operation_free(Operation *operation) {
        if (operation->vgpu)
                operation->vgpu->operation = NULL;
        sd_event_source_disable_unref(operation->deadline);
        definition_done(&operation->definition);
        list_unlink(&operation->link);
        free(operation);
        return NULL;
}

VGpu *operation_release(Operation *operation) {
        VGpu *vgpu = TAKE(operation->vgpu);

        vgpu->operation = NULL;
        vgpu->unfinished = false; /* whatever came of it, nobody is at it any more */
        return vgpu;
}

static uint64_t monotonic_usec(void) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

static uint64_t usec_since(const Operation *operation) {
        return monotonic_usec() - operation->start_usec;
}

void operation_answer(Operation *operation, const Error *error) {
        OperationCallback callback = operation->callback;

        /* One that was answered at its deadline ends later once more. */
        if (!operation->counted) {
                statistics_count(&operation->manager->statistics, operation->kind, usec_since(operation), error);
                operation->counted = true;
        }

        operation->callback = NULL;
        if (callback)
                callback(error, error ? NULL : operation->vgpu, operation->userdata);
}

bool operation_leaves_device(const Operation *operation) {
        return operation->step == STEP_STORE || operation->kind == OPERATION_MODIFY;
}

static bool makes_device(const Operation *operation) {
        return operation->kind == OPERATION_CREATE || operation->kind == OPERATION_START;
}

void operation_fail(Operation *operation, const Error *error, bool taken) {
        Manager *manager = operation->manager;
        VGpu *vgpu = operation_release(operation);
        bool automatic = operation->automatic && makes_device(operation) && vgpu->autostart;

        taken = taken || vgpu->elsewhere;
        if (makes_device(operation))
                autostart_write_record(vgpu);
        if (automatic)
                autostart_failed(vgpu, error);
        else
                /* Where nobody hears the answer the vGPU itself says why it is as it is. */
                (void)vgpu_rest(vgpu, operation->callback || error->code == -ECANCELED ? NULL : error->message);
        operation_answer(operation, error);
        if (taken)
                gpu_mark_all_dirty(manager);
}

static const char *gpu_name(const VGpu *vgpu) {
        return vgpu->gpu ? vgpu->gpu->identity.address : vgpu->parent;
}

/* Its job has been cancelled before it began: everything is as it was. */
static void end_unbegun(Operation *operation, const Error *error) {
        Manager *manager = operation->manager;

        operation_fail(operation, error, /* taken= */ false);
        operation_free(operation);
        notes_submit(manager);
}

static bool cancel(Operation *operation) {
        Platform *platform = operation->manager->platform;

        return !operation->begun && platform->ops->cancel(platform, operation->job);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        Operation *operation = userdata;
        bool stores = operation->step == STEP_STORE;
        const char *what = stores ? "The disk" : "GPU ", *name = stores ? "" : gpu_name(operation->vgpu);
        Error error = ERROR_NULL;

        operation->deadline = sd_event_source_disable_unref(operation->deadline);

        if (cancel(operation)) {
                (void)error_set(&error, -ERROR_TIMEOUT,
                                "%s%s did not get to it within %u s, other operations came first; nothing was changed",
                                what, name, OPERATION_TIMEOUT_USEC / 1000000U);
                end_unbegun(operation, &error);
                return 0;
        }

        (void)error_set(&error, -ERROR_TIMEOUT, "%s%s did not answer within %u s; the operation goes on", what, name,
                        OPERATION_TIMEOUT_USEC / 1000000U);
        operation->expired = true;
        operation_answer(operation, &error);
        return 0;
}

void operation_gpu_gone(Operation *operation) {
        Manager *manager = operation->manager;
        VGpu *vgpu = operation->vgpu;
        Error error = ERROR_NULL;

        if (operation->step == STEP_STORE)
                return;

        manager->platform->ops->forget(manager->platform, operation->job);
        (void)error_set(&error, -ERROR_NO_SUCH_GPU, "GPU %s has gone", gpu_name(vgpu));
        operation_answer(operation, &error);
        (void)operation_release(operation);
        operation_free(operation);
        notes_submit(manager);
}

void operation_end_shutdown(Operation *operation) {
        Manager *manager = operation->manager;

        manager->platform->ops->forget(manager->platform, operation->job);
        operation_free(operation);
}

void operation_abandon(Operation *operation) {
        const Error error = { .code = -ECANCELED, .message = "nobody waits for it any more" };

        operation->callback = NULL;
        if (cancel(operation))
                end_unbegun(operation, &error);
}

/* The worker is stuck in it: whoever waits is told, and what it works on stays taken until it returns. */
static void on_job_timeout(pid_t pid, void *userdata) {
        Operation *operation = userdata;
        VGpu *vgpu = operation->vgpu;
        Error error = ERROR_NULL;

        operation->expired = true;
        if (operation->kind == OPERATION_DESTROY || operation->step == STEP_UNDO) {
                (void)error_set(&error, -ERROR_TIMEOUT,
                                "The removal of vGPU %s is blocked: process %i waits in the kernel until whoever holds "
                                "the vGPU lets go; the removal ends then",
                                vgpu->uuid, (int)pid);
                vgpu_set_state(vgpu, VGPU_REMOVING, error.message);
                if (!vgpu->linked)
                        vgpu_link(vgpu);
        } else if (operation->step == STEP_STORE)
                (void)error_set(&error, -ERROR_TIMEOUT, "The disk does not take the definition: process %i is stuck",
                                (int)pid);
        else {
                (void)error_set(&error, -ERROR_TIMEOUT,
                                "The driver of GPU %s does not return from the %s: worker process %i is stuck",
                                gpu_name(vgpu), makes_device(operation) ? "creation" : "change", (int)pid);
                operation->stuck = true;
                gpu_set_stuck(vgpu->gpu, pid);
        }
        operation_answer(operation, operation->step == STEP_UNDO ? &operation->undone : &error);
}

/* On the GPU itself, where what one does changes what the other counts. */
static bool works_on(const Operation *operation, const Gpu *gpu) {
        return operation->vgpu && operation->vgpu->gpu == gpu && operation->step != STEP_STORE;
}

static bool removes(const Operation *operation) {
        return operation->kind == OPERATION_DESTROY || operation->step == STEP_UNDO;
}

static void note_overlap(Operation *operation) {
        Operation *other;

        LIST_FOREACH(other, &operation->manager->operations, link)
                if (other != operation && works_on(other, operation->vgpu->gpu) &&
                    (removes(other) || removes(operation)))
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

/* The operation may be gone when its step is done, but its GPU is not: nothing goes but by an event. */
static void on_job_done(JobResult *result, void *userdata) {
        Operation *operation = userdata;
        Gpu *gpu = operation->vgpu->gpu;
        bool stuck = operation->stuck, reread = false;

        operation->job = NULL;
        operation->stuck = false;
        if (operation->step != STEP_STORE && gpu)
                reread = operation->expired || result->error.code == -EPIPE || ends_overlap(operation, gpu);
        if (stuck && gpu)
                gpu->stuck_pid = 0;

        operation_step_done(operation, result);
        if (gpu && (reread || gpu->dirty))
                gpu_mark_dirty(gpu, /* may_register= */ false);
}

int operation_submit(Operation *operation, OperationStep step, const Job *job) {
        const JobListener listener = { .timeout = on_job_timeout, .done = on_job_done, .userdata = operation };
        Platform *platform = operation->manager->platform;
        const Gpu *gpu = operation->vgpu->gpu;
        OperationStep before = operation->step;
        int r;

        operation->step = step;
        r = platform->ops->submit(platform, gpu ? gpu->identity.address : "", job, &listener, &operation->job);
        if (r < 0)
                operation->step = before;
        else if (gpu && step != STEP_STORE)
                note_overlap(operation);
        return r;
}

int operation_submit_store(Operation *operation) {
        bool several = operation->vgpu->files.next != operation->vgpu->files.prev;
        char owner[OWNER_TEXT_SIZE];
        Job job = {
                .kind = JOB_STORE,
                .action = operation->store_action,
                .vgpu_kind = operation->definition.kind,
                .uuid = operation->vgpu->uuid,
                .parent = operation->definition.parent,
                .type_id = operation->definition.type_id,
                .autostart = operation->definition.autostart,
                .attributes = &operation->definition.attributes,
                .managed = operation->owned,
                .label = operation->label,
                .owner = owner,
        };

        operation->note_stays = job.action == STORE_UNDEFINE && several;
        if (operation->note_stays)
                job.action = STORE_UNDEFINE_ONE;
        owner_format(&operation->owner, owner);
        return operation_submit(operation, STEP_STORE, &job);
}

int operation_start(VGpu *vgpu, OperationPlan *plan, const Job *job, OperationCallback callback, void *userdata,
                    Operation **ret_operation) {
        Manager *manager = vgpu->manager;
        Operation *operation;
        int r;

        operation = calloc(1, sizeof(Operation));
        if (!operation)
                return -ENOMEM;

        operation->manager = manager;
        operation->start_usec = monotonic_usec();
        operation->kind = plan->kind;
        operation->automatic = plan->automatic;
        operation->stores = plan->stores;
        operation->store_action = plan->store_action;
        operation->owned = plan->owned;
        operation->owner = plan->owner;
        operation->callback = callback;
        operation->userdata = userdata;
        (void)text_copy(operation->label, sizeof(operation->label), strempty(plan->label));
        list_append(&manager->operations, &operation->link);
        operation->vgpu = vgpu;
        operation->definition = plan->definition;

        r = sd_event_add_time_relative(manager->event, &operation->deadline, CLOCK_MONOTONIC, OPERATION_TIMEOUT_USEC, 0,
                                       on_deadline, operation);
        if (r >= 0)
                r = job ? operation_submit(operation, STEP_DEVICE, job) : operation_submit_store(operation);
        if (r < 0) {
                operation->vgpu = NULL;
                operation->definition = (Definition){};
                operation_free(operation);
                return r;
        }

        plan->definition = (Definition){};
        operation->was_autostart = vgpu->autostart;
        vgpu->operation = operation;
        if (ret_operation)
                *ret_operation = operation;
        return 0;
}
