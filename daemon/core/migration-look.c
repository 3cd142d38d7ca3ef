/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Looks at what there is to say of moving a vGPU, without opening it. Anybody may ask, and each look has a process, the driver's
 * word on all of its vGPUs' use, and a search of QEMU's program: so there is one at a time for a vGPU, whoever asks meanwhile
 * shares the next one (this one may have passed what he knows of), and of a GPU there are ten a second once some were made
 * at once.
 */

#include "core/gpu.h"
#include "core/manager.h"
#include "core/migration-query-private.h"
#include "core/operation.h"
#include "core/request.h"
#include "util/text.h"

#define INTERVAL_USEC UINT64_C(100000)
#define BURST 16U

struct MigrationLook {
        Manager *manager;
        List link; /* in manager->migration_looks */
        Gpu *gpu;
        PlatformJob *job; /* NULL: it waits for another one's end, or for its turn */
        List queries; /* MigrationQuery.link */
        char uuid[UUID_STRING_SIZE];
};

static void look_free(MigrationLook *look) {
        list_unlink(&look->link);
        free(look);
}

static MigrationLook *find(const Gpu *gpu, const char *uuid, bool begun) {
        MigrationLook *look;

        LIST_FOREACH(look, &gpu->manager->migration_looks, link)
                if (look->gpu == gpu && !look->job == !begun && streq(look->uuid, uuid))
                        return look;

        return NULL;
}

static void answer(MigrationLook *look, const Error *error, const JobResult *result) {
        while (!list_is_empty(&look->queries))
                migration_query_end(LIST_FIRST(&look->queries, MigrationQuery, link), error, result);
}

static void pump(Gpu *gpu);

static void end(MigrationLook *look, const Error *error, const JobResult *result) {
        /* Who asks from within has another one. */
        list_unlink(&look->link);
        pump(look->gpu);
        answer(look, error, result);
        look_free(look);
}

static void on_done(JobResult *result, void *userdata) {
        end(userdata, result->error.code < 0 ? &result->error : NULL, result);
}

/* Its process is killed. */
static void on_timeout(pid_t pid, void *userdata) {
        MigrationLook *look = userdata;
        Platform *platform = look->manager->platform;
        Error error = ERROR_NULL;

        (void)error_set(&error, -ERROR_TIMEOUT, "Process %i does not come to an end with asking about vGPU %s",
                        (int)pid, look->uuid);
        platform->ops->forget(platform, look->job);
        end(look, &error, NULL);
}

static int begin(MigrationLook *look, Error *error) {
        const JobListener listener = { .timeout = on_timeout, .done = on_done, .userdata = look };
        const VGpu *vgpu = MAP_FIND(&look->manager->vgpus, look->uuid, VGpu, node);
        Platform *platform = look->manager->platform;
        Job job = { .kind = JOB_MIGRATION, .uuid = look->uuid };
        int r;

        if (!vgpu || !vgpu->present || vgpu->gpu != look->gpu)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s has gone", look->uuid);

        job.iommu_group = vgpu->iommu_group;
        r = platform->ops->submit(platform, look->gpu->identity.address, &job, &listener, &look->job);
        return r < 0 ? request_submit_error(r, look->gpu, error) : 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata) {
        Gpu *gpu = userdata;

        gpu->look_timer = sd_event_source_disable_unref(gpu->look_timer);
        pump(gpu);
        return 0;
}

/* 1: one may be made now; 0: when those that were made at once are long enough ago. */
static int take_turn(Gpu *gpu, Error *error) {
        sd_event *event = gpu->manager->event;
        uint64_t now;
        int r;

        if (gpu->look_timer)
                return 0;

        r = sd_event_now(event, CLOCK_MONOTONIC, &now);
        if (r >= 0 && gpu->looks_paid > now + (BURST - 1) * INTERVAL_USEC)
                r = sd_event_add_time(event, &gpu->look_timer, CLOCK_MONOTONIC,
                                      gpu->looks_paid - (BURST - 1) * INTERVAL_USEC, 1, on_timer, gpu);
        else if (r >= 0) {
                gpu->looks_paid = MAX(gpu->looks_paid, now) + INTERVAL_USEC;
                return 1;
        }

        return r < 0 ? error_set_errno(error, r, "it cannot be asked about the vGPU") : 0;
}

