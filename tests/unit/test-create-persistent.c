/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Making what is defined as well: two steps, and what is left when one of them fails, its worker dies, its time runs out, its
 * caller goes or its GPU does; and what others do meanwhile.
 */

#include <fcntl.h>

#include "life.h"
#include "util/file.h"

static Operation *create_persistent(Machine *m, const char *weight, bool autostart, Answer *answer) {
        CreateRequest request = {
                .gpu = GPU_A,
                .type = TYPE_1,
                .uuid = UUID_1,
                .persistent = true,
                .autostart = autostart,
                .label = "web1",
        };
        Operation *operation = NULL;

        if (weight)
                request.attributes = life_attributes(WEIGHT, weight);
        if (manager_create_vgpu(m->manager, &request, machine_on_answer, answer, &operation, &answer->error) < 0)
                g_error("the creation did not begin: %s", answer->error.message);
        attributes_done(&request.attributes);
        return operation;
}

static RecordPhase record_phase(Machine *m) {
        Record record;

        g_assert_cmpint(record_read(m->state_fd, UUID_1, &record), ==, 0);
        return record.phase;
}

static void test_create(void) {
        Machine *m = machine_with_gpus();
        g_autofree char *text = NULL, *note = NULL, *weight = NULL;
        Answer answer = { .log = m->log };
        VGpu *vgpu;

        (void)create_persistent(m, "5", true, &answer);
        fake_finish(&m->fake, machine_find_create(m));
        machine_turn(m);
        /* It is there, and nobody is told before it is on the disk. */
        g_assert_true(machine_has_mdev(m, UUID_1));
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        g_assert_null(life_read(m, GPU_A, UUID_1));
        g_assert_cmpuint(answer.n, ==, 0);
        machine_clear_log(m);

        fake_finish(&m->fake, life_find_store(m));
        machine_expect_log(m, "+vgpu 1111 " TYPE_1 " active managed\nanswered\n");
        vgpu = life_find(m, UUID_1);
        g_assert_true(vgpu->persistent && vgpu->autostart && answer.linked);
        g_assert_cmpstr(vgpu->label, ==, "web1");
        g_assert_cmpint(record_phase(m), ==, RECORD_MADE);
        text = life_read(m, GPU_A, UUID_1);
        g_assert_cmpstr(text, ==,
                        "{\n  \"mdev_type\": \"" TYPE_1 "\",\n  \"start\": \"auto\",\n  \"attrs\": [\n    {\n"
                        "      \"" WEIGHT "\": \"5\"\n    }\n  ]\n}");
        note = life_read_note(m, UUID_1);
        g_assert_cmpstr(note, ==, "managed=1\nlabel=web1\n");
        weight = life_read_weight(m, UUID_1);
        g_assert_cmpstr(weight, ==, "5");

        /* What the kernel and the disk say of it afterwards is no news. */
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_settle(m);
        machine_expect_log(m, "");
        machine_free(m);
}

/* The driver takes it but for an attribute: all of it is taken back. */
static void test_create_refused(gconstpointer held) {
        Machine *m = machine_with_gpus();
        _cleanup_(fd_closep) int fd = -EBADF;
        Answer answer = {};

        (void)create_persistent(m, "101", false, &answer);
        fake_finish(&m->fake, machine_find_create(m));
        g_assert_true(machine_has_mdev(m, UUID_1));
        g_assert_cmpuint(answer.n, ==, 0);
        g_assert_null(fake_find_job(&m->fake, JOB_STORE, NULL));

        if (held) {
                fd = openat(m->sim.host.dev_fd, "vfio/0", O_RDWR | O_CLOEXEC);
                g_assert_cmpint(fd, >=, 0);
        }
        machine_settle(m);
        life_assert_answer(&answer, -ERROR_DRIVER_REJECTED, "'101'");
        if (!held)
                life_assert_nothing(m);
        else {
                /* Somebody has got hold of it already: it stays, as ours, and says why. */
                life_assert_state(m, UUID_1, VGPU_ACTIVE, "in use by process");
                g_assert_true(life_find(m, UUID_1)->managed && !life_find(m, UUID_1)->persistent);
                g_assert_cmpint(record_phase(m), ==, RECORD_MADE);
                fd = fd_close(fd);
                life_stop(m, UUID_1);
                life_assert_nothing(m);
        }
        machine_free(m);
}

/* Breaks the disk so that nothing can be written there. */
static void break_disk(Machine *m) {
        g_autofree char *folder = life_path(m, GPU_A, NULL);

        g_assert_true(g_file_set_contents(folder, "in the way", -1, NULL));
}

static void test_create_not_stored(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};

        break_disk(m);
        (void)create_persistent(m, NULL, true, &answer);
        machine_settle(m);
        life_assert_answer(&answer, -EIO, "/etc/mdevctl.d/" GPU_A "/" UUID_1);
        life_assert_nothing(m);
        machine_free(m);
}

