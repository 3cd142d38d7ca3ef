/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Shim report: what is to be said of a shim GPU's types: held, missing, why.
 */

#include "backend/shim-types.h"
#include "util/text.h"

static const char *verdict_to_sentence(uint32_t verdict) {
        switch (verdict) {
        case MDEVGPU_VERDICT_BAD_ID:
                return "the driver does not take its id";
        case MDEVGPU_VERDICT_DUPLICATE_ID:
                return "its id stands twice in the set";
        case MDEVGPU_VERDICT_BAD_NAME:
                return "the driver does not take its name or class";
        case MDEVGPU_VERDICT_BAD_FIELD:
                return "the driver does not take one of its values";
        case MDEVGPU_VERDICT_TOO_LARGE:
                return "one instance is larger than the GPU's framebuffer";
        case MDEVGPU_VERDICT_NOT_SUPPORTED:
                return "the driver cannot do it on this GPU";
        case SHIM_VERDICT_STRICT:
                return "its instances together need more than the GPU's framebuffer, and its profile is strict";
        default:
                return NULL;
        }
}

/* The member of struct mdevgpu_type that a verdict is about, as a profile calls it. */
static const char *field_to_key(uint32_t offset) {
        static const struct {
                size_t offset;
                const char *key;
        } table[] = {
                { offsetof(struct mdevgpu_type, max_instances), "max-instances" },
                { offsetof(struct mdevgpu_type, name), "name" },
                { offsetof(struct mdevgpu_type, type_class), "class" },
                { offsetof(struct mdevgpu_type, framebuffer), "framebuffer" },
                { offsetof(struct mdevgpu_type, framebuffer_reserved), "reserved" },
                { offsetof(struct mdevgpu_type, mappable_video), "mappable-video" },
                { offsetof(struct mdevgpu_type, bar1_size), "bar1" },
                { offsetof(struct mdevgpu_type, vdev_id), "vdev-id" },
                { offsetof(struct mdevgpu_type, pdev_id), "pdev-id" },
                { offsetof(struct mdevgpu_type, heads), "displays: heads" },
                { offsetof(struct mdevgpu_type, max_width), "displays: max" },
                { offsetof(struct mdevgpu_type, max_height), "displays: max" },
                { offsetof(struct mdevgpu_type, frame_limit), "displays: frame-limit" },
                { offsetof(struct mdevgpu_type, encoder_percent), "encoder" },
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].offset == offset)
                        return table[i].key;

        return NULL;
}

/* Why a type is not what its profile states, or @otherwise. */
static const char *explain_wait(const ShimTypes *t, const TypeSpec *spec, const char *otherwise) {
        const struct mdevgpu_type *judged = shim_type_find(t->sent, t->n_sent, spec->id);

        if (t->refusal.code < 0)
                return t->refusal.message;
        if (!t->waiting || !judged || judged->verdict != MDEVGPU_VERDICT_LIVE)
                return otherwise;
        if (spec->pending_manual)
                return "the driver registers it only while no vGPU exists; its profile has it wait for the next reload";

        return "the driver registers it only while no vGPU exists; done when the last one goes";
}

static void explain_missing(const ShimTypes *t, const TypeSpec *spec, TypeReport *row) {
        const struct mdevgpu_type *judged = shim_type_find(t->sent, t->n_sent, spec->id);
        const char *sentence = judged ? verdict_to_sentence(judged->verdict) : NULL;
        const char *key =
                sentence && judged->verdict != MDEVGPU_VERDICT_TOO_LARGE ? field_to_key(judged->verdict_field) : NULL;

        row->registration = REGISTRATION_REFUSED;
        if (sentence) {
                (void)snprintf(row->reason, sizeof(row->reason), "%s%s%s", sentence, key ? ": " : "", strempty(key));
                return;
        }

        if (t->waiting || t->refusal.code == 0)
                row->registration = REGISTRATION_PENDING;
        (void)text_copy(row->reason, sizeof(row->reason), explain_wait(t, spec, "not yet registered"));
}

static void fill_row(const struct mdevgpu_type *type, TypeReport *row) {
        (void)text_copy(row->name, sizeof(row->name), type->name);
        (void)text_copy(row->class, sizeof(row->class), type->type_class);
        row->vendor_id = type->id;
        row->max_instances = type->max_instances;
        row->framebuffer = type->framebuffer;
        row->heads = type->heads;
        row->max_width = type->max_width;
        row->max_height = type->max_height;
        row->frame_limit = type->frame_limit;
        row->details.reserved = type->framebuffer_reserved;
        row->details.mappable_video = type->mappable_video;
        row->details.bar1 = type->bar1_size;
        row->details.encoder = type->encoder_percent;
        row->details.ecc = tristate((type->flags & MDEVGPU_TYPE_ECC) != 0);
        row->details.multi_vgpu = tristate((type->flags & MDEVGPU_TYPE_MULTI_VGPU) != 0);
        row->details.limiter = tristate((type->flags & MDEVGPU_TYPE_FRAME_LIMITER) != 0);
        row->details.keeps_state = tristate((type->flags & MDEVGPU_TYPE_KEEP_STATE) != 0);
}

