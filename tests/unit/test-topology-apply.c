/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Applying topologies: all or nothing, whatever the driver, the users, an administrator or kill -9 do in the middle of it;
 * and the default one, at the start and when cards come.
 */

#include "config.h" /* before GLib, which has its own MIN() and MAX() and puts them over ours */

#include "core/topology-apply.h"
#include "core/topology-auto.h"
#include "machine.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define ON_A(vgpus) "{match: {address: \"" GPU_A "\"}, vgpus: [" vgpus "]}"

/* Everything at once: one stays and is defined, one goes with its definition, two come, one of them defined. */
#define TARGET                                                                                                         \
        ON_A("{type: Type 1, uuid: " UUID_1 ", label: new, autostart: on}, {type: Type 2, uuid: " UUID_3               \
             ", label: three, autostart: on}, {type: Type 2}")

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

static int compare_lines(const void *a, const void *b) {
        return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What there is, a line for each vGPU. UUIDs that are derived are this host's. */
static char *dump(Machine *m) {
        g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
        VGpu *vgpu;

        LIST_FOREACH(vgpu, &m->manager->all_vgpus, link)
                if (vgpu->linked)
                        g_ptr_array_add(lines, g_strdup_printf("%.4s %.7s %s %s '%s'%s%s%s\n", vgpu->uuid, vgpu->parent,
                                                               vgpu->type_id, vgpu_state_to_string(vgpu->state),
                                                               vgpu->label, vgpu->persistent ? " defined" : "",
                                                               vgpu->autostart ? " auto" : "",
                                                               vgpu->managed ? "" : " foreign"));
        g_ptr_array_sort(lines, compare_lines);
        g_ptr_array_add(lines, NULL);
        return g_strjoinv("", (char **)lines->pdata);
}

static void have_vgpu(Machine *m, const char *uuid, bool persistent, const char *label) {
        const CreateRequest request = { GPU_A, TYPE_1, uuid, .persistent = persistent, .label = label };
        Error error = ERROR_NULL;
        Answer answer = {};

        g_assert_cmpint(manager_create_vgpu(m->manager, &request, machine_on_answer, &answer, NULL, &error), ==, 0);
        machine_settle(m);
        g_assert_cmpstr(answer.error.message, ==, "");
}

static Machine *machine_with_vgpus(void) {
        Machine *m = machine_with_gpus();

        have_vgpu(m, UUID_1, false, "old");
        have_vgpu(m, UUID_2, true, "two");
        machine_clear_log(m);
        return m;
}

static const Caller *applier; /* NULL: nobody */
static uint32_t limit = UNKNOWN_U32; /* of vGPUs, for everybody */

static void set_limit(Machine *m) {
        const LimitRule rule = { .subject.who = RULE_EVERYBODY, .vgpus = limit, .framebuffer = UNKNOWN_U64 };
        Settings *settings = settings_new();

        settings->rules = rule_set_new("f");
        g_assert_cmpint(rule_set_add_limit(settings->rules, &rule), ==, 0);
        manager_set_settings(m->manager, settings);
}

static Task *apply(Machine *m) {
        Error error = ERROR_NULL;
        Task *task;

        if (topology_apply(m->manager, "t", applier, &task, &error) < 0)
                g_error("%s", error.message);
        return task;
}

static void expect_end(Task *task, TaskState state, const char *part) {
        g_assert_cmpstr(task_state_to_string(task->state), ==, task_state_to_string(state));
        g_assert_nonnull(strstr(task->error.message, part));
}

static void test_apply(void) {
        Machine *m = machine_with_vgpus();
        g_autofree char *after = NULL, *again = NULL;
        Task *task;

        set_topologies(m, TARGET, "");
        task = apply(m);
        g_assert_cmpuint(task->n_uuids, ==, 4);
        settle(m);
        expect_end(task, TASK_DONE, "");
        g_assert_true(task->changed);
        g_assert_cmpuint(task->n_done, ==, 5);
        after = dump(m);
        g_assert_nonnull(strstr(after, "1111 0000:41 " TYPE_1 " active 'new' defined auto\n"));
        g_assert_nonnull(strstr(after, "3333 0000:41 " TYPE_2 " active 'three' defined auto\n"));
        g_assert_null(strstr(after, "2222"));
        g_assert_cmpuint(m->manager->vgpus.n, ==, 3);

        /* Once more: nothing to do. */
        machine_clear_log(m);
        task = apply(m);
        settle(m);
        g_assert_false(task->changed);
        g_assert_cmpstr(m->log->str, ==, "+task 2 apply-topology\ntask 2 running\ntask 2 done\ntask 2 ends: \n");
        again = dump(m);
        g_assert_cmpstr(after, ==, again);
        machine_free(m);
}

/* What cannot be is said before anything is touched. */
static void test_refused(void) {
        Machine *m = machine_with_vgpus();
        Error error = ERROR_NULL;

        set_topologies(m, ON_A("{type: Type 2, count: 5}"), "");
        g_assert_cmpint(topology_apply(m->manager, "t", 0, NULL, &error), ==, -ERROR_NO_INSTANCES);
        g_assert_cmpint(topology_apply(m->manager, "x", 0, NULL, &error), ==, -ERROR_NO_SUCH_TOPOLOGY);
        g_assert_cmpint(topology_apply(m->manager, "", 0, NULL, &error), ==, -ERROR_NO_SUCH_TOPOLOGY);
        set_topologies(m, TARGET, "");
        (void)apply(m);
        g_assert_cmpint(topology_apply(m->manager, "t", 0, NULL, &error), ==, -ERROR_BUSY);
        settle(m);
        machine_free(m);
}

/* The driver refuses in the middle of it. */
static void test_rolled_back(void) {
        Machine *m = machine_with_vgpus();
        g_autofree char *before = dump(m), *after = NULL;
        Task *task;

        set_topologies(m, TARGET, "");
        task = apply(m);
        while (task->n_done < 4) {
                machine_turn(m);
                g_assert_true(task->n_done == 4 || fake_do_one(&m->fake));
        }
        m->refuse_create = -EINVAL;
        while (m->manager->topology_apply && fake_find_job(&m->fake, JOB_CREATE, NULL)) {
                fake_finish(&m->fake, fake_find_job(&m->fake, JOB_CREATE, NULL));
                m->refuse_create = 0;
                machine_turn(m);
                break;
        }
        settle(m);
        expect_end(task, TASK_FAILED, "everything is as it was before");
        g_assert_false(task->changed);
        after = dump(m);
        g_assert_cmpstr(before, ==, after);
        g_assert_cmpstr(m->manager->active_topology, ==, "");
        machine_free(m);
}

/* And refuses to take it back, too: that is said. */
static void test_stays(void) {
        Machine *m = machine_with_vgpus();
        Task *task;

        m->refuse_create = -EINVAL;
        set_topologies(m, ON_A("{type: Type 2}"), "");
        task = apply(m);
        settle(m);
        expect_end(task, TASK_FAILED, "it was not possible to take all of it back: vGPU ");
        g_assert_true(task->changed);
        machine_free(m);
}

/* A removal that does not end is under way still: nobody says that all is as it was. */
static void test_blocked(void) {
        Machine *m = machine_with_vgpus();
        PlatformJob *job = NULL;
        Task *task;

        set_topologies(m, TARGET, "");
        task = apply(m);
        while (!(job = fake_find_job(&m->fake, JOB_REMOVE, NULL))) {
                machine_turn(m);
                if (!fake_find_job(&m->fake, JOB_REMOVE, NULL))
                        (void)fake_do_one(&m->fake);
        }
        fake_time_out(job, 4711);
        while (task->state == TASK_RUNNING) {
                PlatformJob *other = fake_find_job(&m->fake, JOB_STORE, NULL);

                machine_turn(m);
                if (other)
                        fake_finish(&m->fake, other);
        }
        expect_end(task, TASK_FAILED, "it was not possible to take all of it back: vGPU ");
        expect_end(task, TASK_FAILED, "its removal goes on");
        g_assert_true(task->changed);
        machine_free(m);
}

/* A GPU that cannot be read shows nothing of what is on it: that is not as it was before. */
static void test_unreadable(void) {
        Machine *m = machine_with_vgpus();
        Error error = ERROR_NULL;
        Task *task;

        set_topologies(m, TARGET, "");
        task = apply(m);
        while (task->n_done < 3) {
                machine_turn(m);
                g_assert_true(task->n_done == 3 || fake_do_one(&m->fake));
        }
        manager_find_gpu(m->manager, GPU_A)->state = GPU_FAILED;
        g_assert_cmpint(task_cancel(task, &error), ==, 0);
        settle(m);
        expect_end(task, TASK_CANCELLED, "it was not possible to take all of it back: ");
        expect_end(task, TASK_CANCELLED, "cannot be read");
        machine_free(m);
}

static void test_cancelled(void) {
        for (unsigned n = 0;; n++) {
                Machine *m = machine_with_vgpus();
                g_autofree char *before = dump(m), *after = NULL;
                Error error = ERROR_NULL;
                bool running = true;
                Task *task;

                set_topologies(m, TARGET, "");
                task = apply(m);
                for (unsigned i = 0; i < n && running; i++) {
                        machine_turn(m);
                        running = fake_do_one(&m->fake);
                }
                machine_turn(m);
                if (task->state == TASK_DONE) {
                        g_assert_cmpint(task_cancel(task, &error), ==, -ERROR_NOT_SUPPORTED);
                        machine_free(m);
                        return;
                }
                g_assert_cmpint(task_cancel(task, &error), ==, 0);
                settle(m);
                after = dump(m);
                /* The last step may have been done before it was heard of. */
                if (task->state == TASK_CANCELLED)
                        g_assert_cmpstr(before, ==, after);
                else
                        g_assert_cmpuint(task->n_done, ==, task->n_steps);
                machine_free(m);
        }
}

static void test_in_use(void) {
        Machine *m = machine_with_vgpus();
        g_autofree char *before = dump(m), *after = NULL;
        PlatformJob *job;
        Task *task;

        set_topologies(m, TARGET, "");
        task = apply(m);
        machine_turn(m);
        job = fake_find_job(&m->fake, JOB_USERS, NULL);
        g_assert_nonnull(job);
        g_assert_cmpstr(job->uuid, ==, UUID_2);
        fake_run(&m->fake, job);
        free(job->result.users);
        job->result.users = calloc(1, sizeof(User));
        job->result.users[0] = (User){ .pid = 42, .comm = "qemu" };
        job->result.n_users = 1;
        fake_finish(&m->fake, job);
        settle(m);
        expect_end(task, TASK_FAILED,
                   "vGPU " UUID_2 " would have to go and is in use by qemu (PID 42); nothing was changed");
        after = dump(m);
        g_assert_cmpstr(before, ==, after);
        machine_free(m);
}

/* Killed after n jobs, and if half in the middle of the next: done by the driver, and nobody was told. */
static bool run_until_killed(Machine *m, unsigned n, bool half) {
        Task *task = apply(m);
        PlatformJob *job;

        for (unsigned i = 0; i < n; i++) {
                machine_turn(m);
                if (!fake_do_one(&m->fake))
                        break;
        }
        machine_turn(m);
        if (task->state == TASK_DONE)
                return false;

        if (half)
                LIST_FOREACH(job, &m->fake.jobs, link)
                        if (!job->begun) {
                                fake_run(&m->fake, job);
                                break;
                        }
        return true;
}

static void start_again(Machine *m, const char *policy) {
        machine_restart(m);
        machine_set_types(m, 2, 2);
        set_limit(m);
        set_topologies(m, TARGET, policy);
        g_assert_cmpint(manager_scan(m->manager), >=, 0);
        machine_settle(m);
        topology_auto_begin(m->manager);
        settle(m);
        manager_prune_records(m->manager);
        machine_settle(m);
}

/* What an application comes to that nobody disturbs. */
static char *dump_undisturbed(void) {
        Machine *m = machine_with_vgpus();
        char *text;

        set_topologies(m, TARGET, "");
        (void)apply(m);
        settle(m);
        text = dump(m);
        machine_free(m);
        return text;
}

static void check_kills(const char *policy, bool goes_on) {
        g_autofree char *expected = dump_undisturbed();
        bool more = true;

        for (unsigned n = 0; more; n++)
                for (unsigned half = 0; half < 2; half++) {
                        Machine *m = machine_with_vgpus();
                        g_autofree char *before = dump(m), *after = NULL;
                        bool recorded;

                        set_topologies(m, TARGET, policy);
                        more = run_until_killed(m, n, half);
                        recorded =
                                m->manager->topology_apply && faccessat(m->state_fd, "topology/journal", F_OK, 0) == 0;
                        start_again(m, policy);
                        after = dump(m);
                        g_test_message("killed after %u%s", n, half ? " and a half" : "");
                        if (more && !(goes_on && recorded))
                                g_assert_cmpstr(before, ==, after);
                        else
                                g_assert_cmpstr(after, ==, expected);
                        g_assert_cmpint(faccessat(m->state_fd, "topology/journal", F_OK, 0), <, 0);
                        machine_free(m);
                }
}

static void test_killed(void) {
        check_kills("", /* goes_on= */ false);
}

static void test_goes_on(void) {
        check_kills("policy: {interrupted: go-on}\n", /* goes_on= */ true);
}

/* What it has still to make is its applier's already, at each of its moments; and who may have less by now gets less. */
static void test_limits(void) {
        static const Caller alice = { .uid = 1000, .groups_known = true };
        const CreateRequest another = { .gpu = GPU_B, .type = TYPE_1, .uuid = "", .by = &alice };

        applier = &alice;
        for (unsigned n = 0; n < 4; n++) {
                Machine *m = machine_with_vgpus();
                g_autofree char *before = dump(m), *after = NULL;
                Error error = ERROR_NULL;

                limit = 3;
                set_limit(m);
                set_topologies(m, TARGET, "policy: {interrupted: go-on}\n");
                g_assert_true(run_until_killed(m, n, /* half= */ false));
                g_assert_cmpint(manager_create_vgpu(m->manager, &another, NULL, NULL, NULL, &error), ==,
                                -ERROR_LIMIT_EXCEEDED);
                g_assert_nonnull(strstr(error.message, "there are 3"));
                limit = 2;
                start_again(m, "policy: {interrupted: go-on}\n");
                after = dump(m);
                g_assert_cmpstr(before, ==, after);
                machine_free(m);
        }
        applier = NULL;
        limit = UNKNOWN_U32;
}

/* What is written there by nobody of ours. */
static void test_journal(void) {
        static const char *const texts[] = {
                "",
                "{",
                "[]",
                "{}",
                "{\"topology\": \"t\", \"steps\": [1]}",
                "{\"topology\": \"t\", \"steps\": [{\"action\": \"destroy\", \"uuid\": \"..\"}]}"
        };
        Machine *m = machine_with_vgpus();
        g_autofree char *before = dump(m);

        g_assert_cmpint(mkdirat(m->state_fd, "topology", 0700), ==, 0);
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                g_autofree char *path = g_strdup_printf("%s/state/topology/journal", m->root), *after = NULL;

                g_assert_true(g_file_set_contents(path, texts[i], -1, NULL));
                start_again(m, "");
                after = dump(m);
                g_assert_cmpstr(before, ==, after);
                g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
        }
        machine_free(m);
}

