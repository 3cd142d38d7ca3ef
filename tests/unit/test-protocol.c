/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Jobs and results across the wire: what goes in comes out, at every bound; what a peer has spoiled is refused, or is
 * within every bound that the model relies on.
 */

#include "util/text.h"
#include "core/image-header.h"
#include "worker/protocol.h"

#include <glib.h>

#define UUID "1b4e28ba-2fa1-4d2e-883f-0016d3cca427"

/* A text that fills a field of this size. */
static void fill(char *text, size_t size) {
        memset(text, 'x', size - 1);
        text[size - 1] = '\0';
}

static TypeSpec largest_spec(uint32_t id) {
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

        fill(s.name, sizeof(s.name));
        fill(s.nvidia_license, sizeof(s.nvidia_license));
        fill(s.nvidia_signature, sizeof(s.nvidia_signature));
        fill(s.class, sizeof(s.class));
        return s;
}

static void assert_spec_equal(const TypeSpec *a, const TypeSpec *b) {
        g_assert_cmpuint(a->id, ==, b->id);
        g_assert_cmpstr(a->name, ==, b->name);
        g_assert_cmpstr(a->class, ==, b->class);
        g_assert_cmpuint(a->max_instances, ==, b->max_instances);
        g_assert_cmpuint(a->framebuffer, ==, b->framebuffer);
        g_assert_cmpuint(a->reserved, ==, b->reserved);
        g_assert_cmpuint(a->mappable_video, ==, b->mappable_video);
        g_assert_cmpuint(a->bar1, ==, b->bar1);
        g_assert_cmpuint(a->vdev_id, ==, b->vdev_id);
        g_assert_cmpuint(a->pdev_id, ==, b->pdev_id);
        g_assert_cmpuint(a->encoder_percent, ==, b->encoder_percent);
        g_assert_cmpuint(a->heads, ==, b->heads);
        g_assert_cmpuint(a->max_width, ==, b->max_width);
        g_assert_cmpuint(a->max_height, ==, b->max_height);
        g_assert_cmpuint(a->frame_limit, ==, b->frame_limit);
        g_assert_cmpint(a->limiter, ==, b->limiter);
        g_assert_cmpint(a->ecc, ==, b->ecc);
        g_assert_cmpint(a->multi_vgpu, ==, b->multi_vgpu);
        g_assert_cmpint(a->keep_state, ==, b->keep_state);
        g_assert_cmpint(a->strict, ==, b->strict);
        g_assert_cmpint(a->pending_manual, ==, b->pending_manual);
        g_assert_cmpstr(a->nvidia_license, ==, b->nvidia_license);
        g_assert_cmpstr(a->nvidia_signature, ==, b->nvidia_signature);
        g_assert_cmpint(a->nvidia_newer, ==, b->nvidia_newer);
        g_assert_cmpint(a->nvidia_legacy, ==, b->nvidia_legacy);
        g_assert_cmpint(a->mixed_size, ==, b->mixed_size);
}

/* The body of a frame, once its header was found right. */
static const uint8_t *frame_body(const WireWriter *w, uint32_t number, size_t *ret_size) {
        uint32_t header[2];

        g_assert_cmpint(w->error, ==, 0);
        g_assert_cmpuint(w->size, >=, PROTOCOL_HEADER_SIZE);
        memcpy(header, w->data, sizeof(header));
        g_assert_cmpuint(header[0], ==, w->size - sizeof(uint32_t));
        g_assert_cmpuint(header[1], ==, number);

        *ret_size = w->size - PROTOCOL_HEADER_SIZE;
        return w->data + PROTOCOL_HEADER_SIZE;
}

