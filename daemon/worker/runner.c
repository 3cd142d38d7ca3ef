/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "backend/backends.h"
#include "backend/host-facts.h"
#include "backend/mdev-counts.h"
#include "backend/qemu.h"
#include "backend/users.h"
#include "core/migration.h"
#include "state/features.h"
#include "backend/vfs.h"
#include "util/file.h"
#include "util/log.h"
#include "util/text.h"
#include "worker/runner.h"
#include "worker/state-store.h"
#include "worker/state-work.h"
#include "worker/store.h"
#include "worker/told.h"

/* How long whoever else makes the same vGPU may take to finish: libvirt waits as long for an mdev it has asked for. */
#define FIND_INTERVAL_USEC 10000U
#define FIND_TRIES 100U

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
        c->state_work = state_work_free(c->state_work);
        c->counts = mdev_counts_free(c->counts);
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

/* Adds what those have to offer that stand beside the backend of the card's driver. */
static int read_beside(BackendContext *c, GpuReport *report, Error *error) {
        for (const Backend *const *b = backends_beside; *b; b++) {
                int r = (*b)->probe(c, error);

                if (r > 0)
                        r = (*b)->read(c, report, error);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* NULL: none of them has anything to offer here. */
static const Backend *first_beside(BackendContext *c) {
        for (const Backend *const *b = backends_beside; *b; b++)
                if ((*b)->probe(c, NULL) > 0)
                        return *b;

        return NULL;
}

/* The backend that makes vGPUs of this type: one that stands beside, or that of the card's driver. */
static const Backend *backend_of_type(BackendContext *c, const char *type_id) {
        for (const Backend *const *b = backends_beside; *b; b++)
                if ((*b)->owns_type(type_id) && (*b)->probe(c, NULL) > 0)
                        return *b;

        return c->backend;
}

static const Backend *backend_of_vgpu(BackendContext *c, const char *uuid) {
        VGpuReport vgpu;

        for (const Backend *const *b = backends_beside; *b; b++)
                if ((*b)->probe(c, NULL) > 0 && (*b)->find(c, uuid, &vgpu, NULL) >= 0)
                        return *b;

        return c->backend ?: first_beside(c);
}

static void explain_no_backend(GpuReport *report) {
        if (report->driver[0] == '\0') {
                if (report->state == GPU_PROBING)
                        report->state = GPU_NO_DRIVER;
                (void)text_copy(report->reason, sizeof(report->reason), "no driver is bound to it");
                return;
        }

        if (report->state == GPU_PROBING)
                report->state = GPU_UNSUPPORTED;
        if (report->max_vfs > 0 && report->num_vfs == 0)
                (void)snprintf(report->reason, sizeof(report->reason),
                               "none of its %u virtual functions is enabled, on which its driver '%s' may offer vGPUs",
                               report->max_vfs, report->driver);
        else
                (void)snprintf(report->reason, sizeof(report->reason),
                               "its driver '%s' offers no vGPUs: it is no mdev parent and has no control channel that "
                               "is known",
                               report->driver);
}

/* Of a GPU whose driver has no backend: what can be had all the same. */
static int sync_without_backend(BackendContext *c, JobResult *result) {
        const Backend *beside = first_beside(c);
        GpuReport *report = &result->report;
        int r;

        r = read_beside(c, report, &result->error);
        if (r < 0)
                return r;
        if (beside) {
                report->state = GPU_READY;
                (void)text_copy(report->backend, sizeof(report->backend), beside->name);
        }
        if (!beside || (beside == &backend_vfio_pci && report->n_vgpus == 0))
                explain_no_backend(report);
        return 0;
}

static int sync_with_backend(BackendContext *c, const Job *job, JobResult *result) {
        const Backend *backend = c->backend;
        GpuReport *report = &result->report;
        int r = 0;

        report->state = GPU_READY;
        (void)text_copy(report->backend, sizeof(report->backend), backend->name);

        c->apply_pending = job->apply_pending;
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
        return r < 0 ? r : read_beside(c, report, &result->error);
}

int runner_watch(BackendContext *c) {
        return c->backend && c->backend->watch ? c->backend->watch(c) : -1;
}

static int run_sync(BackendContext *c, const Job *job, JobResult *result) {
        int r;

        vfs_recover(c->host, c->gpu);
        r = find_backend(c, &result->error);
        if (r < 0)
                return r;

        read_driver(c, &result->report);
        vfs_read_counts(c->host, c->gpu, &result->report.num_vfs, &result->report.max_vfs);
        return c->backend ? sync_with_backend(c, job, result) : sync_without_backend(c, result);
}

static int need_backend(BackendContext *c, const Backend *backend, Error *error) {
        if (backend)
                return 0;

        return error_set(error, -ERROR_NO_SUCH_GPU, "GPU %s no longer offers vGPUs", c->gpu);
}

/* Once for each worker, until the next reading. */
static int look_for_backend(BackendContext *c, Error *error) {
        return c->backend ? 0 : find_backend(c, error);
}

static void add_counts(BackendContext *c, const Backend *backend, JobResult *result) {
        _cleanup_(freep) TypeCount *counts = NULL;
        TypeCount *all;
        size_t n = 0;

        if (backend->read_counts(c, &counts, &n, NULL) < 0 || n == 0)
                return;
        all = reallocarray(result->counts, result->n_counts + n, sizeof(TypeCount));
        if (!all)
                return;

        memcpy(all + result->n_counts, counts, n * sizeof(TypeCount));
        result->counts = all;
        result->n_counts += n;
}

static void read_counts(BackendContext *c, JobResult *result) {
        if (c->backend)
                add_counts(c, c->backend, result);
        for (const Backend *const *b = backends_beside; *b; b++)
                if ((*b)->probe(c, NULL) > 0)
                        add_counts(c, *b, result);
}

static int write_attributes(BackendContext *c, const Backend *backend, const Job *job, Error *error) {
        int r;

        for (size_t i = 0; i < job->attributes->n; i++) {
                r = backend->configure(c, job->uuid, &job->attributes->items[i], error);
                if (r < 0)
                        return r;
        }

        return 0;
}

/* The UUID was taken: by what is wanted, or by what is about to be it, as its links come after the device itself. */
static bool find_wanted(BackendContext *c, const Backend *backend, const Job *job, JobResult *result) {
        for (unsigned i = 0; i < FIND_TRIES; i++) {
                if (i > 0)
                        (void)usleep(FIND_INTERVAL_USEC);
                if (backend->find(c, job->uuid, &result->vgpu, NULL) >= 0)
                        return streq(result->vgpu.type_id, job->type_id) &&
                               (*job->parent == '\0' || streq(result->vgpu.parent, job->parent));
        }

        return false;
}

static int run_create(BackendContext *c, const Job *job, JobResult *result) {
        const Backend *backend;
        int r;

        r = look_for_backend(c, &result->error);
        backend = backend_of_type(c, job->type_id);
        if (r >= 0)
                r = need_backend(c, backend, &result->error);
        if (r < 0)
                return r;

        c->take_display = job->take_display;
        r = backend->create(c, job->parent, job->type_id, job->uuid, &result->vgpu, &result->error);
        c->take_display = false;
        if (r >= 0) {
                result->exists = true;
                r = write_attributes(c, backend, job, &result->error);
        } else if (r == -ERROR_ALREADY_EXISTS && job->adopt && find_wanted(c, backend, job, result)) {
                result->error = ERROR_NULL;
                result->exists = result->existed = true;
                r = 0;
        }

        read_counts(c, result);
        return r;
}

/* A device that its backend finds has its folder among its bus' devices; a mediated one has it until its removal begins. */
static void name_device(BackendContext *c, const char *uuid, char *buffer, size_t size) {
        const Backend *backend = backend_of_vgpu(c, uuid);
        VGpuReport vgpu;

        if (backend && backend->find(c, uuid, &vgpu, NULL) >= 0 && vgpu.kind != VGPU_MDEV)
                (void)snprintf(buffer, size, "bus/pci/devices/%s", vgpu.parent);
        else
                (void)snprintf(buffer, size, "bus/mdev/devices/%s", uuid);
}

static int run_users(BackendContext *c, const Job *job, JobResult *result) {
        char device[SYSFS_NAME_SIZE + 32];
        int r;

        (void)look_for_backend(c, NULL);
        name_device(c, job->uuid, device, sizeof(device));
        r = users_find(c->host, device, job->iommu_group, &result->users, &result->n_users);
        return r < 0 ? error_set_errno(&result->error, r, "it cannot be seen who uses the vGPU") : 0;
}

/* What the driver says of this vGPU, and which of its users it means. */
static void add_told(UsageReport *all, const char *uuid, JobResult *result) {
        VGpuUsage usage, *row;

        if (!told_take(all, uuid, &usage))
                return;
        row = usage_report_add_vgpu(&result->usage);
        if (!row) {
                facts_done(&usage.facts);
                return;
        }

        *row = usage;
        for (size_t i = 0; i < result->n_users; i++)
                result->users[i].told = result->users[i].pid == row->pid || (row->pid == 0 && result->n_users == 1);
}

/* What QEMU runs with it, which decides what can be done with it while it does. */
static int add_qemu(BackendContext *c, JobResult *result) {
        char version[QEMU_VERSION_SIZE] = "";

        for (size_t i = 0; i < result->n_users && version[0] == '\0'; i++)
                qemu_read_version(c->host, &result->users[i], version);
        return facts_add_text(&result->usage.facts, MIGRATION_QEMU, version);
}

/* What the driver says of the GPU and this vGPU: read once, whatever is wanted of it. */
static int add_usage(BackendContext *c, const Job *job, JobResult *result) {
        UsageReport all;
        int r = 0;

        if (!c->backend || !c->backend->read_usage)
                return 0;

        usage_report_init(&all);
        if (c->backend->read_usage(c, &all, NULL) >= 0) {
                add_told(&all, job->uuid, result);
                if (job->kind == JOB_MIGRATION)
                        r = migration_take_told(&all.facts, &result->usage.facts);
        }
        usage_report_done(&all);
        return r;
}

/* Opens it, if nobody has. */
static int run_probe(BackendContext *c, const Job *job, JobResult *result) {
        char device[SYSFS_NAME_SIZE + 32], users[320];

        if (result->n_users > 0) {
                users_describe(result->users, result->n_users, users, sizeof(users));
                return error_set(&result->error, -ERROR_IN_USE, "vGPU %s is in use by %s, and is asked nothing",
                                 job->uuid, users);
        }

        name_device(c, job->uuid, device, sizeof(device));
        return state_features_read(c->host, device, &result->usage.facts, &result->error);
}

static int run_migration(BackendContext *c, const Job *job, JobResult *result) {
        int r;

        r = run_users(c, job, result);
        if (r >= 0 && job->probe)
                r = run_probe(c, job, result);
        if (r < 0)
                return r;

        r = add_usage(c, job, result);
        if (r >= 0)
                r = add_qemu(c, result);
        if (r < 0)
                return error_set_errno(&result->error, r, "it cannot be told how the vGPU can be moved");

        return 0;
}

static int run_usage(BackendContext *c, JobResult *result) {
        int r;

        r = look_for_backend(c, &result->error);
        if (r < 0)
                return r;
        if (!c->backend || !c->backend->read_usage)
                return error_set(&result->error, -ERROR_NOT_SUPPORTED,
                                 "The driver of GPU %s does not say what it and its vGPUs use", c->gpu);

        return c->backend->read_usage(c, &result->usage, &result->error);
}

/* Looks for users as late as can be: who opens the vGPU after this makes a removal wait for him. */
static int check_users(BackendContext *c, const Job *job, JobResult *result) {
        char users[320];
        int r;

        r = run_users(c, job, result);
        if (r < 0)
                return r;
        if (result->n_users == 0)
                return told_check_free(c, job->uuid, &result->error);

        users_describe(result->users, result->n_users, users, sizeof(users));
        return error_set(&result->error, -ERROR_IN_USE, "vGPU %s is in use by %s; stop that first", job->uuid, users);
}

static int run_configure(BackendContext *c, const Job *job, JobResult *result) {
        const Backend *backend;
        int r;

        r = look_for_backend(c, &result->error);
        backend = backend_of_vgpu(c, job->uuid);
        if (r >= 0)
                r = need_backend(c, backend, &result->error);
        if (r >= 0 && job->unless_used)
                r = check_users(c, job, result);
        return r < 0 ? r : write_attributes(c, backend, job, &result->error);
}

static int run_remove(BackendContext *c, const Job *job, JobResult *result) {
        const Backend *backend;
        int r;

        r = look_for_backend(c, &result->error);
        backend = backend_of_vgpu(c, job->uuid);
        if (r >= 0)
                r = need_backend(c, backend, &result->error);
        if (r >= 0)
                r = check_users(c, job, result);
        if (r < 0)
                return r;

        r = backend->remove(c, job->uuid, &result->error);
        read_counts(c, result);
        return r;
}

/* Every function goes with such a change, and with it whatever uses it. */
static int check_no_vgpus(BackendContext *c, Error *error) {
        GpuReport report;
        size_t n;
        int r;

        gpu_report_init(&report);
        r = c->backend ? c->backend->read(c, &report, error) : 0;
        if (r >= 0)
                r = read_beside(c, &report, error);
        n = report.n_vgpus;
        gpu_report_done(&report);
        if (r >= 0 && n > 0)
                return error_set(error, -ERROR_BUSY, "GPU %s has vGPUs, %zu of them; destroy these first", c->gpu, n);

        return r;
}

static int run_examine(BackendContext *c, JobResult *result) {
        result->facts = calloc(1, sizeof(HostFacts));
        if (!result->facts)
                return -ENOMEM;

        host_facts_read(c->host, result->facts);
        return 0;
}

static int run_set_mixed(BackendContext *c, const Job *job, JobResult *result) {
        int r;

        r = look_for_backend(c, &result->error);
        if (r >= 0)
                r = check_no_vgpus(c, &result->error);
        if (r < 0)
                return r;

        for (const Backend *const *b = backends_beside; *b; b++)
                if ((*b)->set_mixed && (*b)->probe(c, NULL) > 0)
                        return (*b)->set_mixed(c, job->mixed_size, &result->error);

        return error_set(&result->error, -ERROR_NOT_SUPPORTED,
                         "The driver of GPU %s has no such setting, or only with virtual functions enabled", c->gpu);
}

static int run_enable_vfs(BackendContext *c, const Job *job, JobResult *result) {
        int r;

        r = look_for_backend(c, &result->error);
        if (r >= 0)
                r = check_no_vgpus(c, &result->error);
        if (r < 0)
                return r;

        /* A channel that is open keeps the driver from leaving the card, as NVIDIA's has to. */
        set_backend(c, NULL);
        return vfs_enable(c->host, c->gpu, job->n_vfs, job->attributes, strempty(job->sriov_manage), &result->error);
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
        case JOB_CONFIGURE:
                r = run_configure(c, job, result);
                break;
        case JOB_USERS:
                r = run_users(c, job, result);
                if (r >= 0)
                        r = add_usage(c, job, result);
                break;
        case JOB_MIGRATION:
                r = run_migration(c, job, result);
                break;
        case JOB_USAGE:
                r = run_usage(c, result);
                break;
        case JOB_STORE:
                r = store_run(c->host, job, &result->error);
                break;
        case JOB_EXAMINE:
                r = run_examine(c, result);
                break;
        case JOB_SET_MIXED:
                r = run_set_mixed(c, job, result);
                break;
        case JOB_ENABLE_VFS:
                r = run_enable_vfs(c, job, result);
                break;
        case JOB_REMOVE:
                r = run_remove(c, job, result);
                break;
        case JOB_SAVE_STATE:
                r = state_work_save(c, job, result);
                break;
        case JOB_OPEN_STATE:
                r = state_work_open(c, job, result);
                break;
        case JOB_RESTORE_STATE:
                r = state_work_restore(c, job, result);
                break;
        case JOB_SETTLE_STATE:
                r = state_work_settle(c, job, result);
                break;
        case JOB_LIST_STATES:
                r = state_store_list(c->host, result, &result->error);
                break;
        case JOB_DELETE_STATE:
                r = state_store_delete(c->host, job->state_name, &result->error);
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
