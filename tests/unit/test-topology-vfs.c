/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Topologies that ask for virtual functions: what is on these is planned when they are there, and taken back with them,
 * whatever the driver does and whenever the daemon is killed.
 */

#include "config.h" /* before GLib, which has its own MIN() and MAX() and puts them over ours */

#include "core/topology-apply.h"
#include "core/topology-auto.h"
#include "core/vfs-change.h"
#include "machine.h"

#include <unistd.h>

#define VF_TYPE "vfio-pci-vf"
#define ON_A(vfs, vgpus) "{match: {address: \"" GPU_A "\"}, virtual-functions: " vfs ", vgpus: [" vgpus "]}"
#define TARGET ON_A("3", "{type: " VF_TYPE ", uuid: " UUID_1 ", label: one, autostart: on}, {type: " VF_TYPE "}")

static void set_topologies(Machine *m, const char *entries, const char *rest) {
        g_autofree char *text = g_strdup_printf("version: 1\ntopologies: {t: [%s]}\n%s", entries, rest);
        TopologyDraft draft = { .set = topology_set_new() };
        ConfigReport report = {};

        if (config_parse_topologies("f", text, strlen(text), &draft, &report) < 0)
                g_error("%s", report.problems[0].message);
        config_report_done(&report);
        manager_set_topologies(m->manager, draft.set);
}

static void settle(Machine *m) {
        machine_settle(m);
        while (topology_auto_is_pending(m->manager)) {
                g_usleep(20000);
                machine_settle(m);
        }
}

/* A card that can have four. */
static Machine *start(const char *entries) {
        Machine *m = machine_new();

        set_topologies(m, entries, "");
        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SRIOV, 4), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
        return m;
}

static Task *apply(Machine *m) {
        Error error = ERROR_NULL;
        Task *task;

        if (topology_apply(m->manager, "t", NULL, &task, &error) < 0)
                g_error("%s", error.message);
        return task;
}

static void expect_end(Task *task, TaskState state, const char *part) {
        g_assert_cmpstr(task_state_to_string(task->state), ==, task_state_to_string(state));
        if (!strstr(task->error.message, part))
                g_error("%s", task->error.message);
}

static void expect(Machine *m, uint32_t n_vfs, size_t n_vgpus) {
        g_assert_cmpuint(machine_gpu(m, GPU_A)->num_vfs, ==, n_vfs);
        g_assert_cmpuint(m->manager->vgpus.n, ==, n_vgpus);
}

/* "enable-vfs, later, later" */
static char *plan(Machine *m) {
        g_autoptr(GString) text = g_string_new(NULL);
        const Topology *topology;
        TopologyPlan p = {};

        g_assert_cmpint(topology_find(m->manager, "t", &topology, NULL), ==, 0);
        g_assert_cmpint(topology_plan_new(m->manager, topology, &m->manager->topologies->policy, NULL, &p), ==, 0);
        for (size_t i = 0; i < p.n_steps; i++)
                g_string_append_printf(text, "%s%s", i > 0 ? ", " : "", topology_action_to_string(p.steps[i].action));
        for (size_t i = 0; i < p.n_problems; i++)
                g_string_append_printf(text, "%s%s", text->len > 0 ? "; " : "", p.problems[i].message);
        topology_plan_done(&p);
        return g_string_free(g_steal_pointer(&text), FALSE);
}

static void expect_plan(Machine *m, const char *entries, const char *expected) {
        g_autofree char *text = NULL;

        set_topologies(m, entries, "");
        text = plan(m);
        g_assert_cmpstr(text, ==, expected);
}

static void have_vgpu(Machine *m, const char *uuid) {
        const CreateRequest request = { GPU_A, VF_TYPE, uuid };
        Error error = ERROR_NULL;
        Answer answer = {};

        g_assert_cmpint(manager_create_vgpu(m->manager, &request, machine_on_answer, &answer, NULL, &error), ==, 0);
        machine_settle(m);
        g_assert_cmpstr(answer.error.message, ==, "");
}

