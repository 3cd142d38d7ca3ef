/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Saving and restoring as jobs: what becomes of vGPU, job and caller in whatever order worker, GPU, deadline and caller end.
 * What a worker copies is tried elsewhere; here it says what the test wants.
 */

#include "core/image-header.h"
#include "core/incoming.h"
#include "core/migration.h"
#include "core/record.h"
#include "core/state-transfer-private.h"
#include "core/states-query.h"
#include "machine.h"

typedef struct Heard {
        unsigned n;
        int code;
        uint32_t job;
        StateTransfer *transfer;
} Heard;

static const TransferProgress some = { .phase = TRANSFER_PRE_COPY, .n_bytes = 1, .total = 2, .dirty = UNKNOWN_U64 };

static void on_begun(const Error *error, const Task *task, void *userdata) {
        Heard *heard = userdata;

        g_assert_true(!error != !task);
        heard->n++;
        heard->code = error ? error->code : 0;
        heard->job = task ? task->id : 0;
        heard->transfer = NULL;
}

static Machine *machine_that_keeps(void) {
        Machine *m = machine_with_gpus();

        gpu_find_type_by_id(machine_gpu(m, GPU_A), TYPE_1)->report.details.keeps_state = TRISTATE_YES;
        return m;
}

static PlatformJob *save(Machine *m, StateAfter after, Heard *heard) {
        const SaveRequest request = { .uuid = UUID_1, .name = "x", .after = after };
        Error error = ERROR_NULL;

        *heard = (Heard){};
        g_assert_cmpint(manager_save_state(m->manager, &request, on_begun, heard, &heard->transfer, &error), ==, 0);
        return fake_find_job(&m->fake, JOB_SAVE_STATE, NULL);
}

static PlatformJob *restore(Machine *m, Heard *heard) {
        const Caller root = {};
        const RestoreRequest request = { .gpu = GPU_A, .name = "x", .uuid = "", .type = "", .by = &root };
        Error error = ERROR_NULL;

        *heard = (Heard){};
        g_assert_cmpint(manager_restore_state(m->manager, &request, on_begun, heard, &heard->transfer, &error), ==, 0);
        return fake_find_job(&m->fake, JOB_OPEN_STATE, NULL);
}

/* The worker has read the header of an image of UUID_1. */
static void open_image(Machine *m, PlatformJob *job) {
        const Type *type = gpu_find_type_by_id(machine_gpu(m, GPU_A), TYPE_1);
        ImageHeader *header = g_new0(ImageHeader, 1);

        image_header_init(header);
        strcpy(header->uuid, UUID_1);
        header->type = type->report;
        strcpy(header->backend, type->gpu->backend);
        strcpy(header->driver, type->gpu->driver);
        header->vendor_id = type->gpu->identity.vendor;
        header->size = 100;
        g_assert_cmpint(migration_describe(type, NULL, &header->facts), ==, 0);
        job->result.header = header;
        fake_succeed(job);
}

/* The vGPU is made, and a worker fills it. */
static PlatformJob *fill(Machine *m, Heard *heard) {
        PlatformJob *job;

        open_image(m, restore(m, heard));
        g_assert_cmpuint(heard->n, ==, 1);
        g_assert_cmpint(heard->code, ==, 0);
        machine_turn(m);
        fake_finish(&m->fake, machine_find_create(m));
        machine_turn(m);
        while (!(job = fake_find_job(&m->fake, JOB_RESTORE_STATE, NULL)))
                g_assert_true(fake_do_one(&m->fake));
        g_assert_cmpint(manager_find_vgpu(m->manager, UUID_1)->state, ==, VGPU_RESTORING);
        fake_begin(job);
        return job;
}

static void assert_job(Machine *m, uint32_t id, TaskState state, int code) {
        const Task *task = manager_find_task(m->manager, id);
        Task *other;
        unsigned n = 0;

        g_assert_nonnull(task);
        g_assert_cmpstr(task_state_to_string(task->state), ==, task_state_to_string(state));
        g_assert_cmpint(task->error.code, ==, code);
        LIST_FOREACH(other, &m->manager->tasks, link)
                n += other->state == TASK_RUNNING;
        g_assert_cmpuint(n, ==, 0);
}

