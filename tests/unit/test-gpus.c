/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * GPUs, their types and what is found on them: what the model says after events that are early, late, repeated or lost.
 */

#include <fcntl.h>
#include <sys/stat.h>

#include "core/record.h"
#include "machine.h"
#include "util/file.h"

#define TYPES_READ                                                                                                     \
        "+type " TYPE_1 " registered 4\n"                                                                              \
        "+type " TYPE_2 " registered 4\n"

#define CARD_READ(gpu)                                                                                                 \
        "gpu " gpu " name='Simulated GPU' backend=shim\n"                                                              \
        "gpu " gpu " state=ready\n"

static void test_appear(void) {
        Machine *m = machine_new();

        machine_set_types(m, 2, 2);
        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SHIM, 8 * GIB), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_turn(m);
        machine_expect_log(m, "+gpu " GPU_A " probing\n");
        g_assert_false(manager_is_settled(m->manager));

        /* Who sees it become ready sees its types. */
        machine_settle(m);
        machine_expect_log(m, TYPES_READ CARD_READ(GPU_A));
        g_assert_true(manager_is_settled(m->manager));
        machine_free(m);
}

/* What mdevgpud.yaml says of all types goes with each. */
static void test_settings(void) {
        Machine *m = machine_with_gpus();
        Settings *settings = settings_new();
        const Job *job;

        for (unsigned i = 0; i < 2; i++) {
                gpu_mark_dirty(machine_gpu(m, GPU_A), /* may_register= */ true);
                job = &fake_find_job(&m->fake, JOB_SYNC, GPU_A)->job;
                g_assert_cmpuint(job->n_types, ==, 2);
                for (size_t k = 0; k < job->n_types; k++)
                        g_assert_true(job->types[k].nvidia_newer == (i == 1) &&
                                      job->types[k].nvidia_legacy == (i == 1));
                machine_settle(m);
                if (i == 0) {
                        settings->nvidia_newer = settings->nvidia_legacy = true;
                        manager_set_settings(m->manager, settings);
                        machine_settle(m);
                }
        }
        machine_free(m);
}

/* In which states vGPUs can be made: also where the daemon can do nothing for a driver, but that offers types by itself. */
static void test_states(void) {
        static const struct {
                GpuState state;
                bool with_types, without;
        } rows[GPU_STATE_MAX] = {
                { GPU_PROBING, false, false },       { GPU_READY, true, true },
                { GPU_NO_DRIVER, false, false },     { GPU_UNSUPPORTED, false, false },
                { GPU_BUSY, false, false },          { GPU_FAILED, false, false },
                { GPU_HOST_READY, true, true },      { GPU_NOT_VGPU_HOST, true, false },
                { GPU_LAYOUT_UNKNOWN, true, false }, { GPU_DEGRADED, true, true },
        };
        Machine *m = machine_new();
        Gpu *gpu;

        for (unsigned with = 0; with < 2; with++) {
                machine_set_types(m, with * 2, 2);
                if (with == 0)
                        machine_add_gpu(m, GPU_A);
                machine_settle(m);
                gpu = machine_gpu(m, GPU_A);
                g_assert_cmpint(gpu_offers_type(gpu), ==, with == 1);
                for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
                        gpu->state = rows[i].state;
                        g_assert_nonnull(gpu_state_to_string(gpu->state));
                        g_assert_cmpint(gpu_makes_vgpus(gpu), ==, with == 1 ? rows[i].with_types : rows[i].without);
                }
                gpu->state = GPU_READY;
        }
        machine_free(m);
}

