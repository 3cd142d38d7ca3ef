/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/gpu.h"
#include "core/manager.h"
#include "core/type.h"
#include "util/string-table.h"

static const char *const type_source_table[TYPE_SOURCE_MAX] = {
        [TYPE_SOURCE_DRIVER] = "driver",
        [TYPE_SOURCE_PROFILE] = "profile",
};

DEFINE_STRING_TABLE(type_source, TypeSource)

static const char *const registration_table[REGISTRATION_MAX] = {
        [REGISTRATION_REGISTERED] = "registered", [REGISTRATION_DIFFERS] = "differs",
        [REGISTRATION_REFUSED] = "refused",       [REGISTRATION_PENDING] = "pending",
        [REGISTRATION_RETIRED] = "retired",
};

DEFINE_STRING_TABLE(registration, Registration)

int type_new(Gpu *gpu, const TypeReport *report, Type **ret_type) {
        Type *type;

        type = calloc(1, sizeof(Type));
        if (!type)
                return -ENOMEM;

        type->gpu = gpu;
        type->report = *report;
        list_append(&gpu->types, &type->link);
        OBSERVE(gpu->manager, type_added, type);

        *ret_type = type;
        return 0;
}

Type *type_free(Type *type) {
        if (!type)
                return NULL;

        OBSERVE(type->gpu->manager, type_removed, type);
        list_unlink(&type->link);
        free(type);
        return NULL;
}

VGpuKind type_guess_kind(const char *type_id) {
        if (streq(type_id, TYPE_ID_WHOLE))
                return VGPU_WHOLE;

        return streq(type_id, TYPE_ID_VF) ? VGPU_VF : VGPU_MDEV;
}

/* Field by field: the padding and the bytes behind a string's end mean nothing. */
static bool limits_equal(const TypeReport *a, const TypeReport *b) {
        return streq(a->name, b->name) && streq(a->description, b->description) &&
               streq(a->device_api, b->device_api) && streq(a->class, b->class) && a->vendor_id == b->vendor_id &&
               a->kind == b->kind && a->max_instances == b->max_instances && a->framebuffer == b->framebuffer &&
               a->heads == b->heads && a->max_width == b->max_width && a->max_height == b->max_height &&
               a->frame_limit == b->frame_limit;
}

static bool details_equal(const TypeDetails *a, const TypeDetails *b) {
        return a->reserved == b->reserved && a->mappable_video == b->mappable_video && a->bar1 == b->bar1 &&
               a->host_reserved == b->host_reserved && a->encoder == b->encoder && a->gpu_instance == b->gpu_instance &&
               a->placements == b->placements && a->ecc == b->ecc && a->multi_vgpu == b->multi_vgpu &&
               a->limiter == b->limiter && a->creatable == b->creatable && a->keeps_state == b->keeps_state;
}

void type_update(Type *type, const TypeReport *report) {
        const TypeReport *old = &type->report;
        unsigned mask = 0;

        assert(streq(old->id, report->id));

        if (!limits_equal(old, report))
                mask |= TYPE_CHANGED_DEFINITION;
        if (!details_equal(&old->details, &report->details))
                mask |= TYPE_CHANGED_DETAILS;
        if (old->available != report->available)
                mask |= TYPE_CHANGED_AVAILABLE;
        if (old->source != report->source || old->registration != report->registration ||
            !streq(old->reason, report->reason))
                mask |= TYPE_CHANGED_REGISTRATION;

        type->report = *report;
        if (mask != 0)
                OBSERVE(type->gpu->manager, type_changed, type, mask);
}

void type_set_available(Type *type, uint32_t available) {
        if (type->report.available == available)
                return;

        type->report.available = available;
        OBSERVE(type->gpu->manager, type_changed, type, TYPE_CHANGED_AVAILABLE);
}
