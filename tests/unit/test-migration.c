/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Who may have a vGPU open: a worker that asks it what it can do, or a virtual machine that starts; and what ends the wait
 * for a migration.
 */

#include "core/incoming.h"
#include "core/migration-query-private.h"
#include "core/start-hold.h"
#include "machine.h"

typedef struct Heard {
        unsigned n;
        int code;
        MigrationQuery *query;
} Heard;

static void on_migration(const Error *error, const JobResult *result, void *userdata) {
        Heard *heard = userdata;

        heard->n++;
        heard->code = error ? error->code : 0;
        heard->query = NULL;
        g_assert_true(error || result);
}

static void on_closed(void *userdata) {
        unsigned *n = userdata;

        (*n)++;
}

static int probe(VGpu *vgpu, Heard *heard) {
        Error error = ERROR_NULL;
        int r = migration_query_new(vgpu, /* probe= */ true, on_migration, heard, &heard->query, &error);

        g_assert_true(r == 0 || error.message[0] != '\0');
        return r;
}

/* A machine is to start while a worker has its vGPU open: it waits for that, and nothing opens it from then on. */
static void test_hold_waits(void) {
        static const char *const uuids[] = { UUID_1, UUID_2 };
        Machine *m = machine_with_gpus();
        VGpu *vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
        Heard first = {}, second = {};
        StartHold *wait, *none;
        unsigned n = 0;
        PlatformJob *job;

        g_assert_cmpint(probe(vgpu, &first), ==, 0);
        g_assert_cmpstr(vgpu_get_migration_state(vgpu), ==, "probing");
        g_assert_cmpint(probe(vgpu, &second), ==, -ERROR_BUSY);
        job = fake_find_job(&m->fake, JOB_MIGRATION, GPU_A);
        g_assert_nonnull(job);
        fake_begin(job);

        g_assert_cmpint(start_hold_new(m->manager, uuids, 2, 60, on_closed, &n, &wait, NULL), ==, 0);
        g_assert_nonnull(wait);
        g_assert_cmpuint(n, ==, 0);
        fake_finish(&m->fake, job);
        g_assert_cmpuint(n, ==, 1);
        g_assert_cmpuint(first.n, ==, 1);
        g_assert_cmpstr(vgpu_get_migration_state(vgpu), ==, "starting");
        g_assert_cmpint(probe(vgpu, &second), ==, -ERROR_BUSY);

        /* Held already: who asks again has nothing to wait for. */
        g_assert_cmpint(start_hold_new(m->manager, uuids, 1, 60, on_closed, &n, &none, NULL), ==, 0);
        g_assert_null(none);
        start_hold_end(m->manager, uuids, 1);
        g_assert_cmpstr(vgpu_get_migration_state(vgpu), ==, "none");
        g_assert_cmpint(probe(vgpu, &second), ==, 0);
        machine_settle(m);
        g_assert_cmpuint(second.n, ==, 1);
        machine_free(m);
}

/* The state of one of a machine's vGPUs is being saved: that is said, and the others are held. */
static void test_hold_beside_save(void) {
        static const char *const uuids[] = { UUID_1, UUID_2 };
        Machine *m = machine_with_gpus();
        VGpu *saved = machine_have_vgpu(m, GPU_A, UUID_1), *other = machine_have_vgpu(m, GPU_A, UUID_2);
        Error error = ERROR_NULL;
        StartHold *wait = NULL;
        unsigned n = 0;

        vgpu_set_claim(saved, VGPU_CLAIM_SAVE);
        g_assert_cmpint(start_hold_new(m->manager, uuids, 2, 60, on_closed, &n, &wait, &error), ==, -ERROR_BUSY);
        g_assert_nonnull(strstr(error.message, UUID_1));
        g_assert_null(wait);
        g_assert_cmpstr(vgpu_get_migration_state(saved), ==, "saving");
        g_assert_cmpstr(vgpu_get_migration_state(other), ==, "starting");
        vgpu_set_claim(saved, VGPU_CLAIM_NONE);
        g_assert_cmpuint(n, ==, 0);
        machine_free(m);
}

/* What has not got to it yet does not keep a machine waiting. */
static void test_gives_way(void) {
        static const char *const uuids[] = { UUID_1 };
        Machine *m = machine_with_gpus();
        VGpu *vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
        Heard heard = {};
        StartHold *wait;
        unsigned n = 0;

        g_assert_cmpint(probe(vgpu, &heard), ==, 0);
        g_assert_cmpint(start_hold_new(m->manager, uuids, 1, 60, on_closed, &n, &wait, NULL), ==, 0);
        g_assert_null(wait);
        g_assert_cmpuint(heard.n, ==, 1);
        g_assert_cmpint(heard.code, ==, -ERROR_BUSY);
        g_assert_null(fake_find_job(&m->fake, JOB_MIGRATION, GPU_A));
        machine_free(m);
}