static void test_repeats(void) {
        Machine *m = machine_new();
        unsigned n;

        machine_set_types(m, 2, 2);
        machine_add_gpu(m, GPU_A);
        g_assert_cmpint(sim_host_plug(&m->sim, "mtty", SIM_GPU_MTTY, 24), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
        g_assert_cmpstr(machine_gpu(m, "mtty")->backend, ==, "mdev");
        (void)machine_have_vgpu(m, GPU_A, UUID_1);

        /* However many hints there are, each GPU is read at most once more than it is already. */
        n = m->fake.n_submitted;
        for (unsigned i = 0; i < 50; i++) {
                g_assert_cmpint(manager_scan(m->manager), ==, 0);
                machine_uevent(m, UEVENT_ADD, UEVENT_PCI, PATH_A);
                machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
                machine_uevent(m, UEVENT_BIND, UEVENT_PCI, PATH_A);
                machine_uevent(m, UEVENT_ADD, UEVENT_MDEVGPU, PATH_A "/mdevgpu/gpu0");
                machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_A "/" UUID_1);
                machine_uevent(m, UEVENT_BIND, UEVENT_MDEV, PATH_A "/" UUID_1);
                machine_uevent(m, UEVENT_CHANGE, UEVENT_PARENT, "/devices/virtual/mtty/mtty");
                machine_uevent(m, UEVENT_OTHER, UEVENT_PCI, PATH_A);
        }
        machine_settle(m);
        g_assert_cmpuint(m->fake.n_submitted - n, <=, 4);
        machine_expect_log(m, "");

        /* What is no GPU is none of our business. */
        machine_uevent(m, UEVENT_ADD, UEVENT_PCI, "/devices/pci0000:00/0000:00:1f.2");
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, "/devices/pci0000:00/0000:00:1f.2");
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, "/devices/pci0000:00/0000:00:1f.2/" UUID_2);
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, "/" UUID_2);
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_A "/no-uuid");
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEVGPU, "/x");
        machine_settle(m);
        machine_expect_log(m, "");
        machine_free(m);
}

static void test_disappear(void) {
        Machine *m = machine_new();

        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        machine_add_gpu(m, GPU_B);
        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        (void)machine_have_vgpu(m, GPU_B, UUID_2);

        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
        machine_expect_log(m, "-vgpu 1111\n-type " TYPE_1 "\n-gpu " GPU_A "\n");
        g_assert_false(machine_has_record(m, UUID_1));
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
        machine_expect_log(m, "");

        /* Its event was lost. */
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_B), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_expect_log(m, "-vgpu 2222\n-type " TYPE_1 "\n-gpu " GPU_B "\n");
        g_assert_false(machine_has_record(m, UUID_2));
        machine_free(m);
}

static void put_attribute(Machine *m, const char *name, const char *value) {
        g_autofree char *path = g_strdup_printf("%s/sys/bus/pci/devices/" GPU_A "/%s", m->root, name);

        g_assert_cmpint(chmod(path, 0600), ==, 0);
        g_assert_true(g_file_set_contents(path, value, -1, NULL));
}

static void test_replaced(void) {
        Machine *m = machine_new();

        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        (void)machine_have_vgpu(m, GPU_A, UUID_1);

        put_attribute(m, "subsystem_device", "0x0002\n");
        machine_uevent(m, UEVENT_ADD, UEVENT_PCI, PATH_A);
        machine_expect_log(m, "-vgpu 1111\n-type " TYPE_1 "\n-gpu " GPU_A "\n+gpu " GPU_A " probing\n");
        g_assert_cmpuint(machine_gpu(m, GPU_A)->identity.subsystem_device, ==, 2);
        machine_free(m);
}

/* Without its driver it stays, as a card that nothing can be made on. */
static void test_unbound(void) {
        Machine *m = machine_new();
        g_autofree char *driver = NULL, *node = NULL;

        machine_add_gpu(m, GPU_A);
        driver = g_strdup_printf("%s/sys" PATH_A "/driver", m->root);
        node = g_strdup_printf("%s/sys" PATH_A "/mdevgpu/gpu0", m->root);
        g_assert_cmpint(remove(node), ==, 0);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        machine_settle(m);
        g_assert_cmpint(machine_gpu(m, GPU_A)->state, ==, GPU_UNSUPPORTED);
        g_assert_cmpint(remove(driver), ==, 0);
        machine_uevent(m, UEVENT_UNBIND, UEVENT_PCI, PATH_A);
        machine_settle(m);
        g_assert_cmpint(machine_gpu(m, GPU_A)->state, ==, GPU_NO_DRIVER);
        machine_free(m);
}

