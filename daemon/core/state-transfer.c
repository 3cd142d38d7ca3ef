/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What both directions have in common: how a transfer begins for whoever asked, goes on as a task, is told to stop, and ends.
 */

#include <fcntl.h>

#include "core/gpu.h"
#include "core/manager.h"
#include "core/state-transfer-private.h"
#include "util/log.h"
#include "util/text.h"

int state_transfer_check_name(const char *name, Error *error) {
        if (name[0] == '\0' || saved_state_name_is_good(name))
                return 0;

        return error_set(error, -ERROR_INVALID_ARGUMENT,
                         "'%.64s' is no name of a saved state: that is of 1 to %u letters, digits, '.', '_' and '-', and "
                         "does not begin with '.'",
                         name, SAVED_STATE_NAME_SIZE - 1);
}

StateTransfer *state_transfer_free(StateTransfer *t) {
        Platform *platform;

        if (!t)
                return NULL;

        platform = t->manager->platform;
        list_unlink(&t->link);
        sd_event_source_disable_unref(t->again);
        sd_event_source_disable_unref(t->deadline);
        if (t->job)
                platform->ops->forget(platform, t->job);
        if (t->operation)
                operation_abandon(t->operation);
        platform->ops->release_transfer(platform, t->key);
        fd_close(t->fd);
        fd_close(t->cancel_fd);
        fd_close(t->cancelled_fd);
        free(t->groups);
        free(t);
        return NULL;
}

int state_transfer_check_room(const Manager *manager, Error *error) {
        const StateTransfer *t;
        unsigned n = 0;

        LIST_FOREACH(t, &manager->state_transfers, link)
                n++;

        return n < STATE_TRANSFERS_MAX ? 0
                                       : error_set(error, -ERROR_LIMIT_EXCEEDED,
                                                   "%u states are being saved or restored, and no more can be at one "
                                                   "time",
                                                   n);
}

static int open_fds(StateTransfer *t, int fd) {
        int fds[2];

        if (t->name[0] == '\0') {
                t->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
                if (t->fd < 0)
                        return negative_errno();
        }
        if (pipe2(fds, O_CLOEXEC) < 0)
                return negative_errno();

        t->cancelled_fd = fds[0];
        t->cancel_fd = fds[1];
        return 0;
}

/* It ends as soon as it can, and nobody is told of it. */
static void give_up(StateTransfer *t) {
        t->silent = t->cancelled = true;
        t->cancel_fd = fd_close(t->cancel_fd);
}

/* Whoever asked would give up soon, and never hear that it begins after all. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        StateTransfer *t = userdata;
        StateTransferCallback callback = TAKE(t->callback);
        Error error = ERROR_NULL;

        t->deadline = sd_event_source_disable_unref(t->deadline);
        if (!callback)
                return 0;

        if (t->failure.code < 0)
                error = t->failure;
        else if (t->restores)
                (void)error_set(&error, -ERROR_TIMEOUT,
                                "The beginning of the state was not read within %u s: the disk may hang; nothing is restored",
                                OPERATION_TIMEOUT_USEC / 1000000U);
        else
                (void)error_set(&error, -ERROR_TIMEOUT,
                                "Saving the state of vGPU %s did not begin within %u s: its driver or the disk may hang; nothing "
                                "is saved, and the vGPU stays busy until they answer",
                                t->uuid, OPERATION_TIMEOUT_USEC / 1000000U);
        give_up(t);
        callback(&error, NULL, t->userdata);
        return 0;
}

int state_transfer_new(Manager *manager, const char *name, int fd, StateTransferCallback callback, void *userdata,
                       StateTransfer **ret_transfer, Error *error) {
        _cleanup_(state_transfer_freep) StateTransfer *t = NULL;
        int r;

        t = calloc(1, sizeof(StateTransfer));
        if (!t)
                return error_set_errno(error, -ENOMEM, "the state cannot be moved");

        t->manager = manager;
        t->callback = callback;
        t->userdata = userdata;
        t->fd = t->cancel_fd = t->cancelled_fd = -EBADF;
        (void)text_copy(t->name, sizeof(t->name), name);
        (void)snprintf(t->key, sizeof(t->key), "transfer-%" PRIu32, ++manager->last_transfer);
        list_append(&manager->state_transfers, &t->link);
        r = open_fds(t, fd);
        if (r >= 0 && callback)
                r = sd_event_add_time_relative(manager->event, &t->deadline, CLOCK_MONOTONIC, OPERATION_TIMEOUT_USEC, 0,
                                               on_deadline, t);
        if (r < 0)
                return error_set_errno(error, r, "the state cannot be moved");

        *ret_transfer = TAKE(t);
        return 0;
}

VGpu *state_transfer_find(const StateTransfer *t) {
        return t->uuid[0] != '\0' ? MAP_FIND(&t->manager->vgpus, t->uuid, VGpu, node) : NULL;
}

/* It is on record before the device is touched, and not any more only when it is as it was. */
void state_transfer_claim(StateTransfer *t, VGpuClaim claim) {
        VGpu *vgpu = state_transfer_find(t);

        if (!vgpu || vgpu->claim == claim)
                return;

        vgpu_set_claim(vgpu, claim);
        if (vgpu->present)
                vgpu_write_transfer_record(vgpu);
        if (!vgpu->operation)
                (void)vgpu_rest(vgpu, vgpu->last_error);
}