/* Nobody has it, nothing of that is on record, and nothing goes on. */
static void assert_rests(Machine *m) {
        const VGpu *vgpu = manager_find_vgpu(m->manager, UUID_1);
        Record record;

        g_assert_true(list_is_empty(&m->manager->state_transfers));
        g_assert_nonnull(vgpu);
        g_assert_cmpint(vgpu->claim, ==, VGPU_CLAIM_NONE);
        g_assert_cmpint(vgpu->state, ==, VGPU_ACTIVE);
        g_assert_cmpint(record_read(m->state_fd, UUID_1, &record), ==, 0);
        g_assert_false(record.saving || record.half);
        g_assert_cmpuint(record.lease, ==, 0);
}

static void assert_gone(Machine *m) {
        machine_settle(m);
        g_assert_true(list_is_empty(&m->manager->state_transfers));
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        g_assert_false(machine_has_mdev(m, UUID_1));
        g_assert_false(machine_has_record(m, UUID_1));
}

/* A header as full of facts as it may be, none of which is one of ours: it is the image that is wrong. */
static void test_full_header(void) {
        Machine *m = machine_that_keeps();
        const Type *type = gpu_find_type_by_id(machine_gpu(m, GPU_A), TYPE_1);
        ImageHeader *header = g_new0(ImageHeader, 1);
        PlatformJob *job;
        Heard heard;

        job = restore(m, &heard);
        image_header_init(header);
        strcpy(header->uuid, UUID_1);
        header->type = type->report;
        strcpy(header->backend, type->gpu->backend);
        strcpy(header->driver, type->gpu->driver);
        header->vendor_id = type->gpu->identity.vendor;
        for (unsigned i = 0; i < FACTS_MAX; i++) {
                g_autofree char *key = g_strdup_printf("x%u", i);

                g_assert_cmpint(facts_add_u32(&header->facts, key, i), ==, 0);
        }
        job->result.header = header;
        fake_succeed(job);
        g_assert_cmpint(heard.code, ==, -ERROR_STATE_INVALID);
        assert_gone(m);
        machine_free(m);
}

static bool is_saving(Machine *m) {
        Record record;

        g_assert_cmpint(record_read(m->state_fd, UUID_1, &record), ==, 0);
        return record.saving;
}

static bool told_of_states(const Machine *m) {
        return strstr(m->log->str, "saved-states\n");
}

/* The worker is stuck, and then is not: whoever asked was told once that it failed, and nothing is destroyed after that. */
static void test_timeout(void) {
        static const StateAfter afters[] = { STATE_AFTER_RUN, STATE_AFTER_DESTROY, STATE_AFTER_STOP };

        for (size_t i = 0; i < 2 * G_N_ELEMENTS(afters); i++) {
                Machine *m = machine_that_keeps();
                bool begun = i % 2;
                PlatformJob *job;
                Heard heard;

                (void)machine_have_vgpu(m, GPU_A, UUID_1);
                job = save(m, afters[i / 2], &heard);
                g_assert_true(is_saving(m));
                if (begun)
                        fake_progress(job, &some);
                fake_time_out(job, 4711);
                g_assert_cmpuint(heard.n, ==, 1);
                g_assert_cmpint(heard.code, ==, begun ? 0 : -ERROR_TIMEOUT);
                g_assert_cmpint(manager_find_vgpu(m->manager, UUID_1)->state, ==, VGPU_SAVING);
                fake_progress(job, &some);
                g_assert_false(told_of_states(m));
                fake_succeed(job);
                g_assert_true(told_of_states(m));
                if (afters[i / 2] == STATE_AFTER_STOP)
                        fake_succeed(fake_find_job(&m->fake, JOB_SETTLE_STATE, NULL));
                machine_settle(m);
                g_assert_cmpuint(heard.n, ==, 1);
                if (begun)
                        assert_job(m, heard.job, TASK_FAILED, -ERROR_TIMEOUT);
                else
                        g_assert_true(list_is_empty(&m->manager->tasks));
                assert_rests(m);
                machine_free(m);
        }
}