static void test_adopt(void) {
        Machine *m = machine_new();

        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_2), ==, 0);
        /* A record of another type is not of this one. */
        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_3), ==, 0);
        g_assert_cmpint(machine_write_record(m, UUID_3, RECORD_MADE, GPU_A, TYPE_2), ==, 0);

        machine_restart(m);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        manager_prune_records(m->manager); /* it is not known yet what exists */
        g_assert_true(machine_has_record(m, UUID_1));
        machine_settle(m);
        g_assert_true(manager_find_vgpu(m->manager, UUID_1)->managed);
        g_assert_false(manager_find_vgpu(m->manager, UUID_2)->managed);
        g_assert_false(manager_find_vgpu(m->manager, UUID_3)->managed);
        g_assert_nonnull(strstr(m->log->str, "+vgpu 1111 " TYPE_1 " active managed\n"));
        g_assert_nonnull(strstr(m->log->str, "+vgpu 2222 " TYPE_1 " active\n"));
        machine_free(m);
}

static void test_prune(void) {
        Machine *m = machine_new();

        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        g_assert_cmpint(machine_write_record(m, UUID_2, RECORD_MADE, GPU_A, TYPE_1), ==, 0);
        g_assert_cmpint(file_replace(m->state_fd, "left-over", ""), ==, 0);

        manager_prune_records(m->manager);
        g_assert_true(machine_has_record(m, UUID_1));
        g_assert_false(machine_has_record(m, UUID_2));
        g_assert_false(path_exists(m->state_fd, "left-over"));
        machine_free(m);
}

static void wait_a_moment(Machine *m, unsigned msec) {
        for (gint64 end = g_get_monotonic_time() + msec * 1000; g_get_monotonic_time() < end;)
                g_assert_cmpint(sd_event_run(m->event, 5000), >=, 0);
}

#define WAIT_FOR(m, condition)                                                                                         \
        do {                                                                                                           \
                gint64 end_ = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;                                            \
                while (!(condition)) {                                                                                 \
                        if (g_get_monotonic_time() > end_)                                                             \
                                g_error("%s:%i: waited in vain for: %s", __FILE__, __LINE__, #condition);              \
                        g_assert_cmpint(sd_event_run((m)->event, 10000), >=, 0);                                       \
                }                                                                                                      \
        } while (0)

/* An mdev's events precede the link that proves it. */
static void test_expect(void) {
        Machine *m = machine_new();
        unsigned n;

        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        machine_clear_log(m);

        n = m->fake.n_submitted;
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_uevent(m, UEVENT_BIND, UEVENT_MDEV, PATH_A "/" UUID_1);
        wait_a_moment(m, 60);
        g_assert_cmpuint(m->fake.n_submitted, ==, n);

        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
        WAIT_FOR(m, m->fake.n_submitted > n);
        g_assert_cmpuint(m->fake.n_submitted, ==, n + 1);
        machine_settle(m);
        machine_expect_log(m, "type " TYPE_1 " available=3\n+vgpu 1111 " TYPE_1 " active\n");

        /* One that is complete at once. */
        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_2), ==, 0);
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_A "/" UUID_2);
        g_assert_cmpuint(m->fake.n_submitted, ==, n + 2);
        machine_settle(m);
        g_assert_cmpuint(machine_gpu(m, GPU_A)->n_expected, ==, 0);
        machine_free(m);
}

/* Many at once are waited for as long as one, and none for ever. */
static void test_expect_many(void) {
        Machine *m = machine_new();

        machine_set_types(m, 1, 1);
        machine_add_gpu(m, GPU_A);
        machine_clear_log(m);
        for (unsigned i = 0; i < 300; i++) {
                g_autofree char *path = g_strdup_printf(PATH_A "/%08x-2fa1-4d2e-883f-0016d3cca427", i);

                machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, path);
        }
        g_assert_cmpuint(machine_gpu(m, GPU_A)->n_expected, ==, 300);

        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, "00000000-2fa1-4d2e-883f-0016d3cca427"), ==, 0);
        WAIT_FOR(m, fake_find_job(&m->fake, JOB_SYNC, GPU_A));
        machine_settle(m);
        machine_expect_log(m, "type " TYPE_1 " available=7\n+vgpu 0000 " TYPE_1 " active\n");

        WAIT_FOR(m, machine_gpu(m, GPU_A)->n_expected == 0);
        machine_free(m);
}