static void assert_job_survives(const Job *job) {
        const uint8_t *body;
        DecodedJob d;
        WireWriter w = {};
        size_t size;

        protocol_put_job(&w, 4711, job);
        body = frame_body(&w, 4711, &size);
        g_assert_cmpint(protocol_get_job(body, size, &d), ==, 0);

        g_assert_cmpint(d.job.kind, ==, job->kind);
        g_assert_cmpint(d.job.may_register, ==, job->may_register);
        g_assert_cmpint(d.job.apply_pending, ==, job->apply_pending);
        g_assert_cmpuint(d.job.n_types, ==, job->n_types);
        for (size_t i = 0; i < job->n_types; i++)
                assert_spec_equal(&d.job.types[i], &job->types[i]);
        if (job->kind == JOB_SET_MIXED)
                g_assert_cmpint(d.job.mixed_size, ==, job->mixed_size);
        else if (job->kind == JOB_ENABLE_VFS)
                g_assert_cmpuint(d.job.n_vfs, ==, job->n_vfs);
        else if (job->kind != JOB_SYNC && job->kind != JOB_EXAMINE) {
                g_assert_cmpint(d.job.take_display, ==, job->take_display);
                g_assert_cmpint(d.job.vgpu_kind, ==, job->vgpu_kind);
                g_assert_cmpstr(d.job.uuid, ==, job->uuid);
                g_assert_cmpstr(d.job.type_id, ==, strempty(job->type_id));
                g_assert_cmpstr(d.job.parent, ==, strempty(job->parent));
                g_assert_cmpstr(d.job.label, ==, strempty(job->label));
                g_assert_cmpstr(d.job.owner, ==, strempty(job->owner));
                g_assert_cmpint(d.job.adopt, ==, job->adopt);
                g_assert_cmpint(d.job.iommu_group, ==, job->iommu_group);
                g_assert_cmpint(d.job.probe, ==, job->probe);
                g_assert_cmpint(d.job.unless_used, ==, job->unless_used);
                g_assert_cmpint(d.job.action, ==, job->action);
                g_assert_cmpint(d.job.autostart, ==, job->autostart);
                g_assert_cmpint(d.job.managed, ==, job->managed);
                g_assert_true(attributes_equal(d.job.attributes, job->attributes ?: &(Attributes){}));
        }

        decoded_job_done(&d);
        wire_writer_done(&w);
}

static void test_jobs(void) {
        g_autofree TypeSpec *types = g_new0(TypeSpec, REPORT_TYPES_MAX);
        char type_id[TYPE_ID_SIZE], value[ATTRIBUTE_VALUE_SIZE];
        Attributes attributes = {};
        TypeSpec smallest = {};

        for (uint32_t i = 0; i < REPORT_TYPES_MAX; i++)
                types[i] = largest_spec(UINT32_MAX - i);
        fill(type_id, sizeof(type_id));
        fill(value, sizeof(value));

        assert_job_survives(&(Job){ .kind = JOB_SYNC });
        assert_job_survives(&(Job){ .kind = JOB_SYNC, .apply_pending = true });
        assert_job_survives(&(Job){ .kind = JOB_SYNC, .may_register = true, .types = &smallest, .n_types = 1 });
        assert_job_survives(
                &(Job){ .kind = JOB_SYNC, .may_register = true, .types = types, .n_types = REPORT_TYPES_MAX });
        assert_job_survives(&(Job){ .kind = JOB_CREATE, .uuid = UUID, .type_id = type_id });
        assert_job_survives(&(Job){ .kind = JOB_ENABLE_VFS, .n_vfs = 7 });
        assert_job_survives(&(Job){ .kind = JOB_SET_MIXED, .mixed_size = true });
        assert_job_survives(&(Job){ .kind = JOB_CREATE, .uuid = UUID, .type_id = "t", .take_display = true });
        assert_job_survives(
                &(Job){ .kind = JOB_STORE, .uuid = UUID, .type_id = "t", .parent = "p", .vgpu_kind = VGPU_WHOLE });
        assert_job_survives(&(Job){ .kind = JOB_REMOVE, .uuid = UUID });
        assert_job_survives(&(Job){ .kind = JOB_USERS, .uuid = UUID, .iommu_group = -1 });
        assert_job_survives(&(Job){ .kind = JOB_MIGRATION, .uuid = UUID, .iommu_group = -1, .probe = true });
        assert_job_survives(&(Job){ .kind = JOB_EXAMINE });

        for (size_t i = 0; i < ATTRIBUTES_MAX; i++)
                g_assert_cmpint(attributes_add(&attributes, "name", value, NULL), ==, 0);
        assert_job_survives(&(Job){ .kind = JOB_CREATE,
                                    .uuid = UUID,
                                    .type_id = type_id,
                                    .parent = "0000:41:00.4",
                                    .adopt = true,
                                    .attributes = &attributes });
        assert_job_survives(&(Job){ .kind = JOB_CONFIGURE, .uuid = UUID, .attributes = &attributes });
        assert_job_survives(&(Job){ .kind = JOB_CONFIGURE, .uuid = UUID, .unless_used = true });
        assert_job_survives(&(Job){ .kind = JOB_STORE,
                                    .uuid = UUID,
                                    .type_id = type_id,
                                    .parent = "0000:41:00.4",
                                    .attributes = &attributes,
                                    .action = STORE_UPDATE,
                                    .autostart = true,
                                    .managed = true,
                                    .label = "web1",
                                    .owner = "1000:27,4242" });
        assert_job_survives(&(Job){ .kind = JOB_STORE, .uuid = UUID, .parent = "mtty", .action = STORE_UNDEFINE });
        assert_job_survives(&(Job){ .kind = JOB_STORE, .uuid = UUID, .action = STORE_FORGET });
        assert_job_survives(&(Job){ .kind = JOB_STORE, .uuid = "", .action = STORE_CLEAN });
        attributes_done(&attributes);
}

