/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Destroying, and what cuts across both: the GPU goes, the caller goes, the daemon ends, answers come in the wrong order.
 */

#include <fcntl.h>

#include "machine.h"

static void test_destroy(void) {
        Machine *m = machine_with_gpus();
        Answer answer = { .log = m->log };
        unsigned n;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        (void)machine_destroy(m, "11111111-2FA1-4D2E-883F-0016D3CCA427", &answer);
        machine_expect_log(m, "vgpu 1111 removing\n");
        fake_finish(&m->fake, machine_find_remove(m));
        machine_expect_log(m, "-vgpu 1111\ntype " TYPE_1 " available=4\ntype " TYPE_2 " available=4\nanswered\n");
        g_assert_false(machine_has_mdev(m, UUID_1));
        g_assert_false(machine_has_record(m, UUID_1));

        /* Its event comes afterwards. */
        n = m->fake.n_submitted;
        machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
        g_assert_cmpuint(m->fake.n_submitted, ==, n);
        machine_free(m);
}

static void test_destroy_in_use(void) {
        _cleanup_(fd_closep) int fd = -EBADF;
        Machine *m = machine_with_gpus();
        Answer answer = { .log = m->log };

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        fd = openat(m->sim.host.dev_fd, "vfio/0", O_RDWR | O_CLOEXEC);
        (void)machine_destroy(m, UUID_1, &answer);
        machine_settle(m);
        machine_expect_log(m, "vgpu 1111 removing\nvgpu 1111 active\nrefused\nvgpu 1111 use=yes\n");
        g_assert_cmpint(answer.error.code, ==, -ERROR_IN_USE);
        g_assert_true(machine_has_record(m, UUID_1));

        fd = fd_close(fd);
        (void)machine_destroy(m, UUID_1, &answer);
        machine_settle(m);
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        machine_free(m);
}

static void test_destroy_unmanaged(void) {
        Machine *m = machine_with_gpus();
        DestroyRequest request = { .uuid = UUID_1 };
        Error error = ERROR_NULL;
        Answer answer = {};

        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_settle(m);
        g_assert_cmpint(manager_check_destroy(m->manager, &request, &error), ==, -ERROR_NOT_MANAGED);
        g_assert_cmpint(manager_destroy_vgpu(m->manager, &request, NULL, NULL, NULL, &error), ==, -ERROR_NOT_MANAGED);
        request.unmanaged = true;
        g_assert_cmpint(manager_destroy_vgpu(m->manager, &request, machine_on_answer, &answer, NULL, &error), ==, 0);
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);
        g_assert_false(machine_has_mdev(m, UUID_1));
        machine_free(m);
}

/* Somebody holds it and nobody saw him: the removal waits, alone. */
static void test_destroy_stuck(void) {
        Machine *m = machine_with_gpus();
        DestroyRequest request = { .uuid = UUID_1 };
        Error error = ERROR_NULL;
        Answer answer = {};
        PlatformJob *job;
        VGpu *vgpu;

        vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
        (void)machine_destroy(m, UUID_1, &answer);
        job = machine_find_remove(m);
        fake_time_out(job, 4711);
        g_assert_cmpint(answer.error.code, ==, -ERROR_TIMEOUT);
        g_assert_nonnull(strstr(answer.error.message, "4711"));
        machine_expect_log(m, "vgpu 1111 removing\nvgpu 1111 error\n");
        g_assert_nonnull(strstr(vgpu->last_error, "4711"));
        g_assert_cmpint(manager_check_destroy(m->manager, &request, &error), ==, -ERROR_BUSY);
        machine_assert_refused(m, &(CreateRequest){ GPU_A, TYPE_1, UUID_1 }, -ERROR_ALREADY_EXISTS, "removed");

        /* The kernel shows it no more while it waits; its GPU makes others. */
        fake_run(&m->fake, job);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        machine_settle(m);
        g_assert_true(manager_find_vgpu(m->manager, UUID_1) == vgpu);
        g_assert_cmpint(vgpu->state, ==, VGPU_REMOVING);
        (void)machine_have_vgpu(m, GPU_A, UUID_2);

        fake_finish(&m->fake, job);
        machine_expect_log(m, "-vgpu 1111\ntype " TYPE_1 " available=4\ntype " TYPE_2 " available=4\n");
        g_assert_cmpuint(answer.n, ==, 1);
        machine_settle(m);
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_1), ==, 3);
        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        machine_free(m);
}

