/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Jobs: what goes on in the daemon by itself: waiting for one, listing them, cancelling one.
 */

#include <signal.h>
#include <stdio.h>

#include "bus.h"
#include "print.h"
#include "reply.h"
#include "verbs.h"

#define POLL_USEC 100000U

static const Column columns_jobs[] = {
        { "id", "ID", COLUMN_RIGHT, NULL },
        { "operation", "OPERATION", 0, NULL },
        { "topology", "TOPOLOGY", 0, NULL },
        { "gpu", "GPU", 0, NULL },
        { "state", "STATE", 0, NULL },
        { "done", "DONE", COLUMN_RIGHT, NULL },
        { "error", "ERROR", COLUMN_TRUNCATE, NULL },
        { NULL, NULL, 0, NULL },
};

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal) {
        interrupted = 1;
}

/* The first Ctrl-C cancels the job, the second one ends the command, and leaves the job to itself. */
static void interrupt_catch(void) {
        const struct sigaction action = { .sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND };

        (void)sigaction(SIGINT, &action, NULL);
}

static void progress_show(json_object *job, bool last) {
        json_object *progress;

        if (!isatty(STDERR_FILENO) || !json_object_object_get_ex(job, "progress", &progress))
                return;

        if (last)
                fprintf(stderr, "\r\x1b[K");
        else
                fprintf(stderr, "\r%3.0f %%", 100 * json_object_get_double(progress));
}

static bool job_has_ended(json_object *job) {
        const char *state = object_string(job, "state");

        return !state || (!streq(state, "queued") && !streq(state, "running"));
}

static Status job_cancel(Ctl *ctl, const char *path, sd_bus_error *ret_error) {
        return bus_change_object(ctl, path, BUS_JOB, "Cancel", ret_error);
}

static Status job_print(const Ctl *ctl, json_object *job, const char *path) {
        const char *name = object_string(job, "error"), *message = object_string(job, "error_message");
        const sd_bus_error error = SD_BUS_ERROR_MAKE_CONST(name, message);
        json_object *result = NULL;
        bool changed;

        if (!isempty(name))
                return bus_error_report(ctl, &error);

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

Status job_wait(Ctl *ctl, const char *path) {
        _cleanup_(json_object_putp) json_object *job = NULL;
        bool cancelled = false;
        Status status;

        interrupt_catch();
        for (;;) {
                status = bus_get_properties(ctl, path, BUS_JOB, &job);
                if (status != STATUS_DONE)
                        return status;
                progress_show(job, job_has_ended(job));
                if (job_has_ended(job))
                        return job_print(ctl, job, path);

                if (interrupted && !cancelled) {
                        _cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;

                        cancelled = true;
                        (void)job_cancel(ctl, path, &error); /* what comes of it is told by the job's end */
                }
                json_object_put(TAKE(job));
                (void)usleep(POLL_USEC);
        }
}

static const BusList list_jobs = {
        .member = "ListJobs",
        .expect = "a(ussoa{sv})",
        .keys = (const char *const[]){ "id", "operation", "state", "path", NULL },
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

        status = job_cancel(ctl, path, &error);
        if (sd_bus_error_has_name(&error, SD_BUS_ERROR_UNKNOWN_OBJECT))
                return ctl_error(STATUS_NOT_FOUND, "There is no job %s; 'mdevgpuctl jobs' lists them.", arguments[0]);

        return sd_bus_error_is_set(&error) ? bus_error_report(ctl, &error) : status;
}