/* Names become parts of paths in the worker. */
static void test_job_names(void) {
        static const struct {
                JobKind kind;
                const char *uuid, *type_id, *parent;
        } bad[] = {
                { JOB_CREATE, UUID, "" },
                { JOB_CREATE, UUID, ".." },
                { JOB_CREATE, UUID, "../../x" },
                { JOB_CREATE, UUID, "a/b" },
                { JOB_CREATE, UUID, "a\nb" },
                { JOB_CREATE, "..", "nvidia-1" },
                { JOB_CREATE, "", "nvidia-1" },
                { JOB_REMOVE, "", "" },
                { JOB_REMOVE, "../x", "" },
                { JOB_REMOVE, UUID "/../x", "" },
                { JOB_USERS, "", "" },
                { JOB_MIGRATION, "../x", "" },
                { JOB_CREATE, UUID, "nvidia-1", ".." },
                { JOB_CREATE, UUID, "nvidia-1", "a/b" },
                { JOB_STORE, UUID, "nvidia-1", "" },
                { JOB_STORE, UUID, "nvidia-1", "../x" },
                { JOB_STORE, UUID, "", "mtty" },
                { JOB_STORE, "..", "nvidia-1", "mtty" },
        };

        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                const uint8_t *body;
                WireWriter w = {};
                DecodedJob d;
                size_t size;

                protocol_put_job(&w, 0,
                                 &(Job){ .kind = bad[i].kind,
                                         .uuid = bad[i].uuid,
                                         .type_id = bad[i].type_id,
                                         .parent = bad[i].parent });
                body = frame_body(&w, 0, &size);
                g_assert_cmpint(protocol_get_job(body, size, &d), ==, -EBADMSG);
                wire_writer_done(&w);
        }
}