/* It failed when nobody heard the answer any more: the vGPU itself says why it is there. */
static void test_destroy_fails_late(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        PlatformJob *job;
        VGpu *vgpu;

        vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
        (void)machine_destroy(m, UUID_1, &answer);
        job = machine_find_remove(m);
        fake_time_out(job, 4711);
        fake_fail(job, -EPIPE, "the worker died");
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);
        g_assert_cmpint(vgpu->state, ==, VGPU_ACTIVE);
        g_assert_cmpstr(vgpu->last_error, ==, "the worker died");
        machine_free(m);
}

/* Its worker died, before it did anything, after it did all of it, or each time. */
static void test_worker_dies(void) {
        Machine *m = machine_with_gpus();
        PlatformJob *job;
        VGpu *vgpu;

        for (unsigned i = 0; i < 3; i++) {
                Answer answer = {};

                vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
                (void)machine_destroy(m, UUID_1, &answer);
                job = machine_find_remove(m);
                if (i == 1)
                        fake_run(&m->fake, job);
                fake_fail(job, -EPIPE, "the worker died");
                g_assert_cmpuint(answer.n, ==, 0);
                g_assert_cmpint(vgpu->state, ==, VGPU_REMOVING);

                job = machine_find_remove(m);
                if (i == 2)
                        fake_fail(job, -EPIPE, "the worker died again");
                else
                        fake_finish(&m->fake, job);
                machine_settle(m);
                g_assert_cmpuint(answer.n, ==, 1);
                g_assert_cmpint(answer.error.code, ==, i == 2 ? -EPIPE : 0);
                g_assert_true((manager_find_vgpu(m->manager, UUID_1) != NULL) == (i == 2));
        }

        machine_free(m);
}

/* What was read before a removal ended does not bring the vGPU back. */
static void test_stale(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        PlatformJob *sync;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        sync = fake_find_job(&m->fake, JOB_SYNC, GPU_A);
        fake_run(&m->fake, sync);
        (void)machine_destroy(m, UUID_1, &answer);
        fake_finish(&m->fake, machine_find_remove(m));
        machine_clear_log(m);

        fake_finish(&m->fake, sync);
        machine_expect_log(m, "");
        g_assert_nonnull(fake_find_job(&m->fake, JOB_SYNC, GPU_A));
        machine_settle(m);
        machine_expect_log(m, "");
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_1), ==, 4);
        machine_free(m);
}

/* The card is pulled in the middle of everything. */
static void test_unplugged(void) {
        Machine *m = machine_with_gpus();
        Answer running = {}, waiting = {}, removing = {}, stuck = {};
        PlatformJob *create, *removal;

        (void)machine_have_vgpu(m, GPU_A, UUID_2);
        (void)machine_have_vgpu(m, GPU_A, UUID_3);
        (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &running);
        create = machine_find_create(m);
        fake_begin(create);
        (void)machine_create(m, GPU_A, TYPE_1, "", &waiting);
        (void)machine_destroy(m, UUID_2, &stuck);
        removal = machine_find_remove(m);
        fake_time_out(removal, 4711);
        (void)machine_destroy(m, UUID_3, &removing);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);

        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
        g_assert_cmpint(running.error.code, ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(waiting.error.code, ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(removing.error.code, ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(stuck.error.code, ==, -ERROR_TIMEOUT);
        g_assert_false(machine_has_record(m, UUID_1) || machine_has_record(m, UUID_2) || machine_has_record(m, UUID_3));
        g_assert_true(list_is_empty(&m->manager->operations));
        g_assert_cmpuint(m->manager->vgpus.n, ==, 0);

        /* What had begun ends, for nobody. */
        fake_finish(&m->fake, create);
        fake_fail(removal, -ERROR_NO_SUCH_VGPU, "gone");
        machine_settle(m);
        g_assert_true(running.n == 1 && waiting.n == 1 && removing.n == 1 && stuck.n == 1);
        machine_free(m);
}

static void test_abandon(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        Operation *operation;
        PlatformJob *job;

        /* Nothing had begun: nothing comes of it. */
        operation = machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);
        operation_abandon(operation);
        g_assert_true(list_is_empty(&m->fake.jobs));
        g_assert_false(machine_has_record(m, UUID_1));
        g_assert_true(list_is_empty(&m->manager->operations));

        /* It had: it is completed and stays. */
        operation = machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);
        job = machine_find_create(m);
        fake_begin(job);
        operation_abandon(operation);
        fake_finish(&m->fake, job);
        machine_settle(m);
        machine_expect_log(m, "type " TYPE_1 " available=3\ntype " TYPE_2 " available=3\n"
                              "+vgpu 1111 " TYPE_1 " active managed\n");

        operation = machine_destroy(m, UUID_1, &answer);
        operation_abandon(operation);
        machine_settle(m);
        machine_expect_log(m, "vgpu 1111 removing\nvgpu 1111 active\n");
        operation = machine_destroy(m, UUID_1, &answer);
        job = machine_find_remove(m);
        fake_begin(job);
        operation_abandon(operation);
        fake_finish(&m->fake, job);
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        g_assert_cmpuint(answer.n, ==, 0);
        machine_free(m);
}

