/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend nvidia: a card of NVIDIA's with NVIDIA's driver. Types go in by its resource manager; vGPUs are mdevs. Where that
 * channel cannot be used, what the kernel offers is offered all the same: the driver's own types.
 */

#include "backend/backends.h"
#include "backend/mdev-counts.h"
#include "backend/mdev-sysfs.h"
#include "backend/nvidia-events.h"
#include "backend/nvidia-legacy.h"
#include "backend/nvidia-settings.h"
#include "backend/nvidia-types.h"
#include "backend/nvidia-usage.h"
#include "util/file.h"
#include "util/text.h"

#define NVIDIA_VENDOR 0x10deU

typedef struct NvidiaBackend {
        bool open; /* the channel, from a job's registration to its end */
        NvidiaRm rm;
        NvidiaVerdict verdict;
        Error failure; /* of the channel, in this job */
        bool may_write; /* as profiles had it when the card was read last */
        char mixed_size[REASON_SIZE]; /* why the card's sizes are not as profiles have them; else empty */
        NvidiaTypes types;
        NvidiaLegacy legacy; /* in place of these, with such a driver */
        NvidiaEvents events;
} NvidiaBackend;

static uint16_t read_id(const Host *host, const char *gpu, const char *name) {
        char path[SYSFS_NAME_SIZE + 64];
        uint64_t v;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", gpu, name);
        return attribute_read_number(host->sys_fd, path, UINT16_MAX, &v) < 0 ? 0 : (uint16_t)v;
}

