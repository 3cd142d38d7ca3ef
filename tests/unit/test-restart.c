/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Another daemon over the same machine: whatever the one before it has left in its records, with or without a device and
 * a definition, is adopted or taken back; and a removal that waits for who holds the device is seen, and its end.
 */

#include <fcntl.h>
#include <sys/stat.h>

#include "core/scan.h"
#include "life.h"
#include "sim/sim-internal.h"
#include "util/file.h"

typedef enum Defined {
        DEFINED_NOT,
        DEFINED_MANUAL,
        DEFINED_AUTO,
        DEFINED_MAX,
} Defined;

/* What becomes of it, letter by letter: ours, somebody else's, taken back or gone (-); and whether its record stays. */
typedef struct Case {
        RecordPhase phase;
        bool present;
        const char *outcome[DEFINED_MAX]; /* "" is: no such vGPU any more */
} Case;

#define ACTIVE_OURS "active ours recorded"
#define ACTIVE_OTHERS "active others' recorded"
#define DEFINED "defined"

static const Case cases[] = {
        { RECORD_CREATING, true, { ACTIVE_OURS, ACTIVE_OURS, ACTIVE_OURS } },
        /* What starts by itself is started anew, as a whole. */
        { RECORD_BUILDING, true, { "", DEFINED, ACTIVE_OURS } },
        /* Its definition, if there is one, is somebody else's. */
        { RECORD_DEFINING, true, { "", DEFINED, ACTIVE_OURS } },
        /* It may be mdevctl's as well as ours. */
        { RECORD_STARTING, true, { ACTIVE_OTHERS, ACTIVE_OTHERS, ACTIVE_OTHERS } },
        { RECORD_MADE, true, { ACTIVE_OURS, ACTIVE_OURS, ACTIVE_OURS } },
        { RECORD_SEEN, true, { ACTIVE_OTHERS, ACTIVE_OTHERS, ACTIVE_OTHERS } },
        { RECORD_STOPPED, true, { ACTIVE_OTHERS, ACTIVE_OTHERS, ACTIVE_OTHERS } },
        { RECORD_CREATING, false, { "", DEFINED, ACTIVE_OURS } },
        { RECORD_BUILDING, false, { "", DEFINED, ACTIVE_OURS } },
        { RECORD_DEFINING, false, { "", DEFINED, ACTIVE_OURS } },
        { RECORD_STARTING, false, { "", DEFINED, ACTIVE_OURS } },
        /* Removed by somebody while no daemon ran. */
        { RECORD_MADE, false, { "", DEFINED, DEFINED " recorded" } },
        { RECORD_SEEN, false, { "", DEFINED, DEFINED " recorded" } },
        { RECORD_STOPPED, false, { "", DEFINED, DEFINED " recorded" } },
};

static char *outcome(Machine *m) {
        VGpu *vgpu = manager_find_vgpu(m->manager, UUID_1);

        g_assert_cmpint(vgpu && vgpu->state == VGPU_ACTIVE, ==, machine_has_mdev(m, UUID_1));
        if (!vgpu) {
                g_assert_false(machine_has_record(m, UUID_1));
                return g_strdup("");
        }

        return g_strdup_printf("%s%s%s", vgpu_state_to_string(vgpu->state),
                               vgpu->state != VGPU_ACTIVE ? ""
                               : vgpu->made               ? " ours"
                                                          : " others'",
                               machine_has_record(m, UUID_1) ? " recorded" : "");
}

static void write_record(Machine *m, RecordPhase phase) {
        Record record = { .phase = phase, .gpu = GPU_A, .type_id = TYPE_1, .iommu_group = -1 };

        if (phase == RECORD_MADE || phase == RECORD_SEEN || phase == RECORD_STOPPED)
                record.registration = scan_registration(&m->sim.host, GPU_A);
        g_assert_cmpint(record_write(m->state_fd, UUID_1, &record), ==, 0);
}

