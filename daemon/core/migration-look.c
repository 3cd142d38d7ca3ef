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
#include "core/request.h"
#include "util/text.h"

#define INTERVAL_USEC UINT64_C(100000)
#define BURST 16U

struct MigrationLook {
        Manager *manager;
        List link; /* in manager->migration_looks */
        Gpu *gpu;
        PlatformJob *job; /* NULL: it waits for another one's end, or for its time */
        sd_event_source *timer;
        List queries; /* MigrationQuery.link */
        char uuid[UUID_STRING_SIZE];
};

static void look_free(MigrationLook *look) {
        list_unlink(&look->link);
        sd_event_source_disable_unref(look->timer);
        free(look);
}

static MigrationLook *find(const Manager *manager, const char *uuid, bool begun) {
        MigrationLook *look;

        LIST_FOREACH(look, &manager->migration_looks, link)
                if (!look->job == !begun && streq(look->uuid, uuid))
                        return look;

        return NULL;
}

static void answer(MigrationLook *look, const Error *error, const JobResult *result) {
        while (!list_is_empty(&look->queries))
                migration_query_end(LIST_FIRST(&look->queries, MigrationQuery, link), error, result);
}

static int schedule(MigrationLook *look, Error *error);

/* Who waits for the next look at the same vGPU has it now. */
static void begin_next(Manager *manager, const char *uuid) {
        MigrationLook *look = find(manager, uuid, /* begun= */ false);
        Error error = ERROR_NULL;

        if (!look || schedule(look, &error) >= 0)
                return;
        list_unlink(&look->link);
        answer(look, &error, NULL);
        look_free(look);
}

static void end(MigrationLook *look, const Error *error, const JobResult *result) {
        /* Who asks from within has another one. */
        list_unlink(&look->link);
        begin_next(look->manager, look->uuid);
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
        MigrationLook *look = userdata;
        Error error = ERROR_NULL;

        look->timer = sd_event_source_disable_unref(look->timer);
        if (schedule(look, &error) < 0)
                end(look, &error, NULL);
        return 0;
}

/* At once, or when those that were made at once are long enough ago. */
static int schedule(MigrationLook *look, Error *error) {
        sd_event *event = look->manager->event;
        Gpu *gpu = look->gpu;
        uint64_t now;
        int r;

        r = sd_event_now(event, CLOCK_MONOTONIC, &now);
        if (r >= 0 && gpu->looks_paid > now + BURST * INTERVAL_USEC)
                r = sd_event_add_time(event, &look->timer, CLOCK_MONOTONIC, gpu->looks_paid - BURST * INTERVAL_USEC, 1,
                                      on_timer, look);
        else if (r >= 0) {
                gpu->looks_paid = MAX(gpu->looks_paid, now) + INTERVAL_USEC;
                return begin(look, error);
        }

        return r < 0 ? error_set_errno(error, r, "it cannot be asked about the vGPU") : 0;
}

int migration_look_join(VGpu *vgpu, MigrationQuery *query, Error *error) {
        Manager *manager = vgpu->manager;
        MigrationLook *look = find(manager, vgpu->uuid, /* begun= */ false);
        int r = 0;

        if (!look) {
                look = calloc(1, sizeof(MigrationLook));
                if (!look)
                        return error_set_errno(error, -ENOMEM, "it cannot be asked about the vGPU");

                look->manager = manager;
                look->gpu = vgpu->gpu;
                (void)text_copy(look->uuid, sizeof(look->uuid), vgpu->uuid);
                list_init(&look->link);
                list_init(&look->queries);
                if (!find(manager, vgpu->uuid, /* begun= */ true))
                        r = schedule(look, error);
                if (r < 0) {
                        look_free(look);
                        return r;
                }
                list_append(&manager->migration_looks, &look->link);
        }

        query->look = look;
        list_append(&look->queries, &query->link);
        return 0;
}

/* What has begun is shared with whoever comes next, and not begun anew for him: it goes on to its end. */
void migration_look_leave(MigrationQuery *query) {
        MigrationLook *look = query->look;

        list_unlink(&query->link);
        if (list_is_empty(&look->queries) && !look->job)
                look_free(look);
}

void migration_looks_gpu_gone(const Gpu *gpu, const Error *error) {
        Platform *platform = gpu->manager->platform;
        MigrationLook *look;

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