static void test_removed_by_others(void) {
        Machine *m = machine_new();

        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        (void)machine_have_vgpu(m, GPU_A, UUID_1);

        g_assert_cmpint(machine_remove_mdev(m, UUID_1), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_settle(m);
        machine_expect_log(m, "type " TYPE_1 " available=4\n-vgpu 1111\n");
        g_assert_false(machine_has_record(m, UUID_1));
        machine_free(m);
}

/* It was read, and went before what was read arrived: the event is all that tells. */
static void test_removed_while_read(void) {
        Machine *m = machine_new();
        PlatformJob *sync;

        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        sync = fake_find_job(&m->fake, JOB_SYNC, GPU_A);
        fake_run(&m->fake, sync);

        g_assert_cmpint(machine_remove_mdev(m, UUID_1), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
        fake_finish(&m->fake, sync);
        machine_settle(m);
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        machine_free(m);
}

/* A UUID that is used anew, on another GPU or with another type, is not the vGPU that we made. */
static void test_moved(void) {
        Machine *m = machine_new();
        VGpu *vgpu;

        machine_set_types(m, 2, 2);
        machine_add_gpu(m, GPU_A);
        machine_add_gpu(m, GPU_B);
        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        (void)machine_have_vgpu(m, GPU_A, UUID_2);

        g_assert_cmpint(machine_remove_mdev(m, UUID_1), ==, 0);
        g_assert_cmpint(machine_make_mdev(m, GPU_B, TYPE_1, UUID_1), ==, 0);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_B);
        machine_settle(m);
        vgpu = manager_find_vgpu(m->manager, UUID_1);
        g_assert_nonnull(vgpu);
        g_assert_cmpstr(vgpu->gpu->identity.address, ==, GPU_B);
        g_assert_false(vgpu->managed);

        g_assert_cmpint(machine_remove_mdev(m, UUID_2), ==, 0);
        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_2, UUID_2), ==, 0);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        machine_settle(m);
        g_assert_cmpstr(manager_find_vgpu(m->manager, UUID_2)->type_id, ==, TYPE_2);
        g_assert_false(manager_find_vgpu(m->manager, UUID_2)->managed);
        machine_free(m);
}

/* A timer that would fire later fires now. */
static void hurry(Machine *m, sd_event_source *source) {
        g_assert_nonnull(source);
        g_assert_cmpint(sd_event_source_set_time(source, 0), >=, 0);
        machine_turn(m);
}

static void test_failing(void) {
        g_autofree char *sentence = g_strnfill(400, 'x');
        Machine *m = machine_new();
        unsigned n = 0;
        Gpu *gpu;

        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        gpu = machine_gpu(m, GPU_A);
        machine_clear_log(m);

        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        fake_fail(fake_find_job(&m->fake, JOB_SYNC, GPU_A), -EIO, sentence);
        machine_expect_log(m, "gpu " GPU_A " state=failed\n");

        /* The same failure again is no news, and not tried for ever. Other events do not hasten it. */
        while (gpu->retry) {
                uint64_t now, then;

                g_assert_cmpint(sd_event_now(m->event, CLOCK_MONOTONIC, &now), >=, 0);
                g_assert_cmpint(sd_event_source_get_time(gpu->retry, &then), >=, 0);
                g_assert_cmpuint(then - now, >, (UINT64_C(500000) << n));
                n++;
                machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_A "/" UUID_3);
                hurry(m, gpu->retry);
                fake_fail(fake_find_job(&m->fake, JOB_SYNC, GPU_A), -EIO, sentence);
        }
        g_assert_cmpuint(n, ==, 5);
        machine_expect_log(m, "");

        /* The next event does, and it is whole again. */
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        machine_settle(m);
        machine_expect_log(m, "gpu " GPU_A " state=ready\n");
        machine_free(m);
}

/* Somebody else keeps it for himself: nothing tells when that ends, so it is looked at for ever, every 16 s in the end. */
static void test_kept(void) {
        Machine *m = machine_new();
        uint64_t now = 0, then = 0;
        Gpu *gpu;

        machine_add_gpu(m, GPU_A);
        gpu = machine_gpu(m, GPU_A);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        for (unsigned i = 0; i < 9; i++) {
                fake_fail(fake_find_job(&m->fake, JOB_SYNC, GPU_A), -ERROR_BUSY, "it is owned by process 1");
                g_assert_cmpint(gpu->state, ==, GPU_FAILED);
                g_assert_cmpint(sd_event_now(m->event, CLOCK_MONOTONIC, &now), >=, 0);
                g_assert_nonnull(gpu->retry);
                g_assert_cmpint(sd_event_source_get_time(gpu->retry, &then), >=, 0);
                hurry(m, gpu->retry);
        }
        g_assert_cmpuint(then - now, >, 15000000);
        g_assert_cmpuint(then - now, <, 17000000);
        machine_settle(m);
        g_assert_cmpint(gpu->state, ==, GPU_READY);
        machine_free(m);
}

