/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/examination.h"

/* What the worker is called instead of a GPU's name. */
#define WORKER_NAME "host"

struct Examination {
        Platform *platform;
        PlatformJob *job;
        ExaminationCallback callback;
        void *userdata;
};

static void on_timeout(pid_t pid, void *userdata) {
        Examination *examination = userdata;
        ExaminationCallback callback = examination->callback;
        Error error = ERROR_NULL;

        (void)error_set(&error, -ERROR_TIMEOUT, "process %i does not come to an end with looking at it", (int)pid);
        userdata = examination->userdata;
        examination_free(examination);
        callback(&error, NULL, userdata);
}

static void on_done(JobResult *result, void *userdata) {
        Examination *examination = userdata;
        ExaminationCallback callback = examination->callback;

        userdata = examination->userdata;
        free(examination);
        callback(result->facts ? NULL : &result->error, result->facts, userdata);
}

int examination_new(Manager *manager, ExaminationCallback callback, void *userdata, Examination **ret_examination,
                    Error *error) {
        const Job job = { .kind = JOB_EXAMINE };
        JobListener listener = { .timeout = on_timeout, .done = on_done };
        Examination *examination;
        int r;

        examination = calloc(1, sizeof(Examination));
        if (!examination)
                return error_set_errno(error, -ENOMEM, "the machine cannot be looked at");

        *examination = (Examination){ .platform = manager->platform, .callback = callback, .userdata = userdata };
        listener.userdata = examination;
        r = examination->platform->ops->submit(examination->platform, WORKER_NAME, &job, &listener, &examination->job);
        if (r < 0) {
                free(examination);
                return error_set_errno(error, r, "the machine cannot be looked at");
        }

        *ret_examination = examination;
        return 0;
}

Examination *examination_free(Examination *examination) {
        if (!examination)
                return NULL;

        examination->platform->ops->forget(examination->platform, examination->job);
        free(examination);
        return NULL;
}
