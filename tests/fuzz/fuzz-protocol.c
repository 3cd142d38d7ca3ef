/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Any bytes as what the other end of a worker's socket says. The first byte chooses: a job, or a result of one of the
 * kinds of job. What is taken is within every bound that the model relies on, and survives being sent on.
 */

#include "util/text.h"
#include "worker/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* abort() and not assert(): a build without assertions would fuzz nothing. */
static void require(bool condition) {
        if (!condition)
                abort();
}

static bool is_uuid(const char *s) {
        char uuid[UUID_STRING_SIZE];

        return text_parse_uuid(s, uuid) >= 0 && streq(s, uuid);
}

static void check_vgpu(const VGpuReport *v) {
        require(is_uuid(v->uuid) && text_is_name(v->type_id) && text_is_name(v->parent));
        require(text_is_printable(v->sysfs_path) && v->iommu_group >= -1 && v->kind < VGPU_KIND_MAX);
}

static void check_report(const GpuReport *report) {
        require(report->state < GPU_STATE_MAX && text_is_printable(report->reason) && text_is_printable(report->model));
        require(report->n_types <= REPORT_TYPES_MAX && report->n_vgpus <= REPORT_VGPUS_MAX);

        for (size_t i = 0; i < report->n_types; i++) {
                const TypeReport *t = &report->types[i];

                require(text_is_name(t->id) && text_is_printable(t->name) && text_is_printable(t->description));
                require(text_is_printable(t->device_api) && text_is_printable(t->class) &&
                        text_is_printable(t->reason));
                require(t->source < TYPE_SOURCE_MAX && t->registration < REGISTRATION_MAX);
        }
        for (size_t i = 0; i < report->n_vgpus; i++)
                check_vgpu(&report->vgpus[i]);
}

static void check_facts(const Facts *facts) {
        require(facts->n <= FACTS_MAX);
        for (size_t i = 0; i < facts->n; i++) {
                const Fact *fact = &facts->items[i];

                require(fact->key[0] != '\0' && text_is_name(fact->key) && text_is_printable(fact->text));
                require(fact->kind < FACT_KIND_MAX && facts_find(facts, fact->key) == fact);
        }
}

/* What was taken is put exactly as it came: there is one way to say a thing. UUIDs alone may change, to lower case. */
static void check_same(const WireWriter *w, const uint8_t *data, size_t size) {
        require(w->error == 0 && w->size == size + PROTOCOL_HEADER_SIZE);
        for (size_t i = 0; i < size; i++) {
                uint8_t a = data[i], b = w->data[PROTOCOL_HEADER_SIZE + i];

                require(a == b || (a >= 'A' && a <= 'F' && b == a + 'a' - 'A'));
        }
}

static void try_event(const uint8_t *data, size_t size) {
        WireWriter w = {};
        WorkerEvent event;

        if (protocol_get_event(data, size, &event) < 0)
                return;

        require(text_is_printable(event.text) && (event.uuid[0] == '\0' || is_uuid(event.uuid)));
        protocol_put_event(&w, &event);
        check_same(&w, data, size);
        wire_writer_done(&w);
}

static void check_state_job(const Job *job) {
        require((job->uuid[0] == '\0' || is_uuid(job->uuid)) && job->n_fds <= JOB_FDS_MAX);
        require(job->state_name[0] == '\0' || saved_state_name_is_good(job->state_name));
        require(job->kind != JOB_SAVE_STATE || (job->header && job->uuid[0] != '\0'));
        require((job->kind != JOB_RESTORE_STATE && job->kind != JOB_SETTLE_STATE) || job->uuid[0] != '\0');
        require(job->kind != JOB_DELETE_STATE || job->state_name[0] != '\0');
}

static void try_job(const uint8_t *data, size_t size) {
        WireWriter w = {};
        DecodedJob d;

        if (protocol_get_job(data, size, &d) < 0)
                return;

        if (d.job.kind == JOB_SYNC)
                require(d.job.n_types <= REPORT_TYPES_MAX);
        else if (job_is_about_states(d.job.kind))
                check_state_job(&d.job);
        else if (!job_is_about_no_vgpu(d.job.kind) && (d.job.kind != JOB_STORE || d.job.action != STORE_CLEAN))
                require(is_uuid(d.job.uuid) && (d.job.kind != JOB_CREATE || text_is_name(d.job.type_id)));

        protocol_put_job(&w, 0, &d.job);
        require(w.error == 0);
        if (!d.job.header) /* JSON can say a thing in more than one way */
                check_same(&w, data, size);
        wire_writer_done(&w);
        decoded_job_done(&d);
}

static void try_result(const uint8_t *data, size_t size, JobKind kind) {
        WireWriter w = {};
        JobResult result;

        if (protocol_get_result(data, size, kind, &result) < 0)
                return;

        require(result.error.code <= 0 && text_is_printable(result.error.message));
        require(result.n_counts <= REPORT_TYPES_MAX && result.n_users <= REPORT_USERS_MAX);
        if (kind == JOB_SYNC)
                check_report(&result.report);
        check_facts(&result.usage.facts);
        for (size_t i = 0; i < result.usage.n_vgpus; i++) {
                const VGpuUsage *v = &result.usage.vgpus[i];

                require((v->uuid[0] == '\0' || is_uuid(v->uuid)) && text_is_printable(v->type_id) && v->pid >= 0);
                check_facts(&v->facts);
        }
        require(kind == JOB_CREATE || !result.exists);
        if (result.exists)
                check_vgpu(&result.vgpu);

        for (size_t i = 0; i < result.n_saved; i++)
                require(saved_state_name_is_good(result.saved[i].name) && text_is_printable(result.saved[i].error));

        protocol_put_result(&w, 0, kind, &result);
        require(w.error == 0);
        if (!result.header)
                check_same(&w, data, size);
        wire_writer_done(&w);
        job_result_done(&result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        if (size == 0)
                return 0;

        if (data[0] % (JOB_KIND_MAX + 2) == 0)
                try_job(data + 1, size - 1);
        else if (data[0] % (JOB_KIND_MAX + 2) == 1)
                try_event(data + 1, size - 1);
        else
                try_result(data + 1, size - 1, (JobKind)(data[0] % (JOB_KIND_MAX + 2) - 2));

        return 0;
}