static const TypeSpec *find_spec(const TypeSpec *wanted, size_t n_wanted, uint32_t id) {
        for (size_t i = 0; i < n_wanted; i++)
                if (wanted[i].id == id)
                        return &wanted[i];

        return NULL;
}

static TypeReport *find_row(GpuReport *report, const char *id) {
        for (size_t i = 0; i < report->n_types; i++)
                if (streq(report->types[i].id, id))
                        return &report->types[i];

        return NULL;
}

void shim_type_folder(const ShimTypes *t, uint32_t id, char *buffer, size_t size) {
        (void)snprintf(buffer, size, "%s-%u", t->identity.type_prefix, id);
}

/* A type that the driver holds. Only with its folder in sysfs can vGPUs of it be made. */
static void report_held(const ShimTypes *t, const struct mdevgpu_type *type, const TypeSpec *spec, GpuReport *report) {
        char id[TYPE_ID_SIZE];
        TypeReport *row;

        shim_type_folder(t, type->id, id, sizeof(id));
        row = find_row(report, id);
        if (!row)
                return;

        fill_row(type, row);
        row->source = TYPE_SOURCE_PROFILE;
        if (!spec) {
                row->registration = REGISTRATION_RETIRED;
                row->available = 0;
                (void)text_copy(row->reason, sizeof(row->reason),
                                t->waiting ? "no profile states it any more; it goes when the last vGPU of the GPU does"
                                           : "no profile states it any more");
        } else if (!shim_type_is(type, spec)) {
                row->registration = REGISTRATION_DIFFERS;
                (void)text_copy(row->reason, sizeof(row->reason),
                                explain_wait(t, spec, "the driver holds it otherwise than the profile states it"));
        } else if (shim_type_exceeds(t, spec))
                (void)text_copy(
                        row->reason, sizeof(row->reason),
                        "its instances together need more than the GPU's framebuffer: fewer can exist at one time");
}

static int report_missing(const ShimTypes *t, const TypeSpec *spec, GpuReport *report) {
        struct mdevgpu_type type;
        char id[TYPE_ID_SIZE];
        TypeReport *row;

        shim_type_folder(t, spec->id, id, sizeof(id));
        if (find_row(report, id))
                return 0;

        row = gpu_report_add_type(report);
        if (!row)
                return -ENOMEM;

        (void)text_copy(row->id, sizeof(row->id), id);
        (void)text_copy(row->device_api, sizeof(row->device_api), "vfio-pci");
        shim_type_from_spec(spec, &type);
        fill_row(&type, row);
        row->available = 0;
        row->source = TYPE_SOURCE_PROFILE;
        explain_missing(t, spec, row);
        return 0;
}

/* Types that the driver has in sysfs and no longer in its set. */
static void report_retired(const ShimTypes *t, GpuReport *report) {
        for (size_t i = 0; i < report->n_types; i++) {
                TypeReport *row = &report->types[i];
                bool held = false;

                for (size_t k = 0; !held && k < t->n_current; k++) {
                        char id[TYPE_ID_SIZE];

                        shim_type_folder(t, t->current[k].id, id, sizeof(id));
                        held = streq(row->id, id);
                }
                if (held)
                        continue;

                row->source = TYPE_SOURCE_PROFILE;
                row->registration = REGISTRATION_RETIRED;
                row->available = 0;
                (void)text_copy(row->reason, sizeof(row->reason),
                                "no profile states it any more; it goes when the last vGPU of the GPU does");
        }
}

int shim_types_report(const ShimTypes *t, const TypeSpec *wanted, size_t n_wanted, GpuReport *report, Error *error) {
        int r;

        report->framebuffer_total = t->identity.framebuffer_total;
        report->pending_types = t->waiting || t->identity.n_retired > 0;
        (void)text_copy(report->model, sizeof(report->model), t->identity.model);
        (void)text_copy(report->driver_version, sizeof(report->driver_version), t->identity.driver_version);

        for (size_t i = 0; i < t->n_current; i++)
                report_held(t, &t->current[i], find_spec(wanted, n_wanted, t->current[i].id), report);
        report_retired(t, report);

        for (size_t i = 0; i < n_wanted; i++) {
                r = report_missing(t, &wanted[i], report);
                if (r < 0)
                        return error_set_errno(error, r, "the types cannot be reported");
        }

        return 0;
}