/* The same of restoring: what was told to have failed is not there in the end. */
static void test_restore_timeout(void) {
        Machine *m = machine_that_keeps();
        PlatformJob *job;
        Heard heard;

        job = restore(m, &heard);
        fake_time_out(job, 4711);
        g_assert_cmpint(heard.code, ==, -ERROR_TIMEOUT);
        open_image(m, job);
        g_assert_cmpuint(heard.n, ==, 1);
        assert_gone(m);

        job = fill(m, &heard);
        fake_time_out(job, 4711);
        assert_job(m, heard.job, TASK_FAILED, -ERROR_TIMEOUT);
        fake_progress(job, &some);
        fake_succeed(job);
        assert_gone(m);
        assert_job(m, heard.job, TASK_FAILED, -ERROR_TIMEOUT);
        machine_free(m);
}

static StateTransfer *late(Machine *m) {
        StateTransfer *transfer = LIST_FIRST(&m->manager->state_transfers, StateTransfer, link);

        g_assert_cmpint(sd_event_source_set_time(transfer->deadline, 0), >=, 0);
        machine_turn(m);
        return transfer;
}

/* Whoever asked hears in time that it does not begin; and then it does not, whatever the worker comes to at last. */
static void test_late(void) {
        for (unsigned i = 0; i < 4; i++) {
                bool restores = i % 2, succeeds = i / 2;
                Machine *m = machine_that_keeps();
                PlatformJob *job;
                Heard heard;

                if (!restores)
                        (void)machine_have_vgpu(m, GPU_A, UUID_1);
                job = restores ? restore(m, &heard) : save(m, STATE_AFTER_DESTROY, &heard);
                fake_begin(job);
                g_assert_cmpint(late(m)->cancel_fd, <, 0);
                g_assert_cmpint(heard.code, ==, -ERROR_TIMEOUT);
                fake_progress(job, &some);
                if (!succeeds)
                        fake_fail(job, -ERROR_CANCELLED, "It was cancelled");
                else if (restores)
                        open_image(m, job);
                else
                        fake_succeed(job);
                machine_settle(m);
                g_assert_cmpuint(heard.n, ==, 1);
                g_assert_true(list_is_empty(&m->manager->tasks));
                if (restores)
                        assert_gone(m);
                else
                        assert_rests(m);
                machine_free(m);
        }
}

/* Once it has begun it has time. */
static void test_not_late(void) {
        Machine *m = machine_that_keeps();
        PlatformJob *job;
        Heard heard;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        job = save(m, STATE_AFTER_RUN, &heard);
        fake_progress(job, &some);
        (void)late(m);
        fake_succeed(job);
        g_assert_cmpuint(heard.n, ==, 1);
        assert_job(m, heard.job, TASK_DONE, 0);
        machine_free(m);
}

/* Who asked leaves before it has begun: there is no job, and the vGPU is free when the worker is. */
static void test_abandoned(void) {
        Machine *m = machine_that_keeps();
        PlatformJob *job;
        Heard heard;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        job = save(m, STATE_AFTER_DESTROY, &heard);
        fake_begin(job);
        state_transfer_abandon(heard.transfer);
        fake_progress(job, &some);
        g_assert_true(list_is_empty(&m->manager->tasks));
        fake_succeed(job);
        machine_settle(m);
        assert_rests(m);
        g_assert_cmpuint(heard.n, ==, 0);
        machine_free(m);
}

/* A worker that says nothing before its end: whoever asked has his answer all the same. */
static void test_silent_worker(void) {
        Machine *m = machine_that_keeps();
        Heard heard;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        fake_succeed(save(m, STATE_AFTER_RUN, &heard));
        g_assert_cmpuint(heard.n, ==, 1);
        assert_job(m, heard.job, TASK_DONE, 0);
        assert_rests(m);
        machine_free(m);
}

