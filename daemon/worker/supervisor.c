/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "util/list.h"
#include "util/log.h"
#include "worker/child.h"
#include "worker/supervisor.h"

/* How long a worker may take before it counts as stuck: far over what any driver is known to need, and below the 20 s
 * after which a caller is told that its operation timed out. */
#define SYNC_TIMEOUT_USEC UINT64_C(10000000)
#define OPERATION_JOB_TIMEOUT_USEC UINT64_C(15000000)

/* Nobody waits for an answer, and a driver that is taken from its card and given back for each of many functions takes its
 * time: tens of seconds for NVIDIA's (reported). */
#define ENABLE_VFS_TIMEOUT_USEC UINT64_C(180000000)

/* From one piece of a transfer to the next: over what its other end may stall (STREAM_STALL_USEC), and what a disk may take
 * to write what is left in the end. */
#define TRANSFER_TIMEOUT_USEC UINT64_C(120000000)

/* Jobs that wait for one GPU. Clients have limits of their own; this one is for us. */
#define QUEUE_MAX 4096U

/* What the worker that writes files is called instead of a GPU's name. */
#define STORE_NAME "definitions"

/* Workers at one time that have one job each, those that are stuck not counted. Who only looks for users takes no place
 * from removals; anybody may ask for it, so that few do it at once and not many wait. */
#define REMOVALS_MAX 32U
#define USERS_MAX 8U
#define USERS_WAITING_MAX 128U

/* Jobs that have a worker of their own each. */
typedef struct Pool {
        ChildRole role;
        unsigned max;
        unsigned n; /* children that are at it, without the stuck */
        List jobs; /* PlatformJob.link: wait for one */
} Pool;

struct Supervisor {
        Platform platform; /* first: core's handle */
        sd_event *event;
        const char *const *command;
        uint64_t timeouts[JOB_KIND_MAX];
        List children; /* Child.link: of GPUs, of pools, and leaving */
        Pool removals;
        Pool users;
        List failing; /* PlatformJob.link: could not be begun, whose listeners are about to be told */
};

static Supervisor *supervisor_from(Platform *platform) {
        return (Supervisor *)platform;
}

static Child *find_child(Supervisor *s, ChildRole role, const char *gpu) {
        Child *child;

        LIST_FOREACH(child, &s->children, link)
                if (child->role == role && streq(child->gpu, gpu))
                        return child;

        return NULL;
}

static void pool_start(Supervisor *s, Pool *pool);

static void on_child_idle(Child *child, void *userdata) {
        if (child->role == CHILD_REMOVAL || child->role == CHILD_USERS)
                child_leave(child);
}

static void on_child_lost(Child *child, void *userdata) {
        Supervisor *s = userdata;

        if (child->role == CHILD_GPU && s->platform.lost)
                s->platform.lost(child->gpu, s->platform.userdata);
}

static void on_child_heard(Child *child, const WorkerEvent *event, void *userdata) {
        Supervisor *s = userdata;

        if (child->role == CHILD_GPU && s->platform.heard)
                s->platform.heard(child->gpu, event, s->platform.userdata);
}

/* A pool's worker does not count any more: it ended, or it is stuck and others should not wait for it. */
static void on_child_uncounted(Child *child, void *userdata) {
        Supervisor *s = userdata;
        Pool *pool = child->role == CHILD_USERS ? &s->users : &s->removals;

        assert(pool->n > 0);
        pool->n--;
        pool_start(s, pool);
}

static const ChildOps child_ops = {
        .idle = on_child_idle,
        .lost = on_child_lost,
        .heard = on_child_heard,
        .uncounted = on_child_uncounted,
};

static int add_child(Supervisor *s, ChildRole role, const char *gpu, Child **ret_child) {
        Child *child;
        int r;

        r = child_new(s->event, role, gpu, s->command, &s->failing, &child_ops, s, &child);
        if (r < 0)
                return r;

        child->statistics = &s->platform.statistics;
        list_append(&s->children, &child->link);
        *ret_child = child;
        return 0;
}

static void pool_start(Supervisor *s, Pool *pool) {
        while (pool->n < pool->max && !list_is_empty(&pool->jobs)) {
                PlatformJob *job = LIST_FIRST(&pool->jobs, PlatformJob, link);
                Child *child;
                int r;

                list_unlink(&job->link);
                r = add_child(s, pool->role, job->gpu, &child);
                if (r >= 0) {
                        r = child_push(child, job);
                        if (r < 0)
                                child_free(child);
                }
                if (r < 0) {
                        platform_job_fail_soon(job, &s->failing, s->event, r);
                        continue;
                }

                child->counted = true;
                pool->n++;
        }
}

/* Removals are as many as vGPUs at most; of what anybody may ask for there is an end. */
static int submit_to_pool(Supervisor *s, Pool *pool, PlatformJob *job) {
        PlatformJob *other;
        unsigned n = 0;

        if (pool == &s->users)
                LIST_FOREACH(other, &pool->jobs, link)
                        n++;
        if (n >= USERS_WAITING_MAX)
                return -EDQUOT;

        list_append(&pool->jobs, &job->link);
        pool_start(s, pool);
        return 0;
}

