/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creating: what the caller, the model and the records say, whatever becomes of the worker. Each caller is answered once.
 */

#include <fcntl.h>

#include "machine.h"
#include "util/text.h"

static void test_create(void) {
        Machine *m = machine_with_gpus();
        Answer answer = { .log = m->log };

        (void)machine_create(m, GPU_A, "Type 1", "11111111-2FA1-4D2E-883F-0016D3CCA427", &answer);
        machine_turn(m);
        /* Invisible until it is proven, but noted as ours before anything is done. */
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        g_assert_true(machine_has_record(m, UUID_1));
        g_assert_cmpuint(answer.n, ==, 0);

        fake_finish(&m->fake, machine_find_create(m));
        machine_turn(m);
        machine_expect_log(m, "type " TYPE_1 " available=3\ntype " TYPE_2 " available=3\n"
                              "+vgpu 1111 " TYPE_1 " active managed\nanswered\n");
        g_assert_true(answer.linked);
        g_assert_true(machine_has_mdev(m, UUID_1));
        g_assert_cmpstr(manager_find_vgpu(m->manager, UUID_1)->sysfs_path, ==, "/sys/bus/mdev/devices/" UUID_1);
        g_assert_true(vgpu_get_type(manager_find_vgpu(m->manager, UUID_1)) ==
                      gpu_find_type_by_id(machine_gpu(m, GPU_A), TYPE_1));
        g_assert_true(list_is_empty(&m->manager->operations));

        /* What the kernel says of it afterwards is no news. */
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_uevent(m, UEVENT_BIND, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_settle(m);
        machine_expect_log(m, "");
        machine_free(m);
}

static void test_generated(void) {
        Machine *m = machine_with_gpus();
        char uuid[UUID_STRING_SIZE];
        Answer answer = {};

        (void)machine_create(m, GPU_A, TYPE_1, "", &answer);
        g_assert_cmpint(text_parse_uuid(machine_find_create(m)->job.uuid, uuid), ==, 0);
        machine_settle(m);
        g_assert_nonnull(manager_find_vgpu(m->manager, uuid));
        machine_free(m);
}

/* What is wrong before anything begins. */
static void test_judge(void) {
        Machine *m = machine_with_gpus();
        ProfileSet *set = profile_set_new();
        Profile *profile = profile_new("twins.yaml");

        g_assert_nonnull(profile_add_match(profile));
        DestroyRequest request = { .uuid = UUID_1 };
        Error error = ERROR_NULL;

        machine_assert_refused(m, &(CreateRequest){ "0000:99:00.0", TYPE_1, "" }, -ERROR_NO_SUCH_GPU, "0000:99:00.0");
        machine_assert_refused(m, &(CreateRequest){ "\xff\x1b[2J", TYPE_1, "" }, -ERROR_NO_SUCH_GPU, "'??[2J'");
        machine_assert_refused(m, &(CreateRequest){ GPU_A, "x", "" }, -ERROR_NO_SUCH_TYPE, TYPE_1 " (");
        machine_assert_refused(m, &(CreateRequest){ GPU_A, TYPE_1, "x" }, -ERROR_INVALID_ARGUMENT, "'x'");
        machine_assert_refused(m, &(CreateRequest){ GPU_A, TYPE_1, UUID_1 "\n" }, -ERROR_INVALID_ARGUMENT, "UUID");

        g_assert_cmpint(manager_destroy_vgpu(m->manager, &request, NULL, NULL, NULL, &error), ==, -ERROR_NO_SUCH_VGPU);
        request.uuid = "..";
        g_assert_cmpint(manager_destroy_vgpu(m->manager, &request, NULL, NULL, NULL, &error), ==,
                        -ERROR_INVALID_ARGUMENT);

        /* Two types of one name: the error says which there are. */
        for (uint32_t i = 1; i <= 2; i++)
                g_assert_cmpint(profile_add_type(
                                        profile,
                                        &(TypeSpec){ .id = i, .name = "Twin", .max_instances = 1, .framebuffer = GIB }),
                                ==, 0);
        g_assert_cmpint(profile_set_add(set, profile), ==, 0);
        manager_set_profiles(m->manager, set);
        machine_settle(m);
        machine_assert_refused(m, &(CreateRequest){ GPU_A, "Twin", "" }, -ERROR_NO_SUCH_TYPE, TYPE_1 " (Twin), " TYPE_2);
        g_assert_cmpint(manager_check_create(m->manager, &(CreateRequest){ GPU_A, "2", "" }, &error), ==, 0);
        machine_assert_refused(m, &(CreateRequest){ GPU_A, "3", "" }, -ERROR_NO_SUCH_TYPE, TYPE_2);
        g_assert_cmpint(manager_check_create(m->manager, &(CreateRequest){ GPU_A, TYPE_2, "" }, &error), ==, 0);

        g_assert_true(list_is_empty(&m->fake.jobs));
        machine_free(m);
}

/* What the kernel's refusals mean. */
static void test_refused(void) {
        static const struct {
                int code, error;
                const char *part;
        } cases[] = {
                { EEXIST, ERROR_ALREADY_EXISTS, UUID_1 },    { ENOSPC, ERROR_NO_INSTANCES, TYPE_1 },
                { EUSERS, ERROR_NO_INSTANCES, TYPE_1 },      { ENODEV, ERROR_NO_SUCH_GPU, "going" },
                { ENOENT, ERROR_NO_SUCH_TYPE, TYPE_1 },      { ENOMEM, ENOMEM, "memory" },
                { EINVAL, ERROR_DRIVER_REJECTED, "EINVAL" }, { EPERM, ERROR_DRIVER_REJECTED, "EPERM" },
                { EIO, ERROR_DRIVER_REJECTED, "EIO" },       { 4094, ERROR_DRIVER_REJECTED, "unknown error" },
        };
        Machine *m = machine_with_gpus();

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                Answer answer = {};

                m->refuse_create = -cases[i].code;
                (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);
                machine_settle(m);
                g_assert_cmpuint(answer.n, ==, 1);
                g_assert_cmpint(answer.error.code, ==, -cases[i].error);
                g_assert_nonnull(strstr(answer.error.message, cases[i].part));
                g_assert_false(machine_has_record(m, UUID_1));
        }
        machine_expect_log(m, "");
        machine_free(m);
}

