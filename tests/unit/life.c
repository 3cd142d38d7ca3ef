/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include <fcntl.h>
#include <sys/stat.h>

#include "life.h"
#include "sim/sim-internal.h"
#include "util/file.h"

char *life_path(Machine *m, const char *parent, const char *uuid) {
        return g_strdup_printf("%s/etc/mdevctl.d/%s%s%s", m->root, parent, uuid ? "/" : "", uuid ?: "");
}

void life_write(Machine *m, const char *parent, const char *uuid, const char *text) {
        g_autofree char *folder = life_path(m, parent, NULL), *path = life_path(m, parent, uuid);
        _cleanup_(fd_closep) int fd = -EBADF;

        g_assert_cmpint(g_mkdir_with_parents(folder, 0755), ==, 0);
        fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        g_assert_cmpint(fd, >=, 0);
        g_assert_cmpint(file_write_all(fd, text, strlen(text)), ==, 0);
}

void life_delete(Machine *m, const char *parent, const char *uuid) {
        g_autofree char *path = life_path(m, parent, uuid);

        g_assert_cmpint(unlink(path), ==, 0);
}

static char *read_whole(const char *path) {
        char *text = NULL;

        return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

char *life_read(Machine *m, const char *parent, const char *uuid) {
        g_autofree char *path = life_path(m, parent, uuid);

        return read_whole(path);
}

void life_write_note(Machine *m, const char *uuid, const char *text) {
        g_autofree char *folder = g_strdup_printf("%s/var/vgpus", m->root);
        g_autofree char *path = g_build_filename(folder, uuid, NULL);

        g_assert_cmpint(g_mkdir_with_parents(folder, 0700), ==, 0);
        g_assert_true(g_file_set_contents(path, text, -1, NULL));
}

char *life_read_note(Machine *m, const char *uuid) {
        g_autofree char *path = g_strdup_printf("%s/var/vgpus/%s", m->root, uuid);

        return read_whole(path);
}

static void assert_no_hidden(const char *path) {
        g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
        const char *name;

        while (dir && (name = g_dir_read_name(dir)))
                if (name[0] == '.')
                        g_error("%s/%s was left behind", path, name);
}

void life_assert_clean(Machine *m) {
        g_autofree char *definitions = g_strdup_printf("%s/etc/mdevctl.d", m->root);
        g_autofree char *notes = g_strdup_printf("%s/var/vgpus", m->root);

        assert_no_hidden(definitions);
        assert_no_hidden(notes);
}

VGpu *life_find(Machine *m, const char *uuid) {
        VGpu *vgpu = manager_find_vgpu(m->manager, uuid);

        g_assert_nonnull(vgpu);
        return vgpu;
}

void life_assert_state(Machine *m, const char *uuid, VGpuState state, const char *error_part) {
        VGpu *vgpu = life_find(m, uuid);

        g_assert_cmpstr(vgpu_state_to_string(vgpu->state), ==, vgpu_state_to_string(state));
        if (!error_part)
                g_assert_cmpstr(vgpu->last_error, ==, "");
        else if (!strstr(vgpu->last_error, error_part))
                g_error("'%s' says nothing of '%s'", vgpu->last_error, error_part);
}

Operation *life_define(Machine *m, const DefineRequest *request, Answer *answer) {
        Operation *operation = NULL;
        Error error = ERROR_NULL;

        if (manager_define_vgpu(m->manager, request, machine_on_answer, answer, &operation, &error) < 0)
                g_error("the definition did not begin: %s", error.message);
        return operation;
}

Operation *life_undefine(Machine *m, const char *uuid, Answer *answer) {
        const UndefineRequest request = { .uuid = uuid };
        Operation *operation = NULL;
        Error error = ERROR_NULL;

        if (manager_undefine_vgpu(m->manager, &request, machine_on_answer, answer, &operation, &error) < 0)
                g_error("it did not begin: %s", error.message);
        return operation;
}

Operation *life_start(Machine *m, const char *uuid, Answer *answer) {
        const StartRequest request = { .uuid = uuid };
        Operation *operation = NULL;
        Error error = ERROR_NULL;

        if (manager_start_vgpu(m->manager, &request, machine_on_answer, answer, &operation, &error) < 0)
                g_error("the start did not begin: %s", error.message);
        return operation;
}

Operation *life_modify(Machine *m, const ModifyRequest *request, Answer *answer) {
        Operation *operation = NULL;
        Error error = ERROR_NULL;

        if (manager_modify_vgpu(m->manager, request, machine_on_answer, answer, &operation, &error) < 0)
                g_error("the change did not begin: %s", error.message);
        return operation;
}

static void assert_answered(const Answer *answer) {
        g_assert_cmpuint(answer->n, ==, 1);
        g_assert_cmpstr(answer->error.message, ==, "");
}

VGpu *life_have_defined(Machine *m, const char *gpu, const char *uuid, bool autostart) {
        const DefineRequest request = { .gpu = gpu, .type = TYPE_1, .uuid = uuid, .autostart = autostart };
        Answer answer = {};

        (void)life_define(m, &request, &answer);
        machine_settle(m);
        assert_answered(&answer);
        machine_clear_log(m);
        return life_find(m, uuid);
}

VGpu *life_have_started(Machine *m, const char *gpu, const char *uuid, bool autostart) {
        VGpu *vgpu = life_have_defined(m, gpu, uuid, autostart);
        Answer answer = {};

        (void)life_start(m, uuid, &answer);
        machine_settle(m);
        assert_answered(&answer);
        g_assert_cmpint(vgpu->state, ==, VGPU_ACTIVE);
        machine_clear_log(m);
        return vgpu;
}

void life_stop(Machine *m, const char *uuid) {
        Answer answer = {};

        (void)machine_destroy(m, uuid, &answer);
        machine_settle(m);
        assert_answered(&answer);
        machine_clear_log(m);
}

PlatformJob *life_find_store(Machine *m) {
        PlatformJob *job = fake_find_job(&m->fake, JOB_STORE, NULL);

        g_assert_nonnull(job);
        return job;
}

void life_hurry(VGpu *vgpu) {
        g_assert_nonnull(vgpu->start_timer);
        g_assert_cmpint(sd_event_source_set_time(vgpu->start_timer, 0), >=, 0);
}

void life_restart(Machine *m) {
        machine_restart(m);
        machine_set_types(m, 2, 2);
        g_assert_cmpint(manager_scan(m->manager), ==, 0);
        machine_settle(m);
        g_assert_true(manager_is_settled(m->manager));
        manager_prune_records(m->manager);
        machine_settle(m);
        machine_clear_log(m);
}

int life_hold_registration(Machine *m, const char *gpu) {
        g_autofree char *path = g_strdup_printf("class/mdev_bus/%s/mdev_supported_types", gpu);
        int fd = directory_open(m->sim.host.sys_fd, path);

        g_assert_cmpint(fd, >=, 0);
        return fd;
}

void life_reload_driver(Machine *m, const char *gpu) {
        SimGpu g;

        g_assert_cmpint(sim_gpu_load(&m->sim, gpu, &g), ==, 0);
        sim_mdev_drop(&m->sim, &g);
        sim_parent_unregister(&m->sim, &g);
        g.n_types = 0;
        g.generation++;
        g.epoch++;
        g_assert_cmpint(sim_gpu_store(&m->sim, &g), ==, 0);
}

void life_tell(Machine *m, const char *gpu) {
        g_autofree char *path = g_strdup_printf("/devices/pci0000:00/%s", gpu);

        machine_uevent(m, UEVENT_CHANGE, UEVENT_PCI, path);
        machine_settle(m);
}

Attributes life_attributes(const char *name, const char *value) {
        Attributes a = {};

        g_assert_cmpint(attributes_add(&a, name, value, NULL), ==, 0);
        return a;
}

char *life_read_weight(Machine *m, const char *uuid) {
        g_autofree char *path = g_strdup_printf("bus/mdev/devices/%s/" WEIGHT, uuid);
        char text[32];

        attribute_read_text(m->sim.host.sys_fd, path, text, sizeof(text));
        return g_strdup(text);
}

void life_assert_nothing(Machine *m) {
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

void life_assert_answer(const Answer *answer, int code, const char *part) {
        g_assert_cmpuint(answer->n, ==, 1);
        g_assert_cmpint(answer->error.code, ==, code);
        if (!strstr(answer->error.message, part))
                g_error("'%s' says nothing of '%s'", answer->error.message, part);
}

void life_unplug(Machine *m) {
        g_assert_cmpint(sim_host_unplug(&m->sim, GPU_A), ==, 0);
        machine_uevent(m, UEVENT_REMOVE, UEVENT_PCI, PATH_A);
}

void life_trouble(Machine *m, Operation *operation, PlatformJob *job, Trouble trouble) {
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
                life_unplug(m);
                fake_finish(&m->fake, job);
                break;
        }
}

void life_trouble_store(Machine *m, Operation *operation, Trouble trouble) {
        life_trouble(m, operation, life_find_store(m), trouble);
        machine_settle(m);
        g_assert_true(list_is_empty(&m->manager->operations));
}

bool life_is_written(Trouble trouble) {
        return trouble == TROUBLE_DIED_AFTER || trouble == TROUBLE_LATE || trouble == TROUBLE_GPU;
}

void life_assert_troubled(const Answer *answer, Trouble trouble) {
        static const int codes[TROUBLE_MAX] = {
                [TROUBLE_DISK] = -EIO,           [TROUBLE_DIED] = -EPIPE,
                [TROUBLE_DIED_AFTER] = 0,        [TROUBLE_QUEUED] = -ERROR_TIMEOUT,
                [TROUBLE_LATE] = -ERROR_TIMEOUT,
        };

        life_assert_answer(answer, codes[trouble], trouble == TROUBLE_QUEUED ? "nothing was changed" : "");
        if (trouble == TROUBLE_QUEUED)
                g_assert_null(strstr(answer->error.message, "GPU"));
}

void life_add_troubles(const char *path, GTestDataFunc test, bool store) {
        static const char *const names[TROUBLE_MAX] = { "disk",     "worker-died", "worker-died-after",
                                                        "too-late", "late",        "unplugged" };

        for (int i = store ? 0 : 1; i < TROUBLE_MAX; i++) {
                g_autofree char *name = g_strdup_printf("%s-%s", path, names[i]);

                g_test_add_data_func(name, GINT_TO_POINTER(i), test);
        }
}
