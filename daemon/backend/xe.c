/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Backend xe: Intel's xe, whose virtual functions are provisioned through sriov_admin. A type of a profile is how one
 * function shall be provisioned: that is done when a vGPU of it is made, and undone when that goes. What can be set of a
 * function is an attribute of the vGPU that it is as well.
 */

#include <sys/stat.h>

#include "backend/backends.h"
#include "backend/vf.h"
#include "backend/xe-profile.h"
#include "util/file.h"
#include "util/log.h"
#include "util/text.h"

/* The variant that can migrate (kernel 6.19); where it is not there vfio-pci does. */
#define XE_VFIO_DRIVER "xe-vfio-pci"
#define TYPE_PREFIX "xe-"

/* What a worker of its own needs, that removes a vGPU and knows no profiles: in /run/mdevgpud/types/ADDRESS a line for each
 * type, its number and how many there may be. */
#define FOLDER "types"
#define LIMITS_SIZE (REPORT_TYPES_MAX * 24U)

typedef struct XeState {
        TypeSpec *types; /* what profiles want here, as of the last reading */
        size_t n_types;
} XeState;

static void format_id(const TypeSpec *spec, char buffer[static TYPE_ID_SIZE]) {
        (void)snprintf(buffer, TYPE_ID_SIZE, TYPE_PREFIX "%u", spec->id);
}

static int xe_probe(BackendContext *c, Error *error) {
        return xe_profile_present(c->host, c->gpu);
}

static void xe_close(BackendContext *c) {
        XeState *state = c->state;

        if (state)
                free(state->types);
        free(state);
        c->state = NULL;
}

static int keep_limits(const BackendContext *c) {
        _cleanup_(freep) char *text = malloc(LIMITS_SIZE);
        _cleanup_(fd_closep) int folder_fd = -EBADF;
        const XeState *state = c->state;
        size_t n = 0;

        if (!text)
                return -ENOMEM;
        if (c->host->run_fd < 0)
                return c->host->run_fd;
        if (mkdirat(c->host->run_fd, FOLDER, 0700) < 0 && errno != EEXIST)
                return negative_errno();
        folder_fd = directory_open(c->host->run_fd, FOLDER);
        if (folder_fd < 0)
                return folder_fd;

        text[0] = '\0';
        for (size_t i = 0; i < state->n_types && n < LIMITS_SIZE; i++)
                n += (size_t)snprintf(text + n, LIMITS_SIZE - n, "%u %u\n", state->types[i].id,
                                      state->types[i].max_instances);
        return file_replace(folder_fd, c->gpu, text);
}

/* Only what is kept of the types, for counting. */
static void recall_limits(const BackendContext *c, XeState *ret_state) {
        _cleanup_(freep) char *text = malloc(LIMITS_SIZE);
        char path[SYSFS_NAME_SIZE + sizeof(FOLDER)], *rest = text, *line;

        *ret_state = (XeState){ .types = calloc(REPORT_TYPES_MAX, sizeof(TypeSpec)) };
        (void)snprintf(path, sizeof(path), FOLDER "/%s", c->gpu);
        if (!text || !ret_state->types || c->host->run_fd < 0 ||
            attribute_read(c->host->run_fd, path, text, LIMITS_SIZE) <= 0)
                return;

        while ((line = strsep(&rest, "\n")) && ret_state->n_types < REPORT_TYPES_MAX) {
                TypeSpec *spec = &ret_state->types[ret_state->n_types];

                if (sscanf(line, "%u %u", &spec->id, &spec->max_instances) == 2)
                        ret_state->n_types++;
        }
}

/* The driver is told nothing before there is a vGPU. */
static int xe_register_types(BackendContext *c, Error *error) {
        XeState *state = c->state;
        TypeSpec *types = calloc(MAX(c->n_wanted, 1U), sizeof(TypeSpec));
        int r;

        if (!state)
                state = c->state = calloc(1, sizeof(XeState));
        if (!state || !types) {
                free(types);
                return error_set_errno(error, -ENOMEM, "the types of profiles cannot be kept");
        }

        if (c->n_wanted > 0)
                memcpy(types, c->wanted, c->n_wanted * sizeof(TypeSpec));
        free(state->types);
        *state = (XeState){ types, c->n_wanted };
        r = keep_limits(c);
        if (r < 0)
                log_debug("GPU %s: the limits of its types cannot be kept: %s", c->gpu, strerror(-r));
        return 0;
}

