/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/request.h"
#include "core/usage-query.h"
#include "util/log.h"

#define INTERVAL_USEC UINT64_C(100000)

struct UsageQuery {
        List link; /* in its reading's */
        UsageCallback callback;
        void *userdata;
};

/* One job, or the wait until there may be one, and all who wait for it. */
struct UsageReading {
        Gpu *gpu;
        PlatformJob *job; /* NULL: not yet */
        sd_event_source *timer;
        List queries; /* UsageQuery.link */
};

static void answer(UsageReading *reading, const Error *error, const UsageReport *report) {
        while (!list_is_empty(&reading->queries)) {
                UsageQuery *query = LIST_FIRST(&reading->queries, UsageQuery, link);
                UsageCallback callback = query->callback;
                void *userdata = query->userdata;

                usage_query_free(query);
                callback(error, report, userdata);
        }
}

static UsageReading *reading_free(UsageReading *reading) {
        reading->gpu->usage = NULL;
        sd_event_source_disable_unref(reading->timer);
        free(reading);
        return NULL;
}

static void on_done(JobResult *result, void *userdata) {
        UsageReading *reading = userdata;
        Gpu *gpu = reading->gpu;
        bool was_stuck = gpu->stuck_pid > 0;

        reading->job = NULL;
        (void)sd_event_now(gpu->manager->event, CLOCK_MONOTONIC, &gpu->usage_time);
        if (result->error.code == 0)
                gpu->framebuffer_used = result->usage.framebuffer_used;

        /* Who asks from within is one of the next reading. */
        gpu->usage = NULL;
        answer(reading, result->error.code < 0 ? &result->error : NULL, &result->usage);
        sd_event_source_disable_unref(reading->timer);
        free(reading);

        if (was_stuck) {
                gpu->stuck_pid = 0;
                gpu_mark_dirty(gpu, /* may_register= */ true);
        }
}

/* The job goes on: its GPU is stuck as with any other. */
static void on_timeout(pid_t pid, void *userdata) {
        UsageReading *reading = userdata;
        Error error = ERROR_NULL;

        gpu_set_stuck(reading->gpu, pid);
        (void)error_set(&error, -ERROR_TIMEOUT, "GPU %s: its driver does not come to an end with saying what is used",
                        reading->gpu->identity.address);
        answer(reading, &error, NULL);
}

static int begin(UsageReading *reading, Error *error) {
        const JobListener listener = { .timeout = on_timeout, .done = on_done, .userdata = reading };
        const Job job = { .kind = JOB_USAGE };
        Platform *platform = reading->gpu->manager->platform;
        int r;

        r = platform->ops->submit(platform, reading->gpu->identity.address, &job, &listener, &reading->job);
        return r < 0 ? request_submit_error(r, reading->gpu, error) : 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        UsageReading *reading = userdata;
        Error error = ERROR_NULL;

        reading->timer = sd_event_source_disable_unref(reading->timer);
        if (begin(reading, &error) < 0) {
                reading->gpu->usage = NULL;
                answer(reading, &error, NULL);
                free(reading);
        }

        return 0;
}

static int reading_start(UsageReading *reading, Error *error) {
        Gpu *gpu = reading->gpu;
        uint64_t now;
        int r;

        r = sd_event_now(gpu->manager->event, CLOCK_MONOTONIC, &now);
        if (r < 0 || gpu->usage_time == 0 || now >= gpu->usage_time + INTERVAL_USEC)
                return begin(reading, error);

        r = sd_event_add_time(gpu->manager->event, &reading->timer, CLOCK_MONOTONIC, gpu->usage_time + INTERVAL_USEC, 0,
                              on_timer, reading);
        return r < 0 ? error_set_errno(error, r, "it cannot be asked what the GPU uses") : 0;
}

static int need_reading(Gpu *gpu, Error *error) {
        UsageReading *reading;
        int r;

        if (gpu->usage)
                return gpu->stuck_pid > 0 ? request_submit_error(-EBUSY, gpu, error) : 0;

        reading = calloc(1, sizeof(UsageReading));
        if (!reading)
                return error_set_errno(error, -ENOMEM, "it cannot be asked what the GPU uses");

        reading->gpu = gpu;
        list_init(&reading->queries);
        gpu->usage = reading;
        r = reading_start(reading, error);
        if (r < 0)
                reading_free(reading);
        return r;
}

int usage_query_new(Gpu *gpu, UsageCallback callback, void *userdata, UsageQuery **ret_query, Error *error) {
        UsageQuery *query;
        int r;

        query = calloc(1, sizeof(UsageQuery));
        if (!query)
                return error_set_errno(error, -ENOMEM, "it cannot be asked what the GPU uses");

        list_init(&query->link);
        query->callback = callback;
        query->userdata = userdata;
        r = need_reading(gpu, error);
        if (r < 0) {
                free(query);
                return r;
        }

        list_append(&gpu->usage->queries, &query->link);
        *ret_query = query;
        return 0;
}

UsageQuery *usage_query_free(UsageQuery *query) {
        if (!query)
                return NULL;

        /* What was begun is read to its end, for nobody if need be. */
        list_unlink(&query->link);
        free(query);
        return NULL;
}

void usage_gpu_gone(Gpu *gpu) {
        UsageReading *reading = gpu->usage;
        Error error = ERROR_NULL;

        if (!reading)
                return;

        if (reading->job)
                gpu->manager->platform->ops->forget(gpu->manager->platform, reading->job);
        (void)error_set(&error, -ERROR_NO_SUCH_GPU, "GPU %s has gone", gpu->identity.address);
        answer(reading, &error, NULL);
        reading_free(reading);
}