static void have_vfs(Machine *m, uint32_t n) {
        set_topologies(m, n == 2 ? ON_A("2", "") : ON_A("0", ""), "");
        (void)apply(m);
        settle(m);
        expect(m, n, 0);
}

static void test_apply(void) {
        Machine *m = start(TARGET);
        g_autofree char *text = plan(m);
        Task *task;

        g_assert_cmpstr(text, ==, "enable-vfs, later, later");
        task = apply(m);
        g_assert_cmpuint(task->n_steps, ==, 1);
        settle(m);
        expect_end(task, TASK_DONE, "");
        expect(m, 3, 2);
        g_assert_cmpuint(task->n_steps, ==, 3);
        g_assert_cmpuint(task->n_done, ==, 3);
        g_assert_cmpuint(task->n_uuids, ==, 2);
        g_assert_cmpint(manager_find_vgpu(m->manager, UUID_1)->state, ==, VGPU_ACTIVE);
        g_assert_true(manager_find_vgpu(m->manager, UUID_1)->autostart);

        task = apply(m);
        settle(m);
        expect_end(task, TASK_DONE, "");
        g_assert_false(task->changed);
        machine_free(m);
}

/* What cannot be is said as far as it is known before, and else taken back, with the functions. */
static void test_refused(void) {
        Machine *m = start(TARGET);
        Task *task;

        expect_plan(m, ON_A("5", ""), "f:2: GPU " GPU_A " can have at most 4 virtual functions");
        expect_plan(m, ON_A("1", "") ", " ON_A("2", ""),
                    "enable-vfs; f:2: GPU " GPU_A " shall have 2 virtual functions, and by another entry 1");
        expect_plan(m, ON_A("0", ""), "");
        expect_plan(m, ON_A("all", ""), "enable-vfs");

        set_topologies(m, ON_A("3", "{type: " VF_TYPE ", count: 4}"), "");
        task = apply(m);
        settle(m);
        expect_end(task, TASK_FAILED, GPU_A " has 0 left; everything is as it was before");
        g_assert_false(task->changed);
        expect(m, 0, 0);

        set_topologies(m, TARGET, "");
        task = apply(m);
        machine_turn(m);
        fake_fail(fake_find_job(&m->fake, JOB_ENABLE_VFS, GPU_A), -ERROR_DRIVER_REJECTED, "no");
        settle(m);
        expect_end(task, TASK_FAILED, "no; everything is as it was before");
        expect(m, 0, 0);
        machine_free(m);
}

/* What stays is never made anew for it; what goes, goes first, and comes back if the rest cannot be. */
static void test_vgpus_there(void) {
        Machine *m = start(TARGET);
        Error error = ERROR_NULL;
        Task *task;

        have_vfs(m, 2);
        have_vgpu(m, UUID_2);
        set_topologies(m, TARGET, ""); /* the one without a name would do */
        g_assert_cmpint(topology_apply(m->manager, "t", NULL, NULL, &error), ==, -ERROR_BUSY);
        g_assert_nonnull(strstr(error.message, "vGPU " UUID_2 " stays there"));
        expect(m, 2, 1);

        expect_plan(m, ON_A("3", "{type: " VF_TYPE ", uuid: " UUID_1 "}, {type: " VF_TYPE ", uuid: " UUID_3 "}"),
                    "destroy, enable-vfs, later, later");
        task = apply(m);
        settle(m);
        expect_end(task, TASK_DONE, "");
        expect(m, 3, 2);
        g_assert_null(manager_find_vgpu(m->manager, UUID_2));

        set_topologies(m, ON_A("1", "{type: " VF_TYPE ", uuid: " UUID_2 "}, {type: none}"), "");
        task = apply(m);
        settle(m);
        expect_end(task, TASK_FAILED, "everything is as it was before");
        expect(m, 3, 2);
        g_assert_nonnull(manager_find_vgpu(m->manager, UUID_1));
        g_assert_nonnull(manager_find_vgpu(m->manager, UUID_3));
        machine_free(m);
}

