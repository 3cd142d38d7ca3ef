/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <time.h>

#include "core/manager.h"
#include "core/task.h"
#include "util/string-table.h"
#include "util/text.h"

/* How long one that has ended can still be looked at. */
#define STAY_USEC UINT64_C(30000000)

/* Progress is for people. */
#define PROGRESS_INTERVAL_USEC UINT64_C(250000)

static const char *const task_state_table[TASK_STATE_MAX] = {
        [TASK_QUEUED] = "queued", [TASK_RUNNING] = "running",     [TASK_DONE] = "done",
        [TASK_FAILED] = "failed", [TASK_CANCELLED] = "cancelled",
};

DEFINE_STRING_TABLE(task_state, TaskState)

static uint64_t realtime_usec(void) {
        struct timespec ts;

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

static void changed(Task *task, unsigned mask) {
        OBSERVE(task->manager, task_changed, task, mask);
}

static int create(Manager *manager, const char *operation, const char *object, bool about_gpu, uid_t started_by,
                  size_t n_steps, Task **ret_task) {
        Task *task;

        task = calloc(1, sizeof(Task));
        if (!task)
                return -ENOMEM;

        task->manager = manager;
        task->id = ++manager->last_task;
        task->operation = operation;
        (void)text_copy(task->object, sizeof(task->object), object);
        task->about_gpu = about_gpu;
        task->started_by = started_by;
        task->start_usec = realtime_usec();
        task->n_steps = n_steps;
        list_append(&manager->tasks, &task->link);
        OBSERVE(manager, task_added, task);
        *ret_task = task;
        return 0;
}

int task_new(Manager *manager, const char *operation, const char *object, uid_t started_by, size_t n_steps,
             Task **ret_task) {
        return create(manager, operation, object, /* about_gpu= */ false, started_by, n_steps, ret_task);
}

int task_new_about_gpu(Manager *manager, const char *operation, const char *address, uid_t started_by, size_t n_steps,
                       Task **ret_task) {
        return create(manager, operation, address, /* about_gpu= */ true, started_by, n_steps, ret_task);
}

Task *task_free(Task *task) {
        if (!task)
                return NULL;

        OBSERVE(task->manager, task_removed, task);
        list_unlink(&task->link);
        sd_event_source_disable_unref(task->expiry);
        free(task->uuids);
        free(task);
        return NULL;
}

int task_add_uuid(Task *task, const char *uuid) {
        char(*uuids)[UUID_STRING_SIZE];

        for (size_t i = 0; i < task->n_uuids; i++)
                if (streq(task->uuids[i], uuid))
                        return 0;

        uuids = reallocarray(task->uuids, task->n_uuids + 1, UUID_STRING_SIZE);
        if (!uuids)
                return -ENOMEM;

        task->uuids = uuids;
        (void)text_copy(uuids[task->n_uuids++], UUID_STRING_SIZE, uuid);
        changed(task, TASK_CHANGED_OBJECTS);
        return 0;
}

void task_begin(Task *task) {
        task->state = TASK_RUNNING;
        changed(task, TASK_CHANGED_STATE);
}

void task_set_done(Task *task, size_t n_done) {
        uint64_t now = realtime_usec();

        task->n_done = n_done;
        /* The clock may have been set back. */
        if (n_done < task->n_steps && now >= task->told_usec && now - task->told_usec < PROGRESS_INTERVAL_USEC)
                return;

        task->told_usec = now;
        changed(task, TASK_CHANGED_PROGRESS);
}

void task_set_cancelable(Task *task, bool cancelable) {
        if (task->cancelable == cancelable)
                return;

        task->cancelable = cancelable;
        changed(task, TASK_CHANGED_CANCELABLE);
}

static int on_expiry(sd_event_source *source, uint64_t usec, void *userdata) {
        task_free(userdata);
        return 0;
}

static uint64_t *counter_of(TaskStatistics *statistics, TaskState state) {
        switch (state) {
        case TASK_DONE:
                return &statistics->n_done;
        case TASK_CANCELLED:
                return &statistics->n_cancelled;
        default:
                return &statistics->n_failed;
        }
}

void task_finish(Task *task, TaskState state, const Error *error) {
        int r;

        task_set_cancelable(task, false);
        task->state = state;
        if (error)
                task->error = *error;
        (*counter_of(&task->manager->statistics.tasks, state))++;
        changed(task, TASK_CHANGED_STATE | TASK_CHANGED_PROGRESS | TASK_CHANGED_RESULT);
        OBSERVE(task->manager, task_finished, task);

        r = sd_event_add_time_relative(task->manager->event, &task->expiry, CLOCK_MONOTONIC, STAY_USEC, 0, on_expiry,
                                       task);
        if (r < 0)
                task_free(task);
}

int task_cancel(Task *task, Error *error) {
        if (task->state != TASK_QUEUED && task->state != TASK_RUNNING)
                return error_set(error, -ERROR_NOT_SUPPORTED, "Job %u has ended: there is nothing to cancel", task->id);
        if (!task->cancelable)
                return error_set(error, -ERROR_NOT_SUPPORTED, "Job %u cannot be cancelled now", task->id);

        if (!task->cancelling) {
                task->cancelling = true;
                task->cancel(task, task->userdata);
        }
        return 0;
}

Task *manager_find_task(const Manager *manager, uint32_t id) {
        Task *task;

        LIST_FOREACH(task, &manager->tasks, link)
                if (task->id == id)
                        return task;

        return NULL;
}
