/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Child: one worker process as the daemon sees it, with the jobs that wait for it. It is started when it gets its first
 * job and again when it died with jobs waiting.
 */

#include <systemd/sd-event.h>

#include "util/list.h"
#include "worker/protocol.h"

typedef struct Child Child;

/* A job in a queue: its frame, and whom to tell. */
struct PlatformJob {
        List link; /* in the child's queue, or in a pool of the supervisor's, or in its failing */
        Child *child; /* whose queue it is in, or who does it */
        char gpu[SYSFS_NAME_SIZE];
        JobKind kind;
        WireWriter frame; /* but for the number */
        int fds[JOB_FDS_MAX]; /* that go with it, or -EBADF */
        size_t n_fds;
        JobListener listener;
        uint64_t timeout_usec;
        bool begun;
        int failure; /* of one that could not be begun */
        sd_event_source *soon; /* tells it */
};

int platform_job_new(const char *gpu, const Job *job, const JobListener *listener, uint64_t timeout_usec,
                     PlatformJob **ret_job);
PlatformJob *platform_job_free(PlatformJob *job);
/* The worker has its own now. */
void platform_job_close_fds(PlatformJob *job);
/* Ends it with an error, from the loop; it is in failing until then. */
void platform_job_fail_soon(PlatformJob *job, List *failing, sd_event *event, int code);

typedef enum ChildRole {
        CHILD_GPU,
        CHILD_REMOVAL, /* one removal */
        CHILD_USERS, /* looks for users, or at the machine, once; changes nothing, so that it is killed when it is stuck */
        CHILD_STORE, /* writes files */
        CHILD_TRANSFER, /* the jobs of one transfer, by whose name it goes */
        CHILD_LEAVING, /* its socket is closed; it is only waited for */
} ChildRole;

typedef struct ChildOps {
        void (*idle)(Child *child, void *userdata); /* it has done what it had */
        void (*lost)(Child *child, void *userdata); /* it ended, with nothing to do */
        void (*heard)(Child *child, const WorkerEvent *event, void *userdata);
        void (*uncounted)(Child *child, void *userdata); /* one of a pool ended or is stuck; once */
} ChildOps;

struct Child {
        List link; /* in the supervisor's children */
        sd_event *event;
        ChildRole role;
        bool counted; /* in its pool */
        bool stuck; /* overran its deadline */
        char gpu[SYSFS_NAME_SIZE];
        const char *const *command;
        const ChildOps *ops;
        void *userdata;
        pid_t pid; /* 0: no process */
        int fd;
        sd_event_source *io;
        sd_event_source *exited;
        sd_event_source *deadline;
        List *failing; /* the supervisor's */
        PlatformStatistics *statistics; /* the same */
        List queue; /* PlatformJob.link */
        unsigned n_queued;
        PlatformJob *running;
        uint32_t number; /* of the running job */
        size_t sent; /* bytes of its frame */
        uint8_t *input;
        size_t n_input;
        size_t input_allocated;
};

int child_new(sd_event *event, ChildRole role, const char *gpu, const char *const *command, List *failing,
              const ChildOps *ops, void *userdata, Child **ret_child);
/* Whatever it does goes on without us; nobody is called back. */
Child *child_free(Child *child);

/* Takes the job. Negative: it did not begin and is the caller's. */
int child_push(Child *child, PlatformJob *job);

/* Closes its socket, so that it ends when it has done what it does; it frees itself then. */
void child_leave(Child *child);