/* Drivers that say something else when nothing is left. */
static void test_exhausted(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};

        for (unsigned i = 0; i < 4; i++) {
                g_autofree char *uuid = g_strdup_printf("%08x-2fa1-4d2e-883f-0016d3cca427", i);

                (void)machine_have_vgpu(m, GPU_A, uuid);
        }
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_2), ==, 0);

        (void)machine_create(m, GPU_A, TYPE_1, "", &answer);
        machine_settle(m);
        g_assert_cmpint(answer.error.code, ==, -ERROR_NO_INSTANCES);
        m->refuse_create = -EINVAL;
        (void)machine_create(m, GPU_A, TYPE_1, "", &answer);
        machine_settle(m);
        g_assert_cmpint(answer.error.code, ==, -ERROR_NO_INSTANCES);
        machine_free(m);
}

static void test_uuid_taken(void) {
        Machine *m = machine_with_gpus();
        const CreateRequest request = { GPU_B, TYPE_1, UUID_1 };
        Answer answer = {};

        (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);
        machine_assert_refused(m, &request, -ERROR_ALREADY_EXISTS, "being created");
        machine_settle(m);
        machine_assert_refused(m, &request, -ERROR_ALREADY_EXISTS, GPU_A);
        (void)machine_destroy(m, UUID_1, &answer);
        machine_assert_refused(m, &request, -ERROR_ALREADY_EXISTS, "being removed");
        machine_settle(m);
        (void)machine_have_vgpu(m, GPU_B, UUID_1);
        machine_free(m);
}