static void fill_type(TypeReport *t, uint32_t i) {
        fill(t->id, sizeof(t->id));
        fill(t->name, sizeof(t->name));
        fill(t->description, sizeof(t->description));
        fill(t->device_api, sizeof(t->device_api));
        fill(t->class, sizeof(t->class));
        fill(t->reason, sizeof(t->reason));
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

static void fill_vgpu(VGpuReport *v) {
        (void)text_copy(v->uuid, sizeof(v->uuid), UUID);
        fill(v->type_id, sizeof(v->type_id));
        fill(v->parent, sizeof(v->parent));
        fill(v->sysfs_path, sizeof(v->sysfs_path));
        memcpy(v->sysfs_path, "/sys/", strlen("/sys/"));
        v->iommu_group = INT32_MAX;
        v->kind = VGPU_KIND_MAX - 1;
}

static void fill_report(GpuReport *report, size_t n_types, size_t n_vgpus) {
        report->state = GPU_STATE_MAX - 1;
        fill(report->reason, sizeof(report->reason));
        fill(report->backend, sizeof(report->backend));
        fill(report->driver, sizeof(report->driver));
        fill(report->driver_version, sizeof(report->driver_version));
        fill(report->model, sizeof(report->model));
        report->framebuffer_total = UINT64_MAX - 1;
        report->pending_types = true;
        for (size_t i = 0; i < n_types; i++)
                fill_type(gpu_report_add_type(report), (uint32_t)i);
        for (size_t i = 0; i < n_vgpus; i++)
                fill_vgpu(gpu_report_add_vgpu(report));
}

static void assert_type_equal(const TypeReport *a, const TypeReport *b) {
        g_assert_cmpstr(a->id, ==, b->id);
        g_assert_cmpstr(a->name, ==, b->name);
        g_assert_cmpstr(a->description, ==, b->description);
        g_assert_cmpstr(a->device_api, ==, b->device_api);
        g_assert_cmpstr(a->class, ==, b->class);
        g_assert_cmpuint(a->vendor_id, ==, b->vendor_id);
        g_assert_cmpuint(a->max_instances, ==, b->max_instances);
        g_assert_cmpuint(a->available, ==, b->available);
        g_assert_cmpuint(a->framebuffer, ==, b->framebuffer);
        g_assert_cmpuint(a->heads, ==, b->heads);
        g_assert_cmpuint(a->max_width, ==, b->max_width);
        g_assert_cmpuint(a->max_height, ==, b->max_height);
        g_assert_cmpuint(a->frame_limit, ==, b->frame_limit);
        g_assert_cmpint(a->source, ==, b->source);
        g_assert_cmpint(a->registration, ==, b->registration);
        g_assert_cmpstr(a->reason, ==, b->reason);
}

static void assert_vgpu_equal(const VGpuReport *a, const VGpuReport *b) {
        g_assert_cmpstr(a->uuid, ==, b->uuid);
        g_assert_cmpstr(a->type_id, ==, b->type_id);
        g_assert_cmpstr(a->parent, ==, b->parent);
        g_assert_cmpstr(a->sysfs_path, ==, b->sysfs_path);
        g_assert_cmpint(a->iommu_group, ==, b->iommu_group);
        g_assert_cmpint(a->kind, ==, b->kind);
}

static void assert_report_equal(const GpuReport *a, const GpuReport *b) {
        g_assert_cmpint(a->state, ==, b->state);
        g_assert_cmpstr(a->reason, ==, b->reason);
        g_assert_cmpstr(a->backend, ==, b->backend);
        g_assert_cmpstr(a->driver, ==, b->driver);
        g_assert_cmpstr(a->driver_version, ==, b->driver_version);
        g_assert_cmpstr(a->model, ==, b->model);
        g_assert_cmpuint(a->framebuffer_total, ==, b->framebuffer_total);
        g_assert_cmpint(a->pending_types, ==, b->pending_types);
        g_assert_cmpuint(a->n_types, ==, b->n_types);
        for (size_t i = 0; i < a->n_types; i++)
                assert_type_equal(&a->types[i], &b->types[i]);
        g_assert_cmpuint(a->n_vgpus, ==, b->n_vgpus);
        for (size_t i = 0; i < a->n_vgpus; i++)
                assert_vgpu_equal(&a->vgpus[i], &b->vgpus[i]);
}

static void assert_lists_equal(const JobResult *a, const JobResult *b) {
        g_assert_cmpuint(a->n_counts, ==, b->n_counts);
        for (size_t i = 0; i < a->n_counts; i++) {
                g_assert_cmpstr(a->counts[i].id, ==, b->counts[i].id);
                g_assert_cmpuint(a->counts[i].available, ==, b->counts[i].available);
        }

        g_assert_cmpuint(a->n_users, ==, b->n_users);
        for (size_t i = 0; i < a->n_users; i++) {
                g_assert_cmpint(a->users[i].pid, ==, b->users[i].pid);
                g_assert_cmpuint(a->users[i].uid, ==, b->users[i].uid);
                g_assert_cmpstr(a->users[i].comm, ==, b->users[i].comm);
                g_assert_cmpstr(a->users[i].unit, ==, b->users[i].unit);
                g_assert_cmpstr(a->users[i].vm, ==, b->users[i].vm);
                g_assert_cmpint(a->users[i].told, ==, b->users[i].told);
        }
}

static void assert_facts_equal(const Facts *a, const Facts *b) {
        g_assert_cmpuint(a->n, ==, b->n);
        for (size_t i = 0; i < a->n; i++) {
                g_assert_cmpstr(a->items[i].key, ==, b->items[i].key);
                g_assert_cmpint(a->items[i].kind, ==, b->items[i].kind);
                g_assert_cmpuint(a->items[i].number, ==, b->items[i].number);
                g_assert_cmpstr(a->items[i].text, ==, b->items[i].text);
        }
}

static void assert_usage_equal(const UsageReport *a, const UsageReport *b) {
        g_assert_cmpuint(a->framebuffer_total, ==, b->framebuffer_total);
        g_assert_cmpuint(a->framebuffer_used, ==, b->framebuffer_used);
        assert_facts_equal(&a->facts, &b->facts);
        g_assert_cmpuint(a->n_vgpus, ==, b->n_vgpus);
        for (size_t i = 0; i < a->n_vgpus; i++) {
                g_assert_cmpstr(a->vgpus[i].uuid, ==, b->vgpus[i].uuid);
                g_assert_cmpstr(a->vgpus[i].type_id, ==, b->vgpus[i].type_id);
                g_assert_cmpint(a->vgpus[i].pid, ==, b->vgpus[i].pid);
                assert_facts_equal(&a->vgpus[i].facts, &b->vgpus[i].facts);
        }
}

static void assert_result_survives(JobKind kind, const JobResult *result) {
        const uint8_t *body;
        WireWriter w = {};
        JobResult got;
        size_t size;

        protocol_put_result(&w, UINT32_MAX, kind, result);
        body = frame_body(&w, UINT32_MAX, &size);
        g_assert_cmpint(protocol_get_result(body, size, kind, &got), ==, 0);

        g_assert_cmpint(got.error.code, ==, result->error.code);
        g_assert_cmpstr(got.error.message, ==, result->error.message);
        if (kind == JOB_SYNC)
                assert_report_equal(&got.report, &result->report);
        else if (kind != JOB_USAGE)
                assert_lists_equal(&got, result);
        if ((kind == JOB_USAGE && result->error.code == 0) || kind == JOB_USERS ||
            kind == JOB_MIGRATION)
                assert_usage_equal(&got.usage, &result->usage);
        g_assert_cmpint(got.exists, ==, result->exists);
        g_assert_cmpint(got.existed, ==, result->existed);
        if (result->exists)
                assert_vgpu_equal(&got.vgpu, &result->vgpu);

        job_result_done(&got);
        wire_writer_done(&w);
}

static void fill_lists(JobResult *result, size_t n_counts, size_t n_users) {
        result->counts = g_new0(TypeCount, n_counts);
        result->n_counts = n_counts;
        for (size_t i = 0; i < n_counts; i++) {
                fill(result->counts[i].id, sizeof(result->counts[i].id));
                result->counts[i].available = UINT32_MAX - (uint32_t)i;
        }

        result->users = g_new0(User, n_users);
        result->n_users = n_users;
        for (size_t i = 0; i < n_users; i++) {
                result->users[i] = (User){ .pid = INT32_MAX, .uid = UINT32_MAX };
                fill(result->users[i].comm, sizeof(result->users[i].comm));
                fill(result->users[i].unit, sizeof(result->users[i].unit));
                fill(result->users[i].vm, sizeof(result->users[i].vm));
        }
}

static void fill_facts(Facts *facts) {
        char long_text[FACT_TEXT_SIZE];

        fill(long_text, sizeof(long_text));
        g_assert_cmpint(facts_add_bool(facts, "yes", true), ==, 0);
        g_assert_cmpint(facts_add_u32(facts, "u", UINT32_MAX), ==, 0);
        g_assert_cmpint(facts_add_u64(facts, "t-64", UINT64_MAX), ==, 0);
        g_assert_cmpint(facts_add_text(facts, "long", long_text), ==, 0);
        g_assert_cmpint(facts_add_text(facts, "none", ""), ==, 0);
        g_assert_null(facts_find(facts, "none"));
        g_assert_cmpint(facts_add_u32(facts, "Upper", 1), ==, -EINVAL);
        g_assert_cmpint(facts_add_u32(facts, "", 1), ==, -EINVAL);
}

/* A fact is said once, and there is an end of them. */
static void test_usage(void) {
        UsageReport *usage;
        JobResult result;
        VGpuUsage *vgpu;
        WireWriter w = {};
        const uint8_t *body;
        size_t size;
        JobResult got;

        job_result_init(&result);
        usage = &result.usage;
        assert_result_survives(JOB_USAGE, &result);
        usage->framebuffer_used = 1;
        fill_facts(&usage->facts);
        for (unsigned i = 0; i < 2; i++) {
                vgpu = usage_report_add_vgpu(usage);
                g_assert_nonnull(vgpu);
                fill_facts(&vgpu->facts);
        }
        (void)g_strlcpy(vgpu->uuid, UUID, sizeof(vgpu->uuid));
        (void)g_strlcpy(vgpu->type_id, "nvidia-1", sizeof(vgpu->type_id));
        vgpu->pid = INT32_MAX;
        assert_result_survives(JOB_USAGE, &result);
        assert_result_survives(JOB_USERS, &result);
        assert_result_survives(JOB_MIGRATION, &result);
        assert_result_survives(JOB_REMOVE, &result);

        (void)g_strlcpy(usage->facts.items[1].key, "yes", FACT_KEY_SIZE);
        protocol_put_result(&w, 1, JOB_USAGE, &result);
        body = frame_body(&w, 1, &size);
        g_assert_cmpint(protocol_get_result(body, size, JOB_USAGE, &got), ==, -EBADMSG);
        wire_writer_done(&w);

        for (unsigned i = (unsigned)usage->facts.n; i < FACTS_MAX; i++) {
                g_autofree char *key = g_strdup_printf("k%u", i);

                g_assert_cmpint(facts_add_u32(&usage->facts, key, i), ==, 0);
        }
        g_assert_cmpint(facts_add_u32(&usage->facts, "more", 1), ==, -E2BIG);
        job_result_done(&result);
}

static HostFacts *largest_facts(void) {
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
                fill(facts->apertures[i].address, sizeof(facts->apertures[i].address));
                facts->apertures[i].size = UINT64_MAX - i;
        }
        fill(facts->libvirt_mdevctl, sizeof(facts->libvirt_mdevctl));
        fill(facts->callouts, sizeof(facts->callouts));
        return facts;
}

