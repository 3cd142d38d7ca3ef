/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/request.h"
#include "core/users-query.h"

struct UsersQuery {
        Platform *platform;
        PlatformJob *job;
        UsersCallback callback;
        void *userdata;
};

static void on_timeout(pid_t pid, void *userdata) {
        UsersQuery *query = userdata;
        UsersCallback callback = query->callback;
        Error error = ERROR_NULL;

        (void)error_set(&error, -ERROR_TIMEOUT, "Process %i does not come to an end with reading who uses the vGPU",
                        (int)pid);
        userdata = query->userdata;
        users_query_free(query);
        callback(&error, NULL, 0, NULL, userdata);
}

static void on_done(JobResult *result, void *userdata) {
        UsersQuery *query = userdata;
        UsersCallback callback = query->callback;

        userdata = query->userdata;
        free(query);
        callback(result->error.code < 0 ? &result->error : NULL, result->users, result->n_users,
                 result->usage.n_vgpus > 0 ? &result->usage.vgpus[0] : NULL, userdata);
}

int users_query_new(Manager *manager, const VGpu *vgpu, UsersCallback callback, void *userdata, UsersQuery **ret_query,
                    Error *error) {
        const Job job = { .kind = JOB_USERS, .uuid = vgpu->uuid, .iommu_group = vgpu->iommu_group };
        JobListener listener = { .timeout = on_timeout, .done = on_done };
        UsersQuery *query;
        int r;

        query = calloc(1, sizeof(UsersQuery));
        if (!query)
                return error_set_errno(error, -ENOMEM, "it cannot be asked who uses the vGPU");

        *query = (UsersQuery){ .platform = manager->platform, .callback = callback, .userdata = userdata };
        listener.userdata = query;
        r = query->platform->ops->submit(query->platform, vgpu->gpu->identity.address, &job, &listener, &query->job);
        if (r < 0) {
                free(query);
                return request_submit_error(r, vgpu->gpu, error);
        }

        *ret_query = query;
        return 0;
}

UsersQuery *users_query_free(UsersQuery *query) {
        if (!query)
                return NULL;

        query->platform->ops->forget(query->platform, query->job);
        free(query);
        return NULL;
}
