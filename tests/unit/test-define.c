/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Defining and undefining, and what is left when that fails, its worker dies, its time runs out, its caller goes or its GPU does.
 */

#include "life.h"

static void test_define(void) {
        Machine *m = machine_with_gpus();
        Answer answer = { .log = m->log };

        (void)life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = "Type 1", .uuid = UUID_1, .label = "web1" },
                          &answer);
        machine_turn(m);
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        machine_settle(m);
        machine_expect_log(m, "+vgpu 1111 " TYPE_1 " defined managed\nanswered\n");
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");
        g_assert_false(machine_has_mdev(m, UUID_1));
        g_assert_false(machine_has_record(m, UUID_1));

        (void)life_undefine(m, UUID_1, &answer);
        machine_settle(m);
        machine_expect_log(m, "vgpu 1111 managed=0 persistent=0 autostart=0 label=''\n-vgpu 1111\nanswered\n");
        life_assert_nothing(m);
        machine_free(m);
}

/* For what is not there; it finds its place when that comes. */
static void test_define_absent(void) {
        Machine *m = machine_new();
        Answer answer = {};

        machine_set_types(m, 2, 2);
        (void)life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1 }, &answer);
        machine_settle(m);
        life_assert_answer(&answer, 0, "");
        g_assert_null(life_find(m, UUID_1)->gpu);
        machine_add_gpu(m, GPU_A);
        g_assert_true(life_find(m, UUID_1)->gpu == machine_gpu(m, GPU_A));
        machine_free(m);
}

/* What is active is defined as it is, with the label that it has. */
static void test_define_active(void) {
        Machine *m = machine_with_gpus();
        const ModifyRequest label = { .uuid = UUID_1, .label = "web1" };
        const DefineRequest other = { .gpu = GPU_B, .type = TYPE_1, .uuid = UUID_1 };
        Error error = ERROR_NULL;
        Answer answers[4] = {};

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        (void)life_modify(m, &label, &answers[0]);
        machine_settle(m);
        life_assert_answer(&answers[0], 0, "");
        g_assert_cmpint(manager_check_define(m->manager, &other, &error), ==, -ERROR_ALREADY_EXISTS);
        (void)life_define(m, &(DefineRequest){ .gpu = "", .type = "", .uuid = UUID_1 }, &answers[1]);
        machine_settle(m);
        life_assert_answer(&answers[1], 0, "");
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_true(life_find(m, UUID_1)->persistent && life_find(m, UUID_1)->managed);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");

        /* It stays when it is no longer defined, and then is gone when it is destroyed. */
        (void)life_undefine(m, UUID_1, &answers[2]);
        machine_settle(m);
        life_assert_answer(&answers[2], 0, "");
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_true(!life_find(m, UUID_1)->persistent && life_find(m, UUID_1)->managed);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");
        life_stop(m, UUID_1);
        life_assert_nothing(m);
        machine_free(m);
}

static void assert_define_refused(Machine *m, const DefineRequest *request, int code, const char *part) {
        Error error = ERROR_NULL;

        g_assert_cmpint(manager_check_define(m->manager, request, &error), ==, code);
        if (!strstr(error.message, part))
                g_error("'%s' says nothing of '%s'", error.message, part);
        g_assert_cmpint(manager_define_vgpu(m->manager, request, NULL, NULL, NULL, &error), ==, code);
        g_assert_true(list_is_empty(&m->manager->operations));
}