static void test_facts(void) {
        g_autofree HostFacts *facts = largest_facts();
        JobResult result, got;
        const uint8_t *body;
        WireWriter w = {};
        size_t size;

        job_result_init(&result);
        result.facts = facts;
        protocol_put_result(&w, 1, JOB_EXAMINE, &result);
        body = frame_body(&w, 1, &size);
        g_assert_cmpint(protocol_get_result(body, size, JOB_EXAMINE, &got), ==, 0);
        g_assert_cmpmem(got.facts, sizeof(HostFacts), facts, sizeof(HostFacts));
        job_result_done(&got);
        wire_writer_done(&w);
}

static void test_results(void) {
        JobResult result;

        job_result_init(&result);
        assert_result_survives(JOB_SYNC, &result);
        assert_result_survives(JOB_REMOVE, &result);
        fill_vgpu(&result.vgpu);
        fill_lists(&result, REPORT_TYPES_MAX, REPORT_USERS_MAX);
        assert_result_survives(JOB_REMOVE, &result);
        result.exists = result.existed = true;
        assert_result_survives(JOB_CREATE, &result);

        result.error.code = -4095;
        fill(result.error.message, sizeof(result.error.message));
        assert_result_survives(JOB_CREATE, &result);
        result.exists = result.existed = false;
        assert_result_survives(JOB_CREATE, &result);
        assert_result_survives(JOB_REMOVE, &result);
        assert_result_survives(JOB_SYNC, &result);
        job_result_done(&result);
}

