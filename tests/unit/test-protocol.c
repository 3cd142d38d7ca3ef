/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Jobs, results and events across the wire: what goes in comes out, at every bound. */

#include "util/text.h"
#include "protocol-samples.h"

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

static void assert_job_survives(const Job *job) {
        const uint8_t *body;
        DecodedJob d;
        WireWriter w = {};
        size_t size;

        protocol_put_job(&w, 4711, job);
        body = sample_frame_body(&w, 4711, &size);
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
                types[i] = sample_spec(UINT32_MAX - i);
        sample_fill(type_id, sizeof(type_id));
        sample_fill(value, sizeof(value));

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
                body = sample_frame_body(&w, 0, &size);
                g_assert_cmpint(protocol_get_job(body, size, &d), ==, -EBADMSG);
                wire_writer_done(&w);
        }
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
        body = sample_frame_body(&w, UINT32_MAX, &size);
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

static void fill_facts(Facts *facts) {
        char long_text[FACT_TEXT_SIZE];

        sample_fill(long_text, sizeof(long_text));
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
        body = sample_frame_body(&w, 1, &size);
        g_assert_cmpint(protocol_get_result(body, size, JOB_USAGE, &got), ==, -EBADMSG);
        wire_writer_done(&w);

        for (unsigned i = (unsigned)usage->facts.n; i < FACTS_MAX; i++) {
                g_autofree char *key = g_strdup_printf("k%u", i);

                g_assert_cmpint(facts_add_u32(&usage->facts, key, i), ==, 0);
        }
        g_assert_cmpint(facts_add_u32(&usage->facts, "more", 1), ==, -E2BIG);
        job_result_done(&result);
}

static void test_facts(void) {
        g_autofree HostFacts *facts = sample_facts();
        JobResult result, got;
        const uint8_t *body;
        WireWriter w = {};
        size_t size;

        job_result_init(&result);
        result.facts = facts;
        protocol_put_result(&w, 1, JOB_EXAMINE, &result);
        body = sample_frame_body(&w, 1, &size);
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
        sample_vgpu(&result.vgpu);
        sample_lists(&result, REPORT_TYPES_MAX, REPORT_USERS_MAX);
        assert_result_survives(JOB_REMOVE, &result);
        result.exists = result.existed = true;
        assert_result_survives(JOB_CREATE, &result);

        result.error.code = -4095;
        sample_fill(result.error.message, sizeof(result.error.message));
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
        body = sample_frame_body(&w, PROTOCOL_EVENT, &size);
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
        sample_fill(event.text, sizeof(event.text));
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
        sample_report(&result.report, REPORT_TYPES_MAX, REPORT_VGPUS_MAX);
        g_assert_null(gpu_report_add_type(&result.report));
        g_assert_null(gpu_report_add_vgpu(&result.report));
        assert_result_survives(JOB_SYNC, &result);
        job_result_done(&result);
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

        return g_test_run();
}
