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

/* Whatever is reckoned to take longer than a year is not known. */
#define END_MAX_USEC 31536000e6

/* Nothing copies so much in a second: a worker says what it likes, and UNKNOWN_U64 is no rate. */
#define RATE_MAX 0x1p62

static const char *const task_state_table[TASK_STATE_MAX] = {
        [TASK_QUEUED] = "queued", [TASK_RUNNING] = "running",     [TASK_DONE] = "done",
        [TASK_FAILED] = "failed", [TASK_CANCELLED] = "cancelled",
};

DEFINE_STRING_TABLE(task_state, TaskState)

static uint64_t now_usec(clockid_t clock) {
        struct timespec ts;

        (void)clock_gettime(clock, &ts);
        return (uint64_t)ts.tv_sec * 1000000U + (uint64_t)ts.tv_nsec / 1000U;
}

static void changed(Task *task, unsigned mask) {
        OBSERVE(task->manager, task_changed, task, mask);
}

static int create(Manager *manager, const char *operation, const char *object, TaskSubject subject, uid_t started_by,
                  size_t n_steps, Task **ret_task) {
        Task *task;

        task = calloc(1, sizeof(Task));
        if (!task)
                return -ENOMEM;

        task->manager = manager;
        task->id = ++manager->last_task;
        task->operation = operation;
        (void)text_copy(task->object, sizeof(task->object), object);
        task->subject = subject;
        task->transfer = (TransferProgress){ .total = UNKNOWN_U64, .dirty = UNKNOWN_U64 };
        task->started_by = started_by;
        task->start_usec = now_usec(CLOCK_REALTIME);
        task->begun_usec = now_usec(CLOCK_MONOTONIC);
        task->bytes = task->total_bytes = task->rate = task->end_usec = UNKNOWN_U64;
        task->n_steps = n_steps;
        list_append(&manager->tasks, &task->link);
        OBSERVE(manager, task_added, task);
        *ret_task = task;
        return 0;
}

int task_new(Manager *manager, const char *operation, const char *object, uid_t started_by, size_t n_steps,
             Task **ret_task) {
        return create(manager, operation, object, TASK_TOPOLOGY, started_by, n_steps, ret_task);
}

int task_new_about_gpu(Manager *manager, const char *operation, const char *address, uid_t started_by, size_t n_steps,
                       Task **ret_task) {
        return create(manager, operation, address, TASK_GPU, started_by, n_steps, ret_task);
}

int task_new_about_state(Manager *manager, const char *operation, const char *name, uid_t started_by, Task **ret_task) {
        return create(manager, operation, name, TASK_STATE, started_by, 0, ret_task);
}

Task *task_free(Task *task) {
        if (!task)
                return NULL;

        OBSERVE(task->manager, task_removed, task);
        list_unlink(&task->link);
        sd_event_source_disable_unref(task->expiry);
        sd_event_source_disable_unref(task->teller);
        free(task->uuids);
        free(task);
        return NULL;
}

int task_add_uuid(Task *task, const char *uuid) {
        char(*uuids)[UUID_STRING_SIZE];

        if (uuid[0] == '\0') /* about a GPU */
                return 0;
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

static void tell(Task *task) {
        task->teller = sd_event_source_disable_unref(task->teller);
        task->told_usec = now_usec(CLOCK_MONOTONIC);
        changed(task, TASK_CHANGED_PROGRESS);
}

static int on_teller(sd_event_source *source, uint64_t usec, void *userdata) {
        tell(userdata);
        return 0;
}

/* At once, or when the last time was long enough ago. */
static void tell_soon(Task *task) {
        uint64_t since = now_usec(CLOCK_MONOTONIC) - task->told_usec;

        if (task->told_usec == 0 || since >= PROGRESS_INTERVAL_USEC)
                tell(task);
        else if (!task->teller)
                (void)sd_event_add_time_relative(task->manager->event, &task->teller, CLOCK_MONOTONIC,
                                                 PROGRESS_INTERVAL_USEC - since, 0, on_teller, task);
}

/* What is left takes what it took so far. */
static void reckon_end(Task *task, double left, double done, uint64_t usec) {
        double more = done > 0 ? left / done * (double)usec : -1;

        task->end_usec = more >= 0 && more < END_MAX_USEC ? now_usec(CLOCK_REALTIME) + (uint64_t)more : UNKNOWN_U64;
}

void task_set_done(Task *task, size_t n_done) {
        task->n_done = MIN(n_done, task->n_steps);
        reckon_end(task, (double)(task->n_steps - task->n_done), (double)task->n_done,
                   now_usec(CLOCK_MONOTONIC) - task->begun_usec);
        tell_soon(task);
}

void task_set_steps(Task *task, size_t n_steps) {
        task->n_steps = n_steps;
        tell_soon(task);
}

void task_set_bytes(Task *task, uint64_t bytes, uint64_t total) {
        uint64_t now = now_usec(CLOCK_MONOTONIC), usec = now - task->rated_usec;

        task->bytes = bytes;
        task->total_bytes = total;
        if (task->rated_usec == 0 || bytes < task->rated_bytes) {
                task->rated_usec = now;
                task->rated_bytes = bytes;
        } else if (usec >= PROGRESS_INTERVAL_USEC) {
                double exact = (double)(bytes - task->rated_bytes) * 1e6 / (double)usec;
                uint64_t rate = (uint64_t)MIN(exact, RATE_MAX);

                /* That of some seconds, so that it can be read. */
                if (task->rate == UNKNOWN_U64 || (rate == 0 && task->rate < 8))
                        task->rate = rate;
                else
                        task->rate = task->rate - task->rate / 8 + rate / 8;
                task->rated_usec = now;
                task->rated_bytes = bytes;
        }

        task->end_usec = UNKNOWN_U64;
        if (total != UNKNOWN_U64 && bytes <= total && task->rate != UNKNOWN_U64)
                reckon_end(task, (double)(total - bytes), (double)task->rate, 1000000U);
        tell_soon(task);
}

void task_set_transfer(Task *task, const TransferProgress *progress) {
        task->transfer = *progress;
        task_set_bytes(task, progress->n_bytes, progress->total);
}

void task_forget_end(Task *task) {
        task->end_usec = UNKNOWN_U64;
        tell_soon(task);
}

double task_get_progress(const Task *task) {
        if (task->bytes != UNKNOWN_U64)
                return task->total_bytes == UNKNOWN_U64 || task->total_bytes < task->bytes ? -1
                       : task->total_bytes == 0                                            ? 1
                                                : (double)task->bytes / (double)task->total_bytes;

        return task->n_steps > 0 ? (double)task->n_done / (double)task->n_steps : -1;
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
        task->end_usec = now_usec(CLOCK_REALTIME);
        task->teller = sd_event_source_disable_unref(task->teller);
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