static void test_phase(gconstpointer data) {
        const Case *c = data;

        for (Defined defined = 0; defined < DEFINED_MAX; defined++) {
                g_autofree char *text = NULL, *again = NULL;
                Machine *m = machine_with_gpus();
                VGpu *vgpu;

                if (c->present)
                        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
                if (defined != DEFINED_NOT)
                        life_write(m, GPU_A, UUID_1, defined == DEFINED_AUTO ? AUTO_1 : MANUAL_1);
                write_record(m, c->phase);
                life_restart(m);
                vgpu = manager_find_vgpu(m->manager, UUID_1);
                if (vgpu && vgpu->start_timer) { /* taken back, and tried again in a moment */
                        life_hurry(vgpu);
                        machine_settle(m);
                }
                text = outcome(m);
                if (!g_str_equal(text, c->outcome[defined]))
                        g_error("%s, %s, defined %i: '%s' instead of '%s'", record_phase_to_string(c->phase),
                                c->present ? "present" : "absent", (int)defined, text, c->outcome[defined]);

                /* And so it stays. */
                life_restart(m);
                again = outcome(m);
                g_assert_cmpstr(again, ==, text);
                machine_free(m);
        }
}

/* A record that speaks of another device, or of nothing, says nothing of this one. */
static void test_other_record(void) {
        static const char *const records[] = {
                "phase=made\ngpu=" GPU_B "\ntype=" TYPE_1 "\n",
                "phase=made\ngpu=" GPU_A "\ntype=" TYPE_2 "\n",
                "phase=building\ngpu=" GPU_B "\ntype=" TYPE_1 "\n",
                "phase=unheard-of\ngpu=" GPU_A "\ntype=" TYPE_1 "\n",
                "phase=building\n",
                "",
                "\n\n\n",
                "\xff",
        };
        Machine *m = machine_with_gpus();

        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(records); i++) {
                g_autofree char *path = g_strdup_printf("%s/state/%s", m->root, UUID_1), *text = NULL;

                g_assert_true(g_file_set_contents(path, records[i], -1, NULL));
                life_restart(m);
                text = outcome(m);
                g_assert_true(g_str_has_prefix(text, "active others'"));
        }
        machine_free(m);
}

/* The label of what is not defined is in its record. */
static void test_label(void) {
        Machine *m = machine_with_gpus();
        const ModifyRequest modify = { .uuid = UUID_1, .label = "web1" }, again = { .uuid = UUID_1, .label = "web2" };

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        (void)life_modify(m, &modify, &(Answer){});
        machine_settle(m);
        life_restart(m);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");
        life_restart(m);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");

        /* Defined, and undefined by somebody else: what is active keeps it, for a successor as well. */
        (void)life_define(m, &(DefineRequest){ .gpu = "", .type = "", .uuid = UUID_1 }, &(Answer){});
        machine_settle(m);
        life_restart(m);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");
        (void)life_modify(m, &again, &(Answer){});
        machine_settle(m);
        life_delete(m, GPU_A, UUID_1);
        machine_settle(m);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web2");
        life_restart(m);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web2");
        machine_free(m);
}

/* The daemon dies in each step of a creation that is to be defined as well: all of it is there afterwards, or nothing. */
static void test_create_cut(gconstpointer data) {
        unsigned steps = GPOINTER_TO_UINT(data);
        Machine *m = machine_with_gpus();
        CreateRequest request = { .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1, .persistent = true, .label = "web1" };
        Error error = ERROR_NULL;

        g_assert_cmpint(manager_create_vgpu(m->manager, &request, NULL, NULL, NULL, &error), ==, 0);
        if (steps >= 1)
                fake_run(&m->fake, machine_find_create(m));
        if (steps >= 2) {
                PlatformJob *job = LIST_FIRST(&m->fake.jobs, PlatformJob, link);

                fake_finish(&m->fake, job);
        }
        if (steps >= 3)
                fake_run(&m->fake, life_find_store(m));
        life_restart(m);
        if (steps < 3) {
                g_assert_null(manager_find_vgpu(m->manager, UUID_1));
                g_assert_false(machine_has_mdev(m, UUID_1) || machine_has_record(m, UUID_1));
                g_assert_null(life_read_note(m, UUID_1));
        } else {
                life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
                g_assert_true(life_find(m, UUID_1)->persistent && life_find(m, UUID_1)->managed);
                g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");
        }
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_1), ==, steps < 3 ? 4 : 3);
        machine_free(m);
}

