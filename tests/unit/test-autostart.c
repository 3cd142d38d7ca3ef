/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Starting by itself: in any order of driver, events and daemon; how often it is tried, and what has it tried anew; and
 * what a person stopped, which stays stopped until its GPU was away.
 */

#include <fcntl.h>

#include "core/autostart.h"
#include "life.h"
#include "sim/sim-internal.h"
#include "util/file.h"

/* Five tries at most: at once, and after 1, 2, 4 and 8 s. */
#define TRIES 5U

static void assert_active(Machine *m, const char *uuid) {
        life_assert_state(m, uuid, VGPU_ACTIVE, NULL);
        g_assert_true(machine_has_mdev(m, uuid));
        g_assert_true(machine_has_record(m, uuid));
}

static void assert_stopped(Machine *m, const char *uuid) {
        machine_settle(m);
        life_assert_state(m, uuid, VGPU_DEFINED, NULL);
        g_assert_false(machine_has_mdev(m, uuid));
        g_assert_null(life_find(m, uuid)->start_timer);
}

/* The definition, the card and its types, in every order. */
static void test_order(gconstpointer data) {
        static const char *const orders[] = { "DGT", "DTG", "GDT", "GTD", "TDG", "TGD" };
        const char *order = orders[GPOINTER_TO_UINT(data)];
        Machine *m = machine_new();

        life_write(m, GPU_A, UUID_1, AUTO_1);
        /* What is there before the daemon is, is due; whatever the events come to. */
        for (const char *p = order; *p; p++) {
                switch (*p) {
                case 'D':
                        machine_restart(m);
                        g_assert_cmpint(manager_scan(m->manager), ==, 0);
                        break;
                case 'G':
                        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SHIM, 8 * GIB), ==, 0);
                        machine_uevent(m, UEVENT_ADD, UEVENT_PCI, PATH_A);
                        break;
                default:
                        machine_set_types(m, 2, 2);
                        break;
                }
                machine_settle(m);
        }
        if (strchr(order, 'T') < strchr(order, 'D')) /* the other daemon has to be told them as well */
                machine_set_types(m, 2, 2);
        machine_settle(m);
        assert_active(m, UUID_1);
        g_assert_true(manager_is_settled(m->manager));
        /* The definition is not ours, but the device is. */
        g_assert_true(life_find(m, UUID_1)->managed);
        machine_free(m);
}

/* READY waits for the first try. */
static void test_settled(void) {
        Machine *m = machine_new();

        life_write(m, GPU_A, UUID_1, AUTO_1);
        machine_turn(m);
        machine_set_types(m, 2, 2);
        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SHIM, 8 * GIB), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        g_assert_false(manager_is_settled(m->manager));
        fake_finish(&m->fake, fake_find_job(&m->fake, JOB_SYNC, GPU_A));
        g_assert_cmpint(machine_gpu(m, GPU_A)->state, ==, GPU_READY);
        g_assert_false(manager_is_settled(m->manager));
        fake_fail(machine_find_create(m), -ERROR_DRIVER_REJECTED, "not now");
        g_assert_true(manager_is_settled(m->manager));
        machine_free(m);
}

typedef enum Occasion {
        OCCASION_TYPES, /* registered anew */
        OCCASION_DRIVER, /* loaded anew */
        OCCASION_RESTART, /* of the daemon */
        OCCASION_READ,
        OCCASION_PLUG, /* the card was away */
        OCCASION_MAX,
} Occasion;

static void have_occasion(Machine *m, Occasion occasion) {
        switch (occasion) {
        case OCCASION_TYPES: {
                _cleanup_(fd_closep) int fd = life_hold_registration(m, GPU_A);

                g_assert_cmpint(fd, >=, 0);
                machine_set_types(m, 2, 1);
                break;
        }
        case OCCASION_DRIVER: {
                _cleanup_(fd_closep) int fd = life_hold_registration(m, GPU_A);

                g_assert_cmpint(fd, >=, 0);
                life_reload_driver(m, GPU_A);
                life_tell(m, GPU_A);
                break;
        }
        case OCCASION_RESTART:
                life_restart(m);
                break;
        case OCCASION_READ:
                life_tell(m, GPU_A);
                break;
        default:
                g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
                machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
                machine_add_gpu(m, GPU_A);
                break;
        }
        machine_settle(m);
}