/* Those that can be made, the oldest first. */
static void pump(Gpu *gpu) {
        MigrationLook *look;

        LIST_FOREACH(look, &gpu->manager->migration_looks, link) {
                Error error = ERROR_NULL;
                int r;

                if (look->gpu != gpu || look->job || find(gpu, look->uuid, /* begun= */ true))
                        continue;
                r = take_turn(gpu, &error);
                if (r == 0)
                        return;
                if (r > 0 && begin(look, &error) >= 0)
                        continue;
                list_unlink(&look->link);
                answer(look, &error, NULL);
                look_free(look);
        }
}

static int look_new(VGpu *vgpu, MigrationLook **ret_look, Error *error) {
        MigrationLook *look;
        int r = 0;

        look = calloc(1, sizeof(MigrationLook));
        if (!look)
                return error_set_errno(error, -ENOMEM, "it cannot be asked about the vGPU");

        look->manager = vgpu->manager;
        look->gpu = vgpu->gpu;
        (void)text_copy(look->uuid, sizeof(look->uuid), vgpu->uuid);
        list_init(&look->link);
        list_init(&look->queries);
        if (!find(vgpu->gpu, vgpu->uuid, /* begun= */ true))
                r = take_turn(vgpu->gpu, error);
        if (r > 0)
                r = begin(look, error);
        if (r < 0) {
                look_free(look);
                return r;
        }

        list_append(&vgpu->manager->migration_looks, &look->link);
        *ret_look = look;
        return 0;
}

/* Whoever asked would give up soon. The look goes on for the others. */
static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata) {
        MigrationQuery *query = userdata;
        Error error = ERROR_NULL;

        (void)error_set(&error, -ERROR_TIMEOUT,
                        "Nothing was heard of vGPU %s within %u s: its driver may hang, or too many ask about its GPU",
                        query->uuid, OPERATION_TIMEOUT_USEC / 1000000U);
        migration_look_leave(query);
        migration_query_end(query, &error, NULL);
        return 0;
}

int migration_look_join(VGpu *vgpu, MigrationQuery *query, Error *error) {
        int r;

        query->look = find(vgpu->gpu, vgpu->uuid, /* begun= */ false);
        if (!query->look) {
                r = look_new(vgpu, &query->look, error);
                if (r < 0)
                        return r;
        }

        list_append(&query->look->queries, &query->link);
        r = sd_event_add_time_relative(vgpu->manager->event, &query->deadline, CLOCK_MONOTONIC, OPERATION_TIMEOUT_USEC, 0,
                                       on_deadline, query);
        if (r < 0) {
                migration_look_leave(query);
                return error_set_errno(error, r, "it cannot be asked about the vGPU");
        }

        return 0;
}

/* A look that has begun cannot be taken back: it goes on to its end. */
void migration_look_leave(MigrationQuery *query) {
        MigrationLook *look = query->look;

        list_unlink(&query->link);
        if (list_is_empty(&look->queries) && !look->job)
                look_free(look);
}

void migration_looks_gpu_gone(Gpu *gpu, const Error *error) {
        Platform *platform = gpu->manager->platform;
        MigrationLook *look;

        gpu->look_timer = sd_event_source_disable_unref(gpu->look_timer);
        LIST_FOREACH(look, &gpu->manager->migration_looks, link) {
                if (look->gpu != gpu)
                        continue;
                list_unlink(&look->link);
                if (look->job)
                        platform->ops->forget(platform, look->job);
                answer(look, error, NULL);
                look_free(look);
        }
}