static uint32_t count_left(const TypeSpec *spec, uint32_t n_free, uint32_t n_live) {
        return n_live >= spec->max_instances ? 0 : MIN(n_free, spec->max_instances - n_live);
}

static uint32_t count_live(const GpuReport *report, const char *id) {
        uint32_t n = 0;

        for (size_t i = 0; i < report->n_vgpus; i++)
                n += streq(report->vgpus[i].type_id, id);
        return n;
}

static int add_type(const BackendContext *c, const TypeSpec *spec, uint32_t n_free, GpuReport *report) {
        TypeReport *type = gpu_report_add_type(report);

        if (!type)
                return -ENOMEM;

        format_id(spec, type->id);
        (void)text_copy(type->name, sizeof(type->name), spec->name);
        (void)text_copy(type->device_api, sizeof(type->device_api), "vfio-pci");
        (void)text_copy(type->class, sizeof(type->class), spec->class);
        type->vendor_id = spec->id;
        type->kind = VGPU_VF;
        type->max_instances = spec->max_instances;
        type->available = count_left(spec, n_free, count_live(report, type->id));
        type->source = TYPE_SOURCE_PROFILE;
        type->registration = REGISTRATION_REGISTERED;
        if (xe_profile_has_vram(c->host, c->gpu)) {
                type->framebuffer = spec->framebuffer;
                return 0;
        }

        type->registration = REGISTRATION_DIFFERS;
        (void)text_copy(type->reason, sizeof(type->reason),
                        "the memory of a virtual function cannot be set here (vram_quota, kernel 7.0, of cards with "
                        "memory of their own): it is what the driver gives it");
        return 0;
}

static void provision_save(const Provision *p, const Host *host, Claim *claim) {
        xe_profile_save(host, p->gpu, p->number, claim);
}

/* All that the type states, or the function is as it was, and no vGPU. */
static int provision_apply(const Provision *p, const Host *host, const Claim *claim, Error *error) {
        char what[UUID_STRING_SIZE + 8];

        (void)snprintf(what, sizeof(what), "vGPU %s", claim->uuid);
        return p->wanted ? xe_profile_apply(host, p->gpu, p->number, p->wanted, what, error) : 0;
}

/* The next vGPU on this function must not inherit how this one was provisioned. */
static void provision_restore(const Provision *p, const Host *host, const Claim *claim) {
        xe_profile_restore(host, p->gpu, p->number, claim);
}

static const Provision xe_provision = {
        .save = provision_save,
        .apply = provision_apply,
        .restore = provision_restore,
};

static int xe_read(BackendContext *c, GpuReport *report, Error *error) {
        const XeState *state;
        uint32_t n_free;
        int r;

        /* A worker that follows one which was killed is only asked to read. */
        if (!c->state && c->n_wanted > 0) {
                r = xe_register_types(c, error);
                if (r < 0)
                        return r;
        }

        state = c->state;
        vf_recover(c->host, c->gpu, &xe_provision);
        n_free = vf_count_free(c->host, c->gpu);
        r = vf_read(c->host, c->gpu, report, error);
        for (size_t i = 0; r >= 0 && state && i < state->n_types; i++)
                r = add_type(c, &state->types[i], n_free, report);
        return r < 0 ? error_set_errno(error, r, "the types of profiles cannot be reported") : 0;
}

/* NULL: a virtual function as it is. */
static int find_type(const BackendContext *c, const char *type_id, const TypeSpec **ret_spec, Error *error) {
        const XeState *state = c->state;

        *ret_spec = NULL;
        if (streq(type_id, TYPE_ID_VF))
                return 0;

        for (size_t i = 0; state && i < state->n_types; i++) {
                char id[TYPE_ID_SIZE];

                format_id(&state->types[i], id);
                if (streq(id, type_id)) {
                        *ret_spec = &state->types[i];
                        return 0;
                }
        }

        return error_set(error, -ERROR_NO_SUCH_TYPE, "GPU %s has no type %s", c->gpu, type_id);
}

