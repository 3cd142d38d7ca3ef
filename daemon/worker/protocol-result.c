/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The way back: what a worker found and did. */

#include "util/text.h"
#include "worker/protocol-frame.h"

static void put_details(WireWriter *w, const TypeDetails *d) {
        wire_put_u64(w, d->reserved);
        wire_put_u64(w, d->mappable_video);
        wire_put_u64(w, d->bar1);
        wire_put_u64(w, d->host_reserved);
        wire_put_u32(w, d->encoder);
        wire_put_u32(w, d->gpu_instance);
        wire_put_u32(w, d->placements);
        wire_put_u32(w, (uint32_t)d->ecc);
        wire_put_u32(w, (uint32_t)d->multi_vgpu);
        wire_put_u32(w, (uint32_t)d->limiter);
        wire_put_u32(w, (uint32_t)d->creatable);
        wire_put_u32(w, (uint32_t)d->keeps_state);
}

static void get_details(WireReader *r, TypeDetails *d) {
        d->reserved = wire_get_u64(r);
        d->mappable_video = wire_get_u64(r);
        d->bar1 = wire_get_u64(r);
        d->host_reserved = wire_get_u64(r);
        d->encoder = wire_get_u32(r);
        d->gpu_instance = wire_get_u32(r);
        d->placements = wire_get_u32(r);
        d->ecc = (Tristate)wire_get_enum(r, TRISTATE_MAX);
        d->multi_vgpu = (Tristate)wire_get_enum(r, TRISTATE_MAX);
        d->limiter = (Tristate)wire_get_enum(r, TRISTATE_MAX);
        d->creatable = (Tristate)wire_get_enum(r, TRISTATE_MAX);
        d->keeps_state = (Tristate)wire_get_enum(r, TRISTATE_MAX);
}

static void put_type(WireWriter *w, const TypeReport *t) {
        wire_put_string(w, t->id);
        wire_put_string(w, t->name);
        wire_put_string(w, t->description);
        wire_put_string(w, t->device_api);
        wire_put_string(w, t->class);
        wire_put_u32(w, t->vendor_id);
        wire_put_u32(w, t->max_instances);
        wire_put_u32(w, t->available);
        wire_put_u32(w, (uint32_t)t->kind);
        wire_put_u64(w, t->framebuffer);
        wire_put_u32(w, t->heads);
        wire_put_u32(w, t->max_width);
        wire_put_u32(w, t->max_height);
        wire_put_u32(w, t->frame_limit);
        put_details(w, &t->details);
        wire_put_u32(w, (uint32_t)t->source);
        wire_put_u32(w, (uint32_t)t->registration);
        wire_put_string(w, t->reason);
}

static void get_type(WireReader *r, TypeReport *t) {
        wire_get_string(r, t->id, sizeof(t->id));
        wire_get_string(r, t->name, sizeof(t->name));
        wire_get_string(r, t->description, sizeof(t->description));
        wire_get_string(r, t->device_api, sizeof(t->device_api));
        wire_get_string(r, t->class, sizeof(t->class));
        t->vendor_id = wire_get_u32(r);
        t->max_instances = wire_get_u32(r);
        t->available = wire_get_u32(r);
        t->kind = (VGpuKind)wire_get_enum(r, VGPU_KIND_MAX);
        t->framebuffer = wire_get_u64(r);
        t->heads = wire_get_u32(r);
        t->max_width = wire_get_u32(r);
        t->max_height = wire_get_u32(r);
        t->frame_limit = wire_get_u32(r);
        get_details(r, &t->details);
        t->source = (TypeSource)wire_get_enum(r, TYPE_SOURCE_MAX);
        t->registration = (Registration)wire_get_enum(r, REGISTRATION_MAX);
        wire_get_string(r, t->reason, sizeof(t->reason));
        if (!text_is_name(t->id))
                r->bad = true;
}

static void put_vgpu(WireWriter *w, const VGpuReport *v) {
        wire_put_string(w, v->uuid);
        wire_put_string(w, v->type_id);
        wire_put_string(w, v->parent);
        wire_put_string(w, v->sysfs_path);
        wire_put_u32(w, (uint32_t)v->iommu_group);
        wire_put_u32(w, (uint32_t)v->kind);
        wire_put_u32(w, (uint32_t)v->use);
}

