/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/request.h"
#include "core/vfs-auto.h"
#include "core/vfs-change.h"
#include "core/vgpu.h"

struct VfsChange {
        Gpu *gpu;
        List link; /* in manager->vfs_changes */
        bool vfs; /* the number of functions is what is changed */
        PlatformJob *job; /* NULL: the driver has answered */
        Error error; /* what it answered */
        VfsCallback callback;
        void *userdata;
};

static void finish(VfsChange *change) {
        const Error error = change->error;
        VfsCallback callback = change->callback;
        void *userdata = change->userdata;

        list_unlink(&change->link);
        free(change);
        if (callback)
                callback(error.code < 0 ? &error : NULL, userdata);
}

static void on_done(JobResult *result, void *userdata) {
        VfsChange *change = userdata;
        Gpu *gpu = change->gpu;

        change->job = NULL;
        change->error = result->error;
        gpu->stuck_pid = 0;
        if (change->vfs)
                vfs_auto_changed(gpu);
        /* Whatever came of it: the functions' own events come, too, but not of those that could not be made. */
        gpu_mark_dirty(gpu, /* may_register= */ true);
        if (!gpu->sync)
                finish(change);
}

/* It goes on, and its GPU says that it is stuck; but who waits for it may have other GPUs to see to. */
static void on_timeout(pid_t pid, void *userdata) {
        VfsChange *change = userdata;
        VfsCallback callback = TAKE(change->callback);
        Error error = ERROR_NULL;

        gpu_set_stuck(change->gpu, pid);
        (void)error_set(&error, -ERROR_TIMEOUT, "GPU %s: its driver does not come to an end with being changed",
                        change->gpu->identity.address);
        if (callback)
                callback(&error, change->userdata);
}

static VfsChange *find_change(const Manager *manager, const Gpu *gpu) {
        VfsChange *change;

        LIST_FOREACH(change, &manager->vfs_changes, link)
                if (change->gpu == gpu)
                        return change;

        return NULL;
}

static bool has_any(const Attributes *attributes) {
        return attributes && attributes->n > 0;
}

/* Nothing else is going on there, and nothing would be lost. */
static int judge_quiet(const Manager *manager, const Gpu *gpu, Error *error) {
        VGpu *vgpu;

        if (find_change(manager, gpu))
                return error_set(
                        error, -ERROR_BUSY,
                        "GPU %s, or its virtual functions, are being changed already; wait for the end of that",
                        gpu->identity.address);
        LIST_FOREACH(vgpu, &gpu->vgpus, gpu_link)
                if (vgpu->present || vgpu->operation)
                        return error_set(error, -ERROR_BUSY, "GPU %s has vGPUs, as %s; destroy these first",
                                         gpu->identity.address, vgpu->uuid);

        return 0;
}

static int find_gpu(const Manager *manager, const char *address, Gpu **ret_gpu, Error *error) {
        *ret_gpu = manager_find_gpu(manager, address);
        if (!*ret_gpu)
                return error_set(error, -ERROR_NO_SUCH_GPU, "There is no GPU '%.64s'", address);
        return 0;
}

/* anew: though there are as many, they shall be others. */
static int judge(const Manager *manager, const char *address, uint32_t n, bool anew, Gpu **ret_gpu, Error *error) {
        Gpu *gpu;
        int r;

        r = find_gpu(manager, address, &gpu, error);
        if (r < 0)
                return r;
        if (gpu->max_vfs == 0)
                return error_set(error, -ERROR_NOT_SUPPORTED, "GPU %s has no virtual functions", address);
        if (n > gpu->max_vfs)
                return error_set(error, -ERROR_INVALID_ARGUMENT, "GPU %s can have at most %u virtual functions",
                                 address, gpu->max_vfs);
        if (gpu->num_vfs == n && !anew && !find_change(manager, gpu))
                return 1;

        *ret_gpu = gpu;
        return judge_quiet(manager, gpu, error);
}

int manager_check_vfs(const Manager *manager, const char *gpu, uint32_t n, bool anew, Error *error) {
        Gpu *found;

        return judge(manager, gpu, n, anew, &found, error);
}

int manager_enable_vfs(Manager *manager, const char *gpu, uint32_t n, VfsCallback callback, void *userdata,
                       VfsChange **ret_change, Error *error) {
        return manager_enable_vfs_with(manager, gpu, n, NULL, callback, userdata, ret_change, error);
}

