/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Defining, starting, changing: operations of several steps, and what is left when one of them fails, its worker dies, its
 * time runs out, its caller goes or its GPU does.
 */

#include <fcntl.h>
#include <sys/stat.h>

#include "life.h"
#include "util/file.h"
#include "util/text.h"

#define WEIGHT "scheduling_weight"

static Attributes attributes_of(const char *name, const char *value) {
        Attributes a = {};

        g_assert_cmpint(attributes_add(&a, name, value, NULL), ==, 0);
        return a;
}

static char *read_weight(Machine *m, const char *uuid) {
        g_autofree char *path = g_strdup_printf("bus/mdev/devices/%s/" WEIGHT, uuid);
        char text[32];

        attribute_read_text(m->sim.host.sys_fd, path, text, sizeof(text));
        return g_strdup(text);
}

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
                request.attributes = attributes_of(WEIGHT, weight);
        if (manager_create_vgpu(m->manager, &request, machine_on_answer, answer, &operation, &answer->error) < 0)
                g_error("the creation did not begin: %s", answer->error.message);
        attributes_done(&request.attributes);
        return operation;
}

/* Nothing of it is left anywhere. */
static void assert_nothing(Machine *m) {
        machine_settle(m);
        g_assert_null(MAP_FIND(&m->manager->vgpus, UUID_1, VGpu, node));
        g_assert_false(machine_has_mdev(m, UUID_1));
        g_assert_false(machine_has_record(m, UUID_1));
        g_assert_null(life_read(m, GPU_A, UUID_1));
        g_assert_null(life_read_note(m, UUID_1));
        life_assert_clean(m);
        g_assert_true(list_is_empty(&m->manager->operations));
        g_assert_cmpuint(machine_available(m, GPU_A, TYPE_1), ==, 4);
}

static void assert_answer(const Answer *answer, int code, const char *part) {
        g_assert_cmpuint(answer->n, ==, 1);
        g_assert_cmpint(answer->error.code, ==, code);
        if (!strstr(answer->error.message, part))
                g_error("'%s' says nothing of '%s'", answer->error.message, part);
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
        weight = read_weight(m, UUID_1);
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
        assert_answer(&answer, -ERROR_DRIVER_REJECTED, "'101'");
        if (!held)
                assert_nothing(m);
        else {
                /* Somebody has got hold of it already: it stays, as ours, and says why. */
                life_assert_state(m, UUID_1, VGPU_ACTIVE, "in use by process");
                g_assert_true(life_find(m, UUID_1)->managed && !life_find(m, UUID_1)->persistent);
                g_assert_cmpint(record_phase(m), ==, RECORD_MADE);
                fd = fd_close(fd);
                life_stop(m, UUID_1);
                assert_nothing(m);
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
        assert_answer(&answer, -EIO, "/etc/mdevctl.d/" GPU_A "/" UUID_1);
        assert_nothing(m);
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
        assert_answer(&answer, -ERROR_ALREADY_EXISTS, "is there already");
        life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
        g_assert_false(life_find(m, UUID_1)->managed);
        g_assert_false(machine_has_mdev(m, UUID_1));
        g_assert_null(life_read_note(m, UUID_1));
        text = life_read(m, GPU_A, UUID_1);
        g_assert_cmpstr(text, ==, MANUAL_1);
        machine_free(m);
}

static void unplug(Machine *m) {
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
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
        unplug(m);
        assert_answer(&answer, -ERROR_NO_SUCH_GPU, "has gone");
        fake_finish(&m->fake, job);
        machine_settle(m);
        machine_add_gpu(m, GPU_A);
        assert_nothing(m);
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
        unplug(m);
        g_assert_cmpuint(answer.n, ==, 0);
        fake_finish(&m->fake, job);
        machine_settle(m);
        g_assert_false(machine_has_record(m, UUID_1));
        if (!stored) {
                assert_answer(&answer, -ERROR_NO_SUCH_GPU, "has gone");
                g_assert_null(strstr(answer.error.message, "definition stays"));
                machine_add_gpu(m, GPU_A);
                assert_nothing(m);
        } else {
                assert_answer(&answer, -ERROR_NO_SUCH_GPU, "definition stays");
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
        assert_answer(&answer, -EPIPE, "died");
        assert_nothing(m);
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
                assert_nothing(m);
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
        assert_answer(&answer, -ERROR_TIMEOUT, storing ? "The disk" : GPU_A);
        fake_finish(&m->fake, job);
        machine_settle(m);
        if (storing) {
                life_assert_state(m, UUID_1, VGPU_ACTIVE, "took too long");
                g_assert_true(life_find(m, UUID_1)->persistent && machine_has_mdev(m, UUID_1));
                g_assert_cmpint(record_phase(m), ==, RECORD_MADE);
        } else
                assert_nothing(m);
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
        assert_answer(&answer, 0, "");
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web2");
        machine_free(m);
}

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
        assert_nothing(m);
        machine_free(m);
}

/* For what is not there; it finds its place when that comes. */
static void test_define_absent(void) {
        Machine *m = machine_new();
        Answer answer = {};

        machine_set_types(m, 2, 2);
        (void)life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1 }, &answer);
        machine_settle(m);
        assert_answer(&answer, 0, "");
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
        assert_answer(&answers[0], 0, "");
        g_assert_cmpint(manager_check_define(m->manager, &other, &error), ==, -ERROR_ALREADY_EXISTS);
        (void)life_define(m, &(DefineRequest){ .gpu = "", .type = "", .uuid = UUID_1 }, &answers[1]);
        machine_settle(m);
        assert_answer(&answers[1], 0, "");
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_true(life_find(m, UUID_1)->persistent && life_find(m, UUID_1)->managed);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");

        /* It stays when it is no longer defined, and then is gone when it is destroyed. */
        (void)life_undefine(m, UUID_1, &answers[2]);
        machine_settle(m);
        assert_answer(&answers[2], 0, "");
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
        g_assert_true(!life_find(m, UUID_1)->persistent && life_find(m, UUID_1)->managed);
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");
        life_stop(m, UUID_1);
        assert_nothing(m);
        machine_free(m);
}

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
                assert_answer(&answer, 0, "");
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
        assert_answer(&answers[1], 0, "");

        set_limit(m, UNKNOWN_U32, GIB);
        request.type = TYPE_1;
        g_assert_cmpint(manager_modify_vgpu(m->manager, &request, NULL, NULL, NULL, &error), ==, -ERROR_LIMIT_EXCEEDED);
        g_assert_nonnull(strstr(error.message, "User 1000 may have 1024 MiB"));
        request.by = &root;
        (void)life_modify(m, &request, &answers[2]);
        machine_settle(m);
        assert_answer(&answers[2], 0, "");
        machine_free(m);
}

