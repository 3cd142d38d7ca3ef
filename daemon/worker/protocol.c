/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/image-header.h"
#include "util/text.h"
#include "worker/protocol-frame.h"

void protocol_begin_frame(WireWriter *w, uint32_t number) {
        wire_put_u32(w, 0);
        wire_put_u32(w, number);
}

void protocol_end_frame(WireWriter *w) {
        uint32_t length;

        if (w->error < 0)
                return;

        length = (uint32_t)(w->size - sizeof(uint32_t));
        memcpy(w->data, &length, sizeof(length));
}

static void put_spec(WireWriter *w, const TypeSpec *s) {
        wire_put_u32(w, s->id);
        wire_put_string(w, s->name);
        wire_put_string(w, s->class);
        wire_put_u32(w, s->max_instances);
        wire_put_u64(w, s->framebuffer);
        wire_put_u64(w, s->reserved);
        wire_put_u64(w, s->mappable_video);
        wire_put_u64(w, s->bar1);
        wire_put_u64(w, s->vdev_id);
        wire_put_u64(w, s->pdev_id);
        wire_put_u32(w, s->encoder_percent);
        wire_put_u32(w, s->heads);
        wire_put_u32(w, s->max_width);
        wire_put_u32(w, s->max_height);
        wire_put_u32(w, s->frame_limit);
        wire_put_u8(w, s->limiter);
        wire_put_u8(w, s->ecc);
        wire_put_u8(w, s->multi_vgpu);
        wire_put_u8(w, s->keep_state);
        wire_put_u8(w, s->strict);
        wire_put_u8(w, s->pending_manual);
        wire_put_string(w, s->nvidia_license);
        wire_put_string(w, s->nvidia_signature);
        wire_put_u8(w, s->nvidia_newer);
        wire_put_u32(w, s->xe_quantum_ms);
        wire_put_u32(w, s->xe_timeout_us);
        wire_put_u32(w, (uint32_t)s->xe_priority);
        wire_put_u8(w, s->nvidia_legacy);
        wire_put_u32(w, (uint32_t)s->mixed_size);
}

static void get_spec(WireReader *r, TypeSpec *s) {
        s->id = wire_get_u32(r);
        wire_get_string(r, s->name, sizeof(s->name));
        wire_get_string(r, s->class, sizeof(s->class));
        s->max_instances = wire_get_u32(r);
        s->framebuffer = wire_get_u64(r);
        s->reserved = wire_get_u64(r);
        s->mappable_video = wire_get_u64(r);
        s->bar1 = wire_get_u64(r);
        s->vdev_id = wire_get_u64(r);
        s->pdev_id = wire_get_u64(r);
        s->encoder_percent = wire_get_u32(r);
        s->heads = wire_get_u32(r);
        s->max_width = wire_get_u32(r);
        s->max_height = wire_get_u32(r);
        s->frame_limit = wire_get_u32(r);
        s->limiter = wire_get_bool(r);
        s->ecc = wire_get_bool(r);
        s->multi_vgpu = wire_get_bool(r);
        s->keep_state = wire_get_bool(r);
        s->strict = wire_get_bool(r);
        s->pending_manual = wire_get_bool(r);
        wire_get_string(r, s->nvidia_license, sizeof(s->nvidia_license));
        wire_get_string(r, s->nvidia_signature, sizeof(s->nvidia_signature));
        s->nvidia_newer = wire_get_bool(r);
        s->xe_quantum_ms = wire_get_u32(r);
        s->xe_timeout_us = wire_get_u32(r);
        s->xe_priority = (XePriority)wire_get_enum(r, XE_PRIORITY_MAX);
        s->nvidia_legacy = wire_get_bool(r);
        s->mixed_size = (Tristate)wire_get_enum(r, TRISTATE_MAX);
}

static void put_attributes(WireWriter *w, const Attributes *attributes) {
        wire_put_u32(w, attributes ? (uint32_t)attributes->n : 0);
        for (size_t i = 0; attributes && i < attributes->n; i++) {
                wire_put_string(w, attributes->items[i].name);
                wire_put_string(w, attributes->items[i].value);
        }
}

static void put_vgpu_job(WireWriter *w, const Job *job) {
        wire_put_string(w, strempty(job->uuid));
        wire_put_string(w, strempty(job->type_id));
        wire_put_string(w, strempty(job->parent));
        wire_put_u8(w, job->adopt);
        wire_put_u8(w, job->take_display);
        put_attributes(w, job->attributes);
        wire_put_u8(w, job->unless_used);
        wire_put_u32(w, (uint32_t)job->iommu_group);
        wire_put_u8(w, job->probe);
        wire_put_u32(w, (uint32_t)job->action);
        wire_put_u32(w, (uint32_t)job->vgpu_kind);
        wire_put_u8(w, job->autostart);
        wire_put_u8(w, job->managed);
        wire_put_string(w, strempty(job->label));
        wire_put_string(w, strempty(job->owner));
}

void protocol_put_job(WireWriter *w, uint32_t number, const Job *job) {
        protocol_begin_frame(w, number);
        wire_put_u32(w, (uint32_t)job->kind);

        if (job->kind == JOB_SYNC) {
                wire_put_u8(w, job->may_register);
                wire_put_u8(w, job->apply_pending);
                wire_put_u32(w, (uint32_t)job->n_types);
                for (size_t i = 0; i < job->n_types; i++)
                        put_spec(w, &job->types[i]);
        } else if (job->kind == JOB_ENABLE_VFS) {
                wire_put_u32(w, job->n_vfs);
                wire_put_string(w, strempty(job->sriov_manage));
                put_attributes(w, job->attributes);
        } else if (job->kind == JOB_SET_MIXED)
                wire_put_u8(w, job->mixed_size);
        else if (job_is_about_states(job->kind))
                protocol_put_state_job(w, job);
        else if (!job_is_about_no_vgpu(job->kind))
                put_vgpu_job(w, job);

        protocol_end_frame(w);
}