/* Somebody else has defined one with this UUID meanwhile: that is his, and ours is taken back. */
static void test_create_defined_meanwhile(void) {
        Machine *m = machine_with_gpus();
        g_autofree char *text = NULL;
        Answer answer = {};

        (void)create_persistent(m, NULL, false, &answer);
        fake_finish(&m->fake, machine_find_create(m));
        life_write(m, GPU_A, UUID_1, MANUAL_1);
        machine_settle(m);
        life_assert_answer(&answer, -ERROR_ALREADY_EXISTS, "is there already");
        life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
        g_assert_false(life_find(m, UUID_1)->managed);
        g_assert_false(machine_has_mdev(m, UUID_1));
        g_assert_null(life_read_note(m, UUID_1));
        text = life_read(m, GPU_A, UUID_1);
        g_assert_cmpstr(text, ==, MANUAL_1);
        machine_free(m);
}

/* Its GPU goes while the device is made, or removed again: with it goes all. */
static void test_create_unplugged(gconstpointer undo) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        PlatformJob *job;

        (void)create_persistent(m, undo ? "101" : "5", true, &answer);
        job = machine_find_create(m);
        if (undo) {
                fake_finish(&m->fake, job);
                job = machine_find_remove(m);
        }
        fake_begin(job);
        life_unplug(m);
        life_assert_answer(&answer, -ERROR_NO_SUCH_GPU, "has gone");
        fake_finish(&m->fake, job);
        machine_settle(m);
        machine_add_gpu(m, GPU_A);
        life_assert_nothing(m);
        machine_free(m);
}

/* While it is written down: what is on the disk then stays, and the answer says so; or it could not be written. */
static void test_create_unplugged_storing(gconstpointer stored) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        PlatformJob *job;

        (void)create_persistent(m, "5", false, &answer);
        fake_finish(&m->fake, machine_find_create(m));
        job = life_find_store(m);
        fake_begin(job);
        if (!stored)
                break_disk(m);
        life_unplug(m);
        g_assert_cmpuint(answer.n, ==, 0);
        fake_finish(&m->fake, job);
        machine_settle(m);
        g_assert_false(machine_has_record(m, UUID_1));
        if (!stored) {
                life_assert_answer(&answer, -ERROR_NO_SUCH_GPU, "has gone");
                g_assert_null(strstr(answer.error.message, "definition stays"));
                machine_add_gpu(m, GPU_A);
                life_assert_nothing(m);
        } else {
                life_assert_answer(&answer, -ERROR_NO_SUCH_GPU, "definition stays");
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                g_assert_null(life_find(m, UUID_1)->gpu);
                machine_add_gpu(m, GPU_A);
                g_assert_true(life_find(m, UUID_1)->gpu == machine_gpu(m, GPU_A));
                (void)life_start(m, UUID_1, &(Answer){});
                machine_settle(m);
                life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        }
        machine_free(m);
}

/* The worker dies over the device: it is taken back when it has been read. Over the disk: then as well. */
static void test_create_worker_died(gconstpointer storing) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        PlatformJob *job;

        (void)create_persistent(m, "5", true, &answer);
        job = machine_find_create(m);
        if (storing) {
                fake_finish(&m->fake, job);
                fake_fail(life_find_store(m), -EPIPE, "died");
        } else {
                fake_run(&m->fake, job);
                fake_fail(job, -EPIPE, "died");
        }
        machine_settle(m);
        life_assert_answer(&answer, -EPIPE, "died");
        life_assert_nothing(m);
        machine_free(m);
}

/* The worker dies when the definition was on the disk: the answer is a failure, and so nothing may be left. */
static void test_create_worker_died_stored(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        PlatformJob *job;

        (void)create_persistent(m, "5", true, &answer);
        fake_finish(&m->fake, machine_find_create(m));
        job = life_find_store(m);
        fake_run(&m->fake, job);
        fake_fail(job, -EPIPE, "died");
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);
        /* All of it, or nothing. */
        if (answer.error.code == 0)
                life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        else
                life_assert_nothing(m);
        machine_free(m);
}

/* Its time runs out while the driver is at it: told that it failed, nothing of it comes. While it is written down: it
 * goes on, as the answer says. */
static void test_create_late(gconstpointer storing) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        Operation *operation;
        PlatformJob *job;

        operation = create_persistent(m, "5", true, &answer);
        job = machine_find_create(m);
        if (storing) {
                fake_finish(&m->fake, job);
                job = life_find_store(m);
        }
        fake_begin(job);
        machine_hurry(m, operation);
        life_assert_answer(&answer, -ERROR_TIMEOUT, storing ? "The disk" : GPU_A);
        fake_finish(&m->fake, job);
        machine_settle(m);
        if (storing) {
                life_assert_state(m, UUID_1, VGPU_ACTIVE, "took too long");
                g_assert_true(life_find(m, UUID_1)->persistent && machine_has_mdev(m, UUID_1));
                g_assert_cmpint(record_phase(m), ==, RECORD_MADE);
        } else
                life_assert_nothing(m);
        g_assert_cmpuint(answer.n, ==, 1);
        machine_free(m);
}