/* Each waits for the next; after the last it is said that it has failed, and why. */
static void test_gives_up(gconstpointer data) {
        const char *remedy = data;
        Machine *m = machine_with_gpus();
        VGpu *vgpu;

        (void)life_have_started(m, GPU_A, UUID_1, true);
        m->refuse_create = -EIO;
        have_occasion(m, OCCASION_DRIVER);
        vgpu = life_find(m, UUID_1);
        life_hurry(vgpu); /* its device has vanished */
        machine_settle(m);
        for (unsigned i = 1; i < TRIES; i++) {
                uint64_t now, then;

                life_assert_state(m, UUID_1, VGPU_DEFINED, "EIO");
                g_assert_cmpuint(vgpu->n_starts, ==, i);
                g_assert_cmpint(sd_event_now(m->event, CLOCK_MONOTONIC, &now), >=, 0);
                g_assert_cmpint(sd_event_source_get_time(vgpu->start_timer, &then), >=, 0);
                g_assert_cmpuint(then - now, <=, UINT64_C(1000000) << (i - 1));
                g_assert_cmpuint(then - now, >, UINT64_C(500000) << (i - 1)); /* on a machine that is busy, too */
                /* Reading the GPU again does not hurry it. */
                life_tell(m, GPU_A);
                g_assert_cmpuint(vgpu->n_starts, ==, i);
                life_hurry(vgpu);
                machine_settle(m);
        }
        life_assert_state(m, UUID_1, VGPU_FAILED, "EIO");
        g_assert_null(vgpu->start_timer);
        g_assert_false(machine_has_record(m, UUID_1));
        life_tell(m, GPU_A);
        life_assert_state(m, UUID_1, VGPU_FAILED, "EIO");

        m->refuse_create = 0;
        life_tell(m, GPU_A);
        life_assert_state(m, UUID_1, VGPU_FAILED, "EIO");
        if (g_str_equal(remedy, "start"))
                (void)life_start(m, UUID_1, &(Answer){});
        else if (g_str_equal(remedy, "plug"))
                have_occasion(m, OCCASION_PLUG);
        else if (g_str_equal(remedy, "driver"))
                have_occasion(m, OCCASION_DRIVER);
        else if (g_str_equal(remedy, "types"))
                have_occasion(m, OCCASION_TYPES);
        else
                have_occasion(m, OCCASION_RESTART);
        machine_settle(m);
        assert_active(m, UUID_1);
        g_assert_cmpuint(life_find(m, UUID_1)->n_starts, ==, 0);
        machine_free(m);
}

/* Another definition is tried anew, at the next occasion: and it is no longer said that it failed. */
static void test_changed_after_failure(void) {
        Machine *m = machine_with_gpus();
        VGpu *vgpu = life_have_defined(m, GPU_A, UUID_1, true);

        vgpu->n_starts = TRIES;
        vgpu_set_state(vgpu, VGPU_FAILED, "it did not work");
        life_write(m, GPU_A, UUID_1, "{\"mdev_type\":\"" TYPE_2 "\",\"start\":\"auto\"}");
        machine_settle(m);
        life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
        g_assert_cmpuint(vgpu->n_starts, ==, 0);
        machine_free(m);
}

/* The type comes when everything else has been there for long. */
static void test_late_type(void) {
        Machine *m = machine_new();

        life_write(m, GPU_A, UUID_1, AUTO_1);
        machine_turn(m);
        machine_add_gpu(m, GPU_A);
        life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
        for (unsigned i = 0; i < 2 * TRIES; i++)
                life_tell(m, GPU_A);
        g_assert_cmpuint(life_find(m, UUID_1)->n_starts, ==, 0);
        g_assert_null(fake_find_job(&m->fake, JOB_CREATE, NULL));
        machine_set_types(m, 2, 2);
        machine_settle(m);
        assert_active(m, UUID_1);
        machine_free(m);
}

/* mdevctl's own start was first, perhaps so shortly before that the device is not complete. */
static void test_exists(void) {
        Machine *m = machine_new();

        machine_set_types(m, 2, 2);
        machine_add_gpu(m, GPU_A);
        life_write(m, GPU_A, UUID_1, AUTO_1);
        machine_restart(m);
        machine_set_types(m, 2, 2);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        while (!fake_find_job(&m->fake, JOB_CREATE, NULL)) {
                machine_turn(m);
                g_assert_true(fake_do_one(&m->fake));
        }
        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
        machine_settle(m);
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_false(life_find(m, UUID_1)->managed);
        g_assert_cmpuint(life_find(m, UUID_1)->n_starts, ==, 0);
        machine_free(m);
}