static void test_cancelled(void) {
        for (unsigned n = 0; n < 4; n++) {
                Machine *m = start(TARGET);
                Error error = ERROR_NULL;
                Task *task = apply(m);

                for (unsigned i = 0; i < n; i++) {
                        machine_turn(m);
                        (void)fake_do_one(&m->fake);
                }
                machine_turn(m);
                g_assert_cmpint(task_cancel(task, &error), ==, 0);
                settle(m);
                expect_end(task, TASK_CANCELLED, "");
                expect(m, 0, 0);
                machine_free(m);
        }
}

/* Killed after n jobs; all of it is there afterwards, or nothing. */
static bool kill_after(unsigned n, const char *policy, bool goes_on) {
        Machine *m = start(TARGET);
        bool done, recorded;
        Task *task;

        set_topologies(m, TARGET, policy);
        task = apply(m);
        for (unsigned i = 0; i < n; i++) {
                machine_turn(m);
                (void)fake_do_one(&m->fake);
        }
        machine_turn(m);
        done = task->state == TASK_DONE;
        recorded = faccessat(m->state_fd, "topology/journal", F_OK, 0) == 0;
        g_test_message("killed after %u", n);

        machine_restart(m);
        set_topologies(m, TARGET, policy);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
        topology_auto_begin(m->manager);
        settle(m);
        if (done || (goes_on && recorded))
                expect(m, 3, 2);
        else
                expect(m, 0, 0);
        g_assert_cmpint(faccessat(m->state_fd, "topology/journal", F_OK, 0), <, 0);
        machine_free(m);
        return !done;
}

static void test_killed(void) {
        for (unsigned n = 0; kill_after(n, "", false); n++)
                ;
}

static void test_goes_on(void) {
        for (unsigned n = 0; kill_after(n, "policy: {interrupted: go-on}\n", true); n++)
                ;
}

#define MIXED(flag, vgpus)                                                                                             \
        "{match: {address: \"" GPU_A "\"}, mixed-size: " flag ", vgpus: [" vgpus "]}"

/* Where a driver has such a setting, it is set as the functions are; here one that will not be set. */
static void test_mixed(void) {
        Machine *m = start(MIXED("yes", ""));
        Gpu *gpu = machine_gpu(m, GPU_A);
        PlatformJob *job;
        Task *task;

        expect_plan(m, MIXED("yes", ""), "");
        gpu->mixed_size = MIXED_SIZE_ON;
        expect_plan(m, MIXED("yes", ""), "");
        expect_plan(m, MIXED("no", ""), "set-mixed-size");
        gpu->mixed_size = MIXED_SIZE_OFF;
        expect_plan(m, MIXED("no", ""), "");
        expect_plan(m, MIXED("yes", "") ", " MIXED("no", ""),
                    "set-mixed-size; f:2: GPU " GPU_A " shall take several sizes by one entry, and not by another");
        expect_plan(m, MIXED("yes", ""), "set-mixed-size");

        task = apply(m);
        machine_turn(m);
        job = fake_find_job(&m->fake, JOB_SET_MIXED, GPU_A);
        g_assert_nonnull(job);
        g_assert_true(job->job.mixed_size);
        fake_fail(job, -ERROR_DRIVER_REJECTED, "no");
        settle(m);
        expect_end(task, TASK_FAILED, "no; everything is as it was before");

        have_vfs(m, 2);
        have_vgpu(m, UUID_1);
        gpu->mixed_size = MIXED_SIZE_OFF;
        expect_plan(m, MIXED("yes", "{type: " VF_TYPE "}"),
                    "keep; GPU " GPU_A " shall be set to take several sizes, and vGPU " UUID_1
                    " stays there; destroy it first");
        machine_free(m);
}