/* The worker is lost: another one puts the vGPU back, and if that fails the sentence has both. */
static void test_lost(void) {
        Machine *m = machine_that_keeps();
        PlatformJob *job;
        Heard heard;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        for (unsigned i = 0; i < 4; i++) {
                Record record;

                job = save(m, STATE_AFTER_DESTROY, &heard);
                fake_progress(job, &some);
                fake_fail(job, -EPIPE, "the worker ended");
                g_assert_true(is_saving(m));
                job = fake_find_job(&m->fake, JOB_SETTLE_STATE, NULL);
                if (i % 3 == 0)
                        fake_succeed(job);
                else
                        fake_fail(job, i == 1 ? -EPIPE : -ERROR_DRIVER_REJECTED, "it is not put back");
                assert_job(m, heard.job, TASK_FAILED, -EIO);
                g_assert_true(!!strstr(manager_find_task(m->manager, heard.job)->error.message, "put back") ==
                              (i % 3 > 0));
                if (i % 3 == 0) {
                        assert_rests(m);
                        continue;
                }
                /* A successor has to try again. */
                g_assert_cmpint(record_read(m->state_fd, UUID_1, &record), ==, 0);
                g_assert_true(record.saving);
        }
        machine_free(m);
}

static void test_restore_lost(void) {
        Machine *m = machine_that_keeps();
        Heard heard;

        fake_fail(restore(m, &heard), -EPIPE, "the worker ended");
        g_assert_cmpint(heard.code, ==, -EIO);
        assert_gone(m);
        fake_fail(fill(m, &heard), -EPIPE, "the worker ended");
        assert_gone(m);
        assert_job(m, heard.job, TASK_FAILED, -EIO);
        machine_free(m);
}

static void unplug(Machine *m) {
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
        machine_turn(m);
}

/* The GPU goes, whatever the worker says of it then; and it goes while another one puts its vGPU back. */
static void test_gpu_gone(void) {
        for (unsigned i = 0; i < 6; i++) {
                Machine *m = machine_that_keeps();
                PlatformJob *job;
                Heard heard;

                if (i < 4) {
                        (void)machine_have_vgpu(m, GPU_A, UUID_1);
                        job = save(m, STATE_AFTER_DESTROY, &heard);
                        fake_progress(job, &some);
                } else
                        job = fill(m, &heard);
                if (i == 3) {
                        fake_fail(job, -EPIPE, "the worker ended");
                        job = fake_find_job(&m->fake, JOB_SETTLE_STATE, NULL);
                        fake_begin(job);
                }
                unplug(m);
                if (i == 2)
                        fake_succeed(job);
                else
                        fake_fail(job, i == 0 || i == 4 ? -EPIPE : -ERROR_CANCELLED, "it does not go on");
                assert_gone(m);
                if (i == 2)
                        assert_job(m, heard.job, TASK_DONE, 0);
                else
                        assert_job(m, heard.job, TASK_FAILED, -ERROR_NO_SUCH_GPU);
                machine_free(m);
        }
}

/* The vGPU goes, and another one of its UUID is made, by somebody else or by us: that is not the one. */
static void test_other_vgpu(void) {
        for (unsigned i = 0; i < 3; i++) {
                Machine *m = machine_that_keeps();
                PlatformJob *job;
                Heard heard;

                if (i == 0) {
                        (void)machine_have_vgpu(m, GPU_A, UUID_1);
                        job = save(m, STATE_AFTER_DESTROY, &heard);
                        fake_progress(job, &some);
                } else
                        job = fill(m, &heard);
                g_assert_cmpint(machine_remove_mdev(m, UUID_1), ==, 0);
                machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
                machine_settle(m);
                g_assert_null(manager_find_vgpu(m->manager, UUID_1));
                if (i == 2)
                        (void)machine_have_vgpu(m, GPU_A, UUID_1);
                else {
                        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
                        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_A "/" UUID_1);
                        machine_settle(m);
                }
                g_assert_nonnull(manager_find_vgpu(m->manager, UUID_1));
                if (i == 2)
                        fake_fail(job, -ERROR_DRIVER_REJECTED, "it is not there");
                else
                        fake_succeed(job);
                machine_settle(m);
                g_assert_true(machine_has_mdev(m, UUID_1));
                g_assert_cmpint(manager_find_vgpu(m->manager, UUID_1)->state, ==, VGPU_ACTIVE);
                g_assert_true(list_is_empty(&m->manager->state_transfers));
                machine_free(m);
        }
}

