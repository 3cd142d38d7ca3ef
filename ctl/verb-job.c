/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Jobs: what goes on in the daemon by itself: waiting for one, listing them, cancelling one.
 */

#include <stdio.h>

#include "bus.h"
#include "job.h"
#include "print.h"
#include "reply.h"
#include "verbs.h"

static const Column columns_jobs[] = {
        { "id", "ID", COLUMN_RIGHT, NULL },
        { "operation", "OPERATION", 0, NULL },
        { "topology", "TOPOLOGY", 0, "-" },
        { "gpu", "GPU", 0, "-" },
        { "name", "NAME", 0, "-" }, /* of a saved state */
        { "uuid", "VGPU", 0, "-" },
        { "state", "STATE", 0, NULL },
        { "progress", "DONE", COLUMN_RIGHT, "-" },
        { "bytes", "BYTES", COLUMN_RIGHT, "-" },
        { "rate", "RATE", COLUMN_RIGHT, "-" },
        { "error", "ERROR", COLUMN_TRUNCATE, "-" },
        { NULL, NULL, 0, NULL },
};

static Status job_print(const Ctl *ctl, json_object *job, const char *path) {
        json_object *result = NULL;
        bool changed;

        (void)json_object_object_get_ex(job, "result", &result);
        changed = result && object_is_true(result, "changed");
        if (ctl->output != OUTPUT_TEXT) {
                _cleanup_(json_object_putp) json_object *answer = json_object_new_object();

                if (!answer || object_add(answer, "changed", json_object_new_boolean(changed)) < 0 ||
                    object_add_string(answer, "job", path) < 0)
                        return ctl_oom();
                return print_json(ctl, answer);
        }

        if (!ctl->quiet && !changed)
                puts("Nothing to do.");
        return STATUS_DONE;
}

Status job_wait(Ctl *ctl, sd_bus_message *reply) {
        _cleanup_(json_object_putp) json_object *job = NULL;
        const char *path;
        Status status;

        interrupts_catch(/* transfer= */ false);
        status = job_follow(ctl, reply, &job);
        if (status == STATUS_DONE)
                status = job_path(reply, &path);

        return status != STATUS_DONE ? status : job_print(ctl, job, path);
}

static const BusList list_jobs = {
        .member = "ListJobs",
        .expect = "a(ussoa{sv})",
        .keys = (const char *const[]){ "id", "operation", "state", "path", NULL },
        .extras = (const char *const[]){ "topology", "gpu", "name", "uuid", "phase", "progress", "bytes", "total_bytes",
                                         "rate", "expected_end_time", NULL },
};

Status verb_jobs(Ctl *ctl, char **arguments) {
        _cleanup_(json_object_putp) json_object *rows = NULL;
        Status status;

        status = bus_list(ctl, &list_jobs, /* gpu= */ NULL, &rows);
        return status != STATUS_DONE ? status : rows_print(ctl, rows, columns_jobs, "No jobs.");
}

Status verb_cancel(Ctl *ctl, char **arguments) {
        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
        _cleanup_(freep) char *path = NULL;
        Status status;

        if (strspn(arguments[0], "0123456789") != strlen(arguments[0]) || !*arguments[0])
                return ctl_error(STATUS_USAGE, "'%s' is no number of a job; 'mdevgpuctl jobs' lists them.",
                                 arguments[0]);
        if (asprintf(&path, "/org/mdevgpu1/job/%s", arguments[0]) < 0) {
                path = NULL;
                return ctl_oom();
        }

        status = bus_change_object(ctl, path, BUS_JOB, "Cancel", &error);
        if (sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT))
                return ctl_error(STATUS_NOT_FOUND, "There is no job %s; 'mdevgpuctl jobs' lists them.", arguments[0]);

        return sd_bus_error_is_set(&error) ? bus_error_report(ctl, &error) : status;
}
