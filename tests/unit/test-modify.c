/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Starting what is defined, and changing what is defined or active: operations of several steps, and what is left when one of
 * them fails.
 */

#include "life.h"

/* Started, it has its attributes; one that is refused takes it back, and its definition says why. */
static void test_start(gconstpointer refused) {
        Machine *m = machine_with_gpus();
        DefineRequest request = { .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1 };
        g_autofree char *weight = NULL;
        Answer define = {}, start = {};

        request.attributes = life_attributes(WEIGHT, refused ? "101" : "7");
        (void)life_define(m, &request, &define);
        attributes_done(&request.attributes);
        machine_settle(m);
        (void)life_start(m, UUID_1, &start);
        life_assert_state(m, UUID_1, VGPU_CREATING, NULL);
        machine_settle(m);
        if (refused) {
                life_assert_answer(&start, -ERROR_DRIVER_REJECTED, "'101'");
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                g_assert_false(machine_has_mdev(m, UUID_1) || machine_has_record(m, UUID_1));
        } else {
                life_assert_answer(&start, 0, "");
                life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
                weight = life_read_weight(m, UUID_1);
                g_assert_cmpstr(weight, ==, "7");
        }
        machine_free(m);
}

/* Its worker dies over a start, its time runs out, its GPU goes: it is defined as before. What is there when the worker
 * has died may be somebody else's, and stays. */
static void test_start_trouble(gconstpointer data) {
        Trouble trouble = GPOINTER_TO_INT(data);
        Machine *m = machine_with_gpus();
        Answer answer = {};
        Operation *operation;
        PlatformJob *job;

        (void)life_have_defined(m, GPU_A, UUID_1, false);
        operation = life_start(m, UUID_1, &answer);
        job = machine_find_create(m);
        life_trouble(m, operation, job, trouble);
        if (trouble == TROUBLE_DIED_AFTER)
                life_assert_state(m, UUID_1, VGPU_CREATING, NULL);
        if (trouble == TROUBLE_GPU)
                machine_add_gpu(m, GPU_A);
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);
        g_assert_cmpint(answer.error.code, <, 0);
        g_assert_true(life_find(m, UUID_1)->managed);
        if (trouble != TROUBLE_DIED_AFTER) {
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                g_assert_false(machine_has_mdev(m, UUID_1) || machine_has_record(m, UUID_1));
                (void)life_start(m, UUID_1, &(Answer){});
                machine_settle(m);
        }
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        machine_free(m);
}

/* mdevctl starts the same definition at this moment: that is success; another type, or another place, is not. */
static void test_start_made_by_others(gconstpointer data) {
        static const struct {
                const char *gpu, *type;
        } cases[] = { { GPU_A, TYPE_1 }, { GPU_A, TYPE_2 }, { GPU_B, TYPE_1 } };
        unsigned i = GPOINTER_TO_UINT(data);
        Machine *m = machine_with_gpus();
        Answer answer = {};

        (void)life_have_defined(m, GPU_A, UUID_1, false);
        (void)life_start(m, UUID_1, &answer);
        g_assert_cmpint(machine_make_mdev(m, cases[i].gpu, cases[i].type, UUID_1), ==, 0);
        machine_settle(m);
        life_assert_answer(&answer, i == 0 ? 0 : -ERROR_ALREADY_EXISTS, "");
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_cmpstr(life_find(m, UUID_1)->parent, ==, cases[i].gpu);
        g_assert_cmpstr(life_find(m, UUID_1)->type_id, ==, cases[i].type);
        /* An instance of our definition is ours, whoever started it; no other is. */
        g_assert_cmpint(life_find(m, UUID_1)->managed, ==, i == 0);
        machine_free(m);
}

