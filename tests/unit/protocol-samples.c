/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "util/text.h"
#include "protocol-samples.h"

void sample_fill(char *text, size_t size) {
        memset(text, 'x', size - 1);
        text[size - 1] = '\0';
}

TypeSpec sample_spec(uint32_t id) {
        TypeSpec s = {
                .id = id,
                .max_instances = UINT32_MAX,
                .framebuffer = UINT64_MAX,
                .reserved = UINT64_MAX - 1,
                .mappable_video = UINT64_MAX - 2,
                .bar1 = UINT64_MAX - 3,
                .vdev_id = UINT64_MAX - 4,
                .pdev_id = UINT64_MAX - 5,
                .encoder_percent = UINT32_MAX - 1,
                .heads = UINT32_MAX - 2,
                .max_width = UINT32_MAX - 3,
                .max_height = UINT32_MAX - 4,
                .frame_limit = UINT32_MAX - 5,
                .limiter = true,
                .multi_vgpu = true,
                .keep_state = true,
                .strict = true,
                .pending_manual = true,
                .nvidia_newer = true,
                .nvidia_legacy = true,
                .mixed_size = TRISTATE_YES,
        };

        sample_fill(s.name, sizeof(s.name));
        sample_fill(s.nvidia_license, sizeof(s.nvidia_license));
        sample_fill(s.nvidia_signature, sizeof(s.nvidia_signature));
        sample_fill(s.class, sizeof(s.class));
        return s;
}

const uint8_t *sample_frame_body(const WireWriter *w, uint32_t number, size_t *ret_size) {
        uint32_t header[2];

        g_assert_cmpint(w->error, ==, 0);
        g_assert_cmpuint(w->size, >=, PROTOCOL_HEADER_SIZE);
        memcpy(header, w->data, sizeof(header));
        g_assert_cmpuint(header[0], ==, w->size - sizeof(uint32_t));
        g_assert_cmpuint(header[1], ==, number);

        *ret_size = w->size - PROTOCOL_HEADER_SIZE;
        return w->data + PROTOCOL_HEADER_SIZE;
}

static void fill_type(TypeReport *t, uint32_t i) {
        sample_fill(t->id, sizeof(t->id));
        sample_fill(t->name, sizeof(t->name));
        sample_fill(t->description, sizeof(t->description));
        sample_fill(t->device_api, sizeof(t->device_api));
        sample_fill(t->class, sizeof(t->class));
        sample_fill(t->reason, sizeof(t->reason));
        t->vendor_id = i;
        t->max_instances = UINT32_MAX - 1;
        t->available = 0;
        t->framebuffer = UINT64_MAX - 1;
        t->heads = 1;
        t->max_width = 2;
        t->max_height = 3;
        t->frame_limit = 4;
        t->source = TYPE_SOURCE_MAX - 1;
        t->registration = REGISTRATION_MAX - 1;
}

void sample_vgpu(VGpuReport *v) {
        (void)text_copy(v->uuid, sizeof(v->uuid), UUID);
        sample_fill(v->type_id, sizeof(v->type_id));
        sample_fill(v->parent, sizeof(v->parent));
        sample_fill(v->sysfs_path, sizeof(v->sysfs_path));
        memcpy(v->sysfs_path, "/sys/", strlen("/sys/"));
        v->iommu_group = INT32_MAX;
        v->kind = VGPU_KIND_MAX - 1;
}

void sample_report(GpuReport *report, size_t n_types, size_t n_vgpus) {
        report->state = GPU_STATE_MAX - 1;
        sample_fill(report->reason, sizeof(report->reason));
        sample_fill(report->backend, sizeof(report->backend));
        sample_fill(report->driver, sizeof(report->driver));
        sample_fill(report->driver_version, sizeof(report->driver_version));
        sample_fill(report->model, sizeof(report->model));
        report->framebuffer_total = UINT64_MAX - 1;
        report->pending_types = true;
        for (size_t i = 0; i < n_types; i++)
                fill_type(gpu_report_add_type(report), (uint32_t)i);
        for (size_t i = 0; i < n_vgpus; i++)
                sample_vgpu(gpu_report_add_vgpu(report));
}

void sample_lists(JobResult *result, size_t n_counts, size_t n_users) {
        result->counts = g_new0(TypeCount, n_counts);
        result->n_counts = n_counts;
        for (size_t i = 0; i < n_counts; i++) {
                sample_fill(result->counts[i].id, sizeof(result->counts[i].id));
                result->counts[i].available = UINT32_MAX - (uint32_t)i;
        }

        result->users = g_new0(User, n_users);
        result->n_users = n_users;
        for (size_t i = 0; i < n_users; i++) {
                result->users[i] = (User){ .pid = INT32_MAX, .uid = UINT32_MAX };
                sample_fill(result->users[i].comm, sizeof(result->users[i].comm));
                sample_fill(result->users[i].unit, sizeof(result->users[i].unit));
                sample_fill(result->users[i].vm, sizeof(result->users[i].vm));
        }
}

HostFacts *sample_facts(void) {
        HostFacts *facts = g_new0(HostFacts, 1);

        *facts = (HostFacts){
                .iommu = true,
                .firmware_iommu = FIRMWARE_IOMMU_IVRS,
                .mdev_class = true,
                .nvidia_vgpu_module = true,
                .gvt = GVT_ON,
                .kvmgt_module = true,
                .n_apertures = FACTS_APERTURES_MAX,
                .mdevctl_rule = true,
                .mdevctl_program = true,
                .libvirt_mdevctl_exists = true,
                .libvirt_blind = UINT32_MAX,
                .n_callouts = UINT32_MAX,
                .mdev_gpu_unit = true,
                .mdev_gpu_program = true,
        };
        for (size_t i = 0; i < FACTS_APERTURES_MAX; i++) {
                sample_fill(facts->apertures[i].address, sizeof(facts->apertures[i].address));
                facts->apertures[i].size = UINT64_MAX - i;
        }
        sample_fill(facts->libvirt_mdevctl, sizeof(facts->libvirt_mdevctl));
        sample_fill(facts->callouts, sizeof(facts->callouts));
        return facts;
}

ImageHeader *sample_header(void) {
        ImageHeader *header = g_malloc0(sizeof(ImageHeader));

        image_header_init(header);
        (void)text_copy(header->uuid, sizeof(header->uuid), UUID);
        (void)text_copy(header->backend, sizeof(header->backend), "shim");
        (void)text_copy(header->driver, sizeof(header->driver), "mdevgpu_ref");
        (void)text_copy(header->type.id, sizeof(header->type.id), "mdevgpu_ref-7");
        g_assert_cmpint(facts_add_text(&header->facts, "driver", "mdevgpu_ref"), ==, 0);
        return header;
}

void sample_saved(JobResult *result) {
        SavedState *saved = job_result_add_saved(result);

        (void)text_copy(saved->name, sizeof(saved->name), "web1");
        (void)text_copy(saved->uuid, sizeof(saved->uuid), UUID);
        saved->size = 1 << 20;
}
