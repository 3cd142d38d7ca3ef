/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a peer has spoiled is refused, or is within every bound that the model relies on. */

#include "util/text.h"
#include "protocol-samples.h"

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
        TypeSpec types[] = { sample_spec(1), sample_spec(2) };
        g_autofree ImageHeader *header = sample_header();
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
                body = sample_frame_body(&w, 1, &size);
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
                sample_report(&result.report, 1, 1);
                sample_vgpu(&result.vgpu);
                result.exists = kind == JOB_CREATE;
                sample_lists(&result, 2, 2);
                if (kind == JOB_EXAMINE)
                        result.facts = sample_facts();
                if (kind == JOB_OPEN_STATE)
                        result.header = sample_header();
                if (kind == JOB_LIST_STATES)
                        sample_saved(&result);
                protocol_put_result(&w, 1, kind, &result);
                body = sample_frame_body(&w, 1, &size);
                mutate(body, size, false, kind);
                wire_writer_done(&w);
                job_result_done(&result);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/protocol/mutated-jobs", test_mutated_jobs);
        g_test_add_func("/protocol/mutated-results", test_mutated_results);

        return g_test_run();
}