static int begin(Gpu *gpu, const Job *job, VfsCallback callback, void *userdata, VfsChange **ret_change, Error *error) {
        JobListener listener = { .timeout = on_timeout, .done = on_done };
        Platform *platform = gpu->manager->platform;
        VfsChange *change;
        int r;

        change = calloc(1, sizeof(VfsChange));
        if (!change)
                return error_set_errno(error, -ENOMEM, "the GPU cannot be changed");

        *change = (VfsChange){
                .gpu = gpu,
                .vfs = job->kind == JOB_ENABLE_VFS,
                .callback = callback,
                .userdata = userdata,
        };
        listener.userdata = change;
        r = platform->ops->submit(platform, gpu->identity.address, job, &listener, &change->job);
        if (r < 0) {
                free(change);
                return request_submit_error(r, gpu, error);
        }

        list_append(&gpu->manager->vfs_changes, &change->link);
        if (ret_change)
                *ret_change = change;
        return 0;
}

int manager_enable_vfs_with(Manager *manager, const char *address, uint32_t n, const Attributes *attributes,
                            VfsCallback callback, void *userdata, VfsChange **ret_change, Error *error) {
        const Job job = {
                .kind = JOB_ENABLE_VFS,
                .n_vfs = n,
                .attributes = attributes,
                .sriov_manage = manager->settings ? manager->settings->sriov_manage : NULL,
        };
        Gpu *gpu;
        int r;

        if (n == 0 && has_any(attributes))
                return error_set(error, -ERROR_INVALID_ARGUMENT, "No virtual functions have no attributes");
        r = judge(manager, address, n, has_any(attributes), &gpu, error);
        return r != 0 ? r : begin(gpu, &job, callback, userdata, ret_change, error);
}

static int judge_mixed_size(const Manager *manager, const char *address, bool on, Gpu **ret_gpu, Error *error) {
        Gpu *gpu;
        int r;

        r = find_gpu(manager, address, &gpu, error);
        if (r < 0)
                return r;
        if (gpu->mixed_size == MIXED_SIZE_NONE)
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "The driver of GPU %s has no such setting, or only with virtual functions enabled",
                                 address);
        if (gpu->mixed_size == (on ? MIXED_SIZE_ON : MIXED_SIZE_OFF) && !find_change(manager, gpu))
                return 1;

        *ret_gpu = gpu;
        return judge_quiet(manager, gpu, error);
}

int manager_check_mixed_size(const Manager *manager, const char *gpu, bool on, Error *error) {
        Gpu *found;

        return judge_mixed_size(manager, gpu, on, &found, error);
}

int manager_set_mixed_size(Manager *manager, const char *address, bool on, VfsCallback callback, void *userdata,
                           VfsChange **ret_change, Error *error) {
        const Job job = { .kind = JOB_SET_MIXED, .mixed_size = on };
        Gpu *gpu;
        int r;

        r = judge_mixed_size(manager, address, on, &gpu, error);
        return r != 0 ? r : begin(gpu, &job, callback, userdata, ret_change, error);
}

bool vfs_change_cancel(VfsChange *change) {
        Platform *platform = change->gpu->manager->platform;

        if (!change->job || !platform->ops->cancel(platform, change->job))
                return false;

        list_unlink(&change->link);
        free(change);
        return true;
}

VfsChange *vfs_change_free(VfsChange *change) {
        if (!change)
                return NULL;

        /* The listener stays, as the GPU has to be read when it ends. */
        change->callback = NULL;
        return NULL;
}

void vfs_change_gpu_gone(Gpu *gpu) {
        Manager *manager = gpu->manager;
        VfsChange *change = find_change(manager, gpu);

        if (!change)
                return;

        if (change->job)
                manager->platform->ops->forget(manager->platform, change->job);
        change->error = ERROR_NULL;
        (void)error_set(&change->error, -ERROR_NO_SUCH_GPU, "GPU %s has gone", gpu->identity.address);
        finish(change);
}

void vfs_change_gpu_read(Gpu *gpu) {
        VfsChange *change = find_change(gpu->manager, gpu);

        if (change && !change->job && (!gpu->sync || gpu->sync_stuck))
                finish(change);
}

bool vfs_change_is_on(const Gpu *gpu) {
        return find_change(gpu->manager, gpu);
}

bool vfs_change_is_pending(const Manager *manager) {
        VfsChange *change;

        LIST_FOREACH(change, &manager->vfs_changes, link)
                if (change->gpu->stuck_pid == 0)
                        return true;

        return false;
}