/* At the start, once; when a card comes; and never again for a card that stays, whoever restarts the daemon. */
static void test_default(void) {
        static const char entries[] =
                "{match: {address: \"" GPU_A "\"}, vgpus: [{type: Type 1, count: 2}]}, {match: {address: "
                "\"" GPU_B "\"}, vgpus: [{type: Type 1}]}";
        Machine *m = machine_new();
        g_autofree char *first = NULL, *back = NULL;
        VGpu *vgpu;

        machine_set_types(m, 2, 2);
        set_topologies(m, entries, "default: t\n");
        machine_add_gpu(m, GPU_A);
        topology_auto_begin(m->manager);
        settle(m);
        g_assert_cmpuint(m->manager->vgpus.n, ==, 2);
        g_assert_cmpstr(m->manager->active_topology, ==, "t");
        first = dump(m);

        /* What a person does stays, also when the daemon starts anew. */
        vgpu = LIST_FIRST(&m->manager->all_vgpus, VGpu, link);
        (void)machine_destroy(m, vgpu->uuid, &(Answer){});
        settle(m);
        machine_restart(m);
        machine_set_types(m, 2, 2);
        set_topologies(m, entries, "default: t\n");
        g_assert_cmpint(manager_scan(m->manager), >=, 0);
        machine_settle(m);
        topology_auto_begin(m->manager);
        settle(m);
        g_assert_cmpuint(m->manager->vgpus.n, ==, 1);
        g_assert_cmpstr(m->manager->active_topology, ==, "t");

        /* A card that comes gets what it shall have; the other one stays as it is. */
        machine_add_gpu(m, GPU_B);
        settle(m);
        g_assert_cmpuint(m->manager->vgpus.n, ==, 2);

        /* And one that has been away, the same as before. */
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
        settle(m);
        g_assert_cmpuint(m->manager->vgpus.n, ==, 1);
        machine_add_gpu(m, GPU_A);
        settle(m);
        g_assert_cmpuint(m->manager->vgpus.n, ==, 3);
        back = dump(m);
        g_assert_nonnull(strstr(back, first));
        machine_free(m);
}

