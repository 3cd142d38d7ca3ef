/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/manager.h"
#include "core/migration-query-private.h"
#include "core/request.h"
#include "core/start-hold.h"
#include "util/text.h"

#define NVIDIA_VENDOR 0x10deU

/* The vGPU may have gone meanwhile, and another may have its UUID. */
static void unclaim(const MigrationQuery *query) {
        VGpu *vgpu = MAP_FIND(&query->manager->vgpus, query->uuid, VGpu, node);

        if (vgpu && vgpu->claim == VGPU_CLAIM_PROBE)
                vgpu_set_claim(vgpu, VGPU_CLAIM_NONE);
        else
                start_hold_check(query->manager);
}

static void answer(MigrationQuery *query, const Error *error, const JobResult *result) {
        MigrationCallback callback = query->callback;

        query->callback = NULL;
        if (callback)
                callback(error, result, query->userdata);
}

void migration_query_end(MigrationQuery *query, const Error *error, const JobResult *result) {
        list_unlink(&query->link);
        query->deadline = sd_event_source_disable_unref(query->deadline);
        answer(query, error, result);
        free(query);
}

static void on_done(JobResult *result, void *userdata) {
        MigrationQuery *query = userdata;

        unclaim(query);
        migration_query_end(query, result->error.code < 0 ? &result->error : NULL, result);
}

/* Its process is killed, and what it has open is closed with it: done() follows if it can be. */
static void on_timeout(pid_t pid, void *userdata) {
        MigrationQuery *query = userdata;
        VGpu *vgpu = MAP_FIND(&query->manager->vgpus, query->uuid, VGpu, node);
        Error error = ERROR_NULL;

        (void)error_set(&error, -ERROR_TIMEOUT, "Process %i does not come to an end with asking about vGPU %s",
                        (int)pid, query->uuid);
        if (vgpu && vgpu->claim == VGPU_CLAIM_PROBE)
                vgpu->claim_pid = pid;
        answer(query, &error, NULL);
}

/* NVIDIA's has a device of its own opened by a virtual machine alone: what it does else, nobody knows. */
static bool is_nvidia(const Gpu *gpu) {
        return gpu->identity.vendor == NVIDIA_VENDOR || strncmp(gpu->backend, "nvidia", strlen("nvidia")) == 0;
}

int migration_query_check(const VGpu *vgpu, Error *error) {
        if (!vgpu->present || !vgpu->gpu)
                return error_set(error, -ERROR_NO_SUCH_VGPU, "vGPU %s is not active: there is nothing to be opened",
                                 vgpu->uuid);
        if (is_nvidia(vgpu->gpu))
                return error_set(error, -ERROR_NOT_SUPPORTED,
                                 "A vGPU of NVIDIA's driver is not opened to be asked: only a virtual machine, saving "
                                 "and restoring do that");
        if (vgpu->claim == VGPU_CLAIM_PROBE)
                return request_probe_error(vgpu, error);
        if (vgpu->operation || vgpu->state == VGPU_REMOVING || vgpu->claim != VGPU_CLAIM_NONE)
                return error_set(error, -ERROR_BUSY, "vGPU %s is being changed or asked already; try again in a moment",
                                 vgpu->uuid);
        if (vgpu->start_hold)
                return error_set(error, -ERROR_BUSY, "A virtual machine is being started with vGPU %s", vgpu->uuid);
        return 0;
}

static int begin_probe(VGpu *vgpu, MigrationQuery *query, Error *error) {
        const Job job = {
                .kind = JOB_MIGRATION,
                .uuid = vgpu->uuid,
                .iommu_group = vgpu->iommu_group,
                .probe = true,
        };
        const JobListener listener = { .timeout = on_timeout, .done = on_done, .userdata = query };
        Platform *platform = vgpu->manager->platform;
        int r;

        r = platform->ops->submit(platform, vgpu->gpu->identity.address, &job, &listener, &query->job);
        if (r < 0)
                return request_submit_error(r, vgpu->gpu, error);

        list_append(&vgpu->manager->migration_queries, &query->link);
        vgpu_set_claim(vgpu, VGPU_CLAIM_PROBE);
        return 0;
}

int migration_query_new(VGpu *vgpu, bool probe, MigrationCallback callback, void *userdata, MigrationQuery **ret_query,
                        Error *error) {
        MigrationQuery *query;
        int r;

        r = probe ? migration_query_check(vgpu, error) : 0;
        if (r < 0)
                return r;

        query = calloc(1, sizeof(MigrationQuery));
        if (!query)
                return error_set_errno(error, -ENOMEM, "it cannot be asked about the vGPU");

        *query = (MigrationQuery){
                .manager = vgpu->manager,
                .gpu = vgpu->gpu,
                .callback = callback,
                .userdata = userdata,
        };
        (void)text_copy(query->uuid, sizeof(query->uuid), vgpu->uuid);
        list_init(&query->link);
        r = probe ? begin_probe(vgpu, query, error) : migration_look_join(vgpu, query, error);
        if (r < 0) {
                free(query);
                return r;
        }

        *ret_query = query;
        return 0;
}

MigrationQuery *migration_query_free(MigrationQuery *query) {
        Platform *platform;

        if (!query)
                return NULL;

        query->callback = NULL;
        platform = query->manager->platform;
        if (query->look)
                migration_look_leave(query);
        else if (platform->ops->cancel(platform, query->job))
                unclaim(query);
        else
                return NULL;

        migration_query_end(query, NULL, NULL);
        return NULL;
}

void migration_query_give_way(VGpu *vgpu) {
        Platform *platform = vgpu->manager->platform;
        Error error = ERROR_NULL;
        MigrationQuery *query;

        (void)error_set(&error, -ERROR_BUSY, "A virtual machine is being started with vGPU %s", vgpu->uuid);
        LIST_FOREACH(query, &vgpu->manager->migration_queries, link) {
                if (!streq(query->uuid, vgpu->uuid) || !platform->ops->cancel(platform, query->job))
                        continue;
                unclaim(query);
                migration_query_end(query, &error, NULL);
        }
}

void migration_query_gpu_gone(Gpu *gpu) {
        Manager *manager = gpu->manager;
        Error error = ERROR_NULL;
        MigrationQuery *query;

        (void)error_set(&error, -ERROR_NO_SUCH_GPU, "GPU %s has gone", gpu->identity.address);
        LIST_FOREACH(query, &manager->migration_queries, link) {
                if (query->gpu != gpu)
                        continue;
                manager->platform->ops->forget(manager->platform, query->job);
                unclaim(query);
                migration_query_end(query, &error, NULL);
        }
        migration_looks_gpu_gone(gpu, &error);
}