/* The scopes: what is written where; and what is refused leaves the definition alone. */
static void test_modify(void) {
        Machine *m = machine_with_gpus();
        Attributes good = life_attributes(WEIGHT, "9"), bad = life_attributes(WEIGHT, "101");
        ModifyRequest request = { .uuid = UUID_1, .scope = MODIFY_CONFIG, .attributes = &good };
        g_autofree char *before = NULL, *after = NULL, *weight = NULL;
        Answer answers[8] = {};
        Error error = ERROR_NULL;
        VGpu *vgpu;

        vgpu = life_have_started(m, GPU_A, UUID_1, false);
        before = life_read(m, GPU_A, UUID_1);
        (void)life_modify(m, &request, &answers[0]);
        machine_settle(m);
        life_assert_answer(&answers[0], 0, "");
        weight = life_read_weight(m, UUID_1);
        g_assert_cmpstr(weight, ==, "0");
        after = life_read(m, GPU_A, UUID_1);
        g_assert_nonnull(strstr(after, "\"" WEIGHT "\": \"9\""));

        request = (ModifyRequest){ .uuid = UUID_1, .scope = MODIFY_BOTH, .attributes = &bad, .label = "web2" };
        (void)life_modify(m, &request, &answers[1]);
        machine_settle(m);
        life_assert_answer(&answers[1], -ERROR_DRIVER_REJECTED, "'101'");
        g_free(before);
        before = life_read(m, GPU_A, UUID_1);
        g_assert_cmpstr(before, ==, after);
        g_assert_cmpstr(vgpu->label, ==, "");
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);

        request = (ModifyRequest){ .uuid = UUID_1, .scope = MODIFY_BOTH, .attributes = &good, .label = "web2" };
        (void)life_modify(m, &request, &answers[2]);
        machine_settle(m);
        life_assert_answer(&answers[2], 0, "");
        g_free(weight);
        weight = life_read_weight(m, UUID_1);
        g_assert_cmpstr(weight, ==, "9");
        g_assert_cmpstr(vgpu->label, ==, "web2");

        /* The label is the vGPU's, whatever the scope. */
        request = (ModifyRequest){ .uuid = UUID_1, .scope = MODIFY_LIVE, .label = "web3" };
        (void)life_modify(m, &request, &answers[3]);
        machine_settle(m);
        life_assert_answer(&answers[3], 0, "");
        g_assert_cmpstr(vgpu->label, ==, "web3");

        request = (ModifyRequest){ .uuid = UUID_1, .scope = MODIFY_LIVE, .type = TYPE_2 };
        g_assert_cmpint(manager_check_modify(m->manager, &request, &error), ==, -ERROR_NOT_SUPPORTED);
        life_stop(m, UUID_1);
        request = (ModifyRequest){ .uuid = UUID_1, .scope = MODIFY_BOTH, .attributes = &good };
        g_assert_cmpint(manager_check_modify(m->manager, &request, &error), ==, -ERROR_NO_SUCH_VGPU);
        attributes_done(&good);
        attributes_done(&bad);
        machine_free(m);
}

/* The device takes it and the disk does not: the answer says both. */
static void test_modify_half(void) {
        Machine *m = machine_with_gpus();
        Attributes good = life_attributes(WEIGHT, "9");
        const ModifyRequest request = { .uuid = UUID_1, .scope = MODIFY_BOTH, .attributes = &good, .label = "web2" };
        Answer answer = {};

        (void)life_have_started(m, GPU_A, UUID_1, false);
        (void)life_modify(m, &request, &answer);
        fake_finish(&m->fake, fake_find_job(&m->fake, JOB_CONFIGURE, NULL));
        fake_fail(life_find_store(m), -EIO, "the disk is full");
        life_assert_answer(&answer, -EIO, "the disk is full");
        life_assert_answer(&answer, -EIO, "was changed");
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "");
        attributes_done(&good);
        machine_free(m);
}