/* One whose driver does not answer keeps no other card from anything, and is read when it does. */
static void test_stuck(void) {
        Machine *m = start(TARGET);
        PlatformJob *job;
        Task *task;

        task = apply(m);
        machine_turn(m);
        job = fake_find_job(&m->fake, JOB_ENABLE_VFS, GPU_A);
        fake_time_out(job, 4711);
        settle(m);
        expect_end(task, TASK_FAILED, "does not come to an end");
        g_assert_nonnull(strstr(task->error.message, "not possible to take all of it back"));
        g_assert_null(m->manager->topology_apply);

        fake_finish(&m->fake, job);
        settle(m);
        expect(m, 3, 0);
        machine_free(m);
}

/* A step that fails in the middle of it: what there was goes back there. */
static void test_half(void) {
        Machine *m = start(TARGET);
        Task *task;

        have_vfs(m, 2);
        set_topologies(m, TARGET, "");
        task = apply(m);
        machine_turn(m);
        g_assert_cmpint(machine_store(m, "bus/pci/devices/" GPU_A "/sriov_numvfs", "0"), ==, 0);
        fake_fail(fake_find_job(&m->fake, JOB_ENABLE_VFS, GPU_A), -ERROR_DRIVER_REJECTED, "no");
        settle(m);
        expect_end(task, TASK_FAILED, "no; everything is as it was before");
        expect(m, 2, 0);
        machine_free(m);
}

/* The default one, when the card comes. */
static void test_default(void) {
        Machine *m = machine_new();

        set_topologies(m, TARGET, "default: t\n");
        topology_auto_begin(m->manager);
        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SRIOV, 4), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        settle(m);
        expect(m, 3, 2);
        machine_free(m);
}

/* What it cannot set up is its end's error; what can be made is made. */
static void test_default_fails(void) {
        Machine *m = machine_new();
        Task *task;

        set_topologies(m, TARGET, "default: t\n");
        topology_auto_begin(m->manager);
        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SRIOV, 4), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        for (unsigned i = 0; i < 100 && !fake_find_job(&m->fake, JOB_CREATE, GPU_A); i++) {
                (void)sd_event_run(m->event, 20000);
                if (!fake_find_job(&m->fake, JOB_CREATE, GPU_A))
                        (void)fake_do_one(&m->fake);
        }
        task = LIST_FIRST(&m->manager->tasks, Task, link);
        fake_fail(fake_find_job(&m->fake, JOB_CREATE, GPU_A), -ERROR_DRIVER_REJECTED, "it does not want to");
        settle(m);
        expect_end(task, TASK_FAILED, "it does not want to");
        expect(m, 3, 1);
        machine_free(m);
}

static void rebind(Machine *m, const char *driver) {
        const Host *host = &m->sim.host;
        g_autofree char *unbind = g_strdup_printf("bus/pci/drivers/%s/unbind", driver);
        g_autofree char *bind = g_strdup_printf("bus/pci/drivers/%s/bind", driver);

        g_assert_cmpint(host->ops->store(host, host->sys_fd, unbind, GPU_A), ==, 0);
        g_assert_cmpint(host->ops->store(host, host->sys_fd, bind, GPU_A), ==, 0);
        gpu_mark_dirty(machine_gpu(m, GPU_A), /* may_register= */ true);
        settle(m);
}