/* Somebody has it whom the model has not seen: it looks, and does not take it for its own. */
static void test_uuid_of_others(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};

        g_assert_cmpint(machine_make_mdev(m, GPU_B, TYPE_1, UUID_1), ==, 0);
        (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);
        machine_settle(m);
        g_assert_cmpint(answer.error.code, ==, -ERROR_ALREADY_EXISTS);
        g_assert_nonnull(manager_find_vgpu(m->manager, UUID_1));
        g_assert_false(manager_find_vgpu(m->manager, UUID_1)->managed);
        machine_free(m);
}

/* Somebody else makes it on another GPU while ours waits, which then comes to nothing for a reason of its own. */
static void test_uuid_taken_meanwhile(gconstpointer begun) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        Operation *operation;
        PlatformJob *job;

        operation = machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);
        job = machine_find_create(m);
        g_assert_cmpint(machine_make_mdev(m, GPU_B, TYPE_1, UUID_1), ==, 0);
        gpu_mark_dirty(machine_gpu(m, GPU_B), /* may_register= */ false);
        fake_finish(&m->fake, fake_find_job(&m->fake, JOB_SYNC, GPU_B));
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));

        if (GPOINTER_TO_INT(begun))
                fake_fail(job, -ERROR_NO_INSTANCES, "none is left");
        else
                machine_hurry(m, operation);
        g_assert_cmpint(answer.n, ==, 1);
        machine_settle(m);
        g_assert_nonnull(manager_find_vgpu(m->manager, UUID_1));
        g_assert_true(manager_find_vgpu(m->manager, UUID_1)->gpu == machine_gpu(m, GPU_B));
        g_assert_false(manager_find_vgpu(m->manager, UUID_1)->managed);
        machine_free(m);
}

static void test_too_late_to_begin(void) {
        Machine *m = machine_with_gpus();
        Answer first = {}, second = {}, third = {};
        Operation *operation;
        PlatformJob *job;

        (void)machine_have_vgpu(m, GPU_A, UUID_3);
        (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &first);
        job = machine_find_create(m);
        fake_begin(job);
        operation = machine_create(m, GPU_A, TYPE_1, UUID_2, &second);
        machine_hurry(m, operation);
        g_assert_cmpuint(second.n, ==, 1);
        g_assert_cmpint(second.error.code, ==, -ERROR_TIMEOUT);
        g_assert_null(fake_find_job(&m->fake, JOB_CREATE, NULL));
        g_assert_false(machine_has_record(m, UUID_2));

        /* A destruction: the vGPU is as it was. */
        operation = machine_destroy(m, UUID_3, &third);
        machine_hurry(m, operation);
        g_assert_cmpint(third.error.code, ==, -ERROR_TIMEOUT);
        machine_expect_log(m, "vgpu 3333 removing\nvgpu 3333 active\n");
        g_assert_true(machine_has_record(m, UUID_3));

        fake_finish(&m->fake, job);
        g_assert_cmpint(first.error.code, ==, 0);
        (void)machine_have_vgpu(m, GPU_A, UUID_2);
        machine_free(m);
}

/* Made after its caller was told that it was not: taken back, unless somebody has got hold of it. */
static void test_late(gconstpointer data) {
        bool held = GPOINTER_TO_INT(data);
        _cleanup_(fd_closep) int fd = -EBADF;
        Machine *m = machine_with_gpus();
        Answer answer = {};
        PlatformJob *job;
        VGpu *vgpu;

        Operation *operation = machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);

        job = machine_find_create(m);
        fake_begin(job);
        machine_hurry(m, operation);
        g_assert_cmpint(answer.error.code, ==, -ERROR_TIMEOUT);
        g_assert_true(machine_has_record(m, UUID_1));

        fake_run(&m->fake, job);
        if (held) {
                fd = openat(m->sim.host.dev_fd, "vfio/0", O_RDWR | O_CLOEXEC);
                g_assert_cmpint(fd, >=, 0);
        }
        fake_finish(&m->fake, job);
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);

        vgpu = manager_find_vgpu(m->manager, UUID_1);
        g_assert_cmpint(!!vgpu, ==, held);
        g_assert_cmpint(machine_has_mdev(m, UUID_1), ==, held);
        g_assert_cmpint(machine_has_record(m, UUID_1), ==, held);
        if (held) {
                g_assert_cmpint(vgpu->state, ==, VGPU_ACTIVE);
                g_assert_true(vgpu->managed);
                g_assert_cmpstr(vgpu->last_error, !=, "");
        }
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_1), ==, held ? 3 : 4);
        machine_free(m);
}

