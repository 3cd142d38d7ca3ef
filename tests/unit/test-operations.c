/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Creating and destroying: what the caller, the model and the records say, whatever becomes of the worker, the GPU, the
 * caller and the daemon meanwhile. Each caller is answered at most once.
 */

#include <fcntl.h>

#include "core/record.h"
#include "machine.h"
#include "util/text.h"

static Machine *machine_with_gpus(void) {
        Machine *m = machine_new();

        machine_set_types(m, 2, 2);
        machine_add_gpu(m, GPU_A);
        machine_add_gpu(m, GPU_B);
        machine_clear_log(m);
        return m;
}

static PlatformJob *find_create(Machine *m) {
        PlatformJob *job = fake_find_job(&m->fake, JOB_CREATE, NULL);

        g_assert_nonnull(job);
        return job;
}

static PlatformJob *find_remove(Machine *m) {
        PlatformJob *job = fake_find_job(&m->fake, JOB_REMOVE, NULL);

        g_assert_nonnull(job);
        return job;
}

/* Its deadline comes now. */
static void hurry(Machine *m, Operation *operation) {
        g_assert_nonnull(operation->deadline);
        g_assert_cmpint(sd_event_source_set_time(operation->deadline, 0), >=, 0);
        machine_turn(m);
}

static void test_create(void) {
        Machine *m = machine_with_gpus();
        Answer answer = { .log = m->log };

        (void)machine_create(m, GPU_A, "Type 1", "11111111-2FA1-4D2E-883F-0016D3CCA427", &answer);
        machine_turn(m);
        /* Invisible until it is proven, but noted as ours before anything is done. */
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        g_assert_true(machine_has_record(m, UUID_1));
        g_assert_cmpuint(answer.n, ==, 0);

        fake_finish(&m->fake, find_create(m));
        machine_turn(m);
        machine_expect_log(m, "type " TYPE_1 " available=3\ntype " TYPE_2 " available=3\n"
                              "+vgpu 1111 " TYPE_1 " active managed\nanswered\n");
        g_assert_true(answer.linked);
        g_assert_true(machine_has_mdev(m, UUID_1));
        g_assert_cmpstr(manager_find_vgpu(m->manager, UUID_1)->sysfs_path, ==, "/sys/bus/mdev/devices/" UUID_1);
        g_assert_true(vgpu_get_type(manager_find_vgpu(m->manager, UUID_1)) ==
                      gpu_find_type_by_id(machine_gpu(m, GPU_A), TYPE_1));
        g_assert_cmpuint(m->manager->n_operations, ==, 0);

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
        g_assert_cmpint(text_parse_uuid(find_create(m)->job.uuid, uuid), ==, 0);
        machine_settle(m);
        g_assert_nonnull(manager_find_vgpu(m->manager, uuid));
        machine_free(m);
}

static void assert_refused(Machine *m, const CreateRequest *request, int code, const char *part) {
        Error error = ERROR_NULL;

        g_assert_cmpint(manager_check_create(m->manager, request, &error), ==, code);
        g_assert_nonnull(strstr(error.message, part));
        error = ERROR_NULL;
        g_assert_cmpint(manager_create_vgpu(m->manager, request, NULL, NULL, NULL, &error), ==, code);
        g_assert_cmpint(error.code, ==, code);
        g_assert_nonnull(strstr(error.message, part));
        g_assert_true(text_is_printable(error.message));
}