/* Whoever asked has gone: what has begun goes on, and keeps others away until it has ended. */
static void test_abandoned(void) {
        static const char *const uuids[] = { UUID_1 };
        Machine *m = machine_with_gpus();
        VGpu *vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
        const DestroyRequest destroy = { .uuid = UUID_1 };
        Heard heard = {};
        StartHold *wait;
        unsigned n = 0;
        PlatformJob *job;

        g_assert_cmpint(probe(vgpu, &heard), ==, 0);
        migration_query_free(heard.query);
        g_assert_cmpstr(vgpu_get_migration_state(vgpu), ==, "none"); /* it had not begun */

        g_assert_cmpint(probe(vgpu, &heard), ==, 0);
        job = fake_find_job(&m->fake, JOB_MIGRATION, GPU_A);
        fake_begin(job);
        migration_query_free(heard.query);
        g_assert_cmpstr(vgpu_get_migration_state(vgpu), ==, "probing");
        g_assert_cmpint(manager_check_destroy(m->manager, &destroy, NULL), ==, -ERROR_BUSY);
        g_assert_cmpint(start_hold_new(m->manager, uuids, 1, 60, on_closed, &n, &wait, NULL), ==, 0);
        start_hold_free(wait);
        fake_finish(&m->fake, job);
        g_assert_cmpuint(heard.n, ==, 0);
        g_assert_cmpuint(n, ==, 0);
        g_assert_cmpstr(vgpu_get_migration_state(vgpu), ==, "starting");
        machine_free(m);
}

/* It is killed when it takes too long; who asked is told at once, and nobody else begins before it has ended. */
static void test_stuck(void) {
        Machine *m = machine_with_gpus();
        VGpu *vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
        const DestroyRequest destroy = { .uuid = UUID_1 };
        Error error = ERROR_NULL;
        Heard heard = {};
        PlatformJob *job;

        g_assert_cmpint(probe(vgpu, &heard), ==, 0);
        job = fake_find_job(&m->fake, JOB_MIGRATION, GPU_A);
        fake_time_out(job, 4711);
        g_assert_cmpuint(heard.n, ==, 1);
        g_assert_cmpint(heard.code, ==, -ERROR_TIMEOUT);
        g_assert_cmpint(migration_query_check(vgpu, &error), ==, -ERROR_BUSY);
        g_assert_nonnull(strstr(error.message, "process 4711 is stuck"));
        error = ERROR_NULL;
        g_assert_cmpint(manager_check_destroy(m->manager, &destroy, &error), ==, -ERROR_BUSY);
        g_assert_nonnull(strstr(error.message, "process 4711 is stuck"));
        fake_fail(job, -EPIPE, "it was killed");
        g_assert_cmpuint(heard.n, ==, 1);
        g_assert_cmpstr(vgpu_get_migration_state(vgpu), ==, "none");

        /* The model goes in the middle of it. */
        g_assert_cmpint(probe(vgpu, &heard), ==, 0);
        fake_begin(fake_find_job(&m->fake, JOB_MIGRATION, GPU_A));
        machine_free(m);
}

static void look(VGpu *vgpu, Heard *heard) {
        *heard = (Heard){};
        g_assert_cmpint(migration_query_new(vgpu, /* probe= */ false, on_migration, heard, &heard->query, NULL), ==, 0);
}

static PlatformJob *find_look(Machine *m) {
        return fake_find_job(&m->fake, JOB_MIGRATION, NULL);
}

/* Whoever asks without a probe shares a look with those who ask at the same time, and one that began after he asked. */
static void test_shared(void) {
        Machine *m = machine_with_gpus();
        VGpu *vgpu = machine_have_vgpu(m, GPU_A, UUID_1), *other = machine_have_vgpu(m, GPU_A, UUID_2);
        Heard first, second, third, left, elsewhere;
        PlatformJob *job, *its;

        look(vgpu, &first);
        job = find_look(m);
        fake_begin(job);
        look(vgpu, &second);
        look(vgpu, &third);
        look(vgpu, &left);
        g_assert_null(find_look(m));
        look(other, &elsewhere);
        its = find_look(m);
        g_assert_nonnull(its);
        migration_query_free(left.query);
        g_assert_cmpstr(vgpu_get_migration_state(vgpu), ==, "none");

        fake_finish(&m->fake, job);
        g_assert_cmpuint(first.n, ==, 1);
        g_assert_cmpuint(second.n + third.n + elsewhere.n, ==, 0);
        fake_finish(&m->fake, its);
        g_assert_cmpuint(elsewhere.n, ==, 1);

        /* One that takes too long is that for those who wait for it, and for nobody else. */
        job = find_look(m);
        look(vgpu, &first);
        fake_time_out(job, 4711);
        g_assert_cmpint(second.code, ==, -ERROR_TIMEOUT);
        g_assert_cmpint(third.code, ==, -ERROR_TIMEOUT);
        g_assert_cmpuint(first.n, ==, 0);
        fake_finish(&m->fake, find_look(m));
        g_assert_cmpuint(first.n, ==, 1);
        g_assert_cmpint(first.code, ==, 0);
        g_assert_cmpuint(second.n + third.n, ==, 2);
        g_assert_cmpuint(left.n, ==, 0);
        machine_free(m);
}

