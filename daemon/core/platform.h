/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Platform: the seam to the kernel, in two halves.
 *
 * A Host is the kernel's files: /sys, /dev and /proc as open directories, and the actions by which drivers are told
 * something: a store to an attribute, opening a device node and an ioctl on it. Reading is plain openat(). The simulated
 * host has directories of its own and answers a store as the kernel does.
 *
 * A Platform is where a GPU's jobs are done: worker processes in the daemon, something a test controls in a test.
 */

#include "util/cleanup.h"

typedef struct Host Host;

typedef struct HostOps {
        /*
         * Writes text in one write() to the attribute that path names below dir_fd. 0 or the driver's negative errno;
         * may block for as long as the driver likes.
         */
        int (*store)(const Host *host, int dir_fd, const char *path, const char *text);

        /* Opens a device node below dev_fd; flags as for open(2), O_CLOEXEC is added. */
        int (*open_node)(const Host *host, const char *path, int flags);

        /*
         * Runs a program, with nothing on its standard input and output, and waits for it. Its exit status, 128 and more
         * if a signal ended it, or negative errno if it cannot be started. NULL: there are no programs.
         */
        int (*run)(const Host *host, const char *const *command);

        /* ioctl(2) on a device node that was opened below dev_fd: its return value or negative errno. */
        int (*ioctl)(const Host *host, int fd, unsigned long request, void *argument);

        /*
         * A descriptor of the caller's that polls readable once the program that is installed under this name has been closed
         * by whoever ran or read it, or was replaced. -ENOENT: it is not installed. NULL: there are no programs.
         */
        int (*watch_program)(const Host *host, const char *name);

        /*
         * A descriptor of the caller's that polls readable when such a node has something to read, and reading that, never
         * waiting: read(2)'s return value or negative errno, -EAGAIN if there is nothing.
         */
        int (*watch_node)(const Host *host, int fd);
        ssize_t (*read_node)(const Host *host, int watch_fd, void *buffer, size_t size);

        /* read(2) and write(2) on a descriptor that an ioctl gave: their return value or negative errno. */
        ssize_t (*read_data)(const Host *host, int fd, void *buffer, size_t size);
        ssize_t (*write_data)(const Host *host, int fd, const void *data, size_t size);
} HostOps;

struct Host {
        const HostOps *ops;
        void *userdata;
        int sys_fd; /* /sys */
        int dev_fd; /* /dev */
        int proc_fd; /* /proc */
        int etc_fd; /* /etc: definitions in mdevctl.d and mdevgpud/vgpus.d; -EBADF: there is none */
        int var_fd; /* /var/lib/mdevgpud: what must survive a reboot; -EBADF: there is none */
        int run_fd; /* /run/mdevgpud: what must survive a restart and no reboot; -EBADF: there is none */
        int usr_fd; /* /usr: which other programs deal with vGPUs; -EBADF: that cannot be seen */
};

/* The host this machine is. */
int host_open(Host *ret_host);
void host_close(Host *host);

typedef struct Job Job;
typedef struct TransferProgress TransferProgress;
typedef struct JobResult JobResult;

/* A job's way back. */
typedef struct JobListener {
        /* Its deadline passed with the worker in the middle of it: pid is stuck. done() may follow, at any later time. */
        void (*timeout)(pid_t pid, void *userdata);
        /*
         * It ended: exactly once, never from within submit(). *result belongs to the platform, its contents may be taken.
         * error.code -EPIPE: the worker ended or made no sense in the middle of it; what came of it nobody knows.
         */
        void (*done)(JobResult *result, void *userdata);
        /* How far a transfer is; NULL: nobody listens. */
        void (*progress)(const TransferProgress *progress, void *userdata);
        void *userdata;
} JobListener;

typedef struct WorkerEvent WorkerEvent;
typedef struct PlatformJob PlatformJob;
typedef struct Platform Platform;

typedef struct PlatformOps {
        /*
         * Queues a job for the GPU; its values are copied. A transfer's jobs name the transfer instead, each of which has a
         * worker of its own from its first job to its release. JOB_REMOVE, JOB_USERS, JOB_MIGRATION, JOB_EXAMINE and
         * JOB_LIST_STATES have a worker of their own, JOB_STORE and JOB_DELETE_STATE wait for the one that writes files,
         * whatever the GPU, and everything else for the GPU's worker, one after the other. -EBUSY: the worker is stuck;
         * -EDQUOT: too many wait.
         */
        int (*submit)(Platform *platform, const char *gpu, const Job *job, const JobListener *listener,
                      PlatformJob **ret_job);

        /* True if the job had not begun: it is gone and its listener will not be called. Else nothing happens. */
        bool (*cancel)(Platform *platform, PlatformJob *job);

        /* The listener is gone and will not be called; a job that has begun goes on. */
        void (*forget)(Platform *platform, PlatformJob *job);

        /* The GPU is gone: its worker is let go. The caller has forgotten all of its jobs before. */
        void (*release_gpu)(Platform *platform, const char *gpu);

        /* The same of a transfer that has ended, or that nobody waits for any more. */
        void (*release_transfer)(Platform *platform, const char *transfer);
} PlatformOps;

/* How often, since the platform exists. */
typedef struct PlatformStatistics {
        uint64_t n_started; /* worker processes */
        uint64_t n_lost; /* that ended, or made no sense, of themselves */
        uint64_t n_stuck; /* that overran a deadline */
} PlatformStatistics;

struct Platform {
        const PlatformOps *ops;
        PlatformStatistics statistics;
        /* A GPU's worker has ended while it had nothing to do, and with it whatever it held open. NULL: nobody listens. */
        void (*lost)(const char *gpu, void *userdata);
        /* A GPU's worker has heard something of its driver. NULL: nobody listens. */
        void (*heard)(const char *gpu, const WorkerEvent *event, void *userdata);
        void *userdata; /* of both */
};
