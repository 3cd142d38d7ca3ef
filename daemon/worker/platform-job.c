/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>

#include "util/text.h"
#include "worker/child.h"

static int keep_fds(PlatformJob *p, const Job *job) {
        assert(job->n_fds <= JOB_FDS_MAX);
        for (; p->n_fds < job->n_fds; p->n_fds++) {
                p->fds[p->n_fds] = fcntl(job->fds[p->n_fds], F_DUPFD_CLOEXEC, 0);
                if (p->fds[p->n_fds] < 0)
                        return negative_errno();
        }

        return 0;
}

void platform_job_close_fds(PlatformJob *job) {
        for (; job->n_fds > 0; job->n_fds--)
                fd_close(job->fds[job->n_fds - 1]);
}

int platform_job_new(const char *gpu, const Job *job, const JobListener *listener, uint64_t timeout_usec,
                     PlatformJob **ret_job) {
        PlatformJob *p;
        int r;

        p = calloc(1, sizeof(PlatformJob));
        if (!p)
                return -ENOMEM;

        list_init(&p->link);
        (void)text_copy(p->gpu, sizeof(p->gpu), gpu);
        p->kind = job->kind;
        p->listener = *listener;
        p->timeout_usec = timeout_usec;
        protocol_put_job(&p->frame, 0, job);
        r = p->frame.error < 0 ? p->frame.error : keep_fds(p, job);
        if (r < 0) {
                platform_job_free(p);
                return r;
        }

        *ret_job = p;
        return 0;
}

PlatformJob *platform_job_free(PlatformJob *job) {
        if (!job)
                return NULL;

        list_unlink(&job->link);
        sd_event_source_disable_unref(job->soon);
        wire_writer_done(&job->frame);
        platform_job_close_fds(job);
        free(job);
        return NULL;
}

static int on_soon(sd_event_source *source, void *userdata) {
        PlatformJob *job = userdata;
        JobListener listener = job->listener;
        JobResult result;

        job_result_init(&result);
        (void)error_set_errno(&result.error, job->failure, "the worker cannot be started");
        platform_job_free(job);
        if (listener.done)
                listener.done(&result, listener.userdata);
        job_result_done(&result);
        return 0;
}

void platform_job_fail_soon(PlatformJob *job, List *failing, sd_event *event, int code) {
        int r;

        list_append(failing, &job->link);
        job->begun = true;
        job->failure = code;
        r = sd_event_add_defer(event, &job->soon, on_soon, job);
        /* Out of memory twice over: the caller's own deadline has to end it. */
        if (r < 0)
                job->listener = (JobListener){};
}