void decoded_job_done(DecodedJob *d) {
        free(d->types);
        attributes_done(&d->attributes);
        if (d->header)
                image_header_done(d->header);
        free(d->header);
        *d = (DecodedJob){};
}

static int get_types(WireReader *r, DecodedJob *d) {
        size_t n = wire_get_count(r, REPORT_TYPES_MAX);

        d->types = calloc(MAX(n, 1U), sizeof(TypeSpec));
        if (!d->types)
                return -ENOMEM;

        for (size_t i = 0; i < n; i++)
                get_spec(r, &d->types[i]);

        d->job.types = d->types;
        d->job.n_types = n;
        return 0;
}

static void get_attributes(WireReader *r, Attributes *attributes) {
        size_t n = wire_get_count(r, ATTRIBUTES_MAX);

        for (size_t i = 0; i < n && !r->bad; i++) {
                char name[ATTRIBUTE_NAME_SIZE], value[ATTRIBUTE_VALUE_SIZE];

                wire_get_string(r, name, sizeof(name));
                wire_get_string(r, value, sizeof(value));
                if (!r->bad && attributes_add(attributes, name, value, NULL) < 0)
                        r->bad = true;
        }
}

/* Names become parts of paths: only a UUID and names of one component get through. */
static bool names_are_good(const DecodedJob *d) {
        switch (d->job.kind) {
        case JOB_CREATE:
                return text_is_name(d->type_id) && (d->parent[0] == '\0' || text_is_name(d->parent));
        case JOB_STORE:
                if (d->job.action == STORE_NOTE || d->job.action == STORE_FORGET || d->job.action == STORE_CLEAN)
                        return true;
                return text_is_name(d->parent) && (d->job.action == STORE_UNDEFINE ||
                                                   d->job.action == STORE_UNDEFINE_ONE || text_is_name(d->type_id));
        default:
                return true;
        }
}

/* To clean is of no vGPU. */
static bool uuid_is_good(const char *uuid, DecodedJob *d) {
        if (d->job.kind == JOB_STORE && d->job.action == STORE_CLEAN)
                return uuid[0] == '\0';

        return text_parse_uuid(uuid, d->uuid) >= 0;
}

static void get_vgpu_job(WireReader *r, DecodedJob *d) {
        char uuid[UUID_STRING_SIZE];

        wire_get_string(r, uuid, sizeof(uuid));
        wire_get_string(r, d->type_id, sizeof(d->type_id));
        wire_get_string(r, d->parent, sizeof(d->parent));
        d->job.adopt = wire_get_bool(r);
        d->job.take_display = wire_get_bool(r);
        get_attributes(r, &d->attributes);
        d->job.unless_used = wire_get_bool(r);
        d->job.iommu_group = (int32_t)wire_get_u32(r);
        d->job.probe = wire_get_bool(r);
        d->job.action = (StoreAction)wire_get_enum(r, STORE_ACTION_MAX);
        d->job.vgpu_kind = (VGpuKind)wire_get_enum(r, VGPU_KIND_MAX);
        d->job.autostart = wire_get_bool(r);
        d->job.managed = wire_get_bool(r);
        wire_get_string(r, d->label, sizeof(d->label));
        wire_get_string(r, d->owner, sizeof(d->owner));
        if (!uuid_is_good(uuid, d) || !names_are_good(d))
                r->bad = true;

        d->job.uuid = d->uuid;
        d->job.type_id = d->type_id;
        d->job.parent = d->parent;
        d->job.attributes = &d->attributes;
        d->job.label = d->label;
        d->job.owner = d->owner;
}

int protocol_get_job(const uint8_t *data, size_t size, DecodedJob *ret_job) {
        WireReader r = { .data = data, .size = size };
        int k;

        *ret_job = (DecodedJob){};
        ret_job->job.kind = (JobKind)wire_get_enum(&r, JOB_KIND_MAX);
        if (ret_job->job.kind == JOB_SYNC) {
                ret_job->job.may_register = wire_get_bool(&r);
                ret_job->job.apply_pending = wire_get_bool(&r);
                k = get_types(&r, ret_job);
                if (k < 0) {
                        decoded_job_done(ret_job);
                        return k;
                }
        } else if (ret_job->job.kind == JOB_ENABLE_VFS) {
                ret_job->job.n_vfs = wire_get_u32(&r);
                wire_get_string(&r, ret_job->program, sizeof(ret_job->program));
                ret_job->job.sriov_manage = ret_job->program;
                get_attributes(&r, &ret_job->attributes);
                ret_job->job.attributes = &ret_job->attributes;
        } else if (ret_job->job.kind == JOB_SET_MIXED)
                ret_job->job.mixed_size = wire_get_bool(&r);
        else if (job_is_about_states(ret_job->job.kind)) {
                k = protocol_get_state_job(&r, ret_job);
                if (k < 0) {
                        decoded_job_done(ret_job);
                        return k;
                }
        } else if (!job_is_about_no_vgpu(ret_job->job.kind))
                get_vgpu_job(&r, ret_job);

        k = wire_reader_finish(&r);
        if (k < 0)
                decoded_job_done(ret_job);
        return k;
}