/* Killed in the middle of that, the next one goes on with it, whatever the policy is; and removes nothing. */
static void test_default_killed(void) {
        static const char entries[] = ON_A("{type: Type 1, count: 3}");
        Machine *m = machine_new();

        machine_set_types(m, 2, 2);
        set_topologies(m, entries, "default: t\n");
        machine_add_gpu(m, GPU_A);
        have_vgpu(m, UUID_1, false, "by hand");
        topology_auto_begin(m->manager);
        machine_turn(m);
        g_assert_true(fake_do_one(&m->fake));
        machine_turn(m);
        g_assert_nonnull(m->manager->topology_apply);
        g_assert_cmpint(faccessat(m->state_fd, "topology/journal", F_OK, 0), ==, 0);

        machine_restart(m);
        machine_set_types(m, 2, 2);
        set_topologies(m, entries, "default: t\n");
        g_assert_cmpint(manager_scan(m->manager), >=, 0);
        machine_settle(m);
        topology_auto_begin(m->manager);
        settle(m);
        g_assert_cmpuint(m->manager->vgpus.n, ==, 3);
        g_assert_nonnull(manager_find_vgpu(m->manager, UUID_1));
        g_assert_cmpstr(m->manager->active_topology, ==, "t");
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/topology-apply/apply", test_apply);
        g_test_add_func("/topology-apply/refused", test_refused);
        g_test_add_func("/topology-apply/rolled-back", test_rolled_back);
        g_test_add_func("/topology-apply/stays", test_stays);
        g_test_add_func("/topology-apply/blocked", test_blocked);
        g_test_add_func("/topology-apply/unreadable", test_unreadable);
        g_test_add_func("/topology-apply/cancelled", test_cancelled);
        g_test_add_func("/topology-apply/in-use", test_in_use);
        g_test_add_func("/topology-apply/killed", test_killed);
        g_test_add_func("/topology-apply/goes-on", test_goes_on);
        g_test_add_func("/topology-apply/limits", test_limits);
        g_test_add_func("/topology-apply/journal", test_journal);
        g_test_add_func("/topology-apply/default", test_default);
        g_test_add_func("/topology-apply/default-killed", test_default_killed);
        return g_test_run();
}
