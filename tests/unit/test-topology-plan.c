/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Plans: what would be done so that the machine is as a topology says. Two cards of 8 GiB, types of 2 GiB.
 */

#include "config.h" /* before GLib, which has its own MIN() and MAX() and puts them over ours */

#include "core/definition-files.h"
#include "core/topology-plan.h"
#include "machine.h"

#define ANY "{match: {}, vgpus: "
#define ON_A "{match: {address: \"" GPU_A "\"}, vgpus: "

static TopologySet *parse(const char *entries, const char *policy) {
        g_autofree char *text = g_strdup_printf("version: 1\ntopologies: {t: [%s]}\npolicy: {%s}\n", entries, policy);
        TopologyDraft draft = { .set = topology_set_new() };
        ConfigReport report = {};

        if (config_parse_topologies("f", text, strlen(text), &draft, &report) < 0)
                g_error("%s", report.problems[0].message);
        config_report_done(&report);
        return draft.set;
}

static void dump_step(GString *s, const TopologyStep *step) {
        g_string_append_printf(s, "%s %.4s %.7s %s", topology_action_to_string(step->action), step->uuid, step->gpu,
                               step->type_id);
        if (step->action != TOPOLOGY_DESTROY && step->action != TOPOLOGY_UNDEFINE && step->action != TOPOLOGY_KEEP) {
                if (step->label[0] != '\0')
                        g_string_append_printf(s, " '%s'", step->label);
                if (step->autostart)
                        g_string_append(s, " auto");
        }
        g_string_append_c(s, '\n');
}

static char *plan_only(Machine *m, const char *entries, const char *policy, const char *only) {
        const TopologyPlanOptions options = { .only = only ? &only : NULL, .n_only = only ? 1 : 0 };
        TopologySet *set = parse(entries, policy);
        GString *s = g_string_new(NULL);
        TopologyPlan plan;

        g_assert_cmpint(topology_plan_new(m->manager, set->topologies[0], &set->policy, &options, &plan), ==, 0);
        for (size_t i = 0; i < plan.n_steps; i++)
                dump_step(s, &plan.steps[i]);
        for (size_t i = 0; i < plan.n_problems; i++)
                g_string_append_printf(s, "%s\n", plan.problems[i].message);
        topology_plan_done(&plan);
        topology_set_free(set);
        return g_string_free(s, FALSE);
}

static char *plan(Machine *m, const char *entries, const char *policy) {
        return plan_only(m, entries, policy, NULL);
}

/* Derived UUIDs are blotted out, as they are this host's. */
static void expect(Machine *m, const char *entries, const char *policy, const char *expected) {
        g_autofree char *got = plan(m, entries, policy);
        GString *s = g_string_new(got);

        for (char *p = s->str; (p = strstr(p, "create ")); p += 7)
                if (strncmp(p + 7, "1111", 4) != 0 && strncmp(p + 7, "2222", 4) != 0)
                        memcpy(p + 7, "....", 4);
        g_assert_cmpstr(s->str, ==, expected);
        g_string_free(s, TRUE);
}

static void define(Machine *m, const char *uuid, const char *type, bool autostart) {
        const DefineRequest request = { .gpu = GPU_A, .type = type, .uuid = uuid, .autostart = autostart };
        Error error = ERROR_NULL;
        Answer answer = {};

        g_assert_cmpint(manager_define_vgpu(m->manager, &request, machine_on_answer, &answer, NULL, &error), ==, 0);
        machine_settle(m);
        g_assert_cmpstr(answer.error.message, ==, "");
}