/* No worker can be started. */
static void test_no_worker(void) {
        Machine *m = machine_new();

        m->fake.refuse = -EAGAIN;
        machine_add_gpu(m, GPU_A);
        g_assert_cmpint(machine_gpu(m, GPU_A)->state, ==, GPU_FAILED);
        m->fake.refuse = 0;
        hurry(m, machine_gpu(m, GPU_A)->retry);
        machine_settle(m);
        g_assert_cmpint(machine_gpu(m, GPU_A)->state, ==, GPU_READY);
        machine_free(m);
}

static void test_stuck(void) {
        Machine *m = machine_new();
        PlatformJob *sync;

        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        machine_add_gpu(m, GPU_B);
        machine_clear_log(m);

        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        sync = fake_find_job(&m->fake, JOB_SYNC, GPU_A);
        fake_time_out(sync, 4711);
        machine_expect_log(m, "gpu " GPU_A " state=busy\n");
        g_assert_nonnull(strstr(machine_gpu(m, GPU_A)->reason, "4711"));
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        machine_settle(m);
        machine_expect_log(m, "");

        /* Everything else goes on. */
        (void)machine_have_vgpu(m, GPU_B, UUID_1);

        /* Its late answer is an answer; what was asked meanwhile is read then. */
        fake_finish(&m->fake, sync);
        g_assert_nonnull(fake_find_job(&m->fake, JOB_SYNC, GPU_A));
        machine_settle(m);
        machine_expect_log(m, "gpu " GPU_A " state=ready\n");
        machine_free(m);
}

/* A stuck worker's GPU goes: whatever comes of it concerns nobody. */
static void test_stuck_and_gone(void) {
        Machine *m = machine_new();
        PlatformJob *sync;

        machine_add_gpu(m, GPU_A);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        sync = fake_find_job(&m->fake, JOB_SYNC, GPU_A);
        fake_time_out(sync, 4711);
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
        fake_fail(sync, -EIO, "late");
        g_assert_null(manager_find_gpu(m->manager, GPU_A));
        machine_free(m);
}

static void test_profiles(void) {
        Machine *m = machine_new();

        /* As long as no configuration was good nobody knows what there should be. */
        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        machine_restart(m);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
        g_assert_cmpint(gpu_find_type_by_id(machine_gpu(m, GPU_A), TYPE_1)->report.registration, ==,
                        REGISTRATION_RETIRED);

        machine_clear_log(m);
        machine_set_types(m, 2, 2);
        machine_settle(m);
        machine_expect_log(m, "type " TYPE_1 " available=4 registered\n+type " TYPE_2 " registered 4\n");
        machine_set_types(m, 2, 4);
        machine_settle(m);
        machine_expect_log(m, "type " TYPE_1 " definition available=2\ntype " TYPE_2 " definition available=2\n");
        machine_set_types(m, 1, 4);
        machine_settle(m);
        machine_expect_log(m, "-type " TYPE_2 "\n");

        /* One that does not fit the card is refused, and the set as a whole with it. */
        machine_set_types(m, 1, 9);
        machine_settle(m);
        machine_expect_log(m, "type " TYPE_1 " differs\n");
        machine_free(m);
}

/* Types that would disturb living vGPUs wait until the last one goes; what disturbs none is done at once. */
static void test_pending(void) {
        Machine *m = machine_new();
        Answer answer = {};
        Error error = ERROR_NULL;

        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        (void)machine_have_vgpu(m, GPU_A, UUID_1);

        machine_set_types(m, 2, 4);
        machine_settle(m);
        machine_expect_log(m, "type " TYPE_1 " definition available=1\n+type " TYPE_2 " pending 0\ngpu " GPU_A
                              " pending=1\n");
        g_assert_cmpint(
                manager_create_vgpu(m->manager, &(CreateRequest){ GPU_A, TYPE_2, "" }, NULL, NULL, NULL, &error), ==,
                -ERROR_BUSY);

        (void)machine_destroy(m, UUID_1, &answer);
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_1), ==, 2);
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_2), ==, 2);
        g_assert_false(machine_gpu(m, GPU_A)->pending_types);
        machine_free(m);
}