static int check_instances(const BackendContext *c, const TypeSpec *spec, const char *type_id, Error *error) {
        GpuReport report;
        uint32_t n = 0;
        int r;

        gpu_report_init(&report);
        r = vf_read(c->host, c->gpu, &report, error);
        if (r >= 0)
                n = count_live(&report, type_id);
        gpu_report_done(&report);
        if (r >= 0 && n >= spec->max_instances)
                return error_set(error, -ERROR_NO_INSTANCES,
                                 "GPU %s has %u vGPUs of type %s already, which is as many as its profile allows",
                                 c->gpu, n, type_id);
        return r;
}

static int xe_create(BackendContext *c, const char *parent, const char *type_id, const char *uuid, VGpuReport *ret_vgpu,
                     Error *error) {
        const char *driver = pci_driver_is_loaded(c->host, XE_VFIO_DRIVER) ? XE_VFIO_DRIVER : PCI_VFIO_DRIVER;
        Provision provision = xe_provision;
        const TypeSpec *spec;
        int r;

        r = find_type(c, type_id, &spec, error);
        if (r >= 0 && spec)
                r = check_instances(c, spec, type_id, error);
        if (r < 0)
                return r;

        provision.wanted = spec;
        return vf_create(c->host, c->gpu, parent, driver, type_id, uuid, &provision, ret_vgpu, error);
}

static int xe_find(BackendContext *c, const char *uuid, VGpuReport *ret_vgpu, Error *error) {
        return vf_find(c->host, c->gpu, uuid, ret_vgpu, NULL, error);
}

static int xe_configure(BackendContext *c, const char *uuid, const Attribute *attribute, Error *error) {
        char what[UUID_STRING_SIZE + 8];
        VGpuReport vgpu;
        unsigned number;
        int r;

        r = vf_find(c->host, c->gpu, uuid, &vgpu, &number, error);
        if (r < 0)
                return r;

        (void)snprintf(what, sizeof(what), "vGPU %s", uuid);
        return xe_profile_write(c->host, c->gpu, number, attribute, what, error);
}

static int xe_remove(BackendContext *c, const char *uuid, Error *error) {
        return vf_remove(c->host, c->gpu, uuid, &xe_provision, error);
}

static int xe_read_counts(BackendContext *c, TypeCount **ret_counts, size_t *ret_n_counts, Error *error) {
        uint32_t n_free = vf_count_free(c->host, c->gpu);
        const XeState *state = c->state;
        XeState kept = {};
        GpuReport report;
        TypeCount *counts;
        int r;

        if (!state) {
                recall_limits(c, &kept);
                state = &kept;
        }
        gpu_report_init(&report);
        r = vf_read(c->host, c->gpu, &report, error);
        counts = calloc(state->n_types + 1, sizeof(TypeCount));
        if (r >= 0 && counts) {
                (void)text_copy(counts[0].id, sizeof(counts[0].id), TYPE_ID_VF);
                counts[0].available = n_free;
                for (size_t i = 0; i < state->n_types; i++) {
                        format_id(&state->types[i], counts[i + 1].id);
                        counts[i + 1].available =
                                count_left(&state->types[i], n_free, count_live(&report, counts[i + 1].id));
                }
                *ret_n_counts = state->n_types + 1;
                *ret_counts = TAKE(counts);
        } else if (r >= 0)
                r = error_set_errno(error, -ENOMEM, "the types' counts cannot be read");

        gpu_report_done(&report);
        free(kept.types);
        free(counts);
        return r;
}

const Backend backend_xe = {
        .name = "xe",
        .probe = xe_probe,
        .read = xe_read,
        .register_types = xe_register_types,
        .create = xe_create,
        .find = xe_find,
        .configure = xe_configure,
        .remove = xe_remove,
        .read_counts = xe_read_counts,
        .close = xe_close,
};
