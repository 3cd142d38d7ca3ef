/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Task: something long that was asked for and that goes on by itself: who asked has his answer when it begins, and watches
 * it if he likes. It stays for a while after it ended, so that whoever looks late finds what came of it.
 *
 * (A Job is something else: what a worker is given to do.)
 */

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "core/backend.h"
#include "util/list.h"

typedef struct Manager Manager;
typedef struct Task Task;

typedef enum TaskState {
        TASK_QUEUED,
        TASK_RUNNING,
        TASK_DONE,
        TASK_FAILED,
        TASK_CANCELLED,
        TASK_STATE_MAX,
        TASK_STATE_INVALID = -EINVAL,
} TaskState;

const char *task_state_to_string(TaskState s);

typedef enum TaskSubject {
        TASK_TOPOLOGY, /* by its name */
        TASK_GPU, /* by its address */
        TASK_STATE, /* by the name under which it is saved; empty: it is on a stream */
} TaskSubject;

struct Task {
        Manager *manager;
        List link; /* in manager->tasks */
        uint32_t id; /* 1 and up, never used again */
        const char *operation; /* what it does, a word */
        char object[256]; /* and with what */
        TaskSubject subject; /* which of these it is */
        TaskState state;
        uid_t started_by;
        uint64_t start_usec; /* CLOCK_REALTIME */
        uint64_t begun_usec; /* CLOCK_MONOTONIC, as the next two */
        uint64_t told_usec; /* when its progress was told last */
        uint64_t rated_usec; /* when its rate was reckoned last, */
        uint64_t rated_bytes; /* and what it had done then */
        sd_event_source *teller; /* of progress that was too soon after the last */
        char (*uuids)[UUID_STRING_SIZE]; /* of the vGPUs that it touches */
        size_t n_uuids;
        size_t n_steps;
        size_t n_done;
        uint64_t bytes; /* that it has moved; UNKNOWN_U64 with all of these */
        uint64_t total_bytes; /* that it will have */
        uint64_t rate; /* bytes in a second, of late */
        uint64_t end_usec; /* when it will have ended at this rate, or has; CLOCK_REALTIME */
        TransferProgress transfer; /* of one about a state */
        bool cancelable;
        bool changed; /* something is not as it was */
        Error error; /* code 0 unless it failed or was cancelled */
        void (*cancel)(Task *task, void *userdata); /* it shall stop; called at most once */
        void *userdata;
        bool cancelling;
        sd_event_source *expiry;
};

/* Queued, and shown at once. The cancel and userdata are its maker's to set. */
int task_new(Manager *manager, const char *operation, const char *object, uid_t started_by, size_t n_steps,
             Task **ret_task);
/* The same about a GPU, by its address. */
int task_new_about_gpu(Manager *manager, const char *operation, const char *address, uid_t started_by, size_t n_steps,
                       Task **ret_task);
/* The same about the state of a vGPU, on its way to or from what is saved under this name. */
int task_new_about_state(Manager *manager, const char *operation, const char *name, uid_t started_by, Task **ret_task);
/* Not shown any more. */
Task *task_free(Task *task);

/* Empty: nothing is added. */
int task_add_uuid(Task *task, const char *uuid);

void task_begin(Task *task);
void task_set_done(Task *task, size_t n_done);
/* It comes to more than it seemed. */
void task_set_steps(Task *task, size_t n_steps);
/* Of one that moves data: progress is by this, and by no steps. total UNKNOWN_U64: nobody knows. */
void task_set_bytes(Task *task, uint64_t bytes, uint64_t total);
/* Of one about a state: the same, and what else there is to tell of it. */
void task_set_transfer(Task *task, const TransferProgress *progress);
/* What it does takes another way than was reckoned with: nobody knows how long. */
void task_forget_end(Task *task);
/* How much is done, from 0 to 1; negative: it cannot be told. */
double task_get_progress(const Task *task);
void task_set_cancelable(Task *task, bool cancelable);
/* error NULL: it is done. It goes by itself after a while. */
void task_finish(Task *task, TaskState state, const Error *error);

/* -ERROR_NOT_SUPPORTED: it cannot be stopped (any more). What comes of it is told when it has stopped. */
int task_cancel(Task *task, Error *error);

Task *manager_find_task(const Manager *manager, uint32_t id); /* NULL: no such */