static int send_event(const WorkerEvent *event, WorkerEvent *ret) {
        const uint8_t *body;
        WireWriter w = {};
        size_t size;
        int r;

        protocol_put_event(&w, event);
        body = frame_body(&w, PROTOCOL_EVENT, &size);
        r = protocol_get_event(body, size, ret);
        wire_writer_done(&w);
        return r;
}

static void test_events(void) {
        WorkerEvent event = { .kind = WORKER_EVENT_USE, .uuid = UUID, .use = VGPU_USE_YES, .pid = 4711 }, got;

        g_assert_cmpint(send_event(&event, &got), ==, 0);
        g_assert_cmpint(got.kind, ==, WORKER_EVENT_USE);
        g_assert_cmpstr(got.uuid, ==, UUID);
        g_assert_cmpint(got.use, ==, VGPU_USE_YES);
        g_assert_cmpint(got.pid, ==, 4711);

        event = (WorkerEvent){ .kind = WORKER_EVENT_ERROR, .code = UINT32_MAX };
        fill(event.text, sizeof(event.text));
        g_assert_cmpint(send_event(&event, &got), ==, 0);
        g_assert_cmpuint(got.code, ==, UINT32_MAX);
        g_assert_cmpstr(got.text, ==, event.text);
        g_assert_cmpstr(got.uuid, ==, "");

        /* One of no vGPU, or of one that is no UUID. */
        g_assert_cmpint(send_event(&(WorkerEvent){ .kind = WORKER_EVENT_USE }, &got), ==, -EBADMSG);
        g_assert_cmpint(send_event(&(WorkerEvent){ .kind = WORKER_EVENT_ERROR, .uuid = "../x" }, &got), ==, -EBADMSG);
        g_assert_cmpint(send_event(&(WorkerEvent){ .kind = WORKER_EVENT_KIND_MAX }, &got), ==, -EBADMSG);
        g_assert_cmpint(send_event(&(WorkerEvent){ .use = VGPU_USE_MAX }, &got), ==, -EBADMSG);
}