static void *complete(void *data) {
        Machine *m = data;

        (void)usleep(100000);
        g_assert_cmpint(renameat(m->sim.root_fd, "link", m->sim.root_fd, "sys" PATH_A "/" UUID_1 "/mdev_type"), ==, 0);
        return NULL;
}

static void test_exists_incomplete(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        GThread *thread;

        (void)life_have_defined(m, GPU_A, UUID_1, true);
        (void)life_start(m, UUID_1, &answer);
        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
        g_assert_cmpint(renameat(m->sim.root_fd, "sys" PATH_A "/" UUID_1 "/mdev_type", m->sim.root_fd, "link"), ==, 0);
        thread = g_thread_new("complete", complete, m);
        machine_settle(m);
        (void)g_thread_join(thread);
        g_assert_cmpstr(answer.error.message, ==, "");
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        machine_free(m);
}

static void assert_stays_stopped(Machine *m) {
        static const Occasion occasions[] = { OCCASION_READ,   OCCASION_TYPES,   OCCASION_RESTART,
                                              OCCASION_DRIVER, OCCASION_RESTART, OCCASION_READ };

        for (size_t i = 0; i < G_N_ELEMENTS(occasions); i++) {
                have_occasion(m, occasions[i]);
                assert_stopped(m, UUID_1);
        }
        have_occasion(m, OCCASION_PLUG);
        assert_active(m, UUID_1);
        /* All that is forgotten then. */
        have_occasion(m, OCCASION_RESTART);
        assert_active(m, UUID_1);
}

/* By us. */
static void test_stopped(void) {
        Machine *m = machine_with_gpus();

        (void)life_have_started(m, GPU_A, UUID_1, true);
        life_stop(m, UUID_1);
        assert_stays_stopped(m);
        machine_free(m);
}