static void get_vgpu(WireReader *r, VGpuReport *v) {
        char uuid[UUID_STRING_SIZE];

        wire_get_string(r, uuid, sizeof(uuid));
        wire_get_string(r, v->type_id, sizeof(v->type_id));
        wire_get_string(r, v->parent, sizeof(v->parent));
        wire_get_string(r, v->sysfs_path, sizeof(v->sysfs_path));
        v->iommu_group = (int32_t)wire_get_u32(r);
        v->kind = (VGpuKind)wire_get_enum(r, VGPU_KIND_MAX);
        v->use = (VGpuUse)wire_get_enum(r, VGPU_USE_MAX);
        if (text_parse_uuid(uuid, v->uuid) < 0 || !text_is_name(v->type_id) || !text_is_name(v->parent) ||
            v->iommu_group < -1 || strncmp(v->sysfs_path, "/sys/", 5) != 0 || strstr(v->sysfs_path, "/../"))
                r->bad = true;
}

static void put_report(WireWriter *w, const GpuReport *report) {
        wire_put_u32(w, (uint32_t)report->state);
        wire_put_string(w, report->reason);
        wire_put_string(w, report->backend);
        wire_put_string(w, report->driver);
        wire_put_string(w, report->driver_version);
        wire_put_string(w, report->model);
        wire_put_u64(w, report->framebuffer_total);
        wire_put_u64(w, report->framebuffer_used);
        wire_put_u8(w, report->pending_types);
        wire_put_u32(w, report->num_vfs);
        wire_put_u32(w, report->max_vfs);
        wire_put_u32(w, (uint32_t)report->mixed_size);
        wire_put_u32(w, (uint32_t)report->n_types);
        for (size_t i = 0; i < report->n_types; i++)
                put_type(w, &report->types[i]);
        wire_put_u32(w, (uint32_t)report->n_vgpus);
        for (size_t i = 0; i < report->n_vgpus; i++)
                put_vgpu(w, &report->vgpus[i]);
}

static int get_report(WireReader *r, GpuReport *report) {
        size_t n;

        report->state = (GpuState)wire_get_enum(r, GPU_STATE_MAX);
        wire_get_string(r, report->reason, sizeof(report->reason));
        wire_get_string(r, report->backend, sizeof(report->backend));
        wire_get_string(r, report->driver, sizeof(report->driver));
        wire_get_string(r, report->driver_version, sizeof(report->driver_version));
        wire_get_string(r, report->model, sizeof(report->model));
        report->framebuffer_total = wire_get_u64(r);
        report->framebuffer_used = wire_get_u64(r);
        report->pending_types = wire_get_bool(r);
        report->num_vfs = wire_get_u32(r);
        report->max_vfs = wire_get_u32(r);
        report->mixed_size = (MixedSize)wire_get_enum(r, MIXED_SIZE_MAX);

        n = wire_get_count(r, REPORT_TYPES_MAX);
        for (size_t i = 0; i < n && !r->bad; i++) {
                TypeReport *type = gpu_report_add_type(report);

                if (!type)
                        return -ENOMEM;
                get_type(r, type);
        }

        n = wire_get_count(r, REPORT_VGPUS_MAX);
        for (size_t i = 0; i < n && !r->bad; i++) {
                VGpuReport *vgpu = gpu_report_add_vgpu(report);

                if (!vgpu)
                        return -ENOMEM;
                get_vgpu(r, vgpu);
        }

        return 0;
}

static void put_counts(WireWriter *w, const JobResult *result) {
        wire_put_u32(w, (uint32_t)result->n_counts);
        for (size_t i = 0; i < result->n_counts; i++) {
                wire_put_string(w, result->counts[i].id);
                wire_put_u32(w, result->counts[i].available);
        }
}

static int get_counts(WireReader *r, JobResult *result) {
        size_t n = wire_get_count(r, REPORT_TYPES_MAX);

        result->counts = calloc(MAX(n, 1U), sizeof(TypeCount));
        if (!result->counts)
                return -ENOMEM;

        result->n_counts = n;
        for (size_t i = 0; i < n; i++) {
                wire_get_string(r, result->counts[i].id, sizeof(result->counts[i].id));
                result->counts[i].available = wire_get_u32(r);
        }

        return 0;
}

