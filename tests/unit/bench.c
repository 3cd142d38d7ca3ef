/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "bench.h"
#include "worker/protocol.h"

const Row bench_rows[BENCH_N_ROWS] = {
        { "shim", GPU_A, GPU_B, SIM_GPU_SHIM, 8 * GIB, TYPE_1, TYPE_2, 4 },
        { "mdev", "mtty", "mtty2", SIM_GPU_MTTY, 4, "mtty-1", "mtty-2", 4 },
        { "nvidia", GPU_A, GPU_B, SIM_GPU_NVIDIA, 8 * GIB, NVIDIA_TYPE_1, NVIDIA_TYPE_2, 4 },
};

const TypeSpec bench_specs[BENCH_N_SPECS] = {
        { .id = 1,
          .name = "Small",
          .class = "Compute",
          .max_instances = 9,
          .framebuffer = 2 * GIB,
          .max_width = 1,
          .max_height = 1,
          .frame_limit = 1 },
        { .id = 2,
          .name = "Large",
          .max_instances = 9,
          .framebuffer = 3 * GIB,
          .reserved = GIB,
          .max_width = 1,
          .max_height = 1,
          .frame_limit = 1 },
};

/* Sends a job over the wire, does it, and sends what came of it back: whatever a driver says, it must pass. */
int bench_job(Bench *b, const Job *job) {
        WireWriter w = {}, frame = {};
        JobResult result;
        DecodedJob d;

        protocol_put_job(&frame, 0, job);
        g_assert_cmpint(protocol_get_job(frame.data + PROTOCOL_HEADER_SIZE, frame.size - PROTOCOL_HEADER_SIZE, &d), ==,
                        0);
        wire_writer_done(&frame);

        job_result_init(&result);
        runner_run(&b->worker, &d.job, &result);
        decoded_job_done(&d);
        protocol_put_result(&w, 0, job->kind, &result);
        g_assert_cmpint(w.error, ==, 0);
        job_result_done(&result);
        job_result_done(&b->result);
        g_assert_cmpint(protocol_get_result(w.data + PROTOCOL_HEADER_SIZE, w.size - PROTOCOL_HEADER_SIZE, job->kind,
                                            &b->result),
                        ==, 0);
        wire_writer_done(&w);

        g_assert_cmpint(b->result.error.code == 0, ==, b->result.error.message[0] == '\0');
        return b->result.error.code;
}

int bench_sync(Bench *b, const TypeSpec *types, size_t n_types, bool may_register) {
        return bench_job(b,
                         &(Job){ .kind = JOB_SYNC, .types = types, .n_types = n_types, .may_register = may_register });
}

int bench_create(Bench *b, const char *type_id, const char *uuid) {
        return bench_job(b, &(Job){ .kind = JOB_CREATE, .type_id = type_id, .uuid = uuid });
}

/* As the supervisor does: by a worker of its own. */
int bench_remove(Bench *b, const char *uuid) {
        BackendContext worker = b->worker;
        int r;

        runner_init(&b->worker, worker.host, worker.gpu);
        r = bench_job(b, &(Job){ .kind = JOB_REMOVE, .uuid = uuid });
        runner_done(&b->worker);
        b->worker = worker;
        return r;
}

static Bench *new_unread(const Row *row, const char *nvidia) {
        Bench *b = g_new0(Bench, 1);

        b->machine = machine_new();
        b->row = row;
        job_result_init(&b->result);
        if (row->kind == SIM_GPU_NVIDIA)
                b->nvidia = nvidia_sim_begin(b->machine, nvidia);
        g_assert_cmpint(sim_host_plug(&b->machine->sim, row->gpu, row->kind, row->capacity), ==, 0);
        runner_init(&b->worker, &b->machine->sim.host, row->gpu);
        return b;
}

Bench *bench_new(const Row *row) {
        Bench *b = new_unread(row, "570.211.01");

        g_assert_cmpint(bench_sync(b, bench_specs, BENCH_N_SPECS, true), ==, 0);
        return b;
}

Bench *bench_new_nvidia(const char *version) {
        return new_unread(&bench_rows[BENCH_N_ROWS - 1], version);
}

void bench_free(Bench *b) {
        job_result_done(&b->result);
        runner_done(&b->worker);
        if (b->nvidia)
                nvidia_sim_end();
        machine_free(b->machine);
        g_free(b);
}

const TypeReport *bench_find_type(const Bench *b, const char *id) {
        for (size_t i = 0; i < b->result.report.n_types; i++)
                if (streq(b->result.report.types[i].id, id))
                        return &b->result.report.types[i];

        g_error("no type %s", id);
}

uint32_t bench_find_count(const Bench *b, const char *id) {
        for (size_t i = 0; i < b->result.n_counts; i++)
                if (streq(b->result.counts[i].id, id))
                        return b->result.counts[i].available;

        g_error("no count of type %s", id);
}