static void on_cancel(Task *task, void *userdata) {
        StateTransfer *t = userdata;

        t->cancelled = true;
        t->cancel_fd = fd_close(t->cancel_fd);
        task_set_cancelable(task, false);
}

static const char *get_operation(const StateTransfer *t) {
        return t->name[0] != '\0' ? t->restores ? "restore-state" : "save-state"
               : t->restores      ? "import-state"
                                  : "export-state";
}

bool state_transfer_begin(StateTransfer *t, uint64_t total) {
        StateTransferCallback callback = TAKE(t->callback);
        Error error = ERROR_NULL;
        int r;

        if (t->silent || t->task)
                return true;

        r = task_new_about_state(t->manager, get_operation(t), t->name, t->started_by, &t->task);
        if (r >= 0)
                r = task_add_uuid(t->task, t->uuid);
        if (r < 0) {
                (void)error_set_errno(&error, r, "the state cannot be moved");
                t->task = task_free(t->task);
                t->callback = callback;
                state_transfer_fail(t, &error);
                return false;
        }

        t->task->cancel = on_cancel;
        t->task->userdata = t;
        task_begin(t->task);
        task_set_bytes(t->task, 0, total);
        task_set_cancelable(t->task, !t->cancelled);
        if (callback)
                callback(NULL, t->task, t->userdata);
        return true;
}

void state_transfer_finish(StateTransfer *t, const Error *error) {
        StateTransferCallback callback = TAKE(t->callback);
        bool cancelled = error && error->code == -ERROR_CANCELLED;
        Error gone = ERROR_NULL;

        if (error && t->gpu_gone && !t->cancelled) {
                (void)error_set(&gone, -ERROR_NO_SUCH_GPU, "GPU %s has gone, and with it what was copied", t->gpu);
                error = &gone;
                cancelled = false;
        }
        state_transfer_claim(t, VGPU_CLAIM_NONE);
        if (error)
                log_debug("The state of vGPU %s: %s", t->uuid[0] != '\0' ? t->uuid : "(not known)", error->message);
        if (t->task)
                task_finish(t->task, !error ? TASK_DONE : cancelled ? TASK_CANCELLED : TASK_FAILED, error);
        else if (callback && error)
                callback(error, NULL, t->userdata);
        (void)state_transfer_free(t);
}

StateTransfer *state_transfer_abandon(StateTransfer *t) {
        if (!t)
                return NULL;

        t->callback = NULL;
        give_up(t);
        return NULL;
}

static void on_progress(const TransferProgress *progress, void *userdata) {
        StateTransfer *t = userdata;

        /* A header out of the store is read in no time, and judged before anything has begun. */
        if (t->restores && t->step == STATE_STEP_COPY && t->name[0] != '\0')
                return;
        if (!state_transfer_begin(t, progress->total) || !t->task)
                return;

        task_set_transfer(t->task, progress);
}

/* It is killed, which ends what hangs elsewhere than in a driver; the vGPU is nobody else's until it has gone. */
static void on_timeout(pid_t pid, void *userdata) {
        StateTransfer *t = userdata;
        StateTransferCallback callback = TAKE(t->callback);
        VGpu *vgpu = state_transfer_find(t);
        Error error = ERROR_NULL;

        if (vgpu && vgpu->claim != VGPU_CLAIM_NONE)
                vgpu->claim_pid = pid;
        (void)error_set(&error, -ERROR_TIMEOUT,
                        "Process %i does not come to an end with the state of vGPU %s: the vGPU stays busy as long as the "
                        "kernel or its driver has it",
                        (int)pid, t->uuid);
        give_up(t);
        if (t->task)
                task_finish(TAKE(t->task), TASK_FAILED, &error);
        else if (callback)
                callback(&error, NULL, t->userdata);
}

Job state_transfer_get_job(const StateTransfer *t, JobKind kind) {
        const VGpu *vgpu = state_transfer_find(t);

        return (Job){
                .kind = kind,
                .uuid = t->uuid,
                .state_name = t->name,
                .vgpu_kind = vgpu ? vgpu->kind : VGPU_MDEV,
                .parent = vgpu ? vgpu->parent : "",
                .iommu_group = vgpu ? vgpu->iommu_group : -1,
        };
}

int state_transfer_submit(StateTransfer *t, const Job *job, void (*done)(JobResult *result, void *userdata)) {
        const JobListener listener = {
                .timeout = on_timeout,
                .done = done,
                .progress = on_progress,
                .userdata = t,
        };
        Platform *platform = t->manager->platform;

        return platform->ops->submit(platform, t->key, job, &listener, &t->job);
}

/* Its worker sees what becomes of the device; a vGPU that is not there any more is nothing to put back. */
void state_transfers_gpu_gone(const Gpu *gpu) {
        StateTransfer *t;

        LIST_FOREACH(t, &gpu->manager->state_transfers, link)
                if (streq(t->gpu, gpu->identity.address)) {
                        t->gpu_gone = true;
                        t->cancel_fd = fd_close(t->cancel_fd);
                }
}

void state_transfers_end(Manager *manager) {
        StateTransfer *t;

        LIST_FOREACH(t, &manager->state_transfers, link)
                (void)state_transfer_free(t);
}