/* Nobody waits for it any more: what has begun becomes whole. */
static void test_create_abandoned(gconstpointer storing) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        Operation *operation;
        PlatformJob *job;

        operation = create_persistent(m, NULL, false, &answer);
        job = machine_find_create(m);
        if (storing)
                fake_finish(&m->fake, job);
        else
                fake_begin(job);
        operation_abandon(operation);
        if (!storing)
                fake_finish(&m->fake, job);
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 0);
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_true(life_find(m, UUID_1)->persistent);
        machine_free(m);
}

/* Somebody removes the device while its definition is written: that is noticed. */
static void test_removed_meanwhile(gconstpointer data) {
        OperationKind kind = GPOINTER_TO_INT(data);
        Machine *m = machine_with_gpus();
        const ModifyRequest modify = { .uuid = UUID_1, .scope = MODIFY_CONFIG, .label = "web2" };
        Answer answer = {};
        PlatformJob *job;

        switch (kind) {
        case OPERATION_CREATE:
                (void)create_persistent(m, NULL, false, &answer);
                fake_finish(&m->fake, machine_find_create(m));
                break;
        case OPERATION_DEFINE:
                (void)machine_have_vgpu(m, GPU_A, UUID_1);
                (void)life_define(m, &(DefineRequest){ .gpu = "", .type = "", .uuid = UUID_1 }, &answer);
                break;
        default:
                (void)life_have_started(m, GPU_A, UUID_1, false);
                (void)life_modify(m, &modify, &answer);
                break;
        }

        job = life_find_store(m);
        fake_begin(job);
        g_assert_cmpint(machine_remove_mdev(m, UUID_1), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_settle(m);
        fake_finish(&m->fake, job);
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);
        life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
        g_assert_true(life_find(m, UUID_1)->persistent);
        machine_free(m);
}

/* Or starts it. */
static void test_started_meanwhile(void) {
        Machine *m = machine_with_gpus();
        const ModifyRequest modify = { .uuid = UUID_1, .label = "web2" };
        Answer answer = {};
        PlatformJob *job;

        (void)life_have_defined(m, GPU_A, UUID_1, false);
        (void)life_modify(m, &modify, &answer);
        job = life_find_store(m);
        fake_begin(job);
        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_settle(m);
        fake_finish(&m->fake, job);
        machine_settle(m);
        life_assert_answer(&answer, 0, "");
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web2");
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/create-persistent/done", test_create);
        g_test_add_data_func("/create-persistent/refused", NULL, test_create_refused);
        g_test_add_data_func("/create-persistent/refused-and-held", "held", test_create_refused);
        g_test_add_func("/create-persistent/not-stored", test_create_not_stored);
        g_test_add_func("/create-persistent/defined-meanwhile", test_create_defined_meanwhile);
        g_test_add_data_func("/create-persistent/unplugged", NULL, test_create_unplugged);
        g_test_add_data_func("/create-persistent/unplugged-undoing", "undo", test_create_unplugged);
        g_test_add_data_func("/create-persistent/unplugged-storing", "stored", test_create_unplugged_storing);
        g_test_add_data_func("/create-persistent/unplugged-not-stored", NULL, test_create_unplugged_storing);
        g_test_add_data_func("/create-persistent/worker-died", NULL, test_create_worker_died);
        g_test_add_data_func("/create-persistent/worker-died-storing", "storing", test_create_worker_died);
        g_test_add_func("/create-persistent/worker-died-stored", test_create_worker_died_stored);
        g_test_add_data_func("/create-persistent/late", NULL, test_create_late);
        g_test_add_data_func("/create-persistent/late-storing", "storing", test_create_late);
        g_test_add_data_func("/create-persistent/abandoned", NULL, test_create_abandoned);
        g_test_add_data_func("/create-persistent/abandoned-storing", "storing", test_create_abandoned);
        g_test_add_data_func("/meanwhile/removed-creating", GINT_TO_POINTER(OPERATION_CREATE), test_removed_meanwhile);
        g_test_add_data_func("/meanwhile/removed-defining", GINT_TO_POINTER(OPERATION_DEFINE), test_removed_meanwhile);
        g_test_add_data_func("/meanwhile/removed-modifying", GINT_TO_POINTER(OPERATION_MODIFY), test_removed_meanwhile);
        g_test_add_func("/meanwhile/started", test_started_meanwhile);

        return g_test_run();
}
