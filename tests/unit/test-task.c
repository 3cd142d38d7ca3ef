/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a task says of its progress, and how often. */

#include "machine.h"

static unsigned n_told;

static void count_told(Task *task, unsigned mask, void *userdata) {
        n_told += (mask & TASK_CHANGED_PROGRESS) ? 1 : 0;
}

static void ignore(Task *task, void *userdata) {
}

static const ObserverOps ops = {
        .task_added = ignore,
        .task_removed = ignore,
        .task_finished = ignore,
        .task_changed = count_told,
};

static Task *begin(Machine *m, size_t n_steps) {
        Task *task;

        m->manager->observer = (Observer){ .ops = &ops };
        n_told = 0;
        g_assert_cmpint(task_new(m->manager, "test", "", 0, n_steps, &task), ==, 0);
        task_begin(task);
        return task;
}

/* However often something is done, it is told four times a second, and the last of it is told. */
static void test_often(void) {
        Machine *m = machine_new();
        Task *task = begin(m, 100000);
        gint64 begin_usec = g_get_monotonic_time(), usec;

        g_assert_cmpuint(task->end_usec, ==, UNKNOWN_U64);
        g_assert_cmpuint(task->bytes, ==, UNKNOWN_U64);
        for (size_t i = 1; g_get_monotonic_time() - begin_usec < 900000; i++) {
                task_set_done(task, i);
                g_usleep(100);
        }
        usec = g_get_monotonic_time() - begin_usec;
        g_assert_cmpuint(n_told, >=, 2);
        g_assert_cmpuint(n_told, <=, 1 + (unsigned)(usec / 250000));

        /* What came too soon is told by itself. */
        n_told = 0;
        for (unsigned i = 0; i < 100 && n_told == 0; i++) {
                (void)sd_event_run(m->event, 10000);
                g_usleep(5000);
        }
        g_assert_cmpuint(n_told, ==, 1);
        machine_free(m);
}

static uint64_t now(void) {
        return (uint64_t)g_get_real_time();
}

static void test_end(void) {
        Machine *m = machine_new();
        Task *task = begin(m, 4);

        g_usleep(100000);
        task_set_done(task, 1); /* three more will take three times as long */
        g_assert_cmpuint(task->end_usec, >, now() + 250000);
        g_assert_cmpuint(task->end_usec, <, now() + 3000000);
        g_assert_true(task_get_progress(task) > 0.24 && task_get_progress(task) < 0.26);
        task_forget_end(task);
        g_assert_cmpuint(task->end_usec, ==, UNKNOWN_U64);
        task_finish(task, TASK_DONE, NULL);
        g_assert_cmpuint(task->end_usec, <=, now());
        machine_free(m);
}

static void test_bytes(void) {
        Machine *m = machine_new();
        Task *task = begin(m, 0);

        g_assert_true(task_get_progress(task) < 0);
        task_set_bytes(task, 0, 10000000);
        g_assert_cmpuint(task->rate, ==, UNKNOWN_U64);
        g_assert_cmpuint(task->end_usec, ==, UNKNOWN_U64);
        g_usleep(500000);
        task_set_bytes(task, 1000000, 10000000); /* two in a second, at most */
        g_assert_cmpuint(task->rate, <=, 2000000);
        g_assert_cmpuint(task->rate, >, 200000);
        g_assert_cmpuint(task->end_usec, >, now() + 4000000);
        g_assert_true(task_get_progress(task) > 0.09 && task_get_progress(task) < 0.11);
        task_set_bytes(task, 2000000, UNKNOWN_U64);
        g_assert_true(task_get_progress(task) < 0);
        g_assert_cmpuint(task->end_usec, ==, UNKNOWN_U64);
        task_set_bytes(task, 3, 2); /* more than there was to be */
        g_assert_true(task_get_progress(task) < 0);
        machine_free(m);
}

/* What a worker says that lies. */
static void test_hostile_bytes(void) {
        Machine *m = machine_new();
        Task *task = begin(m, 0);

        task_set_bytes(task, 0, UINT64_MAX - 1);
        for (unsigned i = 0; i < 2; i++) {
                task->rated_usec -= 300000;
                task->rated_bytes = 0;
                task_set_bytes(task, UINT64_MAX - 1, UINT64_MAX - 1);
                g_assert_cmpuint(task->rate, ==, UINT64_C(1) << 62);
        }
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/task/often", test_often);
        g_test_add_func("/task/end", test_end);
        g_test_add_func("/task/bytes", test_bytes);
        g_test_add_func("/task/hostile-bytes", test_hostile_bytes);
        return g_test_run();
}