/* The model goes in the middle, in each step. */
static void test_end(void) {
        for (unsigned i = 0; i < 6; i++) {
                Machine *m = machine_that_keeps();
                PlatformJob *job;
                Heard heard;

                if (i < 3) {
                        (void)machine_have_vgpu(m, GPU_A, UUID_1);
                        job = save(m, STATE_AFTER_DESTROY, &heard);
                        fake_progress(job, &some);
                        if (i == 1)
                                fake_fail(job, -EPIPE, "the worker ended");
                        if (i == 2)
                                fake_succeed(job);
                } else if (i == 3)
                        fake_begin(restore(m, &heard));
                else if (i == 4)
                        open_image(m, restore(m, &heard));
                else
                        fake_fail(fill(m, &heard), -ERROR_STATE_INVALID, "it is damaged");
                machine_free(m);
        }
}

/* A successor finds what was being saved; a worker of before has it still, and only later it can be put back. */
static void test_successor(void) {
        Machine *m = machine_that_keeps();
        PlatformJob *job;
        Heard heard;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        fake_progress(save(m, STATE_AFTER_RUN, &heard), &some);
        machine_restart(m);
        machine_set_types(m, 2, 2);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_turn(m);
        while (!(job = fake_find_job(&m->fake, JOB_SETTLE_STATE, NULL))) {
                g_assert_true(fake_do_one(&m->fake));
                machine_turn(m);
        }
        fake_fail(job, -ERROR_IN_USE, "it is in use");
        g_assert_cmpint(manager_find_vgpu(m->manager, UUID_1)->state, ==, VGPU_SAVING);
        g_assert_true(is_saving(m));
        while (!(job = fake_find_job(&m->fake, JOB_SETTLE_STATE, NULL)))
                g_assert_cmpint(sd_event_run(m->event, UINT64_C(2000000)), >, 0);
        fake_succeed(job);
        machine_settle(m);
        assert_rests(m);
        machine_free(m);
}

typedef struct Listed {
        unsigned n;
        int code;
        StatesQuery *query;
        Machine *asks_again; /* from within, once */
} Listed;

static void on_listed(const Error *error, const JobResult *result, void *userdata) {
        Listed *l = userdata;
        Machine *m = l->asks_again;

        l->n++;
        l->code = error ? error->code : 0;
        l->query = NULL;
        l->asks_again = NULL;
        if (m)
                g_assert_cmpint(states_query_new(m->manager, on_listed, l, &l->query, NULL), ==, 0);
}

static int list(Machine *m, Listed *l) {
        Error error = ERROR_NULL;
        int r = states_query_new(m->manager, on_listed, l, &l->query, &error);

        g_assert_true(r == 0 || strstr(error.message, "saved states"));
        return r;
}

static PlatformJob *begun_list(Machine *m) {
        PlatformJob *job = fake_find_job(&m->fake, JOB_LIST_STATES, NULL);

        g_assert_nonnull(job);
        fake_begin(job);
        g_assert_null(fake_find_job(&m->fake, JOB_LIST_STATES, NULL));
        return job;
}