/* The largest report that may be made fits a frame. */
static void test_largest_report(void) {
        JobResult result;

        job_result_init(&result);
        fill_report(&result.report, REPORT_TYPES_MAX, REPORT_VGPUS_MAX);
        g_assert_null(gpu_report_add_type(&result.report));
        g_assert_null(gpu_report_add_vgpu(&result.report));
        assert_result_survives(JOB_SYNC, &result);
        job_result_done(&result);
}

static void check_type(const TypeReport *t) {
        g_assert_true(text_is_name(t->id) && text_is_printable(t->name) && text_is_printable(t->description));
        g_assert_true(text_is_printable(t->device_api) && text_is_printable(t->class) && text_is_printable(t->reason));
        g_assert_true(t->source < TYPE_SOURCE_MAX && t->registration < REGISTRATION_MAX);
}

static void check_vgpu(const VGpuReport *v) {
        char uuid[UUID_STRING_SIZE];

        g_assert_cmpint(text_parse_uuid(v->uuid, uuid), ==, 0);
        g_assert_cmpstr(v->uuid, ==, uuid);
        g_assert_true(text_is_name(v->type_id) && text_is_name(v->parent) && text_is_printable(v->sysfs_path));
        g_assert_true(g_str_has_prefix(v->sysfs_path, "/sys/") && !strstr(v->sysfs_path, "/../"));
        g_assert_true(v->iommu_group >= -1 && v->kind < VGPU_KIND_MAX);
}

static void check_result(JobKind kind, const JobResult *result) {
        g_assert_true(result->error.code <= 0 && result->error.code > -4096);
        g_assert_true(text_is_printable(result->error.message));
        g_assert_cmpuint(result->n_counts, <=, REPORT_TYPES_MAX);
        g_assert_cmpuint(result->n_users, <=, REPORT_USERS_MAX);
        if (result->error.code < 0)
                return;

        if (result->exists)
                check_vgpu(&result->vgpu);
        g_assert_true(kind == JOB_CREATE || !result->exists);
        if (kind != JOB_SYNC)
                return;

        g_assert_true(result->report.state < GPU_STATE_MAX && text_is_printable(result->report.reason));
        for (size_t i = 0; i < result->report.n_types; i++)
                check_type(&result->report.types[i]);
        for (size_t i = 0; i < result->report.n_vgpus; i++)
                check_vgpu(&result->report.vgpus[i]);
}

static void check_job(const Job *job) {
        char uuid[UUID_STRING_SIZE];

        if (job->kind == JOB_SYNC) {
                g_assert_cmpuint(job->n_types, <=, REPORT_TYPES_MAX);
                for (size_t i = 0; i < job->n_types; i++)
                        g_assert_true(text_is_printable(job->types[i].name) && text_is_printable(job->types[i].class));
                return;
        }
        if (job_is_about_states(job->kind)) {
                g_assert_true(job->state_name[0] == '\0' || saved_state_name_is_good(job->state_name));
                g_assert_cmpuint(job->n_fds, <=, JOB_FDS_MAX);
                g_assert_true(job->kind != JOB_SAVE_STATE || job->header);
                return;
        }
        if (job_is_about_no_vgpu(job->kind) || (job->kind == JOB_STORE && job->action == STORE_CLEAN))
                return;

        g_assert_cmpint(text_parse_uuid(job->uuid, uuid), ==, 0);
        g_assert_true(job->kind != JOB_CREATE || text_is_name(job->type_id));
}

static ImageHeader *new_header(void) {
        ImageHeader *header = g_malloc0(sizeof(ImageHeader));

        image_header_init(header);
        (void)text_copy(header->uuid, sizeof(header->uuid), UUID);
        (void)text_copy(header->backend, sizeof(header->backend), "shim");
        (void)text_copy(header->driver, sizeof(header->driver), "mdevgpu_ref");
        (void)text_copy(header->type.id, sizeof(header->type.id), "mdevgpu_ref-7");
        g_assert_cmpint(facts_add_text(&header->facts, "driver", "mdevgpu_ref"), ==, 0);
        return header;
}

static void fill_saved(JobResult *result) {
        SavedState *saved = job_result_add_saved(result);

        (void)text_copy(saved->name, sizeof(saved->name), "web1");
        (void)text_copy(saved->uuid, sizeof(saved->uuid), UUID);
        saved->size = 1 << 20;
}