/* What is wrong before anything begins. */
static void test_judge(void) {
        Machine *m = machine_with_gpus();
        ProfileSet *set = profile_set_new();
        Profile *profile = profile_new("twins.yaml");
        DestroyRequest request = { .uuid = UUID_1 };
        Error error = ERROR_NULL;

        assert_refused(m, &(CreateRequest){ "0000:99:00.0", TYPE_1, "" }, -ERROR_NO_SUCH_GPU, "0000:99:00.0");
        assert_refused(m, &(CreateRequest){ "\xff\x1b[2J", TYPE_1, "" }, -ERROR_NO_SUCH_GPU, "'??[2J'");
        assert_refused(m, &(CreateRequest){ GPU_A, "x", "" }, -ERROR_NO_SUCH_TYPE, TYPE_1 ", " TYPE_2);
        assert_refused(m, &(CreateRequest){ GPU_A, TYPE_1, "x" }, -ERROR_INVALID_ARGUMENT, "'x'");
        assert_refused(m, &(CreateRequest){ GPU_A, TYPE_1, UUID_1 "\n" }, -ERROR_INVALID_ARGUMENT, "UUID");

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
        assert_refused(m, &(CreateRequest){ GPU_A, "Twin", "" }, -ERROR_NO_SUCH_TYPE, TYPE_1 ", " TYPE_2);
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
        assert_refused(m, &request, -ERROR_ALREADY_EXISTS, "being created");
        machine_settle(m);
        assert_refused(m, &request, -ERROR_ALREADY_EXISTS, GPU_A);
        (void)machine_destroy(m, UUID_1, &answer);
        assert_refused(m, &request, -ERROR_ALREADY_EXISTS, "being removed");
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
        job = find_create(m);
        g_assert_cmpint(machine_make_mdev(m, GPU_B, TYPE_1, UUID_1), ==, 0);
        gpu_mark_dirty(machine_gpu(m, GPU_B), /* may_register= */ false);
        fake_finish(&m->fake, fake_find_job(&m->fake, JOB_SYNC, GPU_B));
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));

        if (GPOINTER_TO_INT(begun))
                fake_fail(job, -ERROR_NO_INSTANCES, "none is left");
        else
                hurry(m, operation);
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
        job = find_create(m);
        fake_begin(job);
        operation = machine_create(m, GPU_A, TYPE_1, UUID_2, &second);
        hurry(m, operation);
        g_assert_cmpuint(second.n, ==, 1);
        g_assert_cmpint(second.error.code, ==, -ERROR_TIMEOUT);
        g_assert_null(fake_find_job(&m->fake, JOB_CREATE, NULL));
        g_assert_false(machine_has_record(m, UUID_2));

        /* A destruction: the vGPU is as it was. */
        operation = machine_destroy(m, UUID_3, &third);
        hurry(m, operation);
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

        job = find_create(m);
        fake_begin(job);
        hurry(m, operation);
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
        job = find_create(m);
        fake_begin(job);
        fake_time_out(job, 4711);
        g_assert_cmpint(first.error.code, ==, -ERROR_TIMEOUT);
        g_assert_nonnull(strstr(first.error.message, "4711"));

        /* What waited behind it fails, as the platform says. */
        m->fake.refuse = -EBUSY;
        fake_fail(find_create(m), -ERROR_BUSY, "worker process 4711 is stuck");
        sync = fake_find_job(&m->fake, JOB_SYNC, GPU_A);
        fake_fail(sync, -ERROR_BUSY, "worker process 4711 is stuck");
        g_assert_cmpint(second.error.code, ==, -ERROR_BUSY);
        machine_expect_log(m, "gpu " GPU_A " state=busy\n");
        g_assert_nonnull(strstr(machine_gpu(m, GPU_A)->reason, "4711"));
        assert_refused(m, &(CreateRequest){ GPU_A, TYPE_1, "" }, -ERROR_BUSY, "4711");
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

/* Nobody knows what came of it: what is there is read, and is ours. */
static void test_worker_died(gconstpointer data) {
        bool made = GPOINTER_TO_INT(data);
        Machine *m = machine_with_gpus();
        Answer answer = {};
        PlatformJob *job;

        (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);
        job = find_create(m);
        if (made)
                g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
        fake_fail(job, -EPIPE, "died");
        g_assert_cmpint(answer.error.code, ==, -EPIPE);
        g_assert_true(machine_has_record(m, UUID_1));
        machine_settle(m);
        if (made)
                g_assert_true(manager_find_vgpu(m->manager, UUID_1)->managed);
        else
                (void)machine_have_vgpu(m, GPU_A, UUID_1);
        machine_free(m);
}

