/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/vfs-change.h"
#include "util/file.h"
#include "util/log.h"
#include "util/text.h"

/* How often it is looked how far the driver has come. */
#define LOOK_USEC UINT64_C(250000)

typedef struct VfsTask {
        Manager *manager;
        Task *task;
        VfsChange *change;
        sd_event_source *timer;
        char gpu[SYSFS_NAME_SIZE];
        uint32_t from, to; /* how many there were, and shall be */
        bool emptied; /* the old ones have gone */
        bool undoing; /* somebody has cancelled it when it was under way */
} VfsTask;

static void on_changed(const Error *error, void *userdata);

static void end(VfsTask *t, TaskState state, const Error *error) {
        task_finish(t->task, state, error);
        sd_event_source_disable_unref(t->timer);
        free(t);
}

/* Links of the PCI core: sriov_numvfs itself is locked as long as the driver is at it (kernel 6.12, drivers/pci/iov.c). */
static uint32_t count_functions(const VfsTask *t) {
        uint32_t n = 0, most = MAX(t->from, t->to);
        char path[SYSFS_NAME_SIZE + 64];

        for (; n < most; n++) {
                (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/virtfn%u", t->gpu, n);
                if (!path_exists(t->manager->host->sys_fd, path))
                        break;
        }

        return n;
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata) {
        VfsTask *t = userdata;
        uint32_t now = count_functions(t);

        t->emptied = t->emptied || now == 0;
        if (!t->undoing)
                task_set_done(t->task, t->emptied ? t->from + MIN(now, t->to) : t->from - MIN(now, t->from));
        if (sd_event_source_set_time_relative(source, LOOK_USEC) < 0 ||
            sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) < 0)
                log_debug("GPU %s: its virtual functions are not counted any more", t->gpu);
        return 0;
}

/* What has been done is taken back. */
static void undo(VfsTask *t) {
        Error error = ERROR_NULL, cancelled = ERROR_NULL;
        int r;

        t->undoing = true;
        r = manager_enable_vfs(t->manager, t->gpu, t->from, on_changed, t, &t->change, &error);
        if (r == 0)
                return;

        (void)error_set(&cancelled, -ERROR_CANCELLED, "Cancelled: the virtual functions of GPU %s are as they were",
                        t->gpu);
        end(t, r > 0 ? TASK_CANCELLED : TASK_FAILED, r > 0 ? &cancelled : &error);
}

static void on_changed(const Error *error, void *userdata) {
        VfsTask *t = userdata;
        Error cancelled = ERROR_NULL;

        t->change = NULL;
        if (error)
                end(t, TASK_FAILED, error);
        else if (t->undoing) {
                (void)error_set(&cancelled, -ERROR_CANCELLED,
                                "Cancelled: the virtual functions of GPU %s are as they were", t->gpu);
                end(t, TASK_CANCELLED, &cancelled);
        } else if (t->task->cancelling)
                undo(t);
        else {
                t->task->changed = true;
                task_set_done(t->task, t->task->n_steps);
                end(t, TASK_DONE, NULL);
        }
}

/* What a driver is at cannot be stopped. */
static void on_cancel(Task *task, void *userdata) {
        VfsTask *t = userdata;
        Error error = ERROR_NULL;

        task_set_cancelable(task, false);
        if (t->undoing || !vfs_change_cancel(t->change))
                return;

        (void)error_set(&error, -ERROR_CANCELLED, "Cancelled before the driver of GPU %s was asked", t->gpu);
        end(t, TASK_CANCELLED, &error);
}

static int begin(VfsTask *t, const Attributes *attributes, Error *error) {
        int r;

        r = manager_enable_vfs_with(t->manager, t->gpu, t->to, attributes, on_changed, t, &t->change, error);
        if (r != 0)
                return r;

        r = sd_event_add_time_relative(t->manager->event, &t->timer, CLOCK_MONOTONIC, LOOK_USEC, 0, on_look, t);
        if (r < 0)
                log_debug("GPU %s: its virtual functions are not counted: %s", t->gpu, strerror(-r));
        return 0;
}

int manager_enable_vfs_task(Manager *manager, const char *address, uint32_t n, const Attributes *attributes,
                            uid_t started_by, Task **ret_task, Error *error) {
        _cleanup_(freep) VfsTask *t = NULL;
        const Gpu *gpu;
        Task *task;
        int r;

        r = manager_check_vfs(manager, address, n, attributes && attributes->n > 0, error);
        if (r < 0)
                return r;

        gpu = manager_find_gpu(manager, address);
        t = calloc(1, sizeof(VfsTask));
        if (!t ||
            task_new_about_gpu(manager, "enable-vfs", address, started_by, r > 0 ? 0 : gpu->num_vfs + n, &task) < 0)
                return error_set_errno(error, -ENOMEM, "the virtual functions cannot be changed");

        *t = (VfsTask){ .manager = manager, .task = task, .from = gpu->num_vfs, .to = n };
        (void)text_copy(t->gpu, sizeof(t->gpu), gpu->identity.address);
        t->emptied = t->from == 0;
        r = begin(t, attributes, error);
        if (r < 0) {
                task_free(task);
                return r;
        }

        *ret_task = task;
        task_begin(task);
        if (r > 0) {
                end(TAKE(t), TASK_DONE, NULL);
                return 0;
        }
        task->cancel = on_cancel;
        task->userdata = TAKE(t);
        task_set_cancelable(task, true);
        return 0;
}