/* The amount that a type has is not got round by an attribute. */
static void test_quota(void) {
        Attributes quota = attributes_of("vram_quota", "17179869184");
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
        assert_answer(&answers[0], 0, "");
        g_assert_cmpint(manager_create_vgpu(m->manager, &create, NULL, NULL, NULL, &error), ==, -ERROR_LIMIT_EXCEEDED);
        g_assert_cmpint(manager_define_vgpu(m->manager, &define, NULL, NULL, NULL, &error), ==, -ERROR_LIMIT_EXCEEDED);
        g_assert_cmpint(manager_modify_vgpu(m->manager, &modify, NULL, NULL, NULL, &error), ==, -ERROR_LIMIT_EXCEEDED);
        g_assert_nonnull(strstr(error.message, "vram_quota"));

        set_limit(m, 8, UNKNOWN_U64);
        (void)life_modify(m, &modify, &answers[1]);
        machine_settle(m);
        assert_answer(&answers[1], 0, "");

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

typedef enum Trouble {
        TROUBLE_DISK,
        TROUBLE_DIED,
        TROUBLE_DIED_AFTER,
        TROUBLE_QUEUED, /* too late to begin */
        TROUBLE_LATE,
        TROUBLE_GPU,
        TROUBLE_MAX,
} Trouble;

/* Whatever becomes of a definition's way to the disk, the caller is answered once and the model says what is on it. */
static void trouble_store(Machine *m, Operation *operation, Trouble trouble) {
        PlatformJob *job = life_find_store(m);

        switch (trouble) {
        case TROUBLE_DISK:
                fake_fail(job, -EIO, "the disk");
                break;
        case TROUBLE_DIED:
                fake_fail(job, -EPIPE, "died");
                break;
        case TROUBLE_DIED_AFTER:
                fake_run(&m->fake, job);
                fake_fail(job, -EPIPE, "died");
                break;
        case TROUBLE_QUEUED:
                machine_hurry(m, operation);
                break;
        case TROUBLE_LATE:
                fake_begin(job);
                machine_hurry(m, operation);
                fake_finish(&m->fake, job);
                break;
        default:
                fake_begin(job);
                unplug(m);
                fake_finish(&m->fake, job);
                break;
        }
        machine_settle(m);
        g_assert_true(list_is_empty(&m->manager->operations));
}

static bool is_written(Trouble trouble) {
        return trouble == TROUBLE_DIED_AFTER || trouble == TROUBLE_LATE || trouble == TROUBLE_GPU;
}

static void assert_troubled(const Answer *answer, Trouble trouble) {
        static const int codes[TROUBLE_MAX] = {
                [TROUBLE_DISK] = -EIO,           [TROUBLE_DIED] = -EPIPE,
                [TROUBLE_DIED_AFTER] = 0,        [TROUBLE_QUEUED] = -ERROR_TIMEOUT,
                [TROUBLE_LATE] = -ERROR_TIMEOUT,
        };

        assert_answer(answer, codes[trouble], trouble == TROUBLE_QUEUED ? "nothing was changed" : "");
        if (trouble == TROUBLE_QUEUED)
                g_assert_null(strstr(answer->error.message, "GPU"));
}

static void test_define_trouble(gconstpointer data) {
        Trouble trouble = GPOINTER_TO_INT(data);
        Machine *m = machine_with_gpus();
        Answer answer = {};
        Operation *operation;

        operation = life_define(m, &(DefineRequest){ .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1, .label = "web1" },
                                &answer);
        trouble_store(m, operation, trouble);
        assert_troubled(&answer, trouble);
        if (is_written(trouble)) {
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                g_assert_true(life_find(m, UUID_1)->managed);
                g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");
        } else
                assert_nothing(m);
        machine_free(m);
}

static void test_undefine_trouble(gconstpointer data) {
        Trouble trouble = GPOINTER_TO_INT(data);
        Machine *m = machine_with_gpus();
        Answer answer = {};

        (void)life_have_defined(m, GPU_A, UUID_1, false);
        trouble_store(m, life_undefine(m, UUID_1, &answer), trouble);
        assert_troubled(&answer, trouble);
        if (trouble == TROUBLE_GPU)
                machine_add_gpu(m, GPU_A);
        if (is_written(trouble))
                assert_nothing(m);
        else {
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                g_assert_true(life_find(m, UUID_1)->managed);
        }
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
        trouble_store(m, life_modify(m, &modify, &answer), trouble);
        assert_troubled(&answer, trouble);
        g_assert_true(life_find(m, UUID_1) == vgpu && vgpu->managed);
        g_assert_cmpint(vgpu->autostart, ==, is_written(trouble));
        g_assert_cmpstr(vgpu->label, ==, is_written(trouble) ? "web2" : "");
        g_assert_cmpstr(vgpu->type_id, ==, is_written(trouble) ? TYPE_2 : TYPE_1);
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
                assert_nothing(m);
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
                assert_answer(&answer, -EIO, "the disk");
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                g_assert_cmpstr(life_find(m, UUID_1)->parent, ==, GPU_B);
                g_assert_true(life_find(m, UUID_1)->managed);
                answer = (Answer){};
                (void)life_undefine(m, UUID_1, &answer);
        }
        machine_settle(m);
        assert_answer(&answer, 0, "");
        g_assert_null(life_read(m, GPU_B, UUID_1));
        assert_nothing(m);
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
        assert_answer(&answer, 0, "");
        /* It has a label now, and is no more ours than before. */
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "mine");
        g_assert_false(life_find(m, UUID_1)->managed);
        undefine.unmanaged = true;
        g_assert_cmpint(manager_undefine_vgpu(m->manager, &undefine, NULL, NULL, NULL, &error), ==, 0);
        assert_nothing(m);
        machine_free(m);
}