static void test_destroy(void) {
        Machine *m = machine_with_gpus();
        Answer answer = { .log = m->log };
        unsigned n;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        (void)machine_destroy(m, "11111111-2FA1-4D2E-883F-0016D3CCA427", &answer);
        machine_expect_log(m, "vgpu 1111 removing\n");
        fake_finish(&m->fake, find_remove(m));
        machine_expect_log(m, "-vgpu 1111\ntype " TYPE_1 " available=4\ntype " TYPE_2 " available=4\nanswered\n");
        g_assert_false(machine_has_mdev(m, UUID_1));
        g_assert_false(machine_has_record(m, UUID_1));

        /* Its event comes afterwards. */
        n = m->fake.n_submitted;
        machine_uevent(m, UEVENT_REMOVE, UEVENT_MDEV, PATH_A "/" UUID_1);
        g_assert_cmpuint(m->fake.n_submitted, ==, n);
        machine_free(m);
}

static void test_destroy_in_use(void) {
        _cleanup_(fd_closep) int fd = -EBADF;
        Machine *m = machine_with_gpus();
        Answer answer = { .log = m->log };

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        fd = openat(m->sim.host.dev_fd, "vfio/0", O_RDWR | O_CLOEXEC);
        (void)machine_destroy(m, UUID_1, &answer);
        machine_settle(m);
        machine_expect_log(m, "vgpu 1111 removing\nvgpu 1111 active\nrefused\n");
        g_assert_cmpint(answer.error.code, ==, -ERROR_IN_USE);
        g_assert_true(machine_has_record(m, UUID_1));

        fd = fd_close(fd);
        (void)machine_destroy(m, UUID_1, &answer);
        machine_settle(m);
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        machine_free(m);
}

static void test_destroy_unmanaged(void) {
        Machine *m = machine_with_gpus();
        DestroyRequest request = { .uuid = UUID_1 };
        Error error = ERROR_NULL;
        Answer answer = {};

        g_assert_cmpint(machine_make_mdev(m, GPU_A, TYPE_1, UUID_1), ==, 0);
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_A "/" UUID_1);
        machine_settle(m);
        g_assert_cmpint(manager_check_destroy(m->manager, &request, &error), ==, -ERROR_NOT_MANAGED);
        g_assert_cmpint(manager_destroy_vgpu(m->manager, &request, NULL, NULL, NULL, &error), ==, -ERROR_NOT_MANAGED);
        request.unmanaged = true;
        g_assert_cmpint(manager_destroy_vgpu(m->manager, &request, machine_on_answer, &answer, NULL, &error), ==, 0);
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);
        g_assert_false(machine_has_mdev(m, UUID_1));
        machine_free(m);
}

/* Somebody holds it and nobody saw him: the removal waits, alone. */
static void test_destroy_stuck(void) {
        Machine *m = machine_with_gpus();
        DestroyRequest request = { .uuid = UUID_1 };
        Error error = ERROR_NULL;
        Answer answer = {};
        PlatformJob *job;
        VGpu *vgpu;

        vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
        (void)machine_destroy(m, UUID_1, &answer);
        job = find_remove(m);
        fake_time_out(job, 4711);
        g_assert_cmpint(answer.error.code, ==, -ERROR_TIMEOUT);
        g_assert_nonnull(strstr(answer.error.message, "4711"));
        machine_expect_log(m, "vgpu 1111 removing\nvgpu 1111 error\n");
        g_assert_nonnull(strstr(vgpu->last_error, "4711"));
        g_assert_cmpint(manager_check_destroy(m->manager, &request, &error), ==, -ERROR_BUSY);
        assert_refused(m, &(CreateRequest){ GPU_A, TYPE_1, UUID_1 }, -ERROR_ALREADY_EXISTS, "removed");

        /* The kernel shows it no more while it waits; its GPU makes others. */
        fake_run(&m->fake, job);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        machine_settle(m);
        g_assert_true(manager_find_vgpu(m->manager, UUID_1) == vgpu);
        g_assert_cmpint(vgpu->state, ==, VGPU_REMOVING);
        (void)machine_have_vgpu(m, GPU_A, UUID_2);

        fake_finish(&m->fake, job);
        machine_expect_log(m, "-vgpu 1111\ntype " TYPE_1 " available=4\ntype " TYPE_2 " available=4\n");
        g_assert_cmpuint(answer.n, ==, 1);
        machine_settle(m);
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_1), ==, 3);
        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        machine_free(m);
}