/* The creation hangs in the driver: its GPU is busy, by the number of the process, and nothing else is. */
static void test_stuck_create(void) {
        Machine *m = machine_with_gpus();
        Answer first = {}, second = {};
        PlatformJob *job, *sync;
        unsigned n;

        (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &first);
        (void)machine_create(m, GPU_A, TYPE_1, UUID_2, &second);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        job = machine_find_create(m);
        fake_begin(job);
        fake_time_out(job, 4711);
        g_assert_cmpint(first.error.code, ==, -ERROR_TIMEOUT);
        g_assert_nonnull(strstr(first.error.message, "4711"));

        /* What waited behind it fails, as the platform says. */
        m->fake.refuse = -EBUSY;
        fake_fail(machine_find_create(m), -ERROR_BUSY, "worker process 4711 is stuck");
        sync = fake_find_job(&m->fake, JOB_SYNC, GPU_A);
        fake_fail(sync, -ERROR_BUSY, "worker process 4711 is stuck");
        g_assert_cmpint(second.error.code, ==, -ERROR_BUSY);
        machine_expect_log(m, "gpu " GPU_A " state=busy\n");
        g_assert_nonnull(strstr(machine_gpu(m, GPU_A)->reason, "4711"));
        machine_assert_refused(m, &(CreateRequest){ GPU_A, TYPE_1, "" }, -ERROR_BUSY, "4711");
        m->fake.refuse = 0;
        (void)machine_have_vgpu(m, GPU_B, UUID_3);

        n = m->fake.n_submitted;
        fake_finish(&m->fake, job);
        machine_settle(m);
        g_assert_cmpuint(m->fake.n_submitted, >, n);
        g_assert_cmpint(machine_gpu(m, GPU_A)->state, ==, GPU_READY);
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        g_assert_cmpuint(first.n, ==, 1);
        machine_free(m);
}

typedef enum Remains {
        REMAINS_NOTHING,
        REMAINS_VGPU,
        REMAINS_HELD,
        REMAINS_FOREIGN, /* somebody else's, with the same UUID */
} Remains;

/* Nobody knows what came of it until it is read; then it is as with a creation that came too late. */
static void test_worker_died(gconstpointer data) {
        Remains remains = GPOINTER_TO_INT(data);
        _cleanup_(fd_closep) int fd = -EBADF;
        Machine *m = machine_with_gpus();
        Answer answer = {};
        PlatformJob *job;
        VGpu *vgpu;

        (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);
        job = machine_find_create(m);
        if (remains != REMAINS_NOTHING)
                g_assert_cmpint(machine_make_mdev(m, GPU_A, remains == REMAINS_FOREIGN ? TYPE_2 : TYPE_1, UUID_1), ==, 0);
        if (remains == REMAINS_HELD) {
                fd = openat(m->sim.host.dev_fd, "vfio/0", O_RDWR | O_CLOEXEC);
                g_assert_cmpint(fd, >=, 0);
        }
        fake_fail(job, -EPIPE, "died");
        g_assert_cmpint(answer.error.code, ==, -EPIPE);
        g_assert_true(machine_has_record(m, UUID_1));
        machine_assert_refused(m, &(CreateRequest){ GPU_A, TYPE_1, UUID_1 }, -ERROR_ALREADY_EXISTS, UUID_1);
        machine_settle(m);

        vgpu = manager_find_vgpu(m->manager, UUID_1);
        g_assert_cmpint(machine_has_record(m, UUID_1), ==, remains == REMAINS_HELD);
        g_assert_cmpint(machine_has_mdev(m, UUID_1), ==, remains == REMAINS_HELD || remains == REMAINS_FOREIGN);
        g_assert_cmpint(!!vgpu, ==, machine_has_mdev(m, UUID_1));
        if (vgpu) {
                g_assert_cmpint(vgpu->state, ==, VGPU_ACTIVE);
                g_assert_cmpint(vgpu->managed, ==, remains == REMAINS_HELD);
                g_assert_cmpint(vgpu->last_error[0] != '\0', ==, remains == REMAINS_HELD);
        }
        g_assert_cmpuint(answer.n, ==, 1);
        machine_free(m);
}