/* What is wrong before anything begins. */
static void test_define_judge(void) {
        Machine *m = machine_with_gpus();
        g_autofree char *label = g_strnfill(LABEL_SIZE, 'x');

        (void)life_have_defined(m, GPU_A, UUID_2, false);
        assert_define_refused(m, &(DefineRequest){ GPU_A, TYPE_1, "x" }, -ERROR_INVALID_ARGUMENT, "UUID");
        assert_define_refused(m, &(DefineRequest){ GPU_A, "x", UUID_1 }, -ERROR_NO_SUCH_TYPE, TYPE_1);
        assert_define_refused(m, &(DefineRequest){ GPU_A, TYPE_1, UUID_2 }, -ERROR_ALREADY_EXISTS, GPU_A);
        assert_define_refused(m, &(DefineRequest){ GPU_B, TYPE_1, UUID_2 }, -ERROR_ALREADY_EXISTS, GPU_A);
        assert_define_refused(m, &(DefineRequest){ "", "", "" }, -ERROR_INVALID_ARGUMENT, "naming");
        assert_define_refused(m, &(DefineRequest){ "", "", UUID_1 }, -ERROR_NO_SUCH_VGPU, "naming");
        assert_define_refused(m, &(DefineRequest){ "..", TYPE_1, "" }, -ERROR_INVALID_ARGUMENT, "'..'");
        assert_define_refused(m, &(DefineRequest){ "../x", TYPE_1, "" }, -ERROR_INVALID_ARGUMENT, "'../x'");
        assert_define_refused(m, &(DefineRequest){ "scripts.d", TYPE_1, "" }, -ERROR_INVALID_ARGUMENT, "'scripts.d'");
        assert_define_refused(m, &(DefineRequest){ ".mdevgpud", TYPE_1, "" }, -ERROR_INVALID_ARGUMENT, "'.mdevgpud'");
        assert_define_refused(m, &(DefineRequest){ "*", TYPE_1, "" }, -ERROR_INVALID_ARGUMENT, "'*'");
        assert_define_refused(m, &(DefineRequest){ "%s", TYPE_1, "" }, -ERROR_INVALID_ARGUMENT, "'%s'");
        assert_define_refused(m, &(DefineRequest){ "\u00fc", TYPE_1, "" }, -ERROR_INVALID_ARGUMENT, "'\u00fc'");
        assert_define_refused(m, &(DefineRequest){ "x", "a/b", "" }, -ERROR_INVALID_ARGUMENT, "'a/b'");
        assert_define_refused(m, &(DefineRequest){ "x", "Type 1", "" }, -ERROR_INVALID_ARGUMENT, "blanks");
        assert_define_refused(m, &(DefineRequest){ GPU_A, TYPE_1, UUID_1, .label = label }, -ERROR_INVALID_ARGUMENT,
                              "label");
        assert_define_refused(m, &(DefineRequest){ GPU_A, TYPE_1, UUID_1, .label = "a\nb" }, -ERROR_INVALID_ARGUMENT,
                              "label");
        machine_free(m);
}

/* A name too long for any device of sysfs. */
static void test_define_long_name(void) {
        Machine *m = machine_with_gpus();
        g_autofree char *name = g_strnfill(SYSFS_NAME_SIZE, 'x'), *type = g_strnfill(TYPE_ID_SIZE, 'x');

        assert_define_refused(m, &(DefineRequest){ name, TYPE_1, UUID_1 }, -ERROR_INVALID_ARGUMENT, "'xxx");
        assert_define_refused(m, &(DefineRequest){ "x", type, UUID_1 }, -ERROR_INVALID_ARGUMENT, "'xxx");
        machine_free(m);
}

static void test_define_trouble(gconstpointer data) {
        Trouble trouble = GPOINTER_TO_INT(data);
        Machine *m = machine_with_gpus();
        Answer answer = {};
        Operation *operation;

        operation = life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1, .label = "web1" },
                                &answer);
        life_trouble_store(m, operation, trouble);
        life_assert_troubled(&answer, trouble);
        if (life_is_written(trouble)) {
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                g_assert_true(life_find(m, UUID_1)->managed);
                g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");
        } else
                life_assert_nothing(m);
        machine_free(m);
}

