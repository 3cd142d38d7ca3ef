/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* NVIDIA rows: what the driver holds and profiles want, as rows of a report. */

#include "backend/nvidia-types.h"
#include "util/text.h"

TypeReport *nvidia_rows_find(const GpuReport *report, uint32_t id) {
        char name[TYPE_ID_SIZE];

        (void)snprintf(name, sizeof(name), "nvidia-%u", id);
        for (size_t i = 0; i < report->n_types; i++)
                if (streq(report->types[i].id, name))
                        return &report->types[i];

        return NULL;
}

static void fill_held(const NvidiaType *type, TypeReport *row) {
        if (row->name[0] == '\0')
                (void)text_copy(row->name, sizeof(row->name), type->name);
        (void)text_copy(row->class, sizeof(row->class), type->class);
        row->vendor_id = type->id;
        row->max_instances = type->max_instances;
        row->framebuffer = type->framebuffer;
        row->heads = type->heads;
        row->max_width = type->max_width;
        row->max_height = type->max_height;
        row->frame_limit = type->frame_limit;
        row->details = (TypeDetails){
                .reserved = type->reserved,
                .mappable_video = type->mappable_video,
                .bar1 = type->bar1 <= UINT64_MAX >> 20 ? type->bar1 << 20 : UNKNOWN_U64,
                .host_reserved = type->host_reserved,
                .encoder = type->encoder,
                .gpu_instance = type->instance_size,
                .placements = type->placements,
                .ecc = tristate(type->ecc),
                .multi_vgpu = tristate(type->multi_vgpu),
                .limiter = tristate(type->limiter),
                .creatable = type->creatable,
        };
}

void nvidia_rows_fill(const TypeSpec *spec, TypeReport *row) {
        (void)text_copy(row->name, sizeof(row->name), spec->name);
        (void)text_copy(row->class, sizeof(row->class), spec->class);
        row->vendor_id = spec->id;
        row->max_instances = spec->max_instances;
        row->framebuffer = spec->framebuffer;
        row->heads = spec->heads;
        row->max_width = spec->max_width;
        row->max_height = spec->max_height;
        row->frame_limit = spec->frame_limit;
}

static int report_wanted(const NvidiaTypes *t, const TypeSpec *spec, GpuReport *report) {
        const NvidiaType *held = nvidia_types_find(t, spec->id);
        TypeReport *row = nvidia_rows_find(report, spec->id);
        bool shown = row;
        NvidiaOutcome now;

        if (!row) {
                row = gpu_report_add_type(report);
                if (!row)
                        return -ENOMEM;
                (void)snprintf(row->id, sizeof(row->id), "nvidia-%u", spec->id);
                (void)text_copy(row->device_api, sizeof(row->device_api), "vfio-pci");
                row->available = 0;
        }

        nvidia_types_judge(t, spec, &now);
        if (held && held->id != 0)
                fill_held(held, row);
        else
                nvidia_rows_fill(spec, row);
        row->source = TYPE_SOURCE_PROFILE;
        row->registration = now.registration;
        (void)text_copy(row->reason, sizeof(row->reason), now.reason);
        if (held && !shown && row->reason[0] == '\0')
                (void)text_copy(
                        row->reason, sizeof(row->reason),
                        "the driver holds it, but the kernel offers no such type (yet): a vGPU of it cannot be made");
        return 0;
}

static bool is_wanted(const TypeSpec *wanted, size_t n_wanted, uint32_t id) {
        for (size_t i = 0; i < n_wanted; i++)
                if (wanted[i].id == id)
                        return true;

        return false;
}

int nvidia_types_report(const NvidiaTypes *t, const TypeSpec *wanted, size_t n_wanted, GpuReport *report,
                        Error *error) {
        for (size_t i = 0; i < t->held.n; i++) {
                TypeReport *row = nvidia_rows_find(report, t->held.ids[i]);

                if (!row || t->types[i].id == 0 || is_wanted(wanted, n_wanted, t->held.ids[i]))
                        continue;

                fill_held(&t->types[i], row);
                if (nvidia_types_hold(&t->ours, t->held.ids[i])) {
                        row->source = TYPE_SOURCE_PROFILE;
                        row->registration = REGISTRATION_RETIRED;
                        (void)text_copy(row->reason, sizeof(row->reason),
                                        "no profile states it any more; the driver keeps it until it is loaded anew");
                }
        }

        for (size_t i = 0; i < n_wanted; i++)
                if (report_wanted(t, &wanted[i], report) < 0)
                        return error_set_errno(error, -ENOMEM, "the types cannot be reported");

        report->pending_types = t->waiting;
        if (t->degraded[0] != '\0') {
                report->state = GPU_DEGRADED;
                (void)text_copy(report->reason, sizeof(report->reason), t->degraded);
        } else if (t->held.n > 0 && t->held.state == NVIDIA_CONFIG_UNINITIALIZED) {
                report->state = GPU_DEGRADED;
                (void)text_copy(report->reason, sizeof(report->reason),
                                "the driver does not hold its set of types for ready, and vGPUs may not be made");
        }
        return 0;
}