/* Started, it has its attributes; one that is refused takes it back, and its definition says why. */
static void test_start(gconstpointer refused) {
        Machine *m = machine_with_gpus();
        DefineRequest request = { .gpu = GPU_A, .type = TYPE_1, .uuid = UUID_1 };
        g_autofree char *weight = NULL;
        Answer define = {}, start = {};

        request.attributes = attributes_of(WEIGHT, refused ? "101" : "7");
        (void)life_define(m, &request, &define);
        attributes_done(&request.attributes);
        machine_settle(m);
        (void)life_start(m, UUID_1, &start);
        life_assert_state(m, UUID_1, VGPU_CREATING, NULL);
        machine_settle(m);
        if (refused) {
                assert_answer(&start, -ERROR_DRIVER_REJECTED, "'101'");
                life_assert_state(m, UUID_1, VGPU_DEFINED, NULL);
                g_assert_false(machine_has_mdev(m, UUID_1) || machine_has_record(m, UUID_1));
        } else {
                assert_answer(&start, 0, "");
                life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);
                weight = read_weight(m, UUID_1);
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
        switch (trouble) {
        case TROUBLE_DIED:
                fake_fail(job, -EPIPE, "died");
                break;
        case TROUBLE_DIED_AFTER:
                fake_run(&m->fake, job);
                fake_fail(job, -EPIPE, "died");
                life_assert_state(m, UUID_1, VGPU_CREATING, NULL);
                break;
        case TROUBLE_QUEUED:
                machine_hurry(m, operation);
                break;
        case TROUBLE_LATE:
                fake_begin(job);
                machine_hurry(m, operation);
                fake_finish(&m->fake, job);
                break;
        default:
                fake_begin(job);
                unplug(m);
                fake_finish(&m->fake, job);
                machine_add_gpu(m, GPU_A);
                break;
        }
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
        assert_answer(&answer, i == 0 ? 0 : -ERROR_ALREADY_EXISTS, "");
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
        Attributes good = attributes_of(WEIGHT, "9"), bad = attributes_of(WEIGHT, "101");
        ModifyRequest request = { .uuid = UUID_1, .scope = MODIFY_CONFIG, .attributes = &good };
        g_autofree char *before = NULL, *after = NULL, *weight = NULL;
        Answer answers[8] = {};
        Error error = ERROR_NULL;
        VGpu *vgpu;

        vgpu = life_have_started(m, GPU_A, UUID_1, false);
        before = life_read(m, GPU_A, UUID_1);
        (void)life_modify(m, &request, &answers[0]);
        machine_settle(m);
        assert_answer(&answers[0], 0, "");
        weight = read_weight(m, UUID_1);
        g_assert_cmpstr(weight, ==, "0");
        after = life_read(m, GPU_A, UUID_1);
        g_assert_nonnull(strstr(after, "\"" WEIGHT "\": \"9\""));

        request = (ModifyRequest){ .uuid = UUID_1, .scope = MODIFY_BOTH, .attributes = &bad, .label = "web2" };
        (void)life_modify(m, &request, &answers[1]);
        machine_settle(m);
        assert_answer(&answers[1], -ERROR_DRIVER_REJECTED, "'101'");
        g_free(before);
        before = life_read(m, GPU_A, UUID_1);
        g_assert_cmpstr(before, ==, after);
        g_assert_cmpstr(vgpu->label, ==, "");
        life_assert_state(m, UUID_1, VGPU_ACTIVE, NULL);

        request = (ModifyRequest){ .uuid = UUID_1, .scope = MODIFY_BOTH, .attributes = &good, .label = "web2" };
        (void)life_modify(m, &request, &answers[2]);
        machine_settle(m);
        assert_answer(&answers[2], 0, "");
        g_free(weight);
        weight = read_weight(m, UUID_1);
        g_assert_cmpstr(weight, ==, "9");
        g_assert_cmpstr(vgpu->label, ==, "web2");

        /* The label is the vGPU's, whatever the scope. */
        request = (ModifyRequest){ .uuid = UUID_1, .scope = MODIFY_LIVE, .label = "web3" };
        (void)life_modify(m, &request, &answers[3]);
        machine_settle(m);
        assert_answer(&answers[3], 0, "");
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
        Attributes good = attributes_of(WEIGHT, "9");
        const ModifyRequest request = { .uuid = UUID_1, .scope = MODIFY_BOTH, .attributes = &good, .label = "web2" };
        Answer answer = {};

        (void)life_have_started(m, GPU_A, UUID_1, false);
        (void)life_modify(m, &request, &answer);
        fake_finish(&m->fake, fake_find_job(&m->fake, JOB_CONFIGURE, NULL));
        fake_fail(life_find_store(m), -EIO, "the disk is full");
        assert_answer(&answer, -EIO, "the disk is full");
        assert_answer(&answer, -EIO, "was changed");
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "");
        attributes_done(&good);
        machine_free(m);
}