/* However many ask, one list is read at a time; who asks while one is read gets the next. */
static void test_lists(void) {
        Machine *m = machine_new();
        Listed first = { .asks_again = m }, left = {}, others[3] = {};
        PlatformJob *job;

        g_assert_cmpint(list(m, &first), ==, 0);
        job = begun_list(m);
        g_assert_cmpint(list(m, &left), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                g_assert_cmpint(list(m, &others[i]), ==, 0);
        states_query_free(left.query);
        g_assert_null(fake_find_job(&m->fake, JOB_LIST_STATES, NULL));
        fake_succeed(job);
        g_assert_cmpuint(first.n, ==, 1);
        g_assert_cmpuint(others[0].n, ==, 0);

        job = begun_list(m); /* first has asked again, and waits for another one */
        fake_fail(job, -ERROR_LIMIT_EXCEEDED, "no");
        for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
                g_assert_true(others[i].n == 1 && others[i].code == -ERROR_LIMIT_EXCEEDED);
        g_assert_cmpuint(first.n, ==, 1);
        fake_succeed(begun_list(m));
        g_assert_true(first.n == 2 && first.code == 0);
        g_assert_true(list_is_empty(&m->manager->states_work));

        /* It hangs: nobody waits for it, and no more of them begin. */
        g_assert_cmpint(list(m, &first), ==, 0);
        job = begun_list(m);
        g_assert_cmpint(list(m, &others[0]), ==, 0);
        fake_time_out(job, 4711);
        g_assert_true(first.n == 3 && first.code == -ERROR_TIMEOUT);
        g_assert_true(others[0].n == 2 && others[0].code == -ERROR_TIMEOUT);
        g_assert_cmpint(list(m, &others[0]), ==, -ERROR_BUSY);
        fake_succeed(job);
        g_assert_true(list_is_empty(&m->manager->states_work));
        m->fake.refuse = -EDQUOT;
        g_assert_cmpint(list(m, &others[0]), ==, -ERROR_LIMIT_EXCEEDED);
        m->fake.refuse = 0;

        /* One that is read when the daemon ends. */
        g_assert_cmpint(list(m, &first), ==, 0);
        (void)begun_list(m);
        g_assert_cmpint(list(m, &others[0]), ==, 0);
        machine_free(m);
        g_assert_cmpuint(first.n, ==, 3);
}

/* Whether whoever asked for it still waits or not, that a state is deleted is told when it is. */
static void test_delete(void) {
        for (unsigned i = 0; i < 3; i++) {
                Machine *m = machine_new();
                Listed l = {};
                PlatformJob *job;

                g_assert_cmpint(states_query_new_delete(m->manager, "x", on_listed, &l, &l.query, NULL), ==, 0);
                job = fake_find_job(&m->fake, JOB_DELETE_STATE, NULL);
                fake_begin(job);
                if (i == 1)
                        fake_time_out(job, 4711);
                if (i == 2)
                        states_query_free(l.query);
                g_assert_false(told_of_states(m));
                fake_succeed(job);
                g_assert_true(told_of_states(m));
                g_assert_cmpuint(l.n, ==, i < 2);
                g_assert_cmpint(l.code, ==, i == 1 ? -ERROR_TIMEOUT : 0);
                machine_free(m);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/state-jobs/full-header", test_full_header);
        g_test_add_func("/state-jobs/lists", test_lists);
        g_test_add_func("/state-jobs/delete", test_delete);
        g_test_add_func("/state-jobs/timeout", test_timeout);
        g_test_add_func("/state-jobs/restore-timeout", test_restore_timeout);
        g_test_add_func("/state-jobs/late", test_late);
        g_test_add_func("/state-jobs/not-late", test_not_late);
        g_test_add_func("/state-jobs/abandoned", test_abandoned);
        g_test_add_func("/state-jobs/silent-worker", test_silent_worker);
        g_test_add_func("/state-jobs/lost", test_lost);
        g_test_add_func("/state-jobs/restore-lost", test_restore_lost);
        g_test_add_func("/state-jobs/gpu-gone", test_gpu_gone);
        g_test_add_func("/state-jobs/other-vgpu", test_other_vgpu);
        g_test_add_func("/state-jobs/end", test_end);
        g_test_add_func("/state-jobs/successor", test_successor);

        return g_test_run();
}