/* In memory of exactly their size. Returns whether it was taken. */
static bool decode(const uint8_t *body, size_t size, bool is_job, JobKind kind) {
        g_autofree uint8_t *copy = g_malloc(MAX(size, 1U));
        JobResult result;
        DecodedJob d;
        int r;

        memcpy(copy, body, size);
        if (is_job) {
                r = protocol_get_job(copy, size, &d);
                if (r >= 0) {
                        check_job(&d.job);
                        decoded_job_done(&d);
                }
        } else {
                r = protocol_get_result(copy, size, kind, &result);
                if (r >= 0) {
                        check_result(kind, &result);
                        job_result_done(&result);
                }
        }

        g_assert_true(r == 0 || r == -EBADMSG);
        return r >= 0;
}

/* Every part of it, every bit of it flipped, and random damage. */
static void mutate(const uint8_t *body, size_t size, bool is_job, JobKind kind) {
        g_autofree uint8_t *copy = g_memdup2(body, size);

        g_assert_true(decode(body, size, is_job, kind));
        for (size_t n = 0; n < size; n++)
                g_assert_false(decode(body, n, is_job, kind));

        for (size_t i = 0; i < size * 8; i++) {
                copy[i / 8] ^= (uint8_t)(1U << i % 8);
                (void)decode(copy, size, is_job, kind);
                copy[i / 8] ^= (uint8_t)(1U << i % 8);
        }

        for (unsigned i = 0; i < 3000; i++) {
                for (int k = g_test_rand_int_range(1, 8); k > 0; k--)
                        copy[g_test_rand_int_range(0, (int)size)] =
                                (uint8_t)(g_test_rand_bit() ? g_test_rand_int() : 0);
                (void)decode(copy, (size_t)g_test_rand_int_range(1, (int)size + 1), is_job, kind);
                memcpy(copy, body, size);
        }
}

static void test_mutated_jobs(void) {
        TypeSpec types[] = { largest_spec(1), largest_spec(2) };
        g_autofree ImageHeader *header = new_header();
        const Job jobs[] = {
                { .kind = JOB_SYNC, .may_register = true, .types = types, .n_types = 2 },
                { .kind = JOB_CREATE, .uuid = UUID, .type_id = "nvidia-530" },
                { .kind = JOB_REMOVE, .uuid = UUID },
                { .kind = JOB_STORE, .uuid = UUID, .type_id = "nvidia-530", .parent = "mtty", .label = "web1" },
                { .kind = JOB_SAVE_STATE, .uuid = UUID, .state_name = "web1", .n_fds = 1, .header = header },
                { .kind = JOB_OPEN_STATE, .n_fds = 2 },
                { .kind = JOB_DELETE_STATE, .state_name = "web1" },
        };

        for (size_t i = 0; i < ELEMENTSOF(jobs); i++) {
                const uint8_t *body;
                WireWriter w = {};
                size_t size;

                protocol_put_job(&w, 1, &jobs[i]);
                body = frame_body(&w, 1, &size);
                mutate(body, size, true, jobs[i].kind);
                wire_writer_done(&w);
        }
        image_header_done(header);
}

static void test_mutated_results(void) {
        for (JobKind kind = 0; kind < JOB_KIND_MAX; kind++) {
                const uint8_t *body;
                WireWriter w = {};
                JobResult result;
                size_t size;

                job_result_init(&result);
                fill_report(&result.report, 1, 1);
                fill_vgpu(&result.vgpu);
                result.exists = kind == JOB_CREATE;
                fill_lists(&result, 2, 2);
                if (kind == JOB_EXAMINE)
                        result.facts = largest_facts();
                if (kind == JOB_OPEN_STATE)
                        result.header = new_header();
                if (kind == JOB_LIST_STATES)
                        fill_saved(&result);
                protocol_put_result(&w, 1, kind, &result);
                body = frame_body(&w, 1, &size);
                mutate(body, size, false, kind);
                wire_writer_done(&w);
                job_result_done(&result);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/protocol/jobs", test_jobs);
        g_test_add_func("/protocol/job-names", test_job_names);
        g_test_add_func("/protocol/results", test_results);
        g_test_add_func("/protocol/usage", test_usage);
        g_test_add_func("/protocol/facts", test_facts);
        g_test_add_func("/protocol/events", test_events);
        g_test_add_func("/protocol/largest-report", test_largest_report);
        g_test_add_func("/protocol/mutated-jobs", test_mutated_jobs);
        g_test_add_func("/protocol/mutated-results", test_mutated_results);

        return g_test_run();
}