/* By somebody else, through sysfs: what became of it shows when its parent is still the same after a moment. */
static void test_removed(void) {
        Machine *m = machine_with_gpus();

        (void)life_have_started(m, GPU_A, UUID_1, true);
        g_assert_cmpint(machine_remove_mdev(m, UUID_1), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_settle(m);
        life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
        g_assert_true(machine_has_record(m, UUID_1));
        life_tell(m, GPU_A);
        g_assert_false(machine_has_mdev(m, UUID_1));
        life_hurry(life_find(m, UUID_1));
        assert_stays_stopped(m);
        machine_free(m);
}

/* The same while no daemon runs, at any moment of it. */
static void test_removed_unseen(gconstpointer seen) {
        Machine *m = machine_with_gpus();

        (void)life_have_started(m, GPU_A, UUID_1, true);
        g_assert_cmpint(machine_remove_mdev(m, UUID_1), ==, 0);
        if (seen) {
                machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
                machine_settle(m);
        }
        life_restart(m);
        assert_stays_stopped(m);
        machine_free(m);
}

/* One that somebody else started is no other. */
static void test_removed_of_others(gconstpointer how) {
        Machine *m = machine_with_gpus();
        const bool yes = true;

        (void)life_have_defined(m, GPU_A, UUID_1, !how);
        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
        life_tell(m, GPU_A);
        if (how) {
                /* It is to start by itself since then. */
                (void)life_modify(m, &(ModifyRequest){ .uuid = UUID_1, .autostart = &yes }, &(Answer){});
                machine_settle(m);
        }
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_cmpint(machine_remove_mdev(m, UUID_1), ==, 0);
        life_restart(m);
        assert_stays_stopped(m);
        machine_free(m);
}

/* The driver goes with all that is on it, and comes: that is no person's doing. */
static void test_driver(gconstpointer data) {
        bool unseen = GPOINTER_TO_INT(data);
        Machine *m = machine_with_gpus();

        (void)life_have_started(m, GPU_A, UUID_1, true);
        (void)life_have_started(m, GPU_A, UUID_2, true);
        life_stop(m, UUID_2);
        if (unseen) {
                _cleanup_(fd_closep) int fd = life_hold_registration(m, GPU_A);

                g_assert_cmpint(fd, >=, 0);
                life_reload_driver(m, GPU_A);
                life_restart(m);
        } else {
                have_occasion(m, OCCASION_DRIVER);
                g_assert_false(machine_has_mdev(m, UUID_1));
                life_hurry(life_find(m, UUID_1));
                machine_settle(m);
        }
        assert_active(m, UUID_1);
        assert_stopped(m, UUID_2);
        machine_free(m);
}

/* What is read again while it is not yet known what became of it changes nothing of that. */
static void test_read_meanwhile(void) {
        Machine *m = machine_with_gpus();

        (void)life_have_started(m, GPU_A, UUID_1, true);
        g_assert_cmpint(machine_remove_mdev(m, UUID_1), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_settle(m);
        (void)definition_files_read_all(m->manager->mdev_definitions);
        (void)definition_files_read(m->manager->mdev_definitions, GPU_A, UUID_1);
        life_tell(m, GPU_A);
        g_assert_false(machine_has_mdev(m, UUID_1));
        life_hurry(life_find(m, UUID_1));
        assert_stays_stopped(m);
        machine_free(m);
}

/* Started by hand, it is as any other. */
static void test_started_again(void) {
        Machine *m = machine_with_gpus();

        (void)life_have_started(m, GPU_A, UUID_1, true);
        life_stop(m, UUID_1);
        (void)life_start(m, UUID_1, &(Answer){});
        machine_settle(m);
        assert_active(m, UUID_1);
        have_occasion(m, OCCASION_DRIVER);
        life_hurry(life_find(m, UUID_1));
        machine_settle(m);
        assert_active(m, UUID_1);
        machine_free(m);
}

/* Defined, or told to, while its type is there: it has missed the occasion, and waits for the next. */
static void test_defined_now(gconstpointer how) {
        Machine *m = machine_with_gpus();
        const bool yes = true;

        if (g_str_equal(how, "modify")) {
                (void)life_have_defined(m, GPU_A, UUID_1, false);
                (void)life_modify(m, &(ModifyRequest){ .uuid = UUID_1, .autostart = &yes }, &(Answer){});
        } else if (g_str_equal(how, "file"))
                life_write(m, GPU_A, UUID_1, AUTO_1);
        else
                (void)life_have_defined(m, GPU_A, UUID_1, true);
        machine_settle(m);
        g_assert_true(life_find(m, UUID_1)->autostart);
        assert_stays_stopped(m);
        machine_free(m);
}

/* For a card, or a type, that is not there: its coming is the occasion. */
static void test_defined_before(void) {
        Machine *m = machine_with_gpus();
        const char *gpu = "0000:43:00.0";

        (void)life_define(m, &(DefineRequest){ .gpu = gpu, .type = TYPE_1, .uuid = UUID_1, .autostart = true },
                          &(Answer){});
        machine_settle(m);
        life_write(m, GPU_A, UUID_2, "{\"mdev_type\":\"mdevgpu_ref-3\",\"start\":\"auto\"}");
        machine_settle(m);
        machine_add_gpu(m, gpu);
        assert_active(m, UUID_1);
        life_stop(m, UUID_1);
        machine_set_types(m, 3, 1);
        machine_settle(m);
        assert_active(m, UUID_2);
        machine_free(m);
}

/* No longer to start by itself: nothing is remembered of its having been stopped. */
static void test_manual(void) {
        Machine *m = machine_with_gpus();
        const bool no = false;

        (void)life_have_started(m, GPU_A, UUID_1, true);
        life_stop(m, UUID_1);
        g_assert_true(machine_has_record(m, UUID_1));
        (void)life_modify(m, &(ModifyRequest){ .uuid = UUID_1, .autostart = &no }, &(Answer){});
        machine_settle(m);
        g_assert_false(machine_has_record(m, UUID_1));
        have_occasion(m, OCCASION_PLUG);
        assert_stopped(m, UUID_1);
        machine_free(m);
}

/* The driver took longer than anybody waits: nobody waits for what starts by itself, and so it stays. */
static void test_slow(void) {
        Machine *m = machine_new();
        Operation *operation;
        PlatformJob *job;

        life_write(m, GPU_A, UUID_1, AUTO_1);
        machine_turn(m);
        machine_set_types(m, 2, 2);
        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SHIM, 8 * GIB), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        fake_finish(&m->fake, fake_find_job(&m->fake, JOB_SYNC, GPU_A));
        job = machine_find_create(m);
        fake_begin(job);
        operation = LIST_FIRST(&m->manager->operations, Operation, link);
        machine_hurry(m, operation);
        g_assert_true(manager_is_settled(m->manager));
        fake_finish(&m->fake, job);
        machine_settle(m);
        assert_active(m, UUID_1);
        machine_free(m);
}

/* More than there is room for: those that have found room stay, the others give up. */
static void test_too_many(void) {
        Machine *m = machine_new();
        unsigned n_active = 0, n_failed = 0;
        VGpu *vgpu;

        for (unsigned i = 0; i < 6; i++) {
                g_autofree char *uuid = g_strdup_printf("%08x-2fa1-4d2e-883f-0016d3cca427", i);

                life_write(m, GPU_A, uuid, AUTO_1);
        }
        machine_turn(m);
        machine_set_types(m, 2, 2);
        machine_add_gpu(m, GPU_A);
        for (unsigned i = 0; i < TRIES; i++) {
                LIST_FOREACH(vgpu, &m->manager->all_vgpus, link)
                        if (vgpu->start_timer)
                                life_hurry(vgpu);
                machine_settle(m);
        }
        LIST_FOREACH(vgpu, &m->manager->all_vgpus, link) {
                n_active += vgpu->state == VGPU_ACTIVE;
                n_failed += vgpu->state == VGPU_FAILED && strstr(vgpu->last_error, "of framebuffer left");
        }
        g_assert_cmpuint(n_active, ==, 4);
        g_assert_cmpuint(n_failed, ==, 2);
        machine_free(m);
}

int main(int argc, char **argv) {
        static const char *const orders[] = { "definition-gpu-types", "definition-types-gpu", "gpu-definition-types",
                                              "gpu-types-definition", "types-definition-gpu", "types-gpu-definition" };

        g_test_init(&argc, &argv, NULL);

        for (guint i = 0; i < G_N_ELEMENTS(orders); i++) {
                g_autofree char *path = g_strdup_printf("/autostart/order/%s", orders[i]);

                g_test_add_data_func(path, GUINT_TO_POINTER(i), test_order);
        }
        g_test_add_func("/autostart/settled", test_settled);
        g_test_add_data_func("/autostart/gives-up-start", "start", test_gives_up);
        g_test_add_data_func("/autostart/gives-up-plug", "plug", test_gives_up);
        g_test_add_data_func("/autostart/gives-up-driver", "driver", test_gives_up);
        g_test_add_data_func("/autostart/gives-up-types", "types", test_gives_up);
        g_test_add_data_func("/autostart/gives-up-restart", "restart", test_gives_up);
        g_test_add_func("/autostart/changed-after-failure", test_changed_after_failure);
        g_test_add_func("/autostart/late-type", test_late_type);
        g_test_add_func("/autostart/exists", test_exists);
        g_test_add_func("/autostart/exists-incomplete", test_exists_incomplete);
        g_test_add_func("/autostart/stopped", test_stopped);
        g_test_add_func("/autostart/removed", test_removed);
        g_test_add_data_func("/autostart/removed-unseen", NULL, test_removed_unseen);
        g_test_add_data_func("/autostart/removed-and-restarted", "seen", test_removed_unseen);
        g_test_add_data_func("/autostart/removed-of-others", NULL, test_removed_of_others);
        g_test_add_data_func("/autostart/removed-of-others-modified", "modified", test_removed_of_others);
        g_test_add_data_func("/autostart/driver", GINT_TO_POINTER(false), test_driver);
        g_test_add_data_func("/autostart/driver-unseen", GINT_TO_POINTER(true), test_driver);
        g_test_add_func("/autostart/read-meanwhile", test_read_meanwhile);
        g_test_add_func("/autostart/started-again", test_started_again);
        g_test_add_data_func("/autostart/defined-now", "define", test_defined_now);
        g_test_add_data_func("/autostart/modified-now", "modify", test_defined_now);
        g_test_add_data_func("/autostart/written-now", "file", test_defined_now);
        g_test_add_func("/autostart/defined-before", test_defined_before);
        g_test_add_func("/autostart/manual", test_manual);
        g_test_add_func("/autostart/slow", test_slow);
        g_test_add_func("/autostart/too-many", test_too_many);

        return g_test_run();
}
