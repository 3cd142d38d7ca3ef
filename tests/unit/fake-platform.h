/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * FakePlatform: a Platform whose jobs wait until the test says what becomes of them. A job that is run is done by the
 * real runner over the test's host, in this process.
 */

#include "core/record.h"
#include "util/list.h"
#include "worker/runner.h"

struct PlatformJob {
        List link; /* in FakePlatform.jobs */
        char gpu[SYSFS_NAME_SIZE];
        Job job; /* its values are copies */
        char uuid[UUID_STRING_SIZE];
        char type_id[TYPE_ID_SIZE];
        char parent[SYSFS_NAME_SIZE];
        char label[LABEL_SIZE];
        char owner[OWNER_TEXT_SIZE];
        Attributes attributes;
        JobListener listener;
        bool begun;
        bool forgotten;
        bool ran;
        JobResult result;
};

typedef struct FakeWorker FakeWorker;

typedef struct FakePlatform {
        Platform platform; /* first: core's handle */
        const Host *host;
        List jobs; /* PlatformJob.link, in the order of their submission */
        List workers; /* FakeWorker.link */
        int refuse; /* what submit() returns instead of taking a job */
        unsigned n_submitted;
} FakePlatform;

void fake_platform_init(FakePlatform *fake, const Host *host);
void fake_platform_done(FakePlatform *fake);

/* The first that has not begun, of this kind and GPU (NULL: of any); NULL if there is none. */
PlatformJob *fake_find_job(FakePlatform *fake, JobKind kind, const char *gpu);

/* The worker takes it up, and does it; nobody is told yet. */
void fake_begin(PlatformJob *job);
void fake_run(FakePlatform *fake, PlatformJob *job);
/* Its deadline passes. */
void fake_time_out(PlatformJob *job, pid_t pid);
/* It ends, with what came of it, or with an error instead. */
void fake_finish(FakePlatform *fake, PlatformJob *job);
/* Of a transfer: it gets on; it ends well, with what the test has put into its result. */
void fake_progress(PlatformJob *job, const TransferProgress *progress);
void fake_succeed(PlatformJob *job);
void fake_fail(PlatformJob *job, int code, const char *message);

/* Does one that waits, from beginning to end. False if none does. */
bool fake_do_one(FakePlatform *fake);
