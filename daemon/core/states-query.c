/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/request.h"
#include "core/states-query.h"

/* What the worker is called instead of a GPU's name. */
#define WORKER_NAME "host"

struct StatesQuery {
        Platform *platform;
        PlatformJob *job;
        StatesCallback callback;
        void *userdata;
};

static void on_timeout(pid_t pid, void *userdata) {
        StatesQuery *query = userdata;
        StatesCallback callback = query->callback;
        Error error = ERROR_NULL;

        (void)error_set(&error, -ERROR_TIMEOUT, "Process %i does not come to an end with the saved states: the disk may hang",
                        (int)pid);
        userdata = query->userdata;
        states_query_free(query);
        callback(&error, NULL, userdata);
}

static void on_done(JobResult *result, void *userdata) {
        StatesQuery *query = userdata;
        StatesCallback callback = query->callback;

        userdata = query->userdata;
        free(query);
        callback(result->error.code < 0 ? &result->error : NULL, result, userdata);
}

static int begin(Manager *manager, const Job *job, StatesCallback callback, void *userdata, StatesQuery **ret_query,
                 Error *error) {
        JobListener listener = { .timeout = on_timeout, .done = on_done };
        StatesQuery *query;
        int r;

        query = calloc(1, sizeof(StatesQuery));
        if (!query)
                return error_set_errno(error, -ENOMEM, "the saved states cannot be looked at");

        *query = (StatesQuery){ .platform = manager->platform, .callback = callback, .userdata = userdata };
        listener.userdata = query;
        r = query->platform->ops->submit(query->platform, WORKER_NAME, job, &listener, &query->job);
        if (r < 0) {
                free(query);
                return request_submit_error(r, NULL, error);
        }

        *ret_query = query;
        return 0;
}

int states_query_new(Manager *manager, StatesCallback callback, void *userdata, StatesQuery **ret_query, Error *error) {
        const Job job = { .kind = JOB_LIST_STATES };

        return begin(manager, &job, callback, userdata, ret_query, error);
}

int states_query_new_delete(Manager *manager, const char *name, StatesCallback callback, void *userdata,
                            StatesQuery **ret_query, Error *error) {
        const Job job = { .kind = JOB_DELETE_STATE, .state_name = name };

        return begin(manager, &job, callback, userdata, ret_query, error);
}

StatesQuery *states_query_free(StatesQuery *query) {
        if (!query)
                return NULL;

        query->platform->ops->forget(query->platform, query->job);
        free(query);
        return NULL;
}