/* The same where its profile wants that somebody asks for it. */
static void test_pending_manual(void) {
        Machine *m = machine_new();
        Answer answer = {};

        m->pending_manual = true;
        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        machine_set_types(m, 2, 4);
        machine_settle(m);

        (void)machine_destroy(m, UUID_1, &answer);
        machine_settle(m);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        machine_settle(m);
        g_assert_true(machine_gpu(m, GPU_A)->pending_types);
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_2), ==, 0);

        machine_set_types(m, 2, 4);
        machine_settle(m);
        g_assert_false(machine_gpu(m, GPU_A)->pending_types);
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_2), ==, 2);
        machine_free(m);
}

/* The driver refused because of a vGPU that went before the refusal arrived: by us, or by somebody else. */
static void test_pending_race(gconstpointer data) {
        bool by_us = GPOINTER_TO_INT(data);
        Machine *m = machine_new();
        PlatformJob *sync;

        machine_set_types(m, 1, 2);
        machine_add_gpu(m, GPU_A);
        (void)machine_have_vgpu(m, GPU_A, UUID_1);

        machine_set_types(m, 2, 4);
        sync = fake_find_job(&m->fake, JOB_SYNC, GPU_A);
        fake_run(&m->fake, sync);
        if (by_us) {
                Answer answer = {};

                (void)machine_destroy(m, UUID_1, &answer);
                fake_finish(&m->fake, fake_find_job(&m->fake, JOB_REMOVE, GPU_A));
                g_assert_cmpint(answer.error.code, ==, 0);
        } else {
                g_assert_cmpint(machine_remove_mdev(m, UUID_1), ==, 0);
                machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
        }
        fake_finish(&m->fake, sync);
        machine_settle(m);
        g_assert_false(machine_gpu(m, GPU_A)->pending_types);
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_2), ==, 2);
        machine_free(m);
}

static void on_idle(void *userdata) {
        unsigned *n = userdata;

        (*n)++;
}

/* Who waits hears when the last GPU was read, once, and never from within what he asked. A stuck one is not waited for. */
static void test_wait_idle(void) {
        Machine *m = machine_new();
        PlatformJob *a, *b;
        IdleWait *wait, *ended;
        unsigned n = 0;

        machine_add_gpu(m, GPU_A);
        machine_add_gpu(m, GPU_B);
        g_assert_cmpint(manager_wait_idle(m->manager, on_idle, &n, &wait), ==, 0);
        g_assert_cmpuint(n, ==, 0);
        machine_turn(m);
        g_assert_cmpuint(n, ==, 1);

        machine_set_types(m, 1, 2);
        g_assert_cmpint(manager_wait_idle(m->manager, on_idle, &n, &wait), ==, 0);
        g_assert_cmpint(manager_wait_idle(m->manager, on_idle, &n, &ended), ==, 0);
        (void)idle_wait_free(ended);
        a = fake_find_job(&m->fake, JOB_SYNC, GPU_A);
        b = fake_find_job(&m->fake, JOB_SYNC, GPU_B);
        fake_finish(&m->fake, a);
        machine_turn(m);
        g_assert_cmpuint(n, ==, 1);
        fake_time_out(b, 4711);
        g_assert_cmpuint(n, ==, 1);
        machine_turn(m);
        g_assert_cmpuint(n, ==, 2);

        /* The last one that was waited for goes. */
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        g_assert_cmpint(manager_wait_idle(m->manager, on_idle, &n, &wait), ==, 0);
        machine_turn(m);
        g_assert_cmpuint(n, ==, 2);
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
        machine_turn(m);
        g_assert_cmpuint(n, ==, 3);
        machine_free(m);
}