/* It is applied again when the driver is loaded anew; not when the card comes back from a machine that had it whole. */
static void test_default_reloaded(void) {
        const CreateRequest whole = { GPU_A, "vfio-pci", UUID_3, .take_display = true };
        Machine *m = machine_new();
        Answer answer = {};

        set_topologies(m, ON_A("3", "{type: " VF_TYPE ", uuid: " UUID_1 "}"), "default: t\n");
        topology_auto_begin(m->manager);
        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SRIOV, 4), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        settle(m);
        expect(m, 3, 1);
        for (unsigned i = 0; i < 2; i++) {
                rebind(m, "simdrm");
                expect(m, 3, 1);
        }

        (void)machine_destroy(m, UUID_1, &answer);
        settle(m);
        g_assert_cmpint(manager_enable_vfs(m->manager, GPU_A, 0, NULL, NULL, NULL, NULL), ==, 0);
        settle(m);
        g_assert_cmpint(manager_create_vgpu(m->manager, &whole, machine_on_answer, &answer, NULL, NULL), ==, 0);
        settle(m);
        gpu_mark_dirty(machine_gpu(m, GPU_A), /* may_register= */ true);
        settle(m);
        g_assert_cmpstr(machine_gpu(m, GPU_A)->driver, ==, "vfio-pci");
        (void)machine_destroy(m, UUID_3, &answer);
        settle(m);
        gpu_mark_dirty(machine_gpu(m, GPU_A), /* may_register= */ true);
        settle(m);
        g_assert_cmpstr(machine_gpu(m, GPU_A)->driver, ==, "simdrm");
        expect(m, 0, 0);
        machine_free(m);
}

/* NVIDIA's program binds the driver anew, which is no loading of it where it was we who ran it. */
static void test_default_nvidia(void) {
        Machine *m = machine_new();

        set_topologies(m, ON_A("all", ""), "default: t\n");
        topology_auto_begin(m->manager);
        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_NVIDIA_VFIO, 4), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        settle(m);
        expect(m, 8, 0);
        g_assert_cmpint(manager_enable_vfs(m->manager, GPU_A, 0, NULL, NULL, NULL, NULL), ==, 0);
        settle(m);
        gpu_mark_dirty(machine_gpu(m, GPU_A), /* may_register= */ true);
        settle(m);
        expect(m, 0, 0);
        rebind(m, "nvidia");
        expect(m, 8, 0);
        machine_free(m);
}

/* Nor is the driver's reason lost where no functions could be had. */
static void test_default_refused(void) {
        Machine *m = machine_new();
        Task *task;

        set_topologies(m, TARGET, "default: t\n");
        topology_auto_begin(m->manager);
        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SRIOV, 4), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        for (unsigned i = 0; i < 100 && !fake_find_job(&m->fake, JOB_ENABLE_VFS, GPU_A); i++) {
                (void)sd_event_run(m->event, 20000);
                if (!fake_find_job(&m->fake, JOB_ENABLE_VFS, GPU_A))
                        (void)fake_do_one(&m->fake);
        }
        task = LIST_FIRST(&m->manager->tasks, Task, link);
        fake_fail(fake_find_job(&m->fake, JOB_ENABLE_VFS, GPU_A), -ERROR_DRIVER_REJECTED, "it has none to give");
        settle(m);
        expect_end(task, TASK_FAILED, "it has none to give");
        expect(m, 0, 0);
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/topology-vfs/apply", test_apply);
        g_test_add_func("/topology-vfs/refused", test_refused);
        g_test_add_func("/topology-vfs/vgpus-there", test_vgpus_there);
        g_test_add_func("/topology-vfs/cancelled", test_cancelled);
        g_test_add_func("/topology-vfs/killed", test_killed);
        g_test_add_func("/topology-vfs/goes-on", test_goes_on);
        g_test_add_func("/topology-vfs/mixed", test_mixed);
        g_test_add_func("/topology-vfs/stuck", test_stuck);
        g_test_add_func("/topology-vfs/half", test_half);
        g_test_add_func("/topology-vfs/default", test_default);
        g_test_add_func("/topology-vfs/default-fails", test_default_fails);
        g_test_add_func("/topology-vfs/default-refused", test_default_refused);
        g_test_add_func("/topology-vfs/default-reloaded", test_default_reloaded);
        g_test_add_func("/topology-vfs/default-nvidia", test_default_nvidia);
        return g_test_run();
}