#define WEIGHT_PATH "bus/mdev/devices/" UUID_1 "/" WEIGHT

static void assert_weight(Machine *m, const char *weight) {
        char text[32];

        attribute_read_text(m->sim.host.sys_fd, WEIGHT_PATH, text, sizeof(text));
        g_assert_cmpstr(text, ==, weight);
}

/* A start is on its way, and somebody else makes the device meanwhile. */
static Machine *begin_start(void) {
        Machine *m = machine_with_gpus();

        life_write(m, GPU_A, UUID_1,
                   "{\"mdev_type\":\"" TYPE_1 "\",\"start\":\"manual\","
                   "\"attrs\":[{\"scheduling_weight\":\"7\"}]}");
        machine_turn(m);
        (void)life_start(m, UUID_1, &(Answer){});
        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
        return m;
}

/* Another daemon comes after the one that was killed. */
static void come_back(Machine *m) {
        machine_set_types(m, 2, 2);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
}

/*
 * Killed while a start was on its way, and mdevctl started the same just then: whose the device is nobody can tell. It
 * stays, and has what its definition says, once.
 */
static void test_start_cut(void) {
        Machine *m = begin_start();
        const char *log;
        VGpu *vgpu;

        machine_restart(m);
        come_back(m);
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        vgpu = life_find(m, UUID_1);
        g_assert_false(vgpu->made || vgpu->managed || vgpu->unfinished);
        /* Not before: who finds it active may use it. */
        log = strstr(m->log->str, "vgpu 1111 creating\n");
        g_assert_true(log && strstr(log, "vgpu 1111 active\n"));
        machine_clear_log(m);
        assert_weight(m, "7");

        /* What somebody writes there later is his. */
        g_assert_cmpint(machine_store(m, WEIGHT_PATH, "9"), ==, 0);
        life_restart(m);
        assert_weight(m, "9");
        machine_free(m);
}

/* The same, and somebody has opened it since: nothing of it changes under him, then or later, and it says so. */
static void test_start_cut_used(void) {
        Machine *m = begin_start();
        VGpu *vgpu;
        pid_t pid;

        g_assert_cmpint(machine_store(m, WEIGHT_PATH, "5"), ==, 0);
        machine_restart(m); /* first: who is forked has the workers' descriptors, too */
        pid = machine_hold(m, "vfio/0");
        come_back(m);
        life_assert_state(m, UUID_1, VGPU_ACTIVE, "attributes are not written: vGPU " UUID_1 " is in use by");
        vgpu = life_find(m, UUID_1);
        g_assert_false(vgpu->made || vgpu->unfinished || vgpu->operation);
        assert_weight(m, "5");

        machine_let_go(pid);
        life_restart(m);
        assert_weight(m, "5");
        machine_free(m);
}

/* As the kernel shows a device whose removal waits for who holds it: not on the bus, but still in its group. */
static void begin_removal(Machine *m, const char *uuid) {
        g_autofree char *away = g_strdup_printf("kernel/away-%s", uuid);
        g_autofree char *link = g_strdup_printf("sys/bus/mdev/devices/%s", uuid);

        g_assert_cmpint(renameat(m->sim.root_fd, link, m->sim.root_fd, away), ==, 0);
        sim_remove_tree(&m->sim, "sys" PATH_A "/mdev_supported_types/" TYPE_1 "/devices/%s", uuid);
}

static void end_removal(Machine *m, const char *uuid) {
        sim_remove_tree(&m->sim, "sys/kernel/iommu_groups/0");
        sim_remove_tree(&m->sim, "sys" PATH_A "/%s", uuid);
        sim_remove_tree(&m->sim, "kernel/mdevs/%s", uuid);
        sim_remove_tree(&m->sim, "kernel/vgpus/" GPU_A "/1/%s", uuid);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_settle(m);
}