static int submit_to(Supervisor *s, ChildRole role, const char *gpu, PlatformJob *job) {
        Child *child = find_child(s, role, gpu);
        int r;

        if (!child) {
                r = add_child(s, role, gpu, &child);
                if (r < 0)
                        return r;
        }

        if (child->stuck)
                return -EBUSY;
        if (child->n_queued >= QUEUE_MAX)
                return -EDQUOT;

        return child_push(child, job);
}

static int submit_job(Supervisor *s, const char *gpu, PlatformJob *job) {
        switch (job->kind) {
        case JOB_REMOVE:
                return submit_to_pool(s, &s->removals, job);
        case JOB_USERS:
        case JOB_MIGRATION:
        case JOB_EXAMINE:
        case JOB_LIST_STATES:
                return submit_to_pool(s, &s->users, job);
        case JOB_SAVE_STATE:
        case JOB_OPEN_STATE:
        case JOB_RESTORE_STATE:
        case JOB_SETTLE_STATE:
                return submit_to(s, CHILD_TRANSFER, gpu, job);
        case JOB_STORE:
        case JOB_DELETE_STATE:
                return submit_to(s, CHILD_STORE, STORE_NAME, job);
        default:
                return submit_to(s, CHILD_GPU, gpu, job);
        }
}

static int supervisor_submit(Platform *platform, const char *gpu, const Job *job, const JobListener *listener,
                             PlatformJob **ret_job) {
        Supervisor *s = supervisor_from(platform);
        PlatformJob *p;
        int r;

        r = platform_job_new(gpu, job, listener, s->timeouts[job->kind], &p);
        if (r < 0)
                return r;

        r = submit_job(s, gpu, p);
        if (r < 0) {
                platform_job_free(p);
                return r;
        }

        *ret_job = p;
        return 0;
}

static bool supervisor_cancel(Platform *platform, PlatformJob *job) {
        if (job->begun)
                return false;

        if (job->child)
                job->child->n_queued--;
        platform_job_free(job);
        return true;
}

static void supervisor_forget(Platform *platform, PlatformJob *job) {
        if (!supervisor_cancel(platform, job))
                job->listener = (JobListener){};
}

static void supervisor_release_gpu(Platform *platform, const char *gpu) {
        Child *child = find_child(supervisor_from(platform), CHILD_GPU, gpu);

        if (child)
                child_leave(child);
}

/* What it is at goes on to its end, and what it has open is closed with it. */
static void supervisor_release_transfer(Platform *platform, const char *transfer) {
        Child *child = find_child(supervisor_from(platform), CHILD_TRANSFER, transfer);

        if (child)
                child_leave(child);
}

static const PlatformOps supervisor_ops = {
        .submit = supervisor_submit,
        .cancel = supervisor_cancel,
        .forget = supervisor_forget,
        .release_gpu = supervisor_release_gpu,
        .release_transfer = supervisor_release_transfer,
};

int supervisor_new(const SupervisorParameters *parameters, Supervisor **ret_supervisor) {
        Supervisor *s;

        s = calloc(1, sizeof(Supervisor));
        if (!s)
                return -ENOMEM;

        s->platform.ops = &supervisor_ops;
        s->event = sd_event_ref(parameters->event);
        s->command = parameters->command;
        for (JobKind kind = 0; kind < JOB_KIND_MAX; kind++)
                s->timeouts[kind] = parameters->operation_timeout_usec ?: OPERATION_JOB_TIMEOUT_USEC;
        s->timeouts[JOB_ENABLE_VFS] = parameters->operation_timeout_usec ?: ENABLE_VFS_TIMEOUT_USEC;
        s->timeouts[JOB_SAVE_STATE] = s->timeouts[JOB_OPEN_STATE] = s->timeouts[JOB_RESTORE_STATE] =
                TRANSFER_TIMEOUT_USEC;
        s->timeouts[JOB_SYNC] = parameters->sync_timeout_usec ?: SYNC_TIMEOUT_USEC;
        list_init(&s->children);
        s->removals = (Pool){ .role = CHILD_REMOVAL, .max = REMOVALS_MAX };
        s->users = (Pool){ .role = CHILD_USERS, .max = USERS_MAX };
        list_init(&s->removals.jobs);
        list_init(&s->users.jobs);
        list_init(&s->failing);

        *ret_supervisor = s;
        return 0;
}

Supervisor *supervisor_free(Supervisor *s) {
        PlatformJob *job;
        Child *child;

        if (!s)
                return NULL;

        LIST_FOREACH(job, &s->removals.jobs, link)
                platform_job_free(job);
        LIST_FOREACH(job, &s->users.jobs, link)
                platform_job_free(job);
        LIST_FOREACH(job, &s->failing, link)
                platform_job_free(job);
        LIST_FOREACH(child, &s->children, link)
                child_free(child);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}

Platform *supervisor_get_platform(Supervisor *s) {
        return &s->platform;
}