/* It failed when nobody heard the answer any more: the vGPU itself says why it is there. */
static void test_destroy_fails_late(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        PlatformJob *job;
        VGpu *vgpu;

        vgpu = machine_have_vgpu(m, GPU_A, UUID_1);
        (void)machine_destroy(m, UUID_1, &answer);
        job = find_remove(m);
        fake_time_out(job, 4711);
        fake_fail(job, -EPIPE, "the worker died");
        machine_settle(m);
        g_assert_cmpuint(answer.n, ==, 1);
        g_assert_cmpint(vgpu->state, ==, VGPU_ACTIVE);
        g_assert_cmpstr(vgpu->last_error, ==, "the worker died");
        machine_free(m);
}

/* What was read before a removal ended does not bring the vGPU back. */
static void test_stale(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        PlatformJob *sync;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);
        sync = fake_find_job(&m->fake, JOB_SYNC, GPU_A);
        fake_run(&m->fake, sync);
        (void)machine_destroy(m, UUID_1, &answer);
        fake_finish(&m->fake, find_remove(m));
        machine_clear_log(m);

        fake_finish(&m->fake, sync);
        machine_expect_log(m, "");
        g_assert_nonnull(fake_find_job(&m->fake, JOB_SYNC, GPU_A));
        machine_settle(m);
        machine_expect_log(m, "");
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_1), ==, 4);
        machine_free(m);
}

/* The card is pulled in the middle of everything. */
static void test_unplugged(void) {
        Machine *m = machine_with_gpus();
        Answer running = {}, waiting = {}, removing = {}, stuck = {};
        PlatformJob *create, *removal;

        (void)machine_have_vgpu(m, GPU_A, UUID_2);
        (void)machine_have_vgpu(m, GPU_A, UUID_3);
        (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &running);
        create = find_create(m);
        fake_begin(create);
        (void)machine_create(m, GPU_A, TYPE_1, "", &waiting);
        (void)machine_destroy(m, UUID_2, &stuck);
        removal = find_remove(m);
        fake_time_out(removal, 4711);
        (void)machine_destroy(m, UUID_3, &removing);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_A);

        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
        g_assert_cmpint(running.error.code, ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(waiting.error.code, ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(removing.error.code, ==, -ERROR_NO_SUCH_GPU);
        g_assert_cmpint(stuck.error.code, ==, -ERROR_TIMEOUT);
        g_assert_false(machine_has_record(m, UUID_1) || machine_has_record(m, UUID_2) || machine_has_record(m, UUID_3));
        g_assert_cmpuint(m->manager->n_operations, ==, 0);
        g_assert_cmpuint(m->manager->vgpus.n, ==, 0);

        /* What had begun ends, for nobody. */
        fake_finish(&m->fake, create);
        fake_fail(removal, -ERROR_NO_SUCH_VGPU, "gone");
        machine_settle(m);
        g_assert_true(running.n == 1 && waiting.n == 1 && removing.n == 1 && stuck.n == 1);
        machine_free(m);
}

static void test_abandon(void) {
        Machine *m = machine_with_gpus();
        Answer answer = {};
        Operation *operation;
        PlatformJob *job;

        /* Nothing had begun: nothing comes of it. */
        operation = machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);
        operation_abandon(operation);
        g_assert_true(list_is_empty(&m->fake.jobs));
        g_assert_false(machine_has_record(m, UUID_1));
        g_assert_cmpuint(m->manager->n_operations, ==, 0);

        /* It had: it is completed and stays. */
        operation = machine_create(m, GPU_A, TYPE_1, UUID_1, &answer);
        job = find_create(m);
        fake_begin(job);
        operation_abandon(operation);
        fake_finish(&m->fake, job);
        machine_settle(m);
        machine_expect_log(m, "type " TYPE_1 " available=3\ntype " TYPE_2 " available=3\n"
                              "+vgpu 1111 " TYPE_1 " active managed\n");

        operation = machine_destroy(m, UUID_1, &answer);
        operation_abandon(operation);
        machine_settle(m);
        machine_expect_log(m, "vgpu 1111 removing\nvgpu 1111 active\n");
        operation = machine_destroy(m, UUID_1, &answer);
        job = find_remove(m);
        fake_begin(job);
        operation_abandon(operation);
        fake_finish(&m->fake, job);
        g_assert_null(manager_find_vgpu(m->manager, UUID_1));
        g_assert_cmpuint(answer.n, ==, 0);
        machine_free(m);
}