/* The daemon ends: nobody is told, what had begun goes on, and the next daemon knows what is its own. */
static void test_shutdown(void) {
        Machine *m = machine_with_gpus();
        Answer answers[4] = {};
        PlatformJob *create, *removal;
        IdleWait *wait;

        (void)machine_have_vgpu(m, GPU_A, UUID_2);
        (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &answers[0]);
        create = machine_find_create(m);
        fake_run(&m->fake, create);
        (void)machine_create(m, GPU_B, TYPE_1, UUID_3, &answers[1]);
        (void)machine_destroy(m, UUID_2, &answers[2]);
        removal = machine_find_remove(m);
        fake_time_out(removal, 4711);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_B);
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_B "/99999999-2fa1-4d2e-883f-0016d3cca427");
        g_assert_cmpint(manager_wait_idle(m->manager, NULL, NULL, &wait), ==, 0);
        machine_clear_log(m);

        machine_restart(m);
        machine_expect_log(m, "");
        g_assert_true(answers[0].n == 0 && answers[1].n == 0 && answers[2].n == 1);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
        g_assert_true(manager_find_vgpu(m->manager, UUID_1)->managed);
        g_assert_true(manager_find_vgpu(m->manager, UUID_2)->managed);
        manager_prune_records(m->manager);
        g_assert_true(machine_has_record(m, UUID_1) && machine_has_record(m, UUID_2));
        g_assert_false(machine_has_record(m, UUID_3));
        machine_free(m);
}

/* Each removal has a worker of its own, so that what the first one counted may be heard last. */
static void test_counts_out_of_order(void) {
        Machine *m = machine_with_gpus();
        PlatformJob *first, *second;
        Answer answers[2] = {};
        uint32_t before = machine_available(m, GPU_A, TYPE_1);

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        (void)machine_have_vgpu(m, GPU_A, UUID_2);
        (void)machine_destroy(m, UUID_1, &answers[0]);
        (void)machine_destroy(m, UUID_2, &answers[1]);
        first = machine_find_remove(m);
        fake_run(&m->fake, first);
        second = machine_find_remove(m);
        fake_run(&m->fake, second);
        fake_finish(&m->fake, second);
        fake_finish(&m->fake, first);
        machine_settle(m);

        g_assert_true(answers[0].n == 1 && answers[1].n == 1);
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_1), ==, before);
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/destroy/done", test_destroy);
        g_test_add_func("/destroy/in-use", test_destroy_in_use);
        g_test_add_func("/destroy/unmanaged", test_destroy_unmanaged);
        g_test_add_func("/destroy/stuck", test_destroy_stuck);
        g_test_add_func("/destroy/fails-late", test_destroy_fails_late);
        g_test_add_func("/destroy/worker-dies", test_worker_dies);
        g_test_add_func("/destroy/stale", test_stale);
        g_test_add_func("/destroy/counts-out-of-order", test_counts_out_of_order);
        g_test_add_func("/operation/unplugged", test_unplugged);
        g_test_add_func("/operation/abandon", test_abandon);
        g_test_add_func("/operation/shutdown", test_shutdown);

        return g_test_run();
}