static void test_create(void) {
        Machine *m = machine_with_gpus();

        expect(m, ANY "[]}", "", "");
        expect(m, ON_A "[{type: Type 1, count: 2, label: x}, {type: \"2\", uuid: " UUID_1 ", autostart: on}]}", "",
               "create .... 0000:41 mdevgpu_ref-1 'x'\ncreate .... 0000:41 mdevgpu_ref-1 'x'\n"
               "create 1111 0000:41 mdevgpu_ref-2 auto\n");
        /* Spread, or not. */
        expect(m, ANY "[{type: Type 1, count: 2}]}", "",
               "create .... 0000:41 mdevgpu_ref-1\ncreate .... 0000:42 mdevgpu_ref-1\n");
        expect(m, ANY "[{type: Type 1, count: 2}]}", "placement: depth-first",
               "create .... 0000:41 mdevgpu_ref-1\ncreate .... 0000:41 mdevgpu_ref-1\n");
        expect(m, ANY "[{type: Type 1}]}", "exclude: [\"0000:41:*\"]", "create .... 0000:42 mdevgpu_ref-1\n");
        expect(m, ANY "[{type: Type 1, count: 2, per-gpu: true}]}", "placement: depth-first",
               "create .... 0000:41 mdevgpu_ref-1\ncreate .... 0000:41 mdevgpu_ref-1\n"
               "create .... 0000:42 mdevgpu_ref-1\ncreate .... 0000:42 mdevgpu_ref-1\n");
        machine_free(m);
}

/* The same twice, and another for another topology, type or number. */
static void test_stable(void) {
        Machine *m = machine_with_gpus();
        g_autofree char *first = plan(m, ON_A "[{type: Type 1, count: 2}]}", "");
        g_autofree char *again = plan(m, ON_A "[{type: Type 2}]}, " ON_A "[{type: Type 1, count: 2}]}", "");

        g_assert_nonnull(strstr(again, first));
        g_assert_cmpmem(first, 11, again, 11);
        g_assert_false(strncmp(first + 7, strchr(first, '\n') + 8, 4) == 0);
        machine_free(m);
}

static void test_keep(void) {
        Machine *m = machine_with_gpus();
        VGpu *vgpu = machine_have_vgpu(m, GPU_A, UUID_1);

        expect(m, ON_A "[{type: Type 1}]}", "", "keep 1111 0000:41 mdevgpu_ref-1\n");
        expect(m, ON_A "[{type: Type 1, count: 2}]}", "",
               "keep 1111 0000:41 mdevgpu_ref-1\ncreate .... 0000:41 mdevgpu_ref-1\n");
        expect(m, ON_A "[{type: Type 1, label: a}]}", "", "modify 1111 0000:41 mdevgpu_ref-1 'a'\n");
        expect(m, ON_A "[{type: Type 1, label: a, autostart: yes}]}", "",
               "define 1111 0000:41 mdevgpu_ref-1 'a' auto\n");
        /* The named one is not taken for another. */
        expect(m, ON_A "[{type: Type 1}, {type: Type 1, uuid: " UUID_1 "}]}", "",
               "keep 1111 0000:41 mdevgpu_ref-1\ncreate .... 0000:41 mdevgpu_ref-1\n");
        /* What is not asked for goes where the topology speaks of, and nowhere else. */
        expect(m, ANY "[]}", "", "destroy 1111 0000:41 mdevgpu_ref-1\n");
        expect(m, "{match: {address: \"" GPU_B "\"}, vgpus: []}", "", "");
        expect(m, ANY "[]}", "prune: none", "");
        /* Of another type: only so can it be. */
        expect(m, ON_A "[{type: Type 2, uuid: " UUID_1 "}]}", "",
               "destroy 1111 0000:41 mdevgpu_ref-1\ncreate 1111 0000:41 mdevgpu_ref-2\n");
        expect(m, "{match: {address: \"" GPU_B "\"}, vgpus: [{type: Type 1, uuid: " UUID_1 "}]}", "",
               "destroy 1111 0000:41 mdevgpu_ref-1\ncreate 1111 0000:42 mdevgpu_ref-1\n");

        vgpu->managed = vgpu->made = false;
        expect(m, ANY "[]}", "", "");
        expect(m, ANY "[]}", "unmanaged: take", "destroy 1111 0000:41 mdevgpu_ref-1\n");
        expect(m, ON_A "[{type: Type 1}]}", "", "create .... 0000:41 mdevgpu_ref-1\n");
        expect(m, ON_A "[{type: Type 1, uuid: " UUID_1 ", label: x}]}", "", "keep 1111 0000:41 mdevgpu_ref-1\n");
        expect(m, ON_A "[{type: Type 2, uuid: " UUID_1 "}]}", "",
               "vGPU " UUID_1 " is of type " TYPE_1 " on " GPU_A
               ", and is not ours: the topology wants 'Type 2' there\n");
        machine_free(m);
}