/* What is not defined: its label is in its record, and is not changed by what failed. */
static void test_modify_undefined(void) {
        Machine *m = machine_with_gpus();
        Attributes bad = life_attributes(WEIGHT, "101");
        ModifyRequest request = { .uuid = UUID_1, .label = "web1" };
        const bool yes = true;
        Error error = ERROR_NULL;
        Answer answers[2] = {};
        Record record;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        (void)life_modify(m, &request, &answers[0]);
        machine_settle(m);
        life_assert_answer(&answers[0], 0, "");
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");
        g_assert_cmpint(record_read(m->state_fd, UUID_1, &record), ==, 0);
        g_assert_cmpstr(record.label, ==, "web1");

        request = (ModifyRequest){ .uuid = UUID_1, .label = "web2", .attributes = &bad };
        (void)life_modify(m, &request, &answers[1]);
        machine_settle(m);
        life_assert_answer(&answers[1], -ERROR_DRIVER_REJECTED, "'101'");
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");

        request = (ModifyRequest){ .uuid = UUID_1, .autostart = &yes };
        g_assert_cmpint(manager_check_modify(m->manager, &request, &error), ==, -ERROR_NOT_SUPPORTED);
        request = (ModifyRequest){ .uuid = UUID_1, .scope = MODIFY_CONFIG, .label = "x" };
        g_assert_cmpint(manager_check_modify(m->manager, &request, &error), ==, -ERROR_NO_SUCH_VGPU);
        attributes_done(&bad);
        machine_free(m);
}

static void test_modify_trouble(gconstpointer data) {
        Trouble trouble = GPOINTER_TO_INT(data);
        Machine *m = machine_with_gpus();
        const bool yes = true;
        const ModifyRequest modify = { .uuid = UUID_1, .autostart = &yes, .label = "web2", .type = TYPE_2 };
        Answer answer = {};
        VGpu *vgpu;

        vgpu = life_have_defined(m, GPU_A, UUID_1, false);
        life_trouble_store(m, life_modify(m, &modify, &answer), trouble);
        life_assert_troubled(&answer, trouble);
        g_assert_true(life_find(m, UUID_1) == vgpu && vgpu->managed);
        g_assert_cmpint(vgpu->autostart, ==, life_is_written(trouble));
        g_assert_cmpstr(vgpu->label, ==, life_is_written(trouble) ? "web2" : "");
        g_assert_cmpstr(vgpu->type_id, ==, life_is_written(trouble) ? TYPE_2 : TYPE_1);
        life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
        g_assert_false(machine_has_mdev(m, UUID_1));
        machine_free(m);
}

/* Of what is active the definition's type is for the next start, and is told until then. */
static void test_next_type(void) {
        Machine *m = machine_with_gpus();
        ModifyRequest modify = { .uuid = UUID_1, .scope = MODIFY_CONFIG, .type = TYPE_2 };
        VGpu *vgpu;

        vgpu = life_have_defined(m, GPU_A, UUID_1, false);
        (void)life_start(m, UUID_1, &(Answer){});
        machine_settle(m);
        g_assert_null(vgpu->next_type_id);
        (void)life_modify(m, &modify, &(Answer){});
        machine_settle(m);
        g_assert_cmpstr(vgpu->type_id, ==, TYPE_1);
        g_assert_cmpstr(vgpu->next_type_id, ==, TYPE_2);
        life_stop(m, UUID_1);
        g_assert_cmpstr(vgpu->type_id, ==, TYPE_2);
        g_assert_null(vgpu->next_type_id);
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/define/next-type", test_next_type);
        g_test_add_data_func("/start/done", NULL, test_start);
        g_test_add_data_func("/start/refused", "refused", test_start);
        life_add_troubles("/start/trouble", test_start_trouble, false);
        g_test_add_data_func("/start/made-by-others", GUINT_TO_POINTER(0), test_start_made_by_others);
        g_test_add_data_func("/start/other-type", GUINT_TO_POINTER(1), test_start_made_by_others);
        g_test_add_data_func("/start/other-gpu", GUINT_TO_POINTER(2), test_start_made_by_others);
        g_test_add_func("/modify/done", test_modify);
        g_test_add_func("/modify/half", test_modify_half);
        g_test_add_func("/modify/undefined", test_modify_undefined);
        life_add_troubles("/modify/trouble", test_modify_trouble, true);

        return g_test_run();
}