/* Which PCI functions are GPUs, by their class. */
static void test_classes(void) {
        static const struct {
                const char *class;
                bool is_gpu;
        } cases[] = {
                { "0x030000\n", true }, /* VGA */
                { "0x038000\n", true }, /* other display controllers */
                { "0x120000\n", true }, /* processing accelerator: AMD Instinct */
                { "0x120100\n", false }, /* other accelerators */
                { "0x020000\n", false }, { "0x040300\n", false }, { "-1\n", false }, { "", false },
        };
        Machine *m = machine_new();
        g_autofree char *path = g_strconcat(m->root, "/sys", PATH_A, "/class", NULL);

        machine_add_gpu(m, GPU_A);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                g_assert_true(g_file_set_contents(path, cases[i].class, -1, NULL));
                machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
                machine_settle(m);
                g_assert_cmpint(!!manager_find_gpu(m->manager, GPU_A), ==, cases[i].is_gpu);
        }
        machine_free(m);
}

/* Somebody who asks all the time has it read ten times a second, and the last time after his last question. */
static void test_refresh(void) {
        Machine *m = machine_new();
        unsigned n;
        Gpu *gpu;

        machine_add_gpu(m, GPU_A);
        gpu = machine_gpu(m, GPU_A);
        n = m->fake.n_submitted;
        for (unsigned i = 0; i < 1000; i++) {
                gpu_refresh(gpu);
                while (fake_do_one(&m->fake))
                        ;
        }
        g_assert_cmpuint(m->fake.n_submitted, ==, n + 1);
        g_assert_true(gpu->refresh_owed);

        while (gpu->refresh_owed)
                (void)sd_event_run(m->event, UINT64_MAX);
        machine_settle(m);
        g_assert_cmpuint(m->fake.n_submitted, ==, n + 2);
        machine_free(m);
}

/* Its worker went while it did nothing, and what that held open is nobody's: another is started, and registers. */
static void test_worker_lost(void) {
        Machine *m = machine_new();
        unsigned n;

        machine_add_gpu(m, GPU_A);
        n = m->fake.n_submitted;
        m->fake.platform.lost(GPU_A, m->fake.platform.userdata);
        g_assert_cmpuint(m->fake.n_submitted, ==, n + 1);
        m->fake.platform.lost("0000:99:00.0", m->fake.platform.userdata);
        g_assert_cmpuint(m->fake.n_submitted, ==, n + 1);
        machine_settle(m);
        machine_free(m);
}

/* A card that is a parent of mediated devices as well is met twice in a scan, and read once. */
static void test_scanned_once(void) {
        Machine *m = machine_with_gpus();
        unsigned before = m->fake.n_submitted;

        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
        g_assert_cmpuint(m->fake.n_submitted - before, ==, 2);
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/gpu/scanned-once", test_scanned_once);
        g_test_add_func("/gpu/appear", test_appear);
        g_test_add_func("/gpu/states", test_states);
        g_test_add_func("/gpu/settings", test_settings);
        g_test_add_func("/gpu/repeats", test_repeats);
        g_test_add_func("/gpu/disappear", test_disappear);
        g_test_add_func("/gpu/replaced", test_replaced);
        g_test_add_func("/gpu/unbound", test_unbound);
        g_test_add_func("/gpu/failing", test_failing);
        g_test_add_func("/gpu/kept", test_kept);
        g_test_add_func("/gpu/no-worker", test_no_worker);
        g_test_add_func("/gpu/stuck", test_stuck);
        g_test_add_func("/gpu/stuck-and-gone", test_stuck_and_gone);
        g_test_add_func("/gpu/wait-idle", test_wait_idle);
        g_test_add_func("/vgpu/adopt", test_adopt);
        g_test_add_func("/vgpu/prune", test_prune);
        g_test_add_func("/vgpu/expect", test_expect);
        g_test_add_func("/vgpu/expect-many", test_expect_many);
        g_test_add_func("/vgpu/removed-by-others", test_removed_by_others);
        g_test_add_func("/vgpu/removed-while-read", test_removed_while_read);
        g_test_add_func("/vgpu/moved", test_moved);
        g_test_add_func("/types/profiles", test_profiles);
        g_test_add_func("/types/pending", test_pending);
        g_test_add_func("/types/pending-manual", test_pending_manual);
        g_test_add_data_func("/types/pending-race/by-us", GINT_TO_POINTER(true), test_pending_race);
        g_test_add_data_func("/types/pending-race/by-others", GINT_TO_POINTER(false), test_pending_race);

        g_test_add_func("/gpus/classes", test_classes);
        g_test_add_func("/gpus/refresh", test_refresh);
        g_test_add_func("/gpus/worker-lost", test_worker_lost);
        return g_test_run();
}
