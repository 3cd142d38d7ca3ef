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

/* Jobs that wait for one GPU. Clients have limits of their own; this one is for us. */
#define QUEUE_MAX 4096U

/* What the worker that writes files is called instead of a GPU's name. */
#define STORE_NAME "definitions"

/* Removal workers at one time, those that are stuck not counted. */
#define REMOVALS_MAX 32U

struct Supervisor {
        Platform platform; /* first: core's handle */
        sd_event *event;
        const char *const *command;
        uint64_t timeouts[JOB_KIND_MAX];
        List children; /* Child.link: of GPUs, of removals, and leaving */
        List removals; /* PlatformJob.link: wait for a child of their own */
        List failing; /* PlatformJob.link: could not be begun, whose listeners are about to be told */
        unsigned n_removals; /* children that remove, without the stuck */
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

static void start_removals(Supervisor *s);

static void on_child_idle(Child *child, void *userdata) {
        if (child->role == CHILD_REMOVAL)
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

/* A removal's worker does not count any more: it ended, or it is stuck and others should not wait for it. */
static void on_child_uncounted(Child *child, void *userdata) {
        Supervisor *s = userdata;

        assert(s->n_removals > 0);
        s->n_removals--;
        start_removals(s);
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

static void start_removals(Supervisor *s) {
        while (s->n_removals < REMOVALS_MAX && !list_is_empty(&s->removals)) {
                PlatformJob *job = LIST_FIRST(&s->removals, PlatformJob, link);
                Child *child;
                int r;

                list_unlink(&job->link);
                r = add_child(s, CHILD_REMOVAL, job->gpu, &child);
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
                s->n_removals++;
        }
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

static int supervisor_submit(Platform *platform, const char *gpu, const Job *job, const JobListener *listener,
                             PlatformJob **ret_job) {
        Supervisor *s = supervisor_from(platform);
        PlatformJob *p;
        int r;

        r = platform_job_new(gpu, job, listener, s->timeouts[job->kind], &p);
        if (r < 0)
                return r;

        if (job->kind == JOB_REMOVE || job->kind == JOB_USERS || job->kind == JOB_EXAMINE) {
                list_append(&s->removals, &p->link);
                start_removals(s);
        } else {
                r = job->kind == JOB_STORE ? submit_to(s, CHILD_STORE, STORE_NAME, p) : submit_to(s, CHILD_GPU, gpu, p);
                if (r < 0) {
                        platform_job_free(p);
                        return r;
                }
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

static const PlatformOps supervisor_ops = {
        .submit = supervisor_submit,
        .cancel = supervisor_cancel,
        .forget = supervisor_forget,
        .release_gpu = supervisor_release_gpu,
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
        s->timeouts[JOB_SYNC] = parameters->sync_timeout_usec ?: SYNC_TIMEOUT_USEC;
        list_init(&s->children);
        list_init(&s->removals);
        list_init(&s->failing);

        *ret_supervisor = s;
        return 0;
}

Supervisor *supervisor_free(Supervisor *s) {
        PlatformJob *job;
        Child *child;

        if (!s)
                return NULL;

        LIST_FOREACH(job, &s->removals, link)
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
