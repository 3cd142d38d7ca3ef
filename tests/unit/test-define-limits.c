/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How much a user may define, and change what is defined to.
 */

#include "life.h"

/* Everybody may have this: as many, and as much framebuffer together. */
static void set_limit(Machine *m, uint32_t vgpus, uint64_t framebuffer) {
        const LimitRule rule = { .subject.who = RULE_EVERYBODY, .vgpus = vgpus, .framebuffer = framebuffer };
        Settings *settings = settings_new();

        settings->rules = rule_set_new("f");
        g_assert_cmpint(rule_set_add_limit(settings->rules, &rule), ==, 0);
        manager_set_settings(m->manager, settings);
}

static const Caller alice = { .uid = 1000, .groups_known = true };

/* What is being written counts already, also of what is there and was nobody's, and so does its framebuffer. */
static void test_define_limits(void) {
        const DefineRequest one = { .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1, .by = &alice };
        const DefineRequest two = { .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_2, .by = &alice };
        const DefineRequest active = { .gpu = "", .type = "", .uuid = UUID_3, .by = &alice };
        const struct {
                const DefineRequest *request;
                uint32_t vgpus;
                uint64_t framebuffer;
        } cases[] = {
                { &one, 1, UNKNOWN_U64 },
                { &one, UNKNOWN_U32, 3 * GIB },
                { &active, 1, UNKNOWN_U64 },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                Machine *m = machine_with_gpus();
                Error error = ERROR_NULL;
                Answer answer = {};

                (void)machine_have_vgpu(m, GPU_A, UUID_3);
                set_limit(m, cases[i].vgpus, cases[i].framebuffer);
                (void)life_define(m, cases[i].request, &answer);
                g_assert_cmpint(manager_define_vgpu(m->manager, &two, NULL, NULL, NULL, &error), ==,
                                -ERROR_LIMIT_EXCEEDED);
                machine_settle(m);
                life_assert_answer(&answer, 0, "");
                g_assert_cmpint(manager_define_vgpu(m->manager, &two, NULL, NULL, NULL, &error), ==,
                                -ERROR_LIMIT_EXCEEDED);
                machine_free(m);
        }
}

/* It stays his: another type has to fit what he may have, whoever gives it, unless that is root. */
static void test_modify_limits(void) {
        static const Caller bob = { .uid = 1001, .groups_known = true }, root = { .groups_known = true };
        Machine *m = machine_with_gpus();
        ModifyRequest request = { .uuid = UUID_1, .type = TYPE_2, .by = &bob };
        Error error = ERROR_NULL;
        Answer answers[3] = {};

        set_limit(m, UNKNOWN_U32, 2 * GIB);
        (void)life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1, .by = &alice },
                          &answers[0]);
        machine_settle(m);
        (void)life_modify(m, &request, &answers[1]);
        machine_settle(m);
        life_assert_answer(&answers[1], 0, "");

        set_limit(m, UNKNOWN_U32, GIB);
        request.type = TYPE_1;
        g_assert_cmpint(manager_modify_vgpu(m->manager, &request, NULL, NULL, NULL, &error), ==, -ERROR_LIMIT_EXCEEDED);
        g_assert_nonnull(strstr(error.message, "User 1000 may have 1024 MiB"));
        request.by = &root;
        (void)life_modify(m, &request, &answers[2]);
        machine_settle(m);
        life_assert_answer(&answers[2], 0, "");
        machine_free(m);
}

/* The amount that a type has is not got round by an attribute. */
static void test_quota(void) {
        Attributes quota = life_attributes("vram_quota", "17179869184");
        const CreateRequest create = { .gpu = GPU_A, .type = TYPE_1, .uuid = "", .attributes = quota, .by = &alice };
        const DefineRequest define = { .gpu = GPU_A, .type = TYPE_1, .uuid = "", .attributes = quota, .by = &alice };
        const ModifyRequest modify = { .uuid = UUID_1, .attributes = &quota, .by = &alice };
        Machine *m = machine_with_gpus();
        Error error = ERROR_NULL;
        Answer answers[2] = {};

        set_limit(m, UNKNOWN_U32, 8 * GIB);
        (void)life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1, .by = &alice },
                          &answers[0]);
        machine_settle(m);
        life_assert_answer(&answers[0], 0, "");
        g_assert_cmpint(manager_create_vgpu(m->manager, &create, NULL, NULL, NULL, &error), ==, -ERROR_LIMIT_EXCEEDED);
        g_assert_cmpint(manager_define_vgpu(m->manager, &define, NULL, NULL, NULL, &error), ==, -ERROR_LIMIT_EXCEEDED);
        g_assert_cmpint(manager_modify_vgpu(m->manager, &modify, NULL, NULL, NULL, &error), ==, -ERROR_LIMIT_EXCEEDED);
        g_assert_nonnull(strstr(error.message, "vram_quota"));

        set_limit(m, 8, UNKNOWN_U64);
        (void)life_modify(m, &modify, &answers[1]);
        machine_settle(m);
        life_assert_answer(&answers[1], 0, "");

        /* Nor by one that was written before there was a limit. */
        set_limit(m, UNKNOWN_U32, 8 * GIB);
        error = ERROR_NULL;
        g_assert_cmpint(manager_start_vgpu(m->manager, &(StartRequest){ .uuid = UUID_1, .by = &alice }, NULL, NULL,
                                           NULL, &error),
                        ==, -ERROR_LIMIT_EXCEEDED);
        g_assert_nonnull(strstr(error.message, "vram_quota"));
        attributes_done(&quota);
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/define/limits", test_define_limits);
        g_test_add_func("/modify/limits", test_modify_limits);
        g_test_add_func("/define/quota", test_quota);

        return g_test_run();
}