static void test_undefine_trouble(gconstpointer data) {
        Trouble trouble = GPOINTER_TO_INT(data);
        Machine *m = machine_with_gpus();
        Answer answer = {};

        (void)life_have_defined(m, GPU_A, UUID_1, false);
        life_trouble_store(m, life_undefine(m, UUID_1, &answer), trouble);
        life_assert_troubled(&answer, trouble);
        if (trouble == TROUBLE_GPU)
                machine_add_gpu(m, GPU_A);
        if (life_is_written(trouble))
                life_assert_nothing(m);
        else {
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                g_assert_true(life_find(m, UUID_1)->managed);
        }
        machine_free(m);
}

/* Nobody waits: what has not begun does not, what has is written. */
static void test_abandoned(gconstpointer begun) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        Operation *operation;
        PlatformJob *job;

        operation = life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1 }, &answer);
        job = life_find_store(m);
        if (begun)
                fake_begin(job);
        operation_abandon(operation);
        if (begun) {
                fake_finish(&m->fake, job);
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
        } else
                life_assert_nothing(m);
        g_assert_cmpuint(answer.n, ==, 0);
        machine_free(m);
}

/* Two parents: all of it goes, or the rest is said and is what it was. */
static void test_undefine_twice(gconstpointer fails) {
        Machine *m = machine_with_gpus();
        Answer answer = {};

        (void)life_have_defined(m, GPU_A, UUID_1, false);
        life_write(m, GPU_B, UUID_1, MANUAL_1);
        machine_turn(m);
        (void)life_undefine(m, UUID_1, &answer);
        fake_finish(&m->fake, life_find_store(m));
        g_assert_cmpuint(answer.n, ==, 0);
        if (fails) {
                fake_fail(life_find_store(m), -EIO, "the disk");
                life_assert_answer(&answer, -EIO, "the disk");
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                g_assert_cmpstr(life_find(m, UUID_1)->parent, ==, GPU_B);
                g_assert_true(life_find(m, UUID_1)->managed);
                answer = (Answer){};
                (void)life_undefine(m, UUID_1, &answer);
        }
        machine_settle(m);
        life_assert_answer(&answer, 0, "");
        g_assert_null(life_read(m, GPU_B, UUID_1));
        life_assert_nothing(m);
        machine_free(m);
}

/* Others' definitions are left alone unless one says so. */
static void test_foreign(void) {
        Machine *m = machine_with_gpus();
        UndefineRequest undefine = { .uuid = UUID_1 };
        ModifyRequest modify = { .uuid = UUID_1, .label = "mine" };
        Error error = ERROR_NULL;
        Answer answer = {};

        life_write(m, GPU_A, UUID_1, MANUAL_1);
        machine_turn(m);
        g_assert_cmpint(manager_check_undefine(m->manager, &undefine, &error), ==, -ERROR_NOT_MANAGED);
        g_assert_cmpint(manager_check_modify(m->manager, &modify, &error), ==, -ERROR_NOT_MANAGED);
        modify.unmanaged = true;
        (void)life_modify(m, &modify, &answer);
        machine_settle(m);
        life_assert_answer(&answer, 0, "");
        /* It has a label now, and is no more ours than before. */
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "mine");
        g_assert_false(life_find(m, UUID_1)->managed);
        undefine.unmanaged = true;
        g_assert_cmpint(manager_undefine_vgpu(m->manager, &undefine, NULL, NULL, NULL, &error), ==, 0);
        life_assert_nothing(m);
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/define/done", test_define);
        g_test_add_func("/define/absent", test_define_absent);
        g_test_add_func("/define/active", test_define_active);
        g_test_add_func("/define/judge", test_define_judge);
        g_test_add_func("/define/long-name", test_define_long_name);
        life_add_troubles("/define/trouble", test_define_trouble, true);
        g_test_add_data_func("/define/abandoned", NULL, test_abandoned);
        g_test_add_data_func("/define/abandoned-begun", "begun", test_abandoned);
        life_add_troubles("/undefine/trouble", test_undefine_trouble, true);
        g_test_add_data_func("/undefine/twice", NULL, test_undefine_twice);
        g_test_add_data_func("/undefine/twice-fails", "fails", test_undefine_twice);
        g_test_add_func("/define/foreign", test_foreign);

        return g_test_run();
}