/* So many looks are made at once, and the others in their time; none for whoever does not want it any more. */
static void test_bounded(void) {
        Machine *m = machine_with_gpus();
        VGpu *vgpu = machine_have_vgpu(m, GPU_A, UUID_1), *other = machine_have_vgpu(m, GPU_A, UUID_2);
        Heard heard, late, left;
        unsigned n = 0;

        for (;; n++) {
                look(vgpu, &heard);
                if (!find_look(m))
                        break;
                fake_finish(&m->fake, find_look(m));
                g_assert_cmpuint(heard.n, ==, 1);
                g_assert_cmpuint(n, <, 1000);
        }
        g_assert_cmpuint(n, ==, 16);
        look(other, &left);
        migration_query_free(left.query);
        look(other, &late);
        while (heard.n + late.n < 2)
                machine_settle(m);
        g_assert_cmpint(heard.code, ==, 0);
        g_assert_cmpint(late.code, ==, 0);
        g_assert_cmpuint(left.n, ==, 0);
        machine_free(m);
}

/* Nobody waits for ever: neither for a look that has begun, which goes on for nobody, nor for one that has not. */
static void test_look_late(void) {
        Machine *m = machine_with_gpus();
        VGpu *vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
        Heard first, second, third;
        PlatformJob *job;

        look(vgpu, &first);
        job = find_look(m);
        fake_begin(job);
        look(vgpu, &second);
        look(vgpu, &third);
        g_assert_cmpint(sd_event_source_set_time(first.query->deadline, 0), >=, 0);
        g_assert_cmpint(sd_event_source_set_time(second.query->deadline, 0), >=, 0);
        machine_turn(m);
        g_assert_cmpint(first.code, ==, -ERROR_TIMEOUT);
        g_assert_cmpint(second.code, ==, -ERROR_TIMEOUT);
        g_assert_cmpuint(first.n + second.n + third.n, ==, 2);

        fake_finish(&m->fake, job);
        fake_finish(&m->fake, find_look(m));
        g_assert_cmpint(third.code, ==, 0);
        g_assert_cmpuint(first.n + second.n + third.n, ==, 3);
        machine_free(m);
}

/* The vGPU goes, and who waits for the next look at it is told. */
static void test_gone(void) {
        Machine *m = machine_with_gpus();
        VGpu *vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
        Heard first, second;
        PlatformJob *job;

        look(vgpu, &first);
        job = find_look(m);
        fake_begin(job);
        look(vgpu, &second);
        g_assert_cmpint(machine_remove_mdev(m, UUID_1), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_settle(m);
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        fake_finish(&m->fake, job);
        g_assert_cmpuint(first.n, ==, 1);
        g_assert_cmpint(second.code, ==, -ERROR_NO_SUCH_VGPU);
        machine_free(m);
}

/* The GPU goes, and the model, with some under way and some that wait. */
static void test_gpu_gone(void) {
        Machine *m = machine_with_gpus();
        VGpu *vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
        Heard first, second;

        look(vgpu, &first);
        fake_begin(find_look(m));
        look(vgpu, &second);
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
        machine_turn(m);
        g_assert_cmpint(first.code, ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(second.code, ==, -ERROR_NO_SUCH_GPU);

        vgpu = machine_have_vgpu(m, GPU_B, UUID_2);
        look(vgpu, &first);
        fake_begin(find_look(m));
        look(vgpu, &second);
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/migration/hold-waits", test_hold_waits);
        g_test_add_func("/migration/hold-beside-save", test_hold_beside_save);
        g_test_add_func("/migration/gives-way", test_gives_way);
        g_test_add_func("/migration/abandoned", test_abandoned);
        g_test_add_func("/migration/stuck", test_stuck);
        g_test_add_func("/migration/shared", test_shared);
        g_test_add_func("/migration/bounded", test_bounded);
        g_test_add_func("/migration/look-late", test_look_late);
        g_test_add_func("/migration/gone", test_gone);
        g_test_add_func("/migration/gpu-gone", test_gpu_gone);

        return g_test_run();
}