/* What is not defined: its label is in its record, and is not changed by what failed. */
static void test_modify_undefined(void) {
        Machine *m = machine_with_gpus();
        Attributes bad = attributes_of(WEIGHT, "101");
        ModifyRequest request = { .uuid = UUID_1, .label = "web1" };
        const bool yes = true;
        Error error = ERROR_NULL;
        Answer answers[2] = {};
        Record record;

        (void)machine_have_vgpu(m, GPU_A, UUID_1);
        (void)life_modify(m, &request, &answers[0]);
        machine_settle(m);
        assert_answer(&answers[0], 0, "");
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");
        g_assert_cmpint(record_read(m->state_fd, UUID_1, &record), ==, 0);
        g_assert_cmpstr(record.label, ==, "web1");

        request = (ModifyRequest){ .uuid = UUID_1, .label = "web2", .attributes = &bad };
        (void)life_modify(m, &request, &answers[1]);
        machine_settle(m);
        assert_answer(&answers[1], -ERROR_DRIVER_REJECTED, "'101'");
        g_assert_cmpstr(life_find(m, UUID_1)->label, ==, "web1");

        request = (ModifyRequest){ .uuid = UUID_1, .autostart = &yes };
        g_assert_cmpint(manager_check_modify(m->manager, &request, &error), ==, -ERROR_NOT_SUPPORTED);
        request = (ModifyRequest){ .uuid = UUID_1, .scope = MODIFY_CONFIG, .label = "x" };
        g_assert_cmpint(manager_check_modify(m->manager, &request, &error), ==, -ERROR_NO_SUCH_VGPU);
        attributes_done(&bad);
        machine_free(m);
}

