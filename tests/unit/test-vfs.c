/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Changing how many virtual functions a card has, in the model: as a task, cancelled, stuck, and as settings ask for. */

#include "config.h"
#include "core/task.h"
#include "core/vfs-change.h"
#include "machine.h"
#include "sim/sim-internal.h"

#include <fcntl.h>
#include <unistd.h>

static void set_settings(Machine *m, const char *text) {
        ConfigReport report = {};
        Settings *s = settings_new();

        g_assert_cmpint(config_parse_settings("s", text, strlen(text), s, &report), ==, 0);
        manager_set_settings(m->manager, s);
}

static Machine *start(const char *settings) {
        Machine *m = machine_new();

        if (settings)
                set_settings(m, settings);
        g_assert_cmpint(sim_host_plug(&m->sim, GPU_A, SIM_GPU_SRIOV, 4), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        return m;
}

static Task *begin(Machine *m, uint32_t n) {
        Task *task;

        g_assert_cmpint(manager_enable_vfs_task(m->manager, GPU_A, n, NULL, 1000, &task, NULL), ==, 0);
        return task;
}

static PlatformJob *job(Machine *m) {
        return fake_find_job(&m->fake, JOB_ENABLE_VFS, GPU_A);
}

static void test_task(void) {
        Machine *m = start(NULL);
        Error error = ERROR_NULL;
        Task *task;

        machine_settle(m);
        task = begin(m, 3);
        g_assert_cmpint(task->state, ==, TASK_RUNNING);
        g_assert_cmpint(task->started_by, ==, 1000);
        g_assert_true(task->cancelable);
        g_assert_cmpint(manager_check_vfs(m->manager, GPU_A, 2, false, &error), ==, -ERROR_BUSY);
        g_assert_nonnull(strstr(error.message, "already"));

        /* The driver has answered; but what the GPU offers now is not known yet. */
        fake_finish(&m->fake, job(m));
        g_assert_cmpint(task->state, ==, TASK_RUNNING);
        machine_settle(m);
        g_assert_cmpint(task->state, ==, TASK_DONE);
        g_assert_true(task->changed);
        g_assert_cmpuint(task->n_done, ==, task->n_steps);
        g_assert_cmpuint(machine_available(m, GPU_A, "vfio-pci-vf"), ==, 3);

        task = begin(m, 3);
        g_assert_cmpint(task->state, ==, TASK_DONE);
        g_assert_false(task->changed);
        machine_free(m);
}

/* With attributes as many are made anew, and are as many steps as others. */
static void test_anew(void) {
        Attributes attributes = {};
        Machine *m = start(NULL);
        Task *task;

        machine_settle(m);
        (void)begin(m, 3);
        machine_settle(m);
        g_assert_cmpint(attributes_add(&attributes, "exec_quantum_ms", "1", NULL), ==, 0);
        g_assert_cmpint(manager_enable_vfs_task(m->manager, GPU_A, 3, &attributes, 1000, &task, NULL), ==, 0);
        attributes_done(&attributes);
        g_assert_cmpint(task->state, ==, TASK_RUNNING);
        g_assert_cmpuint(task->n_steps, ==, 6);
        task_set_done(task, 7);
        g_assert_cmpuint(task->n_done, ==, 6);
        machine_settle(m);
        g_assert_cmpint(task->state, ==, TASK_FAILED); /* a driver that has none */
        g_assert_cmpuint(machine_gpu(m, GPU_A)->num_vfs, ==, 3);
        machine_free(m);
}

static void test_cancel(void) {
        Machine *m = start(NULL);
        PlatformJob *j;
        Task *task;

        machine_settle(m);
        task = begin(m, 3);
        g_assert_cmpint(task_cancel(task, NULL), ==, 0);
        g_assert_cmpint(task->state, ==, TASK_CANCELLED);
        g_assert_cmpint(task->error.code, ==, -ERROR_CANCELLED);
        machine_settle(m);
        g_assert_cmpuint(machine_gpu(m, GPU_A)->num_vfs, ==, 0);

        /* The driver is at it, and cannot be stopped: then it is taken back. */
        task = begin(m, 2);
        machine_settle(m);
        task = begin(m, 3);
        j = job(m);
        fake_begin(j);
        g_assert_cmpint(task_cancel(task, NULL), ==, 0);
        g_assert_cmpint(task->state, ==, TASK_RUNNING);
        fake_finish(&m->fake, j);
        machine_settle(m);
        g_assert_cmpint(task->state, ==, TASK_CANCELLED);
        g_assert_cmpuint(machine_gpu(m, GPU_A)->num_vfs, ==, 2);
        machine_free(m);
}

static void test_fails(void) {
        Machine *m = start(NULL);
        Task *task;

        machine_settle(m);
        task = begin(m, 3);
        fake_fail(job(m), -ERROR_DRIVER_REJECTED, "no");
        machine_settle(m);
        g_assert_cmpint(task->state, ==, TASK_FAILED);
        g_assert_cmpint(task->error.code, ==, -ERROR_DRIVER_REJECTED);
        g_assert_false(task->changed);

        /* The card goes in the middle of it. */
        task = begin(m, 3);
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        g_assert_cmpint(task->state, ==, TASK_FAILED);
        g_assert_cmpint(task->error.code, ==, -ERROR_NO_SUCH_GPU);
        machine_settle(m);
        machine_free(m);
}

static HostOps real_ops;

static int refuse_four(const Host *host, int dir_fd, const char *path, const char *text) {
        return strstr(path, "sriov_numvfs") && streq(text, "4") ? -ENOSPC : real_ops.store(host, dir_fd, path, text);
}

/* What there was is there again, though it had to go first. */
static void test_refused(void) {
        Machine *m = start(NULL);
        Task *task;

        machine_settle(m);
        (void)begin(m, 2);
        machine_settle(m);
        real_ops = m->host_ops;
        m->host_ops.store = refuse_four;
        task = begin(m, 4);
        machine_settle(m);
        g_assert_cmpint(task->state, ==, TASK_FAILED);
        g_assert_nonnull(strstr(task->error.message, "ENOSPC"));
        g_assert_cmpuint(machine_gpu(m, GPU_A)->num_vfs, ==, 2);
        machine_free(m);
}

/* A driver that does not answer: the GPU says so, and nobody waits for it, until it does. */
static void test_stuck(void) {
        Machine *m = start(NULL);
        PlatformJob *j;
        Task *task;

        machine_settle(m);
        task = begin(m, 3);
        g_assert_false(manager_is_settled(m->manager));
        j = job(m);
        fake_time_out(j, 4711);
        g_assert_cmpint(machine_gpu(m, GPU_A)->state, ==, GPU_BUSY);
        g_assert_cmpint(task->state, ==, TASK_FAILED);
        g_assert_cmpint(task->error.code, ==, -ERROR_TIMEOUT);
        g_assert_true(manager_is_settled(m->manager));
        g_assert_cmpint(manager_check_vfs(m->manager, GPU_A, 3, false, NULL), ==, -ERROR_BUSY);
        fake_finish(&m->fake, j);
        machine_settle(m);
        g_assert_cmpint(machine_gpu(m, GPU_A)->state, ==, GPU_READY);
        g_assert_cmpuint(machine_gpu(m, GPU_A)->num_vfs, ==, 3);
        machine_free(m);
}

/* The daemon ends in the middle of it. */
static void test_end(void) {
        Machine *m = start(NULL);

        machine_settle(m);
        (void)begin(m, 3);
        fake_begin(job(m));
        machine_free(m);
}

#define SETTINGS "version: 1\nsriov: [{match: {address: \"" GPU_A "\"}, vfs: 3}]\n"

static void test_setting_fails(void) {
        Machine *m = start(SETTINGS);
        Gpu *gpu;

        machine_turn(m);
        g_assert_true(fake_do_one(&m->fake)); /* it is read */
        gpu = machine_gpu(m, GPU_A);
        g_assert_nonnull(job(m));
        g_assert_false(manager_is_settled(m->manager));
        fake_fail(job(m), -ERROR_DRIVER_REJECTED, "somebody has it open");
        machine_settle(m);
        g_assert_nonnull(strstr(gpu->reason, "somebody has it open"));
        g_assert_cmpint(gpu->state, ==, GPU_READY);
        g_assert_false(manager_is_settled(m->manager)); /* who wants something on them waits */

        /* It is tried again; and what it has then is all there is to say. */
        for (unsigned i = 0; i < 100 && !job(m); i++)
                (void)sd_event_run(m->event, 100000);
        g_assert_nonnull(job(m));
        machine_settle(m);
        g_assert_true(manager_is_settled(m->manager));
        g_assert_cmpuint(gpu->num_vfs, ==, 3);
        g_assert_cmpstr(gpu->reason, ==, "");
        machine_free(m);
}

static void rebind(Machine *m) {
        /* Keeps the number of the old binding from being the new one's. */
        int fd = openat(m->sim.host.sys_fd, "bus/pci/devices/" GPU_A "/driver", O_PATH | O_NOFOLLOW | O_CLOEXEC);

        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(machine_store(m, "bus/pci/drivers/simdrm/unbind", GPU_A), ==, 0);
        g_assert_cmpint(machine_store(m, "bus/pci/drivers/simdrm/bind", GPU_A), ==, 0);
        (void)close(fd);
        gpu_mark_dirty(machine_gpu(m, GPU_A), /* may_register= */ true);
        g_assert_true(fake_do_one(&m->fake)); /* it is read */
}

/* One that has not been able to, ever, is asked again when it is loaded anew, and again if it fails. */
static void test_setting_rebound(void) {
        Machine *m = start(SETTINGS);
        Gpu *gpu;

        machine_turn(m);
        g_assert_true(fake_do_one(&m->fake)); /* it is read */
        gpu = machine_gpu(m, GPU_A);
        gpu->n_vfs_tries = 3;
        fake_fail(job(m), -ERROR_DRIVER_REJECTED, "no");
        machine_settle(m);
        g_assert_null(gpu->vfs_retry);

        rebind(m);
        fake_fail(job(m), -ERROR_DRIVER_REJECTED, "no");
        machine_settle(m);
        g_assert_nonnull(gpu->vfs_retry);
        machine_free(m);
}

/* Who has been quicker is left alone, as is what was changed by hand. */
static void test_setting_yields(void) {
        Machine *m = start(SETTINGS);

        g_assert_cmpint(machine_store(m, "bus/pci/devices/" GPU_A "/sriov_numvfs", "2"), ==, 0);
        machine_settle(m);
        g_assert_cmpuint(machine_gpu(m, GPU_A)->num_vfs, ==, 2);
        (void)begin(m, 0);
        machine_settle(m);
        g_assert_cmpuint(machine_gpu(m, GPU_A)->num_vfs, ==, 0);
        machine_free(m);
}

static void restart(Machine *m) {
        machine_restart(m);
        set_settings(m, SETTINGS);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
}

/* A daemon that dies in the middle of it leaves it to the next one, and what it has done is not done again. */
static void test_setting_killed(void) {
        Machine *m = start(SETTINGS);

        machine_turn(m);
        g_assert_true(fake_do_one(&m->fake)); /* it is read */
        fake_begin(job(m));
        restart(m);
        g_assert_cmpuint(machine_gpu(m, GPU_A)->num_vfs, ==, 3);

        (void)begin(m, 0);
        machine_settle(m);
        restart(m);
        g_assert_cmpuint(machine_gpu(m, GPU_A)->num_vfs, ==, 0);
        machine_free(m);
}

static void test_settings(void) {
        static const struct {
                const char *text, *problem; /* NULL: none */
        } rows[] = {
                { "version: 1\n", NULL },
                { "", NULL },
                { SETTINGS "nvidia: {sriov-manage: /opt/sriov-manage}\n", NULL },
                { "version: 1\nsriov: [{match: {}, vfs: all}]\n", NULL },
                { SETTINGS "nvidia: {newer-drivers: yes, layout: mdev-gpu-510}\n", NULL },
                { SETTINGS "nvidia: {layout: known}\n", NULL },
                { "version: 1\nnvidia: {layout: 510}\n", "is not known or mdev-gpu-510" },
                { "version: 1\nnvidia: {newer-drivers: 2}\n", "boolean" },
                { "version: 2\n", "version" },
                { "version: 1\nsriov: [{vfs: 3}]\n", "'match'" },
                { "version: 1\nsriov: [{match: {}}]\n", "'vfs'" },
                { "version: 1\nsriov: [{match: {}, vfs: 65536}]\n", "65535" },
                { "version: 1\nsriov: [{match: {}, vfs: -1}]\n", "whole number" },
                { "version: 1\nsriov: {}\n", "list" },
                { "version: 1\nnvidia: {sriov-manage: sriov-manage}\n", "from / on" },
                { "version: 1\nsriof: []\n", "did you mean 'sriov'" },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
                ConfigReport report = {};
                Settings *s = settings_new();
                int r = config_parse_settings("s", rows[i].text, strlen(rows[i].text), s, &report);

                g_test_message("%s", rows[i].text);
                g_assert_cmpint(r, ==, rows[i].problem ? -EBADMSG : 0);
                if (rows[i].problem)
                        g_assert_nonnull(strstr(report.problems[0].message, rows[i].problem));
                else {
                        g_assert_cmpint(s->nvidia_newer, ==, strstr(rows[i].text, "newer-drivers") != NULL);
                        g_assert_cmpint(s->nvidia_legacy, ==, strstr(rows[i].text, "510") != NULL);
                }
                config_report_done(&report);
                settings_free(s);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/vfs/task", test_task);
        g_test_add_func("/vfs/anew", test_anew);
        g_test_add_func("/vfs/cancel", test_cancel);
        g_test_add_func("/vfs/fails", test_fails);
        g_test_add_func("/vfs/refused", test_refused);
        g_test_add_func("/vfs/stuck", test_stuck);
        g_test_add_func("/vfs/end", test_end);
        g_test_add_func("/vfs/setting-fails", test_setting_fails);
        g_test_add_func("/vfs/setting-rebound", test_setting_rebound);
        g_test_add_func("/vfs/setting-yields", test_setting_yields);
        g_test_add_func("/vfs/setting-killed", test_setting_killed);
        g_test_add_func("/vfs/settings", test_settings);

        return g_test_run();
}