static void assert_removing(Machine *m) {
        const CreateRequest create = { .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1 };
        const DestroyRequest destroy = { .uuid = UUID_1, .unmanaged = true };
        Error error = ERROR_NULL;

        life_assert_state(m, UUID_1, VGPU_REMOVING, "whoever holds it");
        g_assert_cmpint(life_find(m, UUID_1)->iommu_group, ==, 0);
        machine_assert_refused(m, &create, -ERROR_ALREADY_EXISTS, "being removed");
        g_assert_cmpint(manager_check_destroy(m->manager, &destroy, &error), ==, -ERROR_BUSY);
}

/* Somebody else removes it, and it is held. */
static void test_lingers(gconstpointer data) {
        Defined defined = GPOINTER_TO_INT(data);
        Machine *m = machine_with_gpus();

        if (defined == DEFINED_NOT)
                (void)machine_have_vgpu(m, GPU_A, UUID_1);
        else
                (void)life_have_started(m, GPU_A, UUID_1, defined == DEFINED_AUTO);
        begin_removal(m, UUID_1);
        life_tell(m, GPU_A);
        assert_removing(m);
        for (unsigned i = 0; i < 2; i++) {
                life_tell(m, GPU_A);
                assert_removing(m);
        }
        /* A successor sees it as well. */
        life_restart(m);
        assert_removing(m);
        g_assert_true(life_find(m, UUID_1)->managed);
        life_tell(m, GPU_A);
        assert_removing(m);

        end_removal(m, UUID_1);
        if (defined == DEFINED_NOT) {
                g_assert_null(manager_find_vgpu(m->manager, UUID_1));
                g_assert_false(machine_has_record(m, UUID_1));
        } else {
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                if (defined == DEFINED_AUTO) {
                        life_hurry(life_find(m, UUID_1));
                        machine_settle(m);
                        life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                        g_assert_true(life_find(m, UUID_1)->stopped);
                }
                g_assert_cmpint(machine_has_record(m, UUID_1), ==, defined == DEFINED_AUTO);
        }
        machine_free(m);
}

/* It ended while no daemon ran. */
static void test_lingered(void) {
        Machine *m = machine_with_gpus();

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        begin_removal(m, UUID_1);
        life_restart(m);
        assert_removing(m);
        end_removal(m, UUID_1);
        life_restart(m);
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        g_assert_false(machine_has_record(m, UUID_1));
        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        machine_free(m);
}

/* Its card goes while it lingers. */
static void test_lingers_unplugged(void) {
        Machine *m = machine_with_gpus();

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        begin_removal(m, UUID_1);
        life_tell(m, GPU_A);
        assert_removing(m);
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
        machine_settle(m);
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        g_assert_false(machine_has_record(m, UUID_1));
        machine_free(m);
}

int main(int argc, char **argv) {
        static const char *const lingering[] = { "undefined", "defined", "autostart" };

        g_test_init(&argc, &argv, NULL);

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *path = g_strdup_printf("/restart/%s-%s", record_phase_to_string(cases[i].phase),
                                                        cases[i].present ? "present" : "absent");

                g_test_add_data_func(path, &cases[i], test_phase);
        }
        g_test_add_func("/restart/other-record", test_other_record);
        g_test_add_func("/restart/label", test_label);
        for (guint i = 0; i <= 3; i++) {
                g_autofree char *path = g_strdup_printf("/restart/create-cut-%u", i);

                g_test_add_data_func(path, GUINT_TO_POINTER(i), test_create_cut);
        }
        for (int i = 0; i < DEFINED_MAX; i++) {
                g_autofree char *path = g_strdup_printf("/restart/lingers-%s", lingering[i]);

                g_test_add_data_func(path, GINT_TO_POINTER(i), test_lingers);
        }
        g_test_add_func("/restart/start-cut", test_start_cut);
        g_test_add_func("/restart/start-cut-used", test_start_cut_used);
        g_test_add_func("/restart/lingered", test_lingered);
        g_test_add_func("/restart/lingers-unplugged", test_lingers_unplugged);

        return g_test_run();
}