static void add_troubles(const char *path, GTestDataFunc test, bool store) {
        static const char *const names[TROUBLE_MAX] = { "disk",     "worker-died", "worker-died-after",
                                                        "too-late", "late",        "unplugged" };

        for (int i = store ? 0 : 1; i < TROUBLE_MAX; i++) {
                g_autofree char *name = g_strdup_printf("%s-%s", path, names[i]);

                g_test_add_data_func(name, GINT_TO_POINTER(i), test);
        }
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
        g_test_add_func("/define/done", test_define);
        g_test_add_func("/define/absent", test_define_absent);
        g_test_add_func("/define/active", test_define_active);
        g_test_add_func("/define/limits", test_define_limits);
        g_test_add_func("/modify/limits", test_modify_limits);
        g_test_add_func("/define/quota", test_quota);
        g_test_add_func("/define/next-type", test_next_type);
        g_test_add_func("/define/judge", test_define_judge);
        g_test_add_func("/define/long-name", test_define_long_name);
        add_troubles("/define/trouble", test_define_trouble, true);
        g_test_add_data_func("/define/abandoned", NULL, test_abandoned);
        g_test_add_data_func("/define/abandoned-begun", "begun", test_abandoned);
        add_troubles("/undefine/trouble", test_undefine_trouble, true);
        g_test_add_data_func("/undefine/twice", NULL, test_undefine_twice);
        g_test_add_data_func("/undefine/twice-fails", "fails", test_undefine_twice);
        g_test_add_func("/define/foreign", test_foreign);
        g_test_add_data_func("/start/done", NULL, test_start);
        g_test_add_data_func("/start/refused", "refused", test_start);
        add_troubles("/start/trouble", test_start_trouble, false);
        g_test_add_data_func("/start/made-by-others", GUINT_TO_POINTER(0), test_start_made_by_others);
        g_test_add_data_func("/start/other-type", GUINT_TO_POINTER(1), test_start_made_by_others);
        g_test_add_data_func("/start/other-gpu", GUINT_TO_POINTER(2), test_start_made_by_others);
        g_test_add_func("/modify/done", test_modify);
        g_test_add_func("/modify/half", test_modify_half);
        g_test_add_func("/modify/undefined", test_modify_undefined);
        add_troubles("/modify/trouble", test_modify_trouble, true);

        return g_test_run();
}
