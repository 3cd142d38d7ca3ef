/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a GPU uses, asked of its driver: once for many, not too often, and everybody is answered exactly once.
 */

#include "core/usage-query.h"
#include "machine.h"

typedef struct Heard {
        unsigned n;
        int code;
        uint64_t used;
        size_t n_vgpus;
        char uuid[UUID_STRING_SIZE];
        UsageQuery *query;
        Gpu *again; /* asks once more when it is told */
        struct Heard *next;
} Heard;

static void on_usage(const Error *error, const UsageReport *report, void *userdata) {
        Heard *heard = userdata;

        heard->n++;
        heard->query = NULL;
        heard->code = error ? error->code : 0;
        g_assert_true(error ? error->code < 0 && error->message[0] != '\0' : report != NULL);
        if (!error) {
                heard->used = report->framebuffer_used;
                heard->n_vgpus = report->n_vgpus;
                if (report->n_vgpus > 0)
                        (void)g_strlcpy(heard->uuid, report->vgpus[0].uuid, sizeof(heard->uuid));
        }
        if (heard->again)
                g_assert_cmpint(usage_query_new(heard->again, on_usage, heard->next, &heard->next->query, NULL), ==, 0);
}

static int ask(Gpu *gpu, Heard *heard) {
        Error error = ERROR_NULL;

        return usage_query_new(gpu, on_usage, heard, &heard->query, &error);
}

static void wait_for(Machine *m, const Heard *heard) {
        while (heard->n == 0) {
                g_assert_cmpint(sd_event_run(m->event, 1000000), >=, 0);
                while (fake_do_one(&m->fake))
                        ;
        }
}

static void test_asked_once(void) {
        Machine *m = machine_with_gpus();
        Gpu *gpu = machine_gpu(m, GPU_A);
        Heard heard[5] = {}, late = {};
        gint64 begun;
        unsigned n;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        n = m->fake.n_submitted;
        for (unsigned i = 0; i < 5; i++)
                g_assert_cmpint(ask(gpu, &heard[i]), ==, 0);
        g_assert_cmpuint(m->fake.n_submitted, ==, n + 1);
        usage_query_free(heard[4].query);
        machine_settle(m);
        for (unsigned i = 0; i < 4; i++) {
                g_assert_cmpuint(heard[i].n, ==, 1);
                g_assert_cmpint(heard[i].code, ==, 0);
                g_assert_cmpuint(heard[i].used, ==, 2 * GIB);
                g_assert_cmpuint(heard[i].n_vgpus, ==, 1);
                g_assert_cmpstr(heard[i].uuid, ==, UUID_1);
        }
        g_assert_cmpuint(heard[4].n, ==, 0);
        g_assert_cmpuint(gpu->framebuffer_used, ==, 2 * GIB);

        /* Not again at once; and what was made meanwhile is in it. */
        begun = g_get_monotonic_time();
        gpu->usage_time = (uint64_t)begun;
        g_assert_cmpint(ask(gpu, &late), ==, 0);
        g_assert_cmpuint(m->fake.n_submitted, ==, n + 1);
        (void)machine_have_vgpu(m, GPU_A, UUID_2);
        wait_for(m, &late);
        g_assert_cmpuint(late.n_vgpus, ==, 2);
        g_assert_cmpint(g_get_monotonic_time() - begun, >=, 50000);
        machine_free(m);
}

static void test_asked_from_within(void) {
        Machine *m = machine_with_gpus();
        Heard second = {}, first = { .again = machine_gpu(m, GPU_A), .next = &second };

        g_assert_cmpint(ask(machine_gpu(m, GPU_A), &first), ==, 0);
        machine_settle(m);
        g_assert_cmpuint(first.n, ==, 1);
        wait_for(m, &second);
        g_assert_true(first.n == 1 && second.n == 1 && second.code == 0);
        machine_free(m);
}

/* Its GPU is busy as with any other work; it is served again when the driver returns. */
static void test_stuck(void) {
        Machine *m = machine_with_gpus();
        Gpu *gpu = machine_gpu(m, GPU_A);
        Heard first = {}, second = {}, third = {};
        PlatformJob *job;

        g_assert_cmpint(ask(gpu, &first), ==, 0);
        job = fake_find_job(&m->fake, JOB_USAGE, GPU_A);
        fake_begin(job);
        fake_time_out(job, 4711);
        g_assert_cmpuint(first.n, ==, 1);
        g_assert_cmpint(first.code, ==, -ERROR_TIMEOUT);
        g_assert_cmpint(gpu->state, ==, GPU_BUSY);
        g_assert_cmpint(ask(gpu, &second), ==, -ERROR_BUSY);
        g_assert_cmpuint(second.n, ==, 0);

        fake_finish(&m->fake, job);
        machine_settle(m);
        g_assert_cmpint(gpu->state, ==, GPU_READY);
        g_assert_cmpint(ask(gpu, &third), ==, 0);
        wait_for(m, &third);
        g_assert_cmpint(third.code, ==, 0);
        g_assert_cmpuint(first.n, ==, 1);
        machine_free(m);
}

static void test_fails(void) {
        Machine *m = machine_with_gpus();
        Heard heard = {}, refused = {}, gone = {}, waiting = {};
        Gpu *gpu = machine_gpu(m, GPU_A);

        g_assert_cmpint(ask(gpu, &heard), ==, 0);
        fake_fail(fake_find_job(&m->fake, JOB_USAGE, GPU_A), -EPIPE, "died");
        g_assert_cmpint(heard.code, ==, -EPIPE);

        m->fake.refuse = -EDQUOT;
        g_assert_cmpint(ask(machine_gpu(m, GPU_B), &refused), ==, -ERROR_LIMIT_EXCEEDED);
        /* One that has to wait a moment first is told when it comes to it. */
        gpu->usage_time = (uint64_t)g_get_monotonic_time();
        g_assert_cmpint(ask(gpu, &refused), ==, 0);
        wait_for(m, &refused);
        g_assert_cmpint(refused.code, ==, -ERROR_LIMIT_EXCEEDED);
        m->fake.refuse = 0;

        g_assert_cmpint(ask(machine_gpu(m, GPU_B), &gone), ==, 0);
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_B), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_B);
        g_assert_cmpint(gone.code, ==, -ERROR_NO_SUCH_GPU);

        /* The daemon ends in the midst of it. */
        g_assert_cmpint(ask(gpu, &waiting), ==, 0);
        machine_free(m);
        g_assert_true(heard.n == 1 && refused.n == 1 && gone.n == 1 && waiting.n <= 1);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/usage/asked-once", test_asked_once);
        g_test_add_func("/usage/asked-from-within", test_asked_from_within);
        g_test_add_func("/usage/stuck", test_stuck);
        g_test_add_func("/usage/fails", test_fails);

        return g_test_run();
}