static void test_defined(void) {
        Machine *m = machine_with_gpus();

        define(m, UUID_1, TYPE_1, false);
        expect(m, ON_A "[{type: Type 1}]}", "", "start 1111 0000:41 mdevgpu_ref-1\n");
        expect(m, ON_A "[{type: Type 1, autostart: on}]}", "",
               "modify 1111 0000:41 mdevgpu_ref-1 auto\nstart 1111 0000:41 mdevgpu_ref-1\n");
        expect(m, ON_A "[]}", "", "");
        expect(m, ON_A "[{type: Type 2, uuid: " UUID_1 "}]}", "",
               "undefine 1111 0000:41 mdevgpu_ref-1\ncreate 1111 0000:41 mdevgpu_ref-2\n");
        machine_free(m);
}

/* It is judged whole: what goes makes room, and what does not fit is said once. */
static void test_room(void) {
        Machine *m = machine_with_gpus();

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        (void)machine_have_vgpu(m, GPU_A, UUID_2);
        expect(m, ON_A "[{type: Type 2, count: 4}]}", "",
               "destroy 1111 0000:41 mdevgpu_ref-1\ndestroy 2222 0000:41 mdevgpu_ref-1\n"
               "create .... 0000:41 mdevgpu_ref-2\ncreate .... 0000:41 mdevgpu_ref-2\n"
               "create .... 0000:41 mdevgpu_ref-2\ncreate .... 0000:41 mdevgpu_ref-2\n");
        expect(m, ON_A "[{type: Type 2, count: 3}]}", "prune: none",
               "create .... 0000:41 mdevgpu_ref-2\ncreate .... 0000:41 mdevgpu_ref-2\n"
               "f:2: No GPU has room for a vGPU of type 'Type 2': " GPU_A " has 0 left, 1 of " TYPE_1
               " would have to go\n");
        expect(m, "{match: {address: \"" GPU_A "\"}, mixed-size: false, vgpus: [{type: Type 1}, {type: Type 2}]}", "",
               "keep 1111 0000:41 mdevgpu_ref-1\ndestroy 2222 0000:41 mdevgpu_ref-1\n"
               "f:2: No GPU has room for a vGPU of type 'Type 2': " GPU_A " has 0 left, 1 of " TYPE_1
               " would have to go\n");
        expect(m, ANY "[{type: Type 3}]}, {match: {address: x}, vgpus: [{type: a}]}", "prune: none",
               "f:2: no GPU that matches has just one type 'Type 3'\nf:2: no GPU matches\n");
        machine_free(m);
}

/* Nobody asked: nothing is removed, and other GPUs are left as they are. */
static void test_only(void) {
        Machine *m = machine_with_gpus();
        g_autofree char *got = NULL, *none = NULL;

        (void)machine_have_vgpu(m, GPU_B, UUID_1);
        (void)machine_have_vgpu(m, GPU_B, UUID_2);
        got = plan_only(m,
                        ANY "[{type: Type 1, count: 2, label: x}, {type: Type 2, uuid: " UUID_3 "}]}, "
                            "{match: {address: x}, vgpus: [{type: a}]}",
                        "", GPU_A);
        g_assert_cmpstr(got, ==,
                        "keep 1111 0000:42 mdevgpu_ref-1\nkeep 2222 0000:42 mdevgpu_ref-1\n"
                        "create 3333 0000:41 mdevgpu_ref-2\n");
        none = plan_only(m, "{match: {address: \"" GPU_B "\"}, vgpus: [{type: Type 2, uuid: " UUID_1 "}]}", "", GPU_A);
        g_assert_cmpstr(none, ==, "");
        machine_free(m);
}

static void test_busy(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};

        (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);
        expect(m, ON_A "[]}", "", "vGPU " UUID_1 " on " GPU_A " is being changed; try again in a moment\n");
        machine_settle(m);
        expect(m, ON_A "[]}", "", "destroy 1111 0000:41 mdevgpu_ref-1\n");
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/topology-plan/create", test_create);
        g_test_add_func("/topology-plan/stable", test_stable);
        g_test_add_func("/topology-plan/keep", test_keep);
        g_test_add_func("/topology-plan/defined", test_defined);
        g_test_add_func("/topology-plan/room", test_room);
        g_test_add_func("/topology-plan/only", test_only);
        g_test_add_func("/topology-plan/busy", test_busy);
        return g_test_run();
}
