/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "fake-platform.h"
#include "util/text.h"

#include <glib.h>

/* What a GPU's worker keeps from job to job. */
struct FakeWorker {
        List link;
        BackendContext context;
};

static FakePlatform *fake_from(Platform *platform) {
        return (FakePlatform *)platform;
}

static int fake_submit(Platform *platform, const char *gpu, const Job *job, const JobListener *listener,
                       PlatformJob **ret_job) {
        FakePlatform *fake = fake_from(platform);
        PlatformJob *p;

        fake->n_submitted++;
        if (fake->refuse < 0)
                return fake->refuse;

        p = g_new0(PlatformJob, 1);
        (void)text_copy(p->gpu, sizeof(p->gpu), gpu);
        p->job = *job;
        p->job.types = g_memdup2(job->types, job->n_types * sizeof(TypeSpec));
        (void)text_copy(p->uuid, sizeof(p->uuid), strempty(job->uuid));
        (void)text_copy(p->type_id, sizeof(p->type_id), strempty(job->type_id));
        (void)text_copy(p->parent, sizeof(p->parent), strempty(job->parent));
        (void)text_copy(p->label, sizeof(p->label), strempty(job->label));
        (void)text_copy(p->owner, sizeof(p->owner), strempty(job->owner));
        if (job->attributes)
                g_assert_cmpint(attributes_copy(job->attributes, &p->attributes), ==, 0);
        p->job.uuid = p->uuid;
        p->job.type_id = p->type_id;
        p->job.parent = p->parent;
        p->job.label = p->label;
        p->job.owner = p->owner;
        p->job.attributes = &p->attributes;
        /* A test says what comes of a transfer: nothing is copied. */
        p->job.header = NULL;
        p->job.fds = NULL;
        p->job.n_fds = 0;
        p->listener = *listener;
        job_result_init(&p->result);
        list_append(&fake->jobs, &p->link);

        *ret_job = p;
        return 0;
}

static void job_free(PlatformJob *job) {
        list_unlink(&job->link);
        job_result_done(&job->result);
        attributes_done(&job->attributes);
        g_free((void *)(uintptr_t)job->job.types);
        g_free(job);
}

static void assert_known(FakePlatform *fake, const PlatformJob *job) {
        PlatformJob *j;

        LIST_FOREACH(j, &fake->jobs, link)
                if (j == job) {
                        g_assert_false(j->forgotten);
                        return;
                }

        g_error("a job that has ended, or never was, is spoken of");
}

static bool fake_cancel(Platform *platform, PlatformJob *job) {
        assert_known(fake_from(platform), job);
        if (job->begun)
                return false;

        job_free(job);
        return true;
}

static void fake_forget(Platform *platform, PlatformJob *job) {
        assert_known(fake_from(platform), job);
        if (!job->begun)
                job_free(job);
        else
                job->forgotten = true;
}

static void fake_release_gpu(Platform *platform, const char *gpu) {
        FakePlatform *fake = fake_from(platform);
        FakeWorker *worker;
        PlatformJob *job;

        LIST_FOREACH(job, &fake->jobs, link)
                if (streq(job->gpu, gpu) && job->job.kind != JOB_STORE)
                        g_assert_true(job->forgotten);

        LIST_FOREACH(worker, &fake->workers, link)
                if (streq(worker->context.gpu, gpu)) {
                        runner_done(&worker->context);
                        list_unlink(&worker->link);
                        g_free(worker);
                }
}

static void fake_release_transfer(Platform *platform, const char *transfer) {
        PlatformJob *job;

        LIST_FOREACH(job, &fake_from(platform)->jobs, link)
                if (streq(job->gpu, transfer))
                        g_assert_true(job->forgotten);
}

static const PlatformOps fake_ops = {
        .submit = fake_submit,
        .cancel = fake_cancel,
        .forget = fake_forget,
        .release_gpu = fake_release_gpu,
        .release_transfer = fake_release_transfer,
};

void fake_platform_init(FakePlatform *fake, const Host *host) {
        *fake = (FakePlatform){ .platform.ops = &fake_ops, .host = host };
        list_init(&fake->jobs);
        list_init(&fake->workers);
}

void fake_platform_done(FakePlatform *fake) {
        FakeWorker *worker;
        PlatformJob *job;

        /* Whoever submitted them has forgotten them by now. */
        LIST_FOREACH(job, &fake->jobs, link) {
                g_assert_true(job->forgotten);
                job_free(job);
        }
        LIST_FOREACH(worker, &fake->workers, link)
                g_error("the worker of GPU %s was never let go", worker->context.gpu);
}

PlatformJob *fake_find_job(FakePlatform *fake, JobKind kind, const char *gpu) {
        PlatformJob *job;

        LIST_FOREACH(job, &fake->jobs, link)
                if (!job->begun && job->job.kind == kind && (!gpu || streq(job->gpu, gpu)))
                        return job;

        return NULL;
}

void fake_begin(PlatformJob *job) {
        g_assert_nonnull(job);
        g_assert_false(job->begun);
        job->begun = true;
}

static BackendContext *find_context(FakePlatform *fake, const char *gpu) {
        FakeWorker *worker;

        LIST_FOREACH(worker, &fake->workers, link)
                if (streq(worker->context.gpu, gpu))
                        return &worker->context;

        worker = g_new0(FakeWorker, 1);
        runner_init(&worker->context, fake->host, gpu);
        list_append(&fake->workers, &worker->link);
        return &worker->context;
}

void fake_run(FakePlatform *fake, PlatformJob *job) {
        g_assert_nonnull(job);
        job->begun = job->ran = true;

        /* A worker that was let go finishes what it is at. */
        if (job->job.kind == JOB_REMOVE || job->job.kind == JOB_USERS || job->job.kind == JOB_STORE ||
            job->job.kind == JOB_EXAMINE || job->job.kind == JOB_MIGRATION || job->forgotten) {
                BackendContext own;

                runner_init(&own, fake->host, job->gpu);
                runner_run(&own, &job->job, &job->result);
                runner_done(&own);
        } else
                runner_run(find_context(fake, job->gpu), &job->job, &job->result);
}

void fake_time_out(PlatformJob *job, pid_t pid) {
        job->begun = true;
        if (!job->forgotten)
                job->listener.timeout(pid, job->listener.userdata);
}

static void end(PlatformJob *job) {
        JobListener listener = job->listener;

        /* Whoever is told may not speak of it any more. */
        list_unlink(&job->link);
        if (!job->forgotten)
                listener.done(&job->result, listener.userdata);
        job_free(job);
}

void fake_finish(FakePlatform *fake, PlatformJob *job) {
        g_assert_nonnull(job);
        if (!job->ran)
                fake_run(fake, job);
        end(job);
}

void fake_progress(PlatformJob *job, const TransferProgress *progress) {
        g_assert_nonnull(job);
        job->begun = true;
        if (!job->forgotten)
                job->listener.progress(progress, job->listener.userdata);
}

void fake_succeed(PlatformJob *job) {
        g_assert_nonnull(job);
        job->begun = job->ran = true;
        end(job);
}

void fake_fail(PlatformJob *job, int code, const char *message) {
        g_assert_nonnull(job);
        job->begun = true;
        job_result_done(&job->result);
        (void)error_set(&job->result.error, code, "%s", message);
        end(job);
}

bool fake_do_one(FakePlatform *fake) {
        PlatformJob *job;

        LIST_FOREACH(job, &fake->jobs, link)
                if (!job->begun) {
                        fake_finish(fake, job);
                        return true;
                }

        return false;
}