/* The daemon ends: nobody is told, what had begun goes on, and the next daemon knows what is its own. */
static void test_shutdown(void) {
        Machine *m = machine_with_gpus();
        Answer answers[4] = {};
        PlatformJob *create, *removal;
        IdleWait *wait;

        (void)machine_have_vgpu(m, GPU_A, UUID_2);
        (void)machine_create(m, GPU_A, TYPE_1, UUID_1, &answers[0]);
        create = find_create(m);
        fake_run(&m->fake, create);
        (void)machine_create(m, GPU_B, TYPE_1, UUID_3, &answers[1]);
        (void)machine_destroy(m, UUID_2, &answers[2]);
        removal = find_remove(m);
        fake_time_out(removal, 4711);
        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, PATH_B);
        machine_uevent(m, UEVENT_ADD, UEVENT_MDEV, PATH_B "/99999999-2fa1-4d2e-883f-0016d3cca427");
        g_assert_cmpint(manager_wait_idle(m->manager, NULL, NULL, &wait), ==, 0);
        machine_clear_log(m);

        machine_restart(m);
        machine_expect_log(m, "");
        g_assert_true(answers[0].n == 0 && answers[1].n == 0 && answers[2].n == 1);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
        g_assert_true(manager_find_vgpu(m->manager, UUID_1)->managed);
        g_assert_true(manager_find_vgpu(m->manager, UUID_2)->managed);
        manager_prune_records(m->manager);
        g_assert_true(machine_has_record(m, UUID_1) && machine_has_record(m, UUID_2));
        g_assert_false(machine_has_record(m, UUID_3));
        machine_free(m);
}

/* Each removal has a worker of its own, so that what the first one counted may be heard last. */
static void test_counts_out_of_order(void) {
        Machine *m = machine_with_gpus();
        PlatformJob *first, *second;
        Answer answers[2] = {};
        uint32_t before = machine_available(m, GPU_A, TYPE_1);

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        (void)machine_have_vgpu(m, GPU_A, UUID_2);
        (void)machine_destroy(m, UUID_1, &answers[0]);
        (void)machine_destroy(m, UUID_2, &answers[1]);
        first = find_remove(m);
        fake_run(&m->fake, first);
        second = find_remove(m);
        fake_run(&m->fake, second);
        fake_finish(&m->fake, second);
        fake_finish(&m->fake, first);
        machine_settle(m);

        g_assert_true(answers[0].n == 1 && answers[1].n == 1);
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_1), ==, before);
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
        g_assert_cmpuint(m->manager->n_operations, ==, 0);
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
        g_test_add_data_func("/create/worker-died", GINT_TO_POINTER(false), test_worker_died);
        g_test_add_data_func("/create/worker-died-after", GINT_TO_POINTER(true), test_worker_died);
        g_test_add_func("/create/not-submitted", test_not_submitted);
        g_test_add_func("/destroy/done", test_destroy);
        g_test_add_func("/destroy/in-use", test_destroy_in_use);
        g_test_add_func("/destroy/unmanaged", test_destroy_unmanaged);
        g_test_add_func("/destroy/stuck", test_destroy_stuck);
        g_test_add_func("/destroy/fails-late", test_destroy_fails_late);
        g_test_add_func("/destroy/stale", test_stale);
        g_test_add_func("/destroy/counts-out-of-order", test_counts_out_of_order);
        g_test_add_func("/operation/unplugged", test_unplugged);
        g_test_add_func("/operation/abandon", test_abandon);
        g_test_add_func("/operation/shutdown", test_shutdown);

        return g_test_run();
}