/* The platform takes no job: nothing has begun, and nothing stays. */
static void test_not_submitted(void) {
        static const struct {
                int code, error;
        } cases[] = { { -EBUSY, -ERROR_BUSY }, { -EDQUOT, -ERROR_LIMIT_EXCEEDED }, { -ENOMEM, -ENOMEM } };
        Machine *m = machine_with_gpus();

        (void)machine_have_vgpu(m, GPU_A, UUID_2);
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                const CreateRequest create = { GPU_A, TYPE_1, UUID_1 };
                const DestroyRequest destroy = { .uuid = UUID_2 };
                Error error = ERROR_NULL;

                m->fake.refuse = cases[i].code;
                g_assert_cmpint(manager_create_vgpu(m->manager, &create, NULL, NULL, NULL, &error), ==, cases[i].error);
                g_assert_false(machine_has_record(m, UUID_1));
                error = ERROR_NULL;
                g_assert_cmpint(manager_destroy_vgpu(m->manager, &destroy, NULL, NULL, NULL, &error), ==,
                                cases[i].error);
                m->fake.refuse = 0;
        }
        machine_expect_log(m, "");
        g_assert_true(list_is_empty(&m->manager->operations));
        machine_free(m);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);

        g_test_add_func("/create/done", test_create);
        g_test_add_func("/create/generated", test_generated);
        g_test_add_func("/create/judge", test_judge);
        g_test_add_func("/create/refused", test_refused);
        g_test_add_func("/create/exhausted", test_exhausted);
        g_test_add_func("/create/uuid-taken", test_uuid_taken);
        g_test_add_func("/create/uuid-of-others", test_uuid_of_others);
        g_test_add_data_func("/create/uuid-taken-meanwhile", GINT_TO_POINTER(true), test_uuid_taken_meanwhile);
        g_test_add_data_func("/create/uuid-taken-while-queued", GINT_TO_POINTER(false), test_uuid_taken_meanwhile);
        g_test_add_func("/create/too-late-to-begin", test_too_late_to_begin);
        g_test_add_data_func("/create/late", GINT_TO_POINTER(false), test_late);
        g_test_add_data_func("/create/late-and-held", GINT_TO_POINTER(true), test_late);
        g_test_add_func("/create/stuck", test_stuck_create);
        g_test_add_data_func("/create/worker-died", GINT_TO_POINTER(REMAINS_NOTHING), test_worker_died);
        g_test_add_data_func("/create/worker-died-after", GINT_TO_POINTER(REMAINS_VGPU), test_worker_died);
        g_test_add_data_func("/create/worker-died-held", GINT_TO_POINTER(REMAINS_HELD), test_worker_died);
        g_test_add_data_func("/create/worker-died-foreign", GINT_TO_POINTER(REMAINS_FOREIGN), test_worker_died);
        g_test_add_func("/create/not-submitted", test_not_submitted);

        return g_test_run();
}
