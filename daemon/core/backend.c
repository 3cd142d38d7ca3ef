/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "core/backend.h"
#include "core/image-header.h"

void gpu_report_init(GpuReport *report) {
        *report = (GpuReport){
                .state = GPU_PROBING,
                .framebuffer_total = UNKNOWN_U64,
                .framebuffer_used = UNKNOWN_U64,
        };
}

void gpu_report_done(GpuReport *report) {
        free(report->types);
        free(report->vgpus);
        gpu_report_init(report);
}

/* Room for one more element in an array that grows by doubling: its capacity is the next power of two of n. */
static void *array_extend(void *array, size_t n, size_t max, size_t size) {
        if (n >= max)
                return NULL;
        if ((n & (n - 1)) != 0)
                return array;

        return reallocarray(array, n > 0 ? n * 2 : 1, size);
}

void type_report_init(TypeReport *type) {
        *type = (TypeReport){
                .vendor_id = UNKNOWN_U32,
                .max_instances = UNKNOWN_U32,
                .available = UNKNOWN_U32,
                .framebuffer = UNKNOWN_U64,
                .heads = UNKNOWN_U32,
                .max_width = UNKNOWN_U32,
                .max_height = UNKNOWN_U32,
                .frame_limit = UNKNOWN_U32,
                .details = {
                        .reserved = UNKNOWN_U64,
                        .mappable_video = UNKNOWN_U64,
                        .bar1 = UNKNOWN_U64,
                        .host_reserved = UNKNOWN_U64,
                        .encoder = UNKNOWN_U32,
                        .gpu_instance = UNKNOWN_U32,
                        .placements = UNKNOWN_U32,
                },
        };
}

TypeReport *gpu_report_add_type(GpuReport *report) {
        TypeReport *types, *type;

        types = array_extend(report->types, report->n_types, REPORT_TYPES_MAX, sizeof(TypeReport));
        if (!types)
                return NULL;

        report->types = types;
        type = &types[report->n_types++];
        type_report_init(type);
        return type;
}

VGpuReport *gpu_report_add_vgpu(GpuReport *report) {
        VGpuReport *vgpus, *vgpu;

        vgpus = array_extend(report->vgpus, report->n_vgpus, REPORT_VGPUS_MAX, sizeof(VGpuReport));
        if (!vgpus)
                return NULL;

        report->vgpus = vgpus;
        vgpu = &vgpus[report->n_vgpus++];
        *vgpu = (VGpuReport){ .iommu_group = -1 };
        return vgpu;
}

void usage_report_init(UsageReport *report) {
        *report = (UsageReport){ .framebuffer_total = UNKNOWN_U64, .framebuffer_used = UNKNOWN_U64 };
}

void usage_report_done(UsageReport *report) {
        for (size_t i = 0; i < report->n_vgpus; i++)
                facts_done(&report->vgpus[i].facts);
        free(report->vgpus);
        facts_done(&report->facts);
        usage_report_init(report);
}

SavedState *job_result_add_saved(JobResult *result) {
        SavedState *saved;

        saved = array_extend(result->saved, result->n_saved, SAVED_STATES_MAX, sizeof(SavedState));
        if (!saved)
                return NULL;

        result->saved = saved;
        saved = &result->saved[result->n_saved++];
        *saved = (SavedState){};
        return saved;
}

VGpuUsage *usage_report_add_vgpu(UsageReport *report) {
        VGpuUsage *vgpus, *vgpu;

        vgpus = array_extend(report->vgpus, report->n_vgpus, REPORT_VGPUS_MAX, sizeof(VGpuUsage));
        if (!vgpus)
                return NULL;

        report->vgpus = vgpus;
        vgpu = &vgpus[report->n_vgpus++];
        *vgpu = (VGpuUsage){};
        return vgpu;
}

bool job_is_transfer(JobKind kind) {
        return kind == JOB_SAVE_STATE || kind == JOB_OPEN_STATE || kind == JOB_RESTORE_STATE ||
               kind == JOB_SETTLE_STATE;
}

bool job_is_about_states(JobKind kind) {
        return job_is_transfer(kind) || kind == JOB_LIST_STATES || kind == JOB_DELETE_STATE;
}

bool job_is_about_no_vgpu(JobKind kind) {
        return kind == JOB_SYNC || kind == JOB_EXAMINE || kind == JOB_ENABLE_VFS || kind == JOB_SET_MIXED ||
                kind == JOB_USAGE || kind == JOB_LIST_STATES;
}

void job_result_init(JobResult *result) {
        *result = (JobResult){ .progress = { .total = UNKNOWN_U64, .dirty = UNKNOWN_U64 } };
        gpu_report_init(&result->report);
        usage_report_init(&result->usage);
}

void job_result_done(JobResult *result) {
        gpu_report_done(&result->report);
        free(result->counts);
        free(result->users);
        usage_report_done(&result->usage);
        free(result->facts);
        if (result->header)
                image_header_done(result->header);
        free(result->header);
        free(result->saved);
        job_result_init(result);
}
