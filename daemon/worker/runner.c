/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/backends.h"
#include "backend/users.h"
#include "util/file.h"
#include "util/log.h"
#include "util/text.h"
#include "worker/runner.h"

void runner_init(BackendContext *c, const Host *host, const char *gpu) {
        *c = (BackendContext){ .host = host };
        (void)text_copy(c->gpu, sizeof(c->gpu), gpu);
}

static void set_backend(BackendContext *c, const Backend *backend) {
        if (c->backend == backend)
                return;

        if (c->backend && c->backend->close)
                c->backend->close(c);
        c->backend = backend;
}

void runner_done(BackendContext *c) {
        set_backend(c, NULL);
}

/* The first in the table that knows the GPU; NULL if none does. */
static int find_backend(BackendContext *c, Error *error) {
        for (const Backend *const *b = backends; *b; b++) {
                int r = (*b)->probe(c, error);

                if (r < 0)
                        return r;
                if (r > 0) {
                        set_backend(c, *b);
                        return 0;
                }
        }

        set_backend(c, NULL);
        return 0;
}

/* Who drives the card, of what the driver core says: no attribute of the driver's own. */
static void read_driver(const BackendContext *c, GpuReport *report) {
        static const char *const buses[] = { "bus/pci/devices", "class/mdev_bus" };
        char path[SYSFS_NAME_SIZE + 64], driver[SYSFS_NAME_SIZE];

        for (size_t i = 0; i < ELEMENTSOF(buses); i++) {
                (void)snprintf(path, sizeof(path), "%s/%s/driver", buses[i], c->gpu);
                if (link_read_basename(c->host->sys_fd, path, driver, sizeof(driver)) < 0)
                        continue;

                (void)text_copy(report->driver, sizeof(report->driver), driver);
                (void)snprintf(path, sizeof(path), "%s/%s/driver/module/version", buses[i], c->gpu);
                attribute_read_text(c->host->sys_fd, path, report->driver_version, sizeof(report->driver_version));
                return;
        }
}

static void explain_no_backend(GpuReport *report) {
        if (report->driver[0] == '\0') {
                report->state = GPU_NO_DRIVER;
                (void)text_copy(report->reason, sizeof(report->reason), "no driver is bound to it");
                return;
        }

        report->state = GPU_UNSUPPORTED;
        (void)snprintf(report->reason, sizeof(report->reason),
                       "its driver '%s' offers no vGPUs: it is no mdev parent and has no control channel that is known",
                       report->driver);
}

static int run_sync(BackendContext *c, const Job *job, JobResult *result) {
        GpuReport *report = &result->report;
        const Backend *backend;
        int r;

        r = find_backend(c, &result->error);
        if (r < 0)
                return r;

        read_driver(c, report);
        backend = c->backend;
        if (!backend) {
                explain_no_backend(report);
                return 0;
        }

        report->state = GPU_READY;
        (void)text_copy(report->backend, sizeof(report->backend), backend->name);

        c->wanted = job->types;
        c->n_wanted = job->n_types;
        if (backend->register_types && job->may_register)
                r = backend->register_types(c, &result->error);
        if (r >= 0)
                r = backend->read(c, report, &result->error);
        c->wanted = NULL;
        c->n_wanted = 0;

        if (r >= 0 && !backend->register_types && job->n_types > 0 && report->reason[0] == '\0')
                (void)snprintf(report->reason, sizeof(report->reason),
                               "a profile states types for it, but its driver%s%s takes none: its types are its own",
                               report->driver[0] != '\0' ? " " : "", report->driver);
        return r;
}

static int need_backend(BackendContext *c, Error *error) {
        int r;

        if (c->backend)
                return 0;

        r = find_backend(c, error);
        if (r >= 0 && !c->backend)
                return error_set(error, -ERROR_NO_SUCH_GPU, "GPU %s no longer offers vGPUs", c->gpu);

        return r;
}

static void read_counts(BackendContext *c, JobResult *result) {
        if (c->backend)
                (void)c->backend->read_counts(c, &result->counts, &result->n_counts, NULL);
}

static int run_create(BackendContext *c, const Job *job, JobResult *result) {
        int r;

        r = need_backend(c, &result->error);
        if (r < 0)
                return r;

        r = c->backend->create(c, job->type_id, job->uuid, &result->vgpu, &result->error);
        read_counts(c, result);
        return r;
}

/* Looks for users as late as can be: who opens the vGPU after this makes the removal wait for him. */
static int check_users(BackendContext *c, const Job *job, JobResult *result) {
        char users[320];
        int r;

        r = users_find(c->host, job->uuid, &result->users, &result->n_users);
        if (r < 0)
                return error_set_errno(&result->error, r, "it cannot be seen who uses the vGPU");
        if (result->n_users == 0)
                return 0;

        users_describe(result->users, result->n_users, users, sizeof(users));
        return error_set(&result->error, -ERROR_IN_USE, "vGPU %s is in use by %s; stop that first", job->uuid, users);
}

static int run_remove(BackendContext *c, const Job *job, JobResult *result) {
        int r;

        r = need_backend(c, &result->error);
        if (r < 0)
                return r;
        r = check_users(c, job, result);
        if (r < 0)
                return r;

        r = c->backend->remove(c, job->uuid, &result->error);
        read_counts(c, result);
        return r;
}

void runner_run(BackendContext *c, const Job *job, JobResult *result) {
        int r;

        switch (job->kind) {
        case JOB_SYNC:
                r = run_sync(c, job, result);
                break;
        case JOB_CREATE:
                r = run_create(c, job, result);
                break;
        case JOB_REMOVE:
                r = run_remove(c, job, result);
                break;
        default:
                r = -EINVAL;
                break;
        }

        if (r < 0) {
                (void)error_set_errno(&result->error, r, "the worker failed");
                log_debug("GPU %s: %s", c->gpu, result->error.message);
        }
}