static void put_users(WireWriter *w, const JobResult *result) {
        wire_put_u32(w, (uint32_t)result->n_users);
        for (size_t i = 0; i < result->n_users; i++) {
                wire_put_u32(w, (uint32_t)result->users[i].pid);
                wire_put_u32(w, result->users[i].uid);
                wire_put_string(w, result->users[i].comm);
                wire_put_string(w, result->users[i].unit);
                wire_put_string(w, result->users[i].vm);
                wire_put_u8(w, result->users[i].told);
        }
}

static int get_users(WireReader *r, JobResult *result) {
        size_t n = wire_get_count(r, REPORT_USERS_MAX);

        result->users = calloc(MAX(n, 1U), sizeof(User));
        if (!result->users)
                return -ENOMEM;

        result->n_users = n;
        for (size_t i = 0; i < n; i++) {
                result->users[i].pid = (int32_t)wire_get_u32(r);
                result->users[i].uid = wire_get_u32(r);
                wire_get_string(r, result->users[i].comm, sizeof(result->users[i].comm));
                wire_get_string(r, result->users[i].unit, sizeof(result->users[i].unit));
                wire_get_string(r, result->users[i].vm, sizeof(result->users[i].vm));
                result->users[i].told = wire_get_bool(r);
        }

        return 0;
}

static void put_facts(WireWriter *w, const HostFacts *f) {
        wire_put_u8(w, f->iommu);
        wire_put_u32(w, (uint32_t)f->firmware_iommu);
        wire_put_u8(w, f->mdev_class);
        wire_put_u8(w, f->nvidia_vgpu_module);
        wire_put_u32(w, (uint32_t)f->gvt);
        wire_put_u8(w, f->kvmgt_module);
        wire_put_u32(w, (uint32_t)f->n_apertures);
        for (size_t i = 0; i < f->n_apertures; i++) {
                wire_put_string(w, f->apertures[i].address);
                wire_put_u64(w, f->apertures[i].size);
        }
        wire_put_u8(w, f->mdevctl_rule);
        wire_put_u8(w, f->mdevctl_program);
        wire_put_string(w, f->libvirt_mdevctl);
        wire_put_u8(w, f->libvirt_mdevctl_exists);
        wire_put_u32(w, f->libvirt_blind);
        wire_put_string(w, f->callouts);
        wire_put_u32(w, f->n_callouts);
        wire_put_u8(w, f->mdev_gpu_unit);
        wire_put_u8(w, f->mdev_gpu_program);
}

static int get_facts(WireReader *r, JobResult *result) {
        HostFacts *f = calloc(1, sizeof(HostFacts));

        if (!f)
                return -ENOMEM;
        result->facts = f;

        f->iommu = wire_get_bool(r);
        f->firmware_iommu = (FirmwareIommu)wire_get_enum(r, FIRMWARE_IOMMU_MAX);
        f->mdev_class = wire_get_bool(r);
        f->nvidia_vgpu_module = wire_get_bool(r);
        f->gvt = (GvtParameter)wire_get_enum(r, GVT_PARAMETER_MAX);
        f->kvmgt_module = wire_get_bool(r);
        f->n_apertures = wire_get_count(r, FACTS_APERTURES_MAX);
        for (size_t i = 0; i < f->n_apertures && !r->bad; i++) {
                wire_get_string(r, f->apertures[i].address, sizeof(f->apertures[i].address));
                f->apertures[i].size = wire_get_u64(r);
        }
        f->mdevctl_rule = wire_get_bool(r);
        f->mdevctl_program = wire_get_bool(r);
        wire_get_string(r, f->libvirt_mdevctl, sizeof(f->libvirt_mdevctl));
        f->libvirt_mdevctl_exists = wire_get_bool(r);
        f->libvirt_blind = wire_get_u32(r);
        wire_get_string(r, f->callouts, sizeof(f->callouts));
        f->n_callouts = wire_get_u32(r);
        f->mdev_gpu_unit = wire_get_bool(r);
        f->mdev_gpu_program = wire_get_bool(r);
        return 0;
}