static int nvidia_backend_probe(BackendContext *c, Error *error) {
        char path[SYSFS_NAME_SIZE + 64], driver[SYSFS_NAME_SIZE];

        if (read_id(c->host, c->gpu, "vendor") != NVIDIA_VENDOR)
                return 0;

        (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/driver", c->gpu);
        if (link_read_basename(c->host->sys_fd, path, driver, sizeof(driver)) < 0 || !streq(driver, "nvidia"))
                return 0;

        return path_exists(c->host->dev_fd, NVIDIA_CONTROL_NODE);
}

static void nvidia_backend_close(BackendContext *c) {
        NvidiaBackend *b = c->state;

        if (!b)
                return;

        if (b->open)
                nvidia_rm_close(&b->rm);
        nvidia_types_done(&b->types);
        nvidia_legacy_done(&b->legacy);
        nvidia_events_done(&b->events);
        free(b);
        c->state = NULL;
}

static NvidiaBackend *get_state(BackendContext *c) {
        NvidiaBackend *b = c->state;

        if (b)
                return b;

        b = calloc(1, sizeof(NvidiaBackend));
        if (b)
                b->events = NVIDIA_EVENTS_NULL;
        c->state = b;
        return b;
}

static void end_channel(NvidiaBackend *b) {
        if (b->open)
                nvidia_rm_close(&b->rm);
        b->open = false;
}

/* The channel, once in a job: its nodes keep others from the GPU. */
static int need_channel(BackendContext *c, NvidiaBackend *b) {
        bool legacy = false;
        int r;

        if (b->open || b->failure.code < 0)
                return b->failure.code;

        b->open = true;
        b->types.card = (NvidiaCard){
                .device = read_id(c->host, c->gpu, "device"),
                .subsystem_device = read_id(c->host, c->gpu, "subsystem_device"),
        };
        for (size_t i = 0; i < c->n_wanted; i++)
                legacy = legacy || c->wanted[i].nvidia_legacy;
        r = legacy ? nvidia_probe_legacy(&b->rm, c->host, c->gpu, &b->verdict, &b->failure)
                   : nvidia_probe(&b->rm, c->host, c->gpu, &b->verdict, &b->failure);
        if (r < 0)
                end_channel(b);
        return r;
}

/* Where vGPUs are made through virtual functions' own attributes (vendor-specific VFIO), and whether there is one. */
static void read_vfs(const Host *host, const char *gpu, NvidiaUse *use) {
        for (unsigned i = 0;; i++) {
                char path[SYSFS_NAME_SIZE + 96];
                uint64_t type;

                (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/virtfn%u", gpu, i);
                if (!path_exists(host->sys_fd, path))
                        return;
                (void)snprintf(path, sizeof(path), "bus/pci/devices/%s/virtfn%u/nvidia/current_vgpu_type", gpu, i);
                if (!path_exists(host->sys_fd, path))
                        continue;
                use->offered = true;
                use->in_use =
                        use->in_use || attribute_read_number(host->sys_fd, path, UINT32_MAX, &type) < 0 || type != 0;
        }
}

/* The driver's set of types and the kernel's are read: what the card is good for, and why no more. */
static void judge_state(const NvidiaBackend *b, bool offered, GpuReport *report) {
        static const GpuState states[NVIDIA_STATE_MAX] = {
                [NVIDIA_NO_DRIVER] = GPU_NO_DRIVER,
                [NVIDIA_NOT_VGPU_HOST] = GPU_NOT_VGPU_HOST,
                [NVIDIA_LAYOUT_UNKNOWN] = GPU_LAYOUT_UNKNOWN,
                [NVIDIA_HOST_READY] = GPU_HOST_READY,
        };
        bool failed = b->failure.code < 0;

        if (failed || b->verdict.state != NVIDIA_HOST_READY) {
                (void)snprintf(report->reason, sizeof(report->reason), "%s%.220s",
                               offered ? "no types can be registered: " : "",
                               failed ? b->failure.message : b->verdict.reason);
                if (!failed)
                        report->state = states[b->verdict.state];
                else if (!offered)
                        report->state = GPU_FAILED;
        } else if (report->state == GPU_READY && !offered) {
                report->state = GPU_HOST_READY;
                (void)text_copy(
                        report->reason, sizeof(report->reason),
                        "its driver is a vGPU host, but the kernel offers nothing yet that a vGPU can be made of");
        }
}

/* Whether a vGPU lives on the card, by anybody's word; what cannot be found out counts as yes. */
static NvidiaUse read_use(BackendContext *c, NvidiaBackend *b) {
        _cleanup_(freep) NvidiaGuest *guests = NULL;
        NvidiaUse use = {};
        GpuReport report;
        size_t n;

        gpu_report_init(&report);
        use.in_use = mdev_sysfs_read(c->host, c->gpu, &report, NULL) < 0 || report.n_vgpus > 0;
        use.offered = report.n_types > 0;
        gpu_report_done(&report);
        read_vfs(c->host, c->gpu, &use);

        guests = calloc(NVIDIA_GUESTS_MAX, sizeof(NvidiaGuest));
        if (!b->verdict.legacy) /* which tells of none */
                use.in_use = use.in_use || !guests || nvidia_query_guests(&b->rm, guests, &n) != 0 || n > 0;
        return use;
}

static int register_legacy(BackendContext *c, NvidiaBackend *b, NvidiaUse use) {
        GpuReport report;

        gpu_report_init(&report);
        if (mdev_sysfs_read(c->host, c->gpu, &report, &b->failure) < 0 ||
            nvidia_legacy_register(&b->legacy, &b->rm, &b->types.card, c->wanted, c->n_wanted, use, &report,
                                   &b->failure) < 0)
                end_channel(b);
        gpu_report_done(&report);
        return 0;
}

/* What the channel does not do is said in the report and keeps nothing else from working. */
static int nvidia_backend_register_types(BackendContext *c, Error *error) {
        NvidiaBackend *b = get_state(c);
        NvidiaUse use;

        if (!b)
                return error_set_errno(error, -ENOMEM, "the control channel cannot be opened");

        b->failure = ERROR_NULL;
        if (c->n_wanted == 0 || need_channel(c, b) < 0 || b->verdict.state != NVIDIA_HOST_READY)
                return 0;

        use = read_use(c, b);
        if (b->verdict.legacy)
                return register_legacy(c, b, use);
        if (nvidia_settings_mixed_size(&b->rm, &b->verdict, c->wanted, c->n_wanted, use, b->mixed_size, &b->failure) <
                    0 ||
            nvidia_types_register(&b->types, &b->rm, &b->verdict, c->wanted, c->n_wanted, use, &b->failure) < 0)
                end_channel(b);
        return 0;
}

static int refuse_all(BackendContext *c, const char *reason, GpuReport *report) {
        for (size_t i = 0; i < c->n_wanted; i++) {
                const TypeSpec *spec = &c->wanted[i];
                char id[TYPE_ID_SIZE];
                TypeReport *row = NULL;

                (void)snprintf(id, sizeof(id), "nvidia-%u", spec->id);
                for (size_t k = 0; k < report->n_types && !row; k++)
                        if (streq(report->types[k].id, id))
                                row = &report->types[k];
                if (row) /* the driver's own, under the same id: no word on whether it is the same type */
                        continue;

                row = gpu_report_add_type(report);
                if (!row)
                        return -ENOMEM;
                (void)text_copy(row->id, sizeof(row->id), id);
                (void)text_copy(row->name, sizeof(row->name), spec->name);
                (void)text_copy(row->class, sizeof(row->class), spec->class);
                (void)text_copy(row->device_api, sizeof(row->device_api), "vfio-pci");
                row->vendor_id = spec->id;
                row->max_instances = spec->max_instances;
                row->framebuffer = spec->framebuffer;
                row->available = 0;
                row->source = TYPE_SOURCE_PROFILE;
                row->registration = REGISTRATION_REFUSED;
                (void)text_copy(row->reason, sizeof(row->reason), reason);
        }

        return 0;
}

/* Which vGPUs a virtual machine runs with, as far as the driver tells; of others nobody knows who has them open. */
static void read_use_of_guests(const NvidiaBackend *b, GpuReport *report) {
        _cleanup_(freep) NvidiaGuest *guests = calloc(NVIDIA_GUESTS_MAX, sizeof(NvidiaGuest));
        NvidiaRm rm = b->rm;
        uint64_t used = 0;
        size_t n;

        if (b->failure.code < 0 || !guests || nvidia_query_guests(&rm, guests, &n) != 0)
                return;

        for (size_t i = 0; i < n; i++) {
                char uuid[UUID_STRING_SIZE];

                used += guests[i].framebuffer_used;
                nvidia_guest_find_mdev(rm.host, &guests[i], uuid);
                for (size_t k = 0; k < report->n_vgpus; k++)
                        if (streq(report->vgpus[k].uuid, uuid))
                                report->vgpus[k].use = VGPU_USE_YES;
        }
        report->framebuffer_used = used;
}

/* Reads by the channel, after the kernel's view. Errors are in b->failure. */
static void read_channel(BackendContext *c, NvidiaBackend *b, GpuReport *report) {
        if (need_channel(c, b) < 0)
                return;

        if (report->driver_version[0] == '\0')
                (void)text_copy(report->driver_version, sizeof(report->driver_version), b->rm.version_text);
        if (b->verdict.state == NVIDIA_HOST_READY || b->verdict.state == NVIDIA_NOT_VGPU_HOST)
                (void)nvidia_query_name(&b->rm, report->model, sizeof(report->model));
        if (b->verdict.state != NVIDIA_HOST_READY)
                return;
        if (b->verdict.legacy) {
                (void)nvidia_legacy_report(&b->legacy, c->wanted, c->n_wanted, report, &b->failure);
                return;
        }

        if (nvidia_types_read(&b->types, &b->rm, &b->failure) >= 0 &&
            nvidia_types_read_more(&b->types, &b->rm, &b->failure) >= 0)
                (void)nvidia_types_report(&b->types, c->wanted, c->n_wanted, report, &b->failure);
        read_use_of_guests(b, report);
}

static int nvidia_backend_read(BackendContext *c, GpuReport *report, Error *error) {
        NvidiaBackend *b = get_state(c);
        NvidiaUse use = {};
        int r;

        if (!b)
                return error_set_errno(error, -ENOMEM, "the GPU cannot be read");

        r = mdev_sysfs_read(c->host, c->gpu, report, error);
        if (r >= 0)
                read_channel(c, b, report);
        end_channel(b);
        if (r < 0)
                return r;

        b->may_write = false;
        for (size_t i = 0; i < c->n_wanted; i++)
                b->may_write = b->may_write || c->wanted[i].nvidia_newer;
        if (report->reason[0] == '\0')
                (void)text_copy(report->reason, sizeof(report->reason), b->mixed_size);
        read_vfs(c->host, c->gpu, &use);
        judge_state(b, use.offered || mdev_sysfs_present(c->host, c->gpu), report);
        if (b->failure.code < 0 || b->verdict.state != NVIDIA_HOST_READY)
                r = refuse_all(c, report->reason, report);

        nvidia_events_update(&b->events, c->host, c->gpu,
                             b->failure.code >= 0 && b->verdict.state == NVIDIA_HOST_READY && !b->verdict.legacy &&
                                     (report->n_vgpus > 0 || use.in_use));
        b->failure = ERROR_NULL;
        return r < 0 ? error_set_errno(error, r, "the types cannot be reported") : 0;
}

static int nvidia_backend_create(BackendContext *c, const char *parent, const char *type_id, const char *uuid,
                                 VGpuReport *ret_vgpu, Error *error) {
        return mdev_sysfs_create(c->host, c->gpu, parent, type_id, uuid, ret_vgpu, error);
}

static int nvidia_backend_find(BackendContext *c, const char *uuid, VGpuReport *ret_vgpu, Error *error) {
        return mdev_sysfs_find(c->host, c->gpu, uuid, ret_vgpu, error);
}

/* What the resource manager sets of a vGPU is no attribute of its in sysfs. */
static int configure_by_channel(BackendContext *c, const char *uuid, const Attribute *attribute, Error *error) {
        NvidiaBackend *b = get_state(c);
        int r;

        if (!b)
                return error_set_errno(error, -ENOMEM, "the control channel cannot be opened");

        b->failure = ERROR_NULL;
        r = need_channel(c, b);
        if (r < 0)
                (void)error_set(error, r, "GPU %s: %.300s", c->gpu, b->failure.message);
        else if (b->verdict.state != NVIDIA_HOST_READY)
                r = error_set(error, -ERROR_NOT_SUPPORTED, "GPU %s: %s", c->gpu, b->verdict.reason);
        else
                r = nvidia_settings_configure(&b->rm, b->verdict.known || b->may_write, uuid, attribute, error);
        end_channel(b);
        b->failure = ERROR_NULL;
        return r;
}

static int nvidia_backend_configure(BackendContext *c, const char *uuid, const Attribute *attribute, Error *error) {
        if (nvidia_settings_has(attribute->name))
                return configure_by_channel(c, uuid, attribute, error);

        return mdev_sysfs_configure(c->host, c->gpu, uuid, attribute, error);
}

static int nvidia_backend_remove(BackendContext *c, const char *uuid, Error *error) {
        return mdev_sysfs_remove(c->host, c->gpu, uuid, error);
}

static int nvidia_backend_watch(BackendContext *c) {
        const NvidiaBackend *b = c->state;

        return b ? nvidia_events_watch(&b->events) : -1;
}

static int nvidia_backend_hear(BackendContext *c, WorkerEvent *ret_event) {
        NvidiaBackend *b = c->state;

        return nvidia_events_hear(&b->events, c->host, ret_event);
}

static int nvidia_backend_read_usage(BackendContext *c, UsageReport *report, Error *error) {
        NvidiaBackend *b = get_state(c);
        int r;

        if (!b)
                return error_set_errno(error, -ENOMEM, "the control channel cannot be opened");

        b->failure = ERROR_NULL;
        r = need_channel(c, b);
        if (r < 0)
                (void)error_set(error, r, "GPU %s: %.300s", c->gpu, b->failure.message);
        else if (b->verdict.state != NVIDIA_HOST_READY)
                r = error_set(error, -ERROR_NOT_SUPPORTED, "GPU %s: %s", c->gpu, b->verdict.reason);
        else
                r = nvidia_usage_read(&b->rm, report, error);
        end_channel(b);
        b->failure = ERROR_NULL;
        return r;
}

const Backend backend_nvidia = {
        .name = "nvidia",
        .probe = nvidia_backend_probe,
        .read = nvidia_backend_read,
        .register_types = nvidia_backend_register_types,
        .create = nvidia_backend_create,
        .find = nvidia_backend_find,
        .configure = nvidia_backend_configure,
        .remove = nvidia_backend_remove,
        .read_counts = mdev_counts_read,
        .read_usage = nvidia_backend_read_usage,
        .watch = nvidia_backend_watch,
        .hear = nvidia_backend_hear,
        .close = nvidia_backend_close,
};