void protocol_put_result(WireWriter *w, uint32_t number, JobKind kind, const JobResult *result) {
        protocol_begin_frame(w, number);
        wire_put_u32(w, (uint32_t)-result->error.code);
        wire_put_string(w, result->error.message);

        if (kind == JOB_SYNC) {
                if (result->error.code == 0)
                        put_report(w, &result->report);
        } else if (kind == JOB_USAGE) {
                if (result->error.code == 0)
                        protocol_put_usage(w, &result->usage);
        } else if (kind == JOB_EXAMINE) {
                if (result->error.code == 0)
                        put_facts(w, result->facts);
        } else if (job_is_about_states(kind))
                protocol_put_state_result(w, kind, result);
        else {
                put_counts(w, result);
                put_users(w, result);
                wire_put_u8(w, result->exists);
                wire_put_u8(w, result->existed);
                if (result->exists)
                        put_vgpu(w, &result->vgpu);
                if (kind == JOB_USERS || kind == JOB_MIGRATION)
                        protocol_put_usage(w, &result->usage);
        }

        protocol_end_frame(w);
}

static int get_result_fields(WireReader *r, JobKind kind, JobResult *result) {
        int k;

        /* The kernel's errno values end at 4095 (include/linux/err.h, MAX_ERRNO). */
        result->error.code = -(int)wire_get_enum(r, 4096);
        wire_get_string(r, result->error.message, sizeof(result->error.message));

        if (kind == JOB_SYNC)
                return result->error.code == 0 ? get_report(r, &result->report) : 0;
        if (kind == JOB_USAGE)
                return result->error.code == 0 ? protocol_get_usage(r, &result->usage) : 0;
        if (kind == JOB_EXAMINE)
                return result->error.code == 0 ? get_facts(r, result) : 0;
        if (job_is_about_states(kind))
                return protocol_get_state_result(r, kind, result);

        k = get_counts(r, result);
        if (k >= 0)
                k = get_users(r, result);
        if (k < 0)
                return k;

        result->exists = wire_get_bool(r);
        result->existed = wire_get_bool(r);
        if (result->exists)
                get_vgpu(r, &result->vgpu);
        /* A create that succeeded has something to show, and nothing else has. */
        if (kind == JOB_CREATE ? result->error.code == 0 && !result->exists : result->exists)
                r->bad = true;
        return kind == JOB_USERS || kind == JOB_MIGRATION ? protocol_get_usage(r, &result->usage) : 0;
}

int protocol_get_result(const uint8_t *data, size_t size, JobKind kind, JobResult *ret_result) {
        WireReader r = { .data = data, .size = size };
        int k;

        job_result_init(ret_result);
        k = get_result_fields(&r, kind, ret_result);
        if (k >= 0)
                k = wire_reader_finish(&r);
        if (k < 0)
                job_result_done(ret_result);

        return k;
}

void protocol_put_event(WireWriter *w, const WorkerEvent *event) {
        protocol_begin_frame(w, PROTOCOL_EVENT);
        wire_put_u32(w, (uint32_t)event->kind);
        wire_put_string(w, event->uuid);
        wire_put_u32(w, (uint32_t)event->use);
        wire_put_u32(w, (uint32_t)event->pid);
        wire_put_u32(w, event->code);
        wire_put_string(w, event->text);
        if (event->kind == WORKER_EVENT_PROGRESS)
                protocol_put_progress(w, &event->progress);
        protocol_end_frame(w);
}

int protocol_get_event(const uint8_t *data, size_t size, WorkerEvent *ret_event) {
        WireReader r = { .data = data, .size = size };
        char uuid[UUID_STRING_SIZE];
        WorkerEvent event = {};
        int k;

        event.kind = (WorkerEventKind)wire_get_enum(&r, WORKER_EVENT_KIND_MAX);
        wire_get_string(&r, uuid, sizeof(uuid));
        event.use = (VGpuUse)wire_get_enum(&r, VGPU_USE_MAX);
        event.pid = (int32_t)wire_get_u32(&r);
        event.code = wire_get_u32(&r);
        wire_get_string(&r, event.text, sizeof(event.text));
        if (event.kind == WORKER_EVENT_PROGRESS)
                protocol_get_progress(&r, &event.progress);
        k = wire_reader_finish(&r);
        if (k < 0)
                return k;
        if ((uuid[0] != '\0' || event.kind == WORKER_EVENT_USE) && text_parse_uuid(uuid, event.uuid) < 0)
                return -EBADMSG;

        *ret_event = event;
        return 0;
}
